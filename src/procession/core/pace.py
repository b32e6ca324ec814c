"""How often something may start: a bucket of tokens, in whole nanoseconds.

A token comes every `period`; at most `burst` of them are kept. Who starts something takes one. A further run, of which
nobody asks again whether it may start, is promised the token of the instant at which it will: what starts by itself
before that instant leaves it one, and what comes too near waits until it has passed.

Laws (`tests/core/test_pace.py` walks them)
1. Of the instants at which `grab` succeeds and those that `again` names, at most burst + rate * t lie in any span of t
   seconds. So what failed together, and waits equally long, does not come back together.
2. After a rest of burst / rate seconds all `burst` tokens are there, and no more after a longer one.
3. `at` names the first instant at which there is a token (of a burst of several, the first behind promised ones that
   are near). It is never more than a period after the latest one named. What is promised for later keeps nobody now.
4. Who waits for a further run is counted as resting until that starts, and for no longer.

The level is kept as one number, the instant at which the bucket would be full again: so nothing has to be filled as
time goes by, and no rounding adds up. (GCRA, the cell rate algorithm of ATM, is the same.)

Promised instants are a period apart at least. Those less than two apart are kept as one *span*, between whose first and
last nothing else starts: so only the first span has to be looked at, however many there are. Why that is enough: an
instant before it leaves each of its tokens a period later than the one before; and behind it, two periods before the
next span, there is room for one.
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import heappop, heappush

from procession.core.rules import SECOND

TOGETHER = 100
"""Above so many a second, a hundredth of a second's worth may start together; below it, one."""


class Pace:
    """So many starts a second at most. Not thread-safe; an instant that lies before the latest one counts as that."""

    __slots__ = ("_full", "_latest", "_rests", "_spans", "burst", "period")

    def __init__(self, rate: float) -> None:
        self.period = max(1, -int(-SECOND // rate))  # rounded up: never more than `rate`
        self.burst = max(1, int(rate / TOGETHER))
        self._full = 0
        self._latest = 0
        self._rests: list[int] = []
        self._spans: list[Span] = []  # of promised instants, in order

    def at(self, now: int) -> int:
        """When a token will be there: `now`, if one is."""
        return self._next(now)[0]

    def grab(self, now: int) -> bool:
        """Take a token if one is there."""
        at, full = self._next(now)
        if at > now:
            return False
        if full > self._full:  # it lies behind the first span, or in it: all of that counts from now on
            del self._spans[0]
        self._full, self._latest = max(full, at) + self.period, at
        return True

    def again(self, now: int, delay: int) -> int:
        """Something that has started before is to start again, `delay` from now: how long it has to wait."""
        if delay <= 0 and self.grab(now):
            return 0
        at = self._promise(max(now, self._latest, self._full - self._slack) if delay <= 0 else now + delay)
        heappush(self._rests, at)
        return at - now

    def resting(self, now: int) -> int:
        """How many wait for a further run."""
        rests = self._rests
        while rests and rests[0] <= now:
            heappop(rests)
        return len(rests)

    @property
    def _slack(self) -> int:
        return (self.burst - 1) * self.period

    def _next(self, now: int) -> tuple[int, int]:
        """The first instant at which something may start by itself, and when the bucket would be full before that."""
        now = max(now, self._latest)
        spans, slack = self._spans, self._slack
        while spans and spans[0].last <= now:
            self._full = spans[0].passed(self._full, self.period)
            del spans[0]
        at = max(now, self._full - slack)
        if not spans or (at < spans[0].first and max(self._full, at) + self.period <= spans[0].first + slack):
            return at, self._full
        full = spans[0].passed(self._full, self.period)
        return max(at, full - slack), full

    def _promise(self, soonest: int) -> int:
        """The first instant from then on that is at least a period away from all that are promised; it is, too, now."""
        period, spans = self.period, self._spans
        at = max(soonest, self._full - self._slack)
        place = bisect_right(spans, at - period, key=_last)
        if place < len(spans) and spans[place].first - period < at:
            span = spans[place]
            at = span.last = span.last + period
            span.count += 1
        else:
            spans.insert(place, Span(at))
        for left in (place, place - 1):  # what is near becomes one
            if 0 <= left < len(spans) - 1 and spans[left + 1].first - spans[left].last < 2 * period:
                spans[left].last = spans[left + 1].last
                spans[left].count += spans[left + 1].count
                del spans[left + 1]
        return at


class Span:
    """Promised instants that are near each other."""

    __slots__ = ("count", "first", "last")

    def __init__(self, at: int) -> None:
        self.first = self.last = at
        self.count = 1

    def passed(self, full: int, period: int) -> int:
        """When a bucket that would be full at `full` will be, with these tokens taken."""
        return max(full + self.count * period, self.last + period)


def _last(span: Span) -> int:
    return span.last
