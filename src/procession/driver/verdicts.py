"""What tasks that were ended, or that run again, are told: errors with their stories.

Laws
1. An item has one final outcome. Those of earlier runs become notes of the last one, if that is an error.
2. No code of a user runs here, not even to say what he has called (see telling.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, NamedTuple

from procession import errors
from procession.backends import tasks
from procession.backends.tasks import Attempts, CallFuture, ChunkTask
from procession.core import commands
from procession.core.rules import Cause
from procession.core.task import Task
from procession.driver.answers import Answers
from procession.driver.telling import arguments
from procession.types import Raised

if TYPE_CHECKING:
    from procession.driver.callbacks import Callbacks

SECOND = 1_000_000_000


class Obituary(NamedTuple):
    """What is known of a worker that is gone."""

    pid: int | None
    exitcode: int | None
    stack: str = ""
    peak_rss: int | None = None
    oom: bool | None = None


class Verdicts(Answers):
    """Answers, with reasons."""

    def __init__(self, callbacks: Callbacks) -> None:
        super().__init__(callbacks)
        self.ran_ns: dict[int, int] = {}  # of workers whose item takes too long: for how long it had been running

    # -- ends that were not an outcome -----------------------------------------------------------------------------

    def fail_item(self, command: commands.FailItem, worker: Obituary) -> None:
        """Its worker is gone."""
        task, cause = command.task, command.cause
        self.died += cause is Cause.DIED
        if cause is Cause.CANCEL:
            self._cancelled(task, command.start)
            return
        error = self._why(command, worker)
        if command.again is not None:
            self._note(command.again, error, death=cause is Cause.DIED)
            return
        self.failed += 1
        if isinstance(task, CallFuture):
            add_notes(error, task.attempts)
            self.answer(task, Raised(error))
        else:
            assert isinstance(task, ChunkTask)
            add_notes(error, task.attempts)
            task.run.items_done(command.start, [Raised(error, task.tries + 1)])

    def _why(self, command: commands.FailItem, worker: Obituary) -> BaseException:
        task, start = command.task, command.start
        if command.cause is Cause.TIMEOUT:
            return self.timed_out(task, start, command.wid, worker)
        kind: type[errors.WorkerDied] = errors.WorkerDied
        if command.cause is Cause.MEMORY:
            kind = errors.MemoryLimit
        elif command.again is None and task.tries and attempts_of(task).deaths == task.tries:
            kind = errors.PoisonTask
        pid, exitcode, stack, peak_rss, oom = worker
        name, index, args = told(task, start)
        error = kind(name, exitcode, pid, index, args, stack, peak_rss, oom)
        if kind is errors.PoisonTask:
            record = kind(*error.args)  # whoever raises the other ties his frames to it, and these may have the pool
            add_notes(record, attempts_of(task))
            self.quarantined.append(record)
        return error

    def timed_out(self, task: Task, start: int, wid: int, worker: Obituary) -> BaseException:
        """The error of an item that has run for too long."""
        self.timeouts += 1
        name, index, args = told(task, start)
        limit = (task.rules.timeout_ns or 0) / SECOND if task.rules is not None else 0.0
        seconds = max(self.ran_ns.pop(wid, 0) / SECOND, limit)
        return errors.TaskTimeout(name, "running", seconds, limit, index, args, worker.stack, worker.pid)

    def _cancelled(self, task: Task, start: int) -> None:
        if isinstance(task, CallFuture):
            task.release()
            self.call_back(tasks.cancel_now([task]))
        elif isinstance(task, ChunkTask):
            task.run.items_dropped(start, 1)

    def expire(self, command: commands.Expire) -> None:
        """These have waited too long."""
        for task in command.tasks:
            self.failed += task.size
            self.timeouts += task.size
            limit = (task.rules.queue_ns or 0) / SECOND if task.rules is not None else 0.0
            if isinstance(task, CallFuture):
                if not task.done():
                    name, index, args = told(task, 0)
                    error = errors.TaskTimeout(name, "queued", limit, limit, index, args)
                    self.answer(task, Raised(error))
            elif isinstance(task, ChunkTask):
                late = []
                for each in range(task.start, task.start + task.size):
                    name, index, args = told(task, each)
                    late.append(Raised(errors.TaskTimeout(name, "queued", limit, limit, index, args)))
                task.run.items_done(task.start, late)

    # -- further runs ------------------------------------------------------------------------------------------------

    def try_again(self, command: commands.TryAgain) -> None:
        """This was not the last word."""
        self._note(command.task, command.outcome.error)

    def _note(self, task: Task, error: BaseException, death: bool = False) -> None:
        """`task` is the next run; `error` what the last one came to."""
        attempts = attempts_of(task)
        self.retries += 1
        attempts.deaths += death
        attempts.last = error
        limit = 1 + (task.rules.retries if task.rules is not None else 0)
        text = str(error).partition("\n")[0]
        attempts.notes.append(f"run {task.tries} of {limit}: {type(error).__name__}: {text}")

    def give_up(self, command: commands.GiveUp) -> None:
        """These will not have their next run: the last outcome stands."""
        for task in command.tasks:
            attempts = attempts_of(task)
            error = attempts.last
            assert error is not None
            attempts.notes.pop()  # which is told of itself
            add_notes(error, attempts)
            error.add_note("the pool was shut down before it could run again")
            if isinstance(task, CallFuture):
                if not task.done():
                    self.answer(task, Raised(error))
            elif isinstance(task, ChunkTask):
                task.run.items_done(task.start, [Raised(error, task.tries)])

    def wanted_again(self, found: Sequence[Task], outcomes: list[Any]) -> list[int]:
        """The places of those outcomes after which the rules of their tasks want another run."""
        places = []
        for place, (task, outcome) in enumerate(zip(found, outcomes, strict=False)):
            rules = task.rules
            if outcome.__class__ is Raised and rules is not None and rules.retries:
                error = outcome.error
                if isinstance(error, rules.errors) and not isinstance(error, CancelledError):
                    places.append(place)
        return places

    def annotate(self, found: Sequence[Task], outcomes: list[Any]) -> None:
        """Errors of tasks that have run before bear the notes of that; who was asked to end, and did, is cancelled."""
        if Raised not in map(type, outcomes):
            return
        for task, outcome in zip(found, outcomes, strict=True):
            if outcome.__class__ is not Raised:
                continue
            if task.tries:
                outcome.attempts = task.tries + 1
                add_notes(outcome.error, attempts_of(task))
            if task.final and isinstance(outcome.error, CancelledError) and isinstance(task, CallFuture):
                task.release()
                self.call_back(tasks.cancel_now([task]))


def attempts_of(task: Task) -> Attempts:
    """Those of its item, which has failed before."""
    assert isinstance(task, (CallFuture, ChunkTask))
    if task.attempts is None:
        task.attempts = Attempts()
    return task.attempts


def add_notes(error: BaseException, attempts: Attempts | None) -> None:
    """What came of the runs before."""
    if attempts is not None:
        for note in attempts.notes:
            error.add_note(note)


# ------------------------------------------------------------------------------------------------------- what is told


def told(task: Task, index: int) -> tuple[str, int | None, str | None]:
    """The name of an item's function, its place in its stream if it has one, and its arguments, shortened."""
    if isinstance(task, CallFuture):
        return task.function.name, None, arguments(task.body, False, _carried(task.function))
    assert isinstance(task, ChunkTask)
    body = task.bodies[task.low - task.start + index]
    return task.run.function.name, index, arguments(body, task.run.whole, _carried(task.run.function))


def _carried(function: Any) -> bool:
    """It travels with each call (an entry without a number)."""
    return getattr(function, "id", 1) == 0
