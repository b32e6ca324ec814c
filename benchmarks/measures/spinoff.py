"""The spin-off: a loop that puts items in and takes, without waiting, what is ready."""

import gc
import time
from types import ModuleType
from typing import Any

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import Measure, Metric, check
from benchmarks.peers.base import Peer, Work


class SpinoffSmall(Measure):
    """Timed: from the first `put` of 50,000 ints (quick: 15,000) until the last result has been taken, in order.

    The program loops: put an item, drain what is ready, again; then it waits for the rest. One worker process runs a
    no-op, started and warm before. The hand-written worker has unbounded queues, as such workers have; procession has
    its default bound.
    """

    name = "spinoff_small"
    title = "spin-off, small items in and results out"
    metrics = (Metric("rate", "items a second", "/s", higher=True),)
    baseline = "hand-written"

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        items = range(15_000 if cell.quick else 50_000)
        got, seconds = looped(peer, work.noop, items, maxsize=None)
        check(got, items)
        return Sample({"rate": len(items) / seconds}, {"n": len(items)})


class SpinoffLarge(Measure):
    """Timed: as for `spinoff_small`, with bytes objects of 1 MB going in and their length coming back.

    300 items (quick: 150), each another object. Both sides are bounded at 64 items, so that neither piles up memory.
    """

    name = "spinoff_large"
    title = "spin-off, 1 MB bytes in"
    metrics = (Metric("rate", "items a second", "/s", higher=True),)
    baseline = "hand-written"

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        kept = [bytes([1 + i]) * 1_000_000 for i in range(30)]
        items = kept * (5 if cell.quick else 10)
        got, seconds = looped(peer, work.size, items, maxsize=64)
        check(got, [1_000_000] * len(items))
        return Sample({"rate": len(items) / seconds}, {"n": len(items)})


def looped(peer: Peer, fn: Work, items: Any, maxsize: int | None) -> tuple[list[Any], float]:
    """Run the loop over `items`; the results and the seconds."""
    peer.open_spinoff(fn, maxsize)
    put, ready, following = peer.put, peer.ready, peer.following()
    for item in items[:20]:
        put(item)
        next(following)
    gc.collect()
    got: list[Any] = []
    began = time.perf_counter()
    for item in items:
        put(item)
        got.extend(ready())
    while len(got) < len(items):
        got.append(next(following))
    seconds = time.perf_counter() - began
    peer.close()
    return got, seconds
