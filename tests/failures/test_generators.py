"""A generator on a worker: its worker dies, others have its worker killed, it hangs, it is let go of."""

import gc
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from procession import PoisonTask, Pool, TaskTimeout, WorkerDied
from procession.backends.tasks import CallFuture
from procession.core.pool import PoolCore
from procession.driver.leftovers import collapse
from tests import warm
from tests.failures import tasks
from tests.failures.kit import PATIENCE, Gate, Notes, Program, kill, seeded, took, wait_until
from tests.failures.test_forks import in_child

kept_zygote = warm.keep()


def yields_and(path: str, n: int, how: str, gate: str) -> Iterator[int]:
    """`n` values, and then it is stuck, or dies, or waits for the gate."""
    tasks.note(path, os.getpid())
    try:
        yield from range(n)
        if how == "sleep":
            tasks.note(path, "sleeps")
            threading.Event().wait(3600)
        elif how == "gate":
            while not os.path.exists(gate):
                threading.Event().wait(0.002)
        else:
            tasks.die(how)
        yield n
    finally:
        tasks.note(path, "finally")


def counts(path: str, n: int) -> Iterator[int]:
    tasks.note(path, os.getpid())
    try:
        yield from range(n)
    finally:
        tasks.note(path, "finally")


ENDLESS = 1_000_000_000


def taken(stream: Any) -> tuple[list[Any], BaseException | None]:
    """Everything, and the error behind it."""
    values = []
    try:
        for value in stream:
            values.append(value)
    except Exception as error:
        return values, error
    return values, None


# ------------------------------------------------------------------------------------------------------ its worker dies


@pytest.mark.parametrize("n", [0, 1, 2, 100, 3000])
@pytest.mark.parametrize("how", ["SIGKILL", "os._exit"])
def test_in_a_turn(how: str, n: int, notes: Notes) -> None:
    """Row: The worker of a stream dies. All that was yielded comes, then the death, in its place."""
    with Pool(1) as pool:
        values, error = taken(pool.stream(yields_and, notes.path, n, how, ""))
        assert values == list(range(n))
        assert isinstance(error, WorkerDied)
        assert type(error) is WorkerDied
        assert error.pid == notes.pids()[0]
        assert (error.exitcode, error.signal) == ((41, None) if how == "os._exit" else (-9, 9))
        assert "yields_and" in str(error)
        assert pool.submit(abs, -1).result(PATIENCE) == 1


def test_between_two_turns(notes: Notes) -> None:
    """Row: The worker of a stream dies. Killed while nobody takes: what had been yielded, then the same error."""
    with Pool(2) as pool:
        stream = pool.stream(counts, notes.path, ENDLESS)
        assert next(stream) == 0
        (pid,) = notes.pids()
        wait_until(lambda: not pool.stats().busy and not pool.stats().pending, "nothing is wanted")
        kill(pid)
        wait_until(lambda: pid not in pool._processes, "its end is known")
        values, error = taken(stream)
        assert values == list(range(1, stream.stats().yielded))
        assert isinstance(error, WorkerDied)
        assert (error.pid, error.exitcode) == (pid, -9)
        assert pool.submit(abs, -1).result(PATIENCE) == 1


def test_with_it_whatever_lived_there(notes: Notes) -> None:
    """Row: The worker of a stream dies. Another task that kills its worker takes along what lives there."""
    with Pool(1) as pool:
        streams = [pool.stream(counts, notes.path, ENDLESS) for _ in range(3)]
        assert [next(stream) for stream in streams] == [0, 0, 0]
        assert isinstance(pool.submit(tasks.die, "SIGKILL").exception(PATIENCE), WorkerDied)
        for stream in streams:
            values, error = taken(stream)
            assert values == list(range(1, stream.stats().yielded))
            assert isinstance(error, WorkerDied)
        assert list(pool.stream(counts, notes.path, 10)) == list(range(10))


def test_a_further_run(notes: Notes) -> None:
    """Row: The worker of a stream dies. With `retries` it begins anew, and skips what had come."""
    rng = seeded()
    with Pool(2) as pool:
        stream = pool.options(retries=5).stream(counts, notes.path, 20_000)
        values: list[int] = []
        for killed in range(5):
            for _ in range(rng.randrange(1, 500)):
                values.append(next(stream))
            kill(notes.pids(killed + 1)[killed])
            while stream.stats().runs == killed + 1:  # until its death is met
                values.append(next(stream))
        values += stream
        assert values == list(range(20_000))
        assert stream.stats().runs == 6


