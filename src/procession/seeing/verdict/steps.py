"""Quantities over time: how many intervals are open, and what a counter said, as integrals. Times are nanoseconds.

A million intervals are sorted once; what lies between two times is then found by bisection, so nobody has to walk them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, compress, islice
from operator import lt

from ..recording import Samples

BLOCK = 256
"""So many times are summed up beforehand, together: the sum of each would take more memory than all the times."""


class Steps:
    """How many of some intervals are open at a time. One that does not end after its start is none."""

    def __init__(self, intervals: Iterable[tuple[int, int]]) -> None:
        starts, ends = array("q"), array("q")
        for start, end in intervals:
            starts.append(start)
            ends.append(end)
        self._take(starts, ends)

    @classmethod
    def between(cls, starts: array[int], ends: array[int]) -> Steps:
        """Of the intervals that begin at the one and end at the other."""
        steps = cls(())
        steps._take(starts, ends)
        return steps

    def _take(self, starts: array[int], ends: array[int]) -> None:
        kept = bytes(map(lt, starts, ends))
        times = (starts, ends) if 0 not in kept else (compress(starts, kept), compress(ends, kept))
        self.starts, self.ends = (array("q", sorted(each)) for each in times)
        self._sums = [[*accumulate(_blocks(each), initial=0)] for each in (self.starts, self.ends)]
        self._periods: list[tuple[int, int]] | None = None

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
        if self._periods is None:
            nexts = islice(self.starts, 1, None)  # all are over after the n-th end, if the next one starts later
            gaps = [gap for gap in zip(self.ends, nexts, strict=False) if gap[0] < gap[1]]
            begins = [*self.starts[:1], *(begin for _, begin in gaps)]
            self._periods = [*zip(begins, [*(end for end, _ in gaps), *self.ends[-1:]], strict=True)]
        return self._periods


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
