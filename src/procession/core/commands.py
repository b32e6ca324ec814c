"""What the core answers. Every command is to be performed at once, in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from procession.core.task import Task


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker under this number."""

    wid: int


@dataclass(frozen=True, slots=True)
class Send:
    """Issue `tokens` tokens of `number`, then hand these tasks to the worker."""

    wid: int
    number: int
    tasks: Sequence[Task]
    tokens: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Read back every token that the worker has not taken and answer with `Withdrawn` before anything else.

    Always last in an answer: everything that the core has sent must have been issued before tokens are counted.
    """

    wid: int


@dataclass(frozen=True, slots=True)
class MarkRunning:
    """This task is, as far as anybody can tell, running now."""

    task: Task


@dataclass(frozen=True, slots=True)
class Resolve:
    """These calls are answered."""

    tasks: Sequence[Task]
    outcomes: list[Any]


@dataclass(frozen=True, slots=True)
class ResolveItems:
    """Items `start`, `start + 1`, ... of this chunk are answered."""

    task: Task
    start: int
    outcomes: list[Any]


@dataclass(frozen=True, slots=True)
class FailItem:
    """The first unanswered item of this task was running when its worker ended with `exitcode` (None: unknown)."""

    task: Task
    start: int
    wid: int
    exitcode: int | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """These tasks will never run."""

    tasks: Sequence[Task]


@dataclass(frozen=True, slots=True)
class FailAll:
    """These tasks will never run because the pool is broken; `reason` says why."""

    tasks: Sequence[Task]
    reason: object


@dataclass(frozen=True, slots=True)
class Drop:
    """These tasks had been cancelled before they could be leased; forget them."""

    tasks: Sequence[Task]


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell the worker to finish: teardown, then exit."""

    wid: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill the worker now."""

    wid: int


@dataclass(frozen=True, slots=True)
class Broken:
    """The pool takes no more work; `reason` says why."""

    reason: object


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Workers cannot be started any more, but some live: the pool goes on with `width` of them."""

    width: int
    reason: object


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing is left: no task, no worker."""


Command = (
    Spawn
    | Send
    | Withdraw
    | MarkRunning
    | Resolve
    | ResolveItems
    | FailItem
    | Cancel
    | FailAll
    | Drop
    | Stop
    | Kill
    | Broken
    | Narrowed
    | Closed
)
