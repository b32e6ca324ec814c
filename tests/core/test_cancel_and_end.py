"""Cancelling, losing workers, failing to start, shutting down; and the order of commands."""

from __future__ import annotations

import pytest

from procession.core import commands, events
from procession.core.starting import START_ATTEMPTS
from procession.core.state import PoolState
from procession.core.worker import State
from tests.core.stage import Stage, names, only

CHEAP = 1000.0


def full(items: int = 4) -> Stage:
    """One worker, ready, with so many calls in hand, the first told to be running."""
    stage = Stage(1, mean_ns=CHEAP)
    stage.idle(1)
    (mark,) = only(stage.submit(*stage.calls(items)), commands.MarkRunning)
    mark.task.started = True
    return stage


def hand(stage: Stage) -> list[int]:
    return [task.start for task in stage.worker().inflight]  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------------------- cancel


def test_a_cancelled_call_comes_back_and_the_others_keep_their_order() -> None:
    stage = full()
    task = stage.worker().inflight[2]
    assert stage.step(events.CancelAsked([task])) == [commands.Withdraw(0)]
    found = stage.withdrawn(0, 3)
    assert names(found) == ["Cancel", "Send"]
    assert found[0] == commands.Cancel([task])
    assert hand(stage) == [1, 2]
    assert [each.start for each in stage.core.line] == [4]  # type: ignore[attr-defined]


def test_a_cancel_that_is_too_late_leaves_nothing_behind() -> None:
    stage = full()
    task = stage.worker().inflight[1]
    stage.step(events.CancelAsked([task]))
    assert stage.withdrawn(0, 0) == []
    assert not stage.worker().unwanted
    assert stage.step(events.CancelAsked([task])) == [], "nothing is loose: there is nothing to ask for"


def test_a_cancel_of_what_runs_was_answered_or_is_elsewhere_asks_nobody() -> None:
    stage = full(2)
    first, second = stage.worker().inflight
    assert stage.step(events.CancelAsked([first])) == []
    stage.done(0, 2)
    assert stage.step(events.CancelAsked([second])) == []
    stage.lost()
    assert stage.step(events.CancelAsked([second])) == []
    assert stage.core.calm == 0


def test_a_call_that_was_told_to_be_running_goes_back_to_the_same_worker() -> None:
    stage = Stage(2, mean_ns=CHEAP)
    stage.idle(2)
    stage.submit(*stage.calls(4))
    for worker in stage.core.workers.values():
        worker.inflight[0].started = True  # type: ignore[misc]
    head, task = stage.worker(0).inflight
    stage.step(events.CancelAsked([task]))
    found = stage.withdrawn(0, 2)
    assert names(found) == ["Cancel", "Send"]
    assert list(stage.worker(0).inflight) == [head]


def test_many_cancels_are_one_withdrawal_for_each_worker() -> None:
    stage = Stage(2, mean_ns=CHEAP)
    stage.idle(2)
    stage.submit(*stage.calls(8))
    tasks = [*list(stage.worker(0).inflight)[1:], *list(stage.worker(1).inflight)[1:]]
    assert stage.step(events.CancelAsked(tasks)) == [commands.Withdraw(1)] or stage.core.withdrawing
    seen = 0
    for wid in (0, 1):
        found = stage.withdrawn(wid, stage.worker(wid).items - 1)
        seen += sum(len(cancel.tasks) for cancel in only(found, commands.Cancel))
    assert seen == len(tasks)


def test_closing_a_run_drops_what_waits_and_what_comes_back() -> None:
    stage = Stage(1, mean_ns=500_000)
    stage.idle(1)
    chunk = stage.chunk(10)
    call = stage.calls(1)
    stage.submit(chunk, *call)
    chunk.cancelled = True
    found = stage.step(events.GroupCancelled(chunk.group))
    assert names(found) == ["Drop", "Withdraw"]
    assert [list(task.items) for task in found[0].tasks] == [[7, 8, 9, 10]]  # type: ignore[union-attr]
    found = stage.withdrawn(0, 5)
    assert names(found)[0] == "Drop"
    assert [list(task.items) for task in found[0].tasks] == [[2, 3, 4, 5, 6]]  # type: ignore[union-attr]
    assert stage.worker().items == 2, "the item that runs, and the call, which is cheap enough to wait beside it"


# --------------------------------------------------------------------------------------------------------------- loss


