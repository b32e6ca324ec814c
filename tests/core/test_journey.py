"""core.journey against a sequential program: small journeys in full, larger ones by Hypothesis; costs; raising signals.

The oracle is in journey_model.py; that it finds what it is for is shown in test_journey_faults.py. `pytest -s` prints
how much was looked at; `-m soak` looks at much more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from procession.core import journey_path
from procession.core.flow import NOTHING
from procession.core.journey import Journey
from procession.core.journey_node import FAILED, Node, Start
from procession.core.journey_stage import Head, Plan, StageCounts
from procession.core.pace import Pace
from procession.core.rules import SECOND
from procession.core.state import CoreError
from procession.types import Raised
from tests.core.journey_model import FAIL, LARGER, SMALL, Rig, Small, explore
from tests.flow.interrupts import Interrupter, at_every_point

# ------------------------------------------------------------------------------------------------------- small, in full


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("small", SMALL, ids=lambda small: small.name)
def test_every_sequence_of_events_of_a_small_journey(small: Small, ordered: bool) -> None:
    states, steps = explore(small, ordered)
    print(f"\n{small.name}, ordered={ordered}: {states} states, {steps} steps")
    assert states > 100


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("small", LARGER, ids=lambda small: small.name)
def test_every_sequence_of_events_of_a_larger_journey(small: Small, ordered: bool) -> None:
    states, steps = explore(small, ordered)
    print(f"\n{small.name}, ordered={ordered}: {states} states, {steps} steps")


# ---------------------------------------------------------------------------------------------------- larger, at random


@st.composite
def plans(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Plan:
    """One stage of any kind."""
    kind = draw(st.sampled_from(["plain", "in order", "key", "batch", "batch in order"]))
    batch = draw(st.integers(2, 4)) if kind.startswith("batch") else 1
    return Plan(
        many=draw(st.booleans()),
        batch=batch,
        max_wait=draw(st.sampled_from([None, 0, 3, 10])) if batch > 1 else None,
        in_order=kind.endswith("in order"),
        keyed=kind == "key",
        most_out=draw(st.sampled_from([None, None, 1, 2, 3])),
        pace=paced(draw(st.sampled_from([None, None, None, 1, 4]))),
    )


def paced(period: int | None) -> Pace | None:
    """One start at a time."""
    if period is None:
        return None
    pace = Pace(SECOND / period)
    pace.burst = 1
    return pace


class Random(RuleBasedStateMachine):
    """Whatever may happen, in any order."""

    counts: ClassVar[Counter[str]] = Counter()
    rig: Rig
    cancels: bool

    @initialize(
        plans=st.lists(plans(), min_size=1, max_size=4),
        window=st.integers(1, 6),
        ordered=st.booleans(),
        cancels=st.sampled_from([False, False, False, True]),
    )
    def begin(self, plans: list[Plan], window: int, ordered: bool, cancels: bool) -> None:
        self.rig = Rig(plans, window, ordered)
        self.cancels = cancels
        self.counts["examples"] += 1

    def step(self, *event: Any) -> None:
        self.counts["steps"] += 1
        self.counts[event[0]] += 1
        self.rig.step(event)

    @precondition(lambda self: not self.rig.closed and self.rig.core.room > 0)
    @rule(data=st.data())
    def admit(self, data: st.DataObject) -> None:
        self.step("admit", data.draw(st.integers(1, self.rig.core.room)))

    @rule(data=st.data(), times=st.integers(3, 10))
    def work(self, data: st.DataObject, times: int) -> None:
        """What a pipeline does all day."""
        for _ in range(times):
            rig = self.rig
            asked = sorted({node.stage for node in rig.core.unkeyed()})
            able = {"post": rig.offered, "key": asked, "done": rig.posted, "take": rig.core.ready}
            names = [name for name, what in able.items() if what]
            name = data.draw(st.sampled_from(names)) if names else None
            if name == "key":
                self.step("key", data.draw(st.sampled_from(asked)), data.draw(st.sampled_from(["a", "b", "a", FAIL])))
            elif name == "done":
                start = data.draw(st.sampled_from(rig.posted))
                if data.draw(st.integers(0, 9)) == 9:
                    self.step("again", start.values, data.draw(st.sampled_from([0, 0, 2, 5])))
                else:
                    self.step("done", start.values, data.draw(self.outcomes(start)))
            elif name:
                self.step(name)

    def outcomes(self, start: Start) -> st.SearchStrategy[list[Any]]:
        """Mostly successes."""
        many = self.rig.plans[start.stage].many
        outputs = st.lists(st.sampled_from([True, True, True, False]), max_size=3).map(tuple)
        one: st.SearchStrategy[Any] = outputs if many else st.just((True,))
        return st.lists(st.one_of(one, one, one, st.just(FAIL)), min_size=start.size, max_size=start.size)

    @rule(data=st.data())
    def meddle(self, data: st.DataObject) -> None:
        """What it does rarely."""
        rig = self.rig
        name = data.draw(st.sampled_from(["clock", "ring", "drop", "untake", "give_back", "allow", "bound", "end"]))
        values = [node.value for node in rig.path() if node.state is not FAILED]
        if name == "clock":
            self.step("clock", data.draw(st.integers(0, 6)))
        elif name == "ring" and (alarm := rig.core.alarm) is not None:
            self.step("clock", alarm - rig.now)
        elif name == "drop" and values:
            self.step("drop", data.draw(st.sampled_from(values)))
        elif name == "untake":
            self.step("untake", data.draw(st.integers(1, 3)))
        elif name == "give_back" and rig.taken:
            self.step("give_back")
        elif name == "allow":
            self.step(
                "allow", data.draw(st.integers(0, len(rig.plans) - 1)), data.draw(st.sampled_from([2, 1, 3, 0, 4]))
            )
        elif name == "bound":
            self.step("bound", data.draw(st.integers(1, 8)))
        elif name == "end" and rig.admitted > 6 and not rig.closed:
            self.step("close")
        elif name == "end" and rig.closed and self.cancels:
            self.step("cancel")

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.counts["items"] += self.rig.admitted
            self.counts["handed over"] += len(self.rig.handed)
            self.rig.drain()


def at_random(examples: int, steps: int) -> None:
    Random.counts.clear()
    words = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    run_state_machine_as_test(Random, settings=words)
    print("\n" + ", ".join(f"{count} {name}" for name, count in Random.counts.most_common()))


def test_random_interleavings() -> None:
    at_random(60, 50)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_random_interleavings() -> None:
    at_random(5000, 100)


# ------------------------------------------------------------------------------------------------------ case by case


def started(journey: Journey, stage: int) -> list[Start]:
    """Fetch what is to be started."""
    starts = [*journey.starts(stage)]
    journey.starts(stage).clear()
    return starts


def taken(journey: Journey) -> list[Any]:
    """Take all."""
    nodes = []
    while (node := journey.take()) is not NOTHING:
        nodes.append(node)
    return [node.value for node in nodes]


def test_a_pipeline_from_end_to_end() -> None:
    """Two pages are cut into words, words are looked up by threes; the second page comes back first."""
    journey = Journey([Plan(many=True), Plan(batch=3, max_wait=50)], window=2)
    journey.admit(["a b c d", "e"], now=0)
    assert journey.room == 0
    first, second = started(journey, 0)
    assert (first.values, second.values) == (["a b c d"], ["e"])
    journey.done(second, [["e"]], now=10)
    journey.done(first, [["a", "b", "c", "d"]], now=20)
    (batch,) = started(journey, 1)
    assert batch.values == ["e", "a", "b"]  # as they came
    assert journey.alarm == 70  # "c" came at 20
    journey.done(batch, ["E", Raised(KeyError("a")), "B"], now=30)
    assert taken(journey)[1:] == ["B"]  # the failure of "a" has its place before it; "E" waits for "c" and "d"
    (rest,) = started(journey, 1)  # nothing is out and nothing may come: it waits for no alarm
    assert rest.values == ["c", "d"]
    assert journey.stats().head == Head(index=0, stage=1, out=True)
    journey.done(rest, ["C", "D"])
    assert taken(journey) == ["C", "D", "E"]
    assert journey.room == 2
    journey.close()
    assert journey.ended
    assert journey.stats().stages == (
        StageCounts(came=2, held=0, waiting=0, out=0, done=2, failed=0, dropped=0, outputs=5),
        StageCounts(came=5, held=0, waiting=0, out=0, done=5, failed=1, dropped=0, outputs=4),
    )


def test_a_failure_names_its_stage_and_skips_the_others() -> None:
    journey = Journey([Plan(), Plan(), Plan(in_order=True)])
    journey.admit("ab")
    one, two = started(journey, 0)
    journey.done(two, ["b"])
    journey.done(one, ["a"])
    two, one = started(journey, 1)
    journey.done(one, [Raised(ValueError())])
    journey.done(two, ["b"])
    (last,) = started(journey, 2)
    assert last.values == ["b"]
    journey.done(last, ["b"])
    failed, well = journey.take(), journey.take()
    assert (failed.value.__class__, failed.stage, failed.item.index) == (Raised, 1, 0)
    assert (well.value, well.item.index) == ("b", 1)


def test_a_key_keeps_its_order_though_later_stages_do_not() -> None:
    journey = Journey([Plan(keyed=True), Plan()], ordered=False)
    journey.admit(["a1", "b1", "a2"])
    for node in journey.unkeyed():
        journey.keyed(node, node.value[0])
    a1, b1 = started(journey, 0)
    journey.done(a1, ["a1"])
    journey.done(b1, ["b1"])
    (a2,) = started(journey, 0)
    journey.done(a2, ["a2"])
    a1, b1, a2 = started(journey, 1)
    journey.done(a2, ["a2"])
    assert taken(journey) == []
    journey.done(b1, ["b1"])
    assert taken(journey) == ["b1"]
    journey.done(a1, ["a1"])
    assert taken(journey) == ["a1", "a2"]
    assert not journey.stations[0].lanes


def test_a_batch_is_no_larger_than_what_may_be_out() -> None:
    journey = Journey([Plan(batch=4, most_out=2)])
    journey.admit("abc")
    assert [start.values for start in started(journey, 0)] == [["a", "b"]]
    journey.allow(0)
    journey.admit("de")
    assert not started(journey, 0)
    journey.close()
    assert [start.values for start in started(journey, 0)] == [["c", "d", "e"]]


def test_an_alarm_that_cannot_be_followed_is_not_told_again() -> None:
    journey = Journey([Plan(batch=2, max_wait=5, most_out=2)])
    journey.admit("abc", now=0)
    assert journey.alarm == 5
    journey.clock(5)
    assert journey.alarm is None
    (start,) = started(journey, 0)
    journey.done(start, "AB", now=6)
    assert [start.values for start in started(journey, 0)] == [["c"]]


def test_what_is_to_start_again_waits_where_nothing_may_be_out() -> None:
    """Its time has come, so no alarm says so; whoever closed the stage opens it again."""
    rig = Rig([Plan(batch=2)], 1, ordered=True)
    value = (0, (0,))
    for event in [("admit", 1), ("post",), ("again", [value], 2), ("allow", 0, 0), ("clock", 2)]:
        rig.step(event)
    assert rig.core.alarm is None
    assert not rig.offered
    rig.step(("allow", 0, 1))
    assert [start.values for start in rig.offered] == [[value]]


def test_whatever_happens_tells_the_time() -> None:
    """A batch that has waited long enough starts at the next event, whatever that is."""

    def waiting() -> tuple[Journey, Node]:
        journey = Journey([Plan(keyed=True), Plan(batch=2, max_wait=5)])
        first, second = journey.admit("ab", now=3)
        journey.keyed(first, "k")
        journey.done(started(journey, 0)[0], "a")
        assert journey.alarm == 8
        return journey, second

    def key_and_done(journey: Journey, node: Node) -> None:
        journey.keyed(node, "k")
        journey.done(started(journey, 0)[0], [Raised(ValueError())], now=8)

    events: tuple[Callable[[Journey, Node], object], ...] = (
        lambda journey, node: journey.clock(8),
        lambda journey, node: journey.admit("c", now=8),
        lambda journey, node: journey.keyed(node, "k", now=8),
        lambda journey, node: journey.drop(node, now=8),
        key_and_done,
    )
    for event in events:
        journey, node = waiting()
        event(journey, node)
        assert [start.values for start in started(journey, 1)] == [["a"]]


def test_room_and_width_that_change_let_start() -> None:
    journey = Journey([Plan(batch=3)], window=3)
    journey.admit("ab")
    assert not started(journey, 0)
    journey.allow(0, 1)
    (one,) = started(journey, 0)
    assert one.values == ["a"]
    journey.allow(0, 3)
    journey.done(one, "A")
    assert not started(journey, 0)
    journey.bound(2)  # no room: nothing else may come
    assert (journey.room, [start.values for start in started(journey, 0)]) == (0, [["b"]])


def test_a_batch_does_not_wait_for_a_stage_that_nobody_serves() -> None:
    """Or what serves that stage might wait for the batch."""
    journey = Journey([Plan(most_out=1), Plan(batch=2)])
    journey.admit("ab")
    journey.allow(0, 0)
    journey.done(started(journey, 0)[0], "a")
    assert not started(journey, 1)
    journey.close()
    assert [start.values for start in started(journey, 1)] == [["a"]]


def test_a_drop_may_be_what_a_batch_waits_for() -> None:
    journey = Journey([Plan(in_order=True, most_out=1), Plan(batch=2)])
    journey.admit("abc")
    journey.close()
    journey.done(started(journey, 0)[0], "a")
    journey.done(started(journey, 0)[0], [Raised(ValueError())])
    (c,) = started(journey, 0)
    assert not started(journey, 1)
    journey.allow(0, 0)
    journey.done(c, "c")
    assert [start.values for start in started(journey, 1)] == [["a", "c"]]

    journey = Journey([Plan(keyed=True), Plan(batch=2)])
    one, two = journey.admit("ab")
    journey.close()
    journey.keyed(one, "k")
    journey.done(started(journey, 0)[0], "a")
    assert not started(journey, 1)
    assert journey.drop(two)
    assert [start.values for start in started(journey, 1)] == [["a"]]


def test_what_comes_after_the_cancel_is_let_go() -> None:
    journey = Journey([Plan(keyed=True)])
    first, second, third, fourth = journey.admit("abcd")
    journey.keyed(first, 1)
    journey.keyed(second, 2)
    one, two = started(journey, 0)
    journey.keyed(third, 3)
    (offered,) = journey.starts(0)
    journey.done(one, "A")
    node = journey.take()
    journey.cancel()
    journey.untake(node)
    journey.keyed(fourth, 4)
    assert not journey.drop(fourth)
    journey.done(offered, "C")
    assert journey.take() is NOTHING
    assert not journey.starts(0)
    assert not journey.ended
    journey.done(two, "B")
    assert journey.take() is NOTHING
    assert journey.ended
    journey.check()


def test_words_that_do_not_go_together() -> None:
    assert Plan(max_wait=0, most_out=0).most_out == 0
    for words in ({"keyed": True, "batch": 2}, {"batch": 0}, {"max_wait": -1}, {"most_out": -1}):
        with pytest.raises(ValueError):
            Plan(**words)  # type: ignore[arg-type]


def test_a_key_that_cannot_be_one() -> None:
    journey = Journey([Plan(keyed=True)])
    one, two = journey.admit("ab")
    with pytest.raises(CoreError, match="in the order"):
        journey.keyed(two, 1)
    with pytest.raises(TypeError):
        journey.keyed(one, [])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    journey.check()
    journey.keyed(one, Raised(TypeError()))
    assert journey.take().value.__class__ is Raised
    assert journey.unkeyed() == [two]
    journey.check()


def test_what_a_caller_must_not_do() -> None:
    journey = Journey([Plan()])
    journey.admit("a")
    (start,) = started(journey, 0)
    with pytest.raises(ValueError, match="2 outcomes of 1 input"):
        journey.done(start, "ab")
    journey.done(start, "a")
    with pytest.raises(CoreError, match="second outcome"):
        journey.done(start, "a")
    journey.close()
    with pytest.raises(CoreError, match="after the end"):
        journey.admit("b")


def test_what_has_left_holds_no_neighbours() -> None:
    """Or a result that a user keeps would keep the whole stream."""
    for ordered in (True, False):
        journey = Journey([Plan(keyed=True)], ordered=ordered)
        one, two, _ = journey.admit("abc")
        journey.keyed(one, "k")
        journey.keyed(two, "k")
        journey.drop(two)
        journey.done(started(journey, 0)[0], ["A"])
        assert journey.take() is one
        for node in (one, two):
            assert not hasattr(node, "after")
            assert not hasattr(node, "before")
        assert not journey.stations[0].lanes


# ----------------------------------------------------------------------------------------------------- raising signals


def three_ready(window: int = 9) -> Journey:
    journey = Journey([Plan(many=True), Plan(batch=2)], window)
    journey.admit("abc")
    for start in started(journey, 0):
        journey.done(start, [start.values])
    for start in started(journey, 1):
        journey.done(start, start.values)
    journey.close()
    for start in started(journey, 1):
        journey.done(start, start.values)
    return journey


def test_a_taker_is_interrupted_anywhere() -> None:
    """What `take` did not return is still there; what was given back is first again, once."""

    def scenario(interrupter: Interrupter) -> None:
        journey = three_ready()
        got: list[Any] = []
        while not journey.ended:
            try:
                node = interrupter.run(journey.take)
            except KeyboardInterrupt:
                journey.check()
                continue
            try:
                interrupter.run(lambda: journey.untake(node))  # noqa: B023
            except KeyboardInterrupt:
                journey.check()
                if node not in journey.ready:
                    journey.untake(node)
            journey.check()
            again = journey.take()
            assert again is node
            got.append(again.value)
        assert got == ["a", "b", "c"]

    at_every_point(scenario, least=9)


def test_a_cancel_is_interrupted_anywhere() -> None:
    """From its first moment nothing starts and nothing is taken; begun anew it comes to its end."""

    def scenario(interrupter: Interrupter) -> None:
        journey = Journey([Plan(most_out=4), Plan(keyed=True), Plan(batch=9)], ordered=False)
        journey.admit("abcdefghij")
        first, _, third, last = started(journey, 0)
        journey.done(first, "a")
        journey.keyed(journey.unkeyed()[0], "k")
        journey.done(started(journey, 1)[0], "a")
        journey.done(last, "d")  # held, behind one that is out
        journey.done(third, [Raised(ValueError())])  # ready
        assert len(journey.starts(0)) == 3  # instead of these; not fetched
        offered = [*journey.starts(0)]
        try:
            interrupter.run(journey.cancel)
        except KeyboardInterrupt:
            if journey.cancelled:
                journey.clock(1)
                assert journey.take() is NOTHING
                assert set(journey.starts(0)) <= set(offered)
            journey.cancel()
        journey.check()
        assert journey.out == 1
        assert not journey.ended

    at_every_point(scenario, least=10)


# ---------------------------------------------------------------------------------------------------------------- costs


class Touched(Node):
    """Counts how often somebody goes from node to node, or changes who is next."""

    __slots__ = ()
    times: ClassVar[int] = 0

    @property
    def after(self) -> Node:
        Touched.times += 1
        node: Node = next_of.__get__(self)
        return node

    @after.setter
    def after(self, node: Node) -> None:
        Touched.times += 1
        next_of.__set__(self, node)

    @after.deleter
    def after(self) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        next_of.__delete__(self)


next_of: Any = Node.__dict__["after"]


class LooksForItsPlace(Journey):
    """What the test of costs must find."""

    __slots__ = ()

    def _through(self, node: Node) -> None:
        other = self.top.after
        while other is not node:
            other = other.after
        super()._through(node)


@pytest.mark.parametrize(
    ("items", "window", "ordered"), [(20_000, 100, True), (20_000, 100, False), (40_000, 4_000, True)]
)
def test_what_an_item_costs_depends_on_nothing(
    items: int, window: int, ordered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three stages, whatever is out answers last in first out: the same few touches of neighbours for each item."""
    monkeypatch.setattr(journey_path, "Node", Touched)
    touches = cost(Journey, items, window, ordered)
    print(f"\n{items} items, window {window}, ordered={ordered}: {touches / items:.2f} touches an item")
    assert touches < 16 * items


def test_looking_for_a_place_costs_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journey_path, "Node", Touched)
    assert cost(LooksForItsPlace, 1000, 100, True) > 16 * 1000


def cost(kind: type[Journey], items: int, window: int, ordered: bool) -> int:
    """Touches of neighbours from the first item to the end."""
    Touched.times = 0
    journey = kind([Plan(), Plan(in_order=True), Plan(many=True, batch=7)], window, ordered=ordered)
    handed = 0
    out: list[Start] = []
    for index in range(items):
        if not journey.room:
            handed += finish(journey, out)
        journey.admit([index])
    journey.close()
    handed += finish(journey, out)
    assert (handed, journey.ended) == (2 * items, True)
    return Touched.times


def finish(journey: Journey, out: list[Start]) -> int:
    """Let all that is inside come to its end, the latest first; returns how many were taken."""
    count = 0
    while True:
        for stage in range(3):
            out += started(journey, stage)
        if not out:
            return count
        start = out.pop()
        journey.done(start, [[value, value] for value in start.values] if start.stage == 2 else start.values)
        count += len(taken(journey))
