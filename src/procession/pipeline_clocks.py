"""What the workers of a pipeline's stages waited for, as a tap is told it: of runs that began while somebody listened.

It is the account of the run (pipeline_stats.py), of which what is blocked or held back is told apart by how it stands
when it is looked at. Where takers pull, workers without input wait for the source as long as that is asked, and
otherwise for the taker, unless he waits himself. A stage's time is that of its workers, divided by how many there are.
"""

from __future__ import annotations

from threading import RLock
from time import monotonic_ns, perf_counter_ns
from typing import TYPE_CHECKING

from procession import tapping
from procession.happenings import Stood
from procession.pipeline_stats import BLOCKED, HELD, STARVED
from procession.stream_clocks import Clock, ClockedBell

if TYPE_CHECKING:
    from procession.core.journey_stage import Station
    from procession.pipeline_run import Conductor

PATIENCE = 0.1
"""Seconds that who asks waits for the run's lock."""


class PipelineClocks:
    """Of one run; see `stream_clocks.StreamClocks` for the words."""

    def __init__(self, number: int, run: Conductor) -> None:
        self._number = number
        self._works, self._journey, self._account, self._lock = run.works, run.journey, run.account, run.lock
        self._source = run.source
        self._clocks = {"asleep": Clock(), "source": Clock()}
        self._guard = RLock()  # of the clocks
        self._began = self._at = perf_counter_ns()
        self._ended = 0
        self._how = ""
        self._window = 0
        self._before = [[0, 0, 0, 0] for _ in run.works]
        self._spent: list[dict[str, int]] = [{} for _ in run.works]

    def begin(self, whose: str, who: object = None) -> None:
        """See `stream_clocks.StreamClocks`."""
        with self._guard:
            self._clocks[whose].begin(who, perf_counter_ns())

    def end(self, whose: str, who: object = None) -> None:
        """See there."""
        with self._guard:
            self._clocks[whose].end(who, perf_counter_ns())

    def over(self, how: str) -> None:
        """It has ended like this; what is said first counts."""
        with self._lock:
            if self._how:
                return
            self._how = how
            now = perf_counter_ns()
            self._look(now)
            self._ended = now
        tap, stood = tapping.tap, self.stood(now)
        if tap is not None and stood is not None:
            tap.push(stood)

    def stood(self, now: int) -> Stood | None:
        """How it stands; None: that cannot be had now."""
        if not self._lock.acquire(timeout=PATIENCE):
            return None
        try:
            if not self._ended:
                self._look(now)
            engines = [work.engine.number for work in self._works]
            spent = {engine: dict(told) for engine, told in zip(engines, self._spent, strict=True)}
            return Stood(self._number, self._began, self._ended, self._how, self._window, spent)
        finally:
            self._lock.release()

    def _look(self, now: int) -> None:
        journey = self._journey
        self._account.look(journey, monotonic_ns())
        passed, self._at = max(0, now - self._at), now
        self._window = max(self._window, journey.window)
        with self._guard:
            asleep, source = (min(passed, clock.grown(now)) for clock in self._clocks.values())
        away = 0 if self._source.live else max(0, passed - asleep - source)
        stages = zip(self._works, journey.stations, self._account.spent, self._before, self._spent, strict=True)
        for number, (work, station, spent, before, told) in enumerate(stages):
            grown = [after - was for after, was in zip(spent, before, strict=True)]
            self._before[number] = list(spent)
            parts = {"open": 0 if journey.closed else passed}
            if not journey.closed:
                starved = grown[STARVED] // work.width
                parts["untaken"] = starved * away // (away + source) if away else 0
                parts["source"] = starved - parts["untaken"]
            for name, ns in (("untaken" if journey.ready else "headed", grown[BLOCKED]), (_held(station), grown[HELD])):
                parts[name] = parts.get(name, 0) + ns // work.width
            for name, part in parts.items():
                told[name] = told.get(name, 0) + part


def clocked(number: int, run: Conductor) -> PipelineClocks:
    """From now on it is noted when those who take wait for this run."""
    clocks = PipelineClocks(number, run)
    run.bell = ClockedBell(clocks, "asleep")
    return clocks


def _held(station: Station) -> str:
    """What keeps from starting what is at this stage."""
    if station.pace is not None and station.line:
        return "paced"
    if station.has_key and len(station.line) + station.held < station.inside - station.out:
        return "keyed"
    return "gathered" if station.batch > 1 else "headed"


__all__ = ["PipelineClocks", "clocked"]