def test_a_death_costs_what_ran_and_the_rest_is_first_in_line() -> None:
    stage = full()
    stage.submit(*stage.calls(1))
    found = stage.lost(0, unowned=stage.worker().items - 1, exitcode=-11)
    assert names(found)[:3] == ["FailItem", "Spawn", "Send"]
    fail = found[0]
    assert isinstance(fail, commands.FailItem)
    assert (fail.start, fail.wid, fail.exitcode) == (1, 0, -11)
    assert stage.worker(1).inflight[0].start == 2  # type: ignore[attr-defined]


def test_a_death_in_a_chunk_costs_one_item() -> None:
    stage = Stage(1, mean_ns=CHEAP)
    stage.idle(1)
    stage.submit(stage.chunk(5))
    stage.step(events.ItemsDone(0, [0, 0]))
    found = stage.lost(0, unowned=2)
    assert [each.start for each in only(found, commands.FailItem)] == [3]
    assert [list(task.items) for task in stage.core.workers[1].inflight] == [[4]]  # type: ignore[attr-defined]


def test_a_death_with_nothing_owned_costs_nothing() -> None:
    stage = full(2)
    found = stage.lost(0, unowned=2)
    assert not only(found, commands.FailItem)
    assert names(found) == ["Spawn", "Send"]


# ------------------------------------------------------------------------------------------------------------- starts


def test_a_start_that_fails_is_tried_again_then_the_pool_is_broken() -> None:
    stage = Stage(1)
    tasks = stage.calls(2)
    stage.submit(*tasks)
    for wid in range(START_ATTEMPTS - 1):
        assert names(stage.step(events.StartFailed(wid, "no fork", fatal=False))) == ["Spawn", "Send"]
    found = stage.step(events.StartFailed(START_ATTEMPTS - 1, "no fork", fatal=False))
    assert names(found) == ["Broken", "FailAll", "Closed"]
    assert found[1] == commands.FailAll(tasks, "no fork")
    assert names(stage.submit(*stage.calls(1))) == ["FailAll"], "it says why, for ever"


def test_a_worker_that_dies_before_it_is_ready_counts_as_a_failed_start() -> None:
    stage = Stage(1)
    stage.submit(*stage.calls(1))
    for wid in range(START_ATTEMPTS - 1):
        stage.lost(wid, unowned=1)
    assert names(stage.lost(START_ATTEMPTS - 1, unowned=1))[0] == "Broken"


@pytest.mark.parametrize(("exitcode", "rest"), [(1, "; what it said is on stderr"), (-9, ""), (0, ""), (None, "")])
def test_why_no_worker_starts_is_said_with_where_to_look_for_more(exitcode: int | None, rest: str) -> None:
    stage = Stage(1)
    stage.submit(*stage.calls(1))
    for wid in range(START_ATTEMPTS):
        found = stage.lost(wid, unowned=1, exitcode=exitcode)
    (failed,) = only(found, commands.FailAll)
    assert failed.reason == f"it ended with exit code {exitcode} before it was ready{rest}"


def test_a_worker_that_gets_ready_ends_the_count() -> None:
    stage = Stage(1)
    stage.submit(*stage.calls(1))
    for wid in range(3 * START_ATTEMPTS):
        if wid % START_ATTEMPTS == START_ATTEMPTS - 1:
            stage.ready(wid)
        stage.lost(wid, unowned=1)
    assert stage.core.state is PoolState.OPEN


def test_with_workers_left_the_pool_goes_on_with_these() -> None:
    stage = Stage(3)
    stage.submit(*stage.calls(4))
    stage.ready(0)
    found: list[commands.Command] = []
    for wid in (1, 2, 3):
        found = stage.step(events.StartFailed(wid, "no fork", fatal=False))
    assert found == [commands.Narrowed(stage.core.max_workers, "no fork")]
    assert stage.core.max_workers == stage.core.width < 3


def test_an_initializer_that_raises_breaks_the_pool_and_what_runs_finishes() -> None:
    stage = Stage(2)
    first, second, third = stage.calls(3)
    stage.submit(first, second, third)
    stage.ready(0)
    found = stage.step(events.StartFailed(1, "raised", fatal=True))
    assert names(found) == ["Broken", "FailAll", "Withdraw"]
    assert found[1] == commands.FailAll([third], "raised")
    rest = [*found]
    while rest and isinstance(rest[-1], commands.Withdraw):
        wid = rest[-1].wid
        rest = stage.withdrawn(wid, 1 if wid == 1 else 0)
        if wid == 1:
            assert commands.FailAll([second], "raised") in rest
    assert stage.worker(1).state is State.DYING
    assert names(stage.lost(1)) == []
    assert names(stage.done(0)) == ["Resolve", "Stop"]
    assert names(stage.lost(0)) == ["Closed"]


