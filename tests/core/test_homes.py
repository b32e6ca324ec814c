"""Tasks that keep to one worker: step by step, and with seeded faults."""

from __future__ import annotations

from collections import deque
from typing import cast

import pytest

from procession.core import assign, commands, events, homes, losing, pool, recycling
from procession.core.pool import PoolCore
from procession.core.rules import Cause, Rules
from procession.core.task import Task
from procession.core.worker import Worker
from procession.testing.explorer import explore
from procession.testing.model import Key, ModelTask
from procession.testing.scenario import DEAR, Scenario
from procession.testing.world import World
from tests.core.stage import Stage, names, only
from tests.core.test_seeded_faults import Fault, Patch, find

CHEAP = 1000.0


def hand_over(stage: Stage, *keys: Key) -> list[commands.Command]:
    """A call of each key, all together."""
    calls = stage.calls(len(keys))
    for call, key in zip(calls, keys, strict=True):
        call.home = key
    return stage.step(events.Submitted(calls, ruled=True))


def at(wid: int | None) -> Key:
    """A key with this home."""
    key = Key(0)
    key.wid = wid
    return key


def sent(found: list[commands.Command]) -> list[tuple[int, int]]:
    """(worker, items) of each lease."""
    return [(send.wid, send.tokens) for send in only(found, commands.Send)]


def idle(workers: int, *, mean_ns: float = CHEAP, quota: int | None = None) -> Stage:
    """So many workers that idle, the last of them was busy last."""
    stage = Stage(workers, mean_ns=mean_ns, quota=quota)
    stage.idle(workers)
    return stage


# ---------------------------------------------------------------------------------------------------------- at home


def test_a_home_is_where_an_outcome_came_from() -> None:
    stage, key = idle(2), at(None)
    assert sent(hand_over(stage, key)) == [(1, 1)]
    assert key.wid is None, "it may come back unstarted"
    stage.done(1)
    assert key.wid == 1
    stage.submit(*stage.calls(1))
    assert sent(stage.submit(*stage.calls(1))) == [(0, 1)]
    stage.done(1)
    stage.done(0)
    assert sent(hand_over(stage, key)) == [(1, 1)], "though worker 0 was busy last"


def test_where_nobody_has_a_home_nothing_is_looked_at() -> None:
    stage = idle(2)
    stage.step(events.Submitted(stage.calls(1), ruled=True))
    assert not stage.core.homed


def test_it_waits_for_its_worker_though_others_idle() -> None:
    stage = idle(2)
    hand_over(stage, at(0))
    assert sent(hand_over(stage, at(0))) == []
    assert (stage.core.line.items, stage.core.line.waiting) == (0, 1)
    assert sent(stage.done(0)) == [(0, 1)]


def test_what_was_never_run_at_home_may_be_stolen() -> None:
    stage = idle(2)
    hand_over(stage, *[at(None) for _ in range(8)])
    while stage.core.line.items:
        stage.done(1, stage.worker(1).items)
    assert stage.worker(0).items > 1
    assert stage.done(1, stage.worker(1).items)[-1] == commands.Withdraw(0)
    found = stage.withdrawn(0, stage.worker(0).items - 1)
    assert 1 in [wid for wid, _ in sent(found)]


def test_who_was_given_what_is_bound_is_tied() -> None:
    """Nothing is stolen from it, and nothing more is leased to it, until all of that is done."""
    stage = idle(2)
    hand_over(stage, at(0))
    hand_over(stage, at(0), at(0))
    assert sent(stage.done(0)) == [(0, 2)]
    assert stage.worker(0).tied
    assert not stage.core.stealable, "and worker 1 idles"
    stage.done(0)
    assert {wid for wid, _ in sent(stage.submit(*stage.calls(4)))} == {1}
    assert not stage.worker(0).thirsty


def test_a_lease_of_what_is_bound_is_as_long_as_any() -> None:
    stage = idle(1, mean_ns=1e6)
    hand_over(stage, at(0))
    hand_over(stage, *[at(0) for _ in range(8)])
    assert sent(stage.done(0)) == [(0, 3)]
    assert sent(stage.done(0, 3)) == [(0, 3)]


