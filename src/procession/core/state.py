"""Where a pool stands, and where a worker does; the error that says that a law was broken.

States of the pool:
    OPEN       takes work
    DRAINING   takes no more; what was handed over runs, then the workers are stopped
    BROKEN     workers cannot start; what waits fails with the reason, what runs finishes, the workers are stopped
    KILLED     every worker was told to die; what waits is cancelled
    CLOSED     no task, no worker

States of a worker:
    STARTING   asked for, has not said that it is ready; may hold a lease already
    IDLE       ready, nothing in hand
    BUSY       ready, something in hand
    DRAINING   told to stop; nothing in hand, nothing more will be given
    DYING      told to die, or its initializer failed; what it has in hand comes back when it is gone, if not before
    ORPHANED   a thread that was given up, since it cannot be killed; what it runs has been answered
    GONE       lost; nothing may be heard of it again
"""

from __future__ import annotations

from enum import Enum, auto


class PoolState(Enum):
    """Where the pool stands."""

    OPEN = auto()
    DRAINING = auto()
    BROKEN = auto()
    KILLED = auto()
    CLOSED = auto()

    @property
    def takes_back(self) -> bool:
        """Tasks may wait in line."""
        return self is PoolState.OPEN or self is PoolState.DRAINING


class CoreError(AssertionError):
    """A law was broken: a bug in procession, with the story that led there."""


class State(Enum):
    """Where a worker stands."""

    STARTING = auto()
    IDLE = auto()
    BUSY = auto()
    DRAINING = auto()
    DYING = auto()
    ORPHANED = auto()
    GONE = auto()

    __hash__ = object.__hash__  # Enum's own is written in Python, and the table is looked up twice an event


class Signal(Enum):
    """What can happen to a worker's state."""

    READY = auto()
    LEASED = auto()
    EMPTIED = auto()
    STOP = auto()
    KILL = auto()
    ABANDON = auto()
    UNFIT = auto()
    START_FAILED = auto()
    LOST = auto()

    __hash__ = object.__hash__


TRANSITIONS: dict[tuple[State, Signal], State] = {
    (State.STARTING, Signal.READY): State.IDLE,
    (State.STARTING, Signal.LEASED): State.STARTING,
    (State.STARTING, Signal.EMPTIED): State.STARTING,
    (State.STARTING, Signal.STOP): State.DRAINING,
    (State.STARTING, Signal.KILL): State.DYING,
    (State.STARTING, Signal.UNFIT): State.DYING,
    (State.STARTING, Signal.START_FAILED): State.GONE,
    (State.STARTING, Signal.LOST): State.GONE,
    (State.IDLE, Signal.LEASED): State.BUSY,
    (State.IDLE, Signal.STOP): State.DRAINING,
    (State.IDLE, Signal.KILL): State.DYING,
    (State.IDLE, Signal.LOST): State.GONE,
    (State.BUSY, Signal.LEASED): State.BUSY,
    (State.BUSY, Signal.EMPTIED): State.IDLE,
    (State.BUSY, Signal.KILL): State.DYING,
    (State.BUSY, Signal.ABANDON): State.ORPHANED,
    (State.BUSY, Signal.LOST): State.GONE,
    (State.ORPHANED, Signal.EMPTIED): State.ORPHANED,
    (State.ORPHANED, Signal.KILL): State.ORPHANED,
    (State.ORPHANED, Signal.LOST): State.GONE,
    (State.DRAINING, Signal.READY): State.DRAINING,  # it was told to stop before it had started
    (State.DRAINING, Signal.UNFIT): State.DYING,
    (State.DRAINING, Signal.START_FAILED): State.GONE,
    (State.DRAINING, Signal.KILL): State.DYING,
    (State.DRAINING, Signal.LOST): State.GONE,
    (State.DYING, Signal.READY): State.DYING,
    (State.DYING, Signal.EMPTIED): State.DYING,  # its last results were still on their way
    (State.DYING, Signal.KILL): State.DYING,
    (State.DYING, Signal.UNFIT): State.DYING,
    (State.DYING, Signal.START_FAILED): State.GONE,
    (State.DYING, Signal.LOST): State.GONE,
}
