"""The points of the curves. Each is a cell of its own, in a fresh process; `cell.amount` says how much of it."""

import gc
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from benchmarks.cell import Cell, NotAvailable, Sample
from benchmarks.measures.base import WORKERS, Measure, Metric, check, opened, percentile, pids_of_all, ramp
from benchmarks.peers.base import Peer

MEMORY_LIMIT = 4096
"""MiB that the program may take with all its queued tasks; `--memory` says another."""


class WorkersPoint(Measure):
    """Timed: n no-ops, submit and then result() of each, on `amount` workers that are all started and warm.

    n is 20,000, or less for a library that is slow (see `ramp`); then twice more, and the median counts. The parent's
    CPU time over the same stretch shows what it costs the program to have so many workers, however few cores they
    share. The round trip is the p50 of 500 `submit(...).result()`, one after the other.
    """

    name = "workers"
    title = "cost of a no-op on more workers than there are cores"
    metrics = (
        Metric("task", "a task, submit to result", "us"),
        Metric("cpu", "parent CPU a task", "us"),
        Metric("p50", "round trip, p50", "us"),
    )
    limit = 60.0

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        spent: list[tuple[float, float]] = []

        def once(n: int) -> float:
            items = range(n)
            cpu_began, began = time.process_time(), time.perf_counter()
            got = peer.submit_each(work.noop, items)
            seconds = time.perf_counter() - began
            spent.append((seconds, time.process_time() - cpu_began))
            check(got, items)
            return seconds

        workers = int(cell.amount)
        with opened(peer, workers):
            pids_of_all(peer, work, workers)
            n, _ = ramp(once, 20_000, cell)
            once(n)
            once(n)
            trips = [self._trip(peer, work, number) for number in range(500)]
        seconds, cpu = (statistics.median(column) / n * 1e6 for column in zip(*spent[-3:], strict=True))
        return Sample({"task": seconds, "cpu": cpu, "p50": percentile(trips, 50)}, {"n": n})

    def _trip(self, peer: Peer, work: ModuleType, number: int) -> float:
        began = time.perf_counter()
        got = peer.call(work.noop, number)
        seconds = time.perf_counter() - began
        check([got], [number])
        return seconds * 1e6


class QueuedPoint(Measure):
    """Timed: `amount` no-ops are submitted while a task holds each of two workers; then they run.

    The two tasks say through a named pipe that they have begun, and read another until the program writes to it. The
    memory: the resident set of the program, before and after the submits, over their number. It has all that a queued
    task costs its program: the Future, which the program keeps in a list, the arguments, what waits for a worker. The
    arguments are small whole numbers that exist already. Pages are of 4 kB, so a hundred tasks hardly show. Submit:
    until the last one is in. Rest: from before the release until result() of each has returned, in order. The
    collector of cycles runs as it would. A program that outgrows the limit of memory gives up, and says at which task.
    """

    name = "queued"
    title = "cost of a no-op behind others"
    metrics = (
        Metric("submit", "submit, a task", "us"),
        Metric("rest", "from release to result, a task", "us"),
        Metric("memory", "memory a queued task", "B"),
        Metric("peak", "peak of the program", "MiB"),
    )

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        n = int(cell.amount)
        with opened(peer):
            submit, take = getattr(peer, "submit"), getattr(peer, "take")  # noqa: B009
            pids_of_all(peer, work, WORKERS)
            gate = Gate(Path(cell.out).with_name("gate"))
            holds = [submit(work.hold, gate.path) for _ in range(WORKERS)]
            gate.wait_for(WORKERS)
            gc.collect()
            before, began = resident(), time.perf_counter()
            try:
                handles = []
                for index in range(n):
                    handles.append(submit(work.noop, index & 127))
                    if not index % 10_000:
                        _within_limit(index)
                submitted, after, began = time.perf_counter() - began, resident(), time.perf_counter()
            finally:  # whatever happens: those who are held would keep the program from ending
                gate.release(WORKERS)
            right = all(take(handle) == index & 127 for index, handle in enumerate(handles))
            rest = time.perf_counter() - began
            if not right or len([take(each) for each in holds]) != WORKERS:
                raise AssertionError("wrong results")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        values = {"submit": submitted / n * 1e6, "rest": rest / n * 1e6, "memory": (after - before) / n, "peak": peak}
        return Sample(values, {"before_mib": before / 2**20, "after_mib": after / 2**20})


