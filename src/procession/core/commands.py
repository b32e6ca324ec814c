"""What the core answers. Every command is to be performed at once, in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from procession.core.rules import Cause
from procession.core.task import Task
from procession.record import record


@record
class Spawn:
    """Start a worker under this number."""

    wid: int


@record
class Send:
    """Issue `tokens` tokens of `number`, then hand these tasks to the worker."""

    wid: int
    number: int
    tasks: Sequence[Task]
    tokens: int


@record
class Withdraw:
    """Read back every token that the worker has not taken and answer with `Withdrawn` before anything else.

    At most one in an answer, and always last: all that the core sends must have been issued before tokens are counted.
    """

    wid: int


@record
class Look:
    """Tell all that this worker has published, wherever it lies, then answer with `Looked`, before anything else."""

    wid: int


@record
class Ask:
    """Let the item that runs there, the first unanswered one of `task`, know that it is to end, and why."""

    wid: int
    task: Task
    cause: Cause


@record
class Recall:
    """Let no caller hand anything to the lent worker any more, tell what callers have, then answer with `Recalled`."""

    wid: int


@record
class MarkRunning:
    """This task is, as far as anybody can tell, running now."""

    task: Task


@record
class Resolve:
    """These calls are answered."""

    tasks: Sequence[Task]
    outcomes: list[Any]


@record
class ResolveItems:
    """Items `start`, `start + 1`, ... of this chunk are answered."""

    task: Task
    start: int
    outcomes: list[Any]


@record
class FailItem:
    """Item `start` of this task, which has been taken out of it, was running when its worker ended.

    `exitcode`: None where it is unknown. `again`: the task of its next run, where there is to be one.
    """

    task: Task
    start: int
    wid: int
    exitcode: int | None
    cause: Cause = Cause.DIED
    again: Task | None = None


@record
class TryAgain:
    """A run of the item of `task` had this outcome; it will have another run."""

    task: Task
    outcome: Any


@record
class GiveUp:
    """These tasks will not have the further run that they wait for: the outcome of their last one stands."""

    tasks: Sequence[Task]


@record
class Expire:
    """These tasks have waited too long for their first run, and will not have it."""

    tasks: Sequence[Task]


@record
class Cancel:
    """These tasks will never run."""

    tasks: Sequence[Task]


@record
class FailAll:
    """These tasks will never run because the pool is broken; `reason` says why."""

    tasks: Sequence[Task]
    reason: object


@record
class Drop:
    """These tasks had been cancelled before they could be leased; forget them."""

    tasks: Sequence[Task]


@record
class Stop:
    """Tell the worker to finish: teardown, then exit."""

    wid: int


@record
class Kill:
    """Kill the worker now; `cause`: what for, if for what it runs."""

    wid: int
    cause: Cause | None = None


@record
class Abandon:
    """Give this worker up: its thread cannot be killed. What it publishes is nobody's, and it is to end when it can."""

    wid: int


@record
class Broken:
    """The pool takes no more work; `reason` says why."""

    reason: object


@record
class Narrowed:
    """Workers cannot be started any more, but some live: the pool goes on with `width` of them."""

    width: int
    reason: object


@record
class Closed:
    """Nothing is left: no task, no worker."""


Command = (
    Spawn
    | Send
    | Withdraw
    | Look
    | Ask
    | Recall
    | MarkRunning
    | Resolve
    | ResolveItems
    | FailItem
    | TryAgain
    | GiveUp
    | Expire
    | Cancel
    | FailAll
    | Drop
    | Stop
    | Kill
    | Abandon
    | Broken
    | Narrowed
    | Closed
)
