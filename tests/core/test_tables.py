"""Every event in every state of a worker; every cell of the table, the missing ones too."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from procession.core import events
from procession.core.state import TRANSITIONS, CoreError
from procession.core.worker import Signal, State, Worker
from tests.core.stage import Stage


def starting() -> Stage:
    stage = Stage(1)
    stage.submit(*stage.calls(1))
    return stage


def busy() -> Stage:
    stage = starting()
    stage.ready()
    return stage


def idle() -> Stage:
    stage = Stage(1)
    stage.idle(1)
    return stage


def draining() -> Stage:
    stage = idle()
    stage.step(events.ShutdownAsked(False))
    return stage


def dying() -> Stage:
    stage = busy()
    found = stage.step(events.KillAsked())
    assert "Withdraw" in [type(each).__name__ for each in found]
    return stage


def gone() -> Stage:
    stage = idle()
    stage.lost()
    return stage


STAGES: dict[State, Callable[[], Stage]] = {
    State.STARTING: starting,
    State.IDLE: idle,
    State.BUSY: busy,
    State.DRAINING: draining,
    State.DYING: dying,
    State.GONE: gone,
}

EVENTS: dict[str, events.Event] = {
    "ready": events.WorkerReady(0),
    "no process": events.StartFailed(0, "no fork", fatal=False),
    "initializer": events.StartFailed(0, "raised", fatal=True),
    "call done": events.CallsDone(0, [1]),
    "two calls done": events.CallsDone(0, [1, 2]),
    "nothing done": events.CallsDone(0, []),
    "item done": events.ItemsDone(0, [1]),
    "two items done": events.ItemsDone(0, [1, 2]),
    "lease left": events.LeaseEnded(0, 1, 1000),
    "nothing back": events.Withdrawn(0, 0),
    "one back": events.Withdrawn(0, 1),
    "two back": events.Withdrawn(0, 2),
    "lost": events.Lost(0, 0, -9),
    "lost, one unowned": events.Lost(0, 1, -9),
}

S = State
AFTER: dict[tuple[State, str], State] = {
    # Its only call is in hand, and goes back to it when it is taken back: it is the only worker.
    (S.STARTING, "ready"): S.BUSY,
    (S.STARTING, "no process"): S.GONE,
    (S.STARTING, "initializer"): S.DYING,
    (S.STARTING, "nothing back"): S.STARTING,
    (S.STARTING, "one back"): S.STARTING,
    (S.STARTING, "lost"): S.GONE,
    (S.STARTING, "lost, one unowned"): S.GONE,
    (S.IDLE, "nothing back"): S.IDLE,
    (S.IDLE, "lost"): S.GONE,
    (S.BUSY, "call done"): S.IDLE,
    (S.BUSY, "item done"): S.IDLE,
    (S.BUSY, "lease left"): S.BUSY,
    (S.BUSY, "nothing back"): S.BUSY,
    (S.BUSY, "one back"): S.BUSY,
    (S.BUSY, "lost"): S.GONE,
    (S.BUSY, "lost, one unowned"): S.GONE,
    (S.DRAINING, "ready"): S.DRAINING,
    (S.DRAINING, "no process"): S.GONE,
    (S.DRAINING, "initializer"): S.DYING,
    (S.DRAINING, "nothing back"): S.DRAINING,
    (S.DRAINING, "lost"): S.GONE,
    (S.DYING, "ready"): S.DYING,
    (S.DYING, "no process"): S.GONE,
    (S.DYING, "initializer"): S.DYING,
    (S.DYING, "call done"): S.DYING,
    (S.DYING, "item done"): S.DYING,
    (S.DYING, "lease left"): S.DYING,
    (S.DYING, "nothing back"): S.DYING,
    (S.DYING, "one back"): S.DYING,
    (S.DYING, "lost"): S.GONE,
    (S.DYING, "lost, one unowned"): S.GONE,
}


@pytest.mark.parametrize(("state", "name"), list(itertools.product(STAGES, EVENTS)), ids=str)
def test_every_event_in_every_state(state: State, name: str) -> None:
    stage = STAGES[state]()
    core = stage.core
    after = AFTER.get((state, name))
    if after is None:
        with pytest.raises(CoreError, match="worker 0"):
            core.step(EVENTS[name])
        return
    core.step(EVENTS[name])
    if name != "lease left":  # a lease that is left with its item in hand: only `check` knows that it cannot be
        core.check()
    assert core.workers[0].state is after if after is not S.GONE else 0 not in core.workers


@pytest.mark.parametrize(("state", "signal"), list(itertools.product(State, Signal)), ids=str)
def test_every_cell_of_the_table(state: State, signal: Signal) -> None:
    worker = Worker(7, None)
    worker.state = state
    worker.story.append((Signal.STOP, State.DRAINING, 0))
    if (state, signal) in TRANSITIONS:
        worker.signal(signal)
        assert worker.state is TRANSITIONS[state, signal]
        assert worker.story[-1] == (signal, worker.state, 0)
    else:
        with pytest.raises(
            CoreError, match=rf"worker 7: {signal.name} cannot happen in {state.name} .*STOP:DRAINING/0"
        ):
            worker.signal(signal)
        assert worker.state is state


def test_gone_is_the_end() -> None:
    assert not [cell for cell in TRANSITIONS if cell[0] is State.GONE]
    assert {TRANSITIONS[cell] for cell in TRANSITIONS} == set(State)


def test_an_error_tells_the_story() -> None:
    stage = busy()
    with pytest.raises(CoreError, match=r"LEASED:STARTING/1 > READY:IDLE/1 > LEASED:BUSY/1"):
        stage.core.step(events.WorkerReady(0))


def test_the_story_of_a_worker_that_is_gone_is_kept_for_a_while() -> None:
    stage = gone()
    with pytest.raises(
        CoreError, match=r"WorkerReady cannot be heard of a worker that is gone \(before: .*LOST:GONE/0\)"
    ):
        stage.core.step(events.WorkerReady(0))
    with pytest.raises(CoreError, match=r"worker 5: Lost was heard of it, but it is unknown"):
        stage.core.step(events.Lost(5, 0, None))


def test_a_worker_that_died_owning_two_items_is_a_bug() -> None:
    stage = Stage(1, mean_ns=1000)
    stage.idle(1)
    stage.submit(*stage.calls(4))
    with pytest.raises(CoreError, match="died owning 2 items"):
        stage.core.step(events.Lost(0, 2, -9))


def test_a_chunk_cannot_have_more_outcomes_than_items() -> None:
    stage = Stage(1)
    stage.submit(stage.chunk(3))
    stage.ready()
    with pytest.raises(CoreError, match="2 outcomes for a task with 1 items"):
        stage.core.step(events.ItemsDone(0, [1, 2]))


def test_a_lease_that_never_was_cannot_end() -> None:
    with pytest.raises(CoreError, match="ended a lease that it never had"):
        idle().left()
