"""core.gate: every story of a few items, workers and instants, and what must hold said plainly; Hypothesis beyond."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.core.flow import UNBOUNDED
from procession.core.gate import Gate, Standing, together
from procession.core.pace import Pace
from procession.core.rules import SECOND

PERIOD = 2


class World:
    """A line, its gate, and who starts what may start, at once. Time goes by in steps of one."""

    def __init__(self, workers: int, batch: int, max_wait: int | None, paced: bool, window: int = 6) -> None:
        pace = None
        if paced:
            pace = Pace(SECOND / PERIOD)
            pace.burst = 1
        self.gate = Gate(workers, batch, max_wait, pace)
        self.window = window
        self.now = 0
        self.line: list[int] = []  # since when each waits
        self.out: list[int] = []  # the size of each call
        self.closed = False
        self.room = UNBOUNDED
        self.sizes: list[int] = []
        self.started_at: list[int] = []

    # -- events

    def act(self, event: str) -> None:
        getattr(self, "do_" + event)()
        self.go()
        self.check()

    def do_put(self) -> None:
        self.line.append(self.now)

    def do_end(self) -> None:
        self.out.pop(0)

    def do_tick(self) -> None:
        self.now += 1

    def do_close(self) -> None:
        self.closed = True

    def do_drop(self) -> None:
        self.line.pop(0)

    def events(self) -> Iterator[str]:
        if not self.closed and len(self.line) + sum(self.out) < self.window:
            yield "put"
        if self.out:
            yield "end"
        yield "tick"
        if not self.closed:
            yield "close"
        if self.line:
            yield "drop"

    # -- what follows

    @property
    def last(self) -> bool:
        return self.closed or (not self.out and len(self.line) >= self.window)

    def standing(self) -> Standing:
        return Standing(len(self.line), self.line[0], len(self.out), self.room, self.last)

    def go(self) -> None:
        while self.line and (count := self.gate.startable(self.standing(), self.now)):
            self.check_start(count)
            assert self.gate.start(self.now)
            self.out.append(count)
            self.sizes.append(count)
            self.started_at.append(self.now)
            del self.line[:count]

    def check_start(self, count: int) -> None:
        gate, line = self.gate, self.standing()
        assert line.out < gate.workers
        assert 1 <= count <= min(gate.batch, line.waiting, line.room)
        waited = gate.max_wait is not None and self.now - line.since >= gate.max_wait
        full = count == min(gate.batch, line.room)
        assert full or ((line.last or waited) and count == line.waiting), "neither full nor ripe"
        if gate.pace is not None:
            assert all(self.now - at >= PERIOD for at in self.started_at), "too soon after another"

    def check(self) -> None:
        """What waits has a reason to; and the alarm is right about how long."""
        if not self.line:
            return
        gate, line = self.gate, self.standing()
        alarm = gate.alarm(line, self.now)
        busy = line.out >= gate.workers
        forms = line.waiting < min(gate.batch, line.room) and not line.last and gate.max_wait is None
        if busy or forms or not line.room:
            assert alarm is None
            return
        assert alarm is not None, "it stands still"
        assert alarm > self.now, "what may start waits"
        if gate.max_wait is not None and gate.pace is None:
            assert alarm == line.since + gate.max_wait
        for at in range(self.now, alarm):
            assert not gate.startable(line, at)
        assert gate.startable(line, alarm), "nothing starts at the alarm"

    def key(self) -> Any:
        pace = self.gate.pace
        debt = 0 if pace is None else pace.at(self.now) - self.now
        most = 99 if self.gate.max_wait is None else self.gate.max_wait
        ages = tuple(min(self.now - since, most) for since in self.line)
        return ages, tuple(self.out), self.closed, debt, self.room


WORDS = [
    (workers, batch, max_wait, paced)
    for workers in (1, 2)
    for batch in (1, 2, 3)
    for max_wait in ((None, 2) if batch > 1 else (None,))
    for paced in (False, True)
]


def again(words: tuple[int, int, int | None, bool], story: tuple[str, ...], room: int) -> World:
    world = World(*words)
    world.room = room
    for event in story:
        world.act(event)
    return world


@pytest.mark.parametrize("words", WORDS)
def test_every_story(words: tuple[int, int, int | None, bool]) -> None:
    """Breadth first, each state once, by the shortest story that leads there."""
    states = 0
    for room in (UNBOUNDED, 2, 0):
        seen: set[Any] = set()
        stories: list[tuple[str, ...]] = [()]
        while stories:
            story = stories.pop(0)
            world = again(words, story, room)
            if world.key() in seen or len(story) > 8:
                continue
            seen.add(world.key())
            stories += [(*story, event) for event in world.events()]
        states += len(seen)
    assert states > 25


@pytest.mark.parametrize("words", WORDS)
def test_whatever_happened_a_closed_line_ends(words: tuple[int, int, int | None, bool]) -> None:
    for story in itertools.product(("put", "tick", "end"), repeat=5):
        world = World(*words)
        for event in story:
            if event in world.events():
                world.act(event)
        world.act("close")
        for _ in range(100):
            if not world.line and not world.out:
                break
            world.act("end" if world.out else "tick")
        assert not world.line
        assert sum(world.sizes) == story.count("put") or world.window <= story.count("put")


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 8), st.none() | st.integers(1, 9), st.booleans()),
    st.lists(st.sampled_from(["put", "put", "put", "end", "tick", "drop", "narrow", "wide", "close"]), max_size=120),
)
def test_longer_stories(words: tuple[int, int, int | None, bool], story: list[str]) -> None:
    world = World(*words, window=20)
    for event in story:
        if event in ("narrow", "wide"):
            world.room = 2 if event == "narrow" else UNBOUNDED
            world.go()
            world.check()
        elif event in world.events():
            world.act(event)


def test_who_rests_leaves_its_worker_to_another() -> None:
    pace = Pace(SECOND / PERIOD)
    pace.burst = 1
    gate = Gate(1, pace=pace)
    assert gate.startable(Standing(1), 0)
    assert gate.start(0)
    assert not gate.startable(Standing(1, out=1), 10)
    assert pace.again(10, 100) == 100
    assert gate.startable(Standing(1, out=1), 12)
    assert gate.start(12)
    assert not gate.startable(Standing(1, out=2), 20)
    assert not gate.startable(Standing(1, out=1), 110), "it has started, and has its worker"


def test_together() -> None:
    for waiting, most, room, ripe in itertools.product(range(4), range(4), range(-1, 4), (False, True)):
        count = together(waiting, most, room, ripe)
        possible = min(waiting, most)
        wanted = possible == most or ripe
        assert count == (possible if possible and wanted and possible <= room else 0)
