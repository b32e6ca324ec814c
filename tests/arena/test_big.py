"""Large arguments and results, on all ways by which they travel."""

import gc
import os
import pickle
import sys
from typing import Any

import numpy as np
import pytest

from procession import PicklingError, Pool, RemoteError, SpinOff
from procession.transport.aside import LEAST, OWN_BLOCK, Body
from tests.arena import work
from tests.arena.conftest import MB, MakePool, memory_of, results, sent, taken
from tests.failures.kit import wait_until
from tests.transport.test_interrupts import interrupted_at

EDGES = (0, 1, LEAST - 8, LEAST, LEAST + 8, OWN_BLOCK - 8, OWN_BLOCK, OWN_BLOCK + 8, 3 * MB)


@pytest.mark.parametrize("size", EDGES)
def test_arrays_come_back_as_they_were(pool: Pool, size: int) -> None:
    array = np.arange(size // 8, dtype=np.float64)
    back = pool.submit(work.echo, array).result()
    assert back.dtype == array.dtype
    assert (back == array).all()
    assert back.flags.writeable
    back += 1
    assert (array == np.arange(size // 8)).all()


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize(
    "make", [bytes, bytearray, lambda size: "é" * (size // 2), lambda size: list(range(size // 4))]
)
def test_what_has_no_buffers_comes_back_as_it_was(pool: Pool, make: Any, size: int) -> None:
    value = make(size)
    assert pool.submit(work.same, value).result() == (type(value).__name__, value)
    assert pool.submit(work.echo, value=value).result() == value
    assert list(pool.map(work.echo, [value, 1, value])) == [value, 1, value]


def test_large_things_lie_aside_and_small_ones_do_not(pool: Pool) -> None:
    engine: Any = pool._engine
    entry = engine.codec.function(work.total)
    body = engine.codec.encode(entry, (np.ones(LEAST // 8),), {})
    assert type(body) is Body
    assert len(body) < 1000
    assert type(engine.codec.encode(entry, (np.ones(LEAST // 8 - 100),), {})) is bytes
    assert type(engine.codec.encode(entry, (b"x" * LEAST,), {})) is Body
    assert engine.codec.encode(entry, (b"x", 1), {}) == (b"x", 1)
    assert type(pickle.loads(pickle.dumps(body))) is not Body  # what travels is a pickle like any other
    del body


def test_it_travels_by_all_launchers(method: Any, make_pool: MakePool) -> None:
    pool = make_pool(2, mp_context=method)
    arrays = [np.full(MB // 8, float(number)) for number in range(6)]
    assert list(pool.map(work.total, arrays)) == [array.sum() for array in arrays]
    for number, back in enumerate(pool.imap(work.echo, arrays)):
        assert (back == number).all()
    assert sent().restless
    assert any(map(memory_of, results(pool)))


def test_through_a_spin_off(make_pool: MakePool) -> None:
    with SpinOff(work.echo, workers=2) as spin:
        for number in range(8):
            spin.put(np.full(MB // 8, float(number)))
    assert [float(array[-1]) for array in spin] == [float(number) for number in range(8)]


def test_one_pickle_with_arrays_of_all_sizes_and_a_long_list(pool: Pool) -> None:
    value = {
        "large": np.arange(MB, dtype=np.int32),
        "middle": [np.arange(n) for n in (9000, 10_000, 20_001)],
        "small": np.arange(5),
        "transposed": np.arange(MB).reshape(1024, -1).T,
        "holes": np.arange(MB)[::3],
        "read-only": np.arange(MB),
        "list": list(range(100_000)),
        "bytes": b"y" * MB,
    }
    value["read-only"].flags.writeable = False
    back = pool.submit(work.echo, value).result()
    for name in ("large", "small", "transposed", "holes", "read-only"):
        assert (back[name] == value[name]).all(), name
    assert all((one == two).all() for one, two in zip(back["middle"], value["middle"], strict=True))
    assert back["list"] == value["list"]
    assert back["bytes"] == value["bytes"]
    assert back["large"].flags.writeable
    assert not back["read-only"].flags.writeable


def test_the_same_object_twice_is_one_object(pool: Pool) -> None:
    array = np.ones(MB)
    one, two = pool.submit(work.echo, (array, array)).result()
    assert one is two


# ------------------------------------------------------------------------------------------ nobody sees what is written


def test_what_is_changed_after_submit_is_not_seen(pool: Pool) -> None:
    array = np.ones(MB)
    futures = [pool.submit(work.total, array) for _ in range(4)]
    array[:] = 0
    assert [future.result() for future in futures] == [MB] * 4


def test_a_task_may_write_to_its_argument(pool: Pool) -> None:
    array = np.ones(MB)
    assert pool.submit(work.double_in_place, array).result() == 2 * MB
    assert pool.submit(work.double_in_place, array).result() == 2 * MB
    assert array.sum() == MB


def test_two_results_share_nothing(pool: Pool) -> None:
    one, two = (pool.submit(work.full, MB, 1.0).result() for _ in range(2))
    one[:] = 2
    assert two.sum() == MB


@pytest.mark.parametrize("task", [work.die_once, work.fail_once])
def test_a_further_run_sees_what_was_sent(make_pool: MakePool, tmp_path: Any, task: Any) -> None:
    pool = make_pool(1).options(retries=1)
    array = np.ones(MB)
    assert pool.submit(task, str(tmp_path / "submit"), array).result() == MB
    assert list(pool.map(task, [str(tmp_path / "map")], [array])) == [MB]
    assert array.sum() == MB


def test_a_further_run_of_a_spin_off_sees_what_was_sent(tmp_path: Any) -> None:
    def task(item: Any) -> float:
        return work.fail_once(str(tmp_path / "flag"), item)

    with SpinOff(task, retries=1) as spin:
        spin.put(np.ones(MB))
    assert list(spin) == [MB]


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that hits a finalizer is swallowed
def test_interrupted_anywhere_nothing_stays_taken(pool: Pool) -> None:
    codec: Any = pool._engine.codec  # type: ignore[attr-defined]
    entry = codec.function(work.total)
    value = [np.ones(OWN_BLOCK // 8), np.ones(LEAST // 8), list(range(LEAST))]
    codec.encode(entry, (value,), {})
    step = 1
    while interrupted_at(step, lambda: codec.encode(entry, (value,), {}), spared=("allocate", "lent")):
        step += 1 + step // 30
        assert taken() == 0
    assert step > 100
    assert sys.exception() is None, "a tracer struck in an exception handler, which no signal does: use none there"


def test_a_map_lets_go_of_what_is_answered(pool: Pool, tmp_path: Any) -> None:
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    results = pool.imap(work.hold_the_last, [fifo] * 6, [np.full(MB, float(n)) for n in range(6)], chunksize=6)
    assert [next(results) for _ in range(5)] == [n * MB for n in range(5)]
    wait_until(lambda: taken() == 1, "only the last is needed")
    with open(fifo, "wb"):
        pass
    assert next(results) == 5 * MB


# -------------------------------------------------------------------------------------------------------- it goes wrong


def test_a_result_that_does_not_pickle_leaves_nothing_taken(pool: Pool) -> None:
    for _ in range(3):
        with pytest.raises(PicklingError):
            pool.submit(work.refuse, np.ones(MB)).result()
    pool.submit(gc.collect).result()  # of a failure there are cycles
    wait_until(lambda: taken() == 0, "everything is let go of")


def test_an_argument_that_does_not_pickle_leaves_nothing_taken(pool: Pool) -> None:
    with pytest.raises(PicklingError):
        pool.submit(work.total, [np.ones(MB), open("/dev/null")]).result()  # noqa: SIM115
    assert taken() == 0


def test_an_exception_with_an_array_in_it(pool: Pool) -> None:
    with pytest.raises(ValueError) as caught:
        pool.submit(work.raise_with, np.ones(MB)).result()
    assert caught.value.args[0].sum() == MB


class Unloadable:
    def __reduce__(self) -> Any:
        return _cannot, ()


def _cannot() -> None:
    raise OSError("never again")


def test_an_argument_that_cannot_be_rebuilt_fails_its_task_alone(pool: Pool) -> None:
    with pytest.raises(RemoteError, match="never again"):
        pool.submit(work.echo, [np.ones(MB), Unloadable()]).result()
    assert pool.submit(work.total, np.ones(MB)).result() == MB


def test_a_full_arena_falls_back(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_ARENA_BYTES", str(4 * MB))
    pool = make_pool(1)
    for count in (MB // 8, MB, 4 * MB):
        array = np.ones(count)
        assert pool.submit(work.total, array).result() == count
        assert (pool.submit(work.echo, array).result() == 1).all()
    assert sent().spans.limit == 2 * MB
    held = [pool.submit(work.full, MB // 8, float(number)).result() for number in range(8)]
    assert [array[0] for array in held] == list(range(8))
    assert sent().spans.taken == []


def test_without_arenas_it_is_as_ever(make_pool: MakePool, method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_ARENA_BYTES", "0")
    pool = make_pool(1, mp_context=method)
    assert pool._engine.codec.supply.arena() is None  # type: ignore[attr-defined]
    array = np.ones(MB)
    assert pool.submit(work.total, array).result() == MB
    back = pool.submit(work.echo, array).result()
    back += 1
    assert back.sum() == 2 * MB
    assert pool.submit(work.text, MB).result() == b"x" * MB


def test_a_pool_in_a_task_has_an_arena_of_its_own(pool: Pool) -> None:
    assert pool.submit(work.nested, MB).result() == 3 * MB
    assert pool.submit(work.total, np.ones(MB)).result() == MB
