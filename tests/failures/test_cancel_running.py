"""Cancelling what runs: one meaning, whoever asks."""

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import pytest

from procession import Pool, SpinOff
from procession.backends.launch import Started
from procession.driver.loop import Driver
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, gone, seeded, tidied, wait_until

kept_zygote = warm.keep()

STUCK = ["sleep_long", "spin_python", "spin_c"]


@pytest.mark.parametrize("how", STUCK)
def test_whatever_it_is_stuck_in(how: str, notes: Notes) -> None:
    """Row: A running task is cancelled. Whatever it is stuck in: asleep, in Python, in C that holds the GIL."""
    with Pool(2) as pool:
        futures = [pool.submit(getattr(tasks, how), notes.path) for _ in range(2)]
        pids = list(map(int, notes.wait(2)))
        assert [future.cancel() for future in futures] == [True, True]
        assert all(map(gone, pids))
        assert pool.submit(tasks.double, 3).result(60) == 6


def test_its_neighbours_are_not_touched(notes: Notes) -> None:
    """Row: A running task is cancelled. What waits behind it in the same worker, or has just ended there, is kept."""
    rng = seeded()
    with Pool(1) as pool:
        for _ in range(20):
            before = [pool.submit(tasks.double, i) for i in range(rng.randrange(50))]
            stuck = pool.submit(tasks.hang_if, 1, 1)
            after = [pool.submit(tasks.double, i) for i in range(rng.randrange(50))]
            if rng.random() < 0.5:
                wait(before, 60)
                wait_until(stuck.running, "it runs")
            assert stuck.cancel()
            assert [future.result(60) for future in before] == [2 * i for i in range(len(before))]
            assert [future.result(60) for future in after] == [2 * i for i in range(len(after))]


@pytest.mark.parametrize("backend", ["processes", "threads"])
@pytest.mark.parametrize("how", ["returns", "raises"])
def test_it_is_asked(backend: str, how: str, notes: Notes) -> None:
    """Row: A running task is cancelled. With a grace it is asked first, as it always is on threads."""
    with Pool(1, backend=backend) as pool:
        future = pool.options(grace=30).submit(tasks.heed, notes.path, how)
        notes.wait(1)
        answer = future.cancel()
        if how == "returns":
            assert answer is False
            assert future.result(60) == "left early"
        else:
            assert answer is (backend == "processes")
            with pytest.raises(CancelledError):
                future.result(60)
            assert future.cancelled()
        assert pool.submit(tasks.heed_none, notes.path).result(60) is False
        assert pool.stats().died == 0


def test_no_further_run(notes: Notes) -> None:
    """Row: A running task is cancelled. It has no further run, whatever its retries."""
    with Pool(1) as pool:
        future = pool.options(retries=5).submit(tasks.sleep_long, notes.path)
        notes.wait(1)
        assert future.cancel()
        assert pool.submit(tasks.double, 1).result(60) == 2
    assert len(notes.lines()) == 1


def test_acall(notes: Notes) -> None:
    """Row: A running task is cancelled. Cancelling the asyncio task that awaits `acall` is the same cancel."""

    async def main(pool: Pool) -> None:
        awaiting = asyncio.ensure_future(pool.acall(tasks.sleep_long, notes.path))
        await asyncio.to_thread(notes.wait, 1)
        awaiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await awaiting

    with Pool(1) as pool:
        asyncio.run(main(pool))
        wait_until(lambda: gone(int(notes.lines()[0])), "its worker is gone")
        assert pool.submit(tasks.double, 3).result(60) == 6


def test_an_event_loop_waits_for_no_grace(notes: Notes) -> None:
    """Row: A running task is cancelled. In a thread that runs an event loop, `cancel()` does not wait for a grace."""

    async def main(pool: Pool) -> None:
        future = pool.options(grace=3600).submit(tasks.heed, notes.path, "raises")
        await asyncio.to_thread(notes.wait, 1)
        assert future.cancel() is False
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wrap_future(future)
        assert future.cancelled()

    with Pool(1) as pool:
        asyncio.run(main(pool))


@pytest.mark.parametrize("how", ["close", "drop", "error"])
def test_imap(how: str, notes: Notes) -> None:
    """Row: A running task is cancelled. So is what an imap runs when it is closed, dropped or ended by an error."""
    with Pool(2) as pool:
        stream = pool.imap(
            one_fails_one_hangs, [notes.path] * 3, ["fail" if how == "error" else "pass", "hang", "pass"]
        )
        pid = int(notes.wait(1)[0])
        if how == "error":
            with pytest.raises(ValueError, match="told to"):
                list(stream)
        else:
            assert next(stream) == "pass"
        if how == "close":
            stream.close()
        del stream
        wait_until(lambda: gone(pid), "its worker is gone")
        assert pool.submit(tasks.double, 3).result(60) == 6


