"""A cluster that is none: agents in threads of this process. For tests of what drives clusters, without one.

It keeps the contract of `backends/cluster.py`: calls are answered by threads, in any order; a seat can be lost, and so
can the whole of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from procession.backends.cluster import Connected, SeatLost, Wanted
from procession.errors import ClusterLost


class NearSeat:
    """One agent."""

    def __init__(self, cluster: NearCluster, wanted: Wanted) -> None:
        self.where = "here"
        self.wanted = wanted
        self._cluster = cluster
        self._lock = threading.Lock()
        self._waiting: set[Future[Any]] = set()
        self._lost: BaseException | None = None
        self.released = False
        self._ready = threading.Event()  # it has a place, or never will
        self.agent: Any = None

    @property
    def placed(self) -> bool:
        """See `Seat`."""
        return self.agent is not None

    def take(self) -> None:
        """There is room for it."""
        self.agent = self.wanted.make(self.wanted.setting)
        self._ready.set()

    def call(self, name: str, *args: Any) -> Future[Any]:
        """See `Seat`."""
        future: Future[Any] = Future()
        with self._lock:
            if self._lost is None:
                self._waiting.add(future)
        if self._lost is not None:
            future.set_exception(self._lost)
            return future
        threading.Thread(target=self._do, args=(future, name, args), daemon=True).start()
        return future

    def _do(self, future: Future[Any], name: str, args: tuple[Any, ...]) -> None:
        self._ready.wait()
        self._cluster.delay(name)
        try:
            found, error = getattr(self.agent, name)(*args), None
            if isinstance(found, Future):
                found = found.result()
        except BaseException as raised:
            found, error = None, raised
        with self._lock:
            ours = future in self._waiting
            self._waiting.discard(future)
        if ours:
            future.set_exception(error) if error is not None else future.set_result(found)

    def lease(self, *args: Any) -> Future[Any]:
        """See `Seat`."""
        return self.call("lease", *args)

    def lose(self, error: BaseException) -> None:
        """Its process has gone, for all that anybody can tell: its worker dies, and nothing more is heard of it."""
        with self._lock:
            self._lost = error
            waiting, self._waiting = self._waiting, set()
        self.release()
        for each in waiting:
            each.set_exception(error)

    def release(self) -> None:
        """See `Seat`."""
        with self._lock:
            again, self.released = self.released, True
        if not again:
            self._ready.set()
            self._cluster.leave(self)


class NearCluster(Connected):
    """Seats in this process, `room` of them at a time: others wait. `delay(name)` is called in the thread of each call,
    before it is carried out."""

    name = "near"

    def __init__(
        self, cpus: int = 2, delay: Callable[[str], object] = lambda name: None, room: int | None = None
    ) -> None:
        self.cpus = cpus
        self.room = room
        self._lock = threading.Lock()
        self._taken: list[NearSeat] = []
        self._line: list[NearSeat] = []
        self.delay = delay
        self.parcels = 0
        self.seats: list[NearSeat] = []
        self._threads: list[threading.Thread] = []

    def seat(self, wanted: Wanted) -> NearSeat:
        """See `Cluster`."""
        self.seats.append(made := NearSeat(self, wanted))
        with self._lock:
            self._line.append(made)
            self._place()
        return made

    def _place(self) -> None:
        while self._line and (self.room is None or len(self._taken) < self.room):
            self._taken.append(seat := self._line.pop(0))
            seat.take()

    def leave(self, seat: NearSeat) -> None:
        """It is not wanted any more."""
        with self._lock:
            if seat in self._line:
                self._line.remove(seat)
                return
            self._taken.remove(seat)
            self._close(seat.agent.close)
            self._place()

    @property
    def taken(self) -> int:
        """So many seats have a place."""
        return len(self._taken)

    def parcel(self, data: bytes) -> bytes:
        """See `Cluster`."""
        self.parcels += 1
        return data

    def environment(self) -> dict[str, str]:
        """See `Cluster`."""
        return {"A_CLUSTER_NEARBY": "1"}

    def _close(self, close: Callable[[], object]) -> None:
        """An agent ends: that takes a moment, and nobody waits."""
        thread = threading.Thread(target=close, daemon=True)
        self._threads.append(thread)
        thread.start()

    def lose_seat(self, number: int, why: str = "somebody has killed it") -> None:
        """The process of this agent is gone."""
        self.seats[number].lose(SeatLost(why))

    def lose(self) -> None:
        """It is gone as a whole."""
        for each in self.seats:
            each.lose(ClusterLost("the cluster does not answer any more"))

    def join(self) -> None:
        """Wait until all that was released is closed."""
        while self._threads:
            with suppress(RuntimeError):
                self._threads.pop().join()


__all__ = ["NearCluster", "NearSeat"]
