"""Time, for whoever steps a core: who is looked at when, and what outcomes are in the eyes of their rules.

The core says who is to be looked at how often (`PoolCore.watched`) and when it wants to be told the time (`alarm`);
here it is seen to, in between other things. A look costs a few microseconds, and there are some every second for each
worker that runs a task with a timeout; tasks that do not hit theirs are not touched by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError
from itertools import islice
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol

from procession.captured import Captured, tell
from procession.core import events
from procession.core.rules import SECOND, Cause
from procession.driver.verdicts import Obituary
from procession.types import Raised

if TYPE_CHECKING:
    from procession.core.pool import PoolCore
    from procession.core.task import Task

LEAST_WAIT_NS = 200_000


class Host(Protocol):
    """Who steps the core."""

    core: PoolCore
    asked: dict[int, Cause]

    def step(self, event: events.Event) -> None:
        """Tell the core and do what it says."""
        ...

    def look(self, wid: int) -> None:
        """Tell all that this worker has published, and that this is all."""
        ...

    def wanted_again(self, found: Sequence[Task], outcomes: list[Any]) -> list[int]:
        """See `Verdicts`."""
        ...

    def timed_out(self, task: Task, start: int, wid: int, worker: Obituary) -> BaseException:
        """See `Verdicts`."""
        ...


class Keeper:
    """Keeps time for one host; called where that may step its core."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._next_look: dict[int, int] = {}

    def tell_time(self) -> None:
        """Before what time matters for."""
        self._host.step(events.Clock(monotonic_ns()))

    def looked(self, wid: int, moved: bool = False) -> None:
        """All that this worker had published has been told."""
        if wid in self._host.core.workers:
            self.tell_time()
            self._host.step(events.Looked(wid, moved))

    def wanted_at(self) -> int | None:
        """When `watch` has something to do; None: never."""
        core = self._host.core
        wanted = [self._next_look.get(wid, 0) for wid in list(core.watched)]
        alarm = core.alarm()
        if alarm is not None:
            wanted.append(alarm)
        return min(wanted, default=None)

    def time_left(self, *others: int) -> float | None:
        """Seconds until then, or until the first of the `others`."""
        at = self.wanted_at()
        wanted = others if at is None else (*others, at)
        return max(LEAST_WAIT_NS, min(wanted) - monotonic_ns()) / SECOND if wanted else None

    def watch(self) -> None:
        """Do what the time has come for."""
        now = monotonic_ns()
        core = self._host.core
        alarm = core.alarm()
        if alarm is not None and alarm <= now:
            self._host.step(events.Clock(now))
        if not core.watched:
            self._next_look.clear()
        for wid in list(core.watched):
            worker = core.workers.get(wid)
            if worker is not None and self._next_look.get(wid, 0) <= now:
                self._next_look[wid] = now + worker.look_ns
                self._host.look(wid)

    def failed(self, wid: int, calls: bool, outcomes: list[Any]) -> Sequence[int]:
        """Which of these outcomes of a worker's oldest calls, or of its chunk, want another run."""
        host = self._host
        if Raised not in map(type, outcomes):
            host.asked.pop(wid, None)
            return ()
        inflight = host.core.workers[wid].inflight
        found = list(islice(inflight, len(outcomes))) if calls else [inflight[0]] * len(outcomes)
        if host.asked.pop(wid, None) is Cause.TIMEOUT:
            self._gave_in(wid, found[0], outcomes)
        failed = host.wanted_again(found, outcomes)
        if failed:
            self.tell_time()
        return failed

    def _gave_in(self, wid: int, task: Any, outcomes: list[Any]) -> None:
        """It was asked to end, for its time was over; if it did as it was asked, that is its timeout."""
        first = outcomes[0]
        if first.__class__ is Raised and isinstance(first.error, CancelledError):
            error = self._host.timed_out(task, getattr(task, "start", 0), wid, Obituary(None, None))
            error.__cause__ = first.error
            if (written := Captured.of(first.error)) is not None:
                tell(error, written)
            outcomes[0] = Raised(error)
