"""What tests/core/test_gate.py looks for is found: each fault, seeded into the gate, by a short story."""

from __future__ import annotations

from typing import Any

import pytest

from procession.core.gate import Gate, Standing
from procession.core.pace import Pace
from procession.core.rules import SECOND
from tests.core import test_gate
from tests.core.test_gate import WORDS, World


class OneTooMany(Gate):
    """More calls than workers."""

    def _gathered(self, line: Standing, now: int, ripe: bool) -> int:
        self.workers += 1
        try:
            return super()._gathered(line, now, ripe)
        finally:
            self.workers -= 1


class TooEarly(Gate):
    """A batch that is not full goes though nobody has said that no other comes."""

    def startable(self, line: Standing, now: int) -> int:
        return super().startable(Standing(line.waiting, line.since, line.out, line.room, True), now)


class TooLarge(Gate):
    """It starts what there is no room for."""

    def _gathered(self, line: Standing, now: int, ripe: bool) -> int:
        return super()._gathered(Standing(line.waiting, line.since, line.out, 1 << 60, line.last), now, ripe)


class NeverRipe(Gate):
    """Its `max_wait` is forgotten."""

    def startable(self, line: Standing, now: int) -> int:
        self.max_wait, wait = None, self.max_wait
        try:
            return super().startable(line, now)
        finally:
            self.max_wait = wait


class NoAlarm(Gate):
    """Nobody is told when to look again."""

    def alarm(self, line: Standing, now: int) -> int | None:
        return None


class LateAlarm(Gate):
    """A moment later than it could be."""

    def alarm(self, line: Standing, now: int) -> int | None:
        at = super().alarm(line, now)
        return at if at is None else at + 1


class DeafAlarm(Gate):
    """It forgets the pace."""

    def alarm(self, line: Standing, now: int) -> int | None:
        self.pace, pace = None, self.pace
        try:
            return super().alarm(line, now)
        finally:
            self.pace = pace


class Free(Gate):
    """A start without a token."""

    def start(self, now: int) -> bool:
        return True

    def startable(self, line: Standing, now: int) -> int:
        return self._gathered(line, now, line.last)


def walk(words: Any, kind: type[Gate], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(test_gate, "Gate", kind)
        test_gate.test_every_story(words)


FAULTS = [OneTooMany, TooEarly, TooLarge, NeverRipe, NoAlarm, LateAlarm, DeafAlarm, Free]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found(fault: type[Gate], monkeypatch: pytest.MonkeyPatch) -> None:
    for words in WORDS:
        try:
            walk(words, fault, monkeypatch)
        except AssertionError:
            return
    raise AssertionError(f"nobody has noticed: {fault.__doc__}")


def test_a_pace_that_fills_too_fast_is_found() -> None:
    class TooFast(Pace):
        def grab(self, now: int) -> bool:
            taken = super().grab(now)
            self._full -= taken
            return taken

    world = World(1, 1, None, True)
    world.gate = Gate(1, pace=TooFast(SECOND / test_gate.PERIOD))
    assert world.gate.pace is not None
    world.gate.pace.burst = 1
    with pytest.raises(AssertionError):
        for event in ("put", "end", "put", "tick", "end", "put", "tick"):
            world.act(event)
