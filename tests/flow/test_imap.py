"""streams.imap: lazy, bounded, in order; who pulls, what a failure does, how it ends."""

from __future__ import annotations

import gc
import itertools
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pickle import PicklingError
from typing import Any

import pytest

from procession.backends.inline import InlineEngine
from procession.core.flow import NOTHING
from procession.core.policy import Profile
from procession.driver.threads import ThreadEngine
from procession.stream_bounds import AUTO_LEAST, AUTO_MOST, AUTO_TRUST, AUTO_UNPROVEN, _auto_window
from procession.streams import Stream, Words, imap
from procession.types import Failure
from tests.flow.fakes import CommandEngine, Unsendable


@pytest.fixture
def engine() -> CommandEngine:
    return CommandEngine()


def double(x: int) -> int:
    return 2 * x


def no_fives(x: int) -> int:
    if x % 5 == 0:
        raise ValueError(x)
    return x


def start(engine: Any, fn: Any, *iterables: Any, **words: Any) -> Stream:
    return imap(engine, engine.function(fn), iterables, Words(**words))


class Source:
    """An endless generator that counts what was pulled and says whether it was closed, and on which thread."""

    def __init__(self, end: int | None = None, error: Exception | None = None) -> None:
        self.pulled = 0
        self.error = error
        self.end = end
        self.closed_by: threading.Thread | None = None
        self.pulled_by: set[threading.Thread] = set()

    def __iter__(self) -> Iterator[int]:
        return self.items()

    def items(self) -> Iterator[int]:
        try:
            while self.pulled != self.end:
                self.pulled += 1
                self.pulled_by.add(threading.current_thread())
                yield self.pulled - 1
            if self.error is not None:
                raise self.error
        finally:
            self.closed_by = threading.current_thread()


# ---------------------------------------------------------------------------------------- lazy, bounded, in order


def test_the_first_window_is_pulled_at_the_call_and_one_more_for_each_result(engine: CommandEngine) -> None:
    source = Source()
    with start(engine, double, source, window=3) as results:
        assert source.pulled == 3
        engine.run(2, 1, 0)
        assert next(results) == 0
        assert source.pulled == 3  # the result is not handed over before it is returned
        assert next(results) == 2
        assert source.pulled == 4
        engine.run(3)
        assert [next(results), next(results)] == [4, 6]


def test_the_window_holds_whatever_finishes(engine: CommandEngine) -> None:
    source = Source()
    with start(engine, double, source, window=4):
        engine.run(3, 2, 1)
        assert source.pulled == 4, "the first item is not done: nothing has been handed over"


def test_unordered_hands_over_as_items_finish(engine: CommandEngine) -> None:
    results = start(engine, double, range(4), ordered=False)
    engine.run(2, 0, 3, 1)
    assert list(results) == [4, 0, 6, 2]


def test_a_window_of_one_is_strictly_one_by_one(engine: CommandEngine) -> None:
    results = start(engine, double, Source(3), window=1)
    for x in range(3):
        assert engine.todo == [x]
        engine.run(x)
        assert next(results) == 2 * x
        next(results, None) if x == 2 else results._outlet.course.fill()
    assert list(results) == []


def test_several_iterables(engine: CommandEngine) -> None:
    results = start(engine, pow, itertools.count(), [2, 2, 3])
    engine.run((0, 2), (1, 2), (2, 3))
    assert list(results) == [0, 1, 8]


def test_without_an_iterable(engine: CommandEngine) -> None:
    with pytest.raises(TypeError, match="iterable"):
        start(engine, double)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"window": 0}, ValueError),
        ({"window": "many"}, TypeError),
        ({"chunksize": -1}, ValueError),
        ({"on_error": "ignore"}, ValueError),
        ({"on_error": None}, ValueError),
        ({"key": "name"}, TypeError),
        ({"progress": 3}, ValueError),
    ],
)
def test_bad_words_are_refused_and_named(engine: CommandEngine, words: dict[str, Any], error: type) -> None:
    with pytest.raises(error, match=next(iter(words))):
        start(engine, double, range(3), **words)