def test_what_anybody_may_take_has_every_other_turn() -> None:
    stage = idle(1, mean_ns=DEAR)
    hand_over(stage, at(0))
    hand_over(stage, at(0), at(0))
    stage.submit(*stage.calls(2))
    turns = []
    for _ in range(4):
        (send,) = only(stage.done(0), commands.Send)
        turns.append(send.tasks[0].home is not None)
        stage.left(0)
    assert turns == [False, True, False, True]


def test_for_whom_something_bound_waits_is_not_topped_up() -> None:
    stage = idle(1)
    stage.submit(*stage.calls(1))
    assert sent(hand_over(stage, at(0))) == []
    assert sent(stage.submit(*stage.calls(2))) == [], "it would never run dry"
    assert sent(stage.done(0)) == [(0, 1)]
    assert stage.worker(0).tied


def test_a_lent_worker_is_recalled() -> None:
    stage = idle(2)
    stage.step(events.Lent(0))
    assert names(hand_over(stage, at(0))) == ["Recall"]
    assert sent(stage.step(events.Recalled(0))) == [(0, 1)]


def test_a_further_run_is_at_home() -> None:
    stage = idle(2)
    (call,) = stage.calls(1)
    call.home, call.rules = at(0), Rules(retries=1)
    stage.step(events.Submitted([call], ruled=True))
    found = stage.step(events.CallsDone(0, ["an error"], (0,)))
    assert names(found) == ["TryAgain", "Send", "MarkRunning"]
    assert sent(found) == [(0, 1)]


def test_what_comes_back_is_first_at_home() -> None:
    stage = idle(2)
    hand_over(stage, at(0))
    hand_over(stage, at(0), at(0), at(0))
    hand_over(stage, at(0))
    (send,) = only(stage.done(0), commands.Send)
    assert names(stage.step(events.CancelAsked([send.tasks[1]]))) == ["Withdraw"]
    hand_over(stage, at(0))
    assert names(stage.withdrawn(0, 3)) == ["Cancel"]
    (first, _, _) = stage.core.line
    assert first is send.tasks[2]
    assert stage.core.line.bound.keys() == {0}
    assert only(stage.done(0), commands.Send)[0].tasks == [first], "alone: somebody is cancelling"


def test_what_was_told_to_be_running_goes_before_all_that_waits() -> None:
    stage = idle(1)
    hand_over(stage, at(0))
    hand_over(stage, at(0))
    stage.submit(*stage.calls(1))
    (send,) = only(stage.done(0), commands.Send)
    (call,) = send.tasks
    assert call.home is None, "the line's turn"
    (send,) = only(stage.done(0), commands.Send)
    (told,) = send.tasks
    told.started = True
    stage.submit(*stage.calls(1))
    stage.step(events.CancelAsked([told], kill=True))
    told.final = False
    stage.worker(0).unwanted.clear()
    stage.worker(0).mortal.clear()
    assert only(stage.withdrawn(0, 1), commands.Send)[0].tasks == [told]


def test_a_cancelled_one_is_dropped_when_its_turn_comes() -> None:
    stage = idle(1)
    hand_over(stage, at(0))
    hand_over(stage, at(0))
    (waiting,) = stage.core.line
    waiting.cancelled = True  # type: ignore[attr-defined]
    assert names(stage.done(0)) == ["Resolve", "Drop"]
    assert not stage.core.line.bound


# -------------------------------------------------------------------------------------------------------- homeless


def test_when_its_worker_is_lost_a_key_goes_anywhere_and_stays_there() -> None:
    stage, key = idle(2), at(0)
    hand_over(stage, at(0))
    hand_over(stage, key)
    found = stage.lost(0)
    assert names(found) == ["FailItem", "Send", "MarkRunning"]
    assert sent(found) == [(1, 1)]
    stage.done(1)
    assert key.wid == 1
    hand_over(stage, at(1))
    assert sent(hand_over(stage, key)) == []


