"""How an engine's tasks are answered: by a worker, a command of the core, or the end of the pool; and how many were."""

from __future__ import annotations

from collections import deque
from concurrent.futures._base import FINISHED, CancelledError
from typing import TYPE_CHECKING, Any, cast

from procession import errors
from procession.backends import tasks
from procession.backends.base import AutoStats, EngineStats
from procession.backends.tasks import CallFuture, ChunkTask
from procession.core import commands
from procession.core.pool import PoolCore
from procession.core.worker import State
from procession.driver.callbacks import Callbacks
from procession.types import Raised

if TYPE_CHECKING:
    from collections.abc import Callable

    from procession.backends.launch import WorkerProcess

QUARANTINE = 100
"""Poison tasks that are remembered."""


class Answers:
    """Resolves calls, tells runs, posts callbacks, and counts."""

    def __init__(self, callbacks: Callbacks) -> None:
        self.callbacks = callbacks
        self.done = self.failed = self.died = self.timeouts = self.retries = 0
        self.quarantined: deque[BaseException] = deque(maxlen=QUARANTINE)

    def call_back(self, watched: list[CallFuture[Any]]) -> None:
        """These have callbacks to be run."""
        if watched:
            self.callbacks.post(watched)

    def answer(self, future: CallFuture[Any], outcome: Any) -> None:
        """See `threads.Host`. This is `tasks.resolve`, for one future that has no sink."""
        if outcome.__class__ is Raised and consents(future, outcome):
            self.end(future)
        elif future.done():
            return
        elif future.sink is not None:
            tasks.resolve((future,), [outcome])
        else:
            with tasks.LOCK:
                if outcome.__class__ is Raised:
                    future._exception = outcome.error
                else:
                    future._result = outcome
                watched = future._cond is not None
                if not watched:
                    future._state = FINISHED
            if watched:
                tasks.finish(future, FINISHED)
            if (gate := getattr(future, "gate", None)) is not None:  # see `driver.threads.Gates`
                gate.release()
        if future._cond is not None and future._done_callbacks:
            self.callbacks.post([future])

    def count_done(self, command: commands.Resolve) -> None:
        """These calls are answered."""
        self.done += len(command.outcomes)  # its worker has answered each already

    def answer_items(self, command: commands.ResolveItems) -> None:
        """A chunk's items have outcomes: told to its run."""
        assert isinstance(command.task, ChunkTask)
        self.done += len(command.outcomes)
        command.task.run.items_done(command.start, command.outcomes)

    def cancel(self, command: commands.Cancel | commands.Drop) -> None:
        """These will never run."""
        self.call_back(tasks.cancel_now([task for task in command.tasks if isinstance(task, CallFuture)]))
        for task in command.tasks:
            if isinstance(task, ChunkTask):
                task.run.items_dropped(task.start, task.size)

    def fail_all(self, command: commands.FailAll) -> None:
        """These will never run, and why."""
        for task in command.tasks:
            self.failed += task.size
            error = Raised(start_error(command.reason))
            if isinstance(task, ChunkTask):
                task.run.items_done(task.start, [error] * task.size)
            elif isinstance(task, CallFuture) and not task.done():
                self.answer(task, error)

    def end(self, future: CallFuture[Any]) -> None:
        """It was cancelled while it ran, and does not run any more."""
        future.release()
        self.call_back(tasks.cancel_now((future,)))

    def cancel_unleased(self, future: CallFuture[Any]) -> None:
        """It may have come back from its worker while the request to cancel it was on its way."""
        if not future.started:
            self.call_back(tasks.cancel_now((future,)))


def consents(task: CallFuture[Any], outcome: Raised) -> bool:
    """Somebody has cancelled it, it was asked to end, and that is what it did."""
    return task.final and isinstance(outcome.error, CancelledError)


def start_error(reason: object) -> BaseException:
    """A pool's workers cannot start: why, as an exception of its own for each who asks."""
    if isinstance(reason, BaseException):
        error = errors.WorkerStartError(f"workers cannot start: {type(reason).__name__}: {reason}")
        error.__cause__ = reason
        return error
    return errors.WorkerStartError(f"workers cannot start: {reason}")


def by_pid(core: PoolCore, process: Callable[[int], WorkerProcess]) -> dict[int, WorkerProcess]:
    """The processes of the workers that count, by their pids; `process` finds one by its worker's number."""
    found = {}
    for wid, worker in list(core.workers.items()):
        if worker.usable:
            try:
                each = process(wid)
            except KeyError:
                continue  # it is gone already
            found[cast(int, each.pid)] = each
    return found


def numbers(core: PoolCore, waiting: int, answers: Answers | None, direct: int = 0) -> EngineStats:
    """A pool now, read without a lock.

    The core has not been told yet of what is `waiting`, and of the calls that workers have taken `direct`ly.
    """
    states = [worker.state for worker in list(core.workers.values()) if worker.principal is None]
    return EngineStats(
        workers=core.width,
        idle=max(0, states.count(State.IDLE) - direct),
        busy=states.count(State.BUSY) + direct,
        starting=states.count(State.STARTING),
        pending=core.line.waiting + len(core.delayed) + waiting,
        in_flight=core.in_flight + direct,
        done=0 if answers is None else answers.done,
        failed=0 if answers is None else answers.failed,
        died=0 if answers is None else answers.died,
        timeouts=0 if answers is None else answers.timeouts,
        retries=0 if answers is None else answers.retries,
        abandoned=core.orphans,
        quarantined=() if answers is None else tuple(answers.quarantined),
        auto=None
        if (auto := core.auto) is None
        else AutoStats(auto.cpus, auto.cap, auto.lately.on_cpu, auto.lately.in_line, auto.why),
    )