def test_the_automatic_window_is_bounded() -> None:
    profile, many = Profile(), 1_000_000
    assert _auto_window(1, profile, many) == AUTO_LEAST
    assert _auto_window(10, profile, many) == 40
    profile.observe(4096, 4096 * 100)
    assert AUTO_LEAST < _auto_window(2, profile, many) <= AUTO_MOST
    assert _auto_window(64, profile, many) == AUTO_MOST


def test_the_automatic_window_grows_with_what_is_taken() -> None:
    profile = Profile()
    profile.observe(4096, 4096 * 100)
    windows = [_auto_window(64, profile, taken) for taken in (0, 1, 10, 1000, 100_000)]
    assert windows == [AUTO_UNPROVEN + AUTO_TRUST * taken for taken in (0, 1, 10, 1000)] + [AUTO_MOST]


def test_a_consumer_that_stalls_at_once_has_not_had_much_pulled(threads: ThreadEngine) -> None:
    with start(threads, double, range(50_000)) as known:  # how cheap it is, is known from here on
        assert sum(1 for _ in known) == 50_000
    source = Source()
    with start(threads, double, source) as results:
        assert [next(results) for _ in range(10)] == [2 * x for x in range(10)]
        assert source.pulled <= AUTO_UNPROVEN * (1 + AUTO_TRUST)


def test_an_endless_source_of_cheap_items_stays_bounded(threads: ThreadEngine) -> None:
    source = Source()
    with start(threads, double, source) as results:
        for x in range(20_000):
            assert next(results) == 2 * x
        assert source.pulled <= 20_000 + AUTO_MOST


@pytest.mark.parametrize("words", [{}, {"window": 7}, {"chunksize": 5}, {"window": 3, "chunksize": 8}, {"live": True}])
def test_many_items_on_threads(threads: ThreadEngine, words: dict[str, Any]) -> None:
    assert list(start(threads, double, range(3000), **words)) == [2 * x for x in range(3000)]
    assert sorted(start(threads, double, range(3000), ordered=False, **words)) == [2 * x for x in range(3000)]


# ---------------------------------------------------------------------------------------- key


def test_one_item_of_a_key_at_a_time_and_keys_side_by_side(engine: CommandEngine) -> None:
    results = start(engine, double, range(6), key=lambda x: x % 2)
    assert engine.todo == [0, 1]
    engine.on_thread(1)
    assert engine.todo == [0, 3]
    engine.on_thread(3)
    assert engine.todo == [0, 5]
    engine.on_thread(0)
    assert sorted(engine.todo) == [2, 5]
    engine.on_thread(5, 2, 4)
    assert list(results) == [0, 2, 4, 6, 8, 10]


def test_unordered_with_a_key_keeps_the_order_of_each_key(engine: CommandEngine) -> None:
    results = start(engine, double, range(6), key=lambda x: x % 2, ordered=False)
    engine.run(1, 3, 0, 2, 5, 4)
    assert list(results) == [2, 6, 0, 4, 10, 8]


