"""Who holds what, and for how long: views, workers that die, forks, pools that end."""

import gc
import itertools
import os
import signal
import sys
from typing import Any

import numpy as np
import pytest

from procession import Pool, WorkerDied
from procession.backends import arenas
from procession.transport import aside
from procession.transport.arena import live
from tests.arena import work
from tests.arena.conftest import MB, MakePool, memory_of, results, sent, taken
from tests.failures.kit import wait_until


def test_a_result_outlives_its_worker_and_its_pool(make_pool: MakePool, method: Any) -> None:
    gc.collect()
    before = mappings()
    pool = make_pool(1, mp_context=method)
    array = pool.submit(work.full, MB, 3.0).result()
    part = array[5:10]
    with pytest.raises(WorkerDied):
        pool.submit(work.die).result()
    other = pool.submit(work.full, MB, 4.0).result()
    pool.shutdown()
    del pool
    gc.collect()
    assert array.sum() == 3 * MB
    assert other.sum() == 4 * MB
    array[:] = 7
    del array
    gc.collect()
    assert list(part) == [7] * 5
    assert mappings() == before + 2
    del part, other
    gc.collect()
    assert mappings() == before


def mappings() -> int:
    """How many arenas of results this process has mapped."""
    with open("/proc/self/maps") as file:
        return sum("procession-results" in line for line in file)


def test_what_is_let_go_of_is_used_again(pool: Pool) -> None:
    for number in range(50):
        assert pool.submit(work.total, np.ones(MB)).result() == MB
        assert pool.submit(work.full, MB, float(number)).result()[-1] == number
    (segment,) = results(pool)
    assert memory_of(segment) <= 4 * 8 * MB
    assert memory_of(sent()) <= 4 * 8 * MB