def one_fails_one_hangs(path: str, what: str) -> str:
    if what == "hang":
        tasks.sleep_long(path)
    while not tasks.lines(path):
        time.sleep(0.001)
    if what == "fail":
        tasks.fail()
    return what


def test_map_leaves_what_runs_alone(notes: Notes, gate: Gate) -> None:
    """Row: A running task is cancelled. Closing a map does not: as in the standard library, what runs finishes."""
    with Pool(1) as pool:
        results = pool.map(tasks.held, [notes.path], [gate.path])
        notes.wait(1)
        (pid,) = pool._processes
        results.close()
        gate.open()
        assert pool.submit(os.getpid).result(60) == pid


def test_spinoff(notes: Notes) -> None:
    """Row: A running task is cancelled. `SpinOff.cancel` drops what waits and ends what runs."""
    spin = SpinOff(tasks.sleep_long, workers=2)
    futures = [spin.put(notes.path) for _ in range(10)]
    pids = list(map(int, notes.wait(2)))
    spin.cancel()
    assert spin.join(60)
    assert all(future.cancelled() for future in futures)
    assert all(map(gone, pids))


@pytest.mark.parametrize("how", ["cancel", "imap", "spinoff"])
def test_the_programs_that_it_started(how: str, notes: Notes) -> None:
    """Row: A running task is cancelled. Programs that it has started, and theirs, get SIGTERM after it."""
    if how == "spinoff":
        spin = SpinOff(tasks.in_a_program)
        spin.put(notes.path)
        notes.wait(1)
        spin.cancel()
        assert spin.join(60)
    else:
        with Pool(1) as pool:
            if how == "cancel":
                future = pool.submit(tasks.in_a_program, notes.path)
                notes.wait(1)
                assert future.cancel()
            else:
                stream = pool.imap(tasks.in_a_program, [notes.path])
                notes.wait(1)
                stream.close()
            assert pool.submit(tasks.double, 3).result(60) == 6
    wait_until(lambda: tidied(notes), "they end")


def test_the_programs_of_a_worker_of_which_nobody_has_heard_yet(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row: A running task is cancelled. That its worker was started may be heard later than what that runs."""
    original, kill = Driver.launched, Driver.kill
    held: list[tuple[Driver, Any]] = []
    told_to_die = False

    def launched(self: Driver, happened: Sequence[Any]) -> None:
        started = [] if told_to_die else [each for each in happened if isinstance(each, Started)]
        held.extend((self, each) for each in started)
        original(self, [each for each in happened if each not in started])

    def told(self: Driver, command: Any) -> None:
        nonlocal told_to_die
        told_to_die = True
        kill(self, command)
        while held:
            driver, event = held.pop()
            original(driver, [event])

    monkeypatch.setattr(Driver, "launched", launched)
    monkeypatch.setattr(Driver, "kill", told)
    with Pool(1) as pool:
        future = pool.submit(tasks.in_a_program, notes.path)
        notes.wait(1)
        assert future.cancel()
        assert pool.submit(tasks.double, 3).result(60) == 6
    wait_until(lambda: tidied(notes), "they end")


def test_drop_oldest_leaves_what_runs_alone(notes: Notes, gate: Gate) -> None:
    """Row: A running task is cancelled. An overflow never does that: drop_oldest drops what has not started."""
    with Pool(1, max_pending=2, overflow="drop_oldest") as pool:
        running = pool.submit(tasks.held, notes.path, gate.path, 1)
        notes.wait(1)
        second, third = pool.submit(tasks.double, 2), pool.submit(tasks.double, 3)
        assert second.cancelled()
        assert running.running()
        gate.open()
        assert running.result(60) == 1
        assert third.result(60) == 6


def test_from_many_threads(notes: Notes) -> None:
    """Row: A running task is cancelled. Cancels of the same tasks by several threads agree, and each kills once."""
    import threading

    with Pool(2) as pool:
        for _ in range(10):
            futures = [pool.submit(tasks.hang_if, 1, 1) for _ in range(6)]
            wait_until(futures[0].running, "it runs")
            answers: list[list[bool]] = []
            threads = [threading.Thread(target=cancel_all, args=(futures, answers)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert answers == [[True] * 6] * 4
        assert pool.submit(tasks.double, 3).result(60) == 6


def cancel_all(futures: list[Future[int]], answers: list[list[bool]]) -> None:
    answers.append([future.cancel() for future in futures])
