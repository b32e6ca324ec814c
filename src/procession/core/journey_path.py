"""The way of nodes through the stages: who passes a gate, becomes many or none, fails, is ready. Laws: journey.py."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from procession.core.journey_node import FAILED, GONE, HELD, PASSED, Item, Lane, Node
from procession.core.journey_stage import Plan, Station
from procession.types import Raised


class Path:
    """The nodes in path order and the stages they pass. Who starts when is not decided here."""

    __slots__ = (
        *("ordered", "stations", "gates", "turns", "top", "blank", "ready", "now"),
        *("admitted", "returned", "asked"),
    )

    def __init__(self, plans: Sequence[Plan], ordered: bool) -> None:
        self.ordered = ordered
        self.top = Node()
        self.blank = Node()
        self.top.after, self.blank.before = self.blank, self.top
        self.stations = [Station(number, plan, self.blank) for number, plan in enumerate(plans)]
        self.gates = [station for station in self.stations if station.gated]
        keyed = [station for station in self.stations if station.has_key]
        self.turns = keyed[-1] if keyed and not ordered else None  # whose keys have their order of leaving
        self.ready: deque[Node] = deque()
        self.now = 0
        self.admitted = 0
        self.returned = 0  # items of which no node is left
        self.asked = 0  # nodes whose key is asked for

    def _enter(self, values: Sequence[Any]) -> list[Node]:
        """The next items."""
        nodes = []
        for value in values:
            node = self.blank
            self.blank = blank = Node()
            node.after, blank.before = blank, node
            node.item = Item(self.admitted)
            node.value = value
            self.admitted += 1
            nodes.append(node)
            self._come(node, 0)
        return nodes

    def _become(self, node: Node, station: Station, values: Sequence[Any]) -> None:
        """`node` is replaced by a node for each value; the first keeps its identity, and with it what points at it."""
        if not values:
            self._vanish(node)
            return
        nodes = [node]
        for _ in range(len(values) - 1):
            fresh = Node()
            fresh.item, fresh.parcel, fresh.stage = node.item, node.parcel, node.stage
            fresh.link(nodes[-1])
            nodes.append(fresh)
        node.item.left += len(values) - 1
        if node.parcel is not None:
            node.parcel.left += len(values) - 1
        above = node.place
        for number, (each, value) in enumerate(zip(nodes, values, strict=True)):
            each.place = (*above, number)
            self._go_on(each, station, value)

    def _go_on(self, node: Node, station: Station, value: Any) -> None:
        """`node` leaves `station` with this."""
        if value.__class__ is Raised:
            self._fail(node, station, value)
        else:
            station.outputs += 1
            node.value = value
            self._come(node, station.number + 1)

    def _come(self, node: Node, stage: int) -> None:
        """`node` has what it needs to be at `stage`."""
        node.stage = stage
        if stage == len(self.stations):
            node.state = PASSED
            self._through(node)
            return
        station = self.stations[stage]
        station.came += 1
        station.inside += 1
        if not station.gated:
            station.line_up(node, self.now)
            return
        node.state = HELD
        station.held += 1
        if station.front is node:
            self._advance(station)

    def _advance(self, station: Station) -> None:
        before = len(station.unkeyed)
        station.advance(self.now)
        self.asked += len(station.unkeyed) - before

    def _fail(self, node: Node, station: Station, failure: Any) -> None:
        """`node` starts nowhere any more and keeps its place."""
        station.failed += 1
        node.value = failure
        node.state = FAILED
        for gate in self.gates:
            if gate.front is node:
                self._advance(gate)
        self._through(node)

    def _vanish(self, node: Node) -> None:
        """Nothing became of `node`."""
        after, item, parcel = node.after, node.item, node.parcel
        node.state = GONE
        node.unlink()
        for gate in self.gates:
            if gate.front is node:
                gate.front = after
                self._advance(gate)
        item.left -= 1
        if not item.left:
            self.returned += 1
        if parcel is not None:
            parcel.left -= 1
            if not parcel.left:
                del parcel.lane.parcels[parcel]
            elif parcel.front is node:
                parcel.front = after
            self._turn(parcel.lane)
        elif self.ordered:
            self._hand_over()

    def _through(self, node: Node) -> None:
        """`node` has passed all stages, or failed: it is ready when its turn comes."""
        if self.ordered:
            if self.top.after is node:
                self._hand_over()
        elif node.parcel is not None:
            if node.parcel.front is node:
                self._turn(node.parcel.lane)
        else:
            node.unlink()
            self.ready.append(node)

    def _hand_over(self) -> None:
        """Ordered: what is first in the path is ready."""
        while (node := self.top.after).state is PASSED or node.state is FAILED:
            node.unlink()
            self.ready.append(node)

    def _turn(self, lane: Lane) -> None:
        """Unordered, with a key: what is first of its key is ready."""
        parcels = lane.parcels
        while parcels:
            parcel = next(iter(parcels))
            while parcel.left and ((node := parcel.front).state is PASSED or node.state is FAILED):
                parcel.front = node.after
                parcel.left -= 1
                node.unlink()
                self.ready.append(node)
            if parcel.left:
                return
            del parcels[parcel]
        assert self.turns is not None
        del self.turns.lanes[lane.key]  # who is busy or behind has a parcel
