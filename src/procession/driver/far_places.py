"""The places of a pool's workers on a cluster: taken, used again, given back, given up; see far_loop.py.

Laws
1. A place whose worker has gone goes to the worker that has waited for one longest, which takes back its own request:
   there may be room for no more than there are. Else it is kept for the next worker, if the pool may have so many; else
   it is given back, so that a pool that is made smaller takes less of the cluster.
2. Who is not waited for any more (`_do_without`) has no worker: a place that comes too late is given back.
3. When the pool is killed, an agent that has not answered within GIVEN_UP is taken to be lost, with its worker: nobody
   who kills waits for ever. That is the only time; all else waits until the cluster calls it lost, since what runs
   there may be run again elsewhere then.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING

from procession.backends.cluster import Cluster, SeatLost, Wanted
from procession.backends.levels import LevelTable
from procession.core.pool import PoolCore
from procession.core.worker import State
from procession.driver.agent import Agent
from procession.driver.agent_wire import NOTED, OUTPUT, Entry, Report, Setting
from procession.driver.far_channel import FarChannel, Station
from procession.driver.inbox import Inbox
from procession.driver.loop import Driver
from procession.errors import ClusterLost
from procession.transport.notes import Gatherer

if TYPE_CHECKING:
    from procession.driver.callbacks import Callbacks
    from procession.transport.codec import Codec

GIVEN_UP = 10.0
"""Seconds."""


class FarPlaces(Driver):
    """The part of `FarDriver` that has them."""

    channels: dict[int, FarChannel]  # type: ignore[assignment]  # what is asked of these here, both have

    def __init__(self, core: PoolCore, inbox: Inbox, codec: Codec, callbacks: Callbacks) -> None:
        super().__init__(core, inbox, codec, callbacks)
        self._cluster: Cluster | None = None
        self._preload: tuple[str, ...] = ()
        self._resources: dict[str, float] = {}
        self._stations: dict[Station, Gatherer] = {}  # and who puts together what is noted there
        self._free: list[Station] = []
        self._over = False

    def start_by_cluster(self, cluster: Cluster, resources: dict[str, float], preload: tuple[str, ...]) -> None:
        """Workers are started there, each with these resources."""
        self._cluster, self._resources, self._preload = cluster, resources, preload
        self.backend = cluster.name
        self.take_output()
        self.take_notes()

    @abstractmethod
    def printed(self, station: Station, entry: Entry) -> None:
        """See `FarHears`."""

    @abstractmethod
    def not_started(self, channel: FarChannel, error: BaseException, again: bool) -> None:
        """See `FarHears`."""

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

    def _do_without(self, channel: FarChannel) -> None:
        """There is no place for this worker yet, and may never be: nobody waits for one."""
        if channel.station.lost is None:
            self._let_go(channel.station)
            self.inbox.put(partial(self.not_started, channel, SeatLost("it was not waited for"), True))

    def _free_again(self, station: Station) -> None:
        """Its worker is gone: law 1."""
        if not self.core.state.takes_back:
            return
        waiting = [each for each in self.channels.values() if not each.heard_of and each.station is not station]
        for channel in waiting:
            if channel.station.lost is None and not channel.station.seat.placed:
                self._move(channel, station)
                return
        self._free.append(station)
        self._give_back()

    def _give_back(self) -> None:
        """What is too much."""
        while self._free and len(self._stations) > self.core.max_workers:
            self._let_go(self._free.pop())

    def _move(self, channel: FarChannel, station: Station) -> None:
        """This worker, which has no place and so was sent nothing, is started there."""
        self._let_go(channel.station)
        channel.station, station.channel = station, channel
        station.ask("start", channel.wid, self.config, then=channel.begun)

    def _let_go(self, station: Station) -> None:
        """Nothing more is heard of it."""
        station.lost, station.channel = SeatLost("it was given back"), None
        self._stations.pop(station, None)
        station.seat.release()

    def overdue(self, wid: int) -> None:
        """See `Supervisor`: law 3."""
        station = self.channels[wid].station
        station.lost = SeatLost(f"its agent has not answered for {GIVEN_UP:g} s")
        self._seat_lost(station)

    def patience_with(self, wid: int) -> None:
        """Its agent has been asked to kill it, at the end of the pool."""
        self.deadlines[wid] = monotonic_ns() + int(GIVEN_UP * 1e9)

    # -- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """See `Driver.close`: every place is given back."""
        self._over = True
        for station in self._stations:
            station.seat.release()
        self._stations.clear()
        self._free.clear()
        super().close()


__all__ = ["FarPlaces"]
