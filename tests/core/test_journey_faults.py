"""Seeded faults of a journey: each is found by the oracle of journey_model.py alone, on a small journey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from procession.core.journey import Journey
from procession.core.journey_node import OUT, Node, Start
from procession.core.journey_stage import Plan, Station
from tests.core.journey_model import SMALL, explore
from tests.exploring import Found


class Unchecked(Journey):
    """Without its own laws: the oracle alone has to see what is wrong."""

    __slots__ = ()
    where: ClassVar[str] = "a batch of many"
    """The small journey that shows it."""

    def check(self) -> None:
        pass


class HandsOverAsTheyCome(Unchecked):
    """Ordered in name only."""

    def _through(self, node: Node) -> None:
        node.unlink()
        self.ready.append(node)


class ForgetsTheGates(Unchecked):
    """Inputs start as they come."""

    where = "in order"

    def __init__(self, plans: Sequence[Plan], window: int, *, ordered: bool) -> None:
        super().__init__(plans, window, ordered=ordered)
        for station in self.stations:
            station.gated = station.has_key


class StopsAtWhatIsGone(Unchecked):
    """A gate whose front becomes nothing lets nobody through until somebody else comes."""

    where = "many in order"

    def _vanish(self, node: Node) -> None:
        for gate in self.gates:
            if gate.front is node:
                gate.front = node.after
        super()._vanish(node)


class LeavesFailedOnesBeforeTheGate(Unchecked):
    """A gate waits for one that will never come."""

    where = "in order"

    def _fail(self, node: Node, station: Station, failure: Any) -> None:
        gates, self.gates = self.gates, []
        super()._fail(node, station, failure)
        self.gates = gates


class TurnsSiblingsRound(Unchecked):
    """The outputs of one input change places."""

    def _become(self, node: Node, station: Station, values: Sequence[Any]) -> None:
        super()._become(node, station, [*values[:1], *reversed(values[1:])] if len(values) > 2 else values[::-1])


class ForgetsSiblings(Unchecked):
    """An item's credit comes back with its first output."""

    def _become(self, node: Node, station: Station, values: Sequence[Any]) -> None:
        super()._become(node, station, values)
        node.item.left = min(node.item.left, 1)


class KeepsTheCreditOfNothing(Unchecked):
    """What yielded nothing stays in the window."""

    def _vanish(self, node: Node) -> None:
        before = self.returned
        super()._vanish(node)
        self.returned = before


class ForgetsTheUntaken(Unchecked):
    """What an interrupted taker gives back has no credit."""

    def untake(self, node: Node) -> None:
        returned = self.returned
        super().untake(node)
        self.returned = returned


class LetsKeysOvertake(Unchecked):
    """Unordered: what became of two inputs of one key leaves as it comes."""

    where = "a key"

    def _through(self, node: Node) -> None:
        if node.parcel is not None and not self.ordered:
            node.parcel.lane.parcels.clear()
            node.parcel = None
        super()._through(node)


class NeverSeesThatAllIsStuck(Unchecked):
    """Law 5b is missing."""

    def _start(self) -> None:
        others = not self.closed
        for station in self.stations:
            self.out += station.start(self.now, last=not others)
            others = others or station.inside > 0


class NeverSeesTheEnd(Unchecked):
    """A last batch waits for others though none can come (5a)."""

    def _start(self) -> None:
        closed, self.closed = self.closed, False
        super()._start()
        self.closed = closed


class StartsTheDropped(Unchecked):
    """A dropped one stays in the line."""

    def drop(self, node: Node, now: int = 0) -> bool:
        line = self.stations[node.stage].line if node.stage < len(self.stations) else {}
        was = node in line
        dropped = super().drop(node, now)
        if was and dropped:
            line[node] = None
        return dropped


class DropsWhatRuns(Unchecked):
    """Says that what is out was dropped."""

    def drop(self, node: Node, now: int = 0) -> bool:
        return super().drop(node, now) or node.state is OUT


class OnlyClosesWhenCancelled(Unchecked):
    """What is inside goes on to the end."""

    def cancel(self) -> None:
        self.close()


class StartsAgainTooEarly(Unchecked):
    """What is to wait before its further run does not."""

    where = "a batch, again"

    def again(self, start: Start, delay: int, now: int = 0) -> None:
        super().again(start, 0, now)


class StartsAgainTooLate(Unchecked):
    """Or longer."""

    where = "a batch, again"

    def again(self, start: Start, delay: int, now: int = 0) -> None:
        super().again(start, delay + 1, now)


class StartsAgainTogether(Unchecked):
    """One that kills takes others along again."""

    where = "a batch, again"

    def again(self, start: Start, delay: int, now: int = 0) -> None:
        super().again(start, delay, now)
        station = self.stations[start.stage]
        while station.again:
            station.line_up(station.again.pop()[2], now)
        self._start()


def any_number_again(self: Station, now: int) -> bool:
    """`most_out` means nothing to what starts again."""
    return bool(self.again) and self.again[0][0] <= now


def every_key_at_once(self: Station, lane: Any, node: Node, now: int) -> None:
    """Inputs of one key run side by side."""
    lane.busy = node
    self.line_up(node, now)


def whole_line(self: Station, now: int, last: bool) -> int:
    """Batches of any size."""
    room = self.most_out - self.out
    return min(len(self.line), room) if len(self.line) >= self.batch or last else 0


def at_once(self: Station, now: int, last: bool) -> int:
    """No batch waits for others."""
    return min(len(self.line), self.batch, max(0, self.most_out - self.out))


def as_many_as_there_are(self: Station, now: int, last: bool) -> int:
    """`most_out` means nothing."""
    count = min(len(self.line), self.batch)
    return count if count == self.batch or last else 0


def since_the_last(self: Station) -> int | None:
    """Each newcomer lets a batch wait anew."""
    if self.max_wait is None or not self.line:
        return None
    return next(reversed(self.line)).since + self.max_wait


def nobody_follows(self: Station, node: Node, now: int) -> None:
    """The next of a key is forgotten."""
    if node.lane is not None and node.lane.busy is node:
        node.lane.behind.clear()
    original_leave(self, node, now)


original_leave = Station.leave

PATCHES: Sequence[tuple[str, Any, str]] = (
    ("enter", every_key_at_once, "a key"),
    ("leave", nobody_follows, "a key"),
    ("startable", whole_line, "a batch of many"),
    ("startable", at_once, "a batch of many"),
    ("startable", as_many_as_there_are, "in order"),
    ("deadline", property(since_the_last), "batches meet"),
    ("due", any_number_again, "few, again"),
)


def survey(where: str, kind: type[Journey]) -> str:
    """Walk one small journey; returns what was found."""
    small = next(small for small in SMALL if small.name == where)
    with pytest.raises(Found) as found:
        for ordered in (True, False):
            explore(small, ordered, kind)
    return str(found.value)


@pytest.mark.parametrize("fault", Unchecked.__subclasses__(), ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_found(fault: type[Unchecked]) -> None:
    print(f"\n{survey(fault.where, fault)}")


@pytest.mark.parametrize(("name", "fault", "where"), PATCHES)
def test_a_seeded_fault_of_a_stage_is_found(name: str, fault: Any, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Station, name, fault)
    print(f"\n{survey(where, Unchecked)}")
