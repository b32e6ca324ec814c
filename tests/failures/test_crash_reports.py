"""What is told of a worker that has died."""

import signal

import pytest

from procession import Pool, WorkerDied, WorkerStartError
from tests import warm
from tests.failures import tasks
from tests.failures.kit import PURGE, Notes

kept_zygote = warm.keep()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE"])
def test_where_it_crashed(name: str) -> None:
    """Row: A worker dies. A crash shows the Python stack of each of its threads, and what it was called with."""
    number = int(getattr(signal, name))
    with Pool(1) as pool:
        error = pool.submit(crash_deep, number, "hello", key=[1, 2]).exception(60)
        assert isinstance(error, WorkerDied)
        assert error.signal == number
        assert "in crash_deeper" in error.stack
        assert "in crash_deep\n" in error.stack + "\n"
        assert "procession/worker" not in error.stack
        assert error.arguments == f"{number}, 'hello', key=[1, 2]"
        assert f"crash_deep({number}, 'hello', key=[1, 2])" in str(error)
        assert error.stack in str(error)
        assert error.oom is False


def crash_deep(number: int, _text: str, key: object) -> None:
    crash_deeper(number)


def crash_deeper(number: int) -> None:
    import os
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)
    raise AssertionError


def test_how_much_memory_it_had() -> None:
    """Row: A worker dies. Its peak memory is told, and that the kernel's OOM killer did not do it."""
    with Pool(1) as pool:
        error = pool.submit(balloon_and_die, 64).exception(60)
        assert isinstance(error, WorkerDied)
        assert error.peak_rss is not None
        assert 64 << 20 < error.peak_rss < (200 << 20) * (1 if PURGE is None else 2)
        assert not error.oom
        assert "MiB at its peak" in str(error)


def balloon_and_die(mib: int) -> None:
    kept = bytearray(mib << 20)
    kept[:: 1 << 12] = b"x" * len(kept[:: 1 << 12])
    tasks.die("SIGKILL")


def test_an_item_is_named(notes: Notes) -> None:
    """Row: A worker dies. In a stream its place is told, and what the item was."""
    with Pool(2) as pool:
        found = list(pool.imap(tasks.die_if, range(40), [23] * 40, chunksize=20, on_error="return"))
        error = found[23]
        assert isinstance(error, WorkerDied)
        assert (error.index, error.arguments) == (23, "23, 23")
        assert "die_if[23](23, 23)" in str(error)


def test_nothing_of_the_user_runs_for_it() -> None:
    """Row: A worker dies. To say what it was called with, no code of the user is run: that may be what killed it."""
    with Pool(1) as pool:
        error = pool.submit(tasks.double, Killer()).exception(60)
        assert isinstance(error, WorkerDied)
        assert error.exitcode == 41
        assert error.arguments == "<die>"
        assert pool.submit(tasks.double, 3).result(60) == 6


class Killer:
    """Kills whoever unpickles it."""

    def __reduce__(self):
        return tasks.die, ("os._exit",)

    def __repr__(self):
        raise AssertionError("nobody is to ask")


def test_workers_that_die_as_soon_as_they_are_ready(notes: Notes) -> None:
    """Row: A worker dies outside a task. Those that die as soon as they are ready: it does not spin, it is broken."""
    with Pool(2, initializer=die_soon, initargs=(notes.path,)) as pool:
        error = pool.submit(tasks.double, 1).exception(60)
        assert isinstance(error, WorkerStartError | WorkerDied)
        errors = [pool_error(pool) for _ in range(60)]
        assert isinstance(errors[-1], WorkerStartError)
        started = len(notes.lines())
        assert isinstance(pool_error(pool), WorkerStartError)
        assert len(notes.lines()) == started


def pool_error(pool: Pool) -> BaseException | None:
    try:
        return pool.submit(tasks.double, 1).exception(60)
    except WorkerStartError as error:
        return error


def die_soon(path: str) -> None:
    """The worker says that it is ready, and is killed in the midst of looking for work."""
    import os

    from procession.worker import fast, loop

    tasks.note(path, "started")
    for kind in (loop.Worker, fast.FastWorker):
        kind.run = lambda _self: os._exit(7)  # type: ignore[method-assign]
