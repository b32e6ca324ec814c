"""Traces and observers of the chaos: begun and ended at random. A recording keeps its laws; an observer is told in
order, of no run twice, and of nothing when it is closed; none breaks off."""

import logging
import random
import warnings
from typing import TYPE_CHECKING

from procession import observe, trace
from procession.events import Event, PoolClosed, PoolOpened, TaskEnded, WorkerEnded, WorkerStarted
from tests.seeing.test_tracing import keeps_the_laws

if TYPE_CHECKING:
    from tests.soak.load import Load


class _Broken(logging.Handler):
    """What a pool says that cannot be traced any further."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "traced" in record.msg:
            self.texts.append(self.format(record))


def traced(load: "Load", rng: random.Random, who: str) -> None:
    """One trace of what the others do meanwhile."""
    broken = _Broken()
    logger = logging.getLogger("procession")
    logger.addHandler(broken)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            with trace(None) as found:
                load.stop.wait(rng.uniform(0.01, 2.0))
    finally:
        logger.removeHandler(broken)
    if broken.texts:
        raise AssertionError(f"{who}: {broken.texts[0]}")
    keeps_the_laws(found.recording, alone=False)
    load.book.counts["traces"] += 1
    load.book.counts["traced runs"] += len(found.recording)


class _Ear:
    """Holds what it is told against the laws; what breaks them is raised, and so ends the observer."""

    def __init__(self) -> None:
        self.count = 0
        self.pools: set[int] = set()
        self.workers: set[tuple[int, int]] = set()
        self.runs: set[tuple[object, ...]] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case PoolOpened(pool=pool):
                assert pool.number not in self.pools, event
                self.pools.add(pool.number)
            case PoolClosed(pool=pool):
                self.pools.remove(pool.number)
                assert not [each for each in self.workers if each[0] == pool.number], event
            case WorkerStarted(pool=pool, worker=worker):
                assert (pool.number, worker) not in self.workers, event
                assert pool.number in self.pools, event
                self.workers.add((pool.number, worker))
            case WorkerEnded(pool=pool, worker=worker, reason=reason):
                assert (pool.number, worker) in self.workers or reason, event
                self.workers.discard((pool.number, worker))
            case TaskEnded():
                self._ran(event)

    def _ran(self, event: TaskEnded) -> None:
        self.count += 1
        assert event.pool.number in self.pools, event
        assert event.worker is not None or event.started_ns is None, event
        if event.stream is not None and event.stream.kind != "pipeline":  # there many may come of one item
            run = event.stream.number, event.pool.number, event.function, event.index, event.attempt
            assert run not in self.runs, event
            self.runs.add(run)


def observed(load: "Load", rng: random.Random, who: str) -> None:
    """One observer of what the others do meanwhile."""
    ear = _Ear()
    with observe(ear) as observer:
        load.stop.wait(rng.uniform(0.01, 2.0))
    told = ear.count
    if observer.error is not None:
        raise AssertionError(f"{who}: {observer.error!r}")
    assert ear.count == told
    load.book.counts["observers"] += 1
    load.book.counts["observed runs"] += told


WAYS = (traced, observed)
