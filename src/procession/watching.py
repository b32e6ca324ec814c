"""What is looked at when the progress of a stream is shown: its own numbers, and those of its workers.

Errors are the stream's own. Retries, deaths and timeouts are its pool's, since it began: who shares a pool sees those
of the others too.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from procession._native import native
from procession.backends.saying import say
from procession.seeing.lines import Sight, Stage
from procession.seeing.progress import OFF, Meter, begin
from procession.spinoff_core import SpinCore
from procession.starts import Known
from procession.stream_course import Course
from procession.stream_turns import TurnCourse
from procession.types import Raised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from procession.backends.base import Engine, Function
    from procession.core.journey_stage import Station
    from procession.pipeline_stage import Work
    from procession.seeing.sources import Progress


def cancelled(error: BaseException) -> bool:
    """It is none: somebody has shut the pool down."""
    return isinstance(error, CancelledError)


def errors_of(outcomes: list[Any]) -> int:
    """How many of these have failed."""
    return sum([each.__class__ is Raised and not cancelled(each.error) for each in outcomes])


class Workers:
    """An engine's numbers, as from now on."""

    def __init__(self, engine: Engine, function: Function | None = None) -> None:
        self._engine = engine
        self._function = function
        self._began = engine.stats()

    def sight(self, count: tuple[int, int | None, bool], errors: int, *, dropped: int = 0, cancelled: int = 0) -> Sight:
        """All that is shown."""
        began, now = self._began, self._engine.stats()
        cost_ns = -1.0 if self._function is None else self._function.profile.mean_ns
        done, total, ended = count
        return Sight(
            done=done,
            total=total,
            ended=ended,
            errors=errors,
            dropped=dropped,
            cancelled=cancelled,
            retries=now.retries - began.retries,
            died=now.died - began.died,
            timeouts=now.timeouts - began.timeouts,
            running=now.busy,
            idle=now.idle,
            starting=now.starting,
            width=self._engine.max_workers,
            cost=None if cost_ns < 0 else cost_ns / 1e9,
        )


class Crew:
    """The engines of a pipeline, as from now on."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._works = works
        self._workers = [Workers(work.engine) for work in works]

    def sight(self, count: tuple[int, int | None, bool], stations: Sequence[Station]) -> Sight:
        """All that is shown."""
        sights = [each.sight(count, station.failed) for each, station in zip(self._workers, stations, strict=True)]
        stages = [
            Stage(
                work.stage.name, station.done, station.failed, station.inside - station.out, sight.running, work.width
            )
            for work, station, sight in zip(self._works, stations, sights, strict=True)
        ]
        done, total, ended = count
        names = ("errors", "retries", "died", "timeouts", "running", "idle", "starting", "width")
        sums = {name: sum([getattr(sight, name) for sight in sights]) for name in names}
        return Sight(done=done, total=total, ended=ended, stages=tuple(stages), **sums)


class WatchedCourse(Course):
    """A map whose progress is shown or told; one that is not has nothing of this. It ends with its first error."""

    total: int | None = None
    workers: Workers

    def watch(self, progress: Progress, total: int | None, waits: bool = True) -> None:
        """Show it from now on."""
        self.total = total
        paced = self.gate is not None or self.key is not None  # what an item costs does not tell when the next starts
        self.workers = Workers(self.engine, None if paced else self.function)
        self.meter = begin(progress, self, self.function.name, say, waits=waits)

    def count(self) -> tuple[int, int | None, bool]:
        """See `seeing.sources.Source`."""
        flow = self.flow
        lost, done, admitted, closed = self.lost, flow.finished, flow.admitted, flow.closed
        total = admitted if closed and self.error is None else self.total  # its source, or its pool, may have failed
        lost += flow.dropped  # refused by a pool that was shut down
        return max(0, done - lost), total, closed and done == admitted and not self.cancelled

    def sight(self) -> Sight:
        """See `seeing.sources.Source`."""
        return self.workers.sight(self.count(), self.errors)

    def call_taker(self) -> None:
        """See `seeing.sources.Source`."""
        self.bell.ring()

    def cancel(self) -> None:
        """See `Course.cancel`."""
        self.meter.freeze()
        super().cancel()


class CountingCourse(WatchedCourse):
    """A stream, which may go on after errors: they are counted as they come, not as they are handed over."""

    def arrived(self, start: int, outcomes: list[Any]) -> None:
        """See `Handover.arrived`."""
        if native is None or not native.are_small(outcomes):  # what is plain has not failed
            self.errors += errors_of(outcomes)
        super().arrived(start, outcomes)

    def tell(self, known: Known) -> None:
        """See `Handover.tell`."""
        if not known.told:
            self.errors += errors_of(known.outcomes)
        super().tell(known)


class WatchedSpin(SpinCore):
    """A SpinOff whose progress is shown or told: how many items there will be is known when it is closed."""

    keen = False
    _called = False
    workers: Workers

    def watch(self, progress: Progress) -> None:
        """Show it from now on."""
        measured = self.words.batch is None and self.words.rate is None and self.key is None
        self.workers = Workers(self.engine, self.function if measured else None)
        self.meter = begin(progress, self, self.function.name, say)

    def count(self) -> tuple[int, int | None, bool]:
        """See `seeing.sources.Source`."""
        flow = self.flow
        return flow.finished, flow.admitted if flow.closed else None, flow.closed and flow.finished == flow.admitted

    def sight(self) -> Sight:
        """See `seeing.sources.Source`."""
        gone = self.dropped + self.refused_new
        cancelled = self.flow.dropped - self.dropped
        return self.workers.sight(self.count(), self.failed, dropped=gone, cancelled=cancelled)

    def call_taker(self) -> None:
        """See `seeing.sources.Source`: what a SpinOff calls, its errands do; one waits at most."""
        if not self._called:
            self._called = True
            self.errands.post(self._report)

    def _report(self) -> None:
        self._called = False
        self.meter.report()


class WatchedTurns(TurnCourse):
    """A generator whose values are counted: how many there will be is known at its end."""

    keen = False
    failed = False
    meter: Meter = OFF
    workers: Workers

    def watch(self, progress: Progress) -> None:
        """Show it from now on."""
        self.workers = Workers(self.engine)
        self.meter = begin(progress, self, self.name, say)

    def count(self) -> tuple[int, int | None, bool]:
        """See `seeing.sources.Source`."""
        turns = self.turns
        over = turns.over and not turns.closed
        return turns.arrived, turns.arrived if over else None, over

    def sight(self) -> Sight:
        """See `seeing.sources.Source`."""
        return self.workers.sight(self.count(), int(self.failed or self.turns.error is not None))

    def call_taker(self) -> None:
        """See `seeing.sources.Source`."""
        self.bell.ring()

    def stirred(self) -> bool:
        """See `TurnCourse.stirred`."""
        return super().stirred() or self.keen

    def take(self) -> Any:
        """See `TurnCourse.take`."""
        if self.keen:
            self.meter.report()
        try:
            return super().take()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                self.meter.interrupt()
            if self.turns.ended:
                self.failed = not isinstance(error, StopIteration)
                self.meter.close()
            raise

    def close(self) -> None:
        """See `TurnCourse.close`."""
        self.meter.freeze()
        super().close()
        self.meter.close()

    def drop(self) -> None:
        """See `TurnCourse.drop`."""
        self.meter.drop()
        super().close()
