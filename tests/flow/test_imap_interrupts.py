"""A raising signal at any instruction of next() on an imap loses no item and no result."""

from __future__ import annotations

from typing import Any

import pytest

from procession.core.flow import NOTHING
from procession.streams import Words, imap
from tests.flow.fakes import CommandEngine
from tests.flow.interrupts import Interrupter, at_every_point, taken

ITEMS = 6


@pytest.mark.parametrize(
    "words",
    [
        {"window": 2},
        {"window": 3, "ordered": False},
        {"window": 3, "key": lambda x: x % 2},
        {"window": 3, "key": lambda x: x % 2, "sticky": True},
        {"window": 4, "chunksize": 2},
        {"window": 2, "on_error": "return"},
        {"window": 4, "buffer_bytes": 60},
        {"window": 4, "buffer_bytes": 60, "ordered": False},
        {"window": 5, "buffer_bytes": 30, "key": lambda x: x % 2},
    ],
)
@pytest.mark.parametrize("copies", [False, True])
def test_next_interrupted_at_every_point(words: dict[str, Any], copies: bool) -> None:
    def scenario(interrupter: Interrupter) -> None:
        ran: list[int] = []

        def double(x: int) -> int:
            ran.append(x)
            return 2 * x

        engine = CommandEngine()
        if copies:
            engine.plain = lambda items: False  # type: ignore[method-assign]
        results = imap(engine, engine.function(double), [range(ITEMS)], Words(**words))
        got = []
        while True:
            engine.on_thread()
            try:
                got.append(interrupter.run(results._outlet.next))
            except KeyboardInterrupt:
                continue
            except StopIteration:
                break
            if got[-1] is NOTHING:  # where next() would sleep
                got.pop()
                results._outlet.course.stirred()
            results._outlet.course.flow.check()
            ledger = results._outlet.course.ledger
            assert ledger is None or ledger.total == sum(ledger.weights.values())
        assert sorted(ran) == list(range(ITEMS)), "an item was lost, or ran twice"
        assert sorted(got) == [2 * x for x in range(ITEMS)], "a result was lost"
        if words.get("ordered", True):
            assert got == sorted(got)

    at_every_point(scenario, 60)


def taken_from(interrupter: Interrupter, results: Any, engine: CommandEngine) -> list[Any]:
    outlet = results._outlet
    return taken(interrupter, outlet.next, outlet.course.stirred, engine.on_thread)


def invert(x: int) -> float:
    return 6 / x


@pytest.mark.parametrize(
    ("on_error", "expected"),
    [
        ("raise", [6, 3, "ZeroDivisionError"]),
        ("return", [6, 3, "returned", 2]),
        ("skip", [6, 3, 2]),
        ("told", [6, 3, 2]),
    ],
)
@pytest.mark.parametrize("words", [{}, {"window": 2}, {"ordered": False}, {"buffer_bytes": 60}])
def test_next_interrupted_where_an_item_failed(words: dict[str, Any], on_error: str, expected: list[Any]) -> None:
    """A failure comes out once, in its place, and what is behind it comes out if it does not end the stream."""

    def scenario(interrupter: Interrupter) -> None:
        told: list[Any] = []
        engine = CommandEngine()
        chosen: Any = told.append if on_error == "told" else on_error
        results = imap(engine, engine.function(invert), [iter([1, 2, 0, 3])], Words(on_error=chosen, **words))
        got = taken_from(interrupter, results, engine)
        assert ["returned" if isinstance(each, ZeroDivisionError) else each for each in got] == expected
        assert [each.args for each in told] == ([(0,)] if on_error == "told" else [])

    at_every_point(scenario, 20)


@pytest.mark.parametrize("words", [{}, {"ordered": False}, {"buffer_bytes": 60}])
def test_next_interrupted_where_the_source_failed(words: dict[str, Any]) -> None:
    class Broken:
        """An iterator of which a signal does not make an end, as of a generator."""

        def __init__(self) -> None:
            self.left = [3, 2, 1]

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> int:
            if not self.left:
                raise OverflowError
            return self.left.pop()

    def scenario(interrupter: Interrupter) -> None:
        engine = CommandEngine()
        results = imap(engine, engine.function(invert), [Broken()], Words(**words))
        assert taken_from(interrupter, results, engine) == [6, 3, 2, "OverflowError"]

    at_every_point(scenario, 20)


@pytest.mark.filterwarnings("ignore:an imap")
def test_the_call_interrupted_at_every_point_leaves_nothing_to_start() -> None:
    def scenario(interrupter: Interrupter) -> None:
        engine = CommandEngine()
        try:
            results = interrupter.run(lambda: imap(engine, engine.function(str), [range(3)], Words(window=2)))
        except KeyboardInterrupt:
            pass
        else:
            results.close()
        assert engine.todo == []

    at_every_point(scenario, 40)


def test_closing_interrupted_at_every_point_can_be_repeated() -> None:
    def scenario(interrupter: Interrupter) -> None:
        engine = CommandEngine()
        results = imap(engine, engine.function(str), [iter(range(9))], Words(window=2))
        while True:
            try:
                interrupter.run(results.close)
                break
            except KeyboardInterrupt:
                pass
        assert engine.todo == []
        assert list(results) == []

    at_every_point(scenario, 8)
