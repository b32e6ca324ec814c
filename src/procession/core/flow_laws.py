"""What holds between two steps of a flow; the laws are those at the top of flow.py."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any


class Mark(Enum):
    """Values that no outcome is; flow.py says what for."""

    NOTHING = auto()
    GONE = auto()


class Lane:
    """The items of one key: which one is out, and those held back behind it."""

    __slots__ = ("key", "running", "waiting")

    def __init__(self, key: Hashable, running: int) -> None:
        self.key = key
        self.running = running
        self.waiting: deque[tuple[int, Any]] = deque()


class FlowLaws:
    """The invariants of a `FlowCore`."""

    __slots__ = ()

    if TYPE_CHECKING:
        ordered: bool
        admitted: int
        finished: int
        handed: int
        dropped: int
        gone: int
        held: int
        current: deque[Any]
        runs: dict[int, list[Any]]
        line: deque[tuple[int, list[Any]]]
        lanes: dict[Hashable, Lane]
        lane_of: dict[int, Lane]

    def check(self) -> None:
        """The invariants; run after every event in tests."""
        inside = len(self.current) + sum(map(len, self.runs.values())) + sum(len(run) for _, run in self.line)
        assert self.finished - self.handed == inside, (self.finished, self.handed, inside)
        assert 0 <= self.handed <= self.finished <= self.admitted
        everything = [
            *self.current,
            *(o for run in self.runs.values() for o in run),
            *(o for _, r in self.line for o in r),
        ]
        assert self.gone == sum(outcome is Mark.GONE for outcome in everything)
        assert self.gone <= self.dropped
        assert not (self.line if self.ordered else self.runs), "outcomes are kept where they are not looked for"
        if self.ordered:
            assert all(start >= self.handed + len(self.current) for start in self.runs), (
                "the order has passed an outcome"
            )
        for key, lane in self.lanes.items():
            assert lane.key == key
            assert self.lane_of.get(lane.running) is lane, "the lane's item is out, or the lane is gone"
            held = [index for index, _ in lane.waiting]
            assert held == sorted(held)
            assert all(index > lane.running for index in held)
        assert self.held == len(self.lane_of) - len(self.lanes), "all of a lane but the one that is out"
        assert {id(lane) for lane in self.lane_of.values()} == {id(lane) for lane in self.lanes.values()}
