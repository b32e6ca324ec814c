"""Further runs of what has failed, and what fails every time."""

from functools import partial

import pytest

from procession import Failure, PoisonTask, Pool, SpinOff, TaskTimeout, WorkerDied
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Notes, seeded

kept_zygote = warm.keep()

EVERYWHERE = ["processes", "threads", "inline"]


@pytest.mark.parametrize("backend", EVERYWHERE)
def test_it_succeeds_in_the_end(backend: str, notes: Notes) -> None:
    """Row: A task fails and is to run again. Up to so many further runs; the first success is its outcome."""
    with Pool(1, backend=backend) as pool:
        future = pool.options(retries=3).submit(tasks.fail_first_times, notes.path, 3)
        assert future.result(60) == 4
        assert pool.stats().retries == 3
        assert pool.stats().done == 1


@pytest.mark.parametrize("backend", EVERYWHERE)
def test_it_never_succeeds(backend: str, notes: Notes) -> None:
    """Row: A task fails and is to run again. The last failure is its outcome; the others are notes of it."""
    with Pool(1, backend=backend) as pool:
        error = pool.options(retries=2, backoff=0.01).submit(tasks.fail_first_times, notes.path, 99).exception(60)
        assert isinstance(error, ValueError)
        assert str(error) == "run 3"
        assert error.__notes__ == ["run 1 of 3: ValueError: run 1", "run 2 of 3: ValueError: run 2"]
        assert len(notes.lines()) == 3


@pytest.mark.parametrize("backend", EVERYWHERE)
def test_only_what_was_named(backend: str, notes: Notes) -> None:
    """Row: A task fails and is to run again. Only after the errors that retry_on= names."""
    with Pool(1, backend=backend) as pool:
        view = pool.options(retries=5, retry_on=(KeyError, OSError))
        assert isinstance(view.submit(tasks.fail_first_times, notes.path, 99).exception(60), ValueError)
        assert len(notes.lines()) == 1


@pytest.mark.parametrize("backend", EVERYWHERE)
@pytest.mark.parametrize("chunksize", [None, 10])
def test_in_a_stream_order_is_kept(backend: str, chunksize: int | None, notes: Notes) -> None:
    """Row: A task fails and is to run again. In an imap it has its place, however late its last run."""
    with Pool(2, backend=backend) as pool:
        view = pool.options(retries=1, backoff=0.02)
        found = list(view.imap(tasks.fail_now_and_then, [notes.path] * 60, range(60), chunksize=chunksize))
        assert found == [2 * i for i in range(60)]
        runs = list(map(int, notes.lines()))
        assert sorted(runs) == sorted([*range(60), *range(0, 60, 3)])


def test_its_worker_dies_once(notes: Notes) -> None:
    """Row: A task fails and is to run again. The death of its worker is such a failure, too."""
    with Pool(1) as pool:
        future = pool.options(retries=1).submit(tasks.die_first_times, notes.path, 1)
        assert future.exception(60) is None
        assert pool.stats().died == 1


def test_poison(notes: Notes) -> None:
    """Row: A task kills its worker every time. It is poison, and named so, with each of its runs; the pool lives."""
    with Pool(1) as pool:
        error = pool.options(retries=2).submit(tasks.die, "SIGSEGV", notes.path, 7).exception(60)
        assert isinstance(error, PoisonTask)
        assert isinstance(error, WorkerDied)
        assert len(error.__notes__) == 2
        assert all("SIGSEGV" in note for note in error.__notes__)
        assert len(notes.lines()) == 3
        (listed,) = pool.stats().quarantined
        assert listed.args == error.args
        assert listed.__notes__ == error.__notes__
        assert listed is not error, "it would keep the frames of whoever has raised it, and these the pool"
        assert pool.submit(tasks.double, 4).result(60) == 8


def test_poison_in_a_stream(notes: Notes) -> None:
    """Row: A task kills its worker every time. In a chunk it is that item alone, at its place."""
    with Pool(2) as pool:
        found = list(
            pool.options(retries=1).imap(
                tasks.die_if, range(50), [21] * 50, ["os._exit"] * 50, on_error="return", chunksize=25
            )
        )
        poison = found.pop(21)
        assert isinstance(poison, PoisonTask)
        assert poison.index == 21
        assert found == [2 * i for i in range(50) if i != 21]


