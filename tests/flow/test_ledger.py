"""core.ledger: what is bounded, walked in full for small cases and by Hypothesis for larger ones."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.core.flow import NOTHING, FlowCore
from procession.core.ledger import Ledger


class Stage:
    """A flow with a ledger, and what posts for it, said plainly: items start in order, as many as are allowed."""

    def __init__(self, limit: int, first: int, ordered: bool, kind: type[Ledger] = Ledger) -> None:
        self.flow = FlowCore(ordered=ordered)
        self.ledger = kind(limit, first)
        self.out: list[int] = []
        self.waiting: deque[int] = deque()
        self.inside: dict[int, int] = {}  # what lies in memory, by item
        self.aside: set[int] = set()

    def admit(self) -> None:
        self.waiting.append(self.flow.admit())
        self.start()

    def start(self) -> None:
        while self.waiting:
            if self.ledger.allowance(len(self.out)) <= 0 and (self.out or self.flow.ready):
                break
            self.out.append(self.waiting.popleft())

    def finish(self, at: int, weight: int) -> None:
        index = self.out.pop(at)
        run = [index]
        self.flow.done(index, run)
        self.ledger.came(index, weight)
        self.ledger.may_move(index, index, run, 0)
        self.inside[index] = weight
        self.start()

    def take(self) -> None:
        found = self.flow.take()
        if found is not NOTHING:
            index = found[1] if isinstance(found, tuple) else found
            self.ledger.left(index)
            self.inside.pop(index, None)
            self.aside.discard(index)
            self.start()

    def move(self) -> None:
        index = self.ledger.latest()
        if index is None:
            return
        start, run, at = self.ledger.loose[index]
        if self.flow.exchange(start, run, at, ("aside", index)):
            self.ledger.moved(index)
            del self.inside[index]
            self.aside.add(index)
        self.ledger.fixed(index)
        self.start()

    def check(self) -> None:
        self.flow.check()
        assert self.ledger.total == sum(self.inside.values())
        assert self.ledger.aside == len(self.aside)
        assert self.out or self.flow.ready or not self.waiting, "it stands still"


def events(draw: Any, stage: Stage, weights: Any) -> None:
    kinds = ["admit", "take", "move", *(["finish"] * 2 if stage.out else [])]
    match draw(st.sampled_from(kinds)):
        case "finish":
            stage.finish(draw(st.integers(0, len(stage.out) - 1)), draw(weights))
        case kind:
            getattr(stage, kind)()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_books_are_right_and_nothing_stands_still(data: st.DataObject) -> None:
    stage = Stage(data.draw(st.integers(1, 50)), data.draw(st.integers(1, 4)), data.draw(st.booleans()))
    for _ in range(data.draw(st.integers(1, 60))):
        events(data.draw, stage, st.integers(1, 30))
        stage.check()
    while stage.out or stage.flow.ready:
        stage.finish(0, 5) if stage.out else stage.take()
        stage.check()
    assert not stage.waiting
    assert (stage.ledger.total, stage.ledger.aside, stage.ledger.loose) == (0, 0, {})


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_equal_results_stay_within_the_limit(data: st.DataObject) -> None:
    """Law 2, with what is out counted as if it were there."""
    weight, first = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 4))
    stage = Stage(data.draw(st.integers(1, 100)), first, data.draw(st.booleans()))
    for _ in range(data.draw(st.integers(1, 80))):
        events(data.draw, stage, st.just(weight))
        stage.check()
        assert stage.ledger.total + len(stage.out) * weight <= max(stage.ledger.limit, first * weight)


def test_the_bound_is_used_up_behind_a_straggler() -> None:
    """Item 0 takes long: the others fill the bound, to the last that fits, and wait."""
    stage = Stage(100, 2, ordered=True)
    for _ in range(50):
        stage.admit()
    while len(stage.out) > 1:
        stage.finish(1, 10)
    assert (stage.out, stage.ledger.total, len(stage.waiting)) == ([0], 90, 40)
    for _ in range(5):
        stage.move()
    while len(stage.out) > 1:
        stage.finish(1, 10)
    assert (stage.out, stage.ledger.total, len(stage.waiting), stage.ledger.aside) == ([0], 90, 35, 5)
    stage.finish(0, 10)
    assert stage.ledger.total == 100
    while stage.flow.ready:
        stage.take()
    assert stage.ledger.total == 0


def test_what_is_expected_follows_the_largest_of_late() -> None:
    ledger = Ledger(1000, 1)
    ledger.came(0, 640)
    assert ledger.expected == 640
    for index in range(1, 23):
        ledger.came(index, 1)
    assert 300 < ledger.expected < 340
    for index in range(23, 400):
        ledger.came(index, 1)
    assert ledger.expected == 1
    ledger.came(400, 7)
    assert ledger.expected == 7


class Forgets(Ledger):
    """Seeded: what leaves goes on weighing."""

    def left(self, index: int) -> None:
        self.fixed(index)


class Twice(Ledger):
    """Seeded: what was moved aside is taken off again when it leaves."""

    def left(self, index: int) -> None:
        if index in self.weights:
            self.total -= self.weights[index] or 1
            self.aside -= not self.weights[index]
            del self.weights[index]


class Blind(Ledger):
    """Seeded: what is out is not reckoned with."""

    def allowance(self, out: int) -> int:
        return super().allowance(0)


@pytest.mark.parametrize("kind", [Forgets, Twice, Blind])
def test_a_seeded_fault_is_found(kind: type[Ledger]) -> None:
    def story() -> None:
        stage = Stage(30, 1, ordered=True, kind=kind)
        for _ in range(12):
            stage.admit()
        for _ in range(12):
            while len(stage.out) > 1:
                stage.finish(1, 10)
                stage.check()
                assert stage.ledger.total + 10 * len(stage.out) <= 30
            stage.move()
            stage.check()
            if stage.out:
                stage.finish(0, 10)
            stage.check()
            stage.take()
            stage.check()
            assert stage.ledger.total + 10 * len(stage.out) <= 30

    with pytest.raises(AssertionError):
        story()
    kind = Ledger
    story()