def test_who_kills_its_worker_every_time(notes: Notes) -> None:
    """Row: The worker of a stream dies. At every run: PoisonTask, behind what had been yielded."""
    with Pool(1) as pool:
        values, error = taken(pool.options(retries=2).stream(yields_and, notes.path, 7, "SIGKILL", ""))
        assert values == list(range(7))
        assert isinstance(error, PoisonTask)
        assert len(set(notes.pids(3))) == 3
        assert len(pool.stats().quarantined) == 1


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_however_workers_start(method: str, notes: Notes) -> None:
    """Row: The worker of a stream dies. Under a multiprocessing context, too."""
    context = multiprocessing.get_context(method)
    with Pool(1, mp_context=context) as pool:
        assert list(pool.stream(counts, notes.path, 100)) == list(range(100))
        values, error = taken(pool.stream(yields_and, notes.path, 5, "SIGKILL", ""))
        assert values == list(range(5))
        assert isinstance(error, WorkerDied)


def test_what_waits_for_the_end_of_a_worker_when_the_driver_fails() -> None:
    """Row: The worker of a stream dies. A bug of ours beside that is told to whoever waits."""
    turn: CallFuture[int] = CallFuture(cast(Any, None), ())
    core = PoolCore(1)
    core.bereaved[0] = deque([turn])
    story = collapse(core, ValueError("a bug"))
    assert turn.exception(0) is story


# --------------------------------------------------------------------------------------------- it is in nobody's way


@pytest.mark.parametrize("words", [{"max_tasks_per_child": 1}, {"max_age_per_child": 0.01}], ids=str)
def test_its_worker_is_not_replaced(words: dict[str, Any], notes: Notes) -> None:
    """Row: Workers are replaced. Not while a generator lives there; after it has ended, as ever."""
    with Pool(1, **words) as pool:
        stream = pool.stream(counts, notes.path, 2000)
        seen = set()
        for _ in range(30):
            next(stream)
            seen.add(pool.submit(tasks.pid_of_worker).result(PATIENCE))
        assert list(stream) == list(range(30, 2000))
        assert seen == {int(notes.lines()[0])}
        wait_until(lambda: pool.submit(tasks.pid_of_worker).result(PATIENCE) not in seen, "another worker")


# ------------------------------------------------------------------------------------------------------------ it hangs


def test_a_timeout(notes: Notes) -> None:
    """Row: A task outlives its timeout. What a generator had yielded comes, then TaskTimeout, with where it hung."""
    with Pool(1) as pool:
        pool.submit(tasks.same, yields_and).result(PATIENCE)  # what is imported has no part in it
        values, error = taken(pool.options(timeout=0.5).stream(yields_and, notes.path, 5, "sleep", ""))
        assert values == list(range(5))
        assert isinstance(error, TaskTimeout)
        assert "yields_and" in error.stack
        assert pool.submit(abs, -1).result(PATIENCE) == 1


def test_a_timeout_with_a_grace(notes: Notes, gate: Gate) -> None:
    """Row: A task outlives its timeout. With `grace` a generator is closed at its next yield; its finally runs."""
    with Pool(1) as pool:
        pool.submit(tasks.same, yields_and).result(PATIENCE)
        view = pool.options(timeout=0.5, grace=PATIENCE)
        stream = view.stream(yields_and, notes.path, 5, "gate", gate.path)
        assert [next(stream) for _ in range(5)] == list(range(5))
        threading.Timer(1.0, gate.open).start()
        values, error = taken(stream)
        assert isinstance(error, TaskTimeout) or (values, error) == ([5], None)
        assert notes.wait(2)[1] == "finally"
        assert pool.submit(tasks.pid_of_worker).result(PATIENCE) == int(notes.lines()[0])


# ----------------------------------------------------------------------------------------------------- it is let go of


def test_what_does_not_come_to_its_next_yield_is_killed(notes: Notes) -> None:
    """Row: A running task is cancelled. A stream that is closed has its grace to come to its next yield."""
    with Pool(1) as pool:
        stream = pool.options(grace=0.1).stream(yields_and, notes.path, 1, "sleep", "")
        assert next(stream) == 0
        pid, word = notes.wait(2)
        assert word == "sleeps"
        stream.close()
        took(lambda: int(pid) not in pool._processes, "its worker is gone")
        assert list(stream) == []
        assert pool.submit(tasks.pid_of_worker).result(PATIENCE) != int(pid)


def test_what_is_dropped_in_the_midst_of_a_yield_is_no_end_of_its_worker(notes: Notes) -> None:
    """Row: A running task is cancelled. A stream that yields is closed, not killed, however it is let go of."""
    with Pool(1) as pool:
        pid = pool.submit(tasks.pid_of_worker).result(PATIENCE)
        for n in range(20):
            for value in pool.stream(counts, notes.path, ENDLESS):
                if value == n * 100:
                    break
            gc.collect()
        wait_until(lambda: notes.lines().count("finally") == 20, "all of them are closed")
        assert pool.submit(tasks.pid_of_worker).result(PATIENCE) == pid


