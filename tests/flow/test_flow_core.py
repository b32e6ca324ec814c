"""core.flow against a sequential model: small cases in full, larger ones by Hypothesis, seeded bugs found."""

from __future__ import annotations

import copy
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.core.flow import GONE, NOTHING, FlowCore

Event = tuple[Any, ...]


class Model:
    """What a flow must do, said plainly: one list of items, looked through from the front."""

    def __init__(self, ordered: bool) -> None:
        self.ordered = ordered
        self.key: list[Any] = []  # of each item
        self.state: list[str] = []  # held, out, done, gone, handed
        self.finished: list[int] = []  # in the order in which they finished

    def admit(self, key: Any) -> None:
        busy = key is not None and any(
            k == key and s in ("held", "out") for k, s in zip(self.key, self.state, strict=True)
        )
        self.key.append(key)
        self.state.append("held" if busy else "out")

    def settle(self, index: int, state: str) -> None:
        was, self.state[index] = self.state[index], state
        if state == "done":
            self.finished.append(index)
        if was == "out" and self.key[index] is not None:
            mates = [i for i, k in enumerate(self.key) if k == self.key[index] and self.state[i] == "held"]
            if mates:
                self.state[mates[0]] = "out"

    def next(self) -> int | None:
        if not self.ordered:
            return self.finished[0] if self.finished else None
        waiting = [i for i, s in enumerate(self.state) if s not in ("gone", "handed")]
        return waiting[0] if waiting and self.state[waiting[0]] == "done" else None

    def oldest_done(self) -> int | None:
        if not self.ordered:
            return self.next()
        return min(self.finished, default=None)

    def leave(self, index: int, state: str) -> None:
        self.state[index] = state
        self.finished.remove(index)

    def of(self, *states: str) -> list[int]:
        return [i for i, s in enumerate(self.state) if s in states]


class Pair:
    """A flow and its model, fed with the same events."""

    def __init__(self, ordered: bool, keyed: bool, window: int, kind: type[FlowCore] = FlowCore) -> None:
        self.flow = kind(window, ordered=ordered)
        self.model = Model(ordered)
        self.keyed = keyed

    def step(self, event: Event) -> None:
        getattr(self, "_" + event[0])(*event[1:])
        self.flow.check()
        self._compare()

    def _admit(self, key: Any) -> None:
        index = len(self.model.state)
        if self.keyed:
            self.flow.admit_keyed(key, index)
        else:
            self.flow.admit_one(index)
        self.model.admit(key if self.keyed else None)

    def _done(self, start: int, count: int) -> None:
        self.flow.done(start, [f"r{i}" for i in range(start, start + count)])
        for index in range(start, start + count):
            self.model.settle(index, "done")

    def _drop(self, index: int) -> None:
        self.flow.drop(index)
        self.model.settle(index, "gone")

    def _take(self) -> None:
        got, expected = self.flow.take(), self.model.next()
        assert got == (NOTHING if expected is None else f"r{expected}")
        if expected is not None:
            assert self.flow.place - 1 == expected
            self.model.leave(expected, "handed")

    def _take_all(self) -> None:
        got = list(self.flow.take_all())
        while (index := self.model.next()) is not None:
            assert got.pop(0) == f"r{index}"
            self.model.leave(index, "handed")
        assert not got

    def _untake(self) -> None:
        """A taker that was interrupted: the same result is next again."""
        got = self.flow.take()
        if got is not NOTHING:
            self.flow.untake(got)

    def _drop_ready(self) -> None:
        got, expected = self.flow.drop_ready(), self.model.oldest_done()
        assert got == (NOTHING if expected is None else f"r{expected}")
        if expected is not None:
            self.model.leave(expected, "gone")

    def _compare(self) -> None:
        flow, model = self.flow, self.model
        started = [*model.of("out")]
        assert [i for i in flow.starts if i in started] == [i for i in flow.starts if model.state[i] == "out"]
        assert set(started) <= set(flow.starts), "what may start is offered"
        assert not set(model.of("held")) & set(flow.starts), "what is held back is not offered"
        assert flow.room == flow.window - len(model.of("held", "out", "done"))
        assert flow.dropped == len(model.of("gone"))
        assert flow.admitted - flow.finished == len(model.of("held", "out"))
        held = Counter([model.key[i] for i in model.of("held")])
        hot, most = flow.hottest()
        assert most == max(held.values(), default=0)
        assert held[hot] == most if most else hot is None

    def choices(self, items: int) -> Iterator[Event]:
        """What could happen next."""
        model = self.model
        if len(model.state) < items and self.flow.room > 0:
            yield from (("admit", key) for key in ("ab" if self.keyed else "-"))
        out = model.of("out")
        for index in out:
            yield ("done", index, 1)
            if not self.keyed and index + 1 in out:
                yield ("done", index, 2)
        yield from (("drop", index) for index in model.of("held", "out"))
        yield from (("take",), ("take_all",), ("drop_ready",), ("untake",))

    def key(self) -> Any:
        """Equal keys: equal futures."""
        flow = self.flow
        runs = sorted((start, tuple(run)) for start, run in flow.runs.items())
        return (
            tuple(self.model.key),
            tuple(self.model.state),
            tuple(self.model.finished),
            (flow.handed, flow.finished, flow.gone, flow.place),
            (tuple(flow.current), tuple(map(str, runs)), tuple(map(str, flow.line)), tuple(flow.starts)),
        )


