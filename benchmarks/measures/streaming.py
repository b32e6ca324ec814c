"""Ordered streams: what a slow item in front of others costs, and what waits in memory while nobody takes."""

import random
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from types import ModuleType

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import WORKERS, Measure, Metric, check, opened
from benchmarks.measures.mapping import list_scheduled
from benchmarks.peers.base import Peer

CHUNKSIZES = (1, 10, 50)
"""Tried by libraries that have a chunk size, beside their default."""
PAGE = resource.getpagesize()


class StreamStragglers(Measure):
    """Timed: taking all results, one by one and in order, from the library's lazy ordered map over 10,000 busy loops.

    Every 100th takes 100 times as long: all together some 2 s of work (quick: 2,000 items). The ideal is what list
    scheduling on two workers would take at zero overhead, reckoned with a light and a heavy item, timed in this process
    before and after. Nothing tuned; and the best of a few chunk sizes, where the library has them.
    """

    name = "stream_stragglers"
    title = "ordered stream, every 100th item 100x heavier"
    metrics = (
        Metric("over_ideal", "time over the list-scheduling ideal, nothing tuned", "x"),
        Metric("best_over_ideal", "time over the ideal, best chunk size tried", "x"),
        Metric("seconds", "time, nothing tuned", "s"),
        Metric("best_seconds", "time, best chunk size tried", "s"),
    )
    repetitions = 2
    kinds = ("import",)

    light_seconds = 100e-6

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        light = max(1, round(self.light_seconds / (cell.turn_ns * 1e-9)))
        items = [light * (100 if n % 100 == 50 else 1) for n in range(2_000 if cell.quick else 10_000)]

        def once(chunksize: int | None = None) -> float:
            began = time.perf_counter()
            got = list(peer.stream(work.burn, items, chunksize))
            seconds = time.perf_counter() - began
            check(got, items)
            return seconds

        with opened(peer):
            list(peer.stream(work.burn, [light] * 200))
            before = _one(work, light), _one(work, 100 * light)
            seconds = once()
            after = _one(work, light), _one(work, 100 * light)
            tried = [(once(size), size) for size in CHUNKSIZES] if peer.streams_in_chunks else []
        one, heavy = map(min, before, after)
        ideal = list_scheduled((heavy if turns > light else one for turns in items), WORKERS)
        sample = Sample({"over_ideal": seconds / ideal, "seconds": seconds}, {"n": len(items), "ideal_s": ideal})
        if tried:
            best, size = min([(seconds, 0), *tried])
            sample.values |= {"best_over_ideal": best / ideal, "best_seconds": best}
            sample.facts["best_chunk"] = size
        return sample


class StreamKeyed(Measure):
    """Timed: taking all results of `imap(key=...)` over 10,000 busy loops of 100 us (quick: 2,000) of 1,000 keys.

    How many items a key has follows Zipf's law (exponent 1.1, seeded): the hottest has one in six. Over the ideal:
    two workers that are never idle, or the items of the hottest key one after another, if that takes longer. That the
    items of each key come out in order is checked (`ordered=False`: each as soon as it may); "sticky": the same with
    `sticky=True`. No other library here has keys.
    """

    name = "stream_keyed"
    title = "keyed stream, 1,000 keys by Zipf's law"
    metrics = (
        Metric("over_ideal", "time over the ideal", "x"),
        Metric("sticky_over_ideal", "the same, a key's items on one worker", "x"),
    )
    baseline = "procession"
    repetitions = 3
    kinds = ("import",)

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        turns = max(1, round(StreamStragglers.light_seconds / (cell.turn_ns * 1e-9)))
        chance = random.Random(f"keyed {cell.repetition}")
        weights = [1 / rank**1.1 for rank in range(1, 1001)]
        keys = chance.choices(range(1000), weights, k=2_000 if cell.quick else 10_000)
        items = [(key, turn, turns) for turn, key in enumerate(keys)]
        hottest = max(Counter(keys).values())

        def once(sticky: bool) -> float:
            began = time.perf_counter()
            got = list(peer.keyed(work.burn_keyed, items, sticky))
            seconds = time.perf_counter() - began
            check(sorted(got), sorted(items))
            check([turn for _, turn, _ in sorted(got, key=itemgetter(0))], [turn for _, turn, _ in sorted(items)])
            return seconds

        with opened(peer):
            list(peer.keyed(work.burn_keyed, items[:200], sticky=False))
            before = _one(work, turns)
            seconds, sticky = once(sticky=False), once(sticky=True)
            one = min(before, _one(work, turns))
        ideal = one * max(len(items) / WORKERS, hottest)
        values = {"over_ideal": seconds / ideal, "sticky_over_ideal": sticky / ideal}
        return Sample(values, {"n": len(items), "ideal_s": ideal, "hottest": hottest})


class StreamMemory(Measure):
    """The most memory that this process takes over an ordered stream of 1 MB results, beyond what it took before.

    300 items (quick: 100); the consumer takes one, does nothing for 2 s, and takes the rest. Resident memory is looked
    at every 5 ms, shared memory included. procession is told `buffer_bytes=16 MiB`; the others have no such word.
    """

    name = "stream_memory"
    title = "ordered stream of 1 MB results, a consumer that stops for 2 s"
    metrics = (
        Metric("peak", "memory at its peak, beyond the start", "MiB"),
        Metric("seconds", "time, the 2 s included", "s"),
    )
    repetitions = 2
    kinds = ("import",)

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        count = 100 if cell.quick else 300
        with opened(peer):
            list(peer.stream(work.megabyte, [0] * 4))
            start, watch = _resident(), Watch()
            began = time.perf_counter()
            with watch:
                results = peer.stream(work.megabyte, list(range(count)), buffer_bytes=16 << 20)
                sizes = [len(next(results))]
                time.sleep(2)
                sizes += map(len, results)
            seconds = time.perf_counter() - began
            check(sizes, [1_000_000] * count)
        return Sample({"peak": (watch.most - start) / 2**20, "seconds": seconds}, {"n": count})


class Watch:
    """The most resident memory that was seen, by a thread that looks."""

    def __init__(self) -> None:
        self.most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_about: object) -> None:
        self._over.set()
        self._thread.join()

    def _serve(self) -> None:
        for _ in self._turns():
            self.most = max(self.most, _resident())

    def _turns(self) -> Iterator[None]:
        while not self._over.wait(0.005):
            yield


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


def _one(work: ModuleType, turns: int) -> float:
    """The seconds of one item in this process: the median of some."""
    times = []
    for _ in range(9):
        began = time.perf_counter()
        work.burn(turns)
        times.append(time.perf_counter() - began)
    return sorted(times)[4]
