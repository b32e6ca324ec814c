"""The word `rate`: a pace that threads share, and the rules of what runs again at it.

Laws
1. Whatever is started at a pace takes its token under one lock, be it by the thread that keeps a gate, or, for a
   further run, by the engine that arranges it (`Rules.delay_ns`). That lock is held for arithmetic alone. A wait counts
   from the instant that the engine goes by: by another, the run would come so much too early.
2. When a run begins to wait for its time, those who keep gates at this pace hear of it: a worker is free.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from procession.core.pace import Pace
from procession.core.rules import Rules
from procession.options import kind

LEAST, MOST = 1e-6, 1e9
"""A start in eleven days; more starts than anybody has."""


def check_rate(rate: Any) -> None:
    """Raise unless `rate` is None or a number of starts per second."""
    if rate is None:
        return
    if isinstance(rate, bool) or not isinstance(rate, (int, float)):
        raise TypeError(f"rate must be a number of starts per second or None (no limit), not {kind(rate)}")
    if not LEAST <= rate <= MOST:
        raise ValueError(
            f"rate must be between {LEAST:.0e} and {MOST:.0e} starts per second, or None for no limit; got {rate!r}"
        )


def make_pace(rate: float | None) -> SharedPace | None:
    """The pace of a word that has been checked."""
    return None if rate is None else SharedPace(rate)


class SharedPace(Pace):
    """A pace for several threads. `rested`: what is called when a run begins to wait, by an engine's thread."""

    __slots__ = ("_lock", "rested")

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self._lock = threading.RLock()
        self.rested: dict[Callable[[], object], None] = {}

    def at(self, now: int) -> int:
        """See `Pace`."""
        with self._lock:
            return super().at(now)

    def grab(self, now: int) -> bool:
        """See `Pace`."""
        with self._lock:
            return super().grab(now)

    def again(self, now: int, delay: int) -> int:
        """See `Pace`."""
        with self._lock:
            wait = super().again(now, delay)
        if wait:
            for tell in list(self.rested):
                tell()
        return wait

    def resting(self, now: int) -> int:
        """See `Pace`."""
        with self._lock:
            return super().resting(now)


def paced(rules: Rules | None, pace: SharedPace | None) -> Rules | None:
    """`rules` whose further runs wait for their tokens, too."""
    if rules is None or pace is None or not rules.retries:
        return rules
    delay_ns = rules.delay_ns
    return Rules(
        timeout_ns=rules.timeout_ns,
        queue_ns=rules.queue_ns,
        grace_ns=rules.grace_ns,
        retries=rules.retries,
        again_after=rules.again_after,
        errors=rules.errors,
        delay_ns=lambda tries, now: pace.again(now, delay_ns(tries, now)),
        priority=rules.priority,
    )
