"""Dask as a cluster for us: a seat is one thread's worth of one of its workers, with an agent in that process.

    Pool(backend="dask")                   DaskCluster.connect -> a client of our own, beside the program's
    a worker                               an Agent in a Dask worker; in one that has n threads there are n at most
    a lease                                a task of Dask's, tied to that worker, one at a time: it has a thread
    all else that is asked of the agent    `Client.run`, on the event loop of the Dask worker
    loss of a Dask worker                  the call that waits for news fails; the scheduler says so, too -> SeatLost
    no connection any more                 the scheduler is gone -> ClusterLost

Laws, beside those of cluster.py
1. One thread, with an event loop, has the client; everything that is asked of Dask is a coroutine there.
2. Dask may repeat nothing: what it would run again, when a worker is lost, is tied to that very worker (no other, and
   not its successor, which has another address), and finds no agent there.
3. An agent ends when its client is gone: the scheduler then forgets the client's tasks, one of which is a `Keeper`,
   that closes the agent when it is let go. And an agent that nobody asks for anything ends by itself (agent.py).
4. Which worker has room is decided here, from what the scheduler knows of its workers. As long as none has, seats wait
   in their order.
5. A cluster that we have started ends with this program, also by SIGKILL (dask_preload.py).

Sources: distributed.dask.org, "Client", "Worker", "Resources" (2026.8).
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, ClassVar

from procession.backends import dask_worker
from procession.backends.cluster import Connected, SeatLost, Wanted
from procession.backends.dask_seat import DaskSeat
from procession.backends.dask_worker import imported
from procession.errors import ClusterLost

PULSE = 0.5
"""Seconds between two looks at the scheduler's list of workers while seats wait for room."""
DOUBT = 2.0
"""Seconds for the scheduler to answer whether it is there, when a connection was closed."""
BRIEF = 0.001
"""Seconds for which the client holds back what is to be sent, at most, once it has sent something. Dask's own 10 ms are
for who submits many small tasks; here they travel together already."""
LOST = "the connection to Dask's scheduler is lost"


