"""Signals that raise in the main thread while it takes from a pipeline, and Ctrl-C."""

from __future__ import annotations

import itertools
import signal
import threading
from pathlib import Path

import pytest

from procession import Pipeline, Stage
from tests.failures.kit import Program, wait_until
from tests.failures.test_storm import storm

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
