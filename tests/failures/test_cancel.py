"""Cancelling what waits: quick, and truthful."""

import time
from concurrent.futures import CancelledError, as_completed, wait

import pytest

from procession import Pool, SpinOff
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, gone, seeded

kept_zygote = warm.keep()

BACKENDS = ["processes", "threads"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_ten_thousand(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: 10,000 queued tasks are cancelled. Behind tasks that run: each `cancel()` is True, quick, and kept."""
    ran = Notes(tasks_file(notes))
    with Pool(2, backend=backend) as pool:
        running = [pool.submit(tasks.held, notes.path, gate.path, i) for i in range(2)]
        notes.wait(2)
        futures = [pool.submit(tasks.noted, ran.path, i) for i in range(10_000)]
        start = time.perf_counter()
        answers = [future.cancel() for future in futures]
        seconds = time.perf_counter() - start
        print(f"10,000 cancels in {seconds:.3f} s")
        assert seconds < 10
        gate.open()
        assert [future.result(60) for future in running] == [0, 1]
        wait(futures, 60)
    check(futures, answers, ran)
    assert sum(answers) >= 9_900  # what a worker holds already may not come back; that is a handful


def tasks_file(notes: Notes):
    from pathlib import Path

    return Path(notes.path).with_name("ran")


def check(futures, answers, ran: Notes, kills: bool = False) -> None:
    """True means that it never ran, or that it was killed while it ran; False that it ran. Nothing ran twice."""
    started = list(map(int, ran.lines()))
    assert len(started) == len(set(started))
    if kills:
        started = [i for i in started if not answers[i]]
    for i, (future, answer) in enumerate(zip(futures, answers, strict=True)):
        assert future.done()
        assert future.cancelled() == answer, i
        if answer:
            with pytest.raises(CancelledError):
                future.result(0)
        else:
            assert future.result(0) == i
    assert set(started) == {i for i, answer in enumerate(answers) if not answer}


@pytest.mark.parametrize("backend", BACKENDS)
def test_while_they_run(backend: str, notes: Notes) -> None:
    """Row: 10,000 queued tasks are cancelled. While workers race through them, from the far end, the near end and at
    random: the answers stay truthful."""
    rng = seeded()
    with Pool(2, backend=backend) as pool:
        futures = [pool.submit(tasks.noted, notes.path, i) for i in range(10_000)]
        answers: list[bool | None] = [None] * len(futures)
        order = list(range(len(futures)))
        rng.shuffle(order)
        for i in (*reversed(range(9_000, 10_000)), *range(500, 1_500), *order):
            if answers[i] is None:
                answers[i] = futures[i].cancel()
            else:
                assert futures[i].cancel() == answers[i]
        wait(futures, 60)
    print(f"{sum(map(bool, answers))} of {len(futures)} cancelled")
    check(futures, answers, notes, kills=backend == "processes")


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_that_runs(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: A running task is cancelled. A worker process is killed for it, and gone when `cancel()` says True; a thread
    cannot be: False, and it goes on."""
    with Pool(1, backend=backend) as pool:
        future = pool.submit(tasks.held, notes.path, gate.path, 5)
        notes.wait(1)
        if backend == "processes":
            (pid,) = pool._processes
            before = pool.submit(tasks.double, 1)  # waits behind it, and is not touched
            assert future.cancel() is True
            assert future.cancelled()
            assert gone(pid)
            with pytest.raises(CancelledError):
                future.result(0)
            assert before.result(60) == 2
            assert pool.stats().died == 0
        else:
            assert future.cancel() is False
            gate.open()
            assert future.result(60) == 5
            assert future.cancel() is False
        assert pool.submit(tasks.double, 2).result(60) == 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_whoever_waits_is_told(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: 10,000 queued tasks are cancelled. `wait`, `as_completed` and callbacks see it."""
    with Pool(1, backend=backend) as pool:
        running = pool.submit(tasks.held, notes.path, gate.path, 5)
        notes.wait(1)
        futures = [pool.submit(tasks.noted, notes.path, i) for i in range(100)]
        told = []
        for future in futures:
            future.add_done_callback(told.append)
        cancelled = [future for future in futures if future.cancel()]
        assert set(as_completed(cancelled, 60)) == set(cancelled)
        assert set(cancelled) <= set(told)
        gate.open()
        assert running.result(60) == 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_shutdown_cancel_futures(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: 10,000 queued tasks are cancelled. `shutdown(cancel_futures=True)` touches only what has not started."""
    ran = Notes(tasks_file(notes))
    with Pool(2, backend=backend) as pool:
        running = [pool.submit(tasks.held, notes.path, gate.path, i) for i in range(2)]
        notes.wait(2)
        futures = [pool.submit(tasks.noted, ran.path, i) for i in range(10_000)]
        pool.shutdown(wait=False, cancel_futures=True)
        gate.open()
        assert [future.result(60) for future in running] == [0, 1]
        wait(futures, 60)
    check(futures, [future.cancelled() for future in futures], ran)


@pytest.mark.parametrize("backend", BACKENDS)
def test_spinoff(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: 10,000 queued tasks are cancelled. In a spin-off: what is cancelled is not handed over, the rest is, in
    order."""
    with SpinOff(held_triple, backend=backend, maxsize=20_000) as spin:
        first = spin.put((notes.path, gate.path, 0))
        notes.wait(1)
        futures = [spin.put((notes.path, gate.path, i)) for i in range(1, 2_000)]
        cancelled = {i for i, future in enumerate(futures, 1) if i % 3 and future.cancel()}
        gate.open()
    assert first.result(0) == 0
    kept = [i for i in range(2_000) if i not in cancelled]
    assert list(spin) == kept
    assert sorted(map(int, notes.lines())) == kept


def held_triple(item: tuple[str, str, int]) -> int:
    return tasks.held(*item)
