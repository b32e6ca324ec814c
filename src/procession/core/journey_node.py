"""What moves through a journey: nodes, and what they belong to. The laws are in journey.py.

A *node* is one value on its way. All nodes of a journey are linked in path order, the order in which a sequential
program would meet them; the last is a blank one, which the next item fills, so that whoever has passed all there is
stands before what comes next.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum, auto
from typing import Any, Final


class State(Enum):
    """Where a node stands; the first four have not started at its stage."""

    HELD = auto()  # before the gate
    UNKEYED = auto()  # through the gate, its key is asked for
    BEHIND = auto()  # another input of its key goes first
    WAITING = auto()  # in the line
    OUT = auto()
    AGAIN = auto()  # was out with others, and is to be out again, alone
    PASSED = auto()  # through all stages
    FAILED = auto()
    GONE = auto()  # became nothing
    BLANK = auto()  # has no place yet


HELD: Final = State.HELD
UNKEYED: Final = State.UNKEYED
BEHIND: Final = State.BEHIND
WAITING: Final = State.WAITING
OUT: Final = State.OUT
AGAIN: Final = State.AGAIN
PASSED: Final = State.PASSED
FAILED: Final = State.FAILED
GONE: Final = State.GONE
BLANK: Final = State.BLANK


class Item:
    """One admitted value, and all that became of it."""

    __slots__ = ("index", "left")

    def __init__(self, index: int) -> None:
        self.index = index
        self.left = 1  # nodes that are neither taken nor gone


class Node:
    """One value on its way: where it is, and its neighbours in path order."""

    __slots__ = ("after", "before", "item", "lane", "parcel", "place", "since", "stage", "state", "value")
    before: Node
    after: Node
    item: Item

    def __init__(self) -> None:
        self.state = BLANK
        self.stage = 0  # of a failed one: where it failed
        self.place: tuple[int, ...] = ()  # among the outputs of each stage so far that makes many
        self.value: Any = None
        self.since = 0  # when it came into the line
        self.lane: Lane | None = None
        self.parcel: Parcel | None = None

    def link(self, before: Node) -> None:
        """Take the place behind `before`."""
        after = before.after
        self.before, self.after = before, after
        before.after = after.before = self

    def unlink(self) -> None:
        """Leave the path. Who still holds the node holds no neighbours by it."""
        before, after = self.before, self.after
        before.after = after
        after.before = before
        del self.before, self.after


class Lane:
    """The inputs of one key at one stage."""

    __slots__ = ("behind", "busy", "key", "parcels")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.busy: Node | None = None  # in the line, or out
        self.behind: OrderedDict[Node, None] = OrderedDict()
        self.parcels: OrderedDict[Parcel, None] = OrderedDict()  # in the order in which they leave


class Parcel:
    """What one keyed input became: neighbours in the path, which leave together with regard to their key."""

    __slots__ = ("front", "lane", "left")

    def __init__(self, lane: Lane, front: Node) -> None:
        self.lane = lane
        self.front = front  # the first that has not left
        self.left = 1


class Start:
    """Inputs of one stage to be started together."""

    __slots__ = ("nodes", "open", "size", "stage")

    def __init__(self, stage: int, nodes: list[Node]) -> None:
        self.stage = stage
        self.nodes = nodes
        self.size = len(nodes)
        self.open = True  # waits for its outcomes

    @property
    def values(self) -> list[Any]:
        """The inputs, while it is open."""
        return [node.value for node in self.nodes]
