"""The thread that drives a pool of processes: waits for descriptors and requests, and tells the core what happened."""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from procession.backends import forksafe
from procession.backends.channel import Channel
from procession.backends.launch import Event as LaunchEvent
from procession.backends.launch import Exited, Started, StartFailed
from procession.backends.launch_zygote import ZygoteLauncher
from procession.backends.output import OutputPump
from procession.backends.tasks import CallFuture
from procession.core import events
from procession.core.pool import PoolCore, PoolState
from procession.core.task import Task
from procession.core.worker import State
from procession.driver.inbox import Inbox
from procession.driver.lane import COOL_TICKS, LONE, MAX_LONE, TICK, WORTH, Lane, Note
from procession.driver.perform import Performer

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from procession.driver.callbacks import Callbacks
    from procession.transport.codec import Codec

PEEK_AFTER = 0.005
"""Seconds of silence after which what a worker has finished of its lease is read from its page."""

logger = logging.getLogger("procession")


class Driver(Performer):
    """One pool's loop; `Performer` has its core and what is done for it."""

    def __init__(self, core: PoolCore, inbox: Inbox, codec: Codec, callbacks: Callbacks) -> None:
        super().__init__(core, codec, callbacks)
        self.inbox = inbox
        self.start_errors: dict[int, BaseException] = {}
        self.teardown_errors: list[BaseException] = []
        self._answers: list[Callable[[], object]] = []  # to be called when what was asked with them is performed
        self._synced: list[threading.Event] = []
        self._epoll = select.epoll()
        forksafe.own(self._epoll.fileno())
        self._sources: dict[int, Callable[[int], object]] = {}
        self._first: set[int] = set()  # what workers print is shown before their results are handed over
        self.output: OutputPump | None = None
        self.lane: Lane | None = None
        self._lone = 0  # calls that came one at a time
        self._lone_wanted = LONE
        self._deferred: list[LaunchEvent] = []
        self.watch(inbox.fileno(), lambda _fd: inbox.hush())

    # -- descriptors ---------------------------------------------------------------------------------------------

    def watch(self, fd: int, source: Callable[[int], object]) -> None:
        """Call `source(fd)` when `fd` is readable."""
        self._sources[fd] = source
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """No longer."""
        self._first.discard(fd)
        if self._sources.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def await_room(self, channel: Channel) -> None:
        """Go on sending when the task pipe takes more."""
        fd = channel.tasks_fd
        if fd not in self._sources:

            def flush(_fd: int) -> None:
                if channel.flush():
                    self.unwatch(fd)

            self._sources[fd] = flush
            self._epoll.register(fd, select.EPOLLOUT)

    # -- how workers start ---------------------------------------------------------------------------------------

    def start_by_zygote(self, preload: Sequence[str]) -> None:
        """Workers are children of the zygote and print to us."""
        self.output = OutputPump(watch=self._watch_output, unwatch=self.unwatch)
        launcher = ZygoteLauncher(
            self.output.child_ends, watch=self._watch_launcher, unwatch=self.unwatch, preload=preload
        )
        self.launcher = launcher
        launcher.warm()

    def start_by_context(self, context: BaseContext) -> None:
        """Workers are children of this multiprocessing context, as the stdlib's."""
        from procession.backends.launch_mp import MpLauncher  # imports multiprocessing: only who asked for it pays

        self.launcher = MpLauncher(context, watch=self._watch_launcher, unwatch=self.unwatch)

    def _watch_output(self, fd: int) -> None:
        def pump(fd: int) -> None:
            assert self.output is not None
            self.output.pump(fd)

        self.watch(fd, pump)
        self._first.add(fd)

    def _watch_launcher(self, fd: int) -> None:
        def poll(fd: int) -> None:
            assert self.launcher is not None
            self.launched(self.launcher.poll(fd))

        self.watch(fd, poll)

    # -- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the pool is closed."""
        while not self.closed:
            self._wait()
            self._read_inbox()
            if self._answers:
                answers, self._answers = self._answers, []
                for answer in answers:
                    answer()
            if self._synced and not self.starting:
                self._release_synced()
            if self._lone >= self._lone_wanted or self.lane is not None:
                self._mind_lane()

    def _wait(self) -> None:
        inbox = self.inbox
        inbox.asleep = True
        try:
            timeout = 0.0 if inbox.entries else self._patience()
            ready = self._epoll.poll(timeout)
        finally:
            inbox.asleep = False
        first = self._first
        for fd, _mask in sorted(ready, key=lambda each: each[0] not in first) if len(ready) > 1 else ready:
            source = self._sources.get(fd)
            if source is not None:
                source(fd)
        if self.recall_wanted:
            self.perform()
        if self._deferred:
            deferred, self._deferred = self._deferred, []
            self.launched(deferred)
        if not ready and timeout > 0:
            self._peek()

    def _read_inbox(self) -> None:
        entries = self.inbox.entries
        waiting: list[Task] = []
        for _ in range(len(entries)):
            if not entries:
                break  # notes were taken out meanwhile
            entry = entries.popleft()
            if isinstance(entry, CallFuture):
                waiting.append(entry)
            elif isinstance(entry, list):
                waiting.extend(entry)
            else:
                if waiting:
                    self.step(events.Submitted(waiting))
                    waiting = []
                self._take_request(entry)
        if waiting:
            self._lone = self._lone + 1 if len(waiting) == 1 and not self.core.in_flight else 0
            self.step(events.Submitted(waiting))
        if self.codec.forgotten:
            self._forget_functions()

    def _take_request(self, entry: Any) -> None:
        """An event for the core; (event, answer), which is called when it has been performed; a sync; a note."""
        if isinstance(entry, threading.Event):
            self._synced.append(entry)
            return
        if isinstance(entry, tuple) and isinstance(entry[0], Note):
            self._noted(entry[0])
            return
        self.recall_lane()
        if isinstance(entry, tuple):
            event, answer = entry
            self.step(event)
            self._answers.append(answer)
        else:
            self.step(entry)

    def _release_synced(self) -> None:
        synced, self._synced = self._synced, []
        for event in synced:
            event.set()

    def _patience(self) -> float:
        if self._deferred or self.recall_wanted or (self.lane is not None and self.lane.hot):
            return TICK
        if any(self._may_hold_back(wid) for wid in self.channels):
            return PEEK_AFTER
        return -1.0

    def _may_hold_back(self, wid: int) -> bool:
        worker = self.core.workers.get(wid)
        return worker is not None and not worker.lent and worker.state is State.BUSY and worker.items > 1

    def _peek(self) -> None:
        """A long item must not hold back what was finished before it in its lease."""
        before = monotonic() - PEEK_AFTER
        for wid in list(self.channels):
            if self._may_hold_back(wid) and self.heard_at.get(wid, 0.0) < before:
                self.channels[wid].peek()

    def _forget_functions(self) -> None:
        forgotten = self.codec.forgotten
        gone = [forgotten.popleft() for _ in range(len(forgotten))]
        for channel in self.channels.values():
            if not channel.forget(gone):
                self.await_room(channel)

    # -- the express lane ----------------------------------------------------------------------------------------

    def receive(self, channel: Channel) -> None:
        """Read first, then the notes, then tell: a call is noted before its outcome can be there to be read."""
        received = channel.read()
        lane = self.lane
        if lane is None or lane.channel is not channel:
            channel.take(received)
            return
        self.read_notes()
        channel.take(received)
        if received and self.lane is lane:
            lane.wake()

    def read_notes(self) -> None:
        """See `Performer`."""
        if self.lane is None:
            return
        entries = self.inbox.entries
        kept = []
        for _ in range(len(entries)):
            entry = entries.popleft()
            if isinstance(entry, tuple) and isinstance(entry[0], Note):
                self._noted(entry[0])
            else:
                kept.append(entry)
        entries.extendleft(reversed(kept))

    def _noted(self, note: Note) -> None:
        lane = note.lane
        lane.used += 1
        lane.idle_ticks = 0
        self.step(events.LentTask(lane.channel.wid, note.future))
        if lane.waits > lane.seen_waits:
            lane.seen_waits = lane.waits
            if not lane.hot and lane is self.lane:
                lane.hot = True
                self.unwatch(lane.channel.results_fd)

    def _mind_lane(self) -> None:
        """Lend a worker to a program that calls one by one; look after the lane that there is."""
        lane, core = self.lane, self.core
        if lane is None:
            if core.hungry and not (core.in_flight or self.inbox.entries or core.max_tasks_per_child):
                worker = core.workers[next(reversed(core.hungry))]
                channel = self.channels.get(worker.wid)
                if core.state is PoolState.OPEN and channel is not None and not worker.open_leases:
                    self.step(events.Lent(worker.wid))
                    self.lane = Lane(self.inbox, channel, worker.next_number)
            return
        worker = core.workers[lane.channel.wid]
        if lane.hot:
            self.receive(lane.channel)
            lane.idle_ticks += 1
            if lane.wants_cooling or lane.idle_ticks >= COOL_TICKS:
                lane.hot = lane.wants_cooling = False
                self.watch_results(lane.channel)
        lane.settled = worker.next_number - len(worker.open_leases)

    def recall_lane(self) -> bool:
        """See `Performer`. False: a caller is in the middle of handing something over; ask again soon."""
        lane = self.lane
        if lane is None:
            return True
        lane.close()
        self.read_notes()
        if lane.in_progress:
            return False
        self.lane = None
        self._lone = 0
        self._lone_wanted = LONE if lane.used >= WORTH else min(2 * self._lone_wanted, MAX_LONE)
        if lane.hot:
            self.watch_results(lane.channel)
        self.step(events.Recalled(lane.channel.wid))
        lane.dispose()
        return True

    # -- what workers say (channel.Hears) --------------------------------------------------------------------------

    def ready(self, wid: int) -> None:
        """See `channel.Hears`."""
        self.step(events.WorkerReady(wid))

    def start_failed(self, wid: int, error: BaseException) -> None:
        """Told to the core when the process is gone: what its initializer left behind is then complete."""
        self.start_errors[wid] = error

    def calls_done(self, wid: int, outcomes: list[Any]) -> None:
        """See `channel.Hears`."""
        self.step(events.CallsDone(wid, outcomes))

    def items_done(self, wid: int, outcomes: list[Any]) -> None:
        """See `channel.Hears`."""
        self.step(events.ItemsDone(wid, outcomes))

    def lease_ended(self, wid: int, items: int, busy_ns: int) -> None:
        """See `channel.Hears`."""
        self.step(events.LeaseEnded(wid, items, busy_ns))

    def teardown_failed(self, wid: int, error: BaseException) -> None:
        """Kept for who joins; logged for who does not."""
        self.teardown_errors.append(error)
        logger.error("the teardown of worker %d raised", wid, exc_info=error)

    def launched(self, happened: Sequence[LaunchEvent]) -> None:
        """What the launcher has to tell."""
        for event in happened:
            self.starting.discard(event.wid)
            if isinstance(event, Started):
                self.pids[event.wid] = event.pid
            elif isinstance(event, Exited):
                self._exited(event)
            elif isinstance(event, StartFailed):
                self.close_channel(self.channels[event.wid])
                self.step(events.StartFailed(event.wid, event.error, fatal=False))

    def _exited(self, event: Exited) -> None:
        """Law 6: read what it published, then count what it did not own, then decide."""
        channel = self.channels[event.wid]
        if self.lane is not None and self.lane.channel is channel and not self.recall_lane():
            self._deferred.append(event)
            return
        if self.output is not None:
            self.output.drain()
        channel.drain()
        error = self.start_errors.pop(event.wid, None)
        if error is not None:
            self.step(events.StartFailed(event.wid, error, fatal=True))
        unowned = channel.withdraw()
        self.step(events.Lost(event.wid, unowned, event.exitcode))
        self.close_channel(channel)

    def close(self) -> None:
        """The pool is closed: give back every descriptor, and answer whoever still waits."""
        if self.launcher is not None:
            self.launcher.close()
        if self.lane is not None:
            self.lane.close()
            self.lane.dispose()
            self.lane = None
        for channel in list(self.channels.values()):
            self.close_channel(channel)
        if self.output is not None:
            self.output.close()
        self._sources.clear()
        fd = self._epoll.fileno()
        forksafe.disown(fd)
        self._epoll.close()
        for answer in self._answers:
            answer()
        self._release_synced()