def test_a_view_that_is_held_is_never_written_over(pool: Pool) -> None:
    held = [pool.submit(work.full, MB // 8, float(number)).result() for number in range(20)]
    for number in range(20, 60):
        pool.submit(work.full, MB // 8, float(number)).result()
    assert [float(array[0]) for array in held] == list(range(20))
    assert all((array == array[0]).all() for array in held)


def test_a_worker_that_keeps_its_argument_keeps_the_block(pool: Pool) -> None:
    pool.submit(work.keep, np.full(MB, 2.0)).result()
    for _ in range(20):
        pool.submit(work.total, np.ones(MB)).result()
    assert pool.submit(work.kept_total).result() == 2 * MB
    wait_until(lambda: taken() == 1, "only what is kept is taken")
    pool.submit(work.forget).result()
    wait_until(lambda: taken() == 0, "what was kept is free")


def test_a_worker_that_dies_holds_nothing(make_pool: MakePool) -> None:
    pool = make_pool(2)
    pids = {pool.submit(work.keep, np.full(MB, float(number))).result() for number in range(6)}
    wait_until(lambda: taken() == 6, "all are kept")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: taken() == 0, "the dead hold nothing")
    assert pool.submit(work.total, np.ones(MB)).result() == MB


def test_workers_killed_at_random_leave_nothing(make_pool: MakePool) -> None:
    pool = make_pool(2)
    done = 0
    for round_ in range(12):
        futures = [pool.submit(work.echo, np.full(MB // 4, float(number))) for number in range(8)]
        victim = next(iter(pool._engine.processes().values()), None)  # type: ignore[attr-defined]
        if victim is not None and round_ % 2:
            victim.kill()
        for number, future in enumerate(futures):
            try:
                assert (future.result() == number).all()
                done += 1
            except WorkerDied:
                pass
    assert done > 48
    del futures, future, victim
    wait_until(lambda: taken() == 0, "nothing is taken")
    wait_until(lambda: not settled(pool), "nothing is looked at")


def settled(pool: Pool) -> Any:
    """Views that are still counted, once the driver has been woken."""
    gc.collect()
    pool.submit(abs, 1).result()
    return live


def test_what_waits_when_its_worker_dies_runs_elsewhere(make_pool: MakePool) -> None:
    pool = make_pool(1)
    futures = [pool.submit(work.die)] + [pool.submit(work.total, np.full(MB, float(n))) for n in range(5)]
    with pytest.raises(WorkerDied):
        futures[0].result()
    assert [future.result() for future in futures[1:]] == [float(n * MB) for n in range(5)]


def test_a_cancelled_task_lets_go_of_its_argument(pool: Pool, tmp_path: Any) -> None:
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    running = pool.submit(hold, fifo)
    futures = [pool.submit(work.total, np.ones(MB)) for _ in range(4)]
    assert all(future.cancel() for future in futures)
    wait_until(lambda: taken() == 0, "the cancelled have let go, and the futures are still there")
    assert len(futures) == 4
    with open(fifo, "wb"):
        pass
    assert running.result() == b""


def hold(fifo: str) -> bytes:
    with open(fifo, "rb") as file:
        return file.read()


def test_a_running_task_that_is_cancelled_lets_go_of_its_argument(pool: Pool, tmp_path: Any) -> None:
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    future = pool.submit(hold_with, fifo, np.ones(MB))
    with open(fifo, "wb"):
        assert future.cancel()
    wait_until(lambda: taken() == 0, "its worker is gone")


def hold_with(fifo: str, _array: Any) -> bytes:
    return hold(fifo)


# ---------------------------------------------------------------------------------------------------------------- forks


def test_a_task_that_forks(pool: Pool) -> None:
    assert pool.submit(work.fork_and_look, np.ones(MB)).result() == 0
    for _ in range(10):
        assert pool.submit(work.total, np.ones(MB)).result() == MB


def test_a_forked_child_keeps_its_view_of_a_result(pool: Pool) -> None:
    array = pool.submit(work.full, MB, 3.0).result()
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(write)
            os.read(read, 1)  # the parent has let go of it, and got other results
            code = 0 if array.sum() == 3 * MB and len(arenas.forksafe.owned()) == 0 else 2
        finally:
            os._exit(code)
    os.close(read)
    del array
    for number in range(10):
        pool.submit(work.full, MB, float(number)).result()
    os.write(write, b".")
    os.close(write)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_forked_child_has_arenas_of_its_own(pool: Pool) -> None:
    assert pool.submit(work.total, np.ones(MB)).result() == MB
    mine = sent().key
    pid = os.fork()
    if not pid:
        code = 1
        try:
            with Pool(1) as other:
                right = other.submit(work.total, np.ones(MB)).result() == MB
            code = 0 if right and sent().key != mine else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pool.submit(work.total, np.ones(MB)).result() == MB


# ------------------------------------------------------------------------------------------------------------- the end


def test_idle_arenas_give_their_memory_back(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    from procession.driver import loop
    from procession.transport import arena

    monkeypatch.setattr(arena, "IDLE", 0.05)
    monkeypatch.setattr(loop, "IDLE", 0.05)
    pool.submit(shorten_idle, 0.05).result()
    back = pool.submit(work.echo, np.ones(MB)).result()
    (segment,) = results(pool)
    assert memory_of(segment) >= 8 * MB
    wait_until(lambda: memory_of(sent()) < MB, "the parent's memory is given back")
    assert back.sum() == MB
    del back
    wait_until(lambda: memory_of(segment) < MB, "the worker's memory is given back")
    assert pool.submit(work.echo, np.ones(MB)).result().sum() == MB


def shorten_idle(seconds: float) -> None:
    from procession.transport import arena
    from procession.worker import own_arena

    arena.IDLE = own_arena.IDLE = seconds


def test_an_idle_pool_has_mapped_nothing(pool: Pool) -> None:
    assert pool.submit(abs, -1).result() == 1
    assert sent()._memory is None
    assert all(segment._memory is None for segment in results(pool))
    assert memory_of(sent()) == 0


def test_the_arena_goes_with_the_last_pool() -> None:
    with Pool(1) as one:
        assert one.submit(work.total, np.ones(MB)).result() == MB
        with Pool(1) as two:
            assert two.submit(work.total, np.ones(MB)).result() == MB
            assert one._engine.codec.supply.arena() is two._engine.codec.supply.arena()  # type: ignore[attr-defined]
        assert one.submit(work.total, np.ones(MB)).result() == MB
    gc.collect()
    assert arenas._current is None or arenas._current() is None
    assert not aside.inlets


@pytest.mark.slow
def test_a_thousand_rounds_leak_nothing(make_pool: MakePool) -> None:
    pool = make_pool(2)
    array, done = np.ones(MB // 8), itertools.count(1)

    def rounds(count: int) -> None:
        for number in itertools.islice(done, count):
            assert pool.submit(work.echo, array).result()[-1] == 1
            if number % 8 == 0:  # who calls one by one may be ahead of the driver, which still holds what was given
                wait_until(lambda number=number: pool.stats().done == number, "the driver has heard of it")

    rounds(100)
    before, descriptors = resident(), len(os.listdir("/proc/self/fd"))
    rounds(1000)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert resident() - before < 32 * MB
    assert memory_of(sent()) < 32 * MB
    assert all(memory_of(segment) < 32 * MB for segment in results(pool))
    wait_until(lambda: taken() == 0, "nothing is taken")


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Struck(BaseException):
    pass


@pytest.mark.timeout(method="thread")
def test_signals_that_raise_lose_no_memory(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    # What hits a finalizer is swallowed, but first kept by pytest, and with it all frames and what they hold.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    def strike(_signum: int, _frame: Any) -> None:
        raise Struck

    array = np.ones(MB // 8)
    pool.submit(work.total, array).result()
    futures = []
    previous = signal.signal(signal.SIGALRM, strike)
    try:
        for step in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + step * 2e-6)
                for _ in range(3):
                    futures.append(pool.submit(work.echo, array))
            except Struck:
                pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    except Struck:
        pass
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert all(future.result()[-1] == 1 for future in futures)
    futures.clear()
    wait_until(lambda: taken() == 0, "nothing is taken")
    assert pool.submit(work.total, array).result() == array.size
