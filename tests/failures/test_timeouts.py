"""A task outlives its timeout, or waits for too long to be started."""

import multiprocessing
import sys
import threading
import time
from concurrent.futures import CancelledError, TimeoutError, wait

import pytest

from procession import Pool, TaskTimeout
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, gone, quietly_kill, tidied, wait_until

kept_zygote = warm.keep()

STUCK = {"sleep": "sleep_long", "python": "spin_python", "c": "spin_c"}


@pytest.mark.parametrize("how", STUCK)
def test_submit(how: str, notes: Notes) -> None:
    """Row: A task outlives its timeout. It fails, with where it was; its worker is replaced, and the pool lives."""
    with Pool(1) as pool:
        first = pool.submit(tasks.pid_of_worker).result(60)
        error = pool.options(timeout=0.2).submit(getattr(tasks, STUCK[how]), notes.path).exception(60)
        assert isinstance(error, TaskTimeout)
        assert isinstance(error, TimeoutError)
        assert error.where == "running"
        assert error.limit == 0.2
        assert error.seconds >= 0.2
        assert error.pid == first
        assert error.arguments is not None
        assert error.stack.endswith(f"in {STUCK[how]}")
        assert "procession/worker" not in error.stack
        assert error.stack in str(error)
        assert STUCK[how] in str(error)
        assert pool.submit(tasks.pid_of_worker).result(60) != first
        assert pool.stats().timeouts == 1
        assert pool.stats().died == 0


def test_all_threads_of_the_worker_are_shown() -> None:
    """Row: A task outlives its timeout. The stack is that of each thread in its worker."""
    with Pool(1) as pool:
        error = pool.options(timeout=0.2).submit(wait_for_another).exception(60)
        assert isinstance(error, TaskTimeout)
        assert "in another" in error.stack
        assert "in wait_for_another" in error.stack


def wait_for_another() -> None:
    thread = threading.Thread(target=another)
    thread.start()
    thread.join()


def another() -> None:
    time.sleep(3600)


@pytest.mark.parametrize("chunksize", [None, 20])
def test_imap(chunksize: int | None) -> None:
    """Row: A task outlives its timeout. In a chunk of imap exactly that item fails, at its place; the rest comes."""
    with Pool(2) as pool:
        stream = pool.options(timeout=1.0).imap(
            tasks.hang_if, range(100), [41] * 100, chunksize=chunksize, on_error="return"
        )
        found = list(stream)
        late = found.pop(41)
        assert isinstance(late, TaskTimeout)
        assert late.index == 41
        assert found == [2 * i for i in range(100) if i != 41]


def test_a_stopped_worker(notes: Notes) -> None:
    """Row: A task outlives its timeout. A worker that is stopped (SIGSTOP) shows no stack, and dies all the same."""
    import os
    import signal

    with Pool(1) as pool:
        future = pool.options(timeout=0.5).submit(tasks.sleep_long, notes.path)
        (pid,) = notes.wait(1)
        os.kill(int(pid), signal.SIGSTOP)
        error = future.exception(60)
        assert isinstance(error, TaskTimeout)
        assert pool.submit(tasks.double, 4).result(60) == 8


@pytest.mark.parametrize("context", [None, "spawn"])
def test_the_programs_that_it_started(context: str | None, notes: Notes) -> None:
    """Row: A task outlives its timeout. Programs that it has started, and theirs, get SIGTERM after it."""
    with Pool(1, context and multiprocessing.get_context(context)) as pool:
        pool.submit(tasks.double, 1).result(60)
        error = pool.options(timeout=2).submit(tasks.in_a_program, notes.path).exception(60)
        assert isinstance(error, TaskTimeout)
        assert "in in_a_program" in error.stack
        wait_until(lambda: tidied(notes), "they end")
        assert pool.submit(tasks.double, 3).result(60) == 6


def test_a_program_in_a_session_of_its_own_lives_on(notes: Notes) -> None:
    """Row: A task outlives its timeout. A program with a session of its own was meant to outlive it, and does."""
    with Pool(1) as pool:
        pool.submit(tasks.double, 1).result(60)
        error = pool.options(timeout=2).submit(tasks.in_a_program, notes.path, detached=True).exception(60)
        assert isinstance(error, TaskTimeout)
        assert pool.submit(tasks.double, 3).result(60) == 6
    (line,) = notes.lines()
    program, others = map(int, line.split())
    assert not gone(program)
    assert not gone(others)
    for pid in (program, others):
        quietly_kill(pid)
    wait_until(lambda: gone(program) and gone(others), "they end")


def test_those_in_time_are_not_touched() -> None:
    """Row: A task outlives its timeout. Who does not outlive his is not touched: one worker runs them all."""
    with Pool(1) as pool:
        view = pool.options(timeout=30)
        pids = {future.result(60) for future in [view.submit(tasks.pid_of_worker) for _ in range(5000)]}
        assert len(pids) == 1
        assert list(view.map(tasks.double, range(5000))) == [2 * i for i in range(5000)]
        assert pool.submit(tasks.pid_of_worker).result(60) in pids