def test_a_further_run_after_a_death_goes_anywhere() -> None:
    stage = idle(2)
    (call,) = stage.calls(1)
    call.home, call.rules = at(0), Rules(retries=1, again_after=frozenset((Cause.DIED,)))
    stage.step(events.Submitted([call], ruled=True))
    assert sent(stage.lost(0)) == [(1, 1)]


def test_who_leaves_is_nobodys_home() -> None:
    stage = idle(1)
    hand_over(stage, at(0))
    hand_over(stage, at(0))
    stage.step(events.Due(0))
    stage.ready(1)
    assert (stage.core.line.items, stage.core.line.bound) == (1, {})
    assert sent(hand_over(stage, at(0))) == [], "its heir waits for its end"
    assert sent(stage.done(0)) == [(1, 2)]


def test_at_the_end_of_a_quota_what_is_bound_is_for_anybody() -> None:
    stage = idle(2, quota=2)
    hand_over(stage, at(0))
    assert sent(hand_over(stage, at(0))) == [(1, 1)], "worker 0 may run no more than it has in hand"


def test_what_a_quota_keeps_from_its_home_needs_an_heir() -> None:
    stage = idle(1, quota=8)
    hand_over(stage, *[at(0) for _ in range(5)])
    assert names(hand_over(stage, at(0), at(0), at(0), at(0))) == []
    found = stage.done(0, 5)
    assert names(found) == ["Resolve", "Send", "MarkRunning", "Spawn"]
    assert (stage.core.line.items, stage.core.line.bound) == (2, {})


def test_a_smaller_pool() -> None:
    stage = idle(2)
    hand_over(stage, at(0), at(1))
    hand_over(stage, at(0), at(1))
    stage.step(events.Resized(1))
    (stays,) = [wid for wid, worker in stage.core.workers.items() if not worker.leaving]
    assert stage.core.line.items == 1
    assert list(stage.core.line.bound) == [stays]


@pytest.mark.parametrize("event", [events.ShutdownAsked(cancel=True), events.KillAsked()])
def test_an_end_with_cancel_refuses_what_is_bound(event: events.Event) -> None:
    stage = idle(1)
    hand_over(stage, at(0))
    hand_over(stage, at(0))
    assert "Cancel" in names(stage.step(event))
    assert not stage.core.line.waiting


def test_a_shutdown_waits_for_what_is_bound() -> None:
    stage = idle(1)
    hand_over(stage, at(0))
    hand_over(stage, at(0))
    stage.step(events.ShutdownAsked(cancel=False))
    assert names(stage.done(0)) == ["Resolve", "Send", "MarkRunning"]
    assert names(stage.done(0)) == ["Resolve", "Stop"]


def test_groups_and_late_ones_are_found_where_they_are_bound() -> None:
    stage = idle(1)
    hand_over(stage, at(0))
    (call,) = stage.calls(1)
    call.home, call.group = at(0), "a stream"
    stage.step(events.Submitted([call], ruled=True))
    call.cancelled = True
    assert names(stage.step(events.GroupCancelled("a stream"))) == ["Drop"]
    (late,) = stage.calls(1)
    late.home, late.rules = at(0), Rules(queue_ns=1000)
    stage.step(events.Submitted([late], ruled=True, now=1))
    assert names(stage.step(events.Clock(5000))) == ["Expire"]
    assert not stage.core.line.bound


# -------------------------------------------------------------------------------------------------------------- pins


def living(wid: int | None, end: int = 100) -> Key:
    """A key of which something lives after each outcome below `end`."""
    key = Key(0, end)
    key.wid = wid
    return key


def pinned(workers: int, *, mean_ns: float = CHEAP, quota: int | None = None) -> tuple[Stage, Key]:
    """So many workers that idle; something lives in worker 0."""
    stage, key = idle(workers, mean_ns=mean_ns, quota=quota), living(0)
    hand_over(stage, key)
    stage.step(events.CallsDone(0, [1]))
    stage.left(0)
    assert list(stage.core.pinned) == [0]
    return stage, key


