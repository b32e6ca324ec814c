"""What bounds a run of a pipeline, and what moves: the window, the bytes inside, the widths of the stages.

The window is in items: one is inside from the pull until all that became of it was handed over. An automatic one is
wide enough to keep all workers busy; it is doubled while each stage has some that idle, for a slow item holds up the
rest, as far as what is inside is light, and bytes let something start.

Bytes (`buffer_bytes`): what the stages have made and is inside is weighed. Only the first stage is held back for them:
what is under way must go on, or it would never get out. When nothing else moves, one item starts there all the same.

Widths: with `widths="auto"` a worker is moved, one at a time, from a stage that could do without to the one that has
more work than workers, when two looks in a row have found both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from procession.core.journey import Journey
from procession.core.journey_node import Node
from procession.core.rules import SECOND
from procession.pipeline_stage import AHEAD, Work
from procession.pipeline_stats import BUSY, Account
from procession.weighing import weigh

LEAST = 16
"""Items in an automatic window at least."""
MOST = 4096
"""And at most."""
LIGHT = 64 << 20
"""Bytes that an automatic window is not widened beyond."""
SAMPLE = 16
"""Of what is inside, so much is weighed for all before the window is widened."""
LOOK_NS = SECOND // 4
"""Between two looks at who could do with more workers."""


class Keeper:
    """See the module. The conductor calls it, under the lock."""

    def __init__(
        self, works: Sequence[Work], window: int | None, buffer_bytes: int | None, widths: Widths | None
    ) -> None:
        self.works = works
        self.automatic = window is None
        workers = sum(work.width * (work.stage.batch or 1) for work in works)
        self.window = window or max(LEAST, 2 * AHEAD * workers)
        self.limit = buffer_bytes
        self.widths = widths
        self.most = 0  # bytes that were ever found inside
        self._expected = 0  # the weight of the heaviest of late
        self._weights: dict[Node, tuple[int, int]] = {}  # stage at which it was weighed, weight

    def hold(self, journey: Journey) -> None:
        """Outcomes are about to be told, each of which makes room in items: `adapt` says how much there is in bytes."""
        if self.limit is not None:
            journey.allow(0, 0)

    def alarm(self, journey: Journey) -> int | None:
        """When the conductor is to look, if nothing else happens before."""
        times = [journey.alarm, None if self.widths is None or journey.closed else self.widths.next_look]
        return min((time for time in times if time is not None), default=None)

    def adapt(self, journey: Journey, account: Account, now: int) -> None:
        """What has come, or gone, may change the bounds."""
        full = self.limit is not None and self._weigh(journey)
        if self.automatic and not full and journey.room <= 0 and not journey.closed and _starving(journey, self.works):
            self._widen(journey)
        if self.widths is not None and now >= self.widths.next_look:
            self.widths.look(journey, account, now)

    def _weigh(self, journey: Journey) -> bool:
        """Let as many start at the first stage as there is room for in bytes; whether they do already."""
        assert self.limit is not None
        known, self._weights, total = self._weights, {}, 0
        for node in _made(journey):
            before = known.get(node)
            weight = before[1] if before is not None and before[0] == node.stage else weigh(node.value)
            self._weights[node] = (node.stage, weight)
            self._expected = max(weight, self._expected - self._expected // 64 if before is None else self._expected)
            total += weight
        self.most = max(self.most, total)
        first = self.works[0].width * (self.works[0].stage.batch or 1)  # as long as nothing is known of weights
        allowed = (self.limit - total) // self._expected if self._expected else first
        moves = journey.out or journey.ready or journey.asked
        journey.allow(0, self._at_first(max(allowed, 0) or (0 if moves else 1)))
        return allowed <= journey.stations[0].out

    def _at_first(self, allowed: int) -> int:
        """How many inputs may be out at the first stage, of so many that bytes allow."""
        work = self.works[0]
        most = work.stage.most_out(work.width)
        return allowed if most is None else min(allowed, most)

    def _widen(self, journey: Journey) -> None:
        """Twice as wide, if that much of what is inside is light."""
        some = list(islice(_made(journey), SAMPLE))
        weight = sum(weigh(node.value) for node in some) // max(1, len(some))
        if self.window < MOST and 2 * self.window * weight <= LIGHT:
            self.window *= 2
            journey.bound(self.window)


def _made(journey: Journey) -> Iterator[Node]:
    """The nodes whose value a stage has made."""
    node = journey.top.after
    while node is not journey.blank:
        if node.stage:
            yield node
        node = node.after
    yield from journey.ready


def _starving(journey: Journey, works: Sequence[Work]) -> bool:
    """Whether each stage has workers that idle, and nothing is ready: something slow holds up the rest."""
    if journey.ready:
        return False
    pairs = zip(works, journey.stations, strict=True)
    return all(station.out < work.width * station.batch and not station.starts for work, station in pairs)


class Widths:
    """How many workers each stage has, as `widths="auto"` moves them."""

    def __init__(self, works: Sequence[Work], total: int, now: int) -> None:
        self.works = works
        self.spare = max(0, total - sum(work.width for work in works))
        self.next_look = now + LOOK_NS
        self._looked = now
        self._before: list[int] = [0] * len(works)
        self._found: tuple[int | None, int] | None = None

    def look(self, journey: Journey, account: Account, now: int) -> None:
        """Is there a stage with more to do than workers, and one that could do without one of its own?"""
        account.look(journey, now)
        elapsed, self._looked = now - self._looked, now
        self.next_look = now + LOOK_NS
        busy = [spent[BUSY] for spent in account.spent]
        used = [(after - before) / elapsed for after, before in zip(busy, self._before, strict=True)]
        self._before = busy
        found, self._found = self._found, self._judge(journey, used)
        if self._found is not None and found == self._found:
            self._move(journey, *self._found)
            self._found = None

    def _judge(self, journey: Journey, used: list[float]) -> tuple[int | None, int] | None:
        pressed = [
            number
            for number, (work, station) in enumerate(zip(self.works, journey.stations, strict=True))
            if used[number] > 0.85 * work.width and station.inside > 2 * work.width * station.batch
        ]
        if not pressed:
            return None
        taker = max(pressed, key=lambda number: used[number] / self.works[number].width)
        if self.spare:
            return None, taker
        idle = [number for number, work in enumerate(self.works) if number != taker and used[number] < work.width - 1.2]
        if not idle:
            return None
        return max(idle, key=lambda number: self.works[number].width - used[number]), taker

    def _move(self, journey: Journey, giver: int | None, taker: int) -> None:
        if giver is None:
            self.spare -= 1
        else:
            self._resize(journey, giver, -1)
        self._resize(journey, taker, 1)

    def _resize(self, journey: Journey, number: int, change: int) -> None:
        work = self.works[number]
        work.resize(work.width + change)
        if (most := work.stage.most_out(work.width)) is not None:
            journey.allow(number, most)
