"""Generators on workers, with random lengths, errors, deaths, takers and closes: beside `list(play(...))`.

Several at once on one pool, taken in turn, at random speeds. On every backend; in pure Python as well, since the whole
suite runs twice. How much was looked at is printed (`pytest -s`); `-m soak` looks at much more.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from procession import Pool

from .deeds import play
from .model import Walk, told

EXAMPLES = {"inline": 30, "threads": 30, "processes": 15}
PATIENCE = 30.0

Moves = list[str]


def program(moves: Moves, retries: int) -> tuple[list[int | str], int, int]:
    """What comes out, a text being the error that it ends with; how often it was begun, and died with its worker."""
    out: list[int | str] = []
    runs, deaths = 1, 0
    for n, move in enumerate(moves):
        while move in ("raises", "raises once", "dies", "dies once"):
            dies = move.startswith("dies")
            deaths += dies
            if runs > retries:
                poison = dies and retries and deaths == runs
                return [*out, ("PoisonTask" if poison else "WorkerDied") if dies else f"LookupError({n})"], runs, deaths
            runs += 1
            if move.endswith("once"):
                break
        out.append(n)
    return out, runs, deaths


@st.composite
def plays(draw: st.DrawFn, processes: bool) -> Moves:
    bad = ["raises", "raises once", *(["dies once", "dies"] if processes else [])]
    good = st.sampled_from(["gives", "gives", "large"])
    move = st.one_of(*[good] * 30, st.sampled_from(bad))
    length = draw(st.sampled_from([0, 1, 2, 5, 40, 150]))
    return draw(st.lists(move, min_size=length // 2, max_size=length))


class Taker:
    """One stream, what came out of it, and when it stops."""

    def __init__(self, pool: Pool, folder: str, moves: Moves, retries: int, stop: int | None, way: str) -> None:
        self.folder = tempfile.mkdtemp(dir=folder)
        view = pool.options(retries=retries) if retries else pool
        self.stream: Any = view.stream(play, self.folder, moves)
        self.expected, self.runs, self.deaths = program(moves, retries)
        self.stop = stop
        self.way = way
        self.out: list[int | str] = []
        self.ended = False

    def take(self) -> None:
        """One more."""
        if self.stop is not None and len(self.out) >= self.stop:
            if self.way == "close":
                self.stream.close()
                assert list(self.stream) == []
            self.stream, self.ended = None, True
            return
        try:
            value = asyncio.run(anext(self.stream)) if self.way == "async" else next(self.stream)
            self.out.append(told(value))
        except (StopIteration, StopAsyncIteration):
            self.ended = True
        except Exception as error:
            self.out.append(told(error))
            assert list(self.stream) == []
            self.ended = True

    def check(self) -> int:
        """Equality is the oracle. Returns how often it was begun."""
        assert self.out == self.expected[: self.stop], f"{self.out} is not {self.expected}"
        ticks = threading.Event()
        for _ in range(int(PATIENCE / 0.005)):  # where it was closed, it ends soon
            begun, ended = self.count("begins"), self.count("ends")
            if begun - self.deaths <= ended:
                break
            ticks.wait(0.005)
        assert begun - self.deaths <= ended <= begun
        assert begun == self.runs if self.stop is None else begun <= self.runs
        return begun

    def count(self, word: str) -> int:
        path = Path(self.folder, "notes")
        return path.read_text().split().count(word) if path.exists() else 0


def check(data: st.DataObject, counts: Counter[str], pool: Pool, folder: str) -> None:
    """Some streams side by side."""
    processes = pool._engine.capabilities.can_kill
    plans: list[tuple[Moves, int, int | None, str]] = []
    for _ in range(data.draw(st.integers(1, 4))):
        moves = data.draw(plays(processes and not plans))  # of one that is alone: else others would die with it
        retries = data.draw(st.sampled_from([0, 0, 1, 3]))
        stop = data.draw(st.sampled_from([None, None, None, 0, 3, 50]))
        way = data.draw(st.sampled_from(["next", "next", "async", "close"]))
        if stop == 0 and way != "close":
            stop = 1  # one that was never iterated warns
        plans.append((moves, retries, stop, way))
        if program(moves, retries)[2]:
            break
    speeds = data.draw(st.lists(st.integers(1, 20), min_size=len(plans), max_size=len(plans)))
    calls = data.draw(st.booleans())
    takers = [Taker(pool, folder, *plan) for plan in plans]
    while not all(taker.ended for taker in takers):
        for taker, speed in zip(takers, speeds, strict=True):
            for _ in range(speed):
                if not taker.ended:
                    taker.take()
        if calls:
            assert pool.submit(abs, -1).result(PATIENCE) == 1
    for taker in takers:
        taker.stream = None
    gc.collect()
    for taker in takers:
        counts["runs"] += taker.check()
    counts["streams"] += len(takers)
    counts["values"] += sum(len(taker.out) for taker in takers)


@pytest.mark.parametrize("backend", EXAMPLES)
def test_generators(backend: str) -> None:
    explore(backend, EXAMPLES[backend])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("backend", EXAMPLES)
def test_many_generators(backend: str) -> None:
    explore(backend, 80 * EXAMPLES[backend])


def explore(backend: str, examples: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Pool(1, backend=backend) as one, Pool(3, backend=backend) as three:  # type: ignore[arg-type]

        def some(data: st.DataObject, counts: Counter[str]) -> None:
            check(data, counts, data.draw(st.sampled_from([one, three])), folder)

        Walk()(backend, examples, some)
        for pool in (one, three):
            assert list(pool.map(abs, range(20))) == list(range(20))
