"""One stage of a journey: its gate, its keys, the line of what may start, and what is out. Laws: journey.py."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from heapq import heappop, heappush

from procession.core.flow import UNBOUNDED
from procession.core.gate import together
from procession.core.journey_node import AGAIN, BEHIND, FAILED, HELD, OUT, UNKEYED, WAITING, Lane, Node, Start
from procession.core.pace import Pace
from procession.record import record


@record
class Plan:
    """What one stage is. ValueError where the words do not go together."""

    many: bool = False
    """An outcome is a list of outputs, each of which goes on by itself."""
    batch: int = 1
    """So many inputs start together."""
    max_wait: int | None = None
    """How long, in ns, the first input of a batch waits for others; None: while others may come."""
    in_order: bool = False
    """Inputs start in path order."""
    keyed: bool = False
    """One input of a key is out at a time, in path order."""
    most_out: int | None = None
    """How many inputs may be out at once, to begin with; None: any number."""
    pace: Pace | None = None
    """How often something starts; there may be as many more out as have started and wait to run again."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, not {self.batch}")
        if self.max_wait is not None and self.max_wait < 0:
            raise ValueError(f"max_wait must not be negative, as {self.max_wait} is")
        if self.most_out is not None and self.most_out < 0:
            raise ValueError(f"most_out must not be negative, as {self.most_out} is")
        if self.keyed and self.batch > 1:
            raise ValueError("a stage has a key= or a batch=, not both")


@record
class StageCounts:
    """One stage. came = held + waiting + out + done + dropped."""

    came: int
    held: int
    """Wait for their turn in path order."""
    waiting: int
    """Wait for their key, for another of their key, for others of their batch, until fewer are out, or to run again."""
    out: int
    done: int
    """Have an outcome, failed ones included."""
    failed: int
    dropped: int
    outputs: int


@record
class Head:
    """The first node in path order that is not ready: what ordered hand-over waits for."""

    index: int
    stage: int
    out: bool


@record
class JourneyCounts:
    """A journey at one moment."""

    admitted: int
    returned: int
    """Items of which nothing is left."""
    ready: int
    handed: int
    """Nodes taken."""
    head: Head | None
    stages: tuple[StageCounts, ...]


