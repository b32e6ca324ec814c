"""How many no-ops a second go through submit."""

import time
from types import ModuleType

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import Measure, Metric, check, opened, ramp
from benchmarks.peers.base import Peer


class SubmitResult(Measure):
    """Timed: from before the first `submit` of n tasks until `result()` of each has returned, one after the other.

    n is 100,000 (quick: 20,000), or less for a library that is slow (see `ramp`). The pool is open and warm; two
    workers. The parent's CPU time over the same stretch, all its threads, gives the cost of a task to the program.
    """

    name = "submit_result"
    title = "submit 100,000, then result() of each"
    metrics = (
        Metric("rate", "tasks a second", "/s", higher=True),
        Metric("parent_cpu", "parent CPU time a task", "us"),
    )

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        cpu = 0.0

        def once(n: int) -> float:
            nonlocal cpu
            items = range(n)
            cpu_began, began = time.process_time(), time.perf_counter()
            got = peer.submit_each(work.noop, items)
            seconds = time.perf_counter() - began
            cpu = time.process_time() - cpu_began
            check(got, items)
            return seconds

        with opened(peer):
            n, seconds = ramp(once, 20_000 if cell.quick else 100_000, cell)
        return Sample({"rate": n / seconds, "parent_cpu": cpu / n * 1e6}, {"n": n})


class SubmitWait(Measure):
    """Timed: from before the first `submit` of n tasks until `concurrent.futures.wait` on all has returned.

    n as for `submit_result`. Only for libraries whose handles are `concurrent.futures.Future`s. That every future
    has its result is checked afterwards, untimed.
    """

    name = "submit_wait"
    title = "submit 100,000, then concurrent.futures.wait"
    metrics = (Metric("rate", "tasks a second", "/s", higher=True),)

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        def once(n: int) -> float:
            items = range(n)
            began = time.perf_counter()
            futures = peer.submit_wait(work.noop, items)
            seconds = time.perf_counter() - began
            check([future.result(timeout=0) for future in futures], items)
            return seconds

        with opened(peer):
            n, seconds = ramp(once, 20_000 if cell.quick else 100_000, cell)
        return Sample({"rate": n / seconds}, {"n": n})
