"""How long one task takes there and back."""

import time
from types import ModuleType

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import Measure, Metric, check, opened, percentile, pids_of_all
from benchmarks.peers.base import Peer


class Roundtrip(Measure):
    """Timed: each single `submit(...).result()` of a no-op, by itself; both workers warm.

    Hot: the next follows at once. Cold: after 2 ms of sleep, so that cores, caches and threads have gone idle, as
    they have in a program that loops over something else. Each series ends after 2,000 (cold: 150) or 0.4 s,
    but not before 40; a p99 of so few is near the maximum.
    """

    name = "roundtrip"
    title = "round trip: submit one, result(), again"
    metrics = (
        Metric("hot_p50", "hot, p50", "us"),
        Metric("hot_p99", "hot, p99", "us"),
        Metric("cold_p50", "2 ms idle before each, p50", "us"),
        Metric("cold_p99", "2 ms idle before each, p99", "us"),
    )

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        with opened(peer):
            pids_of_all(peer, work, workers=2)
            _series(peer, work, 200, budget=0.1, idle=0.0)
            hot = _series(peer, work, 2_000, budget=0.4, idle=0.0)
            cold = _series(peer, work, 150, budget=0.4, idle=0.002)
        values = {
            "hot_p50": percentile(hot, 50),
            "hot_p99": percentile(hot, 99),
            "cold_p50": percentile(cold, 50),
            "cold_p99": percentile(cold, 99),
        }
        return Sample(values, {"n": len(hot), "n_cold": len(cold)})


def _series(peer: Peer, work: ModuleType, most: int, budget: float, idle: float) -> list[float]:
    call, noop = peer.call, work.noop
    micros: list[float] = []
    until = time.perf_counter() + budget
    while len(micros) < most and (len(micros) < 40 or time.perf_counter() < until):
        if idle:
            time.sleep(idle)
        began = time.perf_counter_ns()
        got = call(noop, len(micros))
        micros.append((time.perf_counter_ns() - began) / 1e3)
        check([got], [len(micros) - 1])
    return micros
