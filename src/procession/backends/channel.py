"""The parent's end of one worker: its pipes, its tokens, its page, and what it has been told.

Descriptors in the parent, per worker: the write end of the task pipe, the read end of the result pipe, both ends of
the token pipe, the page (which is mapped, too), the arena of its results, and the launcher's pidfd.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from procession.backends import forksafe
from procession.backends.tasks import CallFuture, ChunkTask
from procession.backends.timed import Timed
from procession.core.task import Task
from procession.transport import frames, page
from procession.transport.codec import Codec
from procession.types import Raised
from procession.worker.boot import WorkerFiles

if TYPE_CHECKING:
    from procession.backends.written import Written

F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)
RESULT_PIPE = 1 << 18


class Hears(Protocol):
    """Who is told what a worker says, in the order in which it said it."""

    def ready(self, wid: int) -> None:
        """Its initializer and setup are through."""

    def start_failed(self, wid: int, error: BaseException) -> None:
        """Its initializer or its setup raised."""

    def calls_done(self, wid: int, outcomes: list[Any]) -> None:
        """Its oldest calls are answered."""

    def items_done(self, wid: int, outcomes: list[Any]) -> None:
        """The oldest items of its chunk are answered."""

    def lease_ended(self, wid: int, items: int, busy_ns: int) -> None:
        """It left a lease behind."""

    def leases_ended(self, wid: int, leases: int, items: int, busy_ns: int) -> None:
        """It left so many leases behind, of callers it is lent to."""

    def show_output(self) -> None:
        """Something was printed, and outcomes wait until it is shown."""

    def teardown_failed(self, wid: int, error: BaseException) -> None:
        """Its teardown raised."""

    def captures(self, wid: int) -> None:
        """What its captured tasks write is seen from here."""

    def yielded(self, number: int, place: int, value: Any) -> None:
        """A generator has yielded this, as its `place`-th value; or it is a `Raised`, since it cannot be rebuilt."""

    @property
    def beside(self) -> tuple[int, int]:
        """What all workers are given: the write end for notes, and the table of levels; -1 for what there is not."""
        ...

    @property
    def streaming(self) -> bool:
        """There are generators: what a turn of theirs has yielded, by the pipe, is told before the turn's outcome."""
        ...


