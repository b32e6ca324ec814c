"""A worker dies while it runs a task: that task is lost, and nothing else."""

import signal
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice, repeat

import pytest

from procession import PoisonTask, Pool, SpinOff, WorkerDied
from procession.transport import page
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, kill, seeded, wait_until

kept_zygote = warm.keep()

WAYS = ["SIGKILL", "SIGSEGV", "os._exit"]


def check_story(error: BaseException | None, how: str, name: str, index: int | None = None) -> None:
    """It says which task, and how the worker ended."""
    assert isinstance(error, WorkerDied)
    assert isinstance(error, BrokenProcessPool)
    assert error.task.endswith(name)
    assert error.index == index
    assert error.pid is not None
    if how == "os._exit":
        assert (error.exitcode, error.signal) == (41, None)
        assert "41" in str(error)
    else:
        number = getattr(signal, how)
        assert (error.exitcode, error.signal) == (-number, number)
        assert how in str(error)
    assert name in str(error)


@pytest.mark.parametrize("how", WAYS)
def test_submit(how: str) -> None:
    """Row: A worker dies. Only the task that it was running fails, with the signal or the exit code."""
    with Pool(1) as pool:
        before = pool.submit(tasks.pid_of_worker).result(60)
        error = pool.submit(tasks.die, how).exception(60)
        check_story(error, how, "die")
        assert error.pid == before  # type: ignore[union-attr]
        assert pool.submit(tasks.pid_of_worker).result(60) != before


@pytest.mark.parametrize("how", WAYS)
def test_a_burst(how: str, notes: Notes) -> None:
    """Row: A worker dies. One call in the midst of a burst: all others are answered, each started at most once."""
    n, victims = 2000, {500, 501, 1400}
    with Pool(2) as pool:
        futures = [pool.submit(tasks.die_if, i, i if i in victims else -1, how, notes.path) for i in range(n)]
        for i, future in enumerate(futures):
            if i in victims:
                check_story(future.exception(60), how, "die_if")
            else:
                assert future.result(60) == 2 * i
        lives_with(pool, 2)
    started = notes.lines()
    assert sorted(map(int, started)) == list(range(n))


