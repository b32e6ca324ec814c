"""map: how cheap an item is, and what one heavy item among light ones does."""

import heapq
import math
import random
import statistics
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from types import ModuleType

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import WORKERS, Measure, Metric, best_of, check, opened, ramp
from benchmarks.peers.base import Peer

CHUNKSIZES = (10, 50, 250)
"""What a user would try for thousands of tasks of 50 us and more; in a quick run, the middle one."""


class Map(Measure):
    """Timed: `list(map(noop, range(n)))`, the whole call, on an open and warm pool of two workers.

    Default: nothing tuned; n is 200,000 (quick: 50,000), or less for a slow library (see `ramp`). Best: at the full n,
    the best chunk size of a few and the library's own, timed once more (see `best_of`); only for libraries whose
    default does not choose one by measurement. mpire and pebble have chunk sizes too, but not here: their best is
    slower than that of the others, and takes seconds.
    """

    name = "map"
    title = "map of 200,000 no-ops"
    metrics = (
        Metric("rate", "items a second, nothing tuned", "/s", higher=True),
        Metric("best_rate", "items a second, best chunk size tried", "/s", higher=True),
    )

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        nominal = 50_000 if cell.quick else 200_000

        def once(n: int, chunksize: int | None = None) -> float:
            items = range(n)
            began = time.perf_counter()
            got = peer.map(work.noop, items, chunksize)
            seconds = time.perf_counter() - began
            check(got, items)
            return seconds

        with opened(peer):
            n, seconds = ramp(once, nominal, cell)
            sample = Sample({"rate": n / seconds}, {"n": n})
            if peer.chunksizes:
                # Where the default has not come to the full number, it is too slow to be the best.
                own = seconds if n == nominal else math.inf
                best, size = best_of(lambda size: once(nominal, size), peer.chunksizes, own)
                sample.values["best_rate"] = nominal / best
                sample.facts["best_chunk"] = size
        return sample


class MapOfWork(Measure):
    """A map of busy loops of unlike length, against what list scheduling would take at zero overhead.

    The ideal: some of the work is timed in this process before and after the map, and the shorter time counts; the
    items' times are dealt, item by item, to whichever of two workers is free first. The hand-written control (forks at
    a pipe) shows how near a machine can come to it whose cores disturb each other, and are disturbed by others: hence
    the ratio to it.

    Two figures for libraries that have a chunk size: with nothing tuned, and with the best of a few (see `best_of`).
    """

    metrics = (
        Metric("over_ideal", "time over the list-scheduling ideal, nothing tuned", "x"),
        Metric("best_over_ideal", "time over the ideal, best chunk size tried", "x"),
        Metric("seconds", "time, nothing tuned", "s"),
        Metric("best_seconds", "time, best chunk size tried", "s"),
    )
    baseline = "hand-written"
    repetitions = 2
    kinds = ("import",)

    @abstractmethod
    def turns(self, work: ModuleType, cell: Cell) -> list[int]:
        """The turns of each item's loop, the same for every peer in one repetition."""

    @abstractmethod
    def times(self, work: ModuleType, items: Sequence[int]) -> list[float]:
        """The seconds of each item, by what a part of them takes here and now."""

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        items = self.turns(work, cell)

        def once(chunksize: int | None = None) -> float:
            began = time.perf_counter()
            got = peer.map(work.burn, items, chunksize)
            seconds = time.perf_counter() - began
            check(got, items)
            return seconds

        with opened(peer):
            peer.map(work.burn, [min(items)] * 200)
            before = self.times(work, items)
            seconds = once()
            after = self.times(work, items)
            best = best_of(once, CHUNKSIZES[1:2] if cell.quick else CHUNKSIZES, seconds) if peer.chunked else None
        ideal = list_scheduled(map(min, before, after), WORKERS)
        sample = Sample({"over_ideal": seconds / ideal, "seconds": seconds}, {"n": len(items), "ideal_s": ideal})
        if best:
            sample.values |= {"best_over_ideal": best[0] / ideal, "best_seconds": best[0]}
            sample.facts["best_chunk"] = best[1]
        return sample


class MapSkewed(MapOfWork):
    """Timed: `list(map(burn, items))`, over what list scheduling would take at zero overhead.

    10,000 items are busy loops of about 50 us, but one, at a seeded random place (the same for every peer in one
    repetition), has 10,000 times their number of turns: 0.5 s. The light ones together weigh as much as the heavy
    one, so either mistake shows: 15 % over the ideal is reached by 7.5 us of overhead an item, or by a chunk in which
    more than 1,500 light items wait behind the heavy one. The ideal reckons with the median time of 2,000 light items
    and with the heavy one, run in sequence in this process.
    """

    name = "map_skewed"
    title = "map, one item 10,000x heavier at a random place"

    items = 10_000
    light_seconds = 50e-6
    heavier = 10_000

    def turns(self, work: ModuleType, cell: Cell) -> list[int]:
        light = max(1, round(self.light_seconds / (cell.turn_ns * 1e-9)))
        items = [light] * self.items
        items[random.Random(f"skewed {cell.repetition}").randrange(self.items)] = light * self.heavier
        return items

    def times(self, work: ModuleType, items: Sequence[int]) -> list[float]:
        heavy = max(items)
        light = statistics.median(_seconds(work, min(items)) for _ in range(2_000))
        heavy_seconds = _seconds(work, heavy)
        return [heavy_seconds if turns == heavy else light for turns in items]


class MapMixed(MapOfWork):
    """Timed: `list(map(burn, items))`, over what list scheduling would take at zero overhead.

    5,000 items are busy loops whose lengths are drawn from a seeded Pareto distribution with a heavy tail (shape 1.1,
    cut at 1,000 times the shortest; the same for every peer in one repetition) and scaled so that all together take
    1 s: half of them take less than 70 us, the longest some 30 ms, and the longest hundredth a third of the time.
    Chunks that are large enough to be cheap put long items behind each other. The ideal reckons with the median time
    of a turn.
    """

    name = "map_mixed"
    title = "map, heavy-tailed mix of task times"

    items = 5_000
    total_seconds = 1.0

    def turns(self, work: ModuleType, cell: Cell) -> list[int]:
        return drawn(f"mixed {cell.repetition}", self.items, self.total_seconds / (cell.turn_ns * 1e-9))

    def times(self, work: ModuleType, items: Sequence[int]) -> list[float]:
        turns = sorted(items)[len(items) // 2]
        turn = statistics.median(_seconds(work, turns) for _ in range(2_000)) / turns
        return [each * turn for each in items]


def drawn(seed: str, count: int, total: float) -> list[int]:
    """`count` lengths with a heavy tail that add up to about `total`; none is 0."""
    chance = random.Random(seed)
    weights = [min(1_000.0, chance.paretovariate(1.1)) for _ in range(count)]
    unit = total / sum(weights)
    return [max(1, round(weight * unit)) for weight in weights]


def _seconds(work: ModuleType, turns: int) -> float:
    """The seconds of one item, run in this process."""
    began = time.perf_counter()
    work.burn(turns)
    return time.perf_counter() - began


def list_scheduled(times: Iterable[float], workers: int) -> float:
    """The end of the last item when each goes, in order and for nothing, to the worker that is free first."""
    free = [0.0] * workers
    for seconds in times:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)
