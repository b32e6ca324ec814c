"""Signals that raise in the main thread while it takes from a pipeline, and Ctrl-C."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procession import Pipeline, Stage
from procession.pipeline_source import Source
from tests.failures.kit import Program, wait_until
from tests.failures.test_storm import storm
from tests.flow.interrupts import Interrupter, at_every_point, taken

from . import work

pytestmark = pytest.mark.timeout(method="thread")


@pytest.mark.parametrize("backend", ["threads", "processes"])
@pytest.mark.parametrize("words", [{}, {"buffer_bytes": 400}, {"window": 2}])
def test_a_storm_over_next(backend: str, words: dict[str, int]) -> None:
    """What is handed over is in order and comes once, whatever is struck; and the run goes on afterwards.

    The source is a C iterator: what a handler raises inside a generator is that generator's end, not ours.
    """
    pipe = Pipeline(Stage(work.add, workers=2, backend=backend), Stage(work.same, backend=backend), **words)
    got: list[int] = []
    with storm(0.5) as during:
        outputs = pipe.run(itertools.count())

        def body() -> None:
            got.append(next(outputs))

        during(body)
    got += itertools.islice(outputs, 100)
    outputs.close()
    assert got == sorted(set(got))
    assert len(got) > 100


def invert(x: int) -> float:
    return 6 / x


class Numbers:
    """An iterator of which a signal does not make an end, as of a generator."""

    def __init__(self, fails: bool) -> None:
        self.left = [3, 0, 2, 1]
        self.fails = fails

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if not self.left:
            raise OverflowError if self.fails else StopIteration
        return self.left.pop()


@pytest.mark.parametrize(
    ("on_error", "expected"),
    [
        ("raise", [6, 3, "ZeroDivisionError"]),
        ("return", [6, 3, "returned", 2]),
        ("skip", [6, 3, 2]),
        ("told", [6, 3, 2]),
        ("source", [6, 3, 2, "OverflowError"]),
    ],
)
@pytest.mark.parametrize("words", [{}, {"window": 2}, {"buffer_bytes": 60}])
def test_next_interrupted_at_every_point(words: dict[str, Any], on_error: str, expected: list[Any]) -> None:
    """What comes out comes once, in its place: values, failures, and the error of the source at the end."""

    def scenario(interrupter: Interrupter) -> None:
        told: list[Any] = []
        chosen: Any = {"told": told.append, "source": "skip"}.get(on_error, on_error)
        outputs = Pipeline(Stage(invert, backend="inline"), **words).run(Numbers(on_error == "source"), on_error=chosen)
        conductor = outputs._exit.conductor
        got = taken(interrupter, outputs._exit.next, lambda: conductor.bell.sleep(conductor.stirred))
        assert ["returned" if isinstance(each, ZeroDivisionError) else each for each in got] == expected
        assert [each.args for each in told] == ([(0,)] if on_error == "told" else [])

    at_every_point(scenario, 20)


class TookTooLong(Exception):
    """What a handler raises that is no KeyboardInterrupt."""


def test_what_a_handler_raises_is_no_error_of_the_source() -> None:
    """It comes out at once, and the source goes on: as far as that can be told."""
    for at in range(40):
        interrupter, source, struck = Interrupter(at, TookTooLong), Source(iter(range(6))), 0
        while len(source.pulled) < 6:
            try:
                interrupter.run(lambda source=source: source.take(3))
            except TookTooLong:
                struck += 1
        assert list(source.pulled) == list(range(6))
        assert not source.exhausted
        source.take(1)
        assert source.exhausted
        assert source.error is None
        if not interrupter.struck:
            assert at >= 5
            return
        assert struck == 1
    raise AssertionError("it never ran through")


CTRL_C = """
import sys, time
from procession import Pipeline, Stage

def slow(x):
    print("runs", flush=True)
    time.sleep(60)

for each in Pipeline(Stage(abs), Stage(slow, workers=2)).run(range(100)):
    pass
"""


def test_ctrl_c(tmp_path: Path) -> None:
    """The program ends at once, and nothing of it stays."""
    with Program(tmp_path, CTRL_C) as program:
        wait_until(lambda: "runs" in program.out, "a stage at work")
        program.process.send_signal(signal.SIGINT)
        code = program.wait()
        assert code in (-signal.SIGINT, 130, 1), (code, program.out)
        assert "KeyboardInterrupt" in program.out
        program.alone(5)


def test_a_key_function_that_closes_the_run() -> None:
    """It is called by the pipeline's own thread, which cannot wait for itself."""
    begun, closed = threading.Event(), threading.Event()

    def key(x: int) -> int:
        if x == 5:
            assert begun.wait(60)
            outputs.close()
            closed.set()
        return x

    outputs = Pipeline(Stage(work.same, key=key, backend="threads")).run(range(100), live=True)
    begun.set()
    assert closed.wait(60)
    assert list(outputs) == []
