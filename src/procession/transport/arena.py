"""Arenas: shared memory in which large things travel, written once and read where they lie.

A process allocates in an arena of its own and nowhere else, so that no lock is shared. What it allocates is a *block*.
The other side looks at a block through views, and says when it has done so. The parent has one arena for all that it
sends, which every worker maps; a worker has one for its results, which the parent maps. Each is a sparse memfd:

    table 1     one word for each place where a block may begin, see below
    table 2     the same
    blocks      `limit` bytes

                    table 1                                      table 2
    a worker's      released: the parent adds 1 for each view    held: the worker counts its views of the block that
                    of the block there that has gone             begins at this place in the *parent's* arena, or that
                                                                 is lent to it under this slot (lending.py)
    the parent's    shared: the number of the object that is     -
                    shared (`pool.share`), while it is; in the
                    slots of lending.py: the key of a lender

Laws
1. **One writer.** Each word of a table is written by one side only; there by whoever settles the ends of views, or of
   loans, and by the ends of views that C has made (`_native/array.c`). All of them hold the GIL. `words[slot] += step`
   is one step to them: between its instructions there is no call and no jump, where alone the interpreter would give
   the GIL away.
2. **A block is reused when nobody can look at it**: its owner has let go of it (the Block object is gone: a task that
   was answered for good, an array that nobody has any more), and
   * parent's arena: no worker holds it. A worker's word is set before its task is answered, for as long as a view
     lives; so whoever finds the word empty after the answer finds it empty for good.
   * worker's arena: what was released is what was published. What the parent lends to other workers it releases when
     these are through with it.
3. **A worker that is gone holds nothing**: its tables go with its channel. What it had published stays, as long as
   views of it do: they keep the mapping.
4. **Memory is asked for before it is written** (shmem.py, law 2). What cannot be had, or does not fit, is None: the
   caller takes the pipe. Memory that was had is kept, warm, and is given back after IDLE seconds without use.
5. **The end of a view, or of a block, runs no Python**: it puts a note into a deque, a call of C code, or, of a view
   that C has made, counts by itself. So no signal handler that raises is swallowed by a finalizer, and no lock is taken
   in one. Notes are read at the next occasion.
6. **An interrupt at any instruction leaves an arena whole** (spans.py, law 2; `with` takes and leaves a lock whole: the
   interpreter looks for signals after calls and jumps only). A signal handler that allocates while its own thread does
   gets None.
7. **A fork pins what is being looked at**: the child may look at it as long as it likes, and cannot say when it has
   done. A block with a view is then never used again, as long as there is the worker that looks at it, or that it
   belongs to. A child allocates nothing in the arenas of its parent.
"""

from __future__ import annotations

import os
from _thread import RLock
from _weakref import ref
from collections import deque
from time import monotonic

from procession._native import native
from procession.transport.spans import GRAIN, Spans, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from procession.transport.shmem import Memory

MOST = 1 << 36
"""Bytes that an arena has at most: so many words have the tables."""
_TABLE = MOST // GRAIN * 8
DATA_AT = 2 * _TABLE
MOST_NOTES = 32
"""Blocks that have been let go of, that are looked at in one allocation: thousands may wait for the other side."""
IDLE = 5.0
"""Seconds without use, after which memory is given back."""

live: dict[int, _Gone] = {}
"""The notes of views that somebody has, by their id. What is not here any more leaves none."""
_arenas: dict[int, Any] = {}  # arenas of this process, held weakly
_hooked = False


class Segment:
    """A memfd of the layout above, which is mapped when it is first needed. Not the owner of the descriptor."""

    def __init__(self, fd: int) -> None:
        stat = os.fstat(fd)
        self.fd = fd
        self.key: int = stat.st_ino
        """The same in every process that has it, and no other's at any time."""
        self.size: int = stat.st_size
        self._memory: Memory | None = None
        self._tables: list[Any] = []

    @property
    def memory(self) -> Memory:
        """Raises OSError when it cannot be mapped."""
        if self._memory is None:
            from procession.transport.shmem import Memory

            memory = Memory(self.fd, self.size)
            self._tables = [memory.bytes[at : at + _TABLE].cast("q") for at in (0, _TABLE)]
            self._memory = memory
        return self._memory

    def table(self, number: int) -> Any:
        """The words of table 1 or 2."""
        assert self.memory is not None
        return self._tables[number - 1]


class _Gone(ref):  # type: ignore[type-arg]
    """The note that a view leaves when it goes: the word in which that is counted, and how."""

    __slots__ = ("slot", "step", "words")
    slot: int
    step: int
    words: Any


