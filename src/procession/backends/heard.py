"""What a worker is told and what it says, as the parent understands it; how that travels is the channel's business.

The parent's memory of one worker: which functions it has been sent, and how far its outcomes have been heard.
"""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from procession.backends.tasks import CallFuture, ChunkTask
from procession.core.task import Task
from procession.transport import frames, page
from procession.transport.codec import Codec
from procession.types import Raised

if TYPE_CHECKING:
    from procession.backends.written import Written


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


class Heard:
    """One worker's words, both ways."""

    pid: int

    def __init__(self, wid: int, codec: Codec, hears: Hears) -> None:
        self.wid = wid
        self._codec = codec
        self._hears = hears
        self.known: set[int] = set()  # functions that this worker has been sent
        self._generation = 0  # of the page: the last batch that came through the pipe whole
        self.written: Written | None = None  # by captured tasks, once there was one
        self._peeked = 0  # outcomes of the next one that were read from the page already
        self._arena: Any = None  # of its results

    # -- to the worker -------------------------------------------------------------------------------------------

    def lease_frames(self, mark: int, tasks: Iterable[Task]) -> list[bytes]:
        """The definitions that the worker lacks, then a lease whose tokens bear `mark`."""
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
        return out

    def forgetting(self, entries: Iterable[int]) -> bytes:
        """The frame that says that nobody can call these functions any more; empty if the worker knows none of them."""
        gone = [entry for entry in entries if entry in self.known]
        if not gone:
            return b""
        self.known.difference_update(gone)
        return frames.frame(frames.FORGET, b"".join(map(frames.ENTRY_ID.pack, gone)))

    # -- from the worker -----------------------------------------------------------------------------------------

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
        from procession.backends.written import instead  # only who captures pays

        before = self.written
        self.written = instead(before, *where)
        if self.written is not before:
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


def definition(function: Any) -> bytes:
    """What a worker is told of a function before the first call."""
    payload: bytes = function.payload
    return frames.ENTRY_ID.pack(function.id) + bytes((function.with_state,)) + payload


def definition_of(number: int, payload: bytes) -> bytes:
    """The whole frame, of anything that a pickle gives."""
    return frames.frame(frames.DEFINE, frames.ENTRY_ID.pack(number) + b"\0" + payload)


__all__ = ["Heard", "Hears", "definition", "definition_of"]
