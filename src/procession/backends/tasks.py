"""The two kinds of task: a call, which is its own Future, and a chunk of a run.

Future: a real `concurrent.futures.Future`, made lazily: its Condition exists only once somebody waits the slow way
(stdlib `wait`, `as_completed`, a callback, a blocked `result()`). One lock for all guards *creating* a Condition and
*resolving*, so that a waiter either sees the outcome or is seen by who resolves:

    waiter: under LOCK make the Condition; take it; look at the state; register; sleep
    engine: under LOCK look for a Condition; if there is none: set the outcome and the state
            else, without LOCK: take it; set the state; notify

If the engine's locked part comes first, the waiter sees the outcome. If the waiter's comes first, the engine finds the
Condition, and changes the state only while it holds it: a waiter that looks and registers while it holds it is told of
just what it saw undone. (The stdlib's `wait` counts; told of one that it saw done, it would return too early.)

Signals that raise, in the thread of a waiter: a Condition breaks when struck between its release and its wait, and
stays locked for ever when struck in `__enter__`. So `result()` and `exception()` hold no lock while they wait, but
register a gate of their own; and who resolves waits for a Condition's lock for some seconds and no longer (the stdlib's
`wait` and `as_completed` take it, and may have been struck).

LOCK is reentrant: the collector may run foreign code (a `__del__` that cancels) wherever an object is made.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING
from itertools import groupby
from operator import attrgetter
from time import monotonic

from procession._native import native
from procession.backends.condition import SETTLED, FutureCondition
from procession.backends.done_callbacks import run_callbacks as run_callbacks
from procession.backends.done_callbacks import say_of_callback as say_of_callback
from procession.backends.gate import Gate
from procession.backends.roles import Attempts as Attempts
from procession.backends.storage import Storage, settle
from procession.transport.aside import private

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any, TypeVar, cast

    from procession.backends.base import Function, Run
    from procession.core.policy import Profile
    from procession.core.rules import Rules
    from procession.core.task import Home, Task
    from procession.happenings import Note

    T = TypeVar("T")
else:
    from procession.lean import T, cast

LOCK = threading.RLock()
if native is not None:
    native.set_lock(LOCK)
LOOK_AGAIN = 1.0
"""Seconds after which a waiter looks by itself: whoever was to wake it may have been struck before that."""
_SINK = attrgetter("sink")


def _renew_lock() -> None:
    global LOCK
    LOCK = threading.RLock()
    if native is not None:
        native.set_lock(LOCK)


os.register_at_fork(after_in_child=_renew_lock)  # whoever held it does not exist in the child


class CallFuture(Storage, Future[T]):
    """One submitted call and its outcome. Made by a pool; never by a user."""

    _done_callbacks: list[Callable[[Future[T]], object]]
    _gates: list[Gate]
    _lane_number = 0
    size = 1
    grain = 0
    group: object = None
    home: Home | None = None
    tries = 0
    due: int | None = None
    final = False
    asked = False  # (threads, inline) it is to end by itself
    note: Note | None = None  # what was found when its arguments were encoded, if somebody wants to know
    attempts: Attempts | None = None

    def __init__(self, function: Function, body: Any) -> None:  # the base's makes a Condition: not called
        self.function = function
        self.body: Any = body

    def obey(self, rules: Rules) -> None:
        """These hold for it. Before it is posted."""
        self.rules = rules
        if rules.retries:
            self.body = private(self.body)

    # -- what the core asks of a task --------------------------------------------------------------------------

    @property
    def profile(self) -> Profile:
        """See `core.task.Task`."""
        return self.function.profile

    def claim(self, wid: int) -> bool:
        """See `core.task.Task`; the caller holds LOCK. With a worker already, it is in the line twice (`handover`)."""
        if (self._state is PENDING or self._state is RUNNING) and not self._doomed and self.wid is None:
            self.wid = wid
            return True
        return False

    def release(self) -> None:
        """See `core.task.Task`."""
        self.wid = None

    def again(self, index: int) -> Task:
        """See `core.task.Task`."""
        self.size, self.wid, self.started, self.due, self.asked = 1, None, False, None, False
        self.tries += 1
        return self

    def split(self, count: int) -> Task:
        """A call has one item."""
        raise AssertionError(f"a call cannot be cut at {count}")

    def advance(self, count: int) -> int:
        """See `core.task.Task`."""
        self.size -= count
        return 0

    def mark_running(self) -> None:
        """The engine believes that it has been started."""
        with LOCK:
            if self._state is PENDING:
                self._state = RUNNING
                self.started = True

    # -- a Future whose Condition is made when it is needed ----------------------------------------------------------

    def _made_condition(self) -> Any:
        cond = self._cond
        if cond is not None:
            return cond
        if self.done():
            return SETTLED
        with LOCK:
            if self._cond is None:
                if self.done():
                    return SETTLED
                self._waiters = []
                self._done_callbacks = []
                self._gates = []
                self._cond = FutureCondition()
                if self._lane is not None:
                    self._lane.cool()
            return self._cond

    if native is None:  # else the storage makes it
        _condition = property(_made_condition)  # pyright: ignore[reportAssignmentType]  # a variable in the base

    def done(self) -> bool:
        """True when it has an outcome or was cancelled."""
        return self._state is FINISHED or self._state is CANCELLED_AND_NOTIFIED

    def cancelled(self) -> bool:
        """True when it was cancelled."""
        return self._state is CANCELLED_AND_NOTIFIED

    def running(self) -> bool:
        """True while it is being run."""
        return self._state is RUNNING

    def result(self, timeout: float | None = None) -> T:
        """As `concurrent.futures.Future.result`."""
        if self._lane is not None and timeout is None and self._state is not FINISHED:
            self._lane.wait(self)
        if self._state is FINISHED and self._exception is None:
            if self._lane is not None:
                self._lane.answered(self)
            return cast(T, self._result)
        error = self.exception(timeout)
        if self._lane is not None:
            self._lane.answered(self)
        if error is None:
            return cast(T, self._result)
        try:
            raise error
        finally:
            del self, error  # no cycle through the traceback

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As `concurrent.futures.Future.exception`."""
        if not self.done():
            self._sleep(timeout)
        if self._state is CANCELLED_AND_NOTIFIED:
            raise CancelledError
        return self._exception

    def await_end(self) -> None:
        """Until it is done, however."""
        if not self.done():
            self._sleep(None)

    def _sleep(self, timeout: float | None) -> None:
        """Until it is done. Raises TimeoutError."""
        deadline = None if timeout is None else monotonic() + timeout
        if self._condition is SETTLED:  # else the engine knows now that somebody waits
            return
        gate = Gate()
        try:
            self._gates.append(gate)
            while not self.done():
                patience = LOOK_AGAIN
                if deadline is not None:
                    patience = min(patience, deadline - monotonic())
                    if patience <= 0:
                        raise TimeoutError
                gate.wait(patience)
        finally:
            if gate in self._gates:
                self._gates.remove(gate)

    def cancel(self) -> bool:
        """True when it is cancelled. O(1) for what waits.

        Of what runs a worker process is killed, and replaced; it is gone when this returns. A thread cannot be killed:
        False, but `procession.cancelled()` is True in the task from now on. False, too, when it is done.
        """
        return self._cancel(True)

    def cancel_unstarted(self) -> bool:
        """`cancel`, that leaves what runs alone: False then."""
        return self._cancel(False)

    def _cancel(self, kill: bool) -> bool:
        with LOCK:
            if self._doomed:
                return True
            if self.done() or (self._state is not PENDING and not kill):
                return self._state is CANCELLED_AND_NOTIFIED
            waiting = self.wid is None and self._state is PENDING
            watched = waiting and self.doom()
        if not waiting:
            owner = self._owner
            return owner is not None and owner.cancel_leased(self, kill)
        if watched and _tell([self], CANCELLED_AND_NOTIFIED):
            run_callbacks(self)
        return True

    def doom(self) -> bool:
        """It will never run; the caller holds LOCK. True: it is done only when `_tell` has told who waits."""
        self._doomed = True
        self.body = None
        if self._cond is None:
            self._state = CANCELLED_AND_NOTIFIED
        return self._cond is not None or self.sink is not None


