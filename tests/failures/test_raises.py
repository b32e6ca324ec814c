"""A task that raises, on every backend and through every door."""

import traceback

import pytest

from procession import Failure, Pool, SpinOff
from tests import warm
from tests.failures import tasks

kept_zygote = warm.keep()

BACKENDS = ["processes", "threads", "inline"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_submit(backend: str) -> None:
    """Row: The task raises. Its future has the exception, with where it was raised; the pool lives."""
    with Pool(2, backend=backend) as pool:
        future = pool.submit(tasks.fail, "boom")
        error = future.exception(60)
        assert type(error) is ValueError
        assert error.args == ("boom",)
        text = "".join(traceback.format_exception(error))
        assert "in fail" in text
        assert "raise ValueError(text)" in text
        assert pool.submit(tasks.double, 21).result(60) == 42


def test_the_remote_traceback_is_the_cause() -> None:
    """Row: The task raises. As with the stdlib, the traceback of the worker hangs on the exception as its cause."""
    with Pool(1) as pool:
        error = pool.submit(tasks.fail, "boom").exception(60)
        assert error is not None
        assert error.__cause__ is not None
        assert "in fail" in str(error.__cause__)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
def test_what_is_not_an_exception(backend: str, kind: type[BaseException]) -> None:
    """Row: The task raises. SystemExit and its like end neither the worker nor the program."""
    if backend == "inline" and kind is KeyboardInterrupt:
        pytest.skip("inline runs in the caller, whose KeyboardInterrupt may be a real one")
    with Pool(1, backend=backend) as pool:
        before = pool.submit(tasks.pid_of_worker).result(60)
        assert type(pool.submit(_raise, kind).exception(60)) is kind
        assert pool.submit(tasks.pid_of_worker).result(60) == before


def _raise(kind: type[BaseException]) -> None:
    raise kind("told to")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("chunksize", [None, 1, 7])
def test_map(backend: str, chunksize: int | None) -> None:
    """Row: The task raises. map hands over every item before the failure, chunk-mates included, then raises."""
    with Pool(2, backend=backend) as pool:
        got = []
        with pytest.raises(ValueError, match="item 12"):
            for value in pool.map(tasks.fail_if, range(30), [12] * 30, chunksize=chunksize):
                got.append(value)
        assert got == [2 * n for n in range(12)]
        assert pool.submit(tasks.double, 1).result(60) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_imap_goes_on_where_told(backend: str) -> None:
    """Row: The task raises. on_error decides what becomes of the stream: the item alone fails, in its place."""
    failures: list[Failure] = []
    with Pool(2, backend=backend) as pool:
        returned = list(pool.imap(tasks.fail_if, range(10), [4] * 10, on_error="return"))
        assert [v for v in returned if not isinstance(v, Exception)] == [2 * n for n in range(10) if n != 4]
        assert isinstance(returned[4], ValueError)
        skipped = list(pool.imap(tasks.fail_if, range(10), [4] * 10, on_error="skip"))
        assert skipped == [2 * n for n in range(10) if n != 4]
        assert list(pool.imap(tasks.fail_if, range(10), [4] * 10, on_error=failures.append)) == skipped
    assert [(f.index, f.args, type(f.error)) for f in failures] == [(4, (4, 4), ValueError)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_spinoff_goes_on(backend: str) -> None:
    """Row: The task raises. A spin-off raises at the item's place, and the next `next()` goes on."""
    got: list[object] = []
    with SpinOff(_not_three, backend=backend) as spin:
        for n in range(6):
            spin.put(n)
    results = iter(spin)
    while True:
        try:
            got.append(next(results))
        except ValueError as error:
            got.append(str(error))
        except StopIteration:
            break
    assert got == [0, 1, 2, "item 3", 4, 5]


def _not_three(n: int) -> int:
    if n == 3:
        raise ValueError("item 3")
    return n
