"""The spin-off: a loop that puts items in and takes, without waiting, what is ready."""

import gc
import sys
import time
from types import ModuleType
from typing import Any

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import Measure, Metric, check
from benchmarks.peers.base import Peer, Work


class SpinoffSmall(Measure):
    """Timed: from the first `put` of 50,000 ints (quick: 15,000) until the last result has been taken, in order.

    The program loops: put an item, drain what is ready, again; then it waits for the rest. One worker process runs a
    no-op, started and warm before. Nobody is bounded, so that one thread that puts and takes cannot block itself: the
    hand-written worker has unbounded queues, as such workers have, faster-fifo's have room enough, and procession gets
    maxsize=0.
    """

    name = "spinoff_small"
    title = "spin-off, small items in and results out"
    metrics = (Metric("rate", "items a second", "/s", higher=True),)
    baseline = "hand-written"

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        items = range(15_000 if cell.quick else 50_000)
        got, seconds = looped(peer, work.noop, items)
        check(got, items)
        return Sample({"rate": len(items) / seconds}, {"n": len(items)})


class SpinoffLarge(Measure):
    """Timed: as for `spinoff_small`, with bytes objects of 1 MB going in and their length coming back.

    300 items (quick: 150), each another object. The loop takes a result before it puts more when 64 items are under
    way, so that nobody piles up memory.
    """

    name = "spinoff_large"
    title = "spin-off, 1 MB bytes in"
    metrics = (Metric("rate", "items a second", "/s", higher=True),)
    baseline = "hand-written"

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        items = [bytes([1 + i % 200]) * 1_000_000 for i in range(150 if cell.quick else 300)]
        got, seconds = looped(peer, work.size, items, most=64)
        check(got, [1_000_000] * len(items))
        return Sample({"rate": len(items) / seconds}, {"n": len(items)})


def looped(peer: Peer, fn: Work, items: Any, most: int = sys.maxsize) -> tuple[list[Any], float]:
    """Run the loop over `items`, `most` of them under way; the results and the seconds."""
    peer.open_spinoff(fn)
    put, ready, following = peer.put, peer.ready, peer.following()
    for item in items[:20]:
        put(item)
        next(following)
    gc.collect()
    got: list[Any] = []
    began = time.perf_counter()
    for index, item in enumerate(items):
        if index - len(got) >= most:
            got.append(next(following))
        put(item)
        got.extend(ready())
    while len(got) < len(items):
        got.append(next(following))
    seconds = time.perf_counter() - began
    peer.close()
    return got, seconds
