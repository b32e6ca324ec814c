"""What cannot be pickled or rebuilt costs one task, never the pool, and says what is at fault."""

import threading
import traceback
from concurrent.futures import BrokenExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

from procession import PicklingError, Pool, RemoteError, SpinOff
from tests import warm
from tests.failures import tasks

kept_zygote = warm.keep()


def full(error: BaseException | None) -> str:
    assert error is not None
    return "".join(traceback.format_exception(error))


def lives(pool: Pool) -> None:
    assert pool.submit(tasks.double, 4).result(60) == 8


def test_an_exception_that_cannot_be_rebuilt() -> None:
    """Row: Something cannot be pickled or rebuilt. An exception whose constructor wants more than its args."""
    with Pool(1) as pool:
        worker = pool.submit(tasks.pid_of_worker).result(60)
        error = pool.submit(tasks.raise_needs_two).exception(60)
        assert isinstance(error, RemoteError)
        text = full(error)
        assert "NeedsTwo" in text
        assert "salt and pepper" in text
        assert "in raise_needs_two" in text
        assert pool.submit(tasks.pid_of_worker).result(60) == worker


def test_an_exception_that_cannot_be_pickled_keeps_its_built_in_base() -> None:
    """Row: Something cannot be pickled or rebuilt. `except ValueError` still catches what was a ValueError."""
    with Pool(1) as pool:
        error = pool.submit(tasks.raise_holds_lock).exception(60)
        assert isinstance(error, RemoteError)
        assert isinstance(error, ValueError)
        text = full(error)
        assert "HoldsLock" in text
        assert "with a lock inside" in text
        assert "in raise_holds_lock" in text
        lives(pool)


def test_a_result_that_cannot_be_pickled() -> None:
    """Row: Something cannot be pickled or rebuilt. The error says where in the result the culprit sits."""
    with Pool(1) as pool:
        error = pool.submit(tasks.give_unpicklable).exception(60)
        assert isinstance(error, PicklingError)
        assert isinstance(error, TypeError)
        text = full(error)
        assert "lock" in text
        assert "handle" in text, text
        assert "inner" in text, text
        lives(pool)


def test_a_result_that_cannot_be_rebuilt() -> None:
    """Row: Something cannot be pickled or rebuilt. Load errors are BrokenProcessPool, too, as in the stdlib."""
    with Pool(1) as pool:
        error = pool.submit(tasks.give_unloadable).exception(60)
        assert isinstance(error, BrokenProcessPool), repr(error)
        text = full(error)
        assert "cannot rebuild the result" in text
        lives(pool)


def test_an_argument_that_cannot_be_pickled_was_never_sent(notes) -> None:
    """Row: Something cannot be pickled or rebuilt. The argument: that future alone fails, and nothing has run."""
    with Pool(1) as pool:
        error = pool.submit(tasks.noted, notes.path, tasks.Unpicklable()).exception(60)
        assert isinstance(error, PicklingError)
        assert "handle" in full(error)
        lives(pool)
    assert notes.lines() == []


def test_an_argument_that_cannot_be_rebuilt(notes) -> None:
    """Row: Something cannot be pickled or rebuilt. The argument fails to load in the worker: the worker lives."""
    with Pool(1) as pool:
        worker = pool.submit(tasks.pid_of_worker).result(60)
        error = pool.submit(tasks.noted, notes.path, tasks.FailsToLoad("the argument")).exception(60)
        assert isinstance(error, BrokenProcessPool), repr(error)
        assert "cannot rebuild the argument" in full(error)
        assert pool.submit(tasks.pid_of_worker).result(60) == worker
    assert notes.lines() == []


def test_its_neighbours_of_the_same_burst_are_answered() -> None:
    """Row: Something cannot be pickled or rebuilt. A burst in which every tenth call is bad, each in its own way."""
    bad = ["give_unpicklable", "give_unloadable", "raise_needs_two", "raise_holds_lock"]
    with Pool(2) as pool:
        futures = [pool.submit(tasks.odd_one, n, n if n % 10 == 7 else -1, bad[n // 10 % len(bad)]) for n in range(400)]
        for n, future in enumerate(futures):
            if n % 10 == 7:
                assert isinstance(future.exception(60), RemoteError | PicklingError | BrokenExecutor)
            else:
                assert future.result(60) == 2 * n


@pytest.mark.parametrize("bad", ["give_unpicklable", "give_unloadable", "raise_needs_two", "raise_holds_lock"])
@pytest.mark.parametrize("chunksize", [None, 1, 16])
def test_in_a_chunk_only_that_item_fails(bad: str, chunksize: int | None) -> None:
    """Row: Something cannot be pickled or rebuilt. In a chunk of imap and map, only that item fails, in its place."""
    n, victim = 64, 37
    with Pool(2) as pool:
        words = {"on_error": "return", "chunksize": chunksize}
        got = list(pool.imap(tasks.odd_one, range(n), [victim] * n, [bad] * n, **words))
        assert isinstance(got[victim], Exception)
        got[victim] = 2 * victim
        assert got == [2 * i for i in range(n)]

        mapped = []
        with pytest.raises((RemoteError, PicklingError, BrokenExecutor)):
            for value in pool.map(tasks.odd_one, range(n), [victim] * n, [bad] * n, chunksize=chunksize):
                mapped.append(value)
        assert mapped == [2 * i for i in range(victim)]


@pytest.mark.parametrize("argument", [threading.Lock, tasks.FailsToLoad], ids=["pickle", "rebuild"])
@pytest.mark.parametrize("chunksize", [None, 16])
def test_in_a_chunk_only_that_argument_fails(argument: type, chunksize: int | None) -> None:
    """Row: Something cannot be pickled or rebuilt. One bad argument among good ones of the same chunk."""
    items: list[object] = list(range(64))
    items[37] = argument()
    with Pool(2) as pool:
        got = list(pool.imap(tasks.same, items, on_error="return", chunksize=chunksize))
        assert isinstance(got[37], Exception)
        assert [v for i, v in enumerate(got) if i != 37] == [v for i, v in enumerate(items) if i != 37]
        lives(pool)


@pytest.mark.parametrize("workers", [1, 2])
def test_in_a_spinoff(workers: int) -> None:
    """Row: Something cannot be pickled or rebuilt. Bad items of a spin-off fail in their place; the rest comes."""
    got: list[object] = []
    with SpinOff(tasks.same, workers=workers, on_error="return") as spin:
        for item in [0, threading.Lock(), 2, tasks.FailsToLoad(), 4]:
            spin.put(item)
    for value in spin:
        got.append("failed" if isinstance(value, Exception) else value)
    assert got == [0, "failed", 2, "failed", 4]


def test_inline_with_pickle_shows_the_same() -> None:
    """Row: Something cannot be pickled or rebuilt. `backend="inline", pickle=True` finds it without a process."""
    with Pool(backend="inline", pickle=True) as pool:
        assert isinstance(pool.submit(tasks.give_unpicklable).exception(60), PicklingError)
        assert isinstance(pool.submit(tasks.same, threading.Lock()).exception(60), PicklingError)
        assert pool.submit(tasks.double, 4).result(60) == 8