if native is not None:
    CallFuture.result = native.Quick("result", CallFuture.result)  # type: ignore[method-assign]


class ChunkTask:
    """Consecutive items of a run, or what is left of them."""

    __slots__ = (
        *("attempts", "bodies", "born", "due", "final", "grain", "home", "low", "run", "size", "start", "tries", "wid"),
    )

    started: bool | None = None

    def __init__(self, run: Run, start: int, bodies: Sequence[Any], low: int, size: int, grain: int = 0) -> None:
        self.run = run
        self.start = start  # index in the stream of its first unanswered item
        self.bodies = bodies
        self.low = low  # that item's place in `bodies`
        self.size = size
        self.grain = grain
        self.wid: int | None = None
        self.tries = 0
        self.due: int | None = None
        self.final = False
        self.attempts: Attempts | None = None
        self.home: Home | None = None
        self.born = 0  # when it was handed over, in ns, if somebody wants to know

    @property
    def profile(self) -> Profile:
        """See `core.task.Task`."""
        return self.run.function.profile

    @property
    def rules(self) -> Rules | None:
        """See `core.task.Task`."""
        return self.run.rules

    @property
    def group(self) -> object:
        """A run is cancelled as a whole."""
        return self.run

    def claim(self, wid: int) -> bool:
        """See `core.task.Task`."""
        self.wid = wid
        return not self.run.cancelled

    def release(self) -> None:
        """See `core.task.Task`."""
        self.wid = None

    def split(self, count: int) -> ChunkTask:
        """See `core.task.Task`."""
        rest = ChunkTask(self.run, self.start + count, self.bodies, self.low + count, self.size - count, self.grain)
        rest.due, rest.final, rest.born = self.due, self.final, self.born
        self.size = count
        return rest

    def again(self, index: int) -> ChunkTask:
        """See `core.task.Task`."""
        item = ChunkTask(self.run, index, self.bodies, self.low - self.start + index, 1, self.grain)
        item.tries, item.attempts, item.home, item.born = self.tries + 1, self.attempts, self.home, self.born
        return item

    def advance(self, count: int) -> int:
        """See `core.task.Task`."""
        first = self.start
        self.start += count
        self.low += count
        self.size -= count
        return first


