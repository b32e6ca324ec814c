"""streams.map_: the standard library's map over an engine."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pickle import PicklingError
from typing import Any

import pytest

from procession.backends.base import WorkerConfig
from procession.backends.inline import InlineEngine
from procession.driver.threads import ThreadEngine
from procession.streams import map_
from tests.flow.fakes import CommandEngine, Unsendable


@pytest.fixture
def engine() -> CommandEngine:
    return CommandEngine()


def double(x: int) -> int:
    return 2 * x


def no_five(x: int) -> int:
    if x == 5:
        raise ValueError("five")
    return x


def test_results_come_in_order_whatever_order_they_finish_in(engine: CommandEngine) -> None:
    results = map_(engine, engine.function(double), [range(5)])
    engine.run(3, 1, 0, 4, 2)
    assert list(results) == [0, 2, 4, 6, 8]


def test_all_items_are_taken_at_the_call_and_travel_as_one_task(engine: CommandEngine) -> None:
    source = iter(range(1000))
    map_(engine, engine.function(double), [source])
    assert list(source) == []
    engine.receive()
    assert len(engine.posted) == 1


def test_chunksize_is_the_grain_of_the_task(engine: CommandEngine) -> None:
    map_(engine, engine.function(double), [range(10)], chunksize=3)
    engine.receive()
    assert engine.posted[0].grain == 3


def test_several_iterables_end_with_the_shortest(engine: CommandEngine) -> None:
    results = map_(engine, engine.function(pow), [range(10), itertools.repeat(2), range(4)[1:]])
    engine.run((0, 2, 1), (1, 2, 2), (2, 2, 3))
    assert list(results) == [0, 1, 1]


def test_every_item_before_the_failure_comes_out_then_the_error_then_the_end(engine: CommandEngine) -> None:
    results = map_(engine, engine.function(no_five), [range(10)])
    engine.run()
    got = []
    with pytest.raises(ValueError, match="five"):
        got.extend(iter(lambda: next(results), None))
    for each in results:
        got.append(each)
    assert [next(results, "end")] == ["end"]


def test_items_before_the_failure(engine: CommandEngine) -> None:
    results = map_(engine, engine.function(no_five), [range(10)])
    engine.run()
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)
    assert list(results) == []


def test_a_failure_cancels_what_waits(engine: CommandEngine) -> None:
    results = map_(engine, engine.function(no_five), [range(4, 10)])
    engine.run(4, 5)
    assert next(results) == 4
    with pytest.raises(ValueError, match="five"):
        next(results)
    assert engine.todo == []


def test_closing_cancels_what_waits_and_an_unstarted_map_runs_all_the_same(engine: CommandEngine) -> None:
    results = map_(engine, engine.function(double), [range(3)])
    engine.run(0)
    assert next(results) == 0
    results.close()
    assert engine.todo == []
    map_(engine, engine.function(double), [range(3)])
    gc.collect()
    assert engine.todo == [0, 1, 2]


def test_an_argument_that_cannot_be_encoded_fails_its_item_alone(engine: CommandEngine) -> None:
    results = map_(engine, engine.function(type), [["a", Unsendable(), "b"]])
    engine.run("a", "b")
    assert next(results) is str
    with pytest.raises(PicklingError, match="cannot be sent"):
        next(results)


def test_timeout_counts_from_the_call(engine: CommandEngine) -> None:
    results = map_(engine, engine.function(double), [range(3)], timeout=0)
    engine.run(0)
    assert next(results) == 0
    with pytest.raises(TimeoutError):
        next(results)
    assert engine.todo == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"chunksize": 0}, ValueError),
        ({"chunksize": "3"}, TypeError),
        ({"buffersize": 0}, ValueError),
        ({"buffersize": 1.5}, TypeError),
    ],
)
def test_bad_words_are_refused_at_the_call(engine: CommandEngine, words: dict[str, Any], error: type) -> None:
    with pytest.raises(error, match=next(iter(words))):
        map_(engine, engine.function(double), [range(3)], **words)


def test_no_items(engine: CommandEngine) -> None:
    assert list(map_(engine, engine.function(double), [[]])) == []
    assert list(map_(engine, engine.function(double), [])) == []


def test_refused_at_the_call(engine: CommandEngine) -> None:
    engine.refuse = RuntimeError("cannot schedule new futures after shutdown")
    with pytest.raises(RuntimeError, match="after shutdown"):
        map_(engine, engine.function(double), [range(3)])


def test_items_dropped_by_a_shutdown_are_cancelled_at_their_place(engine: CommandEngine) -> None:
    results = map_(engine, engine.function(double), [range(3)])
    engine.run(0)
    engine.shutdown(False, True)
    assert next(results) == 0
    with pytest.raises(CancelledError):
        next(results)


def test_an_error_of_the_source_is_raised_at_the_call(engine: CommandEngine) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise LookupError("source")

    with pytest.raises(LookupError):
        map_(engine, engine.function(double), [source()])


# -------------------------------------------------------------------------------------------------------- buffersize


def test_buffersize_takes_so_many_at_the_call_and_one_more_before_each_result(engine: CommandEngine) -> None:
    """The rhythm of CPython 3.14."""
    ints = itertools.count()
    results = map_(engine, engine.function(double), [ints], buffersize=4)
    assert next(ints) == 4
    engine.run()
    assert next(results) == 0
    assert next(ints) == 6  # 5 was taken in before 0 was yielded, and the look above took 4
    engine.run()
    assert [next(results) for _ in range(3)] == [2, 4, 6]


def test_buffersize_larger_than_the_input(engine: CommandEngine) -> None:
    results = map_(engine, engine.function(double), [range(3)], buffersize=50)
    engine.run()
    assert list(results) == [0, 2, 4]


def test_buffersize_stops_taking_at_a_failure() -> None:
    engine = InlineEngine()
    ints = itertools.count(1)
    results = map_(engine, engine.function(no_five), [ints], buffersize=2)
    assert [next(results) for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)
    assert next(ints) == 8


# ------------------------------------------------------------------------------------------------------ on real threads


class Thing:
    pass


def make_thing(_: int) -> Thing:
    return Thing()


@pytest.mark.parametrize("words", [{}, {"buffersize": 3}, {"chunksize": 4}])
def test_a_yielded_result_is_not_kept(words: dict[str, int]) -> None:
    engine = ThreadEngine(2, WorkerConfig())
    released = threading.Event()
    for thing in map_(engine, engine.function(make_thing), [range(10)], **words):
        released.clear()
        ref = weakref.finalize(thing, released.set)
        del thing
        gc.collect()
        assert released.wait(30), "something keeps a result that was handed over"
        ref.detach()
    engine.shutdown(wait=True, cancel=False)


@pytest.mark.parametrize("words", [{}, {"buffersize": 7}, {"chunksize": 11}, {"buffersize": 7, "chunksize": 3}])
def test_many_items_on_threads(words: dict[str, int]) -> None:
    engine = ThreadEngine(3, WorkerConfig())
    assert list(map_(engine, engine.function(double), [range(5000)], **words)) == [2 * x for x in range(5000)]
    engine.shutdown(wait=True, cancel=False)
