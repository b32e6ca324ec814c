"""map: how cheap an item is, and what one heavy item among light ones does."""

import heapq
import random
import statistics
import time
from collections.abc import Sequence
from types import ModuleType

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import WORKERS, Measure, Metric, check, opened, ramp
from benchmarks.peers.base import Peer


class Map(Measure):
    """Timed: `list(map(noop, range(n)))`, the whole call, on an open and warm pool of two workers.

    Default: nothing tuned; n is 200,000 (quick: 50,000), or less for a slow library (see `ramp`). Best: the best of a
    few chunk sizes at the full n, for libraries whose default does not choose one by measurement.
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
            tuned = [(once(nominal, size), size) for size in peer.chunksizes]
        sample = Sample({"rate": n / seconds}, {"n": n})
        if tuned:
            best_seconds, best_size = min(tuned)
            sample.values["best_rate"] = nominal / best_seconds
            sample.facts["best_chunk"] = best_size
        return sample


class MapSkewed(Measure):
    """Timed: `list(map(burn, items))`, nothing tuned, over what list scheduling would take at zero overhead.

    10,000 items are busy loops of about 50 us, but one, at a seeded random place (the same for every peer in one
    repetition), has 10,000 times their number of turns: 0.5 s. The light ones together weigh as much as the heavy
    one, so either mistake shows: 15 % over the ideal is reached by 7.5 us of overhead an item, or by a chunk in which
    more than 1,500 light items wait behind the heavy one.

    The ideal: the heavy item and 2,000 light ones are run in sequence in this process, before and after the map;
    the median light time and the shorter heavy one are dealt, item by item, to whichever of two workers is free
    first. The hand-written control (forks at a pipe) shows how near a machine can come to it whose cores disturb
    each other, and are disturbed by others: hence the ratio to it.
    """

    name = "map_skewed"
    title = "map, one item 10,000x heavier at a random place"
    metrics = (
        Metric("over_ideal", "time over the list-scheduling ideal", "x"),
        Metric("seconds", "time", "s"),
    )
    baseline = "hand-written"
    repetitions = 3

    items = 10_000
    light_seconds = 50e-6
    heavier = 10_000

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        light = max(1, round(self.light_seconds / _turn_seconds(work)))
        items = [light] * self.items
        place = random.Random(f"skewed {cell.repetition}").randrange(self.items)
        items[place] = light * self.heavier
        with opened(peer):
            peer.map(work.burn, [light] * 200)
            before = _run_here(work, light, items[place])
            began = time.perf_counter()
            got = peer.map(work.burn, items)
            seconds = time.perf_counter() - began
            after = _run_here(work, light, items[place])
        check(got, items)
        times = [statistics.median(before[0] + after[0])] * self.items
        times[place] = min(before[1], after[1])
        ideal = list_scheduled(times, WORKERS)
        values = {"over_ideal": seconds / ideal, "seconds": seconds}
        return Sample(values, {"n": self.items, "place": place, "ideal_s": ideal})


def _turn_seconds(work: ModuleType) -> float:
    """Seconds for a turn of `burn`'s loop, undisturbed: the shortest, lest the items come out too light."""
    turns = 20_000
    times = []
    for _ in range(50):
        began = time.perf_counter()
        work.burn(turns)
        times.append(time.perf_counter() - began)
    return min(times) / turns


def _run_here(work: ModuleType, light: int, heavy: int) -> tuple[list[float], float]:
    """The seconds of each of 2,000 light items, and of the heavy one, run in sequence in this process."""
    times = []
    for loops in [light] * 2_000 + [heavy]:
        began = time.perf_counter()
        work.burn(loops)
        times.append(time.perf_counter() - began)
    return times[:-1], times[-1]


def list_scheduled(times: Sequence[float], workers: int) -> float:
    """The end of the last item when each goes, in order and for nothing, to the worker that is free first."""
    free = [0.0] * workers
    for seconds in times:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)
