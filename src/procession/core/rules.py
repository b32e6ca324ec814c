"""What a user asked for one task, beyond that it be run: `Task.rules`, None where nothing was asked for."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from procession.record import record

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

SECOND = 1_000_000_000
"""In nanoseconds, which all times of the core are in."""
LOOKS = 16
"""How often a task is looked at in the time that it has: it is found to be late by a sixteenth of that at most."""
LEAST_LOOK_NS, MOST_LOOK_NS = 1_000_000, 250_000_000


class Cause(Enum):
    """Why a running item ended without an outcome of its own, or has to end."""

    DIED = auto()
    TIMEOUT = auto()
    CANCEL = auto()
    MEMORY = auto()

    __hash__ = object.__hash__


def no_delay(_tries: int, _now: int) -> int:
    """Again at once."""
    return 0


@record
class Rules:
    """Times are in nanoseconds."""

    timeout_ns: int | None = None
    """One run may last so long."""
    queue_ns: int | None = None
    """So long it may wait for its first run, from being submitted."""
    grace_ns: int = 0
    """What is to end is asked to end by itself, and gets so long."""
    retries: int = 0
    """Further runs, after the first."""
    again_after: frozenset[Cause] = frozenset()
    """The ends of a run after which there is another one."""
    errors: tuple[type[BaseException], ...] = ()
    """What a run may raise that there is another one. (The core does not look; whoever tells it of outcomes does.)"""
    delay_ns: Callable[[int, int], int] = no_delay
    """The time before further run 1, 2, ..., from the instant that it is told: the caller's, maybe a little ago."""
    priority: int = 0
    """Higher first."""
    stop_ns: int | None = None
    """As `grace_ns`, for what is cancelled, where that gets another time."""

    def but(self, **changes: Any) -> Rules:
        """The same, but for these."""
        return Rules(**{name: getattr(self, name) for name in self.__slots__} | changes)  # type: ignore[attr-defined]

    @property
    def look_ns(self) -> int:
        """The time between two looks at a run."""
        if self.timeout_ns is None:
            return MOST_LOOK_NS
        return min(max(self.timeout_ns // LOOKS, LEAST_LOOK_NS), MOST_LOOK_NS)