def test_a_timeout_is_followed_by_another_run(notes: Notes) -> None:
    """Row: A task fails and is to run again. A timeout is such a failure; it may be left out."""
    with Pool(1) as pool:
        view = pool.options(timeout=0.2, retries=1)
        error = view.submit(tasks.sleep_long, notes.path).exception(60)
        assert isinstance(error, TaskTimeout)
        assert len(error.__notes__) == 1
        assert (pool.stats().retries, pool.stats().timeouts) == (1, 2)
        error = view.options(retry_on=OSError.__subclasses__()[0]).submit(tasks.sleep_long, notes.path).exception(60)
        assert isinstance(error, TaskTimeout)
        assert (pool.stats().retries, pool.stats().timeouts) == (1, 3)


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_shut_down_in_between(backend: str, notes: Notes) -> None:
    """Row: A task fails and is to run again. A shutdown with cancel leaves it the outcome that it had."""
    pool = Pool(1, backend=backend)
    future = pool.options(retries=5, backoff=3600).submit(tasks.fail_first_times, notes.path, 99)
    notes.wait(1)
    while not pool.stats().retries:
        pool.submit(tasks.double, 1).result(60)
    pool.shutdown(cancel_futures=True)
    error = future.exception(0)
    assert isinstance(error, ValueError)
    assert any("shut down before it could run again" in note for note in error.__notes__)


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_cancelled_in_between(backend: str, notes: Notes) -> None:
    """Row: A task fails and is to run again. In between it can be cancelled, and does not run again."""
    with Pool(1, backend=backend) as pool:
        future = pool.options(retries=5, backoff=3600).submit(tasks.fail_first_times, notes.path, 99)
        notes.wait(1)
        while not pool.stats().retries:
            pool.submit(tasks.double, 1).result(60)
        assert future.cancel()
        assert future.cancelled()
        assert pool.submit(tasks.double, 2).result(60) == 4
    assert len(notes.lines()) == 1


def test_backoff_is_asked_for_each_wait(notes: Notes) -> None:
    """Row: A task fails and is to run again. backoff= may be a callable; what goes wrong in it costs the wait alone."""
    asked: list[int] = []

    def backoff(n: int) -> float:
        asked.append(n)
        if n == 2:
            raise RuntimeError("no idea")
        return 0.001

    with Pool(1) as pool:
        future = pool.options(retries=4, backoff=backoff).submit(tasks.fail_first_times, notes.path, 3)
        assert future.result(60) == 4
    assert asked == [1, 2, 3]


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_among_many(backend: str, notes: Notes) -> None:
    """Row: A task fails and is to run again. Among many that do not: each is answered once, with its own outcome."""
    rng = seeded()
    with Pool(2, backend=backend) as pool:
        view = pool.options(retries=1)
        futures = []
        for i in range(600):
            executor = view if rng.random() < 0.5 else pool
            futures.append((executor, executor.submit(tasks.fail_now_and_then, notes.path, i)))
        for i, (executor, future) in enumerate(futures):
            if executor is pool and i % 3 == 0:
                assert isinstance(future.exception(60), ValueError)
            else:
                assert future.result(60) == 2 * i


@pytest.mark.parametrize("backend", EVERYWHERE)
def test_spinoff(backend: str, notes: Notes) -> None:
    """Row: A task fails and is to run again. A SpinOff takes the same words, keeps its order, and tells of attempts."""
    failures: list[Failure] = []
    work = partial(tasks.fail_now_and_then, notes.path)
    with SpinOff(work, workers=2, backend=backend, retries=1) as spin:
        spin.put_many(range(30))
    assert list(spin) == [2 * i for i in range(30)]
    with SpinOff(tasks.fail, backend=backend, retries=2, on_error=failures.append) as spin:
        spin.put("told so")
    assert list(spin) == []
    assert [(each.index, each.args, each.attempts) for each in failures] == [(0, ("told so",), 3)]


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_the_record_tells_how_often(backend: str, notes: Notes) -> None:
    """Row: A task fails and is to run again. The `Failure` of an imap's on_error tells how often it ran."""
    failures: list[Failure] = []
    with Pool(1, backend=backend) as pool:
        stream = pool.options(retries=2).imap(tasks.fail_if, range(5), [3] * 5, on_error=failures.append)
        assert len(list(stream)) == 4
    assert [(each.index, each.attempts) for each in failures] == [(3, 3)]
