"""Time, in a driver of processes: who is looked at when, who is killed when asking has not helped, and the last rites.

The core says who is to be looked at how often (`PoolCore.watched`) and when it wants to be told the time (`alarm`); here
it is seen to, in between other things. A look costs a few microseconds, and there are some every second for each worker
that runs a task with a timeout; tasks that do not hit theirs are not touched by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from procession.backends.channel import Channel
from procession.backends.tasks import CallFuture
from procession.core import events
from procession.core.pool import PoolCore
from procession.core.rules import Cause
from procession.driver.inbox import Inbox
from procession.driver.lanes import LaneKeeper
from procession.driver.perform import SIGKILL
from procession.driver.verdicts import SECOND, Obituary
from procession.types import Raised

if TYPE_CHECKING:
    from procession.driver.callbacks import Callbacks
    from procession.transport.codec import Codec

LEAST_WAIT_NS = 200_000


class Supervisor(LaneKeeper):
    """A performer that keeps time."""

    def __init__(self, core: PoolCore, codec: Codec, callbacks: Callbacks, inbox: Inbox) -> None:
        super().__init__(core, codec, callbacks, inbox)
        self._next_look: dict[int, int] = {}

    def time_left(self) -> float | None:
        """Seconds until `watch_time` has something to do; None: nothing."""
        wanted = list(self.deadlines.values())
        alarm = self.core.alarm()
        if alarm is not None:
            wanted.append(alarm)
        if self.core.watched:
            wanted += [self._next_look.get(wid, 0) for wid in self.core.watched]
        if not wanted:
            return None
        return max(LEAST_WAIT_NS, min(wanted) - monotonic_ns()) / SECOND

    def watch_time(self) -> None:
        """Do what the time has come for."""
        now = monotonic_ns()
        core = self.core
        alarm = core.alarm()
        if alarm is not None and alarm <= now:
            self.step(events.Clock(now))
        if core.watched:
            self._look_around(now)
        elif self._next_look:
            self._next_look.clear()
        for wid, deadline in list(self.deadlines.items()):
            if deadline <= now and self.launcher is not None:
                del self.deadlines[wid]
                self.launcher.kill(wid, SIGKILL)

    def _look_around(self, now: int) -> None:
        for wid in list(self.core.watched):
            worker = self.core.workers.get(wid)
            if worker is not None and self._next_look.get(wid, 0) <= now:
                self._next_look[wid] = now + worker.look_ns
                self.look(wid)

    # -- outcomes, seen with the eyes of their rules -----------------------------------------------------------------

    def failed_calls(self, wid: int, outcomes: list[Any]) -> Sequence[int]:
        """Which of these outcomes of a worker's oldest calls want another run."""
        found = list(islice(self.core.workers[wid].inflight, len(outcomes)))
        return self._failed(wid, found, outcomes)

    def failed_items(self, wid: int, outcomes: list[Any]) -> Sequence[int]:
        """The same for its oldest chunk."""
        chunk = self.core.workers[wid].inflight[0]
        return self._failed(wid, [chunk] * len(outcomes), outcomes)

    def _failed(self, wid: int, found: list[Any], outcomes: list[Any]) -> Sequence[int]:
        cause = self.asked.pop(wid, None)
        if cause is Cause.TIMEOUT:
            self._gave_in(wid, found[0], outcomes)
        failed = self.wanted_again(found, outcomes)
        if failed:
            self.tell_time()
        return failed

    def _gave_in(self, wid: int, task: Any, outcomes: list[Any]) -> None:
        """It was asked to end, for its time was over; if it did as it was asked, that is its timeout."""
        from concurrent.futures import CancelledError

        first = outcomes[0]
        if first.__class__ is Raised and isinstance(first.error, CancelledError):
            start = getattr(task, "start", 0)
            self.timeouts += 1
            error = self._timeout(task, start, wid, Obituary(None, None))
            error.__cause__ = first.error
            outcomes[0] = Raised(error)

    def is_ending(self, future: CallFuture[Any]) -> bool:
        """Its worker is being killed for it, or it has been asked to end."""
        worker = None if future.wid is None else self.core.workers.get(future.wid)
        return worker is not None and worker.sentence is not None and future in worker.inflight

    # -- the end of a worker -----------------------------------------------------------------------------------------

    def lost(self, channel: Channel, unowned: int, exitcode: int | None) -> None:
        """Everything that it had published has been told, and its tokens were counted."""
        wid = channel.wid
        if self.core.ruled:
            self.tell_time()
        self.obituaries[wid] = Obituary(self.pids.get(wid), exitcode, channel.stacks())
        self.step(events.Lost(wid, unowned, exitcode))
        del self.obituaries[wid]
        self._next_look.pop(wid, None)
        self.ran_ns.pop(wid, None)
        self.close_channel(channel)