@pytest.mark.parametrize("key", [lambda x: 1 // x, lambda x: [] if x == 0 else x])
def test_a_key_that_fails_is_the_failure_of_its_item(engine: CommandEngine, key: Any) -> None:
    results = start(engine, double, range(3), key=key, on_error="return")
    engine.run()
    first, *rest = results
    assert isinstance(first, ZeroDivisionError | TypeError)
    assert rest == [2, 4]


def test_a_key_that_fails_is_told_with_its_item(engine: CommandEngine) -> None:
    got: list[Failure] = []
    results = start(engine, divmod, [4, 5], [2, 3], key=lambda x, y: [] if y == 2 else y, on_error=got.append)
    engine.run((5, 3))
    assert list(results) == [(1, 2)]
    assert [(each.index, each.args) for each in got] == [(0, (4, 2))]


def test_a_failure_lets_the_next_of_its_key_run(engine: CommandEngine) -> None:
    results = start(engine, no_fives, range(5, 8), key=lambda x: "same", on_error="skip")
    engine.run(5, 6, 7)
    assert list(results) == [6, 7]


def test_an_item_that_cannot_be_sent_keeps_its_place_in_its_lane(engine: CommandEngine) -> None:
    items = ["a", Unsendable(), "b"]
    results = start(engine, str.upper, items, key=lambda x: 0, on_error="return", ordered=False)
    engine.run("a", "b")
    first, second, third = results
    assert (first, third) == ("A", "B")
    assert isinstance(second, PicklingError)


# ---------------------------------------------------------------------------------------- on_error


def test_raise_ends_the_stream_closes_its_source_and_cancels(engine: CommandEngine) -> None:
    source = Source()
    results = start(engine, no_fives, source, window=8)
    next_of = iter(results)
    with pytest.raises(ValueError, match="0"):
        engine.run(0, 1)
        next(next_of)
    assert source.closed_by is threading.current_thread()
    assert engine.todo == []
    assert list(results) == []


def test_return_gives_the_exception_in_its_place(engine: CommandEngine) -> None:
    results = start(engine, no_fives, range(4, 7), on_error="return")
    engine.run()
    four, five, six = results
    assert (four, six) == (4, 6)
    assert isinstance(five, ValueError)


def test_skip(engine: CommandEngine) -> None:
    results = start(engine, no_fives, range(11), on_error="skip")
    engine.run()
    assert list(results) == [1, 2, 3, 4, 6, 7, 8, 9]


@pytest.mark.parametrize("words", [{}, {"ordered": False}, {"key": lambda x, y: x}])
def test_a_callable_gets_the_failure_at_its_place(engine: CommandEngine, words: dict[str, Any]) -> None:
    got: list[Any] = []
    results = start(engine, divmod, range(4), [1, 0, 2, 0], on_error=got.append, **words)
    engine.run()
    got.extend(results)
    assert [each if isinstance(each, tuple) else (each.index, each.args) for each in got] == [
        *((0, 0), (1, (1, 0)), (1, 0), (3, (3, 0)))
    ] or not words.get("ordered", True)
    failures = [each for each in got if isinstance(each, Failure)]
    assert [(each.index, each.args, type(each.error)) for each in failures] == [
        (1, (1, 0), ZeroDivisionError),
        (3, (3, 0), ZeroDivisionError),
    ]


def test_a_callable_that_raises_comes_out_and_the_stream_goes_on(engine: CommandEngine) -> None:
    def on_error(failure: Failure) -> None:
        raise LookupError(failure.index)

    results = start(engine, no_fives, range(4, 7), on_error=on_error)
    engine.run()
    assert next(results) == 4
    with pytest.raises(LookupError):
        next(results)
    assert next(results) == 6


def test_arguments_of_failures_are_not_kept_for_ever(engine: CommandEngine) -> None:
    results = start(engine, no_fives, range(100), on_error=lambda failure: None)
    engine.run()
    for _ in results:
        engine.run()
    assert results._outlet.course.args == {}


def test_items_dropped_by_a_shutdown_of_the_pool(engine: CommandEngine) -> None:
    results = start(engine, double, range(3), on_error="return")
    engine.run(0)
    engine.shutdown(False, True)
    assert next(results) == 0
    assert [type(each) for each in results] == [CancelledError, CancelledError]


# ---------------------------------------------------------------------------------------- the source


def test_an_error_of_the_source_comes_behind_the_items_before_it(engine: CommandEngine) -> None:
    results = start(engine, double, Source(3, LookupError("source")), on_error="skip")
    engine.run(2, 0, 1)
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    with pytest.raises(LookupError, match="source"):
        next(results)
    assert list(results) == []


def test_a_keyboard_interrupt_in_the_source_comes_out_at_once_and_loses_no_item(engine: CommandEngine) -> None:
    class Interrupted:
        def __init__(self) -> None:
            self.items = iter([0, 1, KeyboardInterrupt(), 2, 3])

        def __iter__(self) -> Interrupted:
            return self

        def __next__(self) -> int:
            item = next(self.items)
            if isinstance(item, KeyboardInterrupt):
                raise item
            return item

    source = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        start(engine, double, source)
    results = start(engine, double, Interrupted(), window=1)
    engine.run(0)
    assert next(results) == 0
    engine.run(), results._outlet.course.fill()
    engine.run(1)
    assert next(results) == 2
    with pytest.raises(KeyboardInterrupt):
        next(results)
    results._outlet.course.fill()
    engine.run(2)
    assert next(results) == 4


def test_a_pool_that_is_shut_down_meanwhile_ends_the_stream_with_its_refusal(engine: CommandEngine) -> None:
    results = start(engine, double, Source(), window=2, on_error="skip")
    engine.run(0, 1)
    engine.refuse = RuntimeError("cannot schedule new futures after shutdown")
    assert [next(results), next(results)] == [0, 2]
    with pytest.raises(RuntimeError, match="after shutdown"):
        next(results)
    assert list(results) == []


def test_refused_at_the_call(engine: CommandEngine) -> None:
    engine.refuse = RuntimeError("cannot schedule new futures after shutdown")
    source = Source()
    with pytest.raises(RuntimeError, match="after shutdown"):
        start(engine, double, source)
    assert source.closed_by is not None


def test_a_taker_that_pulls_does_so_in_its_own_thread(engine: CommandEngine) -> None:
    source = Source(10)
    results = start(engine, double, source)
    engine.on_thread()
    assert list(results) == [2 * x for x in range(10)]
    assert source.pulled_by == {threading.current_thread()}


def test_a_live_source_that_waits_holds_nothing_back(threads: ThreadEngine) -> None:
    items: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    results = start(threads, double, iter(items.get, None), live=True, window=10)
    for x in range(5):
        items.put(x)
        assert next(results) == 2 * x
    items.put(None)
    assert list(results) == []


def test_a_live_source_is_bounded_pulled_and_closed_by_a_thread_of_its_own(engine: CommandEngine) -> None:
    source = Source()
    results = start(engine, double, source, live=True, window=3)
    course = results._outlet.course
    course.bell.sleep(lambda: len(engine.todo) == 3)
    assert source.pulled == 3
    engine.on_thread()
    assert next(results) == 0
    (puller,) = source.pulled_by
    assert puller is not threading.current_thread()
    results.close()
    puller.join(10)
    assert not puller.is_alive()
    assert source.closed_by is puller


def test_an_error_of_a_live_source_comes_at_its_place(threads: ThreadEngine) -> None:
    results = start(threads, double, Source(3, LookupError("source")), live=True)
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    with pytest.raises(LookupError, match="source"):
        next(results)


# ---------------------------------------------------------------------------------------- the end


def test_closing_cancels_what_waits_closes_the_source_and_ends_the_iteration(engine: CommandEngine) -> None:
    source = Source()
    results = start(engine, double, source, window=5)
    engine.run(0)
    assert next(results) == 0
    results.close()
    results.close()
    assert engine.todo == []
    assert source.closed_by is threading.current_thread()
    assert list(results) == []


def test_what_runs_when_it_is_closed_is_forgotten(engine: CommandEngine) -> None:
    results = start(engine, double, range(3))
    engine.receive()
    waiting = list(engine.waiting)
    results.close()
    engine.report(*waiting[0], [0])
    assert list(results) == []


def test_a_file_is_not_closed_by_us(engine: CommandEngine, tmp_path: Any) -> None:
    (tmp_path / "lines").write_text("a\nb\n")
    with open(tmp_path / "lines") as lines:
        with start(engine, str.strip, lines):
            pass
        assert not lines.closed


def test_a_stream_as_source_is_closed_with_the_one_that_it_feeds(engine: CommandEngine) -> None:
    source = Source()
    inner = start(engine, double, source, window=2)
    engine.run(0, 1)
    outer = start(engine, str, inner, window=1)
    outer.close()
    assert source.closed_by is not None


def test_dropped_uniterated_it_warns_and_cancels(engine: CommandEngine) -> None:
    source = Source()
    results = start(engine, double, source)
    with pytest.warns(RuntimeWarning, match="never iterated"):
        del results
    assert engine.todo == []
    assert source.closed_by is not None


@pytest.mark.filterwarnings("error")
def test_dropped_iterated_it_cancels_without_a_word(engine: CommandEngine) -> None:
    results = start(engine, double, Source())
    engine.run(0)
    assert next(results) == 0
    del results
    gc.collect()
    assert engine.todo == []


@pytest.mark.filterwarnings("error")
def test_with_and_nothing_taken_is_no_mistake(engine: CommandEngine) -> None:
    with start(engine, double, range(3)) as results:
        pass
    assert list(results) == []


def test_it_is_its_own_iterator(engine: CommandEngine) -> None:
    with start(engine, double, range(3)) as results:
        assert iter(results) is results


# ---------------------------------------------------------------------------------------- several takers


def test_several_threads_share_the_results(threads: ThreadEngine) -> None:
    results = start(threads, double, range(2000), window=20)
    got: list[list[int]] = [[], [], []]
    takers = [threading.Thread(target=each.extend, args=(results,)) for each in got]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert sorted(itertools.chain(*got)) == [2 * x for x in range(2000)]
    assert all(each == sorted(each) for each in got)


def test_a_taker_that_pulls_does_not_keep_others_from_taking(threads: ThreadEngine) -> None:
    gate = threading.Event()
    pulling = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        yield 1
        pulling.set()
        gate.wait(30)
        yield 2

    results = start(threads, double, source(), window=2)
    first: list[int] = []
    taker = threading.Thread(target=lambda: first.extend([next(results), next(results)]))
    taker.start()
    assert pulling.wait(10)
    assert next(results) == 2
    gate.set()
    taker.join()
    assert sorted(first) == [0, 4]


# ---------------------------------------------------------------------------------------- progress


def test_progress_counts_what_is_completed_whoever_is_handed_over(engine: CommandEngine) -> None:
    told: list[tuple[int, int | None]] = []
    results = start(engine, double, range(4), progress=lambda done, total: told.append((done, total)))
    engine.run(0, 2, 3)
    results._outlet.course.keen = True  # the painter has looked
    assert next(results) == 0
    assert told == [(3, 4)]
    engine.run(1)
    assert list(results) == [2, 4, 6]
    assert told == [(3, 4), (4, 4)]


def test_progress_without_a_known_total(engine: CommandEngine) -> None:
    told: list[tuple[int, int | None]] = []
    results = start(engine, double, iter(range(1)), progress=lambda *each: told.append(each))
    engine.run()
    assert list(results) == [0]
    assert told == [(1, 1)]


def test_a_waiting_taker_reports_progress_too(threads: ThreadEngine) -> None:
    gate = threading.Event()
    told: list[int] = []

    def first_waits(x: int) -> int:
        if x == 0:
            gate.wait(30)
        return x

    def progress(done: int, total: int | None) -> None:
        told.append(done)
        if done == 5:
            gate.set()

    assert list(start(threads, first_waits, range(6), window=6, progress=progress)) == list(range(6))
    assert told[-1] == 6
    assert told == sorted(set(told))


def test_inline_runs_one_item_ahead_at_most() -> None:
    engine = InlineEngine()
    source = Source()
    with start(engine, double, source) as results:
        assert next(results) == 0
        assert source.pulled == 1


def test_a_window_widens_behind_a_straggler_though_items_turn_out_dear(engine: CommandEngine) -> None:
    """Twice as wide, for what they cost now, is narrower than it was: with that, nothing would run any more."""
    function = engine.function(double)
    function.profile.mean_ns = 100_000.0
    results = imap(engine, function, [range(600)], Words())
    outlet, ran = results._outlet, 0
    while outlet.next() is NOTHING and (todo := [x for x in engine.todo if x]):
        engine.run(*todo)
        ran += len(todo)
        function.profile.mean_ns = 1e9
    assert ran == 599
    engine.run(0)
    assert list(results) == [2 * x for x in range(600)]
