"""Pools that nobody shuts down, and a thousand of them."""

import gc
import time
import warnings

import pytest

from procession import Pool, SpinOff
from tests import leaks
from tests.failures import tasks
from tests.failures.kit import (
    Gate,
    Notes,
    descendants,
    descriptors_now,
    resident_mib,
    segments_since,
    threads_now,
    wait_until,
)

BACKENDS = ["processes", "threads"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_its_queued_work_is_done(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: A pool is dropped without shutdown. Its queued work still finishes, then nothing is left of it."""
    pool = Pool(2, backend=backend)
    running = pool.submit(tasks.held, notes.path, gate.path, -1)
    futures = [pool.submit(tasks.noted, notes.path, i) for i in range(100)]
    notes.wait(1)
    del pool
    gc.collect()
    gate.open()
    assert running.result(60) == -1
    assert [future.result(60) for future in futures] == list(range(100))


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_its_futures(backend: str, notes: Notes) -> None:
    """Row: A pool is dropped without shutdown. Even when nobody holds the futures either."""
    Pool(2, backend=backend).submit(tasks.noted, notes.path, 1)
    pool = Pool(1, backend=backend)
    for i in range(20):
        pool.submit(tasks.noted, notes.path, i)
    del pool
    gc.collect()
    notes.wait(21)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dropped_iterator(backend: str) -> None:
    """Row: A pool is dropped without shutdown. A map iterator outlives its pool; an imap iterator that was begun and
    dropped ends quietly, one never begun warns."""
    results = Pool(2, backend=backend).map(tasks.double, range(100))
    gc.collect()
    assert list(results) == [2 * n for n in range(100)]
    with Pool(2, backend=backend) as pool:
        begun = pool.imap(tasks.double, range(10_000))
        assert next(begun) == 0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del begun
            gc.collect()
        with pytest.warns(RuntimeWarning):
            drop_an_iterator(pool)
        assert pool.submit(tasks.double, 4).result(60) == 8


def drop_an_iterator(pool: Pool) -> None:
    pool.imap(tasks.double, range(10))
    gc.collect()


def a_thousand(make, count: int) -> None:
    """Make, use and drop `count` of them; what they leave is compared."""
    for _ in range(5):
        make()
    gc.collect()
    settle = {"threads": threads_now(), "descriptors": descriptors_now(), "processes": len(descendants(self_pid()))}
    segments = leaks.segments()
    resident = resident_mib()
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(count):
            make()
        gc.collect()

    def now() -> dict[str, int]:
        return {"threads": threads_now(), "descriptors": descriptors_now(), "processes": len(descendants(self_pid()))}

    wait_until(lambda: all(now()[word] <= settle[word] for word in settle), f"as before: {settle}; now {now()}")
    grown = resident_mib() - resident
    print(
        f"{count} of them in {time.perf_counter() - start:.1f} s: before {settle}, after {now()}, "
        f"RSS {resident:.1f} -> {resident + grown:.1f} MiB"
    )
    assert segments_since(segments) == []
    assert grown < 20


def self_pid() -> int:
    import os

    return os.getpid()


def one_pool(backend: str, close: bool) -> None:
    pool = Pool(2, backend=backend)
    assert pool.submit(tasks.double, 2).result(60) == 4
    if close:
        pool.shutdown()


def one_spinoff(backend: str) -> None:
    with SpinOff(tasks.double, backend=backend) as spin:
        spin.put(2)
    assert list(spin) == [4]


# A pool that is shut down takes its zygote with it, so each costs an interpreter's start: 1,000 of them are for soak.
SOAK = pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])
COUNTS = [25, SOAK]


@pytest.mark.parametrize("count", [100, SOAK])
def test_a_thousand_pools(count: int) -> None:
    """Row: A pool is dropped without shutdown. 1,000 pools one after another leave no thread, process, descriptor,
    segment or warning, and memory stays."""
    a_thousand(lambda: one_pool("processes", close=False), count)


@pytest.mark.parametrize("count", COUNTS)
def test_pools_that_are_shut_down(count: int) -> None:
    """Row: A pool is dropped without shutdown. Nor do pools that were shut down, with a zygote each."""
    a_thousand(lambda: one_pool("processes", close=True), count)


def test_a_thousand_pools_of_threads() -> None:
    """Row: A pool is dropped without shutdown. The same on threads, all 1,000 in the default run."""
    a_thousand(lambda: one_pool("threads", False), 1000)


@pytest.mark.parametrize("count", COUNTS)
def test_a_thousand_spinoffs(count: int) -> None:
    """Row: A pool is dropped without shutdown. Spin-offs, one after another, leave nothing either."""
    a_thousand(lambda: one_spinoff("processes"), count)
