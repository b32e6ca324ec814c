"""Windows and order: the one implementation of both, for map, imap, SpinOff and whatever else hands items over.

An item is *admitted* (given the next index), may *start* (at once, or when its predecessor of the same key has its
outcome), gets its *outcome* (in any order, as runs of neighbours), and is *handed over* or *dropped*.

Laws (`FlowLaws.check` proves them after every event in tests)
1. Indices are given without gaps. Each item gets one outcome, and is handed over once or dropped once.
2. handed + dropped <= finished <= admitted; the window bounds what is admitted and neither handed over nor dropped.
3. ordered: items are handed over in the order of their indices. Unordered: as their outcomes came, a run in its order.
4. Of one key at most one item has started and has no outcome, and they start in the order of their indices. So
   unordered hand-over keeps the order of each key.
5. `starts` holds what may start and was not fetched yet, in order. Whoever fetches looks, acts, and removes it last.
6. A raising signal may strike wherever the interpreter looks for one: when a Python function is entered, when a call
   of a C function returns, at the end of a loop's body. There the state is whole: it can be read, and any operation
   begun anew. So what belongs together is changed without a call in between; `d += (x,)` appends without one.

Not thread-safe: whoever shares a flow holds a lock. Nothing is looked at inside an outcome but whether it is `GONE`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Final

from procession.core.flow_laws import FlowLaws, Lane, Mark

NOTHING: Final = Mark.NOTHING
"""What `take` returns when nothing is ready."""
GONE: Final = Mark.GONE
"""In the place of a dropped item's outcome, until the order has passed it."""
UNBOUNDED: Final = 1 << 62
"""A window that is never full."""