def test_what_anybody_may_take_goes_where_nothing_lives() -> None:
    stage, _ = pinned(2)
    assert sent(stage.submit(*stage.calls(1))) == [(1, 1)], "though worker 0 was busy last"
    assert sent(stage.submit(*stage.calls(1))) == [(0, 1)]


def test_an_outcome_says_that_nothing_lives_there_any_more() -> None:
    stage, key = pinned(2)
    hand_over(stage, key)
    stage.step(events.CallsDone(0, [1000]))
    assert not stage.core.pinned
    assert not stage.worker(0).pins
    assert key.wid == 0


def test_who_has_a_pin_is_not_due() -> None:
    stage, key = pinned(1)
    assert names(stage.step(events.Due(0))) == []
    hand_over(stage, key)
    stage.step(events.CallsDone(0, [1000]))
    assert names(stage.step(events.Due(0))) == ["Spawn"]


def test_who_was_due_before_it_got_a_pin_goes_after_it() -> None:
    stage, key = idle(1), living(0)
    hand_over(stage, key)
    assert names(stage.step(events.Due(0))) == ["Spawn"]
    stage.ready(1)
    assert stage.worker(0).leaving
    stage.withdrawn(0, 0)
    assert names(stage.step(events.CallsDone(0, [1]))) == ["Resolve"]
    assert not stage.worker(0).leaving
    assert sent(hand_over(stage, key)) == [(0, 1)]
    found = stage.step(events.CallsDone(0, [1000]))
    assert names(found) == ["Stop", "Resolve"]
    assert sent(stage.submit(*stage.calls(1))) == [(1, 1)]


def test_a_quota_is_exceeded_for_a_pin() -> None:
    stage, key = pinned(1, quota=2)
    assert sent(stage.submit(*stage.calls(1))) == [(0, 1)], "nobody else could"
    stage.done(0)
    assert sent(hand_over(stage, key)) == [(0, 1)]
    found = stage.step(events.CallsDone(0, [1000]))
    assert names(found)[-1] == "Stop"


def test_a_smaller_pool_waits_for_pins() -> None:
    stage, key = pinned(2)
    other = living(1)
    hand_over(stage, other)
    stage.step(events.CallsDone(1, [1]))
    assert names(stage.step(events.Resized(1))) == []
    hand_over(stage, key)
    assert names(stage.step(events.CallsDone(0, [1000]))) == ["Stop", "Resolve"]


def test_what_lived_is_lost_with_its_worker() -> None:
    stage, key = pinned(2)
    found = stage.lost(0)
    assert names(found) == []
    found = hand_over(stage, key)
    assert names(found) == ["FailItem"]
    assert only(found, commands.FailItem)[0].cause is Cause.DIED
    assert not stage.core.bereaved


def test_what_was_bound_fails_with_the_end_of_its_worker() -> None:
    stage, key = pinned(1)
    stage.submit(*stage.calls(1))
    assert sent(hand_over(stage, key)) == []
    found = stage.lost(0)
    fails = only(found, commands.FailItem)
    assert [fail.cause for fail in fails] == [Cause.DIED] * 2
    assert not stage.core.line.waiting


def doomed() -> tuple[Stage, Key]:
    """The only worker is told to die, since it runs something for too long; something lives there, and is needed."""
    stage, key = pinned(1)
    (call,) = stage.calls(1)
    call.rules = Rules(timeout_ns=1000)
    stage.step(events.Submitted([call], ruled=True))
    hand_over(stage, key)
    for now in range(20):
        stage.step(events.Clock(now * 1_000_000))
        stage.step(events.Looked(0))
    stage.withdrawn(0, 0)
    assert "Kill" in names(stage.step(events.Looked(0)))
    return stage, key


def test_what_is_bound_waits_for_the_end_of_who_was_told_to_die() -> None:
    stage, _ = doomed()
    assert not stage.core.line.bound
    assert list(stage.core.bereaved) == [0]
    found = stage.lost(0)
    assert [fail.cause for fail in only(found, commands.FailItem)] == [Cause.TIMEOUT, Cause.DIED]


