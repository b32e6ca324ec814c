"""The parent's arenas: one for all that this process sends, and one for the results of each worker.

Laws
1. **One arena for what is sent, whatever the number of pools**: it is made when the first worker is started or the
   first large thing is sent, whichever comes first, and goes when the last pool, task and array that use it have gone.
   A worker is given it when it is started, and so can read what any pool of the process has put there.
2. An engine that has once worked without arena does so for ever: its workers were given none.
3. Descriptors are registered in forksafe. A forked child has none of its parent's arenas, and makes its own.
4. A worker's tables are looked into only while its channel is open: it leaves under the lock of the arena, and its
   descriptor is closed under that of the loans; whoever looks holds one of the two from before it has found the worker.
5. A worker's descriptor is closed, and its inlet goes, when its channel is closed and no loan of its blocks is out.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from functools import partial
from typing import Any

from procession.backends import forksafe
from procession.backends.unstruck import unstruck
from procession.transport import aside, budget
from procession.transport.arena import DATA_AT, IDLE, MOST, Arena, Block, Inlet, Segment, live, settle, watch_forks
from procession.transport.lending import FIRST, Lender, Lending
from procession.transport.spans import GRAIN

__all__ = ["IDLE", "Arenas", "WorkerArena", "process_arena"]


class ProcessArena(Arena):
    """What this process sends by. Its blocks are free when no worker looks at them."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.holders: dict[int, Segment] = {}
        self.lending = _lending(weakref.ref(self))

    def settled(self, slot: int) -> bool:
        """See `Arena`."""
        try:
            return not any(worker.table(2)[slot] for worker in list(self.holders.values()))
        except OSError:
            return False  # a worker's cannot be mapped now: later, or when it is gone

    def ship(self, data: bytes, spec: Any, blocks: list[Block], keep: list[Any]) -> bytes:
        """See `Arena`."""
        return aside.body(data, [*blocks, *keep], spec)

    def leave(self, worker: Segment) -> None:
        """It is gone, and holds nothing."""
        with self._lock:
            self.holders.pop(worker.key, None)


def _lending(arena: weakref.ref[ProcessArena]) -> Lending:
    """The loans of an arena that they do not keep."""

    def held(slot: int) -> bool:
        found = arena()
        return found is not None and not found.settled(slot)

    def homes() -> Any:
        found = arena()
        return bytearray(0) if found is None else found.table(1)

    return Lending(held, homes)


_current: weakref.ref[ProcessArena] | None = None


def process_arena() -> ProcessArena | None:
    """The one of this process; None where there can be none, or the user wants none."""
    arena = _found()
    if arena is None:
        made: list[ProcessArena | None] = []  # holds it until we do
        unstruck(lambda: made.append(_make()))
        arena = made[0]
    return arena


def _found() -> ProcessArena | None:
    arena = None if _current is None else _current()
    return arena if arena is not None and arena.pid == os.getpid() else None


def _make() -> ProcessArena | None:
    global _current
    with forksafe.lock:
        arena = _found()
        if arena is None:
            fd = _memfd("procession-arena", min(budget.total() // 2, FIRST * GRAIN))
            if fd < 0:
                return None
            arena = ProcessArena(fd)
            weakref.finalize(arena, forksafe.close, fd).atexit = False
            weakref.finalize(arena, arena.lending.abandon).atexit = False
            _current = weakref.ref(arena)
        return arena


def _memfd(name: str, limit: int) -> int:
    """A sparse file for an arena of so many bytes; -1 when there is none to be had."""
    limit = min(limit, MOST) // GRAIN * GRAIN
    if not limit or not hasattr(os, "memfd_create"):
        return -1
    try:
        fd = forksafe.adopt(lambda: os.memfd_create(name, os.MFD_CLOEXEC))
    except OSError:
        return -1
    try:
        os.ftruncate(fd, DATA_AT + limit)
    except OSError:  # RLIMIT_FSIZE
        forksafe.close(fd)
        return -1
    return fd


class WorkerArena:
    """What one worker was given."""

    def __init__(self, sends: ProcessArena, worker: Segment) -> None:
        self.files = sends.fd, worker.fd
        self.lending = sends.lending
        self.lender = _lender(worker)
        self._sends: ProcessArena | None = sends
        self._worker = worker

    def mapping(self) -> tuple[Any, int, int]:
        """What keeps the memory of its results mapped, where it is, and where blocks begin. Raises OSError."""
        kept, address = self._worker.memory.mapping()
        watch_forks()
        return kept, address, DATA_AT

    def close(self) -> None:
        """It is gone. Views of what it had published stay, and so does what is lent of it."""
        sends, self._sends = self._sends, None  # a traceback may keep this object
        if sends is not None:
            sends.leave(self._worker)
            self.lending.leave(self.lender)
            self.lending.collect()


def _lender(worker: Segment) -> Lender:
    def close() -> None:
        inlet = aside.inlets.pop(worker.key, None)
        if inlet is not None:
            inlet.close()
        forksafe.close(worker.fd)

    return Lender(worker.key, f"/proc/{os.getpid()}/fd/{worker.fd}", partial(worker.table, 1), close)


class Arenas:
    """What one engine has; a `Supply`. `arena` is for any thread, the rest for its driver's."""

    def __init__(self, workers: int) -> None:
        self._workers = max(workers, 1)
        self._notes: deque[Any] = deque()
        self._sends: ProcessArena | None = None
        self._off = False

    def arena(self) -> ProcessArena | None:
        """See `Supply`."""
        if self._sends is None and not self._off:
            sends = process_arena()
            if sends is None:
                self._off = True
            else:
                self._sends = sends
        return self._sends

    def open(self) -> WorkerArena | None:
        """For a worker that is to be started. Raises OSError when there is no descriptor left."""
        sends = self.arena()
        if sends is None:
            return None
        fd = _memfd("procession-results", budget.total() // 2 // self._workers)
        if fd < 0:
            fd = _memfd("procession-results", GRAIN)
            if fd < 0:
                raise OSError(24, "Too many open files")
        worker = Segment(fd)
        aside.inlets[worker.key] = Inlet(worker, worker, table=1, comes=0, goes=1, notes=self._notes)
        sends.holders[worker.key] = worker
        return WorkerArena(sends, worker)

    @property
    def restless(self) -> bool:
        """`mind` wants to be called, IDLE seconds from now at the latest."""
        sends = self._sends
        return bool(live) or (sends is not None and (sends.restless or sends.lending.out > 0))

    def mind(self) -> None:
        """Tell workers what has been let go of, and give memory back in time."""
        settle(self._notes)
        sends = self._sends
        if sends is not None:
            sends.lending.collect()
            if sends.restless:
                sends.mind()

    def close(self) -> None:
        """The engine has ended."""
        self._off = True
        self._sends = None