class FlowCore(FlowLaws):
    """One flow's decisions. `window` may be changed at any time; a narrower one takes effect as items leave."""

    __slots__ = (
        *("window", "ordered", "admitted", "finished", "handed", "dropped", "gone", "closed"),
        *("current", "place", "runs", "line", "starts", "lanes", "lane_of", "held"),
    )

    def __init__(self, window: int = UNBOUNDED, *, ordered: bool = True) -> None:
        self.window = window
        self.ordered = ordered
        self.admitted = 0
        self.finished = 0  # have an outcome, or were dropped before they had one
        self.handed = 0  # left the flow: handed over, or dropped and passed by the order
        self.dropped = 0
        self.gone = 0  # dropped, and not yet passed by the order
        self.closed = False
        self.current: deque[Any] = deque()  # outcomes whose turn it is
        self.place = 0  # index of current[0]
        self.runs: dict[int, list[Any]] = {}  # ordered: outcomes that came, by the index of the first
        self.line: deque[tuple[int, list[Any]]] = deque()  # unordered: the same, as they came
        self.starts: deque[Any] = deque()
        self.lanes: dict[Hashable, Lane] = {}
        self.lane_of: dict[int, Lane] = {}
        self.held = 0  # wait for their predecessor of the same key

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more items the window admits; may be negative after it was narrowed."""
        return self.window - self.admitted + self.handed + self.gone

    @property
    def ready(self) -> bool:
        """Whether `take` would find something; perhaps only a dropped item to pass."""
        if self.current:
            return True
        return self.handed in self.runs if self.ordered else bool(self.line)

    @property
    def ended(self) -> bool:
        """Nothing is left and nothing comes any more."""
        return self.closed and self.admitted == self.handed

    def hottest(self) -> tuple[Hashable | None, int]:
        """The key of which most items wait for their predecessor, and how many do; None and 0 when none does."""
        hot: Hashable | None = None
        most = 0
        for lane in self.lanes.values():
            if len(lane.waiting) > most:
                waiting = sum([index in self.lane_of for index, _ in lane.waiting])  # the others were dropped
                if waiting > most:
                    hot, most = lane.key, waiting
        return hot, most

    # -- going in ------------------------------------------------------------------------------------------------

    def admit(self, count: int = 1) -> int:
        """The next `count` items; returns the index of the first. Whether there is room, the caller has asked."""
        first = self.admitted
        self.admitted = first + count
        return first

    def admit_one(self, item: Any) -> None:
        """The next item, without a key: it may start at once and goes to `starts`."""
        self.admitted += 1
        self.starts += (item,)

    def admit_keyed(self, key: Hashable, item: Any) -> None:
        """The next item: it goes to `starts` when no item of `key` is out, and otherwise when its turn comes."""
        fresh = Lane(key, -1)
        lane = self.lanes[key] if key in self.lanes else fresh  # noqa: SIM401  # law 6
        index = self.admitted
        if lane.running < 0:
            lane.running = index
            self.lanes[key] = lane
            self.lane_of[index] = lane
            self.admitted = index + 1
            self.starts += (item,)
        else:
            self.lane_of[index] = lane
            self.admitted = index + 1
            self.held += 1
            lane.waiting += ((index, item),)

    def close(self) -> None:
        """No more items."""
        self.closed = True

    # -- coming back -----------------------------------------------------------------------------------------------

    def done(self, start: int, outcomes: list[Any]) -> None:
        """Items `start`, `start + 1`, ... have these outcomes. The list is the flow's from here on."""
        count = len(outcomes)
        if self.lane_of:
            for index in range(start, start + count):
                self._leave_lane(index)
        if self.ordered:
            self.runs[start] = outcomes
        else:
            self.line += ((start, outcomes),)
        self.finished += count

    def done_one(self, index: int, outcome: Any) -> None:
        """`done` of one item."""
        if self.lane_of:
            self._leave_lane(index)
        if self.ordered:
            self.runs[index] = [outcome]
        else:
            self.line += ((index, [outcome]),)
        self.finished += 1

    def drop(self, index: int) -> None:
        """This item, which has no outcome, will never have one: it does not run and is not handed over."""
        if self.lane_of:
            self._leave_lane(index)
        if self.ordered:
            self.runs[index] = [GONE]
            self.gone += 1
        else:
            self.handed += 1
        self.finished += 1
        self.dropped += 1

    def drop_ready(self) -> Any:
        """Drop the oldest outcome that waits to be handed over; returns it, or NOTHING."""
        if (not self.ordered or self.ready) and (outcome := self.take()) is not NOTHING:
            self.dropped += 1
            return outcome
        for start in sorted(self.runs):
            run = self.runs[start]
            for at, outcome in enumerate(run):
                if outcome is not GONE:
                    run[at] = GONE
                    self.gone += 1
                    self.dropped += 1
                    return outcome
        return NOTHING

    def _leave_lane(self, index: int) -> None:
        """Let the successor start, if this item was the one that is out."""
        lane = self.lane_of[index] if index in self.lane_of else None  # noqa: SIM401  # law 6
        if lane is None:
            return
        if lane.running != index:  # held back: its place in the lane is passed when its turn comes
            self.held -= 1
            del self.lane_of[index]
            return
        waiting = lane.waiting
        while waiting and waiting[0][0] not in self.lane_of:
            del waiting[0]
        if waiting:
            successor, item = waiting[0]
            lane.running = successor
            self.held -= 1
            del waiting[0]
            del self.lane_of[index]
            self.starts += (item,)
        else:
            del self.lane_of[index]
            del self.lanes[lane.key]

    # -- going out -------------------------------------------------------------------------------------------------

    def take(self) -> Any:
        """Hand over the next outcome, or return NOTHING. Its index is then `place - 1`."""
        while True:
            if not self.current and not self._turn():
                return NOTHING
            current = self.current
            if not current:
                continue  # a signal handler took it
            outcome = current[0]
            del current[0]
            self.place += 1
            self.handed += 1
            if outcome is not GONE:
                return outcome
            self.gone -= 1

    def take_run(self) -> list[Any] | None:
        """Ordered, where nothing was taken singly: hand over the next run, or return None."""
        first = self.handed
        if first not in self.runs:
            return None
        run = self.runs[first]
        count = len(run)
        del self.runs[first]
        self.handed += count
        return run

    def take_all(self) -> deque[Any]:
        """Hand over all whose turn it is, dropped ones left out."""
        fresh: deque[Any] = deque()
        while True:
            while self._turn():
                pass
            seen = self.handed
            current = self.current
            count = len(current)
            gone = current.count(GONE) if self.gone else 0
            if current is self.current and seen == self.handed:  # no signal handler took meanwhile
                self.current = fresh
                self.handed = seen + count
                self.gone -= gone
                break
        return deque([outcome for outcome in current if outcome is not GONE]) if gone else current

    def pass_gone(self) -> None:
        """Let the order pass dropped items whose turn it is: what is `ready` then can be taken."""
        while self.gone and (self.current or self._turn()):
            current = self.current
            if not current:
                continue  # a signal handler took it
            if current[0] is not GONE:
                return
            del current[0]
            self.place += 1
            self.handed += 1
            self.gone -= 1

    def untake(self, outcome: Any) -> None:
        """The latest that `take` returned did not reach anybody: it is the next again."""
        self.untake_all([outcome])

    def untake_all(self, outcomes: list[Any]) -> None:
        """The same of the latest few. In one step: from then on the list is empty."""
        count = len(outcomes)
        while outcomes:
            current, fresh = self.current, deque(outcomes)
            fresh += current
            if current is self.current and len(fresh) == count + len(current):  # no signal handler took meanwhile
                self.current = fresh
                self.handed -= count
                self.place -= count
                del outcomes[:]

    def exchange(self, start: int, run: list[Any], at: int, outcome: Any) -> bool:
        """Put `outcome` in the place of `run[at]`, of a run that began at `start`; False if that is no more there."""
        kept = self.runs[start] if start in self.runs else None  # noqa: SIM401  # law 6
        if run[at] is GONE or (kept is not run and not any(each is run for _, each in reversed(self.line))):
            return False
        run[at] = outcome
        return True

    def _turn(self) -> bool:
        """Move the next run behind `current`."""
        if self.ordered:
            place = self.handed + len(self.current)
            if place not in self.runs:
                return False
            run = self.runs[place]
            del self.runs[place]
        else:
            if not self.line:
                return False
            place, run = self.line[0]
            del self.line[0]
        if not self.current:
            self.place = place
        self.current += run
        return True
