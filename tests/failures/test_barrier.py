"""n workers, n tasks that wait for each other: a task never waits behind a running one while a worker idles."""

from itertools import repeat
from pathlib import Path

import pytest

from procession import Pool, SpinOff
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, write_fifo

kept_zygote = warm.keep()

BACKENDS = ["processes", "threads"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("workers", [2, 4, 8])
def test_submitted_cold(backend: str, workers: int, notes: Notes) -> None:
    """Row: Tasks that wait for each other. All n of a barrier run at once, in a pool that has run nothing yet."""
    with Pool(workers, backend=backend) as pool:
        futures = [pool.submit(tasks.barrier, notes.path, workers) for _ in range(workers)]
        assert [future.result(60) for future in futures] == [True] * workers


@pytest.mark.parametrize("backend", BACKENDS)
def test_submitted_behind_a_burst(backend: str, notes: Notes) -> None:
    """Row: Tasks that wait for each other. Behind 10,000 cheap tasks of the same function, in one burst: their
    measured cost makes long leases, and the barrier must not be locked up in one."""
    with Pool(4, backend=backend) as pool:
        cheap = [pool.submit(tasks.role, "double", n) for n in range(10_000)]
        barrier = [pool.submit(tasks.role, "barrier", notes.path, 4) for _ in range(4)]
        assert [future.result(60) for future in barrier] == [True] * 4
        assert [future.result(60) for future in cheap] == [2 * n for n in range(10_000)]


def test_behind_a_lone_call(notes: Notes, gate: Gate, tmp_path: Path) -> None:
    """Row: Tasks that wait for each other. One worker is lent to a caller who calls one by one. While it runs a call of
    his, both of a barrier go to the other worker: the second must not stay there when the lent one is through."""
    held = Notes(tmp_path / "held")
    with Pool(2) as pool:
        warm = [pool.submit(tasks.barrier, str(tmp_path / "warm"), 2) for _ in range(2)]
        assert [future.result(60) for future in warm] == [True] * 2
        for n in range(200):
            assert pool.submit(tasks.role, "double", n).result(60) == 2 * n
        lone = pool.submit(tasks.role, "held", held.path, gate.path)
        held.wait()
        barrier = [pool.submit(tasks.role, "barrier", notes.path, 2) for _ in range(2)]
        notes.wait()
        gate.open()
        assert [future.result(60) for future in barrier] == [True] * 2
        assert lone.result(60) is None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("door", ["map", "imap", "unordered"])
def test_mapped_behind_a_burst(backend: str, door: str, notes: Notes) -> None:
    """Row: Tasks that wait for each other. The same within one map, imap, imap_unordered: in one stream of chunks."""
    items = [("double", n) for n in range(10_000)] + [("barrier", notes.path, 4)] * 4
    with Pool(4, backend=backend) as pool:
        call = {"map": pool.map, "imap": pool.imap, "unordered": pool.imap_unordered}[door]
        words = {} if door == "map" else {"window": 20_000}
        got = list(call(tasks.role_of, items, **words))
    if door == "unordered":
        got = sorted((v for v in got if v is not True), key=int) + [v for v in got if v is True]
    assert got[-4:] == [True] * 4
    assert got[:-4] == [2 * n for n in range(10_000)]


@pytest.mark.parametrize("chunksize", [1, 3, 8, 100])
def test_in_one_chunk(chunksize: int, notes: Notes) -> None:
    """Row: Tasks that wait for each other. Also when `chunksize` puts the whole barrier into one chunk: chunksize
    never changes semantics."""
    with Pool(3) as pool:
        assert list(pool.map(tasks.barrier, repeat(notes.path, 3), repeat(3), chunksize=chunksize)) == [True] * 3


def test_behind_a_worker_that_holds_the_gil(notes: Notes, fifo: str, tmp_path) -> None:
    """Row: Tasks that wait for each other. One worker is in C and holds the GIL: it cannot answer anything, and what
    waits behind it in its lease runs elsewhere all the same."""
    stuck = Notes(tmp_path / "stuck")
    with Pool(3) as pool:
        warm = [pool.submit(tasks.role, "double", n) for n in range(10_000)]
        holder = pool.submit(tasks.role, "hold_gil_until", stuck.path, fifo)
        after = [pool.submit(tasks.role, "double", n) for n in range(1000)]
        barrier = [pool.submit(tasks.role, "barrier", notes.path, 2) for _ in range(2)]
        assert [future.result(60) for future in barrier] == [True] * 2
        assert [future.result(60) for future in warm + after] == [2 * n for n in [*range(10_000), *range(1000)]]
        assert not holder.done()
        write_fifo(fifo)
        assert holder.result(60) == "held"


def test_in_a_map_with_one_that_holds_the_gil(notes: Notes, fifo: str, tmp_path) -> None:
    """Row: Tasks that wait for each other. The same inside one chunk of imap_unordered: its chunk-mates come out."""
    stuck = Notes(tmp_path / "stuck")
    items = [("double", n) for n in range(5000)]
    items.insert(2500, ("hold_gil_until", stuck.path, fifo))
    items += [("barrier", notes.path, 2)] * 2
    with Pool(3) as pool:
        stream = pool.imap_unordered(tasks.role_of, items, window=10_000)
        got = [next(stream) for _ in range(5002)]
        assert "held" not in got
        write_fifo(fifo)
        assert next(stream) == "held"
        assert list(stream) == []


def test_a_straggler_holds_nobody_back(notes: Notes, gate: Gate) -> None:
    """Row: Tasks that wait for each other. 10,000 tasks with one that waits for a gate: all others are done while it
    waits."""
    with Pool(2) as pool:
        futures = [
            pool.submit(tasks.role, "held", notes.path, gate.path) if n == 137 else pool.submit(tasks.role, "double", n)
            for n in range(10_000)
        ]
        assert all(future.result(60) == 2 * n for n, future in enumerate(futures) if n != 137)
        assert not futures[137].done()
        gate.open()
        assert futures[137].result(60) is None


def test_spinoff_workers(notes: Notes) -> None:
    """Row: Tasks that wait for each other. n items of a spin-off with n workers run at once."""
    with SpinOff(barrier_item, workers=3) as spin:
        for _ in range(3):
            spin.put((notes.path, 3))
    assert list(spin) == [True] * 3


def barrier_item(item: tuple[str, int]) -> bool:
    return tasks.barrier(*item)
