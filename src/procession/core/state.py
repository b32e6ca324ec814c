"""Where a pool stands, and the error that says that a law was broken.

States of the pool:
    OPEN       takes work
    DRAINING   takes no more; what was handed over runs, then the workers are stopped
    BROKEN     workers cannot start; what waits fails with the reason, what runs finishes, the workers are stopped
    KILLED     every worker was told to die; what waits is cancelled
    CLOSED     no task, no worker
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
