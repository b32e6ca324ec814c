"""Workers that die while they run no task: idle, starting, in the initializer, in the setup, in the teardown."""

import pytest

from procession import Pool, SpinOff, WorkerDied, WorkerStartError
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, gone, kill, quietly_kill, seeded, wait_until
from tests.failures.test_worker_death import lives_with

kept_zygote = warm.keep()


def test_idle_ones() -> None:
    """Row: A worker dies outside a task. Idle workers are killed, again and again: no task is lost at all."""
    with Pool(2) as pool:
        for round in range(10):
            assert list(pool.map(tasks.double, range(20), chunksize=1)) == [2 * i for i in range(20)]
            for pid in list(pool._processes):
                kill(pid)
            if round % 2:
                wait_until(lambda: all(map(gone, pool._processes)) or True, "their end")
        lives_with(pool, 2)


def test_an_idle_one_is_missed_at_once() -> None:
    """Row: A worker dies outside a task. Its death is noticed without any work, and it is replaced when needed."""
    with Pool(2) as pool:
        lives_with(pool, 2)
        dead = list(pool._processes)
        for pid in dead:
            kill(pid)
        wait_until(lambda: not set(pool._processes) & set(dead), "the end of the dead in the pool's books")
        lives_with(pool, 2)


def test_while_starting(notes: Notes) -> None:
    """Row: A worker dies outside a task. Killed at random instants of its start: no task fails, all run once."""
    rng = seeded()
    for _ in range(8):
        with Pool(2, initializer=tasks.initialize_and_note, initargs=(notes.path,)) as pool:
            seen = set(notes.lines())
            futures = [pool.submit(tasks.double, i) for i in range(20)]
            victims = wait_until(lambda seen=seen: [int(p) for p in notes.lines() if p not in seen], "a start")
            libc_wait(rng.uniform(0, 0.002))
            kill_if_there(victims[0])
            lost = [future.exception(60) for future in futures]
            # It had said that it initializes; whether it had begun a task by then, its death decides.
            assert sum(error is not None for error in lost) <= 1
            assert all(error is None or isinstance(error, WorkerDied) for error in lost)


def libc_wait(seconds: float) -> None:
    import time

    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def kill_if_there(pid: int) -> None:
    if not gone(pid):
        quietly_kill(pid)


def test_in_the_initializer_now_and_then(notes: Notes) -> None:
    """Row: A worker dies outside a task. An initializer that costs two workers their life: others are started, and
    no task fails."""
    with Pool(2, initializer=tasks.die_first_times, initargs=(notes.path, 2)) as pool:
        assert [pool.submit(tasks.double, i).result(60) for i in range(10)] == [2 * i for i in range(10)]


@pytest.mark.parametrize("how", ["SIGKILL", "os._exit"])
def test_in_the_initializer_always(how: str, notes: Notes) -> None:
    """Row: A worker dies outside a task. An initializer that kills every worker: the pool is broken, says so, and
    does not start workers for ever."""
    with Pool(2, initializer=tasks.die_first_times, initargs=(notes.path, 1_000_000, how)) as pool:
        futures = [pool.submit(tasks.double, i) for i in range(10)]
        for future in futures:
            error = future.exception(60)
            assert isinstance(error, WorkerStartError)
        with pytest.raises(WorkerStartError):
            pool.submit(tasks.double, 1)
    assert len(notes.lines()) < 50


def test_an_initializer_that_raises() -> None:
    """Row: A worker dies outside a task. An initializer that raises: the pool is broken, with the reason as cause."""
    for backend in ("processes", "threads"):
        with Pool(2, initializer=tasks.fail, initargs=("no model here",), backend=backend) as pool:
            error = pool.submit(tasks.double, 1).exception(60)
            assert isinstance(error, WorkerStartError)
            assert isinstance(error.__cause__, ValueError)
            assert "no model here" in str(error)
            with pytest.raises(WorkerStartError):
                for _ in range(1000):
                    pool.submit(tasks.double, 1).exception(60)


def test_a_setup_that_raises() -> None:
    """Row: A worker dies outside a task. A setup that raises breaks a spin-off the same way."""
    with SpinOff(two, setup=tasks.fail, on_error="return") as spin:
        future = spin.put(1)
        assert isinstance(future.exception(60), WorkerStartError)


def two(state: object, item: object) -> tuple[object, object]:
    return state, item


def test_in_the_teardown(notes: Notes) -> None:
    """Row: A worker dies outside a task. Killed in its teardown: results stay, shutdown returns, nothing is left."""
    with Pool(2, setup=tasks.DyingTeardown(notes.path)) as pool:
        lives = [pool.submit(tasks.double, i) for i in range(50)]
        assert [future.result(60) for future in lives] == [2 * i for i in range(50)]
        pids = list(pool._processes)
    assert notes.lines()
    wait_until(lambda: all(map(gone, pids)), "the end of its workers")


def test_while_it_drains(notes: Notes, gate: Gate) -> None:
    """Row: A worker dies outside a task. During shutdown, too: what is queued is still run by a new worker."""
    with Pool(1) as pool:
        held = pool.submit(tasks.held, notes.path, gate.path, 1)
        rest = [pool.submit(tasks.double, i) for i in range(20)]
        notes.wait(1)
        worker = next(iter(pool._processes))
        pool.shutdown(wait=False)
        kill(worker)
        assert isinstance(held.exception(60), WorkerDied)
        assert [future.result(60) for future in rest] == [2 * i for i in range(20)]


def test_recycled_ones(notes: Notes) -> None:
    """Row: A worker dies outside a task. Workers that are replaced after a few tasks, and killed meanwhile."""
    rng = seeded()
    kills = 0
    with Pool(2, max_tasks_per_child=7) as pool:
        futures = [pool.submit(tasks.noted, notes.path, i) for i in range(300)]
        for future in futures[::10]:
            future.exception(60)
            pids = list(pool._processes)
            if pids and rng.random() < 0.5:
                quietly_kill(rng.choice(pids))
                kills += 1
        errors = [error for future in futures if (error := future.exception(60)) is not None]
        assert all(isinstance(error, WorkerDied) for error in errors)
        assert len(errors) <= kills
    started = notes.lines()
    assert len(started) == len(set(started))
