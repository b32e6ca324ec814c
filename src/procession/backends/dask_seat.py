"""A seat of `backends/dask.py`: one thread's worth of one of Dask's workers, and what is asked of the agent there."""

from __future__ import annotations

import asyncio
import pickle
import uuid
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol

from procession.backends import dask_worker
from procession.backends.cluster import SeatLost, Wanted

LARGE = 1 << 20
"""Bytes that go straight to the worker, and not through the scheduler."""
KEPT = 0.1
"""Seconds for which a lease's answer stays where it was made. Were it let go of at once, the next lease would wait for
that, at the client and at the scheduler, which send one message in some milliseconds; so that is said with the next."""


class Connection(Protocol):
    """What a seat asks of its cluster (`dask.py: DaskCluster`)."""

    client: Any

    @property
    def cut(self) -> bool: ...
    def do(self, what: Coroutine[Any, Any, Any]) -> Future[Any]: ...
    def gone(self, seat: DaskSeat) -> None: ...
    async def meant(self, error: BaseException, seat: DaskSeat) -> BaseException: ...
    async def scattered(self, data: bytes, address: str | None = None) -> Any: ...
    async def wait_for_place(self, seat: DaskSeat) -> None: ...


class DaskSeat:
    """An agent in one of Dask's workers. What is not said otherwise is for the client's thread."""

    def __init__(self, cluster: Connection, wanted: Wanted) -> None:
        """By any thread."""
        self.where = "a worker of Dask's"
        self.address = ""
        self.placed = False
        self.key = f"procession-{uuid.uuid4().hex}"
        self.wanted = wanted
        self._cluster = cluster
        self._taken = asyncio.Event()
        self._lost: BaseException | None = None
        self._calls: set[asyncio.Task[Any]] = set()
        self._keeper: Any = None
        self._answered: Any = None  # the latest lease's future: see `KEPT`
        self._released = False
        cluster.do(self._begin())

    def room(self, worker: Mapping[str, Any]) -> int:
        """How many like this may be in that worker, if nobody else is."""
        most = worker["nthreads"]
        for name, amount in self.wanted.resources.items():
            if name != "CPU" and amount > 0:
                most = min(most, int((worker.get("resources") or {}).get(name, 0) // amount))
        return int(most)

    def take(self, address: str, name: str) -> None:
        """It has a place."""
        self.address, self.where, self.placed = address, f"{name} at {address}", True
        opening = self._cluster.client.loop.asyncio_loop.create_task(self._open())
        self._calls.add(opening)
        opening.add_done_callback(self._calls.discard)

    async def _begin(self) -> None:
        await self._cluster.wait_for_place(self)

    async def _open(self) -> None:
        try:
            made = pickle.dumps((self.wanted.make, self.wanted.setting))
            await self._run_there(dask_worker.begin, self.key, made)
            self._keeper = self._cluster.client.submit(
                dask_worker.Keeper, self.key, key=f"{self.key}-keeper", pure=False, **self._tied()
            )
        except BaseException as error:
            self.lose(await self._cluster.meant(error, self))
        self._taken.set()

    def _tied(self) -> dict[str, Any]:
        others = {name: amount for name, amount in self.wanted.resources.items() if name != "CPU"}
        return {"workers": [self.address], "allow_other_workers": False, "resources": others or None}

    async def _run_there(self, what: Callable[..., Any], *args: Any) -> Any:
        found = await self._cluster.client.run(what, *args, workers=[self.address])
        if self.address not in found:
            raise SeatLost(f"Dask says: there is no worker {self.where} any more")
        return found[self.address]

    # -- calls, by any thread ----------------------------------------------------------------------------------------

    def call(self, name: str, *args: Any) -> Future[Any]:
        """See `Seat`."""
        return self._cluster.do(self._follow(lambda: self._run_there(dask_worker.call, self.key, name, args)))

    def lease(self, *args: Any) -> Future[Any]:
        """See `Seat`."""
        return self._cluster.do(self._follow(lambda: self._lease(args)))

    def release(self) -> None:
        """See `Seat`."""
        self._cluster.do(self._release())

    async def _follow(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Law 2 of cluster.py: whoever waits hears of the loss, whether Dask would have answered or not."""
        await self._taken.wait()
        if self._lost is not None:
            raise self._lost
        task = asyncio.ensure_future(make())
        self._calls.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self._lost is not None:
                raise self._lost from None
            raise
        except BaseException as error:
            meant = await self._cluster.meant(error, self)
            self.lose(meant)
            raise meant from error
        finally:
            self._calls.discard(task)

    async def _lease(self, args: tuple[Any, ...]) -> Any:
        sent = [
            await self._cluster.scattered(each, self.address) if type(each) is bytes and len(each) > LARGE else each
            for each in args
        ]
        future = self._cluster.client.submit(
            dask_worker.lease, self.key, *sent, key=f"{self.key}-{args[0]}-{args[1]}", pure=False, **self._tied()
        )
        if self._answered is not None:
            self._answered.release()  # in the same message
        try:
            return await future
        finally:
            self._answered = future
            asyncio.get_running_loop().call_later(KEPT, future.release)  # a second time it does nothing

    def lose(self, error: BaseException) -> None:
        """Its process, or the connection, is gone."""
        if self._lost is None:
            self._lost = error
            self._taken.set()
            self._cluster.gone(self)
            for each in list(self._calls):
                each.cancel()

    async def _release(self) -> None:
        if self._released:
            return
        self._released = True
        had_place = self._taken.is_set() and self.address and self._lost is None
        self.lose(SeatLost("it was given back"))
        if had_place and not self._cluster.cut:
            with suppress(Exception):
                await self._run_there(dask_worker.end, self.key)
        if self._keeper is not None:
            with suppress(Exception):
                self._keeper.release()


__all__ = ["DaskSeat"]
