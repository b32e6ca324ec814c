"""Workers that are replaced though they could go on, pools of another size: step by step, and with seeded faults."""

from __future__ import annotations

import pytest

from procession.core import commands, events, recycling
from procession.core.pool import PoolCore
from procession.core.rules import Cause
from procession.core.state import State
from procession.core.worker import Worker
from procession.testing.explorer import explore
from procession.testing.scenario import Scenario
from procession.testing.world import World
from tests.core.stage import Stage, names, only
from tests.core.test_seeded_faults import Fault, Patch, find

# ------------------------------------------------------------------------------------------------------ too old, heavy


def test_who_is_due_works_on_until_his_heir_is_ready() -> None:
    stage = Stage(1, mean_ns=1e9)
    stage.idle(1)
    assert names(stage.step(events.Due(0))) == ["Spawn"]
    assert stage.core.width == 1
    found = stage.submit(*stage.calls(2))
    assert [each.wid for each in only(found, commands.Send)] == [0]
    assert names(stage.ready(1)) == ["Withdraw"]  # it waits: its principal still runs something
    stage.withdrawn(0, 0)
    found = stage.done(0)
    assert names(found) == ["Resolve", "Stop", "Send", "MarkRunning"]
    assert only(found, commands.Send)[0].wid == 1
    assert stage.core.width == 1


def test_who_is_due_and_has_nothing_to_do_goes_when_his_heir_is_ready() -> None:
    stage = Stage(1)
    stage.idle(1)
    stage.step(events.Due(0))
    assert names(stage.ready(1)) == ["Stop"]
    assert list(stage.core.hungry) == [1]


def test_what_the_leaver_has_not_started_comes_back_for_his_heir() -> None:
    stage = Stage(1, mean_ns=1000)
    stage.idle(1)
    stage.submit(*stage.calls(5))
    stage.step(events.Due(0))
    assert names(stage.ready(1)) == ["Withdraw"]
    stage.withdrawn(0, 4)
    assert stage.core.line.items == 4
    found = stage.done(0)
    assert [send.tokens for send in only(found, commands.Send)] == [4]


def test_one_at_a_time_is_replaced_for_what_it_is() -> None:
    stage = Stage(3)
    stage.idle(3)
    assert names(stage.step(events.Due(0))) == ["Spawn"]
    assert names(stage.step(events.Due(1))) == []
    assert names(stage.step(events.Due(0))) == []
    stage.ready(3)
    stage.lost(0, exitcode=0)
    assert names(stage.step(events.Due(1))) == ["Spawn"]


def test_an_heir_that_cannot_be_started_leaves_all_as_it_was() -> None:
    stage = Stage(1)
    stage.idle(1)
    stage.step(events.Due(0))
    assert names(stage.step(events.StartFailed(1, "no process", fatal=False))) == []
    assert list(stage.core.hungry) == [0]
    assert names(stage.step(events.Due(0))) == ["Spawn"]
    assert names(stage.lost(2)) == []
    assert list(stage.core.hungry) == [0]


def test_an_heir_takes_the_place_of_a_principal_that_dies() -> None:
    stage = Stage(1, mean_ns=1e9)
    stage.idle(1)
    stage.submit(*stage.calls(2))
    stage.step(events.Due(0))
    found = stage.lost(0)
    assert names(found) == ["FailItem", "Send"]  # the one that it ran; the other one for the heir, which still starts
    assert stage.core.width == 1


def test_a_pool_that_ends_stops_heirs_too() -> None:
    stage = Stage(1)
    stage.idle(1)
    stage.step(events.Due(0))
    assert [each.wid for each in only(stage.step(events.ShutdownAsked(False)), commands.Stop)] == [0, 1]


@pytest.mark.parametrize("event", [events.ShutdownAsked(True), events.KillAsked()])
def test_a_pool_that_starts_nothing_more_has_no_new_heirs(event: events.Event) -> None:
    stage = Stage(1)
    stage.submit(*stage.calls(1))
    stage.ready(0)
    stage.step(event)
    assert only(stage.step(events.Due(0)), commands.Spawn) == []


def test_what_takes_too_much_memory_ends_at_once() -> None:
    stage = Stage(1, mean_ns=1e9)
    stage.idle(1)
    stage.submit(*stage.calls(1))
    assert names(stage.step(events.Heavy(0))) == ["Withdraw"]
    assert names(stage.withdrawn(0, 0)) == ["Look"]
    assert stage.step(events.Looked(0)) == [commands.Kill(0, Cause.MEMORY)]
    (failed,) = stage.lost(0)
    assert isinstance(failed, commands.FailItem)
    assert failed.cause is Cause.MEMORY


def test_who_has_nothing_to_do_is_not_killed_for_his_memory() -> None:
    stage = Stage(1)
    stage.idle(1)
    assert names(stage.step(events.Heavy(0))) == []


# ---------------------------------------------------------------------------------------------------------- by quota


def test_an_heir_is_there_before_the_quota_is_used_up_if_work_waits() -> None:
    stage = Stage(1, quota=8, mean_ns=1e9)
    found = stage.submit(*stage.calls(20))
    spawned = []
    stage.ready(0)
    for _ in range(8):
        spawned += only(found, commands.Spawn)
        assert stage.core.width == 1
        found = stage.done(0)
    assert [each.wid for each in spawned] == [0, 1]
    assert names(found) == ["Resolve", "Stop", "Send"]