def stuck_at_its_end(path: str) -> Iterator[int]:
    tasks.note(path, os.getpid())
    try:
        yield from range(ENDLESS)
    finally:
        tasks.note(path, "finally")
        threading.Event().wait(3600)


def test_what_does_not_end_between_two_turns_is_killed(notes: Notes) -> None:
    """Row: A running task is cancelled. A stream that is closed has its grace to end, wherever it was."""
    with Pool(1) as pool:
        stream = pool.options(grace=0.1).stream(stuck_at_its_end, notes.path)
        assert next(stream) == 0
        (pid,) = notes.pids()
        wait_until(lambda: not pool.stats().busy and not pool.stats().pending, "nothing is wanted")
        stream.close()
        notes.wait(2)
        took(lambda: pid not in pool._processes, "its worker is gone")
        assert pool.submit(tasks.pid_of_worker).result(PATIENCE) != pid


def test_a_thread_that_is_given_up_yields_no_more(notes: Notes, gate: Gate) -> None:
    """Row: A task outlives its timeout. What a thread yields that was given up comes too late; its finally runs."""
    with Pool(1, backend="threads") as pool:
        values, error = taken(stream := pool.options(timeout=0.2).stream(yields_and, notes.path, 2, "gate", gate.path))
        assert values == [0, 1]
        assert isinstance(error, TaskTimeout)
        gate.open()
        assert notes.wait(2)[1] == "finally"
        assert list(stream) == []
        assert stream.stats().yielded == 2


def test_no_code_of_a_user_holds_up_a_pool_of_threads(gate: Gate) -> None:
    """Row: Shutdown from anywhere. A pool that takes no further turn closes the generator where no lock is held."""
    steps: list[bool] = []

    def yields_two() -> Iterator[int]:
        try:
            yield 0
            while not os.path.exists(gate.path):
                threading.Event().wait(0.002)
            yield 1
        finally:
            steps.append(pool._engine.stepper == threading.get_ident())

    with Pool(1, backend="threads") as pool:
        stream = pool.stream(yields_two)
        assert next(stream) == 0
        pool.shutdown(wait=False)
        gate.open()
    assert steps == [False]
    assert next(stream) == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        next(stream)


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_forked_child_of_the_taker(backend: Any, notes: Notes) -> None:
    """Row: The parent forks, or a task forks. The child's copy of a stream says whose it is; the parent's goes on."""
    with Pool(1, backend=backend) as pool:
        stream = pool.stream(counts, notes.path, 1000)
        assert next(stream) == 0
        with stream._course.lock:  # as the engine's thread may hold it when somebody forks
            other = threading.Thread(target=lambda: said.extend(map(in_child, bodies)))
            said: list[str] = []
            bodies: list[Any] = [lambda: next(stream), stream.stats, stream.close]
            other.start()
            other.join(PATIENCE)
        assert "this pool belongs to the parent process" in said[0]
        assert "this pool belongs to the parent process" in said[1]
        assert said[2] == "None"
        assert list(stream) == list(range(1, 1000))


PROGRAM = """
    import sys, time
    from procession import Pool

    def counts(n):
        try:
            for i in range(n):
                yield i
        finally:
            print("finally", flush=True)

    def hangs():
        yield 1
        time.sleep(3600)

    pool = Pool(2)
    pool._engine.warm()
    while pool.stats().idle < 2:  # the two streams are to have a worker each
        time.sleep(0.01)
    kept = pool.stream(counts, 1_000_000)
    print(next(kept))
    dropped = pool.options(grace=0.1).stream(hangs)
    print(next(dropped))
    del dropped
    if sys.argv[1] == "taken":
        for x in kept:
            if x == 100:
                break
    print("end", flush=True)
"""


@pytest.mark.parametrize("how", ["taken", "left"])
def test_a_program_that_ends(how: str, tmp_path: Path) -> None:
    """Row: A pool is dropped without shutdown. A program that ends closes what generators live, and hangs on none."""
    with Program(tmp_path / "program", PROGRAM, how) as program:
        assert program.wait() == 0, program.out
        assert program.out.split() == ["0", "1", "end", "finally"]
        wait_until(program.alone, "nothing is left")


def test_a_forked_child_of_a_generator_yields_nothing(notes: Notes) -> None:
    """Row: The parent forks, or a task forks. A child that comes back into a turn ends there, and writes nothing."""
    with Pool(1) as pool:
        values = list(pool.stream(forks, notes.path))
        assert values == [1, 2, 3]
        (child,) = notes.pids()
        assert child


def forks(path: str) -> Iterator[int]:
    yield 1
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        tasks.note(path, child)
        assert status == 0
    yield 2
    yield 3