def test_many_at_once() -> None:
    """Row: A task outlives its timeout. Every third of sixty hangs: each of these fails alone, all others succeed."""
    with Pool(4) as pool:
        view = pool.options(timeout=1.0)  # the others are quick, and so they are on a crowded machine
        futures = [view.submit(tasks.hang_if, i, i if i % 3 == 0 else -1) for i in range(30)]
        for i, future in enumerate(futures):
            if i % 3 == 0:
                assert isinstance(future.exception(60), TaskTimeout)
            else:
                assert future.result(60) == 2 * i
        assert pool.stats().timeouts == 10


@pytest.mark.parametrize("how", ["returns", "raises"])
@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_grace(backend: str, how: str, notes: Notes) -> None:
    """Row: A task outlives its timeout. With a grace it is asked first, and may clean up; its worker stays."""
    with Pool(1, backend=backend) as pool:
        future = pool.options(timeout=0.1, grace=30).submit(tasks.heed, notes.path, how)
        if how == "returns":
            assert future.result(60) == "left early"
        else:
            error = future.exception(60)
            assert isinstance(error, TaskTimeout)
            assert isinstance(error.__cause__, CancelledError)
        assert pool.submit(tasks.heed_none, notes.path).result(60) is False, "the next one is not asked"
        assert pool.stats().abandoned == 0


def test_grace_that_is_not_used(notes: Notes) -> None:
    """Row: A task outlives its timeout. Who does not heed the asking is killed when the grace is over."""
    with Pool(1) as pool:
        error = pool.options(timeout=0.1, grace=0.2).submit(tasks.sleep_long, notes.path).exception(60)
        assert isinstance(error, TaskTimeout)
        assert "in sleep_long" in error.stack


def test_a_thread_is_given_up(notes: Notes, gate: Gate) -> None:
    """Row: A task outlives its timeout. On threads it fails on time, too; the thread is given up and replaced."""
    with Pool(1, backend="threads") as pool:
        error = pool.options(timeout=0.2).submit(tasks.held, notes.path, gate.path).exception(60)
        assert isinstance(error, TaskTimeout)
        assert "in held" in error.stack
        assert pool.submit(tasks.double, 2).result(60) == 4
        assert pool.stats().abandoned == 1
        gate.open()
        wait_until(lambda: pool.stats().abandoned == 0, "the thread comes back")
        assert pool.submit(tasks.double, 3).result(60) == 6


def test_threads_that_are_given_up_are_so_many_and_no_more(notes: Notes, gate: Gate) -> None:
    """Row: A task outlives its timeout. As many threads as the pool has are replaced; beyond that it gets narrower."""
    with Pool(2, backend="threads") as pool:
        view = pool.options(timeout=0.1)
        for _ in range(4):
            assert isinstance(view.submit(tasks.held, notes.path, gate.path).exception(60), TaskTimeout)
        assert pool.stats().abandoned == 4
        waits = pool.submit(tasks.double, 5)
        late = pool.options(queue_timeout=0.2).submit(tasks.double, 6).exception(60)
        assert isinstance(late, TaskTimeout)
        assert late.where == "queued"
        gate.open()
        assert waits.result(60) == 10
        wait_until(lambda: pool.stats().abandoned == 0, "the threads come back")


def test_inline_it_is_asked(notes: Notes) -> None:
    """Row: A task outlives its timeout. Inline, where it runs in the caller, it is asked, and fails when it ends."""
    with Pool(backend="inline") as pool:
        error = pool.options(timeout=0.05).submit(tasks.heed, notes.path, "returns").exception()
        assert isinstance(error, TaskTimeout)
        assert notes.lines() == ["began", "asked"]


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_queued_for_too_long(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: A task outlives its timeout. With queue_timeout, one that waits too long fails, and never runs."""
    with Pool(1, backend=backend) as pool:
        running = pool.submit(tasks.held, notes.path, gate.path, "held")
        notes.wait(1)
        view = pool.options(queue_timeout=0.2)
        futures = [view.submit(tasks.noted, notes.path, i) for i in range(100)]
        stream = view.imap(tasks.double, range(10), on_error="return", chunksize=10)
        done, waiting = wait(futures, 60)
        assert not waiting
        for future in done:
            error = future.exception()
            assert isinstance(error, TaskTimeout)
            assert error.where == "queued"
        assert all(isinstance(each, TaskTimeout) for each in stream)
        gate.open()
        assert running.result(60) == "held"
        assert pool.submit(tasks.double, 1).result(60) == 2
        assert len(notes.lines()) == 1, "none of them ran"


def test_the_program_was_stopped(notes: Notes) -> None:
    """Row: A task outlives its timeout. Time in which the parent itself could not look does not count in full."""
    with Pool(1) as pool:
        future = pool.options(timeout=1).submit(tasks.heed, notes.path, "returns", 2.0)
        notes.wait(1)
        before = sys.getswitchinterval()
        try:
            sys.setswitchinterval(1000)  # this thread keeps the GIL from the driver, as C code may
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                pass
        finally:
            sys.setswitchinterval(before)
        assert not future.done()
        assert future.cancel()