def lives_with(pool: Pool, workers: int) -> None:
    """The pool has its workers still: as many tasks as that run at once."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        futures = [pool.submit(tasks.barrier, f"{folder}/notes", workers) for _ in range(workers)]
        assert [future.result(60) for future in futures] == [True] * workers


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("chunksize", [None, 25])
def test_imap(how: str, chunksize: int | None, notes: Notes) -> None:
    """Row: A worker dies. In a chunk of imap, exactly the item that ran is lost; the rest comes, in order."""
    n, victim = 200, 113
    with Pool(2) as pool:
        stream = pool.imap(
            tasks.die_if,
            range(n),
            repeat(victim),
            repeat(how),
            repeat(notes.path),
            on_error="return",
            chunksize=chunksize,
        )
        got = list(stream)
        check_story(got[victim], how, "die_if", victim)
        got[victim] = 2 * victim
        assert got == [2 * i for i in range(n)]
        lives_with(pool, 2)
    assert sorted(map(int, notes.lines())) == list(range(n))


@pytest.mark.parametrize("chunksize", [None, 50, 500])
def test_map(chunksize: int | None, notes: Notes) -> None:
    """Row: A worker dies. In map, every item before the lost one comes out, chunk-mates included; then the error."""
    n, victim = 500, 270
    got = []
    with Pool(2) as pool:
        with pytest.raises(WorkerDied) as caught:
            for value in pool.map(
                tasks.die_if, range(n), repeat(victim), repeat("SIGKILL"), repeat(notes.path), chunksize=chunksize
            ):
                got.append(value)
        check_story(caught.value, "SIGKILL", "die_if", victim)
        assert got == [2 * i for i in range(victim)]
        lives_with(pool, 2)
    started = notes.lines()
    assert len(started) == len(set(started))


@pytest.mark.parametrize("chunksize", [None, 1, 7, 1000])
def test_map_of_a_range(chunksize: int | None) -> None:
    """Row: A worker dies. So it is in a map over a range, whose numbers travel as two; with retries the rest comes."""
    with Pool(2) as pool:
        results = pool.map(tasks.die_at_minus_900, range(600, -1800, -3), chunksize=chunksize)
        assert list(islice(results, 500)) == list(range(600, -900, -3))
        with pytest.raises(WorkerDied) as caught:
            next(results)
        assert (caught.value.index, caught.value.arguments) == (500, "-900")
        results = pool.options(retries=2).map(tasks.die_at_minus_900, range(900, -901, -3), chunksize=chunksize)
        assert list(islice(results, 600)) == list(range(900, -900, -3))
        with pytest.raises(PoisonTask) as poison:
            next(results)
        assert (poison.value.index, len(poison.value.__notes__)) == (600, 2)


def test_every_kind_of_outcome_survives() -> None:
    """Row: A worker dies. What the items before it in its chunk returned comes out unchanged, whatever its kind: small
    integers to their bounds, which the page keeps in a word, larger ones, plain values, objects and exceptions."""
    rng = seeded()
    kinds = [
        *(page.LEAST - 1, page.LEAST, -1, 0, 1, page.MOST, page.MOST + 1, 2**200, -(2**200)),
        *(True, False, None, 1.5, float("inf"), "", "text", b"", bytes(5000), [1, {2: (3,)}], {4}, tasks.note),
        *(ValueError("no"), KeyError(3)),
    ]
    for size in (1, 40, page.SLOTS + 10):
        values = rng.choices(kinds, k=size)
        with Pool(1) as pool:
            got = list(
                pool.imap(partial(tasks.give_or_die, values), range(size + 1), on_error="return", chunksize=size + 1)
            )
        assert isinstance(got.pop(), WorkerDied)
        assert [f"{type(each).__name__} {each!r}" for each in got] == [
            f"{type(each).__name__} {each!r}" for each in values
        ]


def test_unordered() -> None:
    """Row: A worker dies. imap_unordered loses that item alone, too."""
    with Pool(3) as pool:
        got = list(pool.imap_unordered(tasks.die_if, range(300), repeat(77), on_error="return", chunksize=10))
    died = [value for value in got if isinstance(value, WorkerDied)]
    assert [error.index for error in died] == [77]
    assert sorted(v for v in got if not isinstance(v, WorkerDied)) == [2 * i for i in range(300) if i != 77]


def test_many_deaths_in_one_stream(notes: Notes) -> None:
    """Row: A worker dies. Forty of them within one stream: forty items lost, and not one besides."""
    n = 400
    with Pool(2) as pool:
        stream = pool.imap(
            tasks.die_if,
            range(n),
            (i if i % 10 == 3 else -1 for i in range(n)),
            repeat("SIGKILL"),
            repeat(notes.path),
            on_error="return",
            chunksize=25,
        )
        for i, value in enumerate(stream):
            if i % 10 == 3:
                check_story(value, "SIGKILL", "die_if", i)
            else:
                assert value == 2 * i
        lives_with(pool, 2)
    assert sorted(map(int, notes.lines())) == list(range(n))


@pytest.mark.parametrize("workers", [1, 3])
def test_spinoff(workers: int, notes: Notes) -> None:
    """Row: A worker dies. A spin-off goes on: the ordered hand-over has the error in its place."""
    n, victim = 100, 40
    with SpinOff(tasks.die_in_pair, workers=workers, on_error="return") as spin:
        for i in range(n):
            spin.put((i, victim, "SIGKILL", notes.path))
    got = list(spin)
    assert isinstance(got[victim], WorkerDied)
    got[victim] = 2 * victim
    assert got == [2 * i for i in range(n)]
    assert sorted(map(int, notes.lines())) == list(range(n))


def test_what_waits_behind_it_runs_elsewhere(notes: Notes, gate: Gate) -> None:
    """Row: A worker dies. Killed from outside while it runs the head of a long lease: what waited behind runs, once,
    and what it had finished is kept."""
    with Pool(1) as pool:
        warm = [pool.submit(tasks.role, "double", i) for i in range(500)]  # cheap, so that leases are long
        head = pool.submit(tasks.role, "held", notes.path, gate.path)
        rest = [pool.submit(tasks.role, "noted", notes.path, i) for i in range(500)]
        notes.wait(1)
        kill(next(iter(pool._processes)))
        assert isinstance(head.exception(60), WorkerDied)
        assert [future.result(60) for future in warm] == [2 * i for i in range(500)]
        assert [future.result(60) for future in rest] == list(range(500))
    assert notes.lines() == ["None", *map(str, range(500))]


def test_all_workers_at_once(notes: Notes, gate: Gate) -> None:
    """Row: A worker dies. All of them at one moment, with work behind: the running fail, the waiting run, in order."""
    with Pool(4) as pool:
        running = [pool.submit(tasks.held, notes.path, gate.path, i) for i in range(4)]
        waiting = [pool.submit(tasks.double, i) for i in range(100)]
        notes.wait(4)
        for pid in list(pool._processes):
            kill(pid)
        assert all(isinstance(future.exception(60), WorkerDied) for future in running)
        assert [future.result(60) for future in waiting] == [2 * i for i in range(100)]
        lives_with(pool, 4)


def test_under_a_multiprocessing_context() -> None:
    """Row: A worker dies. The promise holds as well when the program chose the start method."""
    import multiprocessing

    with Pool(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        error = pool.submit(tasks.die, "SIGKILL").exception(60)
        check_story(error, "SIGKILL", "die")
        assert pool.submit(tasks.double, 2).result(60) == 4


def test_the_traceback_names_task_and_signal() -> None:
    """Row: A worker dies. One line says who died, of what, and that nothing else is lost."""
    with Pool(1) as pool:
        error = pool.submit(tasks.die, "SIGKILL").exception(60)
    assert "SIGKILL" in str(error)
    assert "only this task is lost" in str(error)


def test_stats_tell() -> None:
    """Row: A worker dies. `stats()` counts it, and the pool has its workers."""
    with Pool(2) as pool:
        pool.submit(tasks.die, "SIGKILL").exception(60)
        wait_until(lambda: pool.stats().died == 1, "a death in the statistics")
        assert pool.stats().failed == 1
        lives_with(pool, 2)
