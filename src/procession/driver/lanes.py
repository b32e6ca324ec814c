"""When a worker is lent, and what the driver does about it; the lane itself is in lane.py."""

from __future__ import annotations

from abc import abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Any

from procession.backends import tasks
from procession.backends.channel import Channel
from procession.backends.channel_fast import FastChannel
from procession.core import events
from procession.core.pool import PoolCore, PoolState
from procession.core.task import Task
from procession.core.worker import State
from procession.driver.inbox import Inbox
from procession.driver.lane import COOL_TICKS, LONE, MAX_LONE, WORTH, Lane, Note
from procession.driver.lane_fast import FastLane
from procession.driver.perform import Performer

if TYPE_CHECKING:
    from procession.backends.notes import Notes
    from procession.backends.output import OutputPump
    from procession.driver.callbacks import Callbacks
    from procession.transport.codec import Codec


class LaneKeeper(Performer):
    """A performer that lends a worker to callers who call one by one."""

    def __init__(self, core: PoolCore, codec: Codec, callbacks: Callbacks, inbox: Inbox) -> None:
        super().__init__(core, codec, callbacks)
        self.inbox = inbox
        self.lane: Lane | FastLane | None = None
        self.door: Any = None  # of the engine, on the fast lane
        self.output: OutputPump | None = None
        self.notes: Notes | None = None
        self._lone = 0  # calls that came one at a time
        self._lone_wanted = LONE

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

    def catch_up(self) -> None:
        """Tell the core of all that workers have published by now, wherever it lies: a caller may have it already."""
        for channel in [] if self.closed else list(self.channels.values()):
            while True:
                self.receive(channel)
                channel.peek(self.read_notes)
                if not channel.behind:
                    break

    def read_notes(self) -> None:
        """See `Performer`."""
        lane = self.lane
        if lane is None:
            return
        if isinstance(lane, FastLane):
            if calls := lane.take_calls():
                self._noted(lane, calls)
            return
        entries = self.inbox.entries
        kept = []
        for _ in range(len(entries)):
            entry = entries.popleft()
            if isinstance(entry, tuple) and isinstance(entry[0], Note):
                self.noted(entry[0])
            else:
                kept.append(entry)
        entries.extendleft(reversed(kept))

    def noted(self, note: Note) -> None:
        """A caller has handed something over."""
        self._noted(note.lane, [note.future])

    def _noted(self, lane: Lane | FastLane, calls: list[Task]) -> None:
        """The core is told, and the lane is hot if callers wait on it."""
        lane.used += len(calls)
        self._lone = 0
        lane.idle_ticks = 0
        if not self.core.workers[lane.channel.wid].inflight:
            self.moved_at[lane.channel.wid] = monotonic()
        self.step(events.LentTasks(lane.channel.wid, calls))
        if lane.waits > lane.seen_waits:
            lane.seen_waits = lane.waits
            if not lane.hot and lane is self.lane:
                lane.hot = True
                lane.heat(self)

    def leases_ended(self, wid: int, leases: int, items: int, busy_ns: int) -> None:
        """See `channel.Hears`: to the core they may have been fewer."""
        channel = self.channels[wid]
        tally = channel.tally if isinstance(channel, FastChannel) else None
        for ended in [(items, busy_ns)] if tally is None else tally.ended(leases, items, busy_ns):
            self.step(events.LeaseEnded(wid, *ended))

    def show_output(self) -> None:
        """See `channel.Hears`."""
        if self.output is not None:
            self.output.drain()
        if self.notes is not None:
            self.notes.drain()

    @property
    def beside(self) -> tuple[int, int]:
        """See `channel.Hears`."""
        return (-1, -1) if self.notes is None else self.notes.beside

    def count_lone(self, submitted: int) -> None:
        """So many tasks came together; one that finds the pool idle comes alone."""
        self._lone = self._lone + 1 if submitted == 1 and not self.core.in_flight else 0

    def calls_done(self, wid: int, outcomes: list[Any]) -> None:
        """See `channel.Hears`. A lone caller finds the lane open when it wakes up, or it would always be too early."""
        self.moved_at[wid] = monotonic()
        failed = self.keeper.failed(wid, True, outcomes) if self.core.ruled else ()
        with tasks.LOCK:
            self.todo.extend(self.core.step(events.CallsDone(wid, outcomes, failed)))
        if self._lone >= self._lone_wanted and self.lane is None:
            self._lend(wid)
        self.perform()

    @property
    @abstractmethod
    def recycles(self) -> bool:
        """Workers are replaced though they could go on; such a pool lends none."""

    def _lend(self, wid: int) -> None:
        """Lend this worker, whose last outcome has just come, if the pool is idle now."""
        core, channel = self.core, self.channels.get(wid)
        if core.in_flight or core.state is not PoolState.OPEN or self.recycles or self.inbox.entries:
            return
        if wid in core.hungry and channel is not None:
            self._lone = 0
            with tasks.LOCK:
                self.todo.extend(core.step(events.Lent(wid)))
            if isinstance(channel, FastChannel):
                self.lane = FastLane(channel, self.inbox, self.door, len(core.workers[wid].open_leases))
            else:
                self.lane = Lane(self.inbox, channel, core.workers[wid].next_number)

    def mind_lane(self) -> None:
        """Look after the lane, if there is one."""
        lane = self.lane
        if lane is None:
            return
        if lane.hot:
            self.receive(lane.channel)
            if self.lane is not lane:
                return  # it was recalled over what was read
            lane.idle_ticks += 1
            if lane.wants_cooling or lane.idle_ticks >= COOL_TICKS:
                lane.hot = lane.wants_cooling = False
                lane.calm(self)
                if self.lane is not lane:
                    return
        worker = self.core.workers[lane.channel.wid]
        if not lane.hot and self._lone >= LONE and worker.state is State.IDLE:
            self.recall_lane()  # lone calls come, and do not take it
        else:
            lane.settle(worker.next_number - len(worker.open_leases))

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
            lane.calm(self)
        self.step(events.Recalled(lane.channel.wid))
        lane.dispose()
        return True
