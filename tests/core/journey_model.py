"""A journey beside a sequential program: events by short names, and what must hold after each, said plainly.

The value of a node is `(stage, path)`: the stage that it comes to, and its index followed by its places among the
outputs of stages that make many. What a stage makes of it is written down when it is told (`answers`), and the
sequential program reads it there. Everything here looks through all there is, each time.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from procession.core.flow import NOTHING
from procession.core.journey import Journey
from procession.core.journey_node import FAILED, Node, Start
from procession.core.journey_stage import Plan
from procession.types import Raised
from tests.exploring import every_sequence

Event = tuple[Any, ...]
Place = tuple[int, tuple[int, ...]]
Made = tuple[bool, ...]
"""What an input became: a flag for each output, False for a failure among them. A dropped one: nothing."""
FAIL: Final = "fail"
UNKNOWN: Final = "unknown"


def place(node: Node) -> Any:
    """What a node is known by."""
    return ("failed", *node.value.error.args) if isinstance(node.value, Raised) else node.value


class Rig:
    """One journey, its events, and the oracle."""

    def __init__(self, plans: Sequence[Plan], window: int, ordered: bool, kind: type[Journey] = Journey) -> None:
        self.core = kind(plans, window, ordered=ordered)
        self.plans = plans
        self.ordered = ordered
        self.most_out = [1 << 60 if plan.most_out is None else plan.most_out for plan in plans]
        self.window = window
        self.last_keyed = max((stage for stage, plan in enumerate(plans) if plan.keyed), default=-1)
        self.now = 0
        self.admitted = 0
        self.closed = self.cancelled = False
        self.answers: dict[Place, Made | str] = {}
        self.keys: dict[Place, Any] = {}
        self.since: dict[Place, int] = {}
        self.fresh: list[Start] = []  # starts that `look` has not seen
        self.offered: list[Start] = []  # not fetched yet
        self.posted: list[Start] = []
        self.token_at: dict[int, int] = {}  # by stage with a pace: when something started there last
        self.last: dict[Any, tuple[int, ...]] = {}  # by stage, or stage and key: the path that started last
        self.handed: list[Any] = []
        self.taken: Any = None  # what was taken last
        self.resting: dict[Place, int] = {}  # to start again, alone: not before
        self.further: set[Place] = set()  # what has

    # -- the sequential program --------------------------------------------------------------------------------------

    def sequential(self) -> Iterator[tuple[Any, Any]]:
        """What comes out, each with its key at the last stage that has keys."""
        for index in range(self.admitted):
            yield from self.follow(0, (index,), None)

    def follow(self, stage: int, path: tuple[int, ...], key: Any) -> Iterator[tuple[Any, Any]]:
        """What becomes of one value that comes to `stage`."""
        key = self.keys.get((stage, path)) if stage == self.last_keyed else key
        answer = self.answers.get((stage, path), UNKNOWN)
        if stage == len(self.plans):
            yield (stage, path), key
        elif answer is UNKNOWN or answer is FAIL:
            yield ("failed" if answer is FAIL else UNKNOWN, stage, path), key
        else:
            for at, well in enumerate(answer):
                child = (*path, at) if self.plans[stage].many else path
                yield from self.follow(stage + 1, child, key) if well else [(("failed", stage, child), key)]

    # -- events ------------------------------------------------------------------------------------------------------

    def act(self, event: Event) -> None:
        """Let it happen."""
        getattr(self, "_" + event[0])(*event[1:])
        for station in self.core.stations:
            for start in station.starts:
                if not any(start is known for known in self.offered):
                    self.offered.append(start)
                    self.fresh.append(start)
                    for value in start.values:
                        self.since.setdefault(value, self.now)
            for node in station.line:
                self.since.setdefault(node.value, self.now)

    def step(self, event: Event) -> None:
        """Let it happen, and look."""
        self.act(event)
        self.look()

    def _admit(self, count: int) -> None:
        fresh = [(0, (self.admitted + each,)) for each in range(count)]
        self.admitted += count
        nodes = self.core.admit(fresh, self.now)
        assert [node.item.index for node in nodes] == [path[0] for _, path in fresh]

    def _post(self) -> None:
        for station in self.core.stations:
            self.posted += station.starts
            station.starts.clear()
        self.offered.clear()

    def _key(self, stage: int, key: Any) -> None:
        node = next(node for node in self.core.unkeyed() if node.stage == stage)
        if key is FAIL:
            self.answers[node.value] = FAIL
            self.core.keyed(node, Raised(ValueError(*node.value)))
        else:
            self.keys[node.value] = key
            self.core.keyed(node, key, self.now)

    def _done(self, values: Sequence[Place], made: Sequence[Made | str]) -> None:
        start = next(start for start in self.posted if start.values == [*values])
        self.posted.remove(start)
        self.answers |= dict(zip(values, made, strict=True))
        self.core.done(start, [self.outcome(*each) for each in zip(values, made, strict=True)], self.now)

    def _again(self, values: Sequence[Place], delay: int) -> None:
        start = next(start for start in self.posted if start.values == [*values])
        self.posted.remove(start)
        self.resting |= dict.fromkeys(values, self.now + delay)
        self.core.again(start, delay, self.now)

    def outcome(self, value: Place, made: Made | str) -> Any:
        """As the core is told it."""
        stage, path = value
        if made is FAIL:
            return Raised(ValueError(stage, path))
        if not self.plans[stage].many:
            return (stage + 1, path)
        children = [(*path, at) for at in range(len(made))]
        pairs = zip(children, made, strict=True)
        return [(stage + 1, child) if well else Raised(ValueError(stage, child)) for child, well in pairs]

    def _take(self) -> None:
        node = self.core.take()
        if node is not NOTHING:
            assert not self.cancelled, "handed over after the cancel"
            self.handed.append(place(node))
            self.taken = node
        else:
            assert not self.core.ready

    def _untake(self, count: int) -> None:
        taken = [node for _ in range(count) if (node := self.core.take()) is not NOTHING]
        for node in reversed(taken):
            self.core.untake(node)

    def _give_back(self) -> None:
        """Late, when other things have happened."""
        self.core.untake(self.taken)
        if not self.cancelled:
            self.handed.pop()
        self.taken = None

    def _drop(self, value: Place) -> None:
        node = next(node for node in self.path() if node.value == value)
        started = any(value in start.values for start in (*self.offered, *self.posted))
        waits = value[0] < len(self.plans) and not started and value not in self.resting
        assert self.core.drop(node, self.now) is waits
        if waits:
            self.answers[value] = ()
            assert not self.core.drop(node), "dropped twice"
            self.core.keyed(node, "late")

    def _clock(self, past: int) -> None:
        self.now += past
        self.core.clock(self.now)

    def _allow(self, stage: int, most_out: int) -> None:
        self.most_out[stage] = most_out
        self.core.allow(stage, most_out)

    def _bound(self, window: int) -> None:
        self.window = window
        self.core.bound(window)

    def _close(self) -> None:
        self.closed = True
        self.core.close()

    def _cancel(self) -> None:
        self.closed = self.cancelled = True
        self.offered.clear()
        self.core.cancel()

    # -- looking -----------------------------------------------------------------------------------------------------

    def look_away(self) -> None:
        """What is new was looked at before."""
        for start in self.fresh:
            for value in start.values:
                if self.resting.pop(value, None) is not None:
                    self.further.add(value)
                    continue
                self.last[start.stage, self.keys[value] if self.plans[start.stage].keyed else None] = value[1]
        self.fresh.clear()

    def path(self) -> list[Node]:
        """The nodes in the list."""
        nodes, node = [], self.core.top.after
        while node is not self.core.blank:
            nodes.append(node)
            node = node.after
        return nodes

    def out(self, stage: int) -> int:
        """Inputs out at `stage`."""
        return sum(start.size for start in (*self.offered, *self.posted) if start.stage == stage)

    def before(self, stage: int) -> bool:
        """Whether something may come to `stage` from the stages before."""
        return any(count.came > count.done + count.dropped for count in self.core.stats().stages[:stage])

    def look(self) -> None:
        """What must hold."""
        self.core.check()
        for start in self.fresh:
            self.look_at_start(start)
        self.look_away()
        out = [self.out(stage) for stage in range(len(self.plans))]
        assert [count.out for count in self.core.stats().stages] == out
        if self.cancelled:
            assert self.core.take() is NOTHING
            assert self.core.ended is (not self.posted)
            return
        stats = self.core.stats()
        assert (stats.handed, stats.ready, stats.admitted) == (len(self.handed), len(self.core.ready), self.admitted)
        expected = [*self.sequential()]
        self.look_at_handed(expected)
        self.look_at_credits(expected)
        for stage in range(len(self.plans)):
            assert not self.lazy(stage), f"stage {stage}: what may start waits"
        inside = self.core.room < self.window
        assert self.core.ended is (self.closed and not inside)
        waits = self.core.alarm is not None and (self.resting or any(plan.pace for plan in self.plans))
        if inside and (self.core.room <= 0 or self.closed) and all(self.most_out) and not waits:
            assert any(out) or self.core.ready or self.core.unkeyed(), "nobody can go on"

    def look_at_start(self, start: Start) -> None:
        """One that is new."""
        stage, plan = start.stage, self.plans[start.stage]
        assert 1 <= start.size <= plan.batch
        assert self.out(stage) <= self.most_out[stage], "too many out"
        again = [self.resting[value] for value in start.values if value in self.resting]
        assert not again or (start.size == 1 and again[0] <= self.now), "not alone, or too early"
        for value in start.values if not again else ():
            key = self.keys[value] if plan.keyed else None
            if plan.in_order or plan.keyed:
                assert self.last.get((stage, key), ()) < value[1], "out of order"
            mates = [v for s in (*self.offered, *self.posted) if s.stage == stage for v in s.values if v != value]
            assert not plan.keyed or all(self.keys[mate] != key for mate in mates), "two of a key"
        if plan.pace is not None:
            before = self.token_at.get(stage)
            assert before is None or self.now - before >= plan.pace.period, "without a token"
            self.token_at[stage] = self.now
        if start.size < min(plan.batch, self.most_out[stage]) and not again:
            waited = plan.max_wait is not None and self.since[start.values[0]] + plan.max_wait <= self.now
            last = self.closed and not self.before(stage)
            alone = len([*self.offered, *self.posted]) == 1 and not self.core.unkeyed()
            stuck = alone and (self.closed or self.core.room <= 0)
            assert waited or last or stuck, "a batch that could have been larger"

    def lazy(self, stage: int) -> bool:
        """Whether something waits in line that should have started."""
        plan, line = self.plans[stage], self.core.stations[stage].line
        if any(value[0] == stage and when <= self.now for value, when in self.resting.items()):
            assert self.most_out[stage] <= self.out(stage) or (plan.pace and plan.pace.at(self.now) > self.now)
            assert not plan.pace or self.most_out[stage] <= self.out(stage) or self.core.alarm is not None
        full = min(plan.batch, self.most_out[stage])
        count = min(full, len(line))
        if not count or self.most_out[stage] - self.out(stage) < count:
            return False
        if plan.pace is not None and plan.pace.at(self.now) > self.now:
            assert self.core.alarm is not None, "nobody tells it the time"
            return False
        since = self.since[next(iter(line)).value]
        waited = plan.max_wait is not None and since + plan.max_wait <= self.now
        return count == full or waited or (self.closed and not self.before(stage))

    def look_at_handed(self, expected: list[tuple[Any, Any]]) -> None:
        """Order, or order of each key; nothing twice."""
        places = [where for where, _ in expected]
        if self.ordered:
            assert self.handed == places[: len(self.handed)], "not the sequential order"
            return
        assert not Counter(self.handed) - Counter(places), "what nobody made, or twice"
        key_of = dict(expected)
        for key in {key for _, key in expected if key is not None}:
            handed = [where for where in self.handed if key_of[where] == key]
            assert handed == [where for where, its in expected if its == key][: len(handed)], "not in order of its key"

    def look_at_credits(self, expected: list[tuple[Any, Any]]) -> None:
        """An item is inside while something of it is not handed over."""
        handed = set(self.handed)
        inside = {where[-1][0] for where, _ in expected if where not in handed}
        assert self.window - self.core.room == len(inside), "a credit is lost, or back too early"

    # -- to the end --------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """After the end of the input and with somebody at each stage: all goes out, and only a pace needs the clock."""
        for stage, most_out in enumerate(self.most_out):
            if not most_out:
                self.step(("allow", stage, 1))
        if not self.closed:
            self.step(("close",))
        while not self.core.ended:
            event = next(self.ways_on(), None)
            timed = self.resting or any(plan.pace for plan in self.plans)
            if event is None and timed and self.core.alarm is not None:
                event = ("clock", self.core.alarm - self.now)
            assert event, "nothing is left to do, and it has not ended"
            self.act(event)
            self.look_away()
        self.look()
        if not self.cancelled:
            expected = [where for where, _ in self.sequential()]
            assert self.handed == expected if self.ordered else Counter(self.handed) == Counter(expected)
        assert not any(count.out or count.held or count.waiting for count in self.core.stats().stages)

    def ways_on(self) -> Iterator[Event]:
        """What the caller could do, each with the plainest outcome."""
        if self.offered:
            yield ("post",)
        for node in self.core.unkeyed():
            yield ("key", node.stage, "a")
        for start in self.posted:
            yield ("done", start.values, [(True,)] * start.size)
        if self.core.ready:
            yield ("take",)

    def story(self) -> Any:
        """Equal stories: equal futures."""
        core = self.core
        if self.cancelled:
            return str(sorted(map(str, (start.values for start in self.posted))))
        nodes = self.path()
        at: dict[Any, int] = {node: index for index, node in enumerate([*nodes, core.blank])}

        def names(group: Any) -> Any:
            return tuple(at[node] for node in group)

        path = tuple((place(n), n.state.name, n.stage, n.item.left) for n in nodes)
        stations = tuple(
            (
                *(at.get(s.front, -1), names(s.unkeyed), names(s.line), s.most_out),
                tuple((n.value, self.now - n.since) for n in s.line if s.max_wait is not None),
                tuple(sorted((str(k), names([e.busy] if e.busy else []), names(e.behind)) for k, e in s.lanes.items())),
                tuple(sorted((str(k), tuple((at[p.front], p.left) for p in e.parcels)) for k, e in s.lanes.items())),
            )
            for s in core.stations
        )
        rests = sorted((value, max(0, when - self.now)) for value, when in self.resting.items())
        open_starts = (sorted(map(str, (s.values for s in self.posted))), [s.values for s in self.offered])
        facts = (sorted(self.answers.items(), key=str), sorted(self.keys.items(), key=str))
        flags = (self.closed, self.cancelled, self.admitted, self.window)
        ready = tuple(place(node) for node in core.ready)
        last = sorted(self.last.items(), key=str)
        return str((path, rests, sorted(self.further), stations, open_starts, facts, flags, ready, self.handed, last))

    def choices(self, small: Small) -> Iterator[Event]:
        """What could happen next to a small journey; starts are fetched at once."""
        if self.offered:
            yield ("post",)
            return
        if not self.closed:
            if self.admitted < small.items and self.core.room > 0:
                yield ("admit", 1)
            yield from (("close",), ("cancel",))
        if self.cancelled:
            yield from (("done", start.values, [FAIL] * start.size) for start in self.posted)
            return
        for start in self.posted:
            yield from (("done", start.values, each) for each in self.outcomes(start, small.made))
            if small.again and not self.further.intersection(start.values):
                yield from (("again", start.values, delay) for delay in (0, 1))
        for stage in {node.stage for node in self.core.unkeyed()}:
            yield from (("key", stage, key) for key in small.keys)
        yield from (("drop", node.value) for node in self.path() if node.state is not FAILED)
        if self.core.ready:
            yield from (("take",), ("untake", 1))
        if self.core.alarm is not None:
            yield ("clock", 1)

    def outcomes(self, start: Start, made: Sequence[Made | str]) -> Iterator[list[Made | str]]:
        """For its inputs, in every combination."""
        one: list[Made | str] = [(True,), FAIL] if FAIL in made else [(True,)]
        choice = made if self.plans[start.stage].many else one
        todo: deque[list[Made | str]] = deque([[]])
        while todo:
            sofar = todo.popleft()
            if len(sofar) == start.size:
                yield sofar
            else:
                todo.extend([*sofar, each] for each in choice)


# ------------------------------------------------------------------------------------------------------ small, in full


class Small(NamedTuple):
    """A small journey, and what its stages may make of an input."""

    name: str
    plans: Sequence[Plan]
    items: int
    window: int
    made: Sequence[Made | str] = ((True,), FAIL)
    keys: str = "ab"
    again: bool = False
    """What starts may have to start again, once."""


SMALL = (
    Small("a batch of many", [Plan(many=True), Plan(batch=2)], 2, 1, [(), (True,) * 3, FAIL]),
    Small("keys, then a batch", [Plan(keyed=True), Plan(batch=2)], 2, 2, [(True,)]),
    Small("batches meet", [Plan(batch=3, max_wait=2), Plan(batch=2)], 3, 3, [(True,)]),
    Small("a key", [Plan(keyed=True), Plan()], 2, 2),
    Small("a batch, again", [Plan(batch=2)], 3, 2, again=True),
    Small("few, again", [Plan(batch=2, in_order=True, most_out=2)], 3, 3, [(True,)], again=True),
    Small("many in order", [Plan(many=True), Plan(in_order=True)], 2, 2, [(), (True,), (True, False)]),
    Small("in order", [Plan(), Plan(in_order=True, most_out=1)], 3, 2),
    Small("a batch", [Plan(batch=2, max_wait=1), Plan()], 2, 2),
    Small("a key of many", [Plan(keyed=True, many=True), Plan()], 2, 2, [(True, True)], "a"),
    Small("a key of many, filtered", [Plan(keyed=True, many=True), Plan(many=True)], 2, 2, [(), (True, True)], "a"),
    Small("keys behind a filter", [Plan(many=True), Plan(keyed=True)], 3, 2, [(), (True,)]),
    Small("many", [Plan(many=True), Plan()], 2, 2, [(), (True, True)]),
)
LARGER = (
    Small("many", [Plan(many=True), Plan()], 2, 2, [(), (True,), (True, True), (True, False), FAIL]),
    Small("many of many", [Plan(many=True), Plan(many=True), Plan()], 2, 1, [(), (True, True)]),
    Small("keys of many", [Plan(keyed=True, many=True), Plan(many=True)], 2, 2, [(), (True, True), FAIL]),
    Small("keys behind many", [Plan(many=True), Plan(keyed=True)], 2, 2, [(), (True,), (True, True), FAIL]),
    Small("in order", [Plan(), Plan(in_order=True), Plan()], 3, 2),
    Small("a key", [Plan(keyed=True), Plan()], 3, 3, [(True,)]),
    Small("a key in the middle", [Plan(), Plan(keyed=True), Plan()], 2, 2),
    Small("a batch in order", [Plan(many=True), Plan(in_order=True, batch=2)], 3, 2, [(), (True, True)]),
)


def explore(small: Small, ordered: bool, kind: type[Journey] = Journey) -> tuple[int, int]:
    """Every sequence of events; returns the number of states and of steps."""

    def replay(events: Sequence[Event]) -> Rig:
        rig = Rig(small.plans, small.window, ordered, kind)
        for event in events:
            rig.act(event)
            rig.look_away()
        return rig

    return every_sequence(replay, lambda rig: rig.choices(small), f"{small.name}, ordered={ordered}")