class Channel(Timed):
    """Everything that joins the parent to worker `wid`."""

    def __init__(self, wid: int, codec: Codec, hears: Hears) -> None:
        self.wid = wid
        self._codec = codec
        self._hears = hears
        self.known: set[int] = set()  # functions that this worker has been sent
        self._generation = 0  # of the page: the last batch that came through the pipe whole
        self.written: Written | None = None  # by captured tasks, once there was one
        self._peeked = 0  # outcomes of the next one that were read from the page already
        opened: list[int] = []
        try:
            tasks_read, self.tasks_fd = _pipe(opened)
            self.results_fd, results_write = _pipe(opened)
            page_fd = forksafe.adopt(page.create)
            opened.append(page_fd)
            self._page_fd = page_fd
            claims = self.share(opened)
            self._arena = None if codec.supply is None else codec.supply.open()
        except BaseException:
            for fd in opened:
                forksafe.close(fd)
            raise
        shared = () if self._arena is None else self._arena.files
        self.child = WorkerFiles(tasks_read, results_write, claims, page_fd, *hears.beside, *shared)
        for fd in (self.tasks_fd, self.results_fd):
            os.set_blocking(fd, False)
        widen(self.results_fd, RESULT_PIPE)
        self._writer = frames.FrameWriter(self.tasks_fd)
        self._reader = frames.FrameReader(self.results_fd)
        self.begin_times()

    def share(self, opened: list[int]) -> int:
        """Make what says who owns which item, and what keeps outcomes; returns its descriptor for the worker."""
        self.tokens_read, self.tokens_write = _pipe(opened)
        for fd in (self.tokens_read, self.tokens_write):
            os.set_blocking(fd, False)
        self.page = page.OutcomePage(self._page_fd)
        return self.tokens_read

    def close_child_ends(self) -> None:
        """The launcher has passed them on."""
        for fd in (self.child.tasks, self.child.results):
            forksafe.close(fd)

    def close(self) -> None:
        """The worker is gone and everything it left has been read."""
        self.close_shared()
        for fd in (self.tasks_fd, self.results_fd, self._page_fd):
            forksafe.close(fd)
        self.close_sheet()
        if self._arena is not None:
            self._arena.close()
        if self.written is not None:
            self.written.seal()
            self.written.close()

    def close_shared(self) -> None:
        """Give back what `share` made."""
        for fd in (self.tokens_read, self.tokens_write):
            forksafe.close(fd)
        self.page.close()

    # -- to the worker -------------------------------------------------------------------------------------------

    def send(self, number: int, tasks: Iterable[Task], tokens: int) -> bool:
        """Issue a lease: tokens first, then definitions the worker lacks, then the tasks. False: some data waits."""
        mark = number & 0xFF
        os.write(self.tokens_write, bytes((mark,)) * tokens)  # never broken: its reading end is open here as well
        groups: list[tuple[int, Sequence[Any], int]] = []
        calls: list[Any] = []
        calling = -1
        out: list[bytes] = []
        for task in tasks:
            function: Any  # what our codec made: it has an id, a payload and with_state
            if isinstance(task, CallFuture):
                function = task.function
                entry = function.id
                if entry == calling:
                    calls.append(task.body)
                    continue
                calls, calling = [task.body], entry
                groups.append((entry, calls, frames.CALLS))
            else:
                assert isinstance(task, ChunkTask)
                function = task.run.function
                entry, calling = function.id, -1
                whole = task.size == len(task.bodies)
                bodies = task.bodies if whole else task.bodies[task.low : task.low + task.size]
                groups.append((entry, bodies, frames.WHOLE_ITEMS if task.run.whole else frames.ITEMS))
            if entry and entry not in self.known:
                self.known.add(entry)
                out.append(frames.frame(frames.DEFINE, definition(function)))
        out.append(frames.frame(frames.LEASE, frames.LEASE_HEAD.pack(mark) + pickle.dumps(groups, 5)))
        return self._writer.write(out[0] if len(out) == 1 else b"".join(out))

    def forget(self, entries: Iterable[int]) -> bool:
        """Functions that nobody can call any more."""
        gone = [entry for entry in entries if entry in self.known]
        if not gone:
            return True
        self.known.difference_update(gone)
        return self._writer.write(frames.frame(frames.FORGET, b"".join(map(frames.ENTRY_ID.pack, gone))))

    def stop(self) -> bool:
        """Teardown, then exit."""
        return self._writer.write(frames.frame(frames.STOP))

    def flush(self) -> bool:
        """The task pipe has room; True when nothing waits any more."""
        return self._writer.flush()

    def withdraw(self) -> int:
        """Read back the tokens that the worker has not taken; returns how many."""
        count = 0
        while True:
            try:
                got = len(os.read(self.tokens_read, 1 << 16))
            except BlockingIOError:
                return count
            if not got:
                return count
            count += got

    # -- from the worker -----------------------------------------------------------------------------------------

    def read(self) -> list[tuple[int, Any]]:
        """The frames that one read brings, for `take`."""
        try:
            return list(self._reader.read())
        except BlockingIOError:
            return []

    def take(self, received: list[tuple[int, Any]]) -> None:
        """Tell what these frames say."""
        for kind, payload in received:
            self.tell(kind, payload)

    def drain(self) -> None:
        """Take all there is in the pipe, then what is in the page only."""
        self._reader.drain(self.tell)
        self.peek()

    def catch_up(self) -> bool:
        """Take all that the worker has published, wherever it lies, while it goes on; whether anything came.

        It may publish in the page, and send that through the pipe, between a look at the pipe and one at the page: then
        the page shows a later generation than the one that is expected, and the pipe is looked at again.
        """
        before = self._reader.received
        while True:
            self.drain()
            if not self.behind:
                return self._reader.received > before

    def drain_dead(self) -> None:
        """`drain`, for the last time: its worker is gone, and whatever it left whole counts."""
        self.drain()

    def ask(self) -> None:
        """Let the item that the worker is at know that it is to end."""
        self.page.ask()

    def stacks(self) -> str:
        """What faulthandler has written in the worker since the last `rewind`."""
        return page.stacks(self._page_fd)

    @property
    def page_fd(self) -> int:
        """The page, and what faulthandler writes behind it."""
        return self._page_fd

    def rewind(self) -> None:
        """Forget what it has written."""
        page.rewind(self._page_fd)

    @property
    def ended(self) -> bool:
        """Nobody can write to the parent through this channel any more."""
        return self._reader.ended

    @property
    def behind(self) -> bool:
        """The worker is at a later lease than what was taken last: the pipe has what was published before."""
        return self.page.words[page.GENERATION] > self._generation + 1 and not self.ended

    def peek(self, found: Callable[[], object] | None = None) -> None:
        """Take the outcomes that are in the page and not yet in the pipe; `found` is called before they are told."""
        mode, packed = self.page.outcomes(self._generation + 1, self._peeked)
        if packed:
            if found is not None:
                found()
            self._show()
            behind = self._reader.sift(frames.YIELD, self.tell) if self._hears.streaming else []
            self._peeked += len(packed)
            self.hand_over(mode, [self.unpack(*each) for each in packed])
            for each in behind:
                self.tell(*each)

    def tell(self, kind: int, payload: Any) -> None:
        """Tell what this frame says."""
        if kind == frames.OUTCOMES or kind == frames.PACKED_OUTCOMES:
            self._outcomes(kind, payload)
        elif kind == frames.YIELD:
            number, place, how = frames.YIELD_HEAD.unpack_from(payload)
            self._hears.yielded(number, place, self.unpack(how, payload[frames.YIELD_HEAD.size :]))
        elif kind == frames.LEASE_END:
            self._hears.lease_ended(self.wid, *frames.LEASE_TALLY.unpack(payload))
        elif kind == frames.READY:
            self.pid = frames.pid_of(payload)
            self._hears.ready(self.wid)
        elif kind == frames.START_FAILED:
            self._hears.start_failed(self.wid, self._codec.decode_error(payload))
        elif kind == frames.WRITTEN:
            self._see_written(*frames.WRITTEN_AT.unpack(payload))
        elif kind == frames.TEARDOWN_FAILED:
            self._hears.teardown_failed(self.wid, self._codec.decode_error(payload))

    def _see_written(self, *where: int) -> None:
        from procession.backends.written import Written  # only who captures pays

        before = self.written
        try:
            self.written = Written(*where)
        except OSError:
            return  # it is gone already; or there are no descriptors, or this process may not look at that one
        if before is not None:
            before.close()
        self._hears.captures(self.wid)

    def _outcomes(self, kind: int, payload: Any) -> None:
        self._generation, mode = frames.OUTCOMES_HEAD.unpack_from(payload)
        outcomes = pickle.loads(memoryview(payload)[frames.OUTCOMES_HEAD.size :])
        if self._peeked:
            outcomes, self._peeked = outcomes[self._peeked :], 0
        if kind == frames.PACKED_OUTCOMES:
            outcomes = [self.unpack(*each) if type(each) is tuple else each for each in outcomes]
        if outcomes:
            self._show()
            self.hand_over(mode, outcomes)

    def _show(self) -> None:
        """What was printed or noted before an outcome is shown before that is told, or a caller takes it (lane.py)."""
        self.page.show_first(self._hears.show_output)

    def hand_over(self, mode: int, outcomes: list[Any]) -> None:
        """Tell of outcomes of this kind."""
        if mode == frames.CALLS:
            self._hears.calls_done(self.wid, outcomes)
        else:
            self._hears.items_done(self.wid, outcomes)

    def unpack(self, kind: int, data: Any) -> Any:
        """An outcome out of what stands for it."""
        if kind == page.INTEGER:
            return data
        if kind == page.MARSHALLED:
            return marshal.loads(data)
        if kind == page.ERROR:
            return Raised(self._codec.decode_error(data))
        if self._codec.keeps and (sealed := self.seal(bytes(data))) is not None:
            return sealed
        try:
            return self._codec.decode_result(data)
        except BaseException as error:
            return Raised(error)

    def seal(self, data: bytes) -> Any:
        """A result as it came, to be passed on (transport/sealed.py); None: it has to be decoded here and now."""
        from procession.transport.sealed import seal

        arena = self._arena
        lender, lending = (None, None) if arena is None else (arena.lender, arena.lending)
        return seal(data, self._codec.decode_result, lender, lending)


def widen(fd: int, size: int) -> None:
    """Have this pipe hold so many bytes; not if the user's share of pipe memory is used up: the default does."""
    try:
        fcntl.fcntl(fd, F_SETPIPE_SZ, size)
    except OSError:
        pass


def _pipe(opened: list[int]) -> tuple[int, int]:
    ends = forksafe.pipe()
    opened.extend(ends)
    return ends


def definition(function: Any) -> bytes:
    """What a worker is told of a function before the first call."""
    payload: bytes = function.payload
    return frames.ENTRY_ID.pack(function.id) + bytes((function.with_state,)) + payload


__all__ = ["Channel", "Hears", "definition", "widen"]
