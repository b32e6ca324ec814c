"""Random pipelines on real workers against ten lines of sequential program: equality of what comes out is the oracle.

The plans, the inputs, the faults and what the taker does are drawn by Hypothesis; workers of processes are killed at
random meanwhile, by a seed that is printed. How many examples and items there were is printed, too (`pytest -s`).
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from procession import Pipeline, Stage, WorkerDied
from tests.failures.kit import seeded

from .steps import Step, parity

# -- the program ------------------------------------------------------------------------------------------------------


def sequential(steps: list[Step], items: list[int]) -> list[int | str]:
    """The model. A failure is told by its text, in its place."""
    values: list[int | str] = list(items)
    for step in steps:
        outputs: list[int | str] = []
        for value in values:
            try:
                outputs += [value] if isinstance(value, str) else step.one(value)
            except LookupError as error:
                outputs.append(repr(error))
        values = outputs
    return values


# -- the pipelines -----------------------------------------------------------------------------------------------------


@st.composite
def plans(draw: st.DrawFn, backend: str, fails: bool) -> tuple[list[Step], list[dict[str, Any]]]:
    kinds = ["plain", "plain", "many", "filter", *(["fails"] if fails else [])]
    steps, words = [], []
    for _ in range(draw(st.integers(1, 3))):
        step = Step(draw(st.sampled_from(kinds)), draw(st.integers(0, 3)))
        word: dict[str, Any] = {"backend": backend, "workers": draw(st.integers(1, 2)), "many": step.many}
        match draw(st.sampled_from(["", "", "key", "batch"])):
            case "key":
                word["key"] = parity
            case "batch" if step.kind != "fails":  # a batch fails as a whole
                word["batch"] = draw(st.integers(1, 4))
                word["max_wait"] = draw(st.sampled_from([None, 0.001]))
        steps.append(step)
        words.append(word)
    return steps, words


def pipeline(steps: list[Step], words: list[dict[str, Any]], **more: Any) -> Pipeline:
    stages = [
        Stage(step.batch if "batch" in word else step.single, **word, **more.get("policy", {}))
        for step, word in zip(steps, words, strict=True)
    ]
    return Pipeline(*stages, **{word: value for word, value in more.items() if word != "policy"})


def collect(outputs: Iterator[Any]) -> list[int | str]:
    return [repr(each) if isinstance(each, LookupError) else each for each in outputs]


class Count:
    def __init__(self) -> None:
        self.examples = self.items = self.outputs = 0

    def add(self, items: int, outputs: int) -> None:
        self.examples += 1
        self.items += items
        self.outputs += outputs

    def __str__(self) -> str:
        return f"{self.examples} examples, {self.items} items, {self.outputs} outputs"


def check(data: st.DataObject, backend: str, count: Count, **more: Any) -> None:
    steps, words = data.draw(plans(backend, fails=True))
    items = data.draw(st.lists(st.integers(0, 50), min_size=data.draw(st.sampled_from([0, 10, 20])), max_size=30))
    ordered = data.draw(st.booleans())
    window, buffer_bytes = data.draw(st.sampled_from([None, 1, 3])), data.draw(st.sampled_from([None, 200]))
    live = data.draw(st.booleans())
    pipe = pipeline(steps, words, ordered=ordered, window=window, buffer_bytes=buffer_bytes, **more)
    got = collect(pipe.run(items, on_error="return", live=live))
    expected = sequential(steps, items)
    assert got == expected if ordered else sorted(map(str, got)) == sorted(map(str, expected))
    count.add(len(items), len(got))


EXAMPLES = {"inline": 75, "threads": 75, "processes": 20}


@pytest.mark.parametrize("backend", EXAMPLES)
def test_what_comes_out(backend: str) -> None:
    explore(backend, EXAMPLES[backend])


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("backend", EXAMPLES)
def test_what_comes_out_of_many(backend: str) -> None:
    explore(backend, 80 * EXAMPLES[backend])


def explore(backend: str, examples: int) -> None:
    count = Count()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def walk(data: st.DataObject) -> None:
        check(data, backend, count)

    walk()
    print(f"{backend}: {count}")


# -- crashes -----------------------------------------------------------------------------------------------------------


class Reaper:
    """Kills worker processes of a pipeline, again and again; of a stage only when something got done there since: eight
    in a row that have done nothing would break it."""

    def __init__(self, pipe: Pipeline, rng: random.Random) -> None:
        self.kills = 0
        self._pipe = pipe
        self._rng = rng
        self._over = threading.Event()
        self._done: dict[object, int] = {}
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Reaper:
        self._thread.start()
        return self

    def __exit__(self, *_about: object) -> None:
        self._over.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._over.wait(self._rng.uniform(0.005, 0.02)):
            for work in self._pipe._kept or ():
                processes: Callable[[], Any] = work.engine.processes  # type: ignore[attr-defined]
                pids, done = list(processes()), work.engine.stats().done
                if pids and done > self._done.get(work, 0) and self._rng.random() < 0.5:
                    self._done[work] = done
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self._rng.choice(pids), signal.SIGKILL)
                        self.kills += 1


def test_under_crashes() -> None:
    """With retries, killed workers change nothing: each item has one outcome, in its place."""
    crashes(rounds=6, length=60)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_under_many_crashes() -> None:
    crashes(rounds=150, length=150)


def crashes(rounds: int, length: int) -> None:
    rng = seeded()
    count, kills = Count(), 0
    for _ in range(rounds):
        steps = [Step(rng.choice(["plain", "many", "filter", "fails"]), rng.randrange(4)) for _ in range(3)]
        words: list[dict[str, Any]] = []
        for step in steps:
            word: dict[str, Any] = {"workers": rng.randrange(1, 3), "many": step.many}
            if rng.random() < 0.3:
                word["key"] = parity
            elif rng.random() < 0.3 and step.kind != "fails":
                word["batch"] = 3
            words.append(word)
        items = [rng.randrange(50) for _ in range(length)]
        policy = {"retries": 50, "retry_on": WorkerDied}
        with pipeline(steps, words, policy=policy, window=rng.choice([None, 5])) as pipe, Reaper(pipe, rng) as reaper:
            got = collect(pipe.run(items, on_error="return"))
        assert got == sequential(steps, items)
        count.add(len(items), len(got))
        kills += reaper.kills
    print(f"processes, under crashes: {count}; {kills} kills")
    assert kills
