"""What is lent from worker to worker: every interleaving of a small market, and faults that the walk must find.

The model is `procession.testing.lending_model`, with the real `Lending` in it. `pytest -s` prints counts and stories.
"""

from __future__ import annotations

from typing import Any

import pytest

from procession.testing.explorer import Violation, explore
from procession.testing.lending_model import Law, Market, Scenario
from procession.transport.lending import FIRST, SLOTS, Lender, Lending

BOUNDS = (
    Scenario("one place, two items", places=1),
    Scenario("three items, two places", items=3),
    Scenario("two readers, one dies", readers=2, kills=1),
    Scenario("sent again after a death", items=2, places=1, kills=1, runs=2),
    Scenario("sent again, the maker ends", items=1, kills=1, runs=2, leaves=1),
    Scenario("two makers, one ends", makers=2, leaves=1),
    Scenario("the maker ends, a reader dies", items=2, kills=1, leaves=1),
    Scenario("opened, or dropped", items=2, places=1, spares=2),
    Scenario("opened, or dropped, and the maker ends", items=2, spares=1, leaves=1),
)
DEEP_BOUNDS = (
    Scenario("four items, two readers, one dies", items=4, readers=2, kills=1),
    Scenario("two deaths, three runs, the maker ends", items=2, readers=2, kills=2, runs=3, leaves=1),
    Scenario("two makers end, one dies, one is opened", items=3, makers=2, kills=1, runs=2, leaves=2, spares=1),
)


@pytest.mark.parametrize("scenario", BOUNDS, ids=lambda each: each.name)
def test_all_that_can_happen(scenario: Scenario) -> None:
    report = explore(Market(scenario), scenario.name)
    print(report)
    assert report.ends


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", DEEP_BOUNDS, ids=lambda each: each.name)
def test_more_of_what_can_happen(scenario: Scenario) -> None:
    print(explore(Market(scenario), scenario.name))


# -------------------------------------------------------------------------------------------------------------- faults


class LooksNot(Lending):
    """It releases what somebody may look at."""

    def _collect(self, most: int) -> None:
        held, self._held = self._held, lambda _slot: False
        super()._collect(most)
        self._held = held


class Forgets(Lending):
    """What is looked at when it is asked for is never asked for again."""

    def _collect(self, most: int) -> None:
        for _ in range(min(most, len(self._ended))):
            note = self._ended.popleft()
            if not self._held(note.slot):
                self._end(note)


class ReleasesTwice(Lending):
    """What views of the parent release, too."""

    def taken(self, loans: Any) -> None:
        pass


class ClosesAtOnce(Lending):
    """A maker that ends is not waited for."""

    def leave(self, lender: Lender) -> None:
        lender.out, out = 0, lender.out
        super().leave(lender)
        lender.out = out


class NeverCloses(Lending):
    """Nor afterwards."""

    def _end(self, note: Any) -> None:
        note.lender.left = False
        super()._end(note)


class KeepsHomes(Lending):
    """Readers do not hear of it."""

    def _close(self, lender: Lender) -> None:
        lender.home = -1
        lender.close()


class SharesSlots(Lending):
    """A slot is free as soon as its loan has gone."""

    def _slot(self) -> int:
        for note in self._ended:
            if note.slot not in self._free:
                return note.slot
        return super()._slot()


FAULTS = (LooksNot, Forgets, ReleasesTwice, ClosesAtOnce, NeverCloses, KeepsHomes, SharesSlots)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: each.__name__)
def test_a_seeded_fault_is_found(fault: type[Lending]) -> None:
    class Faulty(Market):
        lending_class = fault

    found = violation(Faulty)
    print(found)
    assert len(found.story) <= 12


def test_a_reader_that_counts_late_is_found() -> None:
    class Late(Market):
        makes_word_late = True

    assert isinstance(violation(Late).cause, Law)


def violation(model: type[Market]) -> Violation:
    for scenario in BOUNDS:
        try:
            explore(model(scenario), scenario.name)
        except Violation as found:
            return found
    raise AssertionError("not found")


# --------------------------------------------------------------------------------------------------------------- bounds


def lender(words: Any) -> Lender:
    return Lender(7, "", lambda: words, lambda: None)


def test_there_is_an_end_of_slots() -> None:
    lending = Lending(lambda _slot: False, dict)
    words = [0] * 3
    one = lender(words)
    held = [lending.lend(one, [0, 1]) for _ in range(SLOTS // 2 - 1)]
    assert None not in held
    assert lending.lend(one, [2, 2]) is None
    last = lending.lend(one, [2])
    assert last is not None
    assert lending.lend(one, [2]) is None
    assert {loan.slot for loans in [*held, last and [*last]] for loan in loans or ()} == set(
        range(FIRST + 1, FIRST + SLOTS)
    )
    last = None
    assert lending.lend(one, [2]) is not None  # not held: what has gone is collected first
    assert words[2] == 1
    held.clear()
    lending.collect()
    assert words[:2] == [SLOTS // 2 - 1] * 2
    assert not lending.out


def test_where_tables_cannot_be_mapped_nothing_is_lent_and_nothing_breaks() -> None:
    def refuse() -> Any:
        raise OSError(12, "no memory")

    assert Lending(lambda _slot: False, refuse).lend(lender([0]), [0]) is None
    lending = Lending(lambda _slot: False, dict)
    closed: list[int] = []
    broken = Lender(7, "", refuse, lambda: closed.append(1))
    assert lending.lend(broken, [0]) is not None
    lending.collect()
    assert not lending.out
    lending.leave(broken)
    assert closed == [1]


def test_when_the_arena_goes_those_that_stay_are_closed() -> None:
    lending = Lending(lambda _slot: False, dict)
    closed: list[int] = []
    one = Lender(7, "", lambda: [0], lambda: closed.append(1))
    loans = lending.lend(one, [0])
    lending.leave(one)
    assert not closed
    lending.abandon()
    assert closed == [1]
    del loans
