"""For how long a stream waits, and for whom: kept of streams that began while somebody listened (tapping.py).

Laws
1. A stream of which nobody wanted to know when it began has none of this.
2. `open` is the time from the beginning until nothing more is to come in. Of that:
   `source`: the source was asked for more, or the program put nothing though there was room; what came was sent;
   `untaken`: whoever takes was elsewhere, and so nothing more came in: he pulls himself, or the window was full;
   `headed`: he waited, and so did workers, since the window was full and the result in front was not there.
   Until the end: `keyed`, `paced`, `gathered`: items waited for one of their key, their time by `rate=`, their batch.
   Times of workers who are busy meanwhile may be in them: it is who reads them that looks at idle workers.
3. What is true only of a moment (that it is full, what waits) holds for the time since the last look. It is looked at
   whenever somebody has waited, and by whoever asks.
4. No lock but its own is taken while that is held, and nothing is called that may have a finalizer run.
"""

from __future__ import annotations

from _weakref import ref
from collections.abc import Callable
from threading import RLock
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol

from procession import tapping
from procession.core.flow import UNBOUNDED
from procession.happenings import Stood
from procession.waiting import Bell

if TYPE_CHECKING:
    from procession.handover import Handover

SPENT: tuple[str, ...] = ("open", "source", "untaken", "headed", "keyed", "paced", "gathered")
"""What the time of a stream goes into, in this order."""


class Clock:
    """For how many nanoseconds something went on, be it in several threads at once. Not thread-safe."""

    __slots__ = ("_open", "_since", "_taken", "_total")

    def __init__(self) -> None:
        self._open: set[object] = set()
        self._since = self._total = self._taken = 0

    def begin(self, who: object, now: int) -> None:
        """It goes on here, too."""
        if not self._open:
            self._since = now
        self._open.add(who)

    def end(self, who: object, now: int) -> None:
        """No more; nothing, if it did not."""
        if who in self._open:
            self._open.discard(who)
            if not self._open:
                self._total += now - self._since

    def grown(self, now: int) -> int:
        """So many since this was asked last."""
        total = self._total + (now - self._since if self._open else 0)
        before, self._taken = self._taken, total
        return max(0, total - before)


class Noting(Protocol):
    """Who notes who sleeps."""

    def begin(self, whose: str, who: object = None) -> None:
        """From now on."""
        ...

    def end(self, whose: str, who: object = None) -> None:
        """Until now."""
        ...


class ClockedBell(Bell):
    """A bell that has its sleepers noted by `clocks`, as `whose`: "asleep" or "room"."""

    __slots__ = ("_clocks", "_whose")

    def __init__(self, clocks: Noting, whose: str) -> None:
        super().__init__()
        self._clocks = clocks
        self._whose = whose

    def sleep(
        self,
        until: Callable[[], object],
        deadline: float | None = None,
        again: Callable[[], object] | None = None,
    ) -> bool:
        """See `Bell`."""
        me = object()
        try:
            self._clocks.begin(self._whose, me)
            return super().sleep(until, deadline, again)
        finally:
            self._clocks.end(self._whose, me)

    async def asleep(self, until: Callable[[], object], again: Callable[[], object] | None = None) -> None:
        """See `Bell`."""
        me = object()
        try:
            self._clocks.begin(self._whose, me)
            await super().asleep(until, again)
        finally:
            self._clocks.end(self._whose, me)


class StreamClocks:
    """Of one stream. `beside`: not the takers bring its items in."""

    def __init__(self, number: int, owner: Handover, beside: bool) -> None:
        self.number = number
        self.beside = beside
        self.began = self._at = perf_counter_ns()
        self.dry = self.ended = 0  # when it was known that nothing more comes in, and when it ended
        self.how = ""
        self.window = 0
        self.spent = [0] * len(SPENT)
        self._owner = ref(owner)
        self._lock = RLock()
        self._clocks = {"asleep": Clock(), "room": Clock(), "source": Clock()}

    def begin(self, whose: str, who: object = None) -> None:
        """Somebody sleeps, or (one at a time) asks the source."""
        with self._lock:
            self._clocks[whose].begin(who, perf_counter_ns())

    def end(self, whose: str, who: object = None) -> None:
        """No more."""
        with self._lock:
            now = perf_counter_ns()
            self._clocks[whose].end(who, now)
            if whose != "source":
                self.look(now)

    def look(self, now: int) -> None:
        """Book the time since the last look."""
        with self._lock:
            owner = self._owner()
            if owner is None or self.ended:
                return
            elapsed, self._at = now - self._at, now
            passed = max(0, elapsed - (now - self.dry if self.dry else 0))
            asleep, room, source = (min(passed, clock.grown(now)) for clock in self._clocks.values())
            if not self.dry and owner.flow.window < UNBOUNDED:
                self.window = max(self.window, owner.flow.window)
            told = _brought(owner, passed, asleep, room) if self.beside else _pulled(owner, passed, asleep, source)
            for place, part in enumerate((passed, *told, *_held(owner, elapsed))):
                self.spent[place] += part

    def dries(self) -> None:
        """Nothing more comes in."""
        with self._lock:
            now = perf_counter_ns()
            self.look(now)
            self.dry = self.dry or now

    def over(self, how: str) -> None:
        """It has ended like this; what is said first counts."""
        with self._lock:
            if self.how:
                return
            now = perf_counter_ns()
            self.look(now)
            self.how, self.ended = how, now
        if (tap := tapping.tap) is not None:
            tap.push(self.stood(now))

    def stood(self, now: int) -> Stood:
        """How it stands."""
        with self._lock:
            self.look(now)
            owner = self._owner()
            engine = -1 if owner is None else owner.engine.number
            spent: dict[str, int] = dict(zip(SPENT, self.spent, strict=True))
            return Stood(self.number, self.began, self.ended, self.how, self.window, {engine: spent})


def _pulled(owner: Handover, passed: int, asleep: int, source: int) -> tuple[int, int, int]:
    """Where takers pull: `source`, `untaken`, `headed`."""
    flow = owner.flow
    idle = flow.admitted - flow.finished < owner.engine.max_workers
    source = min(source, passed - asleep)
    return source, passed - asleep - source, asleep if idle else 0


def _brought(owner: Handover, passed: int, asleep: int, room: int) -> tuple[int, int, int]:
    """The same where others bring the items in."""
    flow = owner.flow
    full = room or (passed if flow.room <= 0 else 0)  # who drops what does not fit does not wait
    headed = min(full, asleep) if flow.ready else full
    return passed - full, full - headed, headed


def _held(owner: Handover, elapsed: int) -> tuple[int, int, int]:
    """What holds back items that were taken in: `keyed`, `paced`, `gathered`."""
    flow, gate = owner.flow, owner.gate
    keyed = elapsed if flow.held and not flow.starts else 0
    if gate is None or not flow.starts:
        return keyed, 0, 0
    if gate.gate.pace is not None and gate.alarm is not None:
        return keyed, elapsed, 0
    return keyed, 0, elapsed if gate.gate.batch > 1 else 0


def clocked(owner: Any, beside: bool) -> StreamClocks:
    """From now on those who wait for this stream, or for room in it, are noted."""
    clocks = StreamClocks(owner.stream_number, owner, beside)
    owner.bell, owner.room = ClockedBell(clocks, "asleep"), ClockedBell(clocks, "room")
    return clocks


__all__ = ["SPENT", "Clock", "ClockedBell", "StreamClocks", "clocked"]
