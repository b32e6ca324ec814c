"""The thread that drives a pool of processes: waits for descriptors and requests, and tells the core what happened."""

from __future__ import annotations

import logging
import select
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from procession.backends import forksafe
from procession.backends.arenas import IDLE
from procession.backends.channel import Channel
from procession.backends.gate import Gate
from procession.backends.launch import Event as LaunchEvent
from procession.backends.launch import Exited, Started, StartFailed
from procession.backends.saying import say
from procession.core import events
from procession.core.pool import PoolCore
from procession.core.task import Task
from procession.core.worker import State
from procession.driver.inbox import Inbox
from procession.driver.lane import TICK, Note
from procession.driver.launching import Launching

if TYPE_CHECKING:
    from procession.driver.callbacks import Callbacks
    from procession.driver.tracking import ProcessTracker
    from procession.tapping import Push, Tap
    from procession.transport.codec import Codec

PEEK_AFTER = 0.005
"""Seconds of silence after which what a worker has finished of its lease is read from its page."""


class Driver(Launching):
    """One pool's loop; `Performer` has its core and what is done for it."""

    backend = "processes"

    def __init__(self, core: PoolCore, inbox: Inbox, codec: Codec, callbacks: Callbacks) -> None:
        super().__init__(core, codec, callbacks, inbox)
        self.start_errors: dict[int, BaseException] = {}
        self.teardown_errors: list[BaseException] = []
        self._synced: list[Gate] = []
        self._epoll = select.epoll()
        forksafe.own(self._epoll.fileno())
        self._sources: dict[int, Callable[[int], object]] = {}
        self._first: set[int] = set()  # what workers print is shown before their results are handed over
        self._deferred: list[LaunchEvent] = []
        self.tracker: ProcessTracker | None = None
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

    # -- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the pool is closed."""
        while not self.closed:
            self._wait()
            self._read_inbox()
            if self.keeps_time:
                self.watch_time()
            if self._synced and not self.starting:
                self._release_synced()
            self.mind_lane()
            if (arenas := self.codec.supply) is not None and arenas.restless:
                arenas.mind()

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
        left = len(entries)
        while left > 0 and entries:  # notes may be taken out meanwhile
            if run := self.inbox.take_run():
                left -= len(run)
                waiting = waiting + run if waiting else run
                continue
            entry = entries.popleft()
            left -= 1
            if isinstance(entry, list):
                waiting = waiting + entry
            elif isinstance(entry, tuple) and isinstance(entry[0], Note):
                self.noted(entry[0])  # before what waits here: that may end the lending
            else:
                if waiting:
                    self.submitted(waiting)
                    waiting = []
                self._take_request(entry)
        if waiting:
            self.count_lone(len(waiting))
            self.submitted(waiting)
        if self.codec.forgotten:
            self._forget_functions()

    def _take_request(self, entry: Any) -> None:
        """An event for the core; (event, answer), called when that has been performed; a sync."""
        if isinstance(entry, Gate):
            self._synced.append(entry)
            return
        if callable(entry):
            entry()
            return
        self.recall_lane()
        if isinstance(entry, tuple):
            event, answer = entry
            self.step(event)
            answer()
        else:
            self.step(entry)

    def _release_synced(self) -> None:
        synced, self._synced = self._synced, []
        for event in synced:
            event.open()

    def _patience(self) -> float:
        if self._deferred or self.recall_wanted or (self.lane is not None and self.lane.hot):
            patience = TICK
        else:
            patience = PEEK_AFTER if self.core.holding else self._rest()
        return self.sooner(patience) if self.keeps_time else patience

    def _rest(self) -> float:
        """How long to sleep when nothing is going on; -1: for ever."""
        arenas = self.codec.supply
        return IDLE if arenas is not None and arenas.restless else -1.0

    def _peek(self) -> None:
        """A long item must not hold back what was finished before it in its lease."""
        before = monotonic() - PEEK_AFTER
        for wid in list(self.core.holding):
            channel = self.channels.get(wid)
            if channel is not None and self.heard_at.get(wid, 0.0) < before:
                channel.peek()

    def _forget_functions(self) -> None:
        forgotten = self.codec.forgotten
        gone = [forgotten.popleft() for _ in range(len(forgotten))]
        for channel in self.channels.values():
            if not channel.forget(gone):
                self.await_room(channel)

    def track(self, tap: Tap | None, number: int, role: tuple[str, str]) -> None:
        """Tell this one of everything from now on, or nobody; the engine has this number, and is this."""
        if self.tracker is not None:
            self.catch_up()
            self.tracker.leave()
            self.tracker = None
            for channel in self.channels.values() if tap is None or not tap.tasks else ():
                channel.drop_times()
        if tap is not None and not self.closed:
            from procession.driver.tracking import ProcessTracker

            self.tracker = ProcessTracker(self, tap, number, role)

    def part(self, push: Push) -> None:
        """Tell the tap what has ended by now, and this one what runs."""
        if self.tracker is not None:
            self.catch_up()
            self.tracker.tell_running(push)

    # -- what workers say (channel.Hears) --------------------------------------------------------------------------

    def start_failed(self, wid: int, error: BaseException) -> None:
        """Told to the core when the process is gone: what its initializer left behind is then complete."""
        self.start_errors[wid] = error

    def items_done(self, wid: int, outcomes: list[Any]) -> None:
        """See `channel.Hears`."""
        self.moved_at[wid] = monotonic()
        failed = self.keeper.failed(wid, False, outcomes) if self.core.ruled else ()
        self.step(events.ItemsDone(wid, outcomes, failed))

    def lease_ended(self, wid: int, items: int, busy_ns: int) -> None:
        """See `channel.Hears`."""
        self.step(events.LeaseEnded(wid, items, busy_ns))

    def teardown_failed(self, wid: int, error: BaseException) -> None:
        """Kept for who joins; logged for who does not."""
        self.teardown_errors.append(error)
        say(logging.ERROR, "the teardown of worker %d raised", wid, error=error)

    def launched(self, happened: Sequence[LaunchEvent]) -> None:
        """What the launcher has to tell."""
        for event in happened:
            self.starting.discard(event.wid)
            if isinstance(event, Started):
                self.started(event.wid, event.pid)
            elif isinstance(event, Exited):
                self._exited(event)
            elif isinstance(event, StartFailed):
                self._not_started(event)

    def _not_started(self, event: StartFailed) -> None:
        """Nobody knows of such a process; but it may exist, if the zygote died between the fork and saying so.

        Then it has our channels, and may be ready, or even be running something. So the same as for a death: read, take
        back the tokens, decide. It may have gone on between the reading and the taking back, so that what it says is
        read once more: READY is sent before a token is taken, and outcomes before the next one. When the channel is
        closed it finds no token and its task pipe at an end, and ends by itself.
        """
        channel = self.channels[event.wid]
        if self.lane is not None and self.lane.channel is channel and not self.recall_lane():
            self._deferred.append(event)
            return
        channel.drain_dead()
        unowned = self.unowned(channel)
        worker = self.core.workers[event.wid]
        if unowned < worker.items:
            channel.drain_dead()
            unowned += channel.withdraw()
        if worker.state is not State.STARTING:  # it was ready once, perhaps, and something may have lived or run there
            self.lost(channel, unowned, None)
        else:
            self.step(events.StartFailed(event.wid, event.error, fatal=False, again=event.again))
            self.close_channel(channel)

    def _exited(self, event: Exited) -> None:
        """Law 6: read what it published, then count what it did not own, then decide."""
        channel = self.channels[event.wid]
        if self.lane is not None and self.lane.channel is channel and not self.recall_lane():
            self._deferred.append(event)
            return
        self.show_output()
        channel.drain_dead()
        error = self.start_errors.pop(event.wid, None)
        if error is not None:
            self.step(events.StartFailed(event.wid, error, fatal=True))
        unowned = self.unowned(channel)
        self.lost(channel, unowned, event.exitcode, event.peak_rss)

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
        if self.notes is not None:
            self.notes.close()
        self._sources.clear()
        fd = self._epoll.fileno()
        forksafe.disown(fd)
        self._epoll.close()
        if self.tracker is not None:
            self.tracker.close()
        self._release_synced()
