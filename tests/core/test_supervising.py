"""Who is looked at, and when that ends."""

from __future__ import annotations

from procession.core import events
from procession.core.rules import SECOND, Rules
from procession.testing.model import ModelTask
from tests.core.stage import Stage

TIMED = Rules(timeout_ns=SECOND)


def hand_in(stage: Stage, rules: Rules | None, now: int = 0) -> ModelTask:
    (task,) = stage.calls(1)
    task.rules = rules
    stage.step(events.Submitted([task], True, now))
    return task


def test_looks_end_with_the_work() -> None:
    stage = Stage(1)
    hand_in(stage, TIMED)
    stage.ready()
    assert list(stage.core.watched) == [0]
    stage.done()
    stage.left()
    assert not stage.core.watched
    hand_in(stage, None)
    assert not stage.core.watched, "nobody here has a timeout any more"


def test_who_waits_for_its_next_run_is_looked_at_when_it_has_that() -> None:
    stage = Stage(1)
    hand_in(stage, Rules(timeout_ns=SECOND, retries=1, delay_ns=lambda tries, now: SECOND))
    stage.ready()
    stage.step(events.CallsDone(0, ["failed"], [0]))
    stage.left()
    hand_in(stage, None)
    stage.done()
    stage.left()
    alarm = stage.core.alarm()
    assert alarm is not None
    stage.step(events.Clock(alarm))
    assert stage.worker().items == 1
    assert list(stage.core.watched) == [0]
