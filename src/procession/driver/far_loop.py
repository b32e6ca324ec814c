"""The thread that drives a pool whose workers are on a cluster: as loop.py, with calls in the place of descriptors.

Laws, beside those of core/README.md ("Far workers")
1. The driver never waits for the cluster. Answers come as entries of its inbox, from whatever thread the cluster has.
2. A seat whose worker has ended in order, or died, is used again: only a lost agent costs a new place
   (far_places.py).
3. When an agent is lost, what its worker had in hand, and is not known to have been left alone, fails: it may have run.
4. When the cluster is lost, everything that is in hand or waits fails with `ClusterLost`, and the pool is broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procession.backends import tasks
from procession.core import commands, events
from procession.core.pool import PoolCore
from procession.core.rules import Cause
from procession.core.worker import State
from procession.driver.agent_wire import OUTPUT, End, Entry
from procession.driver.far_channel import FarChannel, Station
from procession.driver.far_places import FarPlaces
from procession.driver.inbox import Inbox
from procession.driver.killing import SIGKILL
from procession.driver.verdicts import Obituary
from procession.errors import ClusterLost

if TYPE_CHECKING:
    from procession.driver.callbacks import Callbacks
    from procession.transport.codec import Codec


class FarDriver(FarPlaces):
    """One pool's loop."""

    def __init__(self, core: PoolCore, inbox: Inbox, codec: Codec, callbacks: Callbacks) -> None:
        super().__init__(core, inbox, codec, callbacks)
        self.parcels: dict[int, Any] = {}
        """What is shared: by its number, what the cluster has of it."""

    def _forget_functions(self) -> None:
        for each in list(self.codec.forgotten):
            self.parcels.pop(each, None)
        super()._forget_functions()

    def _spawn(self, command: commands.Spawn) -> None:
        try:
            station = self._free.pop() if self._free else self._new_station()
        except ClusterLost:
            raise  # law 4
        except Exception as error:
            with tasks.LOCK:
                self.todo.extend(self.core.step(events.StartFailed(command.wid, error, fatal=False)))
            return
        channel = FarChannel(command.wid, self.codec, self, station)
        self.channels[command.wid] = channel
        self.starting.add(command.wid)
        station.ask("start", command.wid, self.config, then=channel.begun)

    # -- what a channel does at once is asked for here -------------------------------------------------------------

    def _stop(self, command: commands.Stop) -> None:
        channel = self.channels.get(command.wid)
        if channel is None:
            return
        if channel.heard_of:
            channel.stop()
        else:
            self._do_without(channel)

    def _take_request(self, entry: Any) -> None:
        """See `Driver`. Who cancels what is in hand is answered when that has come back, or has not."""
        if not (isinstance(entry, tuple) and isinstance(entry[0], events.CancelAsked)):
            super()._take_request(entry)
            self._give_back()
            return
        event, answer = entry
        asked = [task.wid for task in event.tasks]
        self.step(event)
        for wid in asked:
            if wid in self.core.withdrawing and wid in self.channels:
                self.channels[wid].answers.append(answer)
                return
        answer()

    def _answer_withdrawal(self, wid: int) -> None:
        channel = self.channels.get(wid)
        if channel is not None:
            channel.withdraw()

    def look(self, wid: int) -> None:
        """See `Performer.look`."""
        channel = self.channels.get(wid)
        if channel is not None:
            channel.look()

    def has_begun(self, wid: int) -> bool:
        """See `Killing`: its agent has been told to start it."""
        return wid in self.channels and self.channels[wid].heard_of

    def strike(self, wid: int) -> None:
        """See `Killing`."""
        self.channels[wid].station.ask("strike", wid)

    def kill(self, command: commands.Kill) -> None:
        """See `Killing.kill`: its agent does it, and ends what its item has started."""
        wid, cause = command.wid, command.cause
        channel = self.channels.get(wid)
        self.killed.add(wid)
        if channel is None:
            return
        if not channel.heard_of:
            self._do_without(channel)
            return
        with_stacks = cause is Cause.TIMEOUT or cause is Cause.MEMORY
        if with_stacks:
            self.ran_ns.setdefault(wid, self.core.workers[wid].ran_ns)
        signum = self.kill_signal if cause is None else SIGKILL
        channel.station.ask("kill", wid, signum, with_stacks, cause is not None)
        if cause is None:
            self.patience_with(wid)

    def count_lone(self, submitted: int) -> None:
        """See `LaneKeeper`: no worker is lent, since a caller has no short way there."""

    def catch_up(self) -> None:
        """See `LaneKeeper`: nobody has an outcome before the driver."""

    # -- what a worker says (far_channel.FarHears) -----------------------------------------------------------------

    def printed(self, station: Station, entry: Entry) -> None:
        """See `FarHears`."""
        assert self.output is not None
        assert self.notes is not None
        if entry[0] == OUTPUT:
            self.output.show(entry[1], entry[2])
        else:
            self.notes.hand_over(self._stations[station].take(entry[1]))
            self.notes.drain()

    def ready(self, wid: int) -> None:
        """See `channel.Hears`."""
        self.starting.discard(wid)
        super().ready(wid)

    def withdrawn(self, wid: int, count: int, left: int) -> None:
        """See `FarHears`."""
        with tasks.LOCK:
            self.todo.extend(self.core.step(events.Withdrawn(wid, count)))
            for _ in range(left):
                self.todo.extend(self.core.step(events.LeaseEnded(wid, 0, 0)))
        self.perform()
        self._answer(self.channels.get(wid))

    def _answer(self, channel: FarChannel | None) -> None:
        """Those who wait for a withdrawal."""
        if channel is not None and channel.answers:
            answers, channel.answers = channel.answers, []
            for answer in answers:
                answer()

    def looked_at(self, wid: int, moved: bool) -> None:
        """See `FarHears`."""
        self.keeper.looked(wid, moved)

    def gone(self, channel: FarChannel, end: End | None, why: str) -> None:
        """See `FarHears`."""
        wid = channel.wid
        self.starting.discard(wid)
        if end is not None:
            self._free_again(channel.station)
        error = self.start_errors.pop(wid, None)
        if error is not None:
            self.step(events.StartFailed(wid, error, fatal=True))
        channel.why = why
        self.lost(channel, self.unowned(channel), None if end is None else end.exitcode)

    def not_started(self, channel: FarChannel, error: BaseException, again: bool) -> None:
        """See `FarHears`, and `Driver._not_started`."""
        wid = channel.wid
        self.starting.discard(wid)
        if channel.end is not None:
            self._free_again(channel.station)
        if self.core.workers[wid].state is not State.STARTING:
            self.lost(channel, self.unowned(channel), None)
            return
        self.step(events.StartFailed(wid, error, fatal=False, again=again))
        self.close_channel(channel)

    def unowned(self, channel: FarChannel) -> int:  # type: ignore[override]
        """See `Supervisor.unowned`."""
        if self.core.ruled:
            self.keeper.tell_time()
        waiting, end = channel.take_outbox(), channel.end
        return waiting if end is None else waiting + end.unowned + channel.unsent  # law 3

    def _obituary(self, channel: FarChannel, exitcode: int | None, peak_rss: int | None) -> Obituary:  # type: ignore[override]
        end = channel.end
        if end is None:
            return Obituary(channel.pid or None, None, why=channel.why)
        return Obituary(end.pid or None, end.exitcode, end.stack, end.peak_rss, end.oom, end.written)

    def close_channel(self, channel: FarChannel) -> None:  # type: ignore[override]
        """See `Performer.close_channel`."""
        del self.channels[channel.wid]
        self._answer(channel)
        self.moved_at.pop(channel.wid, None)
        self.asked.pop(channel.wid, None)
        self.forget_killed(channel.wid)
