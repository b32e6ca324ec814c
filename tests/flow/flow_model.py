"""A flow with all that goes with it, beside a sequential program: events by short names, and what must hold after each.

The flow, its ledger, the pump (`Handover`) and the spilling are the real ones. The engine only writes down what it is
given, the thread that spills is an event, and what it writes stays in memory. Results are `UNIT` bytes times their
weight and say whose they are. Everything here looks through all there is, each time.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from procession.core.flow import NOTHING, FlowCore
from procession.core.ledger import FADE, Ledger
from procession.handover import Handover
from procession.spilling import Spill
from procession.starts import Known, failed
from procession.types import Raised
from procession.weighing import weigh
from tests.exploring import every_sequence

Event = tuple[Any, ...]
UNIT: Final = 100
FAIL: Final = 0
"""In the place of a result's weight: the item raises."""


class Setup(NamedTuple):
    """A small flow, and what may happen to it."""

    name: str
    items: int
    window: int
    keys: str = ""
    limit: int = 0
    """Of the ledger, in units; 0: no ledger."""
    spill: bool = False
    workers: int = 1
    weights: Sequence[int] = (1, FAIL)
    chunk: int = 1
    drops: bool = True
    unsent: bool = False
    rare: bool = False
    """Takers are interrupted, and something else happens while results are written."""
    ends: bool = False
    """The input may end at any time."""


class Start:
    """What the pump posts."""

    __slots__ = ("index", "size")

    def __init__(self, index: int, size: int = 1) -> None:
        self.index = index
        self.size = size

    def renewed(self) -> Start:
        return self

    @property
    def range(self) -> range:
        return range(self.index, self.index + self.size)


class Aside(NamedTuple):
    """A result that was spilled."""

    index: int


class Item:
    """What the sequential program knows of one item."""

    def __init__(self, key: Hashable, state: str) -> None:
        self.key = key
        self.state = state  # held, waits, out, done, gone, handed
        self.outcome: Any = None
        self.weight = 0  # in memory, as the ledger has it
        self.sendable = True


def result(index: int, weight: int) -> Any:
    if weight == FAIL:
        return Raised(ValueError(index))
    return bytes([index]).ljust(UNIT * weight - weigh(b""), b".")


def index_of(outcome: Any) -> int:
    if isinstance(outcome, Aside):
        return outcome.index
    index: int = outcome.error.args[0] if isinstance(outcome, Raised) else outcome[0]
    return index


class Flowing(Handover):
    """As streams and spin-offs have it, both in one."""

    def __init__(self, rig: Rig, flow: FlowCore, ledger: Ledger | None) -> None:
        engine = SimpleNamespace(post=rig.posted_now, capabilities=SimpleNamespace(in_caller=False))
        super().__init__(engine, flow, ledger)  # type: ignore[arg-type]
        self.rig = rig
        self.knows = True

    def _came(self, index: int, weight: int, start: int = 0, run: list[Any] | None = None) -> None:
        super()._came(index, weight)
        if self.rig.setup.spill and self.ledger is not None and run is not None:
            self.ledger.may_move(index, start, run, index - start)

    def unfinished(self, batch: list[Any]) -> int:
        return sum(self.rig.items[index].state == "waits" for each in batch for index in range_of(each))

    def tell(self, known: Known) -> None:
        if self.rig.items[known.index].state == "waits":
            self.rig.settle(known.index, "done", known.outcomes[0], 0)
            super().tell(known)

    def refused(self, posted: list[Any], error: RuntimeError) -> None:
        raise AssertionError("this engine refuses nothing") from error


def range_of(start: Any) -> range:
    return range(start.index, start.index + start.size)


class Drawer(Spill):
    """Keeps in memory what it is to write; while it does, something else may happen."""

    def __init__(self, rig: Rig, flowing: Flowing) -> None:
        super().__init__(flowing, "rig")
        self._rig = rig
        self._errands = rig  # type: ignore[assignment]

    def _write(self, data: bytes) -> Any:
        if self._rig.meanwhile:
            self._rig.act(self._rig.meanwhile.pop(0))
        return Aside(index_of(pickle.loads(data)))


