"""Large objects there and back."""

import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import WORKERS, Measure, Metric, opened, pids_of_all
from benchmarks.peers.base import Peer

NBYTES = 64_000_000


class Payload(Measure):
    """Timed: one round trip that carries 64 MB one way, as bytes and as a numpy array, as argument and as result.

    The other way goes a number. The object exists already (in the worker, too: built there before, so that only the
    sending is timed), and each direction has gone once before, so that buffers which the library keeps are warm. The
    mean of 2 (quick: 1). Each is read at its end only: a library that maps memory is not charged for reading it. Each
    time it is the same object, so one that remembers what it has sent would be fast here; `array_64mb` is the measure
    that shuts this out. Not with functions of `__main__`: their kind does not matter to 64 MB.
    """

    name = "payload"
    title = "64 MB there or back"
    metrics = (
        Metric("bytes_in", "bytes as argument", "ms"),
        Metric("array_in", "array as argument", "ms"),
        Metric("bytes_out", "bytes as result", "ms"),
        Metric("array_out", "array as result", "ms"),
    )
    repetitions = 1
    kinds = ("import",)

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        times = 1 if cell.quick else 2
        work.prime((NBYTES, 0.0))
        values: dict[str, float] = {}
        with opened(peer):
            pids_of_all(peer, work, WORKERS, (work.prime, (NBYTES, 0.05)))
            for kind in ("bytes", "array"):
                data = work.give(kind)
                values[f"{kind}_in"] = _millis(partial(peer.call, work.size, data), len(data), times)
                values[f"{kind}_out"] = _millis(partial(_length, peer, work, kind), len(data), times)
        return Sample(values, {"times": times})


def _length(peer: Peer, work: ModuleType, kind: str) -> int:
    return len(peer.call(work.give, kind))


def _millis(call: Callable[[], Any], expected: int, times: int) -> float:
    """Milliseconds of a call, the first one not counted."""
    spent = 0.0
    for index in range(times + 1):
        began = time.perf_counter()
        got = call()
        seconds = time.perf_counter() - began
        if got != expected:
            raise AssertionError(f"{got} items arrived instead of {expected}")
        spent += seconds if index else 0.0
    return spent / times * 1e3