class Gate:
    """Two named pipes at which tasks say that they are here, and wait (`workloads.hold`)."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        ends = []
        for name in (self.path, self.path + ".here"):
            Path(name).unlink(missing_ok=True)
            os.mkfifo(name)
            # Both ends: so opening waits for nobody, and no end of file comes when one of the tasks has left.
            ends.append(os.open(name, os.O_RDWR))
        self._opening, self._here = ends

    def wait_for(self, tasks: int) -> None:
        """Until so many tasks are here."""
        for _ in range(tasks):
            os.read(self._here, 1)

    def release(self, tasks: int) -> None:
        """Let so many go."""
        os.write(self._opening, b"x" * tasks)


def resident() -> int:
    """The resident set of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _within_limit(queued: int) -> None:
    limit = int(os.environ.get("BENCHMARKS_MEMORY", MEMORY_LIMIT))
    if resident() > limit * 2**20:
        raise NotAvailable(f"the limit of {limit} MiB was reached with {queued:,} tasks")


LENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Seconds of work in a task."""
WAYS = ("map", "submit")


def length_name(seconds: float) -> str:
    """The length for a person and for a key."""
    return f"{seconds * 1e3:g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:g} us"


class ScalingPoint(Measure):
    """Timed: equal busy loops on `amount` workers, by `map` with nothing tuned and by submit and result() of each.

    The loops count turns: as many as take 1 us to 100 ms on one undisturbed core at the start of the run. There are as
    many as would take 0.35 s if the workers shared them out for nothing (at most 200,000; fewer for a library that is
    slow, see `ramp`). The speed-up is the work, by the undisturbed core, over the time. The control (forks that have
    their share beforehand) shows what the machine itself gives to so many processes.
    """

    name = "scaling"
    title = "real work on more cores"
    metrics = tuple(
        Metric(f"{way} {length_name(length)}", f"{way}, tasks of {length_name(length)}", "x", higher=True)
        for way in WAYS
        for length in LENGTHS
    )
    limit = 120.0
    wall = 0.35

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        workers = int(cell.amount)
        turns = {length: turns_for(work, length, cell.turn_ns) for length in LENGTHS}
        values = {}
        with opened(peer, workers):
            if self.name not in peer.controls:
                pids_of_all(peer, work, workers)
            for way in WAYS[:1] if self.name in peer.controls else WAYS:
                for length in LENGTHS:
                    nominal = min(200_000, max(2, round(self.wall / length)) * workers)
                    n, seconds = ramp(self._run(peer, work, way, turns[length]), nominal, cell)
                    values[f"{way} {length_name(length)}"] = n * length / seconds
        return Sample(values)

    def _run(self, peer: Peer, work: ModuleType, way: str, turns: int) -> Callable[[int], float]:

        def once(n: int) -> float:
            items = [turns] * n
            began = time.perf_counter()
            got = peer.map(work.burn, items) if way == "map" else peer.submit_each(work.burn, items)
            seconds = time.perf_counter() - began
            check(got, items)
            return seconds

        return once


def turns_for(work: ModuleType, length: float, turn_ns: float) -> int:
    """The turns that take so long, with the call around them: a turn of a short loop costs less than of a long one."""
    turns = max(1, round(length / turn_ns * 1e9))
    if length > 1e-3:
        return turns
    times = []
    for _ in range(100):
        began = time.perf_counter()
        work.burn(turns)
        times.append(time.perf_counter() - began)
    return max(1, round(turns * length / min(times)))


GROWTH: dict[str, Measure] = {each.name: each for each in (WorkersPoint(), QueuedPoint(), ScalingPoint())}