class Inlet:
    """How views come from the other side's arena, and how their end is told.

    Args:
        segment: the other side's arena.
        counts: the segment whose `table` counts the views.
        comes, goes: what is added to the word of a block when a view of it comes, and when it goes.
        notes: where the ends of views are noted; read by `settle`, in the thread that makes the views.
    """

    def __init__(
        self, segment: Segment, counts: Segment, table: int, comes: int, goes: int, notes: deque[_Gone]
    ) -> None:
        self.segment = segment
        self._counts, self._table = counts, table
        self._comes, self._goes = comes, goes
        self._notes = notes

    def beside(self, segment: Segment) -> Inlet:
        """One to another arena, whose views are counted in the same table."""
        return Inlet(segment, self._counts, self._table, self._comes, self._goes, self._notes)

    def view(self, offset: int, size: int, slot: int = -1) -> memoryview:
        """The block there, for as long as the view and all that is made of it live.

        slot: the word in which it is counted; -1: that of the block's place.
        """
        watch_forks()
        words, slot = self._counts.table(self._table), slot_of(offset) if slot < 0 else slot
        exporter = self.segment.memory.exporter(offset, size)
        gone = _Gone(exporter, self._notes.append)
        gone.slot, gone.step, gone.words = slot, self._goes, words
        live[id(gone)] = gone
        words[slot] += self._comes
        settle(self._notes)
        return memoryview(exporter).cast("B")

    def bytes(self, offset: int, size: int) -> memoryview:
        """The same, for now only: nothing is counted."""
        return self.segment.memory.bytes[offset : offset + size]

    def has_read(self, offset: int) -> None:
        """One that was published, and was looked at by `bytes` only, is not needed any more."""
        if not self._comes:
            self._counts.table(self._table)[slot_of(offset)] += self._goes

    def close(self) -> None:
        """The other side is gone: nobody is to be told anything. Its memory goes with the last view."""
        if self._counts._memory is None:
            return
        words = self._counts.table(self._table)
        for name, gone in list(live.items()):
            if gone.words is words:
                live.pop(name, None)

    def shared(self, offset: int) -> int:
        """The number of the object that is shared there; 0 for none."""
        return self.words(slot_of(offset))

    def words(self, slot: int) -> int:
        """What the other side's table 1 says there."""
        return int(self.segment.table(1)[slot])


def settle(notes: deque[_Gone]) -> None:
    """Count the views that have gone."""
    while notes:
        gone = notes.popleft()
        live.pop(id(gone), None)
        if gone.slot >= 0:
            gone.words[gone.slot] += gone.step


def slot_of(offset: int) -> int:
    """The place of a block in the tables."""
    return (offset - DATA_AT) // GRAIN


class Block:
    """A piece of this process's arena; free again some time after this object has gone."""

    __slots__ = ("__weakref__", "arena", "exported", "offset", "size")

    def __init__(self, arena: Arena, offset: int, size: int) -> None:
        self.arena = arena
        self.offset = offset
        self.size = size
        self.exported = False  # an array of the program's lies in it


class _Span(ref):  # type: ignore[type-arg]
    """What the arena knows of a block; the note of its end."""

    __slots__ = ("offset", "shared", "size")
    offset: int  # without the tables
    size: int
    shared: bool