class Rig:
    """One flow, its events, and the oracle."""

    def __init__(
        self, setup: Setup, ordered: bool, flow: type[FlowCore] = FlowCore, ledger: type[Ledger] = Ledger
    ) -> None:
        self.setup = setup
        self.ordered = ordered
        self.flow = flow(setup.window, ordered=ordered)
        self.ledger = ledger(setup.limit * UNIT, setup.workers) if setup.limit else None
        self.flowing = Flowing(self, self.flow, self.ledger)
        self.spill = Drawer(self, self.flowing) if setup.spill else None
        self.items: list[Item] = []
        self.came: list[int] = []  # in the order in which their outcomes came
        self.handed: list[Any] = []
        self.aside: set[int] = set()
        self.expected = 0
        self.errands: list[Callable[[], object]] = []
        self.meanwhile: list[Event] = []
        self.singly = True  # nothing was ever taken but one by one
        self.equal = True  # all that came has weighed the same

    # -- the sequential program --------------------------------------------------------------------------------------

    def sequential(self, key: Hashable = NOTHING) -> list[Any]:
        """What comes out, of one key or of all; None for what is not known yet."""
        items = [item for item in self.items if key is NOTHING or item.key == key]
        return [item.outcome for item in items if item.state != "gone"]

    def settle(self, index: int, state: str, outcome: Any = None, weight: int = 0) -> None:
        """An item has its outcome, or never will; the next of its key may start."""
        item = self.items[index]
        was, item.state, item.outcome, item.weight = item.state, state, outcome, weight
        if state == "done":
            self.came.append(index)
        if was != "held" and item.key is not None:
            mate = next((each for each in self.items if each.key == item.key and each.state == "held"), None)
            if mate is not None:
                mate.state = "waits"

    # -- events ------------------------------------------------------------------------------------------------------

    def act(self, event: Event) -> None:
        """Let it happen."""
        getattr(self, "_" + event[0])(*event[1:])

    def step(self, event: Event) -> None:
        """Let it happen, and look."""
        self.act(event)
        self.look()

    def post(self, errand: Callable[[], object]) -> None:
        """Of the thread that spills."""
        self.errands.append(errand)

    def posted_now(self, starts: Sequence[Any]) -> None:
        """The engine is given these."""
        for start in starts:
            for index in range_of(start):
                item = self.items[index]
                assert item.state in ("waits", "gone"), f"item {index} is posted, and {item.state}"
                if item.state == "waits":
                    mates = [each for each in self.items if each.key == item.key and each.state == "out"]
                    assert item.key is None or not mates, "two of a key"
                    earlier = [each.state for each in self.items[:index] if each.key == item.key]
                    assert item.key is None or not {"held", "waits"} & set(earlier), "out of the key's order"
                    item.state = "out"
        if self.ledger is not None:
            self.look_at_room(starts)

    def look_at_room(self, starts: Sequence[Any]) -> None:
        """Law 2 of the ledger, or law 3."""
        self.find_aside()
        out, total = len(self.of("out")), self.total
        if self.expected:
            fits = total + out * self.expected <= self.setup.limit * UNIT
        else:
            fits = out <= self.setup.workers
        if not fits and self.of("out"):
            (start,) = starts
            first = min(self.of("held", "waits", "out"))
            assert out <= start.size, "no room, and others are out"
            assert start.index == first, "no room, and it is not the one that is waited for"
            assert not self.flow.ready, "no room, and something is ready"

    def _admit(self, key: Hashable = None, count: int = 1, sendable: bool = True) -> None:
        index = len(self.items)
        busy = key is not None and any(
            each.key == key and each.state in ("held", "waits", "out") for each in self.items
        )
        for _ in range(count):
            self.items.append(Item(key, "held" if busy else "waits"))
            self.items[-1].sendable = sendable
        start = Start(index, count) if sendable else failed(index, ValueError(index))
        with self.flowing.lock:
            if key is not None:
                self.flow.admit_keyed(key, start)
            elif count == 1:
                self.flow.admit_one(start)
            else:
                assert self.flow.admit(count) == index
                self.flow.starts.append(start)
        self.flowing.pump()

    def _done(self, start: int, weights: Sequence[int]) -> None:
        outcomes = [result(index, weight) for index, weight in enumerate(weights, start)]
        for index, outcome in enumerate(outcomes, start):
            weight = weigh(outcome)
            self.equal = self.equal and self.expected in (0, weight)
            faded = self.expected - -(-self.expected // FADE)
            self.expected = max(weight, faded) if self.ledger is not None else 0
            self.settle(index, "done", outcome, weight)
        self.flowing.arrived(start, list(outcomes))
        if self.spill is not None:
            self.spill.look()

    def _drop(self, index: int) -> None:
        """One that has no outcome is cancelled."""
        with self.flowing.lock:
            self.flow.drop(index)
        self.settle(index, "gone")
        self.flowing.pump()

    def _drop_ready(self) -> None:
        """The oldest that has one is."""
        with self.flowing.lock:
            outcome = self.flow.drop_ready()
        waiting = self.of("done")
        oldest = min(waiting, default=None) if self.ordered else self.next()
        assert outcome is NOTHING if oldest is None else index_of(outcome) == oldest, "not the oldest"
        if oldest is not None:
            self.left(oldest, "gone")

    def _take(self) -> None:
        with self.flowing.lock:
            outcome, place = self.flow.take(), self.flow.place - 1
        if outcome is NOTHING:
            assert self.next() is None
        else:
            assert not self.singly or place == index_of(outcome)
            self.hand_over(outcome)

    def _take_some(self, most: int) -> None:
        """All are taken, and those that nobody wanted are given back."""
        self.singly = False
        with self.flowing.lock:
            got = list(self.flow.take_all())
        assert len(got) <= most or self.flow.handed == len(self.items) or self.next() is not None
        with self.flowing.lock:
            for outcome in reversed(got[most:]):
                self.flow.untake(outcome)
        for outcome in got[:most]:
            self.hand_over(outcome, pumps=False)
        self.flowing.pump()

    def _untake(self, late: bool) -> None:
        """A taker is interrupted; `late`: when the ledger had let go already."""
        with self.flowing.lock:
            outcome = self.flow.take()
            if outcome is not NOTHING:
                if late and self.ledger is not None:
                    self.ledger.left(index_of(outcome))
                    self.items[index_of(outcome)].weight = 0
                    self.aside.discard(index_of(outcome))
                self.flow.untake(outcome)
        self.flowing.pump()

    def hand_over(self, outcome: Any, pumps: bool = True) -> None:
        index = index_of(outcome)
        assert isinstance(outcome, Aside) or outcome == self.items[index].outcome or isinstance(outcome, Raised)
        assert index == self.next(), "not in its place"
        self.handed.append(index)
        self.left(index, "handed", pumps)

    def left(self, index: int, state: str, pumps: bool = True) -> None:
        self.items[index].state = state
        self.came.remove(index)
        self.aside.discard(index)
        if self.ledger is not None:
            with self.flowing.lock:
                self.ledger.left(index)
        if pumps:
            self.flowing.pump()

    def _write(self, *meanwhile: Event) -> None:
        """The thread that spills does what it was asked for; something happens while it writes."""
        self.meanwhile = [*meanwhile]
        self.errands.pop()()
        assert self.spill is not None
        assert self.ledger is not None
        assert self.ledger.total <= self.spill.high or not self.ledger.loose, "it stopped early"

    def _window(self, window: int) -> None:
        self.flow.window = window

    def _close(self) -> None:
        with self.flowing.lock:
            self.flow.close()

    # -- looking -----------------------------------------------------------------------------------------------------

    def of(self, *states: str) -> list[int]:
        return [index for index, item in enumerate(self.items) if item.state in states]

    def next(self) -> int | None:
        """Whose turn it is."""
        if not self.ordered:
            return self.came[0] if self.came else None
        first = min(self.of("held", "waits", "out", "done"), default=None)
        return first if first is not None and self.items[first].state == "done" else None

    @property
    def total(self) -> int:
        return sum(self.items[index].weight for index in self.of("done") if index not in self.aside)

    def look(self) -> None:
        """What must hold."""
        flow, ledger = self.flow, self.ledger
        flow.check()
        self.find_aside()
        inside = self.of("held", "waits", "out", "done")
        assert flow.room == flow.window - len(inside), "a place is lost, or back too early"
        assert flow.ended is (flow.closed and not inside and not flow.gone)
        assert (flow.admitted, flow.admitted - flow.finished) == (
            len(self.items),
            len(self.of("held", "waits", "out")),
        )
        assert flow.ready or self.next() is None, "its turn has come, and nobody is told"
        assert flow.dropped == len(self.of("gone"))
        starts = [index for each in flow.starts for index in range_of(each)]
        assert [i for i in starts if self.items[i].state != "gone"] == [i for i in starts if i in self.of("waits")]
        assert set(self.of("waits")) == set(starts) & set(self.of("waits")), "what may start is not offered"
        held = Counter([self.items[index].key for index in self.of("held")])
        hot, most = flow.hottest()
        assert most == max(held.values(), default=0)
        assert held[hot] == most if most else hot is None
        head, _ = self.flowing.look_at_head()
        waited = self.ordered and self.next() is None and self.of("done")
        assert head == (min(self.of("held", "waits", "out")) if waited else None) or flow.gone
        if ledger is not None:
            self.look_at_ledger(ledger)
        else:
            assert not flow.starts, "what may start waits"

    def find_aside(self) -> None:
        runs = [*self.flow.runs.values(), *(run for _, run in self.flow.line), self.flow.current]
        self.aside |= {each.index for run in runs for each in run if isinstance(each, Aside)} & set(self.of("done"))
        self.aside &= {index for index in self.aside if self.items[index].weight}

    def look_at_ledger(self, ledger: Ledger) -> None:
        if self.of("done"):
            assert (ledger.total, ledger.aside) == (self.total, len(self.aside)), "the books are wrong"
        assert set(ledger.loose) <= set(self.of("done")) or not self.of("done")
        out = self.of("out")
        assert out or self.flow.ready or not self.of("waits"), "it stands still"
        if self.flow.starts:
            size = self.flow.starts[0].size
            after = self.total + (len(out) + size) * self.expected
            full = len(out) + size > self.setup.workers if not self.expected else after > self.setup.limit * UNIT
            assert full, "there is room, and what may start waits"
        high = self.setup.limit * UNIT // 2
        if self.spill is not None and self.total > high and ledger.loose:
            assert self.errands or not self.of("done"), "too heavy, and nobody writes"

    # -- to the end --------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """After the end of the input all goes out, and it is what the sequential program gives."""
        self.act(("close",))
        while not self.flow.ended:
            if out := self.of("out"):
                self.act(("done", out[-1], (1,)))
            elif self.errands:
                self.act(("write",))
            else:
                assert self.flow.ready, "nothing is left to do, and it has not ended"
                self.act(("take",))
        self.look()
        expected = [index for index, item in enumerate(self.items) if item.state != "gone"]
        assert self.handed == expected if self.ordered else sorted(self.handed) == expected
        for key in {item.key for item in self.items} - {None}:
            assert [i for i in self.handed if self.items[i].key == key] == [
                i for i in expected if self.items[i].key == key
            ], "not in the order of its key"
        assert None not in self.sequential()
        assert not self.flow.lanes
        assert not self.flow.lane_of
        assert self.ledger is None or (self.ledger.total, self.ledger.aside, self.ledger.loose) == (0, 0, {})

    def story(self) -> Any:
        """Equal stories: equal futures."""
        flow, ledger = self.flow, self.ledger
        items = tuple((item.key, item.state, item.weight, item.sendable) for item in self.items)
        runs = (sorted(flow.runs.items()), list(flow.line), list(flow.current))
        lanes = sorted((str(k), v.running, [i for i, _ in v.waiting]) for k, v in flow.lanes.items())
        starts = [(each.index, each.size) for each in flow.starts]
        books = ledger and (ledger.total, ledger.expected, sorted(ledger.weights.items()), list(ledger.loose))
        flags = (flow.window, flow.closed, flow.handed, flow.place, self.singly, len(self.errands))
        shown = [[[index_of(o) if not hasattr(o, "name") else o.name for o in r] for _, r in run] for run in runs[:2]]
        current = [index_of(o) if not hasattr(o, "name") else o.name for o in flow.current]
        return str((items, [s for s, _ in runs[0]], shown, current, lanes, starts, books, flags, self.came, self.aside))

    def choices(self) -> Iterator[Event]:
        """What could happen next to a small flow."""
        setup, items, flow = self.setup, self.items, self.flow
        if setup.ends and not flow.closed:
            yield ("close",)
        if not flow.closed and len(items) < setup.items and flow.room >= setup.chunk:
            yield from (("admit", key, setup.chunk) for key in setup.keys or (None,))
            if setup.unsent:
                yield from (("admit", key, 1, False) for key in setup.keys or (None,))
        out = self.of("out")
        for index in out:
            yield from (("done", index, (weight,)) for weight in setup.weights)
            if setup.chunk > 1 and index + 1 in out:
                yield ("done", index, (setup.weights[0],) * 2)
        if setup.drops:
            yield from (("drop", index) for index in self.of("held", "waits", "out"))
            if self.of("done"):
                yield ("drop_ready",)
        if self.flow.ready:
            yield ("take",)
            if setup.rare:
                yield from (("take_some", 1), ("untake", False))
                if self.ledger is not None:
                    yield ("untake", True)
        if self.errands:
            yield ("write",)
            if not setup.rare:
                return
            others = [("take",), *([("drop_ready",)] if setup.drops else []), *(("done", i, (1,)) for i in out[:1])]
            yield from (("write", each) for each in others)


# ------------------------------------------------------------------------------------------------------ small, in full

SMALL = (
    Setup("keys", 3, 2, "ab", weights=(1,)),
    Setup("unsent", 2, 2, "a", unsent=True, rare=True, ends=True),
    Setup("one key, bytes", 3, 3, "a", limit=2, ends=True),
    Setup("keys, bytes", 3, 3, "ab", limit=2, weights=(1, 3)),
    Setup("bytes", 3, 3, limit=2, weights=(1,), rare=True),
    Setup("spilled", 3, 3, limit=2, spill=True, weights=(1,), rare=True),
    Setup("keys, spilled", 2, 2, "ab", limit=1, spill=True, workers=2, weights=(3,), rare=True),
    Setup("chunks, spilled", 4, 4, limit=4, spill=True, workers=2, weights=(1, 2), chunk=2, drops=False),
)
LARGER = (
    Setup("keys, some unsent", 3, 2, "ab", unsent=True, rare=True, ends=True),
    Setup("keys, bytes", 3, 3, "ab", limit=2, rare=True, ends=True),
    Setup("one key, bytes", 4, 4, "a", limit=2, weights=(1, 2)),
    Setup("spilled", 3, 3, limit=2, spill=True, weights=(1, 3), rare=True, ends=True),
    Setup("keys, spilled", 3, 3, "ab", limit=3, spill=True, workers=2, rare=True, ends=True),
    Setup(
        "chunks, spilled",
        4,
        4,
        limit=4,
        spill=True,
        workers=2,
        weights=(1, 2),
        chunk=2,
        drops=False,
        rare=True,
        ends=True,
    ),
)


def explore(
    setup: Setup, ordered: bool, flow: type[FlowCore] = FlowCore, ledger: type[Ledger] = Ledger
) -> tuple[int, int]:
    """Every sequence of events; returns the number of states and of steps."""

    def replay(events: Sequence[Event]) -> Rig:
        rig = Rig(setup, ordered, flow, ledger)
        for event in events:
            rig.act(event)
            rig.find_aside()
        return rig

    return every_sequence(replay, Rig.choices, f"{setup.name}, ordered={ordered}")