class DaskCluster(Connected):
    """A connection to one scheduler."""

    name = "dask"
    _lock = threading.Lock()
    _known: ClassVar[dict[str, DaskCluster]] = {}
    _latest: str | None = None

    def __init__(self, address: str, security: Any, own: Any = None) -> None:
        self.address = address
        self.lost: BaseException | None = None
        self._own = own
        self._loop = asyncio.new_event_loop()
        self._seats: dict[str, DaskSeat] = {}
        self._line: deque[DaskSeat] = deque()  # those without a place
        self.client: Any = None  # Dask's; on its thread
        self._looking = False
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(security, started), name="procession-dask", daemon=True)
        self._thread.start()
        try:
            started.result()
        except OSError:
            self.close()
            raise

    @classmethod
    def connect(cls, address: Any = None) -> DaskCluster:
        """The one that `address` means, see `Pool`. Raises ImportError, TypeError; OSError when nobody answers."""
        imported()
        with cls._lock:
            where, security, own = cls._meant(address)
            known = cls._known.get(where)
            if known is None or known.lost is not None:
                known = cls._known[where] = cls(where, security, own)
            cls._latest = where
            return known

    @classmethod
    def _meant(cls, address: Any) -> tuple[str, Any, Any]:
        """The scheduler's address, what it is to be spoken to with, and the cluster, if it is ours."""
        distributed = imported()
        if address is None:
            with suppress(ValueError):
                address = distributed.default_client()
        if address is None and cls._latest is not None and cls._known[cls._latest].lost is None:
            return cls._latest, None, None
        if address is None:
            from dask import config  # pyright: ignore[reportMissingImports]

            address = config.get("scheduler-address", None)
        if address is None:
            own = dask_worker.local_cluster()
            atexit.register(own.close)
            return own.address, None, own
        if isinstance(address, distributed.Client):
            return str(address.scheduler.address), address.security, None
        if isinstance(address, distributed.deploy.Cluster):
            return str(address.scheduler_address), address.security, None
        if not isinstance(address, str):
            raise TypeError(f"address must be that of a scheduler, a Client or a Cluster of Dask's; got {address!r}")
        return address, None, None

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self, security: Any, started: Future[None]) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._connect(security))
        except BaseException as error:
            started.set_exception(error)
            self._loop.close()
            return
        started.set_result(None)
        self._loop.run_forever()

    async def _connect(self, security: Any) -> None:
        client = imported().Client
        self.client = await client(self.address, asynchronous=True, set_as_default=False, security=security)
        with suppress(AttributeError):
            self.client.scheduler_comm.interval = min(self.client.scheduler_comm.interval, BRIEF)
        self.client.subscribe_topic("all", self._heard)

    def do(self, what: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Have the client's thread do this."""
        if self._loop.is_closed():
            what.close()
            failed: Future[Any] = Future()
            failed.set_exception(self.lost or ClusterLost(LOST))
            return failed
        return asyncio.run_coroutine_threadsafe(what, self._loop)

    def _heard(self, event: tuple[float, Any]) -> None:
        """What the scheduler says of its workers."""
        said = event[1]
        if isinstance(said, dict) and said.get("action") == "remove-worker":
            for seat in list(self._seats.values()):
                if seat.address == said.get("worker"):
                    seat.lose(SeatLost(f"Dask says: its worker {seat.where} was removed"))
        elif isinstance(said, dict) and said.get("action") == "add-worker":
            self._loop.create_task(self._place())

    # -- seats -------------------------------------------------------------------------------------------------------

    @property
    def cpus(self) -> int:
        """See `Cluster`: the threads of all its workers."""
        info = self.do(self._workers()).result()
        return max(1, sum(int(each["nthreads"]) for each in info.values()))

    async def _workers(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.scheduler.identity())["workers"]
        return found

    def environment(self) -> dict[str, str]:
        """See `Cluster`: `distributed.Client()` in a task is one of the same scheduler."""
        return {"DASK_SCHEDULER_ADDRESS": self.address}

    def parcel(self, data: bytes) -> Any:
        """See `Cluster`: scattered."""
        return self.do(self.scattered(data)).result()

    async def scattered(self, data: bytes, address: str | None = None) -> Any:
        """A future of Dask's for this, which lies in a worker."""
        workers = None if address is None else [address]
        return (await self.client.scatter([data], workers=workers, hash=False))[0]

    def seat(self, wanted: Wanted) -> DaskSeat:
        """See `Cluster`."""
        if self.lost is not None:
            raise self.lost
        return DaskSeat(self, wanted)

    async def wait_for_place(self, seat: DaskSeat) -> None:
        """Law 4."""
        self._line.append(seat)
        await self._place()
        if not self._looking:
            self._looking = True
            try:
                while self._line:
                    await asyncio.sleep(PULSE)
                    await self._place()
            finally:
                self._looking = False

    async def _place(self) -> None:
        if not self._line:
            return
        try:
            workers = await self._workers()
        except OSError as error:
            self.lose(error)
            return
        taken: dict[str, int] = dict.fromkeys(workers, 0)
        for each in self._seats.values():
            if each.address in taken:
                taken[each.address] += 1
        for seat in list(self._line):
            rooms = {a: room for a, of in workers.items() if (room := seat.room(of) - taken[a]) > 0}
            if not rooms:
                continue
            address = max(rooms, key=lambda each: (rooms[each] / workers[each]["nthreads"], each))
            taken[address] += 1
            self._line.remove(seat)
            seat.take(address, str(workers[address].get("name", address)))
            self._seats[seat.key] = seat

    def gone(self, seat: DaskSeat) -> None:
        """It is not there any more; somebody else may have its place. On the client's thread."""
        self._seats.pop(seat.key, None)
        with suppress(ValueError):
            self._line.remove(seat)
        if self._line:
            self._loop.create_task(self._place())

    async def meant(self, error: BaseException, seat: DaskSeat) -> BaseException:
        """What an error of a call is to us."""
        if isinstance(error, (ClusterLost, SeatLost)):
            return error
        # A scheduler that dies closes all its connections, but not at once: this may have been the first.
        if self.cut or (isinstance(error, OSError) and not await self._answers()):
            return self.lose(error)
        if isinstance(error, OSError):
            return SeatLost(f"Dask says: worker {seat.where} cannot be reached: {type(error).__name__}: {error}")
        return SeatLost(f"its agent, in Dask's worker {seat.where}, has failed: {type(error).__name__}: {error}", False)

    async def _answers(self) -> bool:
        """Whether the scheduler is there; in doubt it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DOUBT):
                while not self.cut:
                    with suppress(OSError):
                        await self.client.scheduler.identity()
                        return True
                    await asyncio.sleep(0.02)
        return not self.cut

    @property
    def cut(self) -> bool:
        """The scheduler cannot be reached. (Dask's client would try to find it again; another one knows no task.)"""
        client = self.client
        comm = getattr(client, "scheduler_comm", None)
        return self.lost is not None or client.status != "running" or comm is None or comm.comm.closed()

    def lose(self, error: BaseException) -> BaseException:
        """The connection is lost. On the client's thread."""
        if self.lost is None:
            self.lost = ClusterLost(f"{LOST} ({self.address}): {type(error).__name__}: {error}")
            self.lost.__cause__ = error
            for seat in [*self._seats.values(), *self._line]:
                seat.lose(self.lost)
            self._loop.create_task(self._let_go())
        return self.lost

    async def _let_go(self) -> None:
        with suppress(Exception):
            await asyncio.wait_for(self.client.close(), 5)

    def close(self) -> None:
        """For who cannot use it."""
        if not self._loop.is_closed() and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._loop.stop)


__all__ = ["DaskCluster", "DaskSeat", "imported"]