def explore(ordered: bool, keyed: bool, items: int, window: int, kind: type[FlowCore] = FlowCore) -> int:
    """Every sequence of events of a small flow; returns the number of states."""
    first = Pair(ordered, keyed, window, kind)
    seen, todo = {first.key()}, deque([first])
    while todo:
        pair = todo.popleft()
        for event in pair.choices(items):
            after = copy.deepcopy(pair)
            after.step(event)
            if (key := after.key()) not in seen:
                seen.add(key)
                todo.append(after)
    return len(seen)


def test_marks_survive_a_copy() -> None:
    """The explorer copies flows, and they compare by identity."""
    assert copy.deepcopy([GONE, NOTHING]) == [GONE, NOTHING]
    assert copy.deepcopy(GONE) is GONE


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("keyed", "items", "window"), [(False, 3, 3), (False, 4, 2), (True, 3, 3)])
def test_every_sequence_of_events_of_a_small_flow(ordered: bool, keyed: bool, items: int, window: int) -> None:
    assert explore(ordered, keyed, items, window) > 100


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_long_sequences_of_events(data: st.DataObject) -> None:
    pair = Pair(data.draw(st.booleans()), data.draw(st.booleans()), data.draw(st.integers(1, 12)))
    for _ in range(data.draw(st.integers(0, 60))):
        events = list(pair.choices(30))
        pair.step(data.draw(st.sampled_from(events)))


# ------------------------------------------------------------------------------------------------------- seeded bugs


class HandsOverAsTheyCome(FlowCore):
    """Ordered in name only."""

    def done(self, start: int, outcomes: list[Any]) -> None:
        super().done(start, outcomes)
        if self.ordered and self.handed not in self.runs and not self.current:
            self.runs[self.handed] = self.runs.pop(start)


class ForgetsTheLane(FlowCore):
    """Items of one key run side by side."""

    def admit_keyed(self, key: Any, item: Any) -> None:
        self.admit_one(item)


class LeaksTheWindow(FlowCore):
    """A dropped item keeps its place in the window until the order has passed it."""

    @property
    def room(self) -> int:
        return self.window - self.admitted + self.handed


class StartsTheCancelled(FlowCore):
    """An item dropped while it was held back starts when its turn comes."""

    def drop(self, index: int) -> None:
        lane = self.lane_of.get(index)
        super().drop(index)
        if lane is not None and lane.running != index and lane.key in self.lanes:
            self.lane_of[index] = lane


class LosesTheInterrupted(FlowCore):
    """What an interrupted taker gives back is lost."""

    def untake(self, outcome: Any) -> None:
        pass


@pytest.mark.parametrize(
    "bug", [HandsOverAsTheyCome, ForgetsTheLane, LeaksTheWindow, StartsTheCancelled, LosesTheInterrupted]
)
def test_a_seeded_bug_is_found(bug: type[FlowCore]) -> None:
    with pytest.raises(AssertionError):
        explore(True, False, 3, 3, bug)
        explore(True, True, 3, 3, bug)


# --------------------------------------------------------------------------------------------------------- by the run


def test_take_run_hands_over_whole_runs_in_order() -> None:
    flow = FlowCore()
    flow.admit(6)
    flow.done(4, [4, 5])
    assert flow.take_run() is None
    flow.done(0, [0, 1, 2, 3])
    assert [flow.take_run(), flow.take_run(), flow.take_run()] == [[0, 1, 2, 3], [4, 5], None]
    flow.close()
    assert flow.ended


def test_the_window_counts_what_is_in_and_not_handed_over() -> None:
    flow = FlowCore(3)
    flow.admit(3)
    assert flow.room == 0
    flow.done(1, ["b"])
    assert flow.room == 0
    flow.done(0, ["a"])
    assert flow.take() == "a"
    assert flow.room == 1
    flow.drop(2)
    assert flow.room == 2
    flow.window = 1
    assert flow.room == 0


def test_a_cancelled_one_that_is_held_back_is_not_held_any_more() -> None:
    """Or less would seem to be out than is."""
    flow = FlowCore()
    for _ in range(3):
        flow.admit_keyed("a", "item")
    assert flow.held == 2
    flow.drop(1)
    assert flow.held == 1
    flow.done(0, ["a"])
    assert (flow.held, flow.lane_of.keys()) == (0, {2})


def test_the_order_passes_dropped_items() -> None:
    flow = FlowCore()
    flow.admit(4)
    flow.drop(0)
    flow.drop(1)
    flow.done(3, ["d"])
    assert flow.ready
    flow.pass_gone()
    assert (flow.ready, flow.handed, flow.gone) == (False, 2, 0)
    flow.done(2, ["c"])
    flow.pass_gone()
    assert [flow.take(), flow.place, flow.take(), flow.take()] == ["c", 3, "d", NOTHING]


def test_what_was_dropped_is_not_exchanged() -> None:
    flow = FlowCore()
    flow.admit(2)
    run = ["b"]
    flow.done(1, run)
    assert flow.drop_ready() == "b"
    assert not flow.exchange(1, run, 0, "elsewhere")
    flow.done(0, ["a"])
    assert [flow.take(), flow.take()] == ["a", NOTHING]
    flow.check()
