"""A pipeline's decisions: items pass stages, some become many or none, and are handed over. `FlowCore` for n stages.

An item is *admitted*; it is one *node* then, which comes to stage 0, 1, ... Coming to a stage it may have to wait at a
gate, for its key, in a line; it *starts*, alone or in a batch, gets its *outcome*, and goes on: as one node, or, where
the stage makes many, as k nodes in its place. Having passed all stages, or failed, it becomes *ready* and is *taken*.

Laws (`check` proves them after every event in tests)
1. Indices are given without gaps. An item has a credit from `admit` until none of its nodes is left; the window bounds
   the credits.
2. *Path order* is the order in which a sequential program would meet the nodes: by index, then by the place among the
   outputs at each stage that makes many. The list of nodes is in path order, always.
3. Each gate (of a stage that starts in order, or has keys) has a front: what is before it has passed, it has not. A
   node passes at the front, when its input is there. A failed one passes every gate and starts nowhere.
4. Of one key at most one node of a stage is in line or out; they start in path order.
5. What is in line starts as soon as fewer than `most_out` are out. A batch waits until it is full (`batch`, or
   `most_out` if that is less), its first has waited `max_wait`, or no other can come to join it:
   a. nothing more is admitted, and nothing is at the stages before;
   b. or nothing is out anywhere, no key is asked for, and nothing can be admitted. Then all that could go on waits in
      lines, and the first line that may starts. Whether something is ready does not matter: so no taker has to start
      anything.
   Where a stage has a pace, nothing starts without a token of it (pace.py).
   So whenever items are inside, one of these is so: something is out, a key is asked for, something is ready, there is
   room for more, `most_out` is 0 where they wait, or they wait for a token or for their time to start again, and
   `alarm` says how long.
6. ordered: nodes are taken in path order, failed ones in their places. Unordered: as they came through, except that
   what became of the inputs of one key, at the last stage that has keys, leaves in path order.
   What was started together and is to start `again` does so alone, each as soon as it may, before those in line.
7. A dropped node is as if its stage had made nothing of it. After `cancel` nothing starts and nothing is taken.
8. A raising signal may strike `take`, `untake` and `cancel` where law 6 of flow.py says. The state is whole there, and
   any of the three can be begun anew. The other operations are for a thread that no signal strikes.

All is O(1) for each node and stage, amortised: fronts only move on, and nothing is looked for.

Not thread-safe: whoever shares a journey holds a lock. Of an outcome nothing is looked at but whether it is `Raised`,
and, where a stage makes many, the list. Times are in ns; an operation that is told none goes by the latest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any

from procession.core import journey_laws
from procession.core.flow import NOTHING, UNBOUNDED
from procession.core.journey_node import BEHIND, HELD, OUT, UNKEYED, WAITING, Node, Parcel, Start
from procession.core.journey_path import Path
from procession.core.journey_stage import Head, JourneyCounts, Plan
from procession.core.state import CoreError
from procession.types import Raised


class Journey(Path):
    """One run's decisions. A window of any size may be given, and changed by `bound`."""

    __slots__ = ("cancelled", "closed", "handed", "out", "window")

    def __init__(self, plans: Sequence[Plan], window: int = UNBOUNDED, *, ordered: bool = True) -> None:
        super().__init__(plans, ordered)
        self.window = window
        self.handed = 0
        self.out = 0
        self.closed = False
        self.cancelled = False

    # -- looking -----------------------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more items the window admits; may be negative after it was narrowed."""
        return self.window - self.admitted + self.returned

    @property
    def ended(self) -> bool:
        """Nothing is left and nothing comes any more."""
        return self.closed and not self.out and (self.cancelled or self.admitted == self.returned)

    @property
    def alarm(self) -> int | None:
        """When `clock` is to be told the time, if nothing else happens before."""
        alarms = [at for station in self.stations for at in station.alarms(self.now)]
        return min((at for at in alarms if at > self.now), default=None)

    def starts(self, stage: int) -> deque[Start]:
        """What is to be started at `stage`, in order. What is in there was not started, should `cancel` come."""
        return self.stations[stage].starts

    def unkeyed(self) -> list[Node]:
        """Nodes whose keys `keyed` is to be told, in this order; of each, its `value` at its `stage`."""
        return [node for station in self.gates for node in station.unkeyed]

    def stats(self) -> JourneyCounts:
        """What is where. O(stages)."""
        first = self.top.after
        head = None if first is self.blank else Head(first.item.index, first.stage, first.state is OUT)
        stages = tuple(station.counts() for station in self.stations)
        return JourneyCounts(self.admitted, self.returned, len(self.ready), self.handed, head, stages)

    def check(self) -> None:
        """The invariants; run after every event in tests."""
        journey_laws.check(self)

    # -- going in ----------------------------------------------------------------------------------------------------

    def admit(self, values: Sequence[Any], now: int = 0) -> list[Node]:
        """The next items. Whether there is room, the caller has asked."""
        if self.closed:
            raise CoreError("an item after the end")
        self.now = max(self.now, now)
        nodes = self._enter(values)
        self._start()
        return nodes

    def keyed(self, node: Node, key: Hashable | Raised, now: int = 0) -> None:
        """The key of the first that `unkeyed` names of its stage; or why there is none, which is its failure.

        TypeError, and nothing has changed, if the key is not hashable. Of a node that was dropped it means nothing.
        """
        if self.cancelled or node.state is not UNKEYED:
            return
        self.now = max(self.now, now)
        station = self.stations[node.stage]
        if next(iter(station.unkeyed)) is not node:
            raise CoreError(f"stage {node.stage}: keys are told in the order in which they are asked for")
        lane = station.lane(key) if key.__class__ is not Raised else None
        del station.unkeyed[node]
        self.asked -= 1
        if lane is None:
            station.done += 1
            station.inside -= 1
            self._fail(node, station, key)
        else:
            if station is self.turns:
                node.parcel = Parcel(lane, node)
                lane.parcels[node.parcel] = None
            station.enter(lane, node, self.now)
        self._start()

    def close(self) -> None:
        """No more items."""
        self.closed = True
        self._start()

    # -- changing one's mind -----------------------------------------------------------------------------------------

    def clock(self, now: int) -> None:
        """It is `now`."""
        self.now = max(self.now, now)
        self._start()

    def bound(self, window: int) -> None:
        """Another window; a narrower one takes effect as items leave."""
        self.window = window
        self._start()

    def allow(self, stage: int, most_out: int | None = None) -> None:
        """So many inputs of `stage` may be out at once, or any number; less takes effect as outcomes come."""
        self.stations[stage].most_out = UNBOUNDED if most_out is None else most_out
        self._start()

    def drop(self, node: Node, now: int = 0) -> bool:
        """Whether `node` had not started where it is: it never will then, and nothing becomes of it."""
        if self.cancelled or node.state not in (HELD, UNKEYED, BEHIND, WAITING):
            return False
        self.now = max(self.now, now)
        station = self.stations[node.stage]
        if node.state is HELD:
            station.held -= 1
        elif node.state is UNKEYED:
            del station.unkeyed[node]
            self.asked -= 1
        elif node.state is WAITING:
            del station.line[node]
        station.leave(node, self.now)
        station.dropped += 1
        station.inside -= 1
        self._vanish(node)
        self._start()
        return True

    def cancel(self) -> None:
        """Nothing starts and nothing is handed over any more; outcomes of what is out are let go as they come."""
        self.closed = self.cancelled = True
        for station in self.stations:
            starts = station.starts
            while starts:
                start = starts[-1]
                start.open = False
                station.out -= start.size
                self.out -= start.size
                del starts[-1]
            station.clear(self.blank)
        self.asked = 0
        self.ready.clear()
        while self.top.after is not self.blank:
            self.top.after.unlink()

    # -- coming back -------------------------------------------------------------------------------------------------

    def done(self, start: Start, outcomes: Sequence[Any], now: int = 0) -> None:
        """The outcomes of its inputs, in order: each `Raised`, or a value, or, of a stage that makes many, a list."""
        if len(outcomes) != start.size:
            raise ValueError(f"stage {start.stage}: {len(outcomes)} outcomes of {start.size} inputs")
        station = self.stations[start.stage]
        if not start.open:
            if self.cancelled:
                return
            raise CoreError(f"stage {start.stage}: a second outcome")
        start.open = False
        station.out -= start.size
        station.inside -= start.size
        station.done += start.size
        self.out -= start.size
        if self.cancelled:
            return
        self.now = max(self.now, now)
        for node, outcome in zip(start.nodes, outcomes, strict=True):
            station.leave(node, self.now)
            if station.many and outcome.__class__ is not Raised:
                self._become(node, station, outcome)
            else:
                self._go_on(node, station, outcome)
        self._start()

    def again(self, start: Start, delay: int, now: int = 0) -> None:
        """There is no outcome: what it was made of nobody can say. Each input is to start alone, in `delay` ns."""
        if not start.open:
            if self.cancelled:
                return
            raise CoreError(f"stage {start.stage}: again, after its outcome")
        station = self.stations[start.stage]
        start.open = False
        station.out -= start.size
        self.out -= start.size
        if self.cancelled:
            station.inside -= start.size
            station.dropped += start.size
            return
        self.now = max(self.now, now)
        station.put_back(start, self.now + delay)
        self._start()

    def _start(self) -> None:
        """Law 5."""
        if self.cancelled:
            return
        others = not self.closed  # may come to the stage that is looked at
        for station in self.stations:
            if station.line or station.again:
                self.out += station.start(self.now, last=not others)
            others = others or station.inside > 0
        if not self.out and not self.asked and (self.closed or self.room <= 0):
            for station in self.stations:
                if started := station.start(self.now, last=True):
                    self.out += started
                    break

    # -- going out ---------------------------------------------------------------------------------------------------

    def take(self) -> Any:
        """Hand over the next node, or return NOTHING. If its `value` is Raised, `stage` is where it failed."""
        ready = self.ready
        if not ready or self.cancelled:
            return NOTHING
        node = ready[0]
        item = node.item
        del ready[0]
        self.handed += 1
        item.left -= 1
        if not item.left:
            self.returned += 1
        return node

    def untake(self, node: Node) -> None:
        """The latest that `take` returned did not reach anybody: it is the next again."""
        if self.cancelled:
            return
        item = node.item
        if not item.left:
            self.returned -= 1
        item.left += 1
        self.handed -= 1
        self.ready.appendleft(node)