class Arena(Segment):
    """The arena of this process, or one of them; see the module. Any thread may use it."""

    def __init__(self, fd: int) -> None:
        Segment.__init__(self, fd)
        self.pid = os.getpid()
        self.spans = Spans(self.size - DATA_AT)
        self.backed = bytearray()  # by grains: has it memory?
        self.restless = False  # there is memory that could be given back some time
        self.exports = 0  # blocks that were ever lent to the program as arrays
        self.used_at = 0.0
        self._pinned: list[Block] = []
        self._freed: deque[_Span] = deque()
        self._lock = RLock()
        watch_forks()
        key, arenas = id(self), _arenas
        arenas[key] = ref(self, lambda _: arenas.pop(key, None))

    def settled(self, slot: int) -> bool:
        """Nobody on the other side looks at the block there (law 2)."""
        raise NotImplementedError

    def ship(self, data: bytes, spec: Any, blocks: list[Block], keep: list[Any]) -> bytes:
        """`data` speaks of these blocks, as `spec` says, and is going to be sent; `keep`: what else it needs."""
        raise NotImplementedError

    def allocate(self, size: int) -> Block | None:
        """A block of at least so many bytes, or None: take another way."""
        lock = self._lock
        if os.getpid() != self.pid or lock._is_owned():  # type: ignore[attr-defined]  # not in typeshed
            return None
        with lock:
            return self._allocate(whole(size))

    def _allocate(self, size: int) -> Block | None:
        if not self.backed:
            from procession.transport.budget import narrowed

            self.spans.limit = narrowed(self.spans.limit)
            self.backed = bytearray(self.spans.limit // GRAIN)
        self._collect(MOST_NOTES)
        offset = self.spans.find(size)
        if offset is None:
            self._collect(None)
            offset = self.spans.find(size)
        if offset is None:
            return None
        self.used_at = monotonic()
        block = Block(self, DATA_AT + offset, size)
        span = _Span(block, self._freed.append)
        span.shared = False
        span.size = size
        span.offset = offset  # the last: it is whole
        self.spans.add(span)
        try:
            self._back(offset, size)
        except (OSError, ImportError):
            return None  # the block goes, and is free again
        return block

    def _back(self, offset: int, size: int) -> None:
        memory, at, end = self.memory, offset // GRAIN, (offset + size) // GRAIN
        backed = self.backed
        while (at := backed.find(0, at, end)) >= 0:
            until = backed.find(1, at, end)
            until = end if until < 0 else until
            self.restless = True
            memory.back(DATA_AT + at * GRAIN, (until - at) * GRAIN)
            backed[at:until] = b"\1" * (until - at)
            at = until

    def _collect(self, most: int | None) -> None:
        """Free what can be freed, of so many at most. A note is thrown away only when all of it has been done."""
        freed = self._freed
        for _ in range(len(freed) if most is None else min(most, len(freed))):
            span = freed[0]
            if not hasattr(span, "offset"):  # whoever made it was interrupted
                freed.popleft()
                continue
            slot = span.offset // GRAIN
            if span.shared:
                self.table(1)[slot] = 0
            if self.settled(slot):
                self.spans.remove(span)
                freed.popleft()
            else:
                freed.rotate(-1)

    def mind(self) -> None:
        """To be called now and then while `restless`: gives memory back that has not been used for IDLE seconds."""
        lock = self._lock
        if os.getpid() != self.pid or lock._is_owned() or not lock.acquire(blocking=False):  # type: ignore[attr-defined]
            return  # whoever is just allocating may take a while, and sees to what has been let go of
        try:
            self._collect(MOST_NOTES)
            if monotonic() - self.used_at >= IDLE:
                self._collect(None)
                self._trim()
        finally:
            lock.release()

    def _trim(self) -> None:
        backed = self.backed
        for begin, end in self.spans.gaps():
            at, last = begin // GRAIN, end // GRAIN
            while (at := backed.find(1, at, last)) >= 0:
                until = backed.find(0, at, last)
                until = last if until < 0 else until
                backed[at:until] = bytes(until - at)
                self.memory.give_back(DATA_AT + at * GRAIN, (until - at) * GRAIN)
                at = until
        self.restless = 1 in backed

    # -- arrays of the program ---------------------------------------------------------------------------------------

    def lend(self, size: int) -> memoryview | None:
        """A block for the program's own use, for as long as the view and all that is made of it live."""
        block = self.allocate(size)
        if block is None:
            return None
        exporter = self.memory.exporter(block.offset, size)
        exporter.block = block
        block.exported = True
        self.exports += 1
        return memoryview(exporter).cast("B")

    def lent(self, address: int, size: int) -> tuple[Block, int] | None:
        """The lent block in which these bytes of this process's memory lie, and where in it."""
        if self._memory is None:
            return None
        offset = self._memory.offset_of(address)
        with self._lock:
            span: Any = self.spans.at(offset - DATA_AT)
            block: Block | None = None if span is None else span()
        if block is None or not block.exported or offset + size > block.offset + block.size:
            return None
        return block, offset - block.offset

    def mark_shared(self, block: Block, number: int) -> None:
        """An object that is shared begins with this block: until it goes, workers may keep what they made of it."""
        with self._lock:
            span: Any = self.spans.at(block.offset - DATA_AT)
            self.table(1)[slot_of(block.offset)] = number
            span.shared = True

    def pin(self) -> None:
        """Law 7."""
        for span in list(self.spans.taken):
            block = span()  # type: ignore[operator]
            if block is not None and block.exported:
                self._pinned.append(block)


def watch_forks() -> None:
    """Law 7 will be kept."""
    global _hooked
    if not _hooked and hasattr(os, "register_at_fork"):
        _hooked = True
        os.register_at_fork(before=_pin)


def _pin() -> None:
    for gone in list(live.values()):
        gone.slot = -1
    if native is not None:
        native.pin_views()
    for each in list(_arenas.values()):
        arena = each()
        if arena is not None:
            arena.pin()


__all__ = ["DATA_AT", "IDLE", "MOST", "Arena", "Block", "Inlet", "Segment", "live", "settle", "slot_of", "watch_forks"]
