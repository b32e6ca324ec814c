"""The last rites of worker processes, and who is killed when asking has not helped; time is kept by keeping.py."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from procession.backends.channel import Channel
from procession.backends.memory import OomWatch
from procession.backends.stacks import last_words
from procession.backends.tasks import CallFuture
from procession.core import events
from procession.core.pool import PoolCore
from procession.core.rules import LEAST_LOOK_NS
from procession.core.task import Task
from procession.driver.inbox import Inbox
from procession.driver.killing import SIGKILL
from procession.driver.lanes import LaneKeeper
from procession.driver.recycling import Limits, Recycler
from procession.driver.verdicts import Obituary

if TYPE_CHECKING:
    from collections.abc import Callable

    from procession.core.auto import AutoWidth
    from procession.driver.callbacks import Callbacks
    from procession.driver.metering import Meter
    from procession.transport.codec import Codec

BOUND_NS = 50_000_000
"""So often one looks whether captured tasks write too much."""
REMEMBERED = 64
"""So many ends of workers are, for tasks that come late and need what went with one."""


class Supervisor(LaneKeeper):
    """A performer that keeps time."""

    def __init__(self, core: PoolCore, codec: Codec, callbacks: Callbacks, inbox: Inbox) -> None:
        super().__init__(core, codec, callbacks, inbox)
        self._watch_at = 0
        self._bounded_at = 0
        self._oom = OomWatch()
        self._recycler: Recycler | None = None
        self._capturing: set[int] = set()  # workers with captured tasks, which may write too much
        self._meter: Meter | None = None

    def measure(self, auto: AutoWidth, resized: Callable[[int], object]) -> None:
        """The pool is to find its width by itself; `resized` is told of each new one."""
        from procession.backends.cpu_time import of_process
        from procession.driver.metering import Meter

        self._meter = Meter(self, auto, of_process, resized, weighs=True)

    def numbers_of_workers(self) -> dict[int, int]:
        """See `metering.Host`."""
        return self.pids

    def limit(self, limits: Limits) -> None:
        """What workers may come to."""
        self.memory_limit = limits.hard
        if limits != Limits():
            self._recycler = Recycler(self, limits)

    @property
    def keeps_time(self) -> bool:
        """Something may be wanted at some time, whatever happens."""
        watched = self.deadlines or self._capturing or self._recycler or self._meter
        return self.core.ruled or bool(watched)

    @property
    def recycles(self) -> bool:
        """Workers are replaced though they could go on."""
        return self._recycler is not None or self.core.max_tasks_per_child is not None

    def submitted(self, waiting: list[Task]) -> None:
        """These tasks have come. A lent worker may be free by now: the core is to know, or it starts one too many."""
        if self.lane is not None:
            self.receive(self.lane.channel)
        ruled = self.inbox.ruled
        self.step(events.Submitted(waiting, ruled, monotonic_ns() if ruled else 0))

    def sooner(self, patience: float) -> float:
        """So many seconds (-1: for ever), or those until `watch_time` has something to do."""
        if self._meter is not None:
            core = self.core
            self._meter.resting(core.hungry if core.lent is None else (*core.hungry, core.lent))
        found = [each.wanted_at() for each in (self._recycler, self._meter) if each is not None]
        others = [*self.deadlines.values(), *(at for at in found if at is not None)]
        if self._capturing and self.core.in_flight:
            others.append(self._bounded_at + BOUND_NS)
        left = self.keeper.time_left(*others)
        return patience if left is None or 0 <= patience <= left else left

    def watch_time(self) -> None:
        """Do what the time has come for."""
        now = monotonic_ns()
        if now < self._watch_at:
            return
        self._watch_at = now + LEAST_LOOK_NS
        self.keeper.watch()
        if self._recycler is not None:
            self._recycler.watch()
        if self._meter is not None:
            self._meter.watch()
        if self._capturing and self._bounded_at + BOUND_NS <= now:
            self._bounded_at = now
            self._bound_written()
        for wid, deadline in list(self.deadlines.items()):
            if deadline <= now:
                del self.deadlines[wid]
                self.overdue(wid)

    def overdue(self, wid: int) -> None:
        """It was told to end, and is still there when it had to be gone."""
        if self.launcher is not None:
            self.launcher.kill(wid, SIGKILL)

    def is_ending(self, future: CallFuture[Any]) -> bool:
        """Its worker is being killed for it, or it has been asked to end."""
        worker = None if future.wid is None else self.core.workers.get(future.wid)
        return worker is not None and worker.sentence is not None and future in worker.inflight

    def captures(self, wid: int) -> None:
        """See `channel.Hears`."""
        self._capturing.add(wid)

    def _bound_written(self) -> None:
        for wid in self._capturing:
            channel = self.channels.get(wid)
            if channel is not None and channel.written is not None:
                channel.written.bound()

    def ready(self, wid: int) -> None:
        """See `channel.Hears`."""
        if self._recycler is not None:
            self._recycler.born(wid)
        self.step(events.WorkerReady(wid))
        if self._meter is not None:
            self._meter.began(wid)

    def yielded(self, number: int, place: int, value: Any) -> None:
        """See `channel.Hears`."""
        outlet = self.inbox.outlets.get(number)
        if outlet is not None:
            outlet.came(place, value)

    @property
    def streaming(self) -> bool:
        """See `channel.Hears`."""
        return bool(self.inbox.outlets)

    # -- the end of a worker -----------------------------------------------------------------------------------------

    def unowned(self, channel: Channel) -> int:
        """How many items of a worker that is gone, and has been read, it had not taken.

        They are counted when nothing more will be sent there. What the time sets free, a further run say, may be: to
        the core this worker is one like any other. So the time is told before.
        """
        if self.core.ruled:
            self.keeper.tell_time()
        return channel.withdraw()

    def lost(self, channel: Any, unowned: int, exitcode: int | None, peak_rss: int | None = None) -> None:
        """Everything that it had published has been told, and its tokens were counted; nothing was stepped since."""
        wid = channel.wid
        self.end_offspring(wid)
        if self._recycler is not None:
            peak_rss = self._recycler.most(wid, peak_rss)
        self.obituaries[wid] = self._obituary(channel, exitcode, peak_rss)
        self.step(events.Lost(wid, unowned, exitcode))
        if len(self.obituaries) > REMEMBERED:
            del self.obituaries[next(iter(self.obituaries))]
        self.ran_ns.pop(wid, None)
        self._capturing.discard(wid)
        if self._recycler is not None:
            self._recycler.gone(wid)
        self.close_channel(channel)

    def _obituary(self, channel: Channel, exitcode: int | None, peak_rss: int | None) -> Obituary:
        """Whether the kernel did it for want of memory is asked only where nobody else is known to have done it."""
        killed = channel.wid in self.killed
        oom = self._oom.blamed(exitcode, killed)
        stack = last_words(channel.stacks(), killed)
        written = None if channel.written is None else channel.written.read()
        return Obituary(self.pids.get(channel.wid), exitcode, stack, peak_rss, oom, written)
