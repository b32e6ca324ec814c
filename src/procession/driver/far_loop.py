"""The thread that drives a pool whose workers are on a cluster: as loop.py, with calls in the place of descriptors.

Laws, beside those of core/README.md ("Far workers")
1. The driver never waits for the cluster. Answers come as entries of its inbox, from whatever thread the cluster has.
2. A seat whose worker has ended in order, or died, is used again: only a lost agent costs a new place. But a pool that
   has been made smaller gives back what is too much.
3. When an agent is lost, what its worker had in hand, and is not known to have been left alone, fails: it may have run.
4. When the cluster is lost, everything that is in hand or waits fails with `ClusterLost`, and the pool is broken.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from procession.backends import tasks
from procession.backends.cluster import Cluster, SeatLost, Wanted
from procession.backends.levels import LevelTable
from procession.core import commands, events
from procession.core.pool import PoolCore
from procession.core.rules import Cause
from procession.core.worker import State
from procession.driver.agent import Agent
from procession.driver.agent_wire import NOTED, OUTPUT, End, Entry, Report, Setting
from procession.driver.far_channel import FarChannel, Station
from procession.driver.inbox import Inbox
from procession.driver.killing import SIGKILL
from procession.driver.loop import Driver
from procession.driver.verdicts import Obituary
from procession.errors import ClusterLost
from procession.transport.notes import Gatherer

if TYPE_CHECKING:
    from procession.driver.callbacks import Callbacks
    from procession.transport.codec import Codec


class FarDriver(Driver):
    """One pool's loop."""

    channels: dict[int, FarChannel]  # type: ignore[assignment]  # what is asked of these here, both have

    def __init__(self, core: PoolCore, inbox: Inbox, codec: Codec, callbacks: Callbacks) -> None:
        super().__init__(core, inbox, codec, callbacks)
        self._cluster: Cluster | None = None
        self._preload: tuple[str, ...] = ()
        self._resources: dict[str, float] = {}
        self._stations: dict[Station, Gatherer] = {}  # and who puts together what is noted there
        self._free: list[Station] = []
        self._over = False
        self.parcels: dict[int, Any] = {}
        """What is shared: by its number, what the cluster has of it."""

    def start_by_cluster(self, cluster: Cluster, resources: dict[str, float], preload: tuple[str, ...]) -> None:
        """Workers are started there, each with these resources."""
        self._cluster, self._resources, self._preload = cluster, resources, preload
        self.take_output()
        self.take_notes()

    # -- places ----------------------------------------------------------------------------------------------------

    def _spawn(self, command: commands.Spawn) -> None:
        try:
            station = self._free.pop() if self._free else self._new_station()
        except Exception as error:
            with tasks.LOCK:
                self.todo.extend(self.core.step(events.StartFailed(command.wid, error, fatal=False)))
            return
        channel = FarChannel(command.wid, self.codec, self, station)
        self.channels[command.wid] = channel
        self.starting.add(command.wid)
        station.ask("start", command.wid, self.config, then=channel.begun)

    def _new_station(self) -> Station:
        assert self._cluster is not None
        seat = self._cluster.seat(Wanted(self._setting(), Agent, self._resources))
        station = Station(seat, self._post, self._seat_lost, self._stray)
        station.boards = LevelTable.text(None)[0]
        self._stations[station] = Gatherer()
        station.listen()
        return station

    def _stray(self, station: Station, report: Report) -> None:
        """Said by a process that its worker had started."""
        for entry in report.entries:
            if entry[0] in (OUTPUT, NOTED) and station in self._stations:
                self.printed(station, entry)

    def _setting(self) -> Setting:
        from procession.backends.zygote_client import context_now

        assert self._cluster is not None
        now = context_now("", {})
        return Setting(
            now["path"], now["argv"], now["cwd"], self._cluster.environment(), self._preload, LevelTable.text(None)[1]
        )

    def _forget_functions(self) -> None:
        for each in list(self.codec.forgotten):
            self.parcels.pop(each, None)
        super()._forget_functions()

    def _post(self, entry: Callable[[], object]) -> None:
        """By a thread of the cluster's."""
        self.inbox.put(lambda: None if self._over else entry())

    def _seat_lost(self, station: Station) -> None:
        error = station.lost
        if isinstance(error, ClusterLost):
            raise error
        self._stations.pop(station, None)
        if station in self._free:
            self._free.remove(station)
        station.seat.release()
        channel = station.channel
        if channel is None:
            return
        why = error.why if isinstance(error, SeatLost) else f"{type(error).__name__}: {error}"
        if self.core.workers[channel.wid].state is State.STARTING and not (isinstance(error, SeatLost) and error.again):
            channel.station.channel = None
            channel.take_outbox()
            self.not_started(channel, RuntimeError(f"there is no worker of the cluster for it: {why}"), False)
        else:
            channel.agent_lost(why)

    def boards_of(self, station: Station) -> bytes:
        """See `FarHears`."""
        station.boards, text = LevelTable.text(station.boards)
        return text

    # -- what a channel does at once is asked for here -------------------------------------------------------------

    def _stop(self, command: commands.Stop) -> None:
        channel = self.channels.get(command.wid)
        if channel is None:
            return
        if channel.heard_of:
            channel.stop()
        else:
            self._do_without(channel)

    def _do_without(self, channel: FarChannel) -> None:
        """There is no place for this worker yet, and may never be: nobody waits for one."""
        station = channel.station
        if station.lost is None:
            station.lost = SeatLost("it was not waited for")
            station.channel = None
            self._stations.pop(station, None)
            station.seat.release()
            self.inbox.put(partial(self.not_started, channel, SeatLost("it was not waited for"), True))

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

    def _free_again(self, station: Station) -> None:
        if self.core.state.takes_back:
            self._free.append(station)
            self._give_back()

    def _give_back(self) -> None:
        """Law 2."""
        while self._free and len(self._stations) > self.core.max_workers:
            station = self._free.pop()
            del self._stations[station]
            station.seat.release()

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

    # -- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """See `Driver.close`: every place is given back."""
        self._over = True
        for station in self._stations:
            station.seat.release()
        self._stations.clear()
        self._free.clear()
        super().close()
