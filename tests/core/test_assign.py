"""Who gets what."""

from __future__ import annotations

from procession.core import commands, events
from procession.core.assign import CALM
from procession.core.worker import MAX_OPEN_LEASES, State
from tests.core.stage import Stage, names, only

DEAR = 1e9
CHEAP = 1000.0


def sent(found: list[commands.Command]) -> list[tuple[int, int]]:
    """(worker, items) of each lease."""
    return [(send.wid, send.tokens) for send in only(found, commands.Send)]


def test_a_worker_is_started_for_each_task_up_to_the_limit() -> None:
    stage = Stage(2)
    found = stage.submit(*stage.calls(3))
    assert names(found) == ["Spawn", "Send", "Spawn", "Send"]
    assert sent(found) == [(0, 1), (1, 1)]
    assert stage.core.line.items == 1


def test_an_idle_worker_comes_before_a_new_one() -> None:
    stage = Stage(2)
    stage.idle(1)
    assert sent(stage.submit(*stage.calls(1))) == [(0, 1)]


def test_a_tail_is_stolen_for_a_lent_worker_that_idles() -> None:
    """It is asked back first. Nobody waits in the line here: the only one that waits lies behind a running one."""
    stage = Stage(2, mean_ns=CHEAP)
    stage.idle(2)
    stage.step(events.Lent(1))
    (its,) = stage.calls(1)
    assert its.claim(1)
    stage.step(events.LentTasks(1, [its]))
    assert sent(stage.submit(*stage.calls(2))) == [(0, 1), (0, 1)]
    assert names(stage.done(1)) == ["Resolve", "Recall"]
    assert names(stage.step(events.Recalled(1))) == ["Withdraw"]
    assert sent(stage.step(events.Withdrawn(0, 1))) == [(1, 1)]


def test_the_latest_to_be_busy_comes_first() -> None:
    stage = Stage(2)
    stage.idle(2)
    assert sent(stage.submit(*stage.calls(1))) == [(1, 1)]
    stage.done(1)
    assert sent(stage.submit(*stage.calls(1))) == [(1, 1)]


def test_a_ready_worker_comes_before_one_that_starts() -> None:
    stage = Stage(2)
    stage.submit(*stage.calls(1))
    stage.step(events.StartWorkers(2))
    stage.ready(0)
    stage.done(0)
    assert sent(stage.submit(*stage.calls(1))) == [(0, 1)]


def test_no_worker_is_started_for_what_was_cancelled_while_it_waited() -> None:
    stage = Stage(2)
    gone = stage.calls(3)
    for call in gone:
        call.cancelled = True
    found = stage.submit(*gone)
    assert {*names(found)} == {"Drop"}
    assert sum(len(drop.tasks) for drop in only(found, commands.Drop)) == 3
    assert not stage.core.workers


def test_workers_may_be_started_ahead_of_work() -> None:
    stage = Stage(3)
    assert names(stage.step(events.StartWorkers(2))) == ["Spawn", "Spawn"]
    assert names(stage.step(events.StartWorkers(9))) == ["Spawn"]
    assert sent(stage.submit(*stage.calls(2))) == [(2, 1), (1, 1)]


def test_idle_workers_share() -> None:
    stage = Stage(3, mean_ns=CHEAP)
    stage.idle(3)
    assert [items for _, items in sent(stage.submit(*stage.calls(3)))] == [1, 1, 1]
    many = Stage(3, mean_ns=CHEAP)
    many.idle(3)
    assert [items for _, items in sent(many.submit(*many.calls(90)))][:3] == [30, 20, 14]
    assert many.core.line.items > 0, "the rest balances what turns out to be slow"


def test_what_could_be_started_has_its_share() -> None:
    """n tasks that wait for each other: the first idle worker must not take them all."""
    stage = Stage(3, mean_ns=CHEAP)
    stage.idle(1)
    assert sent(stage.submit(*stage.calls(3))) == [(0, 1), (1, 1), (2, 1)]


def test_a_successor_waits_beside_what_runs_when_that_is_worth_it() -> None:
    stage = Stage(1, mean_ns=CHEAP)
    stage.idle(1)
    stage.submit(*stage.calls(1))
    assert sent(stage.submit(*stage.calls(1))) == [(0, 1)]
    dear = Stage(1, mean_ns=DEAR)
    dear.submit(*dear.calls(1))
    dear.ready()
    assert sent(dear.submit(*dear.calls(1))) == []
    assert sent(dear.done()) == [(0, 1)]


def test_an_unknown_function_gets_no_successor() -> None:
    stage = Stage(1)
    stage.submit(*stage.calls(2))
    assert sent(stage.ready()) == []
    assert sent(stage.done()) == [(0, 1)]


