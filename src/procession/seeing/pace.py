"""How fast it goes and how long it will take, from numbers that were sampled now and then. No clock is asked here.

Laws
1. Nothing is said without evidence: no rate before something is completed, no time left (None, shown as "?") where
   neither the measured cost of a task nor a rate tells it, or where what was expected has not happened.
2. While few items are completed (`FEW` for each worker), the time left follows from what a task was measured to cost,
   from how many workers there are, and from how long these have been at what they run: what completes at first is
   bursts with silence in between, of which a rate would make nonsense. A cost that is overdue is not believed.
3. Then it follows from the rate, once as many are completed as there are workers; and the rate forgets: of what came
   `HORIZON` seconds ago a third counts, or of what came `SPAN` items ago, where items are rarer than that.
4. A rate of which little is left, since nothing has come for three horizons, says nothing about the time left.
"""

from __future__ import annotations

from math import ceil, exp

HORIZON = 10.0
"""Seconds in which the past loses two thirds of its weight, at least."""
SPAN = 5
"""Items in which it does, where they come slower."""
FEW = 2
"""Items for each worker up to which their cost tells more than their rate."""
SLACK = 1.0
"""Seconds that a task may be late beyond twice its cost, before that is not believed."""
FAINT = 0.05
"""The weight, in items, below which a rate is no evidence."""


class Pace:
    """The smoothed rate of a count that is looked at in intervals of any length."""

    __slots__ = ("_items", "_seconds", "at", "began", "done", "moved")

    def __init__(self, now: float) -> None:
        self.began = self.at = now
        self.moved = now  # when the count was last seen to have grown
        self.done = 0
        self._items = self._seconds = 0.0

    def saw(self, now: float, done: int) -> None:
        """So many are completed now."""
        passed, came = max(0.0, now - self.at), max(0, done - self.done)
        horizon = max(HORIZON, SPAN * (now - self.began) / done) if done > 0 else HORIZON
        kept = exp(-passed / horizon) if self.done else 1.0  # the wait for the first one is part of the picture
        self._items = self._items * kept + came
        self._seconds = self._seconds * kept + passed
        self.at, self.done = now, max(done, self.done)
        if came:
            self.moved = now

    @property
    def rate(self) -> float | None:
        """Items a second, of late; None before there were any."""
        if not self.done or self._seconds <= 0.0:
            return None
        return self._items / self._seconds

    @property
    def steady(self) -> float | None:
        """The rate, where it is evidence for what comes."""
        return self.rate if self._items >= FAINT else None

    @property
    def quiet(self) -> float:
        """Seconds since the count has grown, or since the beginning."""
        return self.at - self.moved

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self.at - self.began


def time_left(
    total: int | None, pace: Pace, *, cost: float | None = None, workers: int = 0, running: int = 0
) -> float | None:
    """Seconds until `total` are completed, about; None: that cannot be said.

    cost: measured seconds of one item; None: not measured. workers: how many there can be. running: how many run now.
    """
    if total is None:
        return None
    left = total - pace.done
    if left <= 0:
        return 0.0
    if cost is not None and workers > 0 and pace.done < FEW * workers:
        gone = pace.quiet if running else 0.0
        due = ceil(left / workers) * cost - min(gone, cost)
        if due > 0.0 and gone <= 2 * cost + SLACK:
            return due
    rate = pace.steady
    return left / rate if rate and pace.done >= workers else None


def clock(seconds: float) -> str:
    """As people read it: 0:07, 12:34, 1:02:03, 3d 04:05."""
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def speed(rate: float) -> str:
    """Items a second, or seconds an item where that is the larger number."""
    if rate >= 9_999.5:
        return f"{rate / 1000:,.1f}k/s" if rate < 999_950 else f"{rate / 1e6:,.1f}M/s"
    if rate >= 99.95:
        return f"{rate:,.0f}/s"
    if rate >= 1.0:
        return f"{rate:.1f}/s"
    if rate <= 0.0:
        return "0/s"
    each = 1.0 / rate
    return f"{each:.1f} s each" if each < 99.95 else f"{clock(each)} each"