def test_a_group_that_is_cancelled_waits_for_no_end() -> None:
    """Else it would fail with that worker, and begin anew where it may, though nobody wants it."""
    stage, key = doomed()
    (waits,) = cast("deque[ModelTask]", stage.core.bereaved[0])
    waits.group = "a stream"
    other = living(0)
    other.lost = 0
    hand_over(stage, other)
    found = stage.step(events.GroupCancelled("a stream", kill=True))
    assert [drop.tasks for drop in only(found, commands.Drop)] == [[waits]]
    assert [task.home for task in stage.core.bereaved[0]] == [other], "others wait still"
    fails = only(stage.lost(0), commands.FailItem)
    assert key not in [fail.task.home for fail in fails]
    assert [fail.cause for fail in fails] == [Cause.TIMEOUT, Cause.DIED]


def test_a_further_run_of_what_was_lost_begins_anew_anywhere() -> None:
    stage, key = pinned(2)
    (call,) = stage.calls(1)
    call.home, call.rules = key, Rules(retries=1, again_after=frozenset((Cause.DIED,)))
    stage.lost(0)
    found = stage.step(events.Submitted([call], ruled=True))
    assert names(found) == ["FailItem", "Send", "MarkRunning"]
    assert sent(found) == [(1, 1)]
    assert key.lost is None


def test_a_thread_that_is_given_up_takes_nothing_with_it() -> None:
    stage, key = pinned(2)
    stage.core.can_kill = False
    stage.lost(0)
    assert sent(hand_over(stage, key)) == [(1, 1)]


def test_an_end_with_cancel_refuses_what_waits_for_the_end_of_its_worker() -> None:
    stage, _ = doomed()
    assert "Cancel" in names(stage.step(events.ShutdownAsked(cancel=True)))
    assert not stage.core.bereaved
    assert [fail.cause for fail in only(stage.lost(0), commands.FailItem)] == [Cause.TIMEOUT]


# ------------------------------------------------------------------------------------------------------ seeded faults

CRASH = Scenario("keys, a crash", 2, (("key", 2), ("key", 2)), crashes=1)
OLD = Scenario("keys, too old", 1, (("key", 2), ("key", 2)), dues=1)
AGAIN = Scenario("a key that runs again", 2, (("key", 1), ("calls", 2)), errors=1, retries=1)
KEYS = Scenario("keys", 2, (("key", 2), ("key", 2)))
LENT = Scenario("a key, lent", 2, (("calls", 1), ("key", 2), ("lone", 1)), lends=1)


def not_released(patch: Patch) -> type[World]:
    """Who leaves keeps what is bound to it."""
    patch.setattr(homes, "release", lambda core, worker: None)
    return World


def stolen_though_tied(patch: Patch) -> type[World]:
    """What is bound may be stolen; it goes back to where it came from."""

    def hand(core: PoolCore, worker: Worker, batch: assign.Batch, tied: bool = False) -> None:
        original(core, worker, batch)

    original = assign._hand
    patch.setattr(assign, "_hand", hand)
    return World


def forgotten_by_again(patch: Patch) -> type[World]:
    def again(self: ModelTask, index: int) -> Task:
        self.home = None
        return original(self, index)

    original = ModelTask.again
    patch.setattr(ModelTask, "again", again)
    return World


def kept_until_it_is_buried(patch: Patch) -> type[World]:
    """A worker that dies is a home as long as it is on record."""
    patch.setattr(Worker, "stays", property(lambda worker: worker.usable))
    return World


def back_into_the_line(patch: Patch) -> type[World]:
    """What comes back from its home is for anybody."""
    patch.setattr(homes, "put_back", lambda core, tasks: core.line.put_back(tasks, core.now))
    return World


def never_noted(patch: Patch) -> type[World]:
    patch.setattr(homes, "answered", lambda core, worker, tasks, outcomes: False)
    return World


def not_recalled(patch: Patch) -> type[World]:
    """What is bound to a lent worker waits until it is no longer lent."""

    def serve(core: PoolCore) -> None:
        lent = core.lent is not None and core.workers[core.lent]
        if lent:
            lent.lent = False
        original(core)
        if lent:
            lent.lent = True

    original = assign._serve_bound
    patch.setattr(assign, "_serve_bound", serve)
    return World


