"""The pool of multiprocessing on our workers: what the standard library's tests do not ask (the laws of the module)."""

from __future__ import annotations

import gc
import multiprocessing as standard
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from procession import WorkerDied
from procession.adapters import multiprocessing
from procession.adapters.multiprocessing import Pool, ThreadPool
from tests import warm
from tests.contract.work import square
from tests.failures.kit import Gate, gate, wait_until
from tests.failures.tasks import held

kept_zygote = warm.keep()
FIXTURES = [gate]

PATIENCE = 30.0
Make = Callable[..., Pool]


@pytest.fixture(params=[Pool, ThreadPool], ids=["processes", "threads"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[Pool] = []

    def build(*args: Any, **kwargs: Any) -> Pool:
        made.append(request.param(*args, **kwargs))
        return made[-1]

    yield build
    for each in made:
        each.terminate()
        each.join()


def note(path: str, item: int) -> int:
    with Path(path).open("a") as file:
        file.write(f"{item}\n")
    if item == 2:
        raise ValueError("two")
    return item


def noted(path: Path) -> list[int]:
    return sorted(map(int, path.read_text().split())) if path.exists() else []


# ------------------------------------------------------------------------------------------------------------- calls


def test_apply(make: Make) -> None:
    pool = make(2)
    assert pool.apply(divmod, (7, 2)) == (3, 1)
    assert pool.apply(int, ("ff",), {"base": 16}) == 255
    with pytest.raises(ZeroDivisionError):
        pool.apply(divmod, (7, 0))


def test_a_result_of_a_call(make: Make, gate: Gate, tmp_path: Path) -> None:
    pool = make(1)
    result = pool.apply_async(held, (str(tmp_path / "notes"), gate.path))
    with pytest.raises(standard.TimeoutError):
        result.get(0.01)
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    result.wait(0.01)
    gate.open()
    result.wait()
    assert result.ready()
    assert result.successful()
    assert result.get() is None
    failed = pool.apply_async(divmod, (7, 0))
    failed.wait()
    assert not failed.successful()
    with pytest.raises(ZeroDivisionError):
        failed.get(0)


def time_out() -> None:
    raise TimeoutError("mine")


def test_the_timeout_of_a_call_is_not_ours(make: Make) -> None:
    result = make(1).apply_async(time_out)
    result.wait()
    with pytest.raises(TimeoutError, match="mine") as caught:
        result.get(PATIENCE)
    assert not isinstance(caught.value, standard.TimeoutError)


def test_callbacks_have_returned_when_it_is_ready(make: Make) -> None:
    pool, told = make(2), list[Any]()
    for number in range(50):
        result = pool.apply_async(square, (number,), callback=told.append, error_callback=told.append)
        assert result.get(PATIENCE) == number * number
        assert told.pop() == number * number
    failed = pool.apply_async(divmod, (1, 0), callback=told.append, error_callback=told.append)
    failed.wait(PATIENCE)
    assert [type(each) for each in told] == [ZeroDivisionError]


def leave(result: object) -> None:
    raise SystemExit(result)


def test_a_callback_that_would_end_its_thread_does_not_keep_the_result(make: Make) -> None:
    pool = make(1)
    assert pool.map_async(square, [3], callback=leave).get(PATIENCE) == [9]
    assert pool.apply_async(square, (3,), callback=leave).get(PATIENCE) == 9


def refuse(result: object) -> None:
    raise ValueError(result)


def test_a_callback_that_raises_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    pool = make(1)
    assert pool.apply_async(square, (3,), callback=refuse).get(PATIENCE) == 9
    assert pool.map_async(square, [3], callback=refuse).get(PATIENCE) == [9]
    pool.close()
    pool.join()
    assert caplog.text.count("callback") >= 2


# -------------------------------------------------------------------------------------------------------------- maps


def test_maps(make: Make) -> None:
    pool = make(2)
    assert pool.map(square, range(1000)) == [n * n for n in range(1000)]
    assert pool.map(square, iter(range(7)), chunksize=3) == [n * n for n in range(7)]
    assert pool.starmap(divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
    assert pool.map_async(square, range(10)).get(PATIENCE) == [n * n for n in range(10)]
    assert pool.starmap_async(pow, zip(range(5), [2] * 5, strict=True)).get(PATIENCE) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_all_items_of_a_map_are_run_though_one_fails(make: Make, tmp_path: Path, asynchronous: bool) -> None:
    pool, path = make(2), tmp_path / "notes"
    work = [(str(path), number) for number in range(30)]
    with pytest.raises(ValueError, match="two"):
        if asynchronous:
            pool.starmap_async(note, work).get(PATIENCE)
        else:
            pool.starmap(note, work)
    assert noted(path) == list(range(30))


def test_nothing_is_run_where_the_source_raises(make: Make, tmp_path: Path) -> None:
    def source() -> Iterator[tuple[str, int]]:
        yield str(tmp_path / "notes"), 0
        raise LookupError

    pool = make(1)
    with pytest.raises(LookupError):
        pool.starmap(note, source())
    with pytest.raises(LookupError):
        pool.starmap_async(note, source())
    assert noted(tmp_path / "notes") == []


# ------------------------------------------------------------------------------------------------------------- imaps


def test_a_failed_item_is_raised_at_its_place_and_the_next_one_comes(make: Make) -> None:
    found: list[Any] = []
    stream = make(2).imap(fail_on_three, range(6))
    for _ in range(6):
        try:
            found.append(next(stream))
        except ValueError as error:
            found.append(str(error))
    assert found == [0, 1, 4, "no 3", 16, 25]
    assert list(stream) == []


def fail_on_three(number: int) -> int:
    if number == 3:
        raise ValueError("no 3")
    return number * number


def test_unordered(make: Make) -> None:
    assert sorted(make(2).imap_unordered(square, range(100), chunksize=7)) == [n * n for n in range(100)]


def test_next_with_a_timeout_loses_nothing(make: Make, gate: Gate, tmp_path: Path) -> None:
    stream = make(1).imap(held_by, [(str(tmp_path / "notes"), gate.path, number) for number in range(3)])
    for timeout in (0, 0.01):
        with pytest.raises(standard.TimeoutError):
            stream.next(timeout)
    gate.open()
    assert [stream.next(PATIENCE) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StopIteration):
        stream.next(PATIENCE)


def held_by(words: tuple[str, str, int]) -> int:
    notes, path, number = words
    held(notes, path)
    return number


def test_what_nobody_iterates_is_run_when_it_is_joined(make: Make, tmp_path: Path) -> None:
    pool, path = make(2), tmp_path / "notes"
    kept = pool.imap(noting, [(str(path), number) for number in range(10, 500)])
    pool.imap(noting, [(str(path), number) for number in range(500, 600)])
    pool.close()
    with pytest.raises(ValueError, match="not running"):
        pool.imap(square, [1])
    pool.join()
    assert noted(path) == list(range(10, 600))
    assert list(kept) == list(range(10, 500)), "the results are there for who asks later"


def noting(words: tuple[str, int]) -> int:
    return note(*words)


def test_an_endless_source_is_not_taken_whole(make: Make) -> None:
    pulled: list[int] = []

    def source() -> Iterator[int]:
        number = 0
        while True:
            pulled.append(number)
            yield number
            number += 1

    stream = make(1).imap(square, source())
    assert [next(stream) for _ in range(10)] == [n * n for n in range(10)]
    assert len(pulled) < 100_000


# --------------------------------------------------------------------------------------------------------------- ends


def test_a_worker_that_dies_costs_its_item() -> None:
    with Pool(2) as pool:
        results = [pool.apply_async(square, (n,)) for n in range(20)]
        with pytest.raises(WorkerDied):
            pool.apply(os._exit, (3,))
        assert [each.get(PATIENCE) for each in results] == [n * n for n in range(20)]


def test_after_terminate_all_come_to_an_end(gate: Gate, tmp_path: Path) -> None:
    """The standard library's `get` would wait for ever."""
    notes = str(tmp_path / "notes")
    pool = Pool(1)
    running = pool.apply_async(held, (notes, gate.path))
    waiting = pool.apply_async(square, (2,), callback=print)
    many = pool.map_async(square, range(100))
    stream = pool.imap(square, range(100))
    wait_until(lambda: Path(notes).exists(), "it runs")
    pool.terminate()
    pool.join()
    for each in (running, waiting, many):
        with pytest.raises((CancelledError, WorkerDied)):
            each.get(PATIENCE)
    with pytest.raises((CancelledError, WorkerDied)):
        next(stream)


def test_the_workers_go_after_close_though_nobody_joins(make: Make) -> None:
    pool = make(1)
    before = threading.active_count()
    stream = pool.imap(square, range(10))
    result = pool.map_async(square, range(10))
    pool.close()
    assert list(stream) == [n * n for n in range(10)]
    assert result.get(PATIENCE) == [n * n for n in range(10)]
    wait_until(lambda: not pool._pool and threading.active_count() <= before, "the workers are gone")


def test_what_is_not_running(make: Make) -> None:
    pool = make(1)
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    with pool:
        pass
    for call in (
        lambda: pool.apply(square, (1,)),
        lambda: pool.apply_async(square, (1,)),
        lambda: pool.map(square, [1]),
        lambda: pool.map_async(square, [1]),
        lambda: pool.imap(square, [1]),
        lambda: pool.__enter__(),
    ):
        with pytest.raises(ValueError, match="Pool not running"):
            call()
    pool.close()
    pool.terminate()


@pytest.mark.parametrize(
    "words", [{"processes": 0}, {"processes": -1}, {"maxtasksperchild": 0}, {"maxtasksperchild": 1.5}]
)
def test_wrong_words(words: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"processes|maxtasksperchild"):
        Pool(**words)
    with ThreadPool(1) as pool, pytest.raises(ValueError, match="Chunksize must be 1"):
        pool.imap(square, [1], chunksize=0)


def test_a_pool_is_not_pickled() -> None:
    with ThreadPool(1) as pool, pytest.raises(NotImplementedError, match="cannot be passed"):
        pickle.dumps(pool)


def test_a_dropped_pool_finishes_its_work(tmp_path: Path) -> None:
    pool = Pool(1)
    result = pool.apply_async(square, (5,))
    del pool
    gc.collect()
    assert result.get(PATIENCE) == 25


# ------------------------------------------------------------------------------------------------------------- module


def greet(text: str) -> None:
    global greeting
    greeting = text


greeting = ""


def greeted(item: int) -> tuple[str, int]:
    return greeting, item


def test_an_initializer() -> None:
    with Pool(2, greet, ("hello",)) as pool:
        assert pool.map(greeted, range(3)) == [("hello", n) for n in range(3)]


def test_what_is_not_here_is_the_standard_librarys() -> None:
    assert multiprocessing.Process is standard.Process
    assert multiprocessing.cpu_count is standard.cpu_count
    assert multiprocessing.TimeoutError is standard.TimeoutError
    with pytest.raises(AttributeError):
        multiprocessing.no_such_name  # noqa: B018


@pytest.mark.parametrize("method", [None, "spawn", "forkserver"])
def test_contexts(method: str | None) -> None:
    context = multiprocessing.get_context(method)
    assert context.get_start_method() == standard.get_context(method).get_start_method()
    with context.Pool(1) as pool:
        assert isinstance(pool, Pool)
        assert pool.map(square, [3]) == [9]
    with Pool(1, context=standard.get_context(method or "spawn")) as pool:
        assert pool.apply(square, (3,)) == 9


def test_many_threads_use_one_pool(make: Make) -> None:
    pool, found = make(2), list[int]()

    def use() -> None:
        for number in range(30):
            found.append(pool.apply(square, (number,)))
            found.extend(pool.map(square, [number, number]))

    threads = [threading.Thread(target=use) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE)
    assert sorted(found) == sorted([n * n for n in range(30) for _ in range(3)] * 6)


def test_its_iterator_belongs_to_all_threads(make: Make) -> None:
    stream, found = make(2).imap(square, range(300)), list[int]()

    def take() -> None:
        found.extend(stream)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for each in threads:
        each.start()
    until = time.monotonic() + PATIENCE
    for each in threads:
        each.join(max(0.0, until - time.monotonic()))
    assert sorted(found) == [n * n for n in range(300)]


def count_arguments(*values: object) -> int:
    return len(values)


@pytest.mark.parametrize("rows", [[], [()], [(1, 2), (3,)], [(1, 2), (3, 4)], ["abc", "de"], [{"a": 1}, {"b": 2}]])
def test_starmap_of_rows_of_any_length(make: Make, rows: list[Any]) -> None:
    expected = [len(each) for each in rows]
    pool = make(2)
    assert pool.starmap(count_arguments, map(iter, rows)) == expected
    assert pool.starmap_async(count_arguments, rows).get(PATIENCE) == expected


def test_a_source_with_a_length_needs_no_thread(make: Make) -> None:
    pool = make(1)
    pool.apply(abs, (1,))
    names = []
    for source in (range(5000), iter(range(5000))):
        stream = pool.imap(abs, source)
        names.append({each.name for each in threading.enumerate()} & {"procession-source"})
        assert list(stream) == list(range(5000))
    assert names == [set(), {"procession-source"}]
