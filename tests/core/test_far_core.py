"""What the core does otherwise where workers are far (core/README.md, "Far workers"), rule by rule."""

from __future__ import annotations

from procession.core import commands, events
from procession.core.pool import PoolCore
from procession.core.rules import Cause, Rules
from procession.testing.model import Guess, ModelTask

CHEAP = 1_000.0


def far(workers: int = 1) -> PoolCore:
    """Ready ones, without work."""
    core = PoolCore(workers, far=True)
    core.step(events.StartWorkers(workers))
    for wid in range(workers):
        core.step(events.WorkerReady(wid))
    return core


def calls(count: int, rules: Rules | None = None) -> list[ModelTask]:
    profile = Guess(CHEAP)
    found = [ModelTask(item, 1, profile) for item in range(count)]
    for task in found:
        task.rules = rules
    return found


def told(core: PoolCore, event: events.Event) -> list[commands.Command]:
    found = core.step(event)
    core.check()
    return found


def kinds(found: list[commands.Command]) -> list[str]:
    return [type(each).__name__ for each in found]


def test_with_an_agent_all_that_was_in_hand_fails_in_order() -> None:
    core = far()
    told(core, events.Submitted(calls(3)))
    found = told(core, events.Lost(0, 0, None))
    assert [each.start for each in found if isinstance(each, commands.FailItem)] == [0, 1, 2]


def test_who_is_to_be_replaced_leaves_at_once_and_room_is_made_for_the_next() -> None:
    """Its heir could wait for ever for a place that it has itself."""
    core = far()
    told(core, events.Submitted(calls(2)))
    assert kinds(told(core, events.Due(0))) == ["Withdraw"]
    assert kinds(told(core, events.Due(0))) == ["Withdraw"]
    assert kinds(told(core, events.Withdrawn(0, 1))) == ["MarkRunning"]
    assert core.workers[0].leaving
    found = told(core, events.CallsDone(0, [None]))
    assert kinds(found) == ["Resolve", "Stop", "Spawn", "Send"]
    told(core, events.LeaseEnded(0, 1, 1))
    assert kinds(told(core, events.Lost(0, 0, 0))) == []


def test_who_idles_and_is_to_be_replaced_is_stopped() -> None:
    core = far(2)
    assert kinds(told(core, events.Due(1))) == ["Stop"]
    assert core.width == 1


def test_what_was_never_sent_does_not_fail() -> None:
    core = far()
    told(core, events.Submitted(calls(3)))
    found = told(core, events.Lost(0, 2, None))
    assert [each.start for each in found if isinstance(each, commands.FailItem)] == [0]
    (send,) = (each for each in found if isinstance(each, commands.Send))
    assert send.tasks[0].start == 1  # type: ignore[attr-defined]


def test_what_runs_again_keeps_its_order() -> None:
    core = far()
    again = frozenset((Cause.DIED,))
    told(core, events.Submitted(calls(3, Rules(retries=1, again_after=again)), True, 1))
    found = told(core, events.Lost(0, 0, None))
    assert [each.start for each in found if isinstance(each, commands.FailItem)] == [0, 1, 2]
    told(core, events.WorkerReady(1))
    inflight = [*core.workers[1].inflight, *core.line]
    assert [task.start for task in inflight] == [0, 1, 2]  # type: ignore[attr-defined]


def test_only_what_was_to_be_ended_has_been_cancelled_when_its_agent_is_lost() -> None:
    core = far()
    tasks = calls(3)
    told(core, events.Submitted(tasks))
    told(core, events.CancelAsked([tasks[2]], True))
    found = told(core, events.Lost(0, 0, None))
    causes = [each.cause for each in found if isinstance(each, commands.FailItem)]
    assert causes == [Cause.DIED, Cause.DIED, Cause.CANCEL]


def test_nobody_is_told_to_be_running_who_is_asked_back() -> None:
    core = far()
    tasks = calls(2)
    told(core, events.Submitted(tasks))
    assert "Withdraw" in kinds(told(core, events.CancelAsked([tasks[1]])))
    assert "MarkRunning" not in kinds(told(core, events.CallsDone(0, [0])))
    found = told(core, events.Withdrawn(0, 1))
    assert kinds(found) == ["Cancel"]


def test_who_has_not_come_back_is_told_to_be_running() -> None:
    core = far()
    tasks = calls(2)
    told(core, events.Submitted(tasks))
    told(core, events.CancelAsked([tasks[1]]))
    told(core, events.CallsDone(0, [0]))
    (mark,) = told(core, events.Withdrawn(0, 0))
    assert isinstance(mark, commands.MarkRunning)
    assert mark.task is tasks[1]


def test_a_step_asks_for_all_withdrawals_that_are_outstanding() -> None:
    core = far(2)
    tasks = calls(4)
    told(core, events.Submitted(tasks))
    told(core, events.CancelAsked([tasks[1]]))
    found = told(core, events.CancelAsked([tasks[3]]))
    assert sorted(each.wid for each in found if isinstance(each, commands.Withdraw)) == [0, 1]


def test_what_is_leased_meanwhile_is_counted_too() -> None:
    core = far()
    tasks = calls(2)
    told(core, events.Submitted(tasks))
    told(core, events.CancelAsked([tasks[1]]))
    told(core, events.CallsDone(0, [0, 1]))
    later = calls(1)
    assert "Send" in kinds(told(core, events.Submitted(later)))
    found = told(core, events.Withdrawn(0, 1))
    (send,) = (each for each in found if isinstance(each, commands.Send))
    assert send.tasks == later