def test_the_start_of_a_worker_that_was_told_to_stop_does_not_matter() -> None:
    stage = Stage(1)
    stage.step(events.StartWorkers(1))
    assert names(stage.step(events.ShutdownAsked(False))) == ["Stop"]
    assert stage.step(events.StartFailed(0, "raised", fatal=True)) == []
    assert names(stage.lost(0)) == ["Closed"]
    assert stage.core.reason is None


# -------------------------------------------------------------------------------------------------------------- ends


def test_shutdown_runs_what_waits_then_stops_then_closes() -> None:
    stage = full(1)
    stage.submit(*stage.calls(1))
    assert stage.step(events.ShutdownAsked(False)) == []
    assert names(stage.done()) == ["Resolve", "MarkRunning"]
    assert names(stage.done()) == ["Resolve", "Stop"]
    assert names(stage.lost(0, exitcode=0)) == ["Closed"]
    assert stage.step(events.ShutdownAsked(True)) == []
    assert stage.step(events.KillAsked()) == []


def test_an_unused_pool_closes_at_once() -> None:
    assert names(Stage().step(events.ShutdownAsked(False))) == ["Closed"]
    assert names(Stage().step(events.KillAsked())) == ["Closed"]


def test_shutdown_with_cancel_refuses_all_but_what_runs() -> None:
    stage = full(4)
    waiting = stage.calls(1000)
    stage.core.calm = 1
    stage.submit(*waiting)
    found = stage.step(events.ShutdownAsked(True))
    assert names(found) == ["Cancel", "Withdraw"]
    assert found[0] == commands.Cancel(waiting)
    assert names(stage.withdrawn(0, 3)) == ["Cancel"]
    assert names(stage.submit(*stage.calls(1))) == ["Cancel"]
    assert names(stage.done()) == ["Resolve", "Stop"]


def test_shutdown_with_cancel_spares_what_was_told_to_be_running() -> None:
    stage = full(2)
    stage.step(events.ShutdownAsked(True))
    found = stage.withdrawn(0, 2)
    assert names(found) == ["Cancel", "Send", "MarkRunning"] or names(found) == ["Cancel", "Send"]
    assert hand(stage) == [1]


def test_shutdown_then_shutdown_with_cancel() -> None:
    stage = full(2)
    assert stage.step(events.ShutdownAsked(False)) == []
    assert names(stage.step(events.ShutdownAsked(True))) == ["Withdraw"]


def test_kill_cancels_what_waits_and_kills_again_when_asked_again() -> None:
    stage = full(4)
    found = stage.step(events.KillAsked())
    assert names(found) == ["Kill", "Withdraw"]
    assert names(stage.withdrawn(0, 3)) == ["Cancel"]
    assert names(stage.step(events.KillAsked())) == ["Kill"]
    assert names(stage.submit(*stage.calls(1))) == ["Cancel"]
    assert names(stage.done()) == ["Resolve"], "its last result was on its way"
    assert names(stage.lost()) == ["Closed"]


def test_kill_fails_what_runs_when_its_worker_is_gone() -> None:
    stage = full(2)
    stage.step(events.KillAsked())
    assert names(stage.lost(0, unowned=1)) == ["Cancel", "FailItem", "Closed"]


# ------------------------------------------------------------------------------------------------------ other orders


def test_answers_come_before_what_follows_from_them() -> None:
    stage = full(2)
    stage.submit(*stage.calls(2))
    found = stage.done(0, 2)
    assert names(found)[0] == "Resolve"
    assert names(found).index("Send") < names(found).index("MarkRunning") if "Send" in names(found) else True


@pytest.mark.parametrize("workers", [2, 3])
def test_a_step_asks_for_one_withdrawal_and_asks_last(workers: int) -> None:
    stage = Stage(workers, mean_ns=CHEAP)
    stage.idle(workers)
    stage.submit(*stage.calls(4 * workers))
    found = stage.step(events.ShutdownAsked(True))
    asked = []
    while found:
        assert names(found).count("Withdraw") <= 1
        if not isinstance(found[-1], commands.Withdraw):
            break
        asked.append(found[-1].wid)
        found = stage.withdrawn(asked[-1], stage.worker(asked[-1]).items - 1)
    assert sorted(asked) == list(range(workers))


def test_an_unanswered_withdrawal_is_asked_for_again() -> None:
    """A driver that fails to spawn steps the core before it has performed the rest of an answer."""
    stage = full(4)
    stage.step(events.CancelAsked([stage.worker().inflight[1]]))
    assert stage.submit(*stage.calls(1))[-1] == commands.Withdraw(0)