TURNS = Scenario("turns and a call, a crash", 2, (("turns", 3), ("calls", 1)), crashes=1)
TURNS_OLD = Scenario("turns, too old", 1, (("turns", 2), ("calls", 1)), dues=1)
TURNS_QUOTA = Scenario("turns, an item a worker", 1, (("turns", 3), ("calls", 1)), quota=1)
TURNS_SMALLER = Scenario("turns, smaller", 2, (("turns", 2), ("turns", 2)), sizes=(1,))
TURNS_AGAIN = Scenario("turns that run again", 1, (("turns", 2),), crashes=1, retries=1)


def bound_to_nobody(patch: Patch) -> type[World]:
    """What lived is lost, and nobody knows."""

    def bereave(core: PoolCore, worker: Worker) -> None:
        worker.pins = {}
        core.pinned.pop(worker.wid, None)

    patch.setattr(homes, "bereave", bereave)
    return World


def due_with_a_pin(patch: Patch) -> type[World]:
    def repinned(core: PoolCore, worker: Worker) -> None:
        if not worker.pins:
            original(core, worker)

    original = recycling.repinned
    patch.setattr(recycling, "repinned", repinned)
    return World


def a_quota_is_a_quota(patch: Patch) -> type[World]:
    patch.setattr(Worker, "spent", property(lambda worker: worker.quota is not None and worker.quota <= 0))
    return World


def smaller_whatever_lives(patch: Patch) -> type[World]:
    def resized(core: PoolCore, event: events.Resized) -> None:
        pins = {worker: worker.pins for worker in core.workers.values()}
        for worker in pins:
            worker.pins = {}
        original(core, event)
        for worker, kept in pins.items():
            worker.pins = kept

    original = pool._HANDLERS[events.Resized]
    patch.setitem(pool._HANDLERS, events.Resized, resized)
    return World


def never_mourned(patch: Patch) -> type[World]:
    patch.setattr(losing, "mourn_late", lambda core: None)
    return World


def not_begun_anew(patch: Patch) -> type[World]:
    """A further run is bound to what is lost."""
    patch.setattr(homes, "begun_anew", lambda task: None)
    return World


FAULTS = {
    "bound to nobody": Fault(bound_to_nobody, TURNS, "what it needs is lost"),
    "due with a pin": Fault(due_with_a_pin, TURNS_OLD, "told to end with what lives"),
    "a quota is a quota": Fault(a_quota_is_a_quota, TURNS_QUOTA, "told to end with what lives"),
    "smaller whatever lives": Fault(smaller_whatever_lives, TURNS_SMALLER, "something lives there"),
    "never mourned": Fault(never_mourned, TURNS, "a worker that is gone", "have no answer"),
    "not begun anew": Fault(not_begun_anew, TURNS_AGAIN, "a worker that is gone", "have no answer"),
    "not released": Fault(not_released, OLD, "does not stay", "KeyError"),
    "stolen though tied": Fault(stolen_though_tied, KEYS, "withdrawals that never end"),
    "forgotten by again": Fault(forgotten_by_again, AGAIN, "its home is"),
    "kept until it is buried": Fault(kept_until_it_is_buried, CRASH, "KeyError"),
    "back into the line": Fault(back_into_the_line, AGAIN, "its home is"),
    "never noted": Fault(never_noted, CRASH, "its home is"),
    "not recalled": Fault(not_recalled, LENT, "not recalled", "have no answer"),
}


@pytest.mark.parametrize("silent", [False, True], ids=["check", "laws alone"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_the_explorer_finds_it(fault: Fault, silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    find(fault, silent, monkeypatch)


@pytest.mark.parametrize("scenario", [AGAIN, KEYS, LENT], ids=lambda scenario: scenario.name)
def test_without_a_fault_nothing_is_found(scenario: Scenario) -> None:
    explore(World(scenario), limit=60_000)
