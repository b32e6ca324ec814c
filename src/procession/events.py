"""What `procession.observe` tells of: facts about pools, workers and tasks, each an object of one of these classes.

All are frozen dataclasses. `time` is in seconds since the epoch, as `time.time()` has it;
what ends in `_ns` is a whole number of nanoseconds: since the epoch, as `time.time_ns()` has it, where it is a moment.
They were measured by the monotonic clock, and counted from the time of day at which the observer began. What is not
known is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PoolInfo:
    """A pool, or what runs the tasks of a SpinOff or of a stage of a pipeline."""

    number: int
    """Another one for each of this process."""
    kind: str
    """"Pool", "SpinOff" or "stage"."""
    name: str
    """Of a SpinOff its function's, of a stage its own; of a pool ""."""
    backend: str
    """"processes", "threads", "inline", "ray" or "dask"."""
    max_workers: int
    """When it was opened, or the observer began."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """To what an item belongs."""

    number: int
    kind: str
    """"map", "imap", "SpinOff" or "pipeline"."""
    name: str


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why a task did not come to a value."""

    kind: str
    """The name of the exception's class."""
    message: str
    traceback: str
    """As Python prints it, with the worker's part; of one that was killed, where it was, if that is known."""
    exception: BaseException | None
    """Itself, where there is one; it refers to all that its traceback does, so do not keep it for long."""


Outcome = Literal["ok", "error", "died", "timeout", "memory", "cancelled"]


@dataclass(frozen=True, slots=True)
class PoolOpened:
    """A pool has begun to work: with its first task, or when its workers are started. Told, too, of those that there
    are when the observer begins."""

    time: float
    pool: PoolInfo


@dataclass(frozen=True, slots=True)
class PoolClosed:
    """A pool has come to its end, and all its workers with it."""

    time: float
    pool: PoolInfo


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A worker is ready; told, too, of those that there are when the observer begins."""

    time: float
    pool: PoolInfo
    worker: int
    """Its number in the pool."""
    pid: int
    """Its process id, on its own machine; of a thread, its native id."""


@dataclass(frozen=True, slots=True)
class WorkerEnded:
    """A worker is no more; one that died before it was ready had not been told as started."""

    time: float
    pool: PoolInfo
    worker: int
    pid: int
    reason: str
    """"" if it ended in order; else "signal 9", "exit code 3" or "given up" (a thread). A worker that the pool has
    ended itself, for a timeout or a cancellation, ends by a signal, too."""


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """One attempt at a task is over: of a call, or of one item of a map, an imap, a SpinOff or a pipeline.

    An attempt that failed and is followed by another is told as one that failed; `attempt` numbers them.
    """

    time: float
    """When its outcome was known to the program."""
    pool: PoolInfo
    worker: int | None
    """None: it never had one."""
    function: str
    stream: StreamInfo | None
    """None: it is a call by itself, or of a stream that began before anybody observed."""
    index: int | None
    """Its place in its stream, from 0; in a pipeline, that of the item it came from."""
    attempt: int
    """From 1."""
    outcome: Outcome
    """"ok"; "error": it raised; "died": its worker did; "timeout"; "memory": the hard limit; "cancelled"."""
    error: TaskError | None
    """None: it went well; or the outcome says all there is, as of one that was cancelled before it ran."""
    queued_ns: int | None
    """When the program handed it over."""
    sent_ns: int | None
    """When it was sent to its worker, with others perhaps."""
    started_ns: int | None
    ended_ns: int | None
    pickle_ns: int | None
    """How long the program took to encode its arguments; None: that was not noted, as for small ones."""
    load_ns: int | None
    """How long its worker took to decode them; and `dump_ns`, to encode its result. It is part of the run."""
    dump_ns: int | None
    bytes_in: int | None
    """Of its arguments, as they travelled, those in shared memory too."""
    bytes_out: int | None
    """Of its result."""

    @property
    def ok(self) -> bool:
        """Whether it came to a value."""
        return self.outcome == "ok"

    @property
    def seconds(self) -> float | None:
        """How long it ran."""
        return None if self.started_ns is None or self.ended_ns is None else (self.ended_ns - self.started_ns) / 1e9

    @property
    def waited(self) -> float | None:
        """Seconds between its being handed over and its start."""
        return None if self.started_ns is None or self.queued_ns is None else (self.started_ns - self.queued_ns) / 1e9


@dataclass(frozen=True, slots=True)
class EventsDropped:
    """So many ends of tasks are not told of: they came faster than the observer takes them."""

    time: float
    count: int


Event = PoolOpened | PoolClosed | WorkerStarted | WorkerEnded | TaskEnded | EventsDropped
"""Any of them."""

__all__ = [
    "Event",
    "EventsDropped",
    "Outcome",
    "PoolClosed",
    "PoolInfo",
    "PoolOpened",
    "StreamInfo",
    "TaskEnded",
    "TaskError",
    "WorkerEnded",
    "WorkerStarted",
]
