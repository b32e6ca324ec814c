"""What a measure is, and the few ways of timing that several of them share."""

import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Literal, TypeVar

from benchmarks.cell import KINDS, Cell, Kind, Sample
from benchmarks.peers.base import Peer, Work

Unit = Literal["/s", "us", "ms", "s", "B", "MiB", "x"]
T = TypeVar("T", bound=Peer)

WORKERS = 2


@dataclass(frozen=True)
class Metric:
    """One number of a measure; `higher` says whether more is better."""

    key: str
    title: str
    unit: Unit
    higher: bool = False


class Measure(ABC):
    """One thing to time. The docstring of each says what exactly lies between the two clock readings."""

    name: ClassVar[str]
    title: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    baseline: ClassVar[str] = "ppe"
    """The peer to which the report's ratios are."""
    repetitions: ClassVar[int | None] = None
    """At most so many, for a measure that is long or hardly varies; a third of it in a quick run."""
    limit: ClassVar[float] = 40.0
    """Seconds after which a cell hangs: some ten times what the slowest peer needs."""
    peers: ClassVar[tuple[str, ...] | None] = None
    """Only these take part, if the measure is too long for all."""
    kinds: ClassVar[tuple[Kind, ...]] = KINDS
    """The kinds of function that it is run with; one, where the kind cannot matter to what is timed."""

    @abstractmethod
    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        """Measure `peer` with the functions in `work`."""

    def takes(self, peer: type[Peer]) -> bool:
        """Whether `peer` takes part."""
        return self.name in peer.measures and (self.peers is None or peer.name in self.peers)


@contextmanager
def opened(peer: T, workers: int = WORKERS) -> Iterator[T]:
    """`peer` with its pool open; closing it counts as part of the cell (and may hang), though it is not timed."""
    peer.open(workers)
    yield peer
    peer.close()


def check(got: Sequence[Any], expected: Sequence[Any]) -> None:
    """Fail the cell when the library did not do what was timed."""
    if len(got) != len(expected) or any(a != b for a, b in zip(got, expected, strict=True)):
        raise AssertionError(f"wrong results: {got[:3]!r}... instead of {expected[:3]!r}...")


def ramp(run: Callable[[int], float], nominal: int, cell: Cell) -> tuple[int, float]:
    """Call `run(n)` with growing n until it lasts 0.3 s or n is `nominal`; the last n and its seconds.

    So that a library that needs 130 us a task does not hold up the bench for the 100,000 tasks of one that needs
    3: the time per task is the figure, and the report says at which n. Fewer tasks flatter who gets them (nothing
    grows, the garbage collector has less to look at), so procession's advantage comes out too small rather than too
    large; at size "full" everybody gets `nominal`. The first run, and the shorter ones, serve as the warm-up.
    """
    enough = 0.3
    n = min(500, nominal)
    run(n)
    if cell.size == "full":
        n = nominal
    while True:
        gc.collect()
        seconds = run(n)
        if n >= nominal or seconds >= enough:
            return n, seconds
        # Aim at twice `enough`, but distrust what a very short run says about a long one.
        n = min(nominal, int(n * min(8.0, max(2.0, 2 * enough / seconds))))


def pids_of_all(peer: Peer, work: ModuleType, workers: int, prime: tuple[Work, Any] | None = None) -> set[int]:
    """Have every worker run `prime`, a function that lingers and gives its pid, and its item; their pids."""
    fn, item = prime or (work.prime, (0, 0.05))
    pids: set[int] = set()
    deadline = time.monotonic() + 15.0
    while len(pids) < workers:
        if time.monotonic() > deadline:
            raise AssertionError(f"after 15 s only {len(pids)} of {workers} workers had taken a task")
        pids.update(peer.submit_each(fn, [item] * workers))
    return pids


def best_of(once: Callable[[int | None], float], sizes: Sequence[int], own: float) -> tuple[float, int]:
    """The seconds of `once` at the best chunk size, and that size (0: the library's own, which has taken `own`).

    Each is tried once, and the best asked again: the first time of the best would be the luckiest of several.
    """
    tried = [(own, 0), *((once(size), size) for size in sizes)]
    best = min(tried)[1]
    return once(best or None), best


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]
