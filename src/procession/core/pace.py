"""How often something may start: a bucket of tokens, in whole nanoseconds.

A token comes every `period`; at most `burst` of them are kept. Who starts something takes one. A further run, of which
nobody asks whether it may start, takes one too, be it one that comes later, and waits for it: what starts by itself
then waits behind it.

Laws (`tests/core/test_pace.py` walks them)
1. Of the instants that `take` and `again` name, at most burst + rate * t lie in any span of t seconds.
2. After a rest of burst / rate seconds all `burst` tokens are there, and no more after a longer one.
3. `at` names the first instant at which there is a token. It is never more than a period after the latest one named.
4. Who waits for a further run is counted as resting until that starts, and for no longer.

The level is kept as one number, the instant at which the bucket would be full again: so nothing has to be filled as
time goes by, and no rounding adds up. (GCRA, the cell rate algorithm of ATM, is the same.)
"""

from __future__ import annotations

from heapq import heappop, heappush

from procession.core.rules import SECOND

TOGETHER = 100
"""Above so many a second, a hundredth of a second's worth may start together; below it, one."""


class Pace:
    """So many starts a second at most. Not thread-safe; an instant that lies before the latest one counts as that."""

    __slots__ = ("_full", "_latest", "_rests", "burst", "period")

    def __init__(self, rate: float) -> None:
        self.period = max(1, -int(-SECOND // rate))  # rounded up: never more than `rate`
        self.burst = max(1, int(rate / TOGETHER))
        self._full = 0
        self._latest = 0
        self._rests: list[int] = []

    def at(self, now: int) -> int:
        """When a token will be there: `now`, if one is."""
        return max(now, self._latest, self._full - (self.burst - 1) * self.period)

    def take(self, now: int) -> int:
        """Take the next token; returns when it is there, which is `now` if `at` has said so."""
        at = self.at(now)
        self._latest = max(self._latest, min(at, now))
        self._full = max(self._full, at) + self.period
        return at

    def grab(self, now: int) -> bool:
        """Take a token if one is there."""
        if self.at(now) > now:
            return False
        self.take(now)
        return True

    def again(self, now: int, delay: int) -> int:
        """Something that has started before is to start again, `delay` from now: how long it has to wait."""
        at = max(self.take(now), now + delay)
        if at > now:
            heappush(self._rests, at)
        return at - now

    def resting(self, now: int) -> int:
        """How many wait for a further run."""
        rests = self._rests
        while rests and rests[0] <= now:
            heappop(rests)
        return len(rests)
