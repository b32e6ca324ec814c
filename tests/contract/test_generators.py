"""`Pool.stream`: a generator on a worker, its values as they are yielded, and its end, whichever."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import threading
import weakref
from concurrent.futures import CancelledError
from itertools import chain, islice
from pathlib import Path
from pickle import PicklingError
from typing import Any

import pytest

from procession import Pool, RemoteError, TaskTimeout
from procession.backends.base import Capabilities
from procession.core.turns import MOST

from . import work
from .conftest import PATIENCE, Gate, MakePool

ENDLESS = 1_000_000_000


def wait_for_line(path: Path, line: str) -> list[str]:
    """All lines, when this one is there."""
    ticks = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        lines = path.read_text().splitlines() if path.exists() else []
        if line in lines:
            return lines
        ticks.wait(0.01)
    raise AssertionError(f"{line!r} was never written")


# ------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1000, 5000])
def test_everything_in_order(pool: Pool, n: int) -> None:
    stream = pool.stream(work.count, n)
    assert list(stream) == list(range(n))
    assert list(stream) == []
    stats = stream.stats()
    assert (stats.yielded, stats.taken, stats.waiting, stats.runs, stats.ended) == (n, n, 0, 1, True)


def test_whatever_returns_an_iterable(pool: Pool) -> None:
    assert list(pool.stream(work.Counter, 3)) == [0, 1, 2]
    assert list(pool.stream(range, 5, 8)) == [5, 6, 7]
    assert list(pool.stream(functools.partial(work.count, 2))) == [0, 1]
    assert list(pool.stream(str.split, "a b")) == ["a", "b"]
    assert list(pool.stream(lambda n: (x * x for x in range(n)), n=4)) == [0, 1, 4, 9]


def test_a_local_generator_function_is_never_stale(pool: Pool) -> None:
    factor = 2

    def multiples(n: int) -> Any:
        for i in range(n):
            yield i * factor

    assert list(pool.stream(multiples, 3)) == [0, 2, 4]
    factor = 3
    assert list(pool.stream(multiples, 3)) == [0, 3, 6]


def test_values_of_any_kind(pool: Pool) -> None:
    values = [None, True, 1 << 80, 1.5, "x" * 100_000, b"y" * 300_000, (1, [2]), {"a": {3}}, range(4), ValueError("v")]
    got = list(pool.stream(work.yields, *values))
    assert got[:-1] == values[:-1]
    assert type(got[-1]) is ValueError


def test_a_burst_is_there_before_what_follows_it(pool: Pool, side_by_side: None, gate: Gate, tmp_path: Path) -> None:
    """What is yielded is not kept back for the turn, or anything else, to end."""
    stream = pool.stream(work.gated, *gate.paths, 3, str(tmp_path / "notes"))
    assert next(stream) == 0
    gate.arrived()
    gate.open()
    assert next(stream) == 1
    gate.arrived()
    assert stream.stats().yielded == 2
    gate.open()
    assert list(stream) == [2]


def test_no_value_waits_for_its_successor(pool: Pool, tmp_path: Path) -> None:
    """A generator may wait for what its taker does with the last value."""
    path = tmp_path / "taken"
    for i in islice(pool.stream(work.asks, str(path)), 5):
        with path.open("a") as file:
            file.write(f"{i}\n")


def test_it_starts_at_the_call_and_no_more_than_a_window_is_asked_for(pool: Pool, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    stream = pool.stream(work.noted, str(notes), ENDLESS)
    wait_for_line(notes, "0")
    assert pool.submit(work.square, 3).result(PATIENCE) == 9
    assert stream.stats().yielded <= stream.stats().window <= 2
    taken = list(islice(stream, 5000))
    assert taken == list(range(5000))
    stats = stream.stats()
    assert stats.window <= MOST
    assert stats.yielded <= 5000 + stats.window
    stream.close()
    assert len(wait_for_line(notes, "finally")) <= 5000 + MOST + 1


def test_large_values_make_the_window_narrow(pool: Pool, capabilities: Capabilities) -> None:
    stream = pool.stream(work.yields, *[bytes(20 << 20) for _ in range(12)])
    sizes = [len(value) for value in stream]
    assert sizes == [20 << 20] * 12
    assert stream.stats().window <= 3


def test_values_that_become_large_make_it_narrow_again(pool: Pool, side_by_side: None) -> None:
    """Each of them takes a turn, so after the first one it is known."""
    stream = pool.stream(work.grows, 100, 20 << 20)
    assert list(islice(stream, 100)) == list(range(100))
    assert stream.stats().window > 8
    while pool.stats().busy or pool.stats().pending:
        threading.Event().wait(0.01)
    assert 0 < stream.stats().waiting <= 4


# ------------------------------------------------------------------------------------------------------ beside others


def test_one_worker_serves_a_stream_and_the_tasks_of_its_taker(make_pool: MakePool) -> None:
    pool = make_pool(1)
    assert [pool.submit(work.square, x).result(PATIENCE) for x in pool.stream(work.count, 200)] == [
        x * x for x in range(200)
    ]


def test_a_stream_that_nobody_takes_costs_no_worker(make_pool: MakePool) -> None:
    pool = make_pool(1)
    streams = [pool.stream(work.count, ENDLESS) for _ in range(3)]
    assert list(pool.map(work.square, range(50))) == [x * x for x in range(50)]
    for stream in streams:
        assert next(stream) == 0
        stream.close()


def test_many_more_streams_than_workers(pool: Pool) -> None:
    streams = [pool.stream(work.count, 100 + i) for i in range(20)]
    for n in range(100):
        assert [next(stream) for stream in streams] == [n] * 20
    assert [list(stream) for stream in streams] == [list(range(100, 100 + i)) for i in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_source_of_an_imap_of_the_same_pool(make_pool: MakePool, workers: int) -> None:
    pool = make_pool(workers)
    assert list(pool.imap(work.square, pool.stream(work.count, 500))) == [x * x for x in range(500)]
    assert list(pool.imap(work.square, pool.stream(work.count, 50), live=True)) == [x * x for x in range(50)]


def test_an_imap_that_is_closed_closes_it(pool: Pool, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with pool.imap(work.square, pool.stream(work.noted, str(notes), ENDLESS)) as squares:
        assert next(squares) == 0
    wait_for_line(notes, "finally")


def test_it_stays_with_one_worker(make_pool: MakePool) -> None:
    pool = make_pool(3)
    places: set[Any] = set()
    stream = pool.stream(work.here, 300)
    for place in stream:
        places.add(place)
        pool.submit(work.square, 1).result(PATIENCE)
    assert len(places) == 1
    assert stream.stats().turns > 2


def test_several_threads_take(pool: Pool) -> None:
    stream = pool.stream(work.count, 3000)
    taken: list[list[int]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=each.extend, args=(stream,)) for each in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(chain.from_iterable(taken)) == list(range(3000))
    assert all(each == sorted(each) for each in taken)


def test_it_has_the_state_of_its_worker(make_pool: MakePool) -> None:
    pool = make_pool(1, setup=lambda: "prepared")
    assert list(pool.stream(work.state_and_name)) == ["prepared"] * 2


def test_a_stream_in_a_task(make_pool: MakePool, backend: str) -> None:
    def inner(n: int) -> int:
        with Pool(1, backend="threads") as own:
            return sum(own.stream(work.count, n))

    assert make_pool(1).submit(inner, 50).result(PATIENCE) == sum(range(50))


# ------------------------------------------------------------------------------------------------------------ its end


def test_an_error_comes_behind_what_was_yielded(pool: Pool) -> None:
    stream = pool.stream(work.count_and_fail, 100, "here")
    assert [next(stream) for _ in range(100)] == list(range(100))
    with pytest.raises(ValueError, match="here") as caught:
        next(stream)
    assert "count_and_fail" in "".join(caught.value.__cause__.args if caught.value.__cause__ else ["count_and_fail"])
    assert list(stream) == []
    assert stream.stats().ended


def test_an_error_is_not_taken_for_an_end(pool: Pool) -> None:
    with pytest.raises(RuntimeError, match="ends_too_early raised StopIteration") as caught:
        list(pool.stream(work.ends_too_early))
    assert isinstance(caught.value.__cause__, StopIteration)

    async def take() -> None:
        async for _ in pool.stream(work.ends_twice):
            pass

    with pytest.raises(RuntimeError, match="ends_twice raised StopAsyncIteration"):
        asyncio.run(take())


def test_what_cannot_be_iterated_over_is_said_at_its_place(pool: Pool) -> None:
    with pytest.raises(TypeError, match=r"square returned int, which cannot be iterated over: stream\(\) takes"):
        next(pool.stream(work.square, 3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="asynchronous ones are not driven"):
        next(pool.stream(work.returns_asynchronous))
    assert pool.submit(work.square, 2).result(PATIENCE) == 4


def test_what_is_wrong_at_the_call(pool: Pool) -> None:
    with pytest.raises(TypeError, match="asynchronous is an async generator function"):
        pool.stream(work.asynchronous)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is an async generator function"):
        pool.stream(functools.partial(work.asynchronous))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="callable"):
        pool.stream(work.count(3))  # type: ignore[arg-type]


def test_what_cannot_be_pickled(pool: Pool, capabilities: Capabilities) -> None:
    if not capabilities.pickles:
        pytest.skip("nothing is pickled")
    with pytest.raises(PicklingError, match="argument 0"):
        pool.stream(work.yields, threading.Lock())
    stream = pool.stream(work.yields_a_lock)
    assert next(stream) == 1
    with pytest.raises(PicklingError, match="the result"):
        next(stream)
    assert list(stream) == []


def test_a_value_that_cannot_be_rebuilt_is_the_end(pool: Pool, capabilities: Capabilities, tmp_path: Path) -> None:
    if not capabilities.pickles:
        pytest.skip("nothing is pickled")
    stream = pool.stream(work.spoiled, str(tmp_path / "notes"))
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(RemoteError, match="not rebuilt"):
        next(stream)
    assert list(stream) == []
    wait_for_line(tmp_path / "notes", "finally")


def test_close_ends_it_between_turns(pool: Pool, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    stream = pool.stream(work.noted, str(notes), ENDLESS)
    assert next(stream) == 0
    stream.close()
    stream.close()
    assert wait_for_line(notes, "finally").count("finally") == 1
    assert list(stream) == []
    assert pool.submit(work.square, 2).result(PATIENCE) == 4


def test_close_ends_it_at_its_next_yield(pool: Pool, side_by_side: None, gate: Gate, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with pool.options(grace=PATIENCE).stream(work.gated, *gate.paths, 100, str(notes)) as stream:
        assert next(stream) == 0
        gate.arrived()
    engine = pool._engine
    engine.processes() if hasattr(engine, "processes") else engine.started_threads()  # the engine has heard of it
    gate.open()
    wait_for_line(notes, "finally")
    assert list(stream) == []
    assert gate.nobody_arrives()


def test_dropping_it_closes_it(pool: Pool, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    for x in pool.stream(work.noted, str(notes), ENDLESS):
        if x == 10:
            break
    gc.collect()
    wait_for_line(notes, "finally")


def drop_at_once(pool: Pool) -> None:
    pool.stream(work.count, 1)
    gc.collect()


def test_one_that_was_never_iterated_warns(pool: Pool) -> None:
    with pytest.warns(RuntimeWarning, match="a stream of count was never iterated"):
        drop_at_once(pool)
    assert pool.submit(work.square, 2).result(PATIENCE) == 4


def test_what_it_raises_as_it_is_closed_is_logged(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "procession"):
        stream = pool.stream(work.stubborn)
        assert next(stream) == 0
        stream.close()
        pool.shutdown()
    assert "it will not end well" in caplog.text
    assert "raised as its stream was closed" in caplog.text


def test_values_that_are_let_go_of_are_let_go_of_under_no_lock(
    pool: Pool, capabilities: Capabilities, side_by_side: None
) -> None:
    if capabilities.pickles:
        pytest.skip("the value here is a copy")
    held: list[bool] = []

    class Value:
        def __del__(self) -> None:
            held.append(stream._course.lock._is_owned())  # type: ignore[attr-defined]

    stream = pool.stream(work.yields_of, Value, 4)
    taken = [next(stream)]
    stream.close()
    gc.collect()
    assert held
    assert not any(held)
    del taken


def test_nothing_is_kept_of_what_was_taken(pool: Pool) -> None:
    class Value:
        pass

    stream = pool.stream(work.yields, 1, 2, Value(), 3, 4)
    assert [next(stream), next(stream)] == [1, 2]
    kept = weakref.ref(next(stream))
    assert list(stream) == [3, 4]
    gc.collect()
    assert kept() is None


# ----------------------------------------------------------------------------------------------------- the pool's end


def test_a_pool_that_is_shut_down_starts_no_further_turn(make_pool: MakePool, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with make_pool() as pool:
        stream = pool.stream(work.noted, str(notes), ENDLESS)
        assert next(stream) == 0
    assert notes.read_text().split().count("finally") == 1, "it is closed when the pool is"
    came = 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        for _ in stream:
            came += 1
    assert came == stream.stats().yielded
    assert list(stream) == []
    assert notes.read_text().split().count("finally") == 1
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.stream(work.count, 1)


def test_it_is_closed_where_it_lives(make_pool: MakePool, tmp_path: Path) -> None:
    paths = [tmp_path / str(i) for i in range(3)]
    with make_pool(2) as pool:
        streams = [pool.stream(work.tells_where, str(path)) for path in paths]
        assert [next(stream) for stream in streams] == [0, 0, 0]
    for path in paths:
        begun, ended, word = path.read_text().split()
        assert begun == ended
        assert word == "finally"


def test_what_it_raises_as_the_pool_ends_is_told_like_a_teardown(make_pool: MakePool) -> None:
    pool = make_pool(1)
    stream = pool.stream(work.stubborn)
    assert next(stream) == 0
    pool.shutdown()
    (error,) = pool._engine.teardown_errors
    assert str(error) == "it will not end well"
    stream.close()


def test_what_fits_the_window_can_be_taken_after_the_end(make_pool: MakePool) -> None:
    with make_pool() as pool:
        stream = pool.stream(work.count, 1)
    if pool.stats().backend == "inline":
        assert next(stream) == 0
    else:
        assert list(stream) == [0]


def test_a_first_turn_that_waits_is_cancelled_with_the_rest(
    make_pool: MakePool, side_by_side: None, gate: Gate
) -> None:
    pool = make_pool(1)
    running = pool.submit(work.pass_gate, *gate.paths)
    gate.arrived()
    stream = pool.stream(work.count, 3)
    pool.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(CancelledError):
        next(stream)
    gate.open()
    running.result(PATIENCE)


# --------------------------------------------------------------------------------------------------------------- policy


def test_further_runs_skip_what_had_come(pool: Pool, tmp_path: Path) -> None:
    stream = pool.options(retries=2, retry_on=OSError).stream(work.fails_first, str(tmp_path / "runs"), 30)
    assert list(stream) == list(range(30))
    assert (tmp_path / "runs").read_text().count("run") == 3


def test_further_runs_are_counted_for_the_stream(pool: Pool, tmp_path: Path) -> None:
    stream = pool.options(retries=1, retry_on=OSError).stream(work.fails_first, str(tmp_path / "runs"), 30)
    assert [next(stream) for _ in range(29)] == list(range(29))
    with pytest.raises(OSError, match="run 2"):
        next(stream)
    assert (tmp_path / "runs").read_text().count("run") == 2
    assert list(stream) == []


def test_timeout_is_for_each_value(pool: Pool, side_by_side: None, gate: Gate, tmp_path: Path) -> None:
    pool.submit(work.square, 1).result(PATIENCE)  # what is imported has no part in it
    stream = pool.options(timeout=0.5).stream(work.gated, *gate.paths, 3, str(tmp_path / "notes"))
    assert next(stream) == 0
    with pytest.raises(TaskTimeout) as caught:
        next(stream)
    assert caught.value.where == "running"
    assert "gated" in str(caught.value)
    assert list(stream) == []


def test_time_that_nobody_takes_does_not_count(pool: Pool, side_by_side: None) -> None:
    """Between two turns no time runs."""
    stream = pool.options(timeout=1.0).stream(work.count, 2000)
    assert next(stream) == 0
    threading.Event().wait(1.3)
    assert list(stream) == list(range(1, 2000))


def test_queue_timeout_is_for_its_begin(make_pool: MakePool, side_by_side: None, gate: Gate) -> None:
    pool = make_pool(1)
    running = pool.submit(work.pass_gate, *gate.paths)
    gate.arrived()
    stream = pool.options(queue_timeout=0.1).stream(work.count, 3)
    with pytest.raises(TaskTimeout) as caught:
        next(stream)
    assert caught.value.where == "queued"
    gate.open()
    running.result(PATIENCE)


# --------------------------------------------------------------------------------------------------------------- async


def test_async_for(pool: Pool) -> None:
    async def take() -> list[int]:
        got = [x async for x in pool.stream(work.count, 300)]
        async with pool.stream(work.count, ENDLESS) as endless:
            async for x in endless:
                got.append(x)
                if x == 5:
                    break
        assert [x async for x in endless] == []
        return got

    assert asyncio.run(take()) == [*range(300), *range(6)]


def test_async_for_leaves_the_loop_free(pool: Pool, side_by_side: None, gate: Gate, tmp_path: Path) -> None:
    async def take() -> list[int]:
        stream = pool.stream(work.gated, *gate.paths, 2, str(tmp_path / "notes"))
        got = [await anext(stream)]
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.to_thread(gate.arrived)
        assert not waiting.done()
        gate.open()
        got.append(await waiting)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        return got

    assert asyncio.run(take()) == [0, 1]


def test_an_error_of_async_for(pool: Pool) -> None:
    async def take() -> list[int]:
        got = []
        with pytest.raises(ValueError, match="there"):
            async for x in pool.stream(work.count_and_fail, 3, "there"):
                got.append(x)
        return got

    assert asyncio.run(take()) == [0, 1, 2]