def resolve(futures: Iterable[Task], outcomes: list[Any]) -> list[CallFuture[Any]]:
    """Give each call its outcome; returns those with callbacks to be run (`run_callbacks`), elsewhere."""
    with LOCK:
        watched: list[CallFuture[Any]] = settle(futures, outcomes)
    return _tell(watched, FINISHED)


def cancel_now(futures: Iterable[Task]) -> list[CallFuture[Any]]:
    """These calls will never run, whatever they were told before; returns those with callbacks to be run."""
    watched: list[CallFuture[Any]] = []
    with LOCK:
        for future in cast("Iterable[CallFuture[Any]]", futures):
            if not future.done() and future.wid is None:  # in a worker's hands: posted twice by an interrupted caller
                future.body = None
                if future.doom():
                    watched.append(future)
    return _tell(watched, CANCELLED_AND_NOTIFIED)


def _tell(watched: list[CallFuture[Any]], state: str) -> list[CallFuture[Any]]:
    """Finish those that have a Condition, and tell sinks; returns those with callbacks to be run."""
    for future in watched if native is None else native.finish(watched, state):
        finish(future, state)
    for sink, settled in groupby([each for each in watched if each.sink is not None], key=_SINK):
        sink.settled(list(settled))
    return [future for future in watched if future._cond is not None and future._done_callbacks]


def finish(future: CallFuture[Any], state: str) -> None:
    """Set its final state and wake who waits for it: one step for whoever holds its Condition.

    The stdlib's `wait` counts, while it holds the Conditions of all its futures, how many are not done, and expects to
    be told of just as many.
    """
    cond = future._cond
    if cond is None:
        future._state = state
        return
    mine = cond.seize()
    try:
        future._state = state
        for waiter in list(future._waiters):
            if state is CANCELLED_AND_NOTIFIED:
                waiter.add_cancelled(future)
            elif future._exception is not None:
                waiter.add_exception(future)
            else:
                waiter.add_result(future)
        if mine:
            cond.notify_all()
    finally:
        if mine:
            cond.release()
    for gate in list(future._gates):
        gate.open()
