"""Seeded faults of a flow, its ledger, its pump and its spilling: each is found by the oracle of flow_model.py."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, ClassVar

import pytest

from procession.core.flow import GONE, FlowCore
from procession.core.ledger import Ledger
from procession.handover import Handover
from procession.spilling import Spill
from tests.exploring import Found

from .flow_model import SMALL, explore


def survey(where: str, flow: type[FlowCore] = FlowCore, ledger: type[Ledger] = Ledger) -> str:
    """Walk one small flow; returns what was found."""
    setup = next(setup for setup in SMALL if setup.name == where)
    with pytest.raises(Found) as found:
        for ordered in (True, False):
            explore(setup, ordered, flow, ledger)
    return str(found.value)


# ------------------------------------------------------------------------------------------------------------- the flow


class Unchecked(FlowCore):
    """Without its own laws: the oracle alone has to see what is wrong."""

    __slots__ = ()
    where: ClassVar[str] = "bytes"
    """The small flow that shows it."""

    def check(self) -> None:
        pass


class HandsOverAsTheyCome(Unchecked):
    """Ordered in name only."""

    def done(self, start: int, outcomes: list[Any]) -> None:
        super().done(start, outcomes)
        if self.ordered and self.handed not in self.runs and not self.current:
            self.runs[self.handed] = self.runs.pop(start)


class ForgetsTheLane(Unchecked):
    """Items of one key run side by side."""

    where = "keys"

    def admit_keyed(self, key: Hashable, item: Any) -> None:
        self.admit_one(item)


class NobodyFollows(Unchecked):
    """A key stands still when its first item is through."""

    where = "keys"

    def _leave_lane(self, index: int) -> None:
        lane = self.lane_of.get(index)
        if lane is not None and lane.running == index:
            lane.waiting.clear()
        super()._leave_lane(index)


class LastComesFirst(Unchecked):
    """Of a key, the one that came last follows."""

    where = "one key, bytes"

    def _leave_lane(self, index: int) -> None:
        lane = self.lane_of.get(index)
        if lane is not None and lane.running == index:
            lane.waiting.reverse()
        super()._leave_lane(index)


class StartsTheCancelled(Unchecked):
    """An item that was dropped while it was held back starts when its turn comes."""

    where = "keys"

    def drop(self, index: int) -> None:
        lane = self.lane_of.get(index)
        super().drop(index)
        if lane is not None and lane.running != index and lane.key in self.lanes:
            self.lane_of[index] = lane


class CountsTheCancelledAsHeld(Unchecked):
    """So less seems to be out than is, and more starts than there is room for."""

    where = "keys, bytes"

    def drop(self, index: int) -> None:
        lane = self.lane_of.get(index)
        super().drop(index)
        self.held += lane is not None and lane.running != index


class LeaksTheWindow(Unchecked):
    """A dropped item keeps its place in the window until the order has passed it."""

    @property
    def room(self) -> int:
        return self.window - self.admitted + self.handed


class LosesTheInterrupted(Unchecked):
    """What an interrupted taker gives back is lost."""

    def untake(self, outcome: Any) -> None:
        pass


class DropsAnything(Unchecked):
    """Not the oldest result is dropped, but the one that came last."""

    def drop_ready(self) -> Any:
        for start in reversed(self.runs):
            run = self.runs[start]
            if run[0] is not GONE:
                outcome, run[0] = run[0], GONE
                self.gone += 1
                self.dropped += 1
                return outcome
        return super().drop_ready()


class WaitsForWhatIsGone(Unchecked):
    """A dropped item at the head of the line is taken for a result, for the room of which new work waits."""

    where = "one key, bytes"

    def pass_gone(self) -> None:
        pass


class ExchangesWhatIsGone(Unchecked):
    """A result that was dropped while it was written to a file comes out nevertheless."""

    where = "keys, spilled"

    def exchange(self, start: int, run: list[Any], at: int, outcome: Any) -> bool:
        if run[at] is GONE:
            run[at] = outcome
            self.gone -= 1
            return True
        return super().exchange(start, run, at, outcome)


class ExchangesTooLate(Unchecked):
    """What was handed over while it was written is put in the place of another."""

    where = "spilled"

    def exchange(self, start: int, run: list[Any], at: int, outcome: Any) -> bool:
        if super().exchange(start, run, at, outcome):
            return True
        for other in self.runs.values():
            other[0] = outcome
        return True


class EndsEarly(Unchecked):
    """Dropped items count twice at the end."""

    where = "keys"

    @property
    def ended(self) -> bool:
        return self.closed and self.admitted <= self.handed + self.gone + (self.dropped > 0)


@pytest.mark.parametrize("fault", Unchecked.__subclasses__(), ids=lambda fault: fault.__name__)
def test_a_seeded_fault_of_the_flow_is_found(fault: type[Unchecked]) -> None:
    print(f"\n{survey(fault.where, fault)}")


# ----------------------------------------------------------------------------------------------------------- the ledger


class Book(Ledger):
    """One with a fault."""

    __slots__ = ()
    where: ClassVar[str] = "bytes"


class ForgetsToLetGo(Book):
    """What leaves goes on weighing."""

    def left(self, index: int) -> None:
        self.fixed(index)


class LetsGoTwice(Book):
    """What was moved aside is taken off again when it leaves."""

    where = "spilled"

    def left(self, index: int) -> None:
        if index in self.weights:
            self.total -= self.weights[index] or 100
            self.aside -= not self.weights[index]
            del self.weights[index]


class IsBlind(Book):
    """What is out is not reckoned with."""

    def allowance(self, out: int) -> int:
        return super().allowance(0)


class IsMean(Book):
    """Room for one stays unused."""

    where = "chunks, spilled"

    def allowance(self, out: int) -> int:
        return super().allowance(out) - 1


class ForgetsTheLargest(Book):
    """Of the results that came the last one is expected again."""

    where = "chunks, spilled"

    def came(self, index: int, weight: int) -> None:
        super().came(index, weight)
        self.expected = weight


class MovesWithoutANote(Book):
    """What was moved aside weighs on."""

    where = "spilled"

    def moved(self, index: int) -> None:
        self.aside += 1


@pytest.mark.parametrize("fault", Book.__subclasses__(), ids=lambda fault: fault.__name__)
def test_a_seeded_fault_of_the_ledger_is_found(fault: type[Book]) -> None:
    print(f"\n{survey(fault.where, Unchecked, fault)}")


# ---------------------------------------------------------------------------------------------- the pump, the spilling


original_allowed = Handover._allowed
original_write_one = Spill._write_one


def whatever_comes(self: Any, batch: list[Any], ledger: Ledger) -> tuple[int, list[Any]]:
    """The bound of bytes means nothing."""
    return 0, batch


def nobody_for_want_of_room(self: Any, batch: list[Any], ledger: Ledger) -> tuple[int, list[Any]]:
    """Law 3 of the ledger is missing."""
    at, allowed = original_allowed(self, batch, ledger)
    return (at, allowed) if ledger.allowance(0) > 0 or not allowed else (0, [])


def the_first_instead(self: Any, batch: list[Any], ledger: Ledger) -> tuple[int, list[Any]]:
    """Where there is no room, the one that came to the line first starts, not the one that the order waits for."""
    at, allowed = original_allowed(self, batch, ledger)
    return (0, batch[:1]) if at else (at, allowed)


def one_too_many(self: Any, batch: list[Any], ledger: Ledger) -> tuple[int, list[Any]]:
    """One more than there is room for."""
    at, allowed = original_allowed(self, batch, ledger)
    return (at, batch[: len(allowed) + 1]) if allowed and not at else (at, allowed)


def stops_after_one(self: Any) -> bool:
    """One result is written, however much is too much."""
    original_write_one(self)
    return False


def never_looks(self: Any) -> None:
    """Nobody asks the thread that spills."""


PATCHES: list[tuple[type, str, Callable[..., Any], str]] = [
    (Handover, "_allowed", whatever_comes, "bytes"),
    (Handover, "_allowed", nobody_for_want_of_room, "keys, spilled"),
    (Handover, "_allowed", the_first_instead, "keys, bytes"),
    (Handover, "_allowed", one_too_many, "bytes"),
    (Spill, "_write_one", stops_after_one, "keys, spilled"),
    (Spill, "look", never_looks, "spilled"),
]


@pytest.mark.parametrize(("owner", "name", "fault", "where"), PATCHES, ids=[p[2].__name__ for p in PATCHES])
def test_a_seeded_fault_around_the_flow_is_found(
    owner: type, name: str, fault: Callable[..., Any], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, fault)
    print(f"\n{survey(where, Unchecked)}")
