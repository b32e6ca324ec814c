"""What the core is told. Every event is a fact: it happened, and cannot be refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from procession.core.task import Task
from procession.record import record


@record
class Submitted:
    """Tasks were handed over, in this order. `now`: see `Clock`.

    `ruled`: some of them may have rules or a home, now or later.
    """

    tasks: Sequence[Task]
    ruled: bool = False
    now: int = 0


@record
class Clock:
    """It is now `now`, in nanoseconds of a clock that never goes back.

    Told before what time matters for, looks, deaths and failures of ruled tasks, and when `alarm` is over. (What is
    `ruled` brings its own time.)
    """

    now: int


@record
class StartWorkers:
    """The pool is to have this many workers now, whether there is work or not (an explicit fork context)."""

    count: int


@record
class WorkerReady:
    """A worker has run its initializer and its setup and will look for tokens now."""

    wid: int


@record
class StartFailed:
    """A worker could not be started (`fatal` False: try again, a few times) or its initializer or setup raised.

    `again`: the cause is gone, and this does not count.
    """

    wid: int
    reason: object
    fatal: bool
    again: bool = False


@record
class CallsDone:
    """The oldest `len(outcomes)` tasks in flight on a worker, calls all of them, have these outcomes.

    `failed`: the places of those that are errors after which their rules want another run, in order.
    """

    wid: int
    outcomes: list[Any]
    failed: Sequence[int] = ()


@record
class ItemsDone:
    """The oldest `len(outcomes)` items of the oldest task in flight on a worker, a chunk, have these outcomes."""

    wid: int
    outcomes: list[Any]
    failed: Sequence[int] = ()
    """As of `CallsDone`."""


@record
class LeaseEnded:
    """A worker has left a lease behind, having run `items` of it in `busy_ns`; its number may be used again."""

    wid: int
    items: int
    busy_ns: int


@record
class Lent:
    """An idle worker is lent to callers: they hand it single calls themselves until it is recalled."""

    wid: int


@record
class LentTasks:
    """Callers have handed these calls, which are told to be running, to the lent worker: its next lease."""

    wid: int
    tasks: Sequence[Task]


@record
class Recalled:
    """The answer to `Recall`, or the driver's own wish: no caller will hand anything more to this worker."""

    wid: int


@record
class Withdrawn:
    """The answer to `Withdraw`: `count` tokens were read back, so the last `count` items are the parent's again."""

    wid: int
    count: int


@record
class Looked:
    """The answer to `Look`, and to `PoolCore.watched`: all that this worker had published by now has been told.

    `moved`: something came from it since the last time, if only a part of an outcome.
    """

    wid: int
    moved: bool = False


@record
class Lost:
    """A worker is gone. Its results were drained and its tokens read back (`unowned` of them) before this."""

    wid: int
    unowned: int
    exitcode: int | None


@record
class Due:
    """This worker is too old, or takes too much memory, and is to be replaced; told again while that is so."""

    wid: int


@record
class Heavy:
    """What this worker runs has made it take more memory than it may ever have; all that it published was told."""

    wid: int


@record
class Resized:
    """The pool is to have so many workers."""

    count: int


@record
class Measured:
    """How it was since the last time, for a pool that finds its width by itself (auto.py)."""

    now: int
    running: int
    """Workers that run something now."""
    waiting: int
    """Items that nobody runs."""
    done: int
    """Items that have ended meanwhile."""
    run_ns: int
    """For how long workers ran something, all together; of those that did then as now. 0: nothing could be measured."""
    cpu_ns: int
    """Of this, on a CPU: they, and the programs that they have started."""
    queued_ns: int
    """Of this, ready to go on, but without a CPU."""
    room: int | None = None
    """So many more workers the memory has room for; None: it is not known."""


@record
class CancelAsked:
    """Somebody wants these tasks, which are in flight but perhaps not started, not to run; `kill`: nor to go on."""

    tasks: Sequence[Task]
    kill: bool = False


@record
class GroupCancelled:
    """No task of this group is to start any more, or with `kill` to go on; they refuse to be claimed already."""

    group: object
    kill: bool = False


@record
class ShutdownAsked:
    """No more tasks will come. `cancel`: what has not started is not to run."""

    cancel: bool


@record
class KillAsked:
    """Every worker is to be killed now; what has not started is cancelled, what runs dies."""


Event = (
    Submitted
    | Clock
    | StartWorkers
    | WorkerReady
    | StartFailed
    | CallsDone
    | ItemsDone
    | LeaseEnded
    | Withdrawn
    | Lent
    | LentTasks
    | Recalled
    | Looked
    | Due
    | Heavy
    | Resized
    | Measured
    | Lost
    | CancelAsked
    | GroupCancelled
    | ShutdownAsked
    | KillAsked
)

OfWorker = (
    WorkerReady
    | StartFailed
    | CallsDone
    | ItemsDone
    | LeaseEnded
    | Withdrawn
    | Lent
    | LentTasks
    | Recalled
    | Looked
    | Due
    | Heavy
    | Lost
)
"""What is heard of one worker, in the order in which it happened there."""
