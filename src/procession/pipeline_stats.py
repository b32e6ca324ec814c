"""A pipeline in numbers: where its items are, and what the workers of each stage did with their time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from procession.backends.base import EngineStats
from procession.record import frozen

if TYPE_CHECKING:
    from procession.core.journey import Journey
    from procession.core.journey_stage import Station
    from procession.pipeline_stage import Work


@frozen
class StageStats:
    """A stage at one moment. The four shares are of its workers' time since the run began, and add up to 1."""

    name: str
    workers: int
    """At most so many now."""
    busy: float
    """Share: runs something."""
    waiting_for_input: float
    """Share: nothing is here, though the pipeline could take in more, or the input has ended."""
    blocked_on_output: float
    """Share: nothing is here, and nothing comes, since the window is full of what has not been handed over."""
    held_back: float
    """Share: what is here waits for its turn, for its key, or for a batch to be full."""
    came: int
    """Items that have come here."""
    waiting: int
    """Of these, wait to start: for their turn, their key, their batch."""
    out: int
    """Are with the workers: run, or are about to."""
    done: int
    """Have their outcomes."""
    failed: int
    outputs: int
    """What went on from here."""
    engine: EngineStats
    """Its workers."""


@frozen
class PipelineStats:
    """A run of a pipeline at one moment."""

    stages: tuple[StageStats, ...]
    bottleneck: str | None
    """The stage whose workers are busiest; None before anything is done."""
    window: int
    """Items that may be inside."""
    pulled: int
    """Items taken from the source."""
    returned: int
    """Of these, are through: all that became of them was handed over."""
    waiting: int
    """Outputs that wait to be taken."""
    taken: int
    """Outputs that were handed over, and failures that took their place."""
    head: int | None
    """The item that hand-over waits for, counted from 0; None: nothing is under way."""
    head_stage: str | None
    """The stage at which that is."""


BUSY, STARVED, BLOCKED, HELD = range(4)


class Account:
    """What the workers of each stage did with their time, as the conductor sees it."""

    def __init__(self, works: Sequence[Work], now: int) -> None:
        self._works = works
        self.since = now
        self.spent = [[0, 0, 0, 0] for _ in works]  # ns of one worker: BUSY, STARVED, BLOCKED, HELD
        self._last: list[tuple[int, int, int]] = [(0, work.width, STARVED) for work in works]

    def look(self, journey: Journey, now: int) -> None:
        """Until `now` all was as it was found by the latest look; how is it now?"""
        elapsed, self.since = now - self.since, now
        for spent, (busy, idle, why) in zip(self.spent, self._last, strict=True):
            spent[BUSY] += elapsed * busy
            spent[why] += elapsed * idle
        full = not journey.closed and journey.room <= 0
        pairs = zip(self._works, journey.stations, strict=True)
        self._last = [_activity(work, station, full) for work, station in pairs]


def _activity(work: Work, station: Station, full: bool) -> tuple[int, int, int]:
    """Workers that are busy, those that idle, and why they do."""
    busy = min(-(-station.out // station.batch), work.width)
    why = HELD if station.inside > station.out else BLOCKED if full else STARVED
    return busy, work.width - busy, why


def stats_of(works: Sequence[Work], journey: Journey, account: Account) -> PipelineStats:
    """Numbers, now; the caller holds the lock."""
    counts = journey.stats()
    stages = []
    for work, count, spent in zip(works, counts.stages, account.spent, strict=True):
        whole = sum(spent) or 1
        busy, starved, blocked, held = (each / whole for each in spent)
        stages.append(
            StageStats(
                name=work.stage.name,
                workers=work.width,
                busy=busy,
                waiting_for_input=starved,
                blocked_on_output=blocked,
                held_back=held,
                came=count.came,
                waiting=count.held + count.waiting,
                out=count.out,
                done=count.done,
                failed=count.failed,
                outputs=count.outputs,
                engine=work.engine.stats(),
            )
        )
    busiest = max(stages, key=lambda stage: stage.busy)
    head = counts.head
    return PipelineStats(
        stages=tuple(stages),
        bottleneck=busiest.name if busiest.busy else None,
        window=journey.window,
        pulled=counts.admitted,
        returned=counts.returned,
        waiting=counts.ready,
        taken=counts.handed,
        head=None if head is None else head.index,
        head_stage=None if head is None else works[min(head.stage, len(works) - 1)].stage.name,
    )
