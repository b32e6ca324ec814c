"""How much of a stream is taken in, and how much of it waits: windows that find their own width, bytes, and spilling.

An automatic window is as wide as keeps the workers busy. Finished results that wait for a slow item at the head of the
line fill it; then it is widened. So a straggler does not stop the others; and a consumer that stalls has not had much
pulled for it: its results are ready, and nothing is widened for those. Nor does an automatic window hold more than some
64 MiB of results, by what those weighed that came.
"""

from __future__ import annotations

from typing import Any

from procession.backends.base import Engine, Function
from procession.core.flow import FlowCore
from procession.core.ledger import Ledger
from procession.core.policy import Profile
from procession.core.rules import SECOND, Rules
from procession.errors import TaskTimeout
from procession.handover import Handover
from procession.record import frozen
from procession.spilling import Spill
from procession.types import Raised
from procession.waiting import Bell
from procession.weighing import weigh

AUTO_LEAST = 16
"""Items in an automatic window at least; and at least four for each worker."""
AUTO_MOST = 16_384
"""Items in an automatic window at most, however cheap they are."""
AUTO_UNPROVEN = 2048
"""Items in an automatic window at most before anything was taken."""
AUTO_TRUST = 3
"""And so many more for each that was taken: a consumer that stalls at once has not had much pulled."""
AUTO_BYTES = 64 << 20
"""Bytes of results that an automatic window holds at most, or so: one result in some is weighed for all."""
SAMPLED = 32
"""Of the results that come together one is looked at, and of those one in so many is weighed; the first ones all."""
CHEAP_NS = 1_000_000
"""Items cheaper than this are pulled in blocks; of dearer ones the window is kept full one by one."""


@frozen
class Bounds:
    """The words of imap that bound it; None: see there."""

    window: int | None = None
    chunksize: int | None = None
    buffer_bytes: int | None = None
    spill: bool = False


NO_BOUNDS = Bounds()


class Bounded(Handover):
    """A stream's flow, whose window and bytes are as `bounds` has them."""

    def __init__(self, engine: Engine, function: Function, bounds: Bounds, ordered: bool) -> None:
        ledger = None if bounds.buffer_bytes is None else Ledger(bounds.buffer_bytes, engine.max_workers)
        super().__init__(engine, FlowCore(bounds.window or 1, ordered=ordered), ledger)
        self.function = function
        self.rules: Rules | None = None
        self.auto = bounds.window is None
        self.grain = bounds.chunksize or 0
        self.spill = Spill(self, function.name) if bounds.spill else None
        self.exhausted = False  # nothing more comes from the source
        self.room = Bell()  # for a thread that pulls
        self.low = -1  # takers pull when no more than this is taken in and not handed over; below 0: they do not
        self._stretch = 1  # an automatic window is so many times as wide, since the head of the line has taken long
        self._arrivals = 0
        self._weight = 0  # of one result, about

    def refuse_foreign(self) -> None:
        """RuntimeError in a forked child, where whoever works for it, or held its lock, may not exist."""
        if self.engine.foreign:
            raise RuntimeError("this stream belongs to the parent process, which forked: make a new one here")

    def arrived(self, start: int, outcomes: list[Any]) -> None:
        """See `Handover.arrived`."""
        super().arrived(start, outcomes)
        if self.spill is not None:
            self.spill.look()
        if not self.exhausted:
            if self.auto:
                self._sample(outcomes[-1])
            if self._starving() and 2 * (self.flow.finished - self.flow.handed) >= self.flow.window:
                self._widen()

    def _came(self, index: int, weight: int, start: int = 0, run: list[Any] | None = None) -> None:
        super()._came(index, weight)
        if self.spill is not None and self.ledger is not None and run is not None:
            self.ledger.may_move(index, start, run, index - start)

    def end_input(self) -> None:
        """Nothing more comes in."""
        with self.lock:
            self.flow.close()
        if self.clocks is not None:
            self.clocks.dries()
        if self.gate is not None:
            self.gate.call()
        self.bell.ring()
        self.room.ring()

    def expire(self, start: Any) -> None:
        """See `Handover.expire`."""
        limit = 0.0 if self.rules is None else (self.rules.queue_ns or 0) / SECOND
        if not start.run.cancelled:
            self.arrived(start.start, [Raised(TaskTimeout(self.function.name, "queued", limit, limit, start.start))])

    def _starving(self) -> bool:
        """Whether the workers are about to idle though nothing is ready: the head of the line takes long."""
        flow = self.flow
        return flow.admitted - flow.finished <= 2 * self.engine.max_workers and not flow.ready

    def _widen(self) -> None:
        """Have more pulled while the head of the line takes long: what room there is, and more of it if it is ours."""
        flow = self.flow
        window, before, least = flow.window, self._stretch, 1
        for _ in range(AUTO_MOST.bit_length()):  # items may turn out dear: then twice as wide is narrower than it was
            self._stretch *= 2
            least = self.measure()
            if flow.window > window:
                break
        else:
            self._stretch = before
        if flow.room < least:
            return
        if self.low >= 0:  # else it is not the takers who pull
            self.low = flow.window - least
        if self.bell.sleepers:
            self.bell.ring()
        if self.room.sleepers:
            self.room.ring()

    def _sample(self, outcome: Any) -> None:
        """One result has come of some: now and then it is weighed for all."""
        self._arrivals += 1
        if self._arrivals < SAMPLED or not self._arrivals % SAMPLED:
            self._weight = max(weigh(outcome), self._weight // 2)

    def measure(self) -> int:
        """Set an automatic window to what fits now; returns how much room is worth filling."""
        profile, flow = self.function.profile, self.flow
        if self.auto:
            if self._stretch > 1 and flow.ready:
                self._stretch //= 2
            caller = self.engine.capabilities.in_caller
            workers = self.engine.max_workers
            least = flow.window if self._starving() else 0  # it may have been cheaper items that it was made for
            wide = _auto_window(workers, profile, flow.handed, self._stretch, self._weight, least)
            flow.window = 1 if caller else wide
        if self.grain:
            return min(self.grain, flow.window)
        if self._starving():
            return 1
        return max(1, flow.window // 4) if 0 <= profile.mean_ns < CHEAP_NS else 1


def _auto_window(
    workers: int, profile: Profile, taken: int, stretch: int = 1, weight: int = 0, least: int = AUTO_LEAST
) -> int:
    """Enough for every worker to hold one lease and have another wait, twice over; see the bounds above."""
    most = min(AUTO_UNPROVEN + AUTO_TRUST * taken, AUTO_MOST)
    window = min(max(AUTO_LEAST, 4 * workers * profile.lease_items()), most)
    if stretch > 1:
        window = min(window * stretch, AUTO_MOST)
    window = max(window, least)
    if window * weight > AUTO_BYTES:
        window = min(window, max(2 * workers, AUTO_BYTES // weight))
    return window
