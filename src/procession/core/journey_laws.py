"""What holds of a journey after every event, as expressions. Tests call `Journey.check()`; the pipeline never does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from procession.core.journey_node import AGAIN, BEHIND, BLANK, FAILED, HELD, OUT, PASSED, UNKEYED, WAITING, Node

if TYPE_CHECKING:
    from procession.core.journey import Journey
    from procession.core.journey_stage import Station


def check(journey: Journey) -> None:
    """Raises AssertionError, naming what does not hold."""
    path = _path(journey)
    for station in journey.stations:
        assert station.came == station.inside + station.done + station.dropped
        assert min(station.held, station.inside, station.out, station.failed, station.outputs) >= 0
        assert all(start.open for start in station.starts), "offered, and answered"
    assert journey.asked == sum(len(station.unkeyed) for station in journey.stations)
    assert journey.out == sum(station.out for station in journey.stations)
    if journey.cancelled:
        assert not path
        assert not journey.ready
        assert not any(station.starts or station.line or station.again or station.lanes for station in journey.stations)
        for station in journey.stations:
            assert station.front is journey.blank
            assert (station.inside, station.held) == (station.out, 0)
        return
    _check_items(journey, path)
    for station in journey.stations:
        _check_counts(station, [node for node in path if node.stage == station.number and node.state is not FAILED])
        _check_lanes(journey, station)
    for gate in journey.gates:
        _check_gate(journey, gate, path)
    _check_parcels(journey, path)
    _check_starts(journey)


def _path(journey: Journey) -> list[Node]:
    """The nodes between the two ends, whose links agree."""
    path = []
    node = journey.top
    while node is not journey.blank:
        assert node.after.before is node, "the links disagree"
        node = node.after
        path.append(node)
    assert path.pop().state is BLANK, "the blank node is in use"
    assert all(node.state in (HELD, UNKEYED, BEHIND, WAITING, OUT, AGAIN, PASSED, FAILED) for node in path)
    return path


def _check_items(journey: Journey, path: list[Node]) -> None:
    """Laws 1, 2 and 6."""
    indices = [node.item.index for node in path]
    assert indices == sorted(indices), "the path is not in order"
    assert all(node.state is PASSED or node.state is FAILED for node in journey.ready), "ready, and not through"
    left = Counter([*indices, *(node.item.index for node in journey.ready)])
    items = {node.item for node in (*path, *journey.ready)}
    assert journey.admitted - journey.returned == len(items), "a credit is lost, or given back too early"
    assert all(item.left == left[item.index] for item in items), "an item's nodes are miscounted"
    if journey.ordered and path:
        assert path[0].state not in (PASSED, FAILED), "the first in path order is through and not ready"


def _check_counts(station: Station, nodes: list[Node]) -> None:
    """A stage's counts, by what is there."""
    states = Counter(node.state for node in nodes)
    assert station.inside == len(nodes)
    assert station.held == states[HELD]
    assert station.out == states[OUT]
    again = [node for _, _, node in station.again]
    assert len(again) == len(set(again)), "to start again, twice"
    for state, place in ((UNKEYED, station.unkeyed), (WAITING, station.line), (AGAIN, again)):
        assert set(place) == {node for node in nodes if node.state is state}, f"{state.name}, or said to be"


def _check_gate(journey: Journey, gate: Station, path: list[Node]) -> None:
    """Law 3."""
    places = {node: place for place, node in enumerate([*path, journey.blank])}
    assert gate.front in places, "the front has left the path"
    front = places[gate.front]
    for node in path[:front]:
        before = node.stage < gate.number or (node.stage == gate.number and node.state is HELD)
        assert node.state is FAILED or not before, "the front has passed a node that has not passed the gate"
    for node in path[front:]:
        passed = node.stage > gate.number or (node.stage == gate.number and node.state is not HELD)
        assert node.state is FAILED or not passed, "a node has passed the gate before its front"
    assert gate.front.state not in (HELD, FAILED), "the front may pass, and stands"


def _check_lanes(journey: Journey, station: Station) -> None:
    """Law 4."""
    for key, lane in station.lanes.items():
        assert lane.key == key
        assert lane.busy is not None or lane.parcels, "an empty lane is kept"
        assert lane.busy is not None or not lane.behind, "nobody is out, and the next waits"
        assert lane.busy is None or lane.busy.state in (WAITING, OUT, AGAIN)
        assert all(node.state is BEHIND for node in lane.behind)
        assert not lane.parcels or station is journey.turns
        indices = [node.item.index for node in (*([lane.busy] if lane.busy else []), *lane.behind)]
        assert indices == sorted(indices)


def _check_parcels(journey: Journey, path: list[Node]) -> None:
    """Law 6, unordered: a parcel's nodes are neighbours, and what could leave has left."""
    lanes = journey.turns.lanes.values() if journey.turns else ()
    places = {node: place for place, node in enumerate(path)}
    listed = [parcel for lane in lanes for parcel in lane.parcels]
    assert {id(node.parcel) for node in path if node.parcel} == {id(parcel) for parcel in listed}
    for parcel in listed:
        place = places[parcel.front]
        owned = [node for node in path if node.parcel is parcel]
        assert owned == path[place : place + parcel.left], "a parcel is not what it says"
    for lane in lanes:
        first = next(iter(lane.parcels), None)
        assert first is None or first.front.state not in (PASSED, FAILED), "ready, and kept"
    if not journey.ordered:
        assert all(node.parcel for node in path if node.state in (PASSED, FAILED)), "ready, and in the path"


def _check_starts(journey: Journey) -> None:
    """Law 5."""
    others = not journey.closed
    for station in journey.stations:
        assert not station.due(journey.now), f"stage {station.number}: what may start again waits"
        assert not station.startable(journey.now, not others), f"stage {station.number}: what may start waits"
        others = others or station.inside > 0
    idle = not journey.out and not journey.asked
    if idle and journey.admitted > journey.returned and not journey.ready and (journey.closed or journey.room <= 0):
        waits = [each for each in journey.stations if (each.line or each.again) and not each.most_out]
        assert waits or journey.alarm is not None, "nobody can go on"
