"""Every interleaving of a small ring, on a weak memory; and faults that the walk must find.

The model is `procession.testing.ring_model`, the faults are in faults.py beside this file. `pytest -s` prints
counts and stories.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from procession.testing.explorer import Action, Report, Violation, explore, replay
from procession.testing.ring_memory import ACQ_REL, ACQUIRE, RELAXED, RELEASE, SEQ_CST
from procession.testing.ring_model import Ring
from procession.testing.ring_programs import ORDERS
from procession.testing.ring_scenario import Cast, Scenario
from tests.native import faults
from tests.native.faults import FAULTS, Fault

BOUNDS = (
    Scenario("one item", ("s",), spurious=1),
    Scenario("three leases, a ring for one", ("s", "s", "s"), task_room=2),
    Scenario("two leases around two rings", ("ss", "ls"), task_room=3, out_room=2),
    Scenario("taken back, and a lease after it", ("ss", "withdraw", "s")),
    Scenario("taken back, numbers wrap", ("s", "withdraw", "s"), task_room=2, modulus=2),
    Scenario("taken back and killed", ("ss", "withdraw"), kills=1, spurious=1),
    Scenario("no room for outcomes, killed", ("sss",), out_room=1, kills=1),
    Scenario("through the pipe, a full one", ("psp",), pipe_room=1),
    Scenario("through the pipe, killed", ("ps", "withdraw"), kills=1),
    Scenario("arguments through the pipe, taken back", ("bb", "withdraw", "s"), pipe_room=1),
    Scenario("through the pipe, taken back while a lease is held", ("p", "s", "withdraw"), task_room=2),
    Scenario("asked to end", ("?s", "withdraw", "ask", "?s")),
    Scenario("a caller", ("s",), waits=0, kills=1),
)

DEEP_BOUNDS = (
    Scenario("taken back, twice, numbers wrap", ("s", "withdraw", "s", "withdraw", "s"), task_room=2, modulus=2),
    Scenario("a caller of what is taken back", ("s", "withdraw"), waits=0),
    Scenario("a caller, and no room for outcomes", ("ss",), waits=1, out_room=1),
    Scenario("a caller that is early", ("s",), waits=0, early=True, kills=1, spurious=1),
    Scenario("a caller, taken back", ("ss", "withdraw"), waits=0, kills=1),
    Scenario("a caller, taken back, a lease after it", ("s", "withdraw", "s"), waits=1),
    Scenario("a caller, the pipe", ("ps",), waits=0, kills=1),
    Scenario("a caller, the pipe, two leases", ("p", "s"), waits=0, task_room=2),
    Scenario("a caller, two leases", ("s", "s"), waits=1, task_room=2, out_room=1),
    Scenario("four leases around", ("s", "s", "s", "s"), task_room=4, out_room=2, kills=1),
    Scenario("two leases of two, taken back, one of two", ("ss", "ss", "withdraw", "ss"), out_room=2),
    Scenario("taken back three times", ("ss", "withdraw", "ss", "withdraw", "ss", "withdraw"), kills=1),
)


class RingsForCallers(Ring):
    """Whoever resolves after it has let go of the lock has to ring for callers: then that is right as well."""

    loaded = faults.OneWord.loaded
    changed = loaded


OTHERWISE: Mapping[str, Fault] = {
    "resolved after the lock, with a ring": Fault(
        faults.WAIT, "", Cast(driver=faults.ResolvesLaterAndRings), RingsForCallers
    ),
    "one word for two kinds, and a wake for all": Fault(faults.WAIT, "", faults.SHARED_BELL, faults.OneWord),
}
"""What may be done differently, and stays right."""


def walk(scenario: Scenario) -> Report | str:
    """What was found, or the story of a violation."""
    try:
        return explore(Ring(scenario), scenario.name, limit=8_000_000)
    except Violation as violation:
        return str(violation)


@pytest.mark.parametrize("scenario", BOUNDS, ids=lambda scenario: scenario.name)
def test_nothing_that_can_happen_breaks_the_protocol(
    scenario: Scenario, walked: Mapping[Scenario, Report | str]
) -> None:
    report = walked[scenario]
    print(f"\n{report}")
    assert isinstance(report, Report), report
    assert report.states > 500
    assert report.ends > 0


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scenario", DEEP_BOUNDS, ids=lambda scenario: scenario.name)
def test_deep(scenario: Scenario, walked: Mapping[Scenario, Report | str]) -> None:
    print(f"\n{walked[scenario]}")
    assert isinstance(walked[scenario], Report), walked[scenario]


def soaking(table: Mapping[str, Fault], *names: str) -> list[object]:
    """The rows of a table as parameters; those that take seconds are for the soak."""
    return [
        pytest.param(each, id=name, marks=[pytest.mark.soak] if name in names else []) for name, each in table.items()
    ]


@pytest.mark.parametrize(
    "other", soaking(OTHERWISE, "one word for two kinds, and a wake for all", "resolved after the lock, with a ring")
)
def test_what_may_be_done_differently(other: Fault) -> None:
    print(f"\n{explore(other.ring(other.scenario, other.cast), limit=400_000)}")


# ------------------------------------------------------------------------------------------------------- seeded faults


@pytest.mark.parametrize("fault", soaking(FAULTS, "PIPED: a caller acts on the driver's word"))
def test_the_explorer_finds_it(fault: Fault) -> None:
    with pytest.raises(Violation) as caught:
        explore(fault.ring(fault.scenario, fault.cast), limit=400_000)
    print(f"\n{caught.value}")
    assert re.search(fault.said, str(caught.value.cause))


WEAKER: Mapping[str, tuple[int, Scenario]] = {
    "claim.take": (ACQUIRE, faults.BACK),
    "claim.failed": (RELAXED, faults.BACK),
    "claim.withdraw.first": (RELAXED, faults.BACK),
    "task_tail.publish": (RELEASE, faults.AGAIN),
    "task_tail.read": (RELAXED, faults.ONE),
    "task_tail.look": (ACQUIRE, faults.AGAIN),
    "task_head.done": (RELAXED, faults.FULL),
    "task_head.room": (RELAXED, faults.FULL),
    "out_tail.publish": (RELAXED, faults.BACK),
    "out_tail.end": (RELEASE, faults.BACK),
    "out_tail.read": (RELAXED, faults.BACK),
    "out_tail.look": (ACQUIRE, faults.BACK),
    "out_head.done": (RELEASE, faults.AROUND),
    "out_head.room": (RELAXED, faults.AROUND),
    "out_head.look": (ACQUIRE, faults.AROUND),
    "wants.set": (RELEASE, faults.LEASES),
    "wants.look": (ACQUIRE, faults.LEASES),
    "bell.enter": (ACQ_REL, faults.AGAIN),
    "bell.waiting": (ACQUIRE, faults.AGAIN),
}
"""Accesses that are as weak as they may be: the strongest weaker order, and a bound that finds it out."""

STRONGER = {
    "claim.issue": RELAXED,
    "claim.withdraw": RELAXED,
    "claim.place": RELAXED,
    "asked.ask": RELAXED,
    "asked.look": RELAXED,
    "wants.take": RELAXED,
    "bell.rings": RELAXED,
    "bell.leave": RELAXED,
    "bell.ring": RELAXED,
}
"""Accesses that the bounds would pass even if they were so weak: all of them at once."""


@pytest.mark.parametrize("site", WEAKER)
def test_a_weaker_access_is_found(site: str) -> None:
    order, scenario = WEAKER[site]
    with pytest.raises(Violation) as caught:
        explore(Ring(scenario, Cast(orders={**ORDERS, site: order})), limit=400_000)
    print(f"\n{caught.value}")


def test_each_access_is_in_one_of_the_tables() -> None:
    weak = {site for site, order in ORDERS.items() if order == RELAXED}
    assert {*WEAKER, *STRONGER} == ORDERS.keys() - weak
    assert all(order < ORDERS[site] for site, (order, _) in WEAKER.items())


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(each, id=each.name, marks=[] if each is faults.BACK else [pytest.mark.soak])
        for each in (faults.BACK, faults.AROUND, faults.ASKS)
    ],
)
def test_what_is_stronger_than_the_model_needs(scenario: Scenario) -> None:
    print(f"\n{explore(Ring(scenario, Cast(orders={**ORDERS, **STRONGER})), limit=400_000)}")


# --------------------------------------------------------------------------------------------------- the model itself


class Plain(Ring):
    """Without what makes the walk short: each access of bytes is a step of its own, and views are kept whole."""

    eager = frozenset[str]()

    def settle(self) -> None:
        """All is kept."""


def ends_of(start: Ring) -> set[object]:
    """What the book says wherever nothing can happen any more."""
    found: set[object] = set()

    class Noted(type(start)):  # type: ignore[misc]
        def check_end(self) -> None:
            super().check_end()
            found.add((self.hand, self.issued, self.head, self.alive, self.buried, self.memory.words[0][-1][0]))

    explore(Noted(start.stage.scenario))
    return found


@pytest.mark.parametrize("scenario", [Scenario("one", ("s",)), Scenario("back", ("s", "withdraw"), kills=1)])
def test_what_shortens_the_walk_loses_nothing(scenario: Scenario) -> None:
    assert ends_of(Ring(scenario)) == ends_of(Plain(scenario))


@pytest.mark.parametrize("name", ["R1: an outcome is published before it is whole", "B1: no look"])
def test_nor_a_fault(name: str) -> None:
    fault = FAULTS[name]
    with pytest.raises(Violation, match=fault.said):
        explore(Plain(fault.scenario, fault.cast))


def test_a_copy_shares_nothing() -> None:
    ring = Ring(Scenario("x", ("ss", "withdraw"), kills=1, waits=0))
    seen = 0
    while actions := ring.actions():
        before = ring.key()
        mine = ring.copy()
        assert vars(mine).keys() == vars(ring).keys()
        mine.act(actions[seen % len(actions)])
        assert ring.key() == before
        assert list(ring.actions()) == list(actions)
        ring = mine
        seen += 1
    assert seen > 20


def test_a_story_can_be_replayed() -> None:
    fault = FAULTS["B1: no look"]
    with pytest.raises(Violation) as caught:
        explore(fault.ring(fault.scenario, fault.cast))
    actions: list[Action] = list(caught.value.actions)
    state, story = replay(fault.ring(fault.scenario, fault.cast), actions)
    assert story == caught.value.story
    with pytest.raises(AssertionError, match="nothing can happen"):
        state.actions()


LITMUS = {
    # two threads that each store and then load what the other stores: may both miss it?
    "store buffering, released": (RELEASE, ACQUIRE, True),
    "store buffering, seq_cst": (SEQ_CST, SEQ_CST, False),
}


@pytest.mark.parametrize(("stores", "loads", "both"), LITMUS.values(), ids=LITMUS.keys())
def test_store_buffering(stores: int, loads: int, both: bool) -> None:
    ring = Ring(Scenario("litmus", ("s",)))
    memory = ring.memory
    memory.write(0, 1, stores, "mine")
    memory.write(1, 2, stores, "yours")
    assert len(memory.seen(0, 2, loads)) == len(memory.seen(1, 1, loads)) == (2 if both else 1)


@pytest.mark.parametrize(("release", "acquire", "old"), [(RELEASE, ACQUIRE, 1), (RELAXED, ACQUIRE, 2), (RELEASE, 0, 2)])
def test_message_passing(release: int, acquire: int, old: int) -> None:
    """Who has read the flag: how many values may it still read of what was written before the flag?"""
    memory = Ring(Scenario("litmus", ("s",))).memory
    memory.write(0, 1, RELAXED, "data")
    memory.write(0, 2, release, "flag")
    assert memory.read(1, 2, acquire, 0) == "flag"
    assert len(memory.seen(1, 1, RELAXED)) == old


def test_a_read_modify_write_hands_on_what_was_released() -> None:
    memory = Ring(Scenario("litmus", ("s",))).memory
    memory.write(0, 1, RELAXED, "data")
    memory.write(0, 2, RELEASE, 1)
    memory.change(1, 2, RELAXED, 2)
    memory.read(2, 2, ACQUIRE, 0)
    assert len(memory.seen(2, 1, RELAXED)) == 1
    assert len(memory.seen(1, 1, RELAXED)) == 2
