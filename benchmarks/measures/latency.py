"""How long one task takes there and back."""

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator
from types import ModuleType

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import WORKERS, Measure, Metric, check, opened, percentile, pids_of_all
from benchmarks.peers.base import Peer


class Roundtrip(Measure):
    """Timed: each single `submit(...).result()` of a no-op, by itself; both workers warm.

    Hot: the next follows at once. Cold: after 2 ms of sleep, so that cores, caches and threads have gone idle, as
    they have in a program that loops over something else. Each series ends after 2,000 (cold: 150) or 0.4 s,
    but not before 40; a p99 of so few is near the maximum. The control, raw-pipe, is a byte through a pipe to another
    process and one back, timed by the same lines: what blocking and waking cost by themselves.
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
            _warm(peer, work, self.name)
            hot = _series(peer, work, 2_000, budget=0.4, idle=0.0)
            cold = _series(peer, work, 150, budget=0.4, idle=0.002)
        values = {
            "hot_p50": percentile(hot, 50),
            "hot_p99": percentile(hot, 99),
            "cold_p50": percentile(cold, 50),
            "cold_p99": percentile(cold, 99),
        }
        return Sample(values, {"n": len(hot), "n_cold": len(cold)})


class RoundtripBusy(Measure):
    """Timed: each single `submit(...).result()` of a no-op while another thread of the program runs Python code.

    The other thread is a loop that counts, so it holds the GIL whenever it can and gives it up only when somebody has
    waited for the switch interval, 5 ms by default and here: whatever blocks in the caller, or runs in a further
    thread of the library, may wait so long each time. The program sleeps 1 ms before each round trip, so that the other
    thread is awake and runs. An answer that comes before it has been told that the GIL is free (some 50 us, where its
    core has to wake up) escapes that wait; which kind is the rarer may differ from process to process, and the mean
    shows it. The series ends after 1 s, but not before 40 round trips.
    """

    name = "roundtrip_busy"
    title = "round trip beside a busy Python thread"
    metrics = (Metric("p50", "p50", "us"), Metric("p99", "p99", "us"), Metric("mean", "mean", "us"))
    repetitions = 3
    kinds = ("import",)
    peers = ("ppe", "mp-pool", "loky", "pebble", "raw-pipe", "procession-pure", "procession")

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        with opened(peer):
            _warm(peer, work, self.name)
            with busy_thread():
                micros = _series(peer, work, 2_000, budget=1.0, idle=0.001)
        values = {"p50": percentile(micros, 50), "p99": percentile(micros, 99), "mean": statistics.mean(micros)}
        return Sample(values, {"n": len(micros)})


@contextlib.contextmanager
def busy_thread() -> Iterator[None]:
    """A thread that counts in pure Python while the block runs."""
    stop = False

    def count() -> None:
        turns = 0
        while not stop:
            turns += 1

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop = True
        thread.join()


def _warm(peer: Peer, work: ModuleType, measure: str) -> None:
    if measure not in peer.controls:
        pids_of_all(peer, work, WORKERS)
    _series(peer, work, 200, budget=0.1, idle=0.0)


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