def test_no_heir_where_nothing_waits() -> None:
    stage = Stage(1, quota=2, mean_ns=1e9)
    stage.idle(1)
    assert names(stage.submit(*stage.calls(1))) == ["Send", "MarkRunning"]
    assert names(stage.done(0)) == ["Resolve", "Stop"]


# ------------------------------------------------------------------------------------------------------- other sizes


def test_a_smaller_pool_lets_go_of_who_does_nothing_first() -> None:
    stage = Stage(3, mean_ns=1e9)
    stage.idle(3)
    stage.submit(*stage.calls(1))  # runs on the last one
    found = stage.step(events.Resized(1))
    assert sorted(each.wid for each in only(found, commands.Stop)) == [0, 1]
    assert stage.core.width == 1


def test_a_smaller_pool_waits_for_who_runs_something() -> None:
    stage = Stage(2, mean_ns=1e9)
    stage.idle(2)
    stage.submit(*stage.calls(2))
    assert only(stage.step(events.Resized(1)), commands.Stop) == []
    leaver = next(worker for worker in stage.core.workers.values() if worker.leaving)
    if leaver.loose:
        stage.withdrawn(leaver.wid, 0)
    assert [each.wid for each in only(stage.done(leaver.wid), commands.Stop)] == [leaver.wid]
    assert stage.core.width == 1


def test_a_larger_pool_starts_more_and_keeps_who_was_leaving() -> None:
    stage = Stage(2, mean_ns=1e9)
    stage.idle(2)
    stage.submit(*stage.calls(2))
    stage.step(events.Resized(1))
    stage.step(events.Resized(3))
    assert not any(worker.leaving for worker in stage.core.workers.values())
    for worker in list(stage.core.withdrawing):
        stage.withdrawn(worker, 0)
    assert names(stage.submit(*stage.calls(1))) == ["Spawn", "Send"]


def test_a_smaller_pool_sends_heirs_away() -> None:
    stage = Stage(2)
    stage.idle(2)
    stage.step(events.Due(0))
    found = stage.step(events.Resized(1))
    assert 2 in [each.wid for each in only(found, commands.Stop)]
    assert stage.core.width == 1


# ------------------------------------------------------------------------------------------------------ seeded faults

OLD = Scenario("old", 1, (("calls", 1), ("calls", 1)), dues=1)
OLD_CRASH = Scenario("old, a crash", 1, (("calls", 1),), dues=1, crashes=1)
HEAVY = Scenario("heavy", 1, (("calls", 2),), heavies=1)


def heirs_that_do_not_wait(patch: Patch) -> type[World]:
    def heir_ready(core: PoolCore, heir: Worker) -> None:
        if heir.principal is not None:
            core.workers[heir.principal].heir = None
            heir.principal = None
            core.width += 1
            core.max_workers += 1
            core.index(heir)

    patch.setattr(recycling, "heir_ready", heir_ready)
    return World


def leavers_that_stay(patch: Patch) -> type[World]:
    patch.setattr(recycling, "settle", lambda core, worker: None)
    patch.setattr(Worker, "through", property(lambda worker: worker.quota == 0))
    return World


def heirs_that_are_forgotten(patch: Patch) -> type[World]:
    def part(core: PoolCore, worker: Worker) -> None:
        if worker.principal is not None:
            core.workers[worker.principal].heir, worker.principal = None, None

    patch.setattr(recycling, "part", part)
    return World


def killed_for_what_is_idle(patch: Patch) -> type[World]:
    """What is too heavy is killed with all that it has in hand."""

    def heavy(core: PoolCore, event: events.Heavy) -> None:
        worker = core.heard(event)
        if worker.state is State.BUSY:
            core.forget(worker)
            worker.signal(recycling_signal)
            core.out.append(commands.Kill(worker.wid, Cause.MEMORY))

    from procession.core import pool
    from procession.core.state import Signal

    recycling_signal = Signal.KILL
    patch.setitem(pool._HANDLERS, events.Heavy, heavy)
    return World


FAULTS = {
    "heirs that do not wait": Fault(heirs_that_do_not_wait, OLD, "run something|and nobody will|more workers"),
    "leavers that stay": Fault(leavers_that_stay, OLD, "and stays|no answer|still waits"),
    "heirs that are forgotten": Fault(heirs_that_are_forgotten, OLD_CRASH, "KeyError|not closed|goes, and the heir"),
    "killed with all in hand": Fault(killed_for_what_is_idle, HEAVY, "killed for item|dies of it"),
}


@pytest.mark.parametrize("silent", [False, True], ids=["check", "laws alone"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_the_explorer_finds_it(fault: Fault, silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    find(fault, silent, monkeypatch)


@pytest.mark.parametrize("scenario", [OLD, OLD_CRASH, HEAVY], ids=lambda scenario: scenario.name)
def test_without_a_fault_nothing_is_found(scenario: Scenario) -> None:
    explore(World(scenario), limit=60_000)
