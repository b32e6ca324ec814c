"""Quantities over time: how many intervals are open, and what a counter said, as integrals. Times are nanoseconds.

A million intervals are sorted once; what lies between two times is then found by bisection, so nobody has to walk them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from ..recording import Samples

BLOCK = 256
"""So many times are summed up beforehand, together: the sum of each would take more memory than all the times."""


class Steps:
    """How many of some intervals are open at a time."""

    def __init__(self, intervals: Iterable[tuple[int, int]]) -> None:
        starts, ends = array("q"), array("q")
        for start, end in intervals:
            if end > start:
                starts.append(start)
                ends.append(end)
        self.starts, self.ends = array("q", sorted(starts)), array("q", sorted(ends))
        self._sums = [[*accumulate(_blocks(times), initial=0)] for times in (self.starts, self.ends)]

    def upto(self, now: int) -> int:
        """The sum of what of each interval lies before `now`."""
        total = 0
        for times, sums, sign in ((self.starts, self._sums[0], 1), (self.ends, self._sums[1], -1)):
            count = bisect_right(times, now)
            block = count // BLOCK
            total += sign * (count * now - sums[block] - sum(times[block * BLOCK : count]))
        return total

    def at(self, now: int) -> int:
        """How many are open right behind `now`."""
        return bisect_right(self.starts, now) - bisect_right(self.ends, now)

    def periods(self) -> list[tuple[int, int]]:
        """The times in which any is open: from the start of the first to the moment when all are over."""
        found: list[tuple[int, int]] = []
        begin, begun = 0, 0
        for over, end in enumerate(self.ends, 1):
            if over == 1 or begun < over:
                begin = self.starts[over - 1]
            begun = bisect_right(self.starts, end, lo=begun)
            if begun == over:
                found.append((begin, end))
        return found


def _blocks(times: array[int]) -> Iterable[int]:
    return (sum(times[at : at + BLOCK]) for at in range(0, len(times), BLOCK))


class Level:
    """What samples say: a level between two of them, or how fast it grows."""

    def __init__(self, samples: Samples | None) -> None:
        self._times: Sequence[int] = samples.times if samples else ()
        self._values: Sequence[float] = samples.values if samples else ()

    def __bool__(self) -> bool:
        return len(self._times) > 1

    def at(self, now: int) -> float:
        """On the line from the sample before to the one after; outside of them, as the nearest."""
        times, values = self._times, self._values
        if not times:
            return 0.0
        after = bisect_left(times, now)
        if after in (0, len(times)):
            return values[after and -1]
        (t0, t1), (v0, v1) = times[after - 1 : after + 1], values[after - 1 : after + 1]
        return v0 + (v1 - v0) * (now - t0) / (t1 - t0)

    def grown(self, begin: int, end: int) -> float:
        return self.at(end) - self.at(begin)

    def total(self) -> float:
        return self._values[-1] - self._values[0] if self else 0.0

    def highest(self, begin: int, end: int) -> float:
        """Of the samples from `begin` to `end`; 0 if there are none."""
        first, last = bisect_left(self._times, begin), bisect_right(self._times, end)
        return max(self._values[first:last], default=0.0)
