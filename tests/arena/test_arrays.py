"""Arrays that lie in an arena from the beginning: sent as a reference, both ways."""

import gc
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import procession
from procession import Pool
from procession.transport.aside import Body
from tests.arena import work
from tests.arena.conftest import MB, MakePool, sent, taken
from tests.failures.kit import wait_until


def test_they_are_arrays_as_numpy_makes_them() -> None:
    made = procession.empty((3, 5), "int16")
    assert (made.shape, made.dtype, made.flags.writeable, made.flags.c_contiguous) == ((3, 5), np.int16, True, True)
    assert procession.empty(7).dtype == np.float64
    zeros = procession.zeros((2, 2), [("a", "i4"), ("b", "f8")])
    assert zeros["b"].sum() == 0
    source = np.arange(12).reshape(3, 4).T
    copy = procession.array_like(source)
    assert (copy == source).all()
    assert not np.shares_memory(copy, source)
    assert (procession.array_like([1.5, 2]) == [1.5, 2]).all()
    assert procession.empty(0).size == 0
    assert procession.zeros((), int).shape == ()
    with pytest.raises(TypeError, match="objects"):
        procession.empty(3, object)


def test_one_that_was_used_before_is_zero_again() -> None:
    for _ in range(3):
        made = procession.zeros(MB)
        assert made.sum() == 0
        made += 1
        del made


def test_it_travels_as_a_reference(pool: Pool) -> None:
    array = procession.zeros(4 * MB)
    codec: Any = pool._engine.codec  # type: ignore[attr-defined]
    body = codec.encode(codec.function(work.total), (array[100:],), {})
    assert type(body) is Body
    assert taken() == 1, "nothing was copied"
    del body
    assert pool.submit(work.double_in_place, array).result() == 0
    array[:] = 1
    assert pool.submit(work.total, array).result() == 4 * MB
    assert pool.submit(work.total, array[10:20]).result() == 10
    assert pool.submit(work.total, array[10:20].reshape(2, 5)).result() == 10
    assert pool.submit(work.total, array[::2]).result() == 2 * MB, "which is copied"
    assert taken() == 1


def test_both_sides_see_what_is_written(pool: Pool) -> None:
    array = procession.array_like(np.ones(MB))
    assert pool.submit(work.double_in_place, array).result() == 2 * MB
    assert array.sum() == 2 * MB
    pool.submit(work.keep, array).result()
    array[:] = 3
    assert pool.submit(work.kept_total).result() == 3 * MB


def test_it_outlives_the_task_that_was_given_it(pool: Pool) -> None:
    array = procession.array_like(np.full(MB, 2.0))
    pool.submit(work.keep, array).result()
    del array
    gc.collect()
    other = procession.zeros(MB)
    assert pool.submit(work.kept_total).result() == 2 * MB
    pool.submit(work.forget).result()
    wait_until(lambda: taken() == 1, "nobody has the first any more")
    del other


def test_it_may_be_dropped_while_it_is_on_its_way(pool: Pool) -> None:
    futures = [pool.submit(work.total, procession.array_like(np.full(MB, float(n)))) for n in range(5)]
    assert [future.result() for future in futures] == [n * MB for n in range(5)]
    wait_until(lambda: taken() == 0, "all is free")


@pytest.mark.parametrize("size", [10, MB])
def test_a_task_returns_one_as_a_reference(pool: Pool, size: int) -> None:
    assert pool.submit(work.full, size, 1.0).result().sum() == size
    array = pool.submit(work.lend, size).result()
    assert array.sum() == 5 * size
    array[:] = 6
    assert pool.submit(work.kept_total).result() == 6 * size, "it is shared"
    again = [pool.submit(return_kept).result() for _ in range(5)]
    pool.submit(work.forget).result()
    for _ in range(10):
        pool.submit(work.full, MB, 1.0).result()
    assert array.sum() == 6 * size
    assert all(each.sum() == 6 * size for each in again)


def return_kept() -> Any:
    return work.kept[-1]


def test_without_a_pool_there_is_nothing_left() -> None:
    array = procession.zeros(MB)
    assert sent().exports
    array += 1
    part = array[3:4]
    del array
    gc.collect()
    assert part[0] == 1


def test_a_full_arena_gives_an_ordinary_array(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_ARENA_BYTES", str(2 * MB))
    pool = make_pool(1)
    array = procession.zeros(MB)
    assert sent().exports == 0
    assert pool.submit(work.total, array).result() == 0


def test_without_numpy_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "import procession\n"
        "try: procession.zeros(3)\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "procession[numpy]" in done.stdout