def test_a_tail_is_stolen_for_an_idle_worker() -> None:
    stage = Stage(2, mean_ns=CHEAP)
    stage.idle(2)
    sizes = sent(stage.submit(*stage.calls(24)))
    assert stage.core.line.items == 0 or sizes
    while stage.core.line.items:  # worker 1 is quick, worker 0 hangs
        stage.done(1, stage.worker(1).items)
    assert stage.worker(0).items > 1
    found = stage.done(1, stage.worker(1).items)
    assert names(found)[0] == "Resolve"
    assert found[-1] == commands.Withdraw(0)
    back = stage.worker(0).items - 1
    found = stage.withdrawn(0, back)
    assert sent(found)[0][0] == 1
    assert stage.worker(0).items + stage.worker(1).items + stage.core.line.items == back + 1


def test_who_had_nothing_to_give_is_not_asked_again_until_it_gets_more() -> None:
    stage = Stage(2, mean_ns=CHEAP)
    stage.idle(2)
    stage.submit(*stage.calls(4))
    while stage.worker(1).items:
        found = stage.done(1, stage.worker(1).items)
    assert found[-1] == commands.Withdraw(0)
    assert stage.withdrawn(0, 0) == []
    assert stage.left(1, 2) == []


def test_the_fullest_is_asked_first_and_then_the_next() -> None:
    stage = Stage(3, mean_ns=CHEAP)
    stage.idle(3)
    stage.submit(*stage.calls(20))
    while stage.core.line.items:
        stage.done(2, stage.worker(2).items)
    fuller, other = (0, 1) if stage.worker(0).items > stage.worker(1).items else (1, 0)
    found = stage.done(2, stage.worker(2).items)
    assert found[-1] == commands.Withdraw(fuller)
    assert stage.withdrawn(fuller, 0)[-1] == commands.Withdraw(other)
    assert stage.withdrawn(other, 0) == []


def test_what_waits_for_a_start_is_given_to_a_worker_that_is_ready() -> None:
    stage = Stage(2)
    stage.submit(*stage.calls(2))
    stage.ready(0)
    found = stage.done(0)
    assert found[-1] == commands.Withdraw(1)
    assert sent(stage.withdrawn(1, 1)) == [(0, 1)]


def test_what_waits_for_one_start_is_not_moved_to_another() -> None:
    stage = Stage(3)
    stage.submit(*stage.calls(1))
    assert names(stage.step(events.StartWorkers(2))) == ["Spawn"]


def test_a_tail_goes_to_a_new_worker_when_there_is_room() -> None:
    """A worker died; what waits behind a running task needs the one that replaces it."""
    stage = Stage(2, mean_ns=CHEAP)
    stage.idle(2)
    stage.submit(*stage.calls(4))
    stage.done(1, 1)
    assert (stage.worker(0).items, stage.worker(1).items) == (2, 1)
    assert names(stage.lost(1)) == ["FailItem", "Withdraw"]
    found = stage.withdrawn(0, 1)
    assert names(found) == ["Spawn", "Send"]
    assert stage.core.width == 2


def test_after_a_cancel_leases_stay_small_for_a_while() -> None:
    stage = Stage(1, mean_ns=CHEAP)
    stage.idle(1)
    calls = stage.calls(8)
    assert sent(stage.submit(*calls)) == [(0, 8)]
    stage.step(events.CancelAsked([calls[3]]))
    assert stage.core.calm == CALM
    assert sent(stage.withdrawn(0, 7)) == [(0, 1)]
    stage.left(0, 1)
    assert stage.core.calm == CALM - 1


def test_no_more_leases_are_open_than_numbers_tell_apart() -> None:
    stage = Stage(1, mean_ns=DEAR)
    stage.submit(*stage.calls(1))
    stage.ready()
    for _ in range(MAX_OPEN_LEASES - 1):
        stage.done()
        assert len(sent(stage.submit(*stage.calls(1)))) == 1
    stage.done()
    assert sent(stage.submit(*stage.calls(1))) == []
    assert stage.worker().state is State.IDLE
    assert sent(stage.left()) == [(0, 1)]


def test_a_chunk_is_cut_where_a_lease_ends_and_goes_on_in_place() -> None:
    stage = Stage(1, mean_ns=500_000)
    stage.idle(1)
    chunk = stage.chunk(10)
    (send,) = only(stage.submit(chunk, *stage.calls(1)), commands.Send)
    assert [list(task.items) for task in send.tasks] == [[1, 2, 3, 4, 5, 6]]
    assert [list(task.items) for task in stage.core.line] == [[7, 8, 9, 10], [11]]  # type: ignore[attr-defined]
    assert all(task.wid is None for task in stage.core.line)