class Station:
    """A stage and the nodes at it."""

    __slots__ = (
        *("number", "many", "batch", "max_wait", "gated", "has_key", "most_out", "pace"),
        *("front", "unkeyed", "lanes", "line", "again", "put_backs", "starts"),
        *("came", "inside", "held", "out", "done", "failed", "dropped", "outputs"),
    )

    def __init__(self, number: int, plan: Plan, front: Node) -> None:
        self.number = number
        self.many = plan.many
        self.batch = plan.batch
        self.max_wait = plan.max_wait
        self.gated = plan.in_order or plan.keyed
        self.has_key = plan.keyed
        self.most_out = UNBOUNDED if plan.most_out is None else plan.most_out
        self.pace = plan.pace
        self.front = front  # the first node that has not passed the gate
        self.unkeyed: OrderedDict[Node, None] = OrderedDict()
        self.lanes: dict[Hashable, Lane] = {}
        self.line: OrderedDict[Node, None] = OrderedDict()
        self.again: list[tuple[int, int, Node]] = []  # to start alone: when, and in which order
        self.put_backs = 0
        self.starts: deque[Start] = deque()
        self.came = 0
        self.inside = 0  # came, and neither done nor dropped
        self.held = 0
        self.out = 0
        self.done = 0  # have an outcome, be it a failure
        self.failed = 0
        self.dropped = 0
        self.outputs = 0  # values that went on from here

    # -- the gate and the keys ---------------------------------------------------------------------------------------

    def advance(self, now: int) -> None:
        """Let through what stands at the front of the gate and may pass."""
        node = self.front
        while True:
            if node.state is HELD:  # here: who is first before a gate has passed those of the stages before
                self.held -= 1
                if self.has_key:
                    node.state = UNKEYED
                    self.unkeyed[node] = None
                else:
                    self.line_up(node, now)
            elif node.state is not FAILED:
                break
            node = node.after
        self.front = node

    def lane(self, key: Hashable) -> Lane:
        """The lane of `key`. TypeError, and nothing has changed, if it is not hashable."""
        found = self.lanes.get(key)
        if found is None:
            found = self.lanes[key] = Lane(key)
        return found

    def enter(self, lane: Lane, node: Node, now: int) -> None:
        """`node` is the last of its key."""
        node.lane = lane
        if lane.busy is None:
            lane.busy = node
            self.line_up(node, now)
        else:
            node.state = BEHIND
            lane.behind[node] = None

    def leave(self, node: Node, now: int) -> None:
        """`node` has its outcome, or will never start: the next of its key may."""
        lane, node.lane = node.lane, None
        if lane is None:
            return
        if lane.busy is not node:
            del lane.behind[node]
            return
        lane.busy = None
        if lane.behind:
            lane.busy = lane.behind.popitem(last=False)[0]
            self.line_up(lane.busy, now)
        elif not lane.parcels:
            del self.lanes[lane.key]

    # -- the line ----------------------------------------------------------------------------------------------------

    def line_up(self, node: Node, now: int) -> None:
        """`node` may start."""
        node.state = WAITING
        node.since = now
        self.line[node] = None

    @property
    def deadline(self) -> int | None:
        """When the first in the line has waited for others long enough."""
        if self.max_wait is None or not self.line:
            return None
        return next(iter(self.line)).since + self.max_wait

    def alarms(self, now: int) -> list[int]:
        """When time may let something start here."""
        found = [] if (deadline := self.deadline) is None else [deadline]
        if self.again:
            found.append(self.again[0][0])
        if self.pace is not None and (self.line or self.again):
            found.append(self.pace.at(now))
        return found

    def startable(self, now: int, last: bool) -> int:
        """How many inputs start together now; `last` says that no others come to join them."""
        if not self.line:
            return 0
        most_out = self._allowed(now)
        ripe = last or ((deadline := self.deadline) is not None and now >= deadline)
        count = together(len(self.line), min(self.batch, most_out), most_out - self.out, ripe)
        if count and self.pace is not None and self.pace.at(now) > now:
            return 0
        return count

    def _allowed(self, now: int) -> int:
        """How many may be out: those that wait to run again are with nobody."""
        return self.most_out if self.pace is None else self.most_out + self.pace.resting(now) * self.batch

    def put_back(self, start: Start, when: int) -> None:
        """Each of these is to start again then, alone."""
        for node in start.nodes:
            node.state = AGAIN
            self.put_backs += 1
            heappush(self.again, (when, self.put_backs, node))

    def due(self, now: int) -> bool:
        """Whether one that is to start again may."""
        if not self.again or self.again[0][0] > now or self.out >= self._allowed(now):
            return False
        return self.pace is None or self.pace.at(now) <= now

    def start(self, now: int, last: bool) -> int:
        """Start what may; returns the number of inputs."""
        started = 0
        while self.due(now) and (self.pace is None or self.pace.grab(now)):
            started += self._out([heappop(self.again)[2]])
        while count := self.startable(now, last):
            if self.pace is not None and not self.pace.grab(now):
                break
            started += self._out([self.line.popitem(last=False)[0] for _ in range(count)])
        return started

    def _out(self, nodes: list[Node]) -> int:
        for node in nodes:
            node.state = OUT
        self.out += len(nodes)
        self.starts.append(Start(self.number, nodes))
        return len(nodes)

    def clear(self, blank: Node) -> None:
        """Nothing starts any more; what is not out is dropped. May be begun anew."""
        self.front = blank
        self.line.clear()
        self.again.clear()
        self.unkeyed.clear()
        self.lanes.clear()
        self.held = 0
        self.dropped += self.inside - self.out
        self.inside = self.out

    def counts(self) -> StageCounts:
        """What is where."""
        waiting = self.inside - self.held - self.out
        return StageCounts(
            *(self.came, self.held, waiting, self.out, self.done, self.failed, self.dropped, self.outputs)
        )
