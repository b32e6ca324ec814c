"""What tasks that were ended, or that run again, are told: errors with their stories.

Laws
1. An item has one final outcome. Those of earlier runs become notes of the last one, if that is an error.
2. No code of a user runs here, not even to say what he has called (see telling.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from procession import errors
from procession.backends.roles import Attempts, wants_another
from procession.backends.tasks import CallFuture, ChunkTask
from procession.captured import Captured, add_note, tell
from procession.core import commands
from procession.core.rules import SECOND, Cause
from procession.core.task import Task
from procession.driver.answers import Answers, consents
from procession.driver.telling import arguments
from procession.lean import NamedTuple
from procession.types import Raised

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

    from procession.core.pool import PoolCore
    from procession.driver.callbacks import Callbacks


class Obituary(NamedTuple):
    """What is known of a worker that is gone."""

    pid: int | None
    exitcode: int | None
    stack: str = ""
    peak_rss: int | None = None
    oom: bool | None = None
    written: Captured[None] | None = None
    why: str = ""
    """What somebody else has said of it."""


class Verdicts(Answers):
    """Answers, with reasons."""

    core: PoolCore

    def __init__(self, callbacks: Callbacks) -> None:
        super().__init__(callbacks)
        self.memory_limit: int | None = None  # bytes at which what a worker runs is ended
        self.ran_ns: dict[int, int] = {}  # of workers whose item takes too long: for how long it had been running

    # -- ends that were not an outcome -----------------------------------------------------------------------------

    def fail_item(self, command: commands.FailItem, worker: Obituary) -> None:
        """Its worker is gone."""
        task, cause = command.task, command.cause
        death = cause is Cause.DIED or cause is Cause.MEMORY
        self.died += death
        if cause is Cause.CANCEL:
            if isinstance(task, CallFuture):
                self.end(task)
            elif isinstance(task, ChunkTask):
                task.run.items_dropped(command.start, 1)
            return
        error = self._why(command, worker)
        if worker.written is not None:
            tell(error, worker.written)
        if command.again is not None:
            self._note(command.again, error, death=death)
            return
        self.failed += 1
        if task.tries:
            attempts_of(task).note_in(error)
        self._fail(task, command.start, Raised(error, task.tries + 1))

    def _why(self, command: commands.FailItem, worker: Obituary) -> BaseException:
        task, start = command.task, command.start
        if command.cause is Cause.TIMEOUT:
            return self.timed_out(task, start, command.wid, worker)
        kind: type[errors.WorkerDied] = errors.WorkerDied
        if command.again is None and task.tries and attempts_of(task).deaths == task.tries:
            kind = errors.PoisonTask
        if command.cause is Cause.MEMORY:
            kind = errors.MemoryLimit
        pid, exitcode, stack, peak_rss, oom = worker[:5]
        name, index, args = told(task, start)
        error = kind(name, exitcode, pid, index, args, stack, peak_rss, oom)
        if worker.why:
            add_note(error, worker.why)
        if isinstance(error, errors.MemoryLimit):
            error.limit = self.memory_limit
        if kind is errors.PoisonTask:
            record = kind(*error.args)  # whoever raises the other ties his frames to it, and these may have the pool
            attempts_of(task).note_in(record)
            self.quarantined.append(record)
        return error

    def timed_out(self, task: Task, start: int, wid: int, worker: Obituary) -> BaseException:
        """The error of an item that has run for too long."""
        self.timeouts += 1
        name, index, args = told(task, start)
        limit = (task.rules.timeout_ns or 0) / SECOND if task.rules is not None else 0.0
        seconds = max(self.ran_ns.pop(wid, 0) / SECOND, limit)
        return errors.TaskTimeout(name, "running", seconds, limit, index, args, worker.stack, worker.pid)

    def _fail(self, task: Task, index: int, outcome: Raised) -> None:
        """Answer one item, unless it has an answer."""
        if isinstance(task, CallFuture):
            self.answer(task, outcome)
        elif isinstance(task, ChunkTask):
            task.run.items_done(index, [outcome])

    def expire(self, command: commands.Expire) -> None:
        """These have waited too long."""
        for task in command.tasks:
            self.failed += task.size
            self.timeouts += task.size
            limit = (task.rules.queue_ns or 0) / SECOND if task.rules is not None else 0.0
            start = task.start if isinstance(task, ChunkTask) else 0
            for each in range(start, start + task.size):
                name, index, args = told(task, each)
                self._fail(task, each, Raised(errors.TaskTimeout(name, "queued", limit, limit, index, args)))

    # -- further runs ------------------------------------------------------------------------------------------------

    def try_again(self, command: commands.TryAgain) -> None:
        """This was not the last word."""
        self._note(command.task, command.outcome.error)

    def _note(self, task: Task, error: BaseException, death: bool = False) -> None:
        """`task` is the next run; `error` what the last one came to."""
        attempts = attempts_of(task)
        self.retries += 1
        attempts.deaths += death
        attempts.add(task.tries, task.rules, error)

    def give_up(self, command: commands.GiveUp) -> None:
        """These will not have their next run: the last outcome stands."""
        for task in command.tasks:
            attempts = attempts_of(task)
            error = attempts.last
            assert error is not None
            attempts.notes.pop()  # which is told of itself
            attempts.note_in(error)
            add_note(error, "the pool was shut down before it could run again")
            self._fail(task, task.start if isinstance(task, ChunkTask) else 0, Raised(error, task.tries))

    def wanted_again(self, found: Sequence[Task], outcomes: list[Any]) -> list[int]:
        """The places of those outcomes after which the rules of their tasks want another run."""
        places = []
        for place, (task, outcome) in enumerate(zip(found, outcomes, strict=False)):
            rules = task.rules
            if outcome.__class__ is not Raised or rules is None or not rules.retries:
                continue
            if wants_another(rules, outcome.error):
                places.append(place)
        return places

    def answer_items(self, command: commands.ResolveItems) -> None:
        """See `Answers`."""
        if self.core.ruled:
            self.annotate([command.task] * len(command.outcomes), command.outcomes)
        super().answer_items(command)

    def annotate(self, found: Sequence[Task], outcomes: list[Any]) -> None:
        """Errors of tasks that have run before bear the notes of that; who was asked to end, and did, is cancelled."""
        if Raised not in map(type, outcomes):
            return
        for task, outcome in zip(found, outcomes, strict=True):
            if outcome.__class__ is not Raised:
                continue
            if task.tries:
                outcome.attempts = task.tries + 1
                attempts_of(task).note_in(outcome.error)
            if isinstance(task, CallFuture) and consents(task, outcome):
                self.end(task)


def attempts_of(task: Task) -> Attempts:
    """Those of its item, which has failed before."""
    assert isinstance(task, (CallFuture, ChunkTask))
    if task.attempts is None:
        task.attempts = Attempts()
    return task.attempts


# ------------------------------------------------------------------------------------------------------- what is told


def told(task: Task, index: int) -> tuple[str, int | None, str | None]:
    """The name of an item's function, its place in its stream if it has one, and its arguments, shortened."""
    if isinstance(task, CallFuture):
        shown = getattr(task, "shown", None)  # of a turn: the call of its generator function
        body, carried = (task.body, _carried(task.function)) if shown is None else shown()
        return task.function.name, None, arguments(body, False, carried, task.function.hides)
    assert isinstance(task, ChunkTask)
    body = task.bodies[task.low - task.start + index]
    function = task.run.function
    return function.name, index, arguments(body, task.run.whole, _carried(function), function.hides)


def _carried(function: Any) -> bool:
    """It travels with each call (an entry without a number)."""
    return getattr(function, "id", 1) == 0
