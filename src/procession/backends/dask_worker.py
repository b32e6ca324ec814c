"""What runs in Dask's workers for `backends/dask.py`, by name; and the cluster that is started where there is none.

`begin`, `call` and `end` are run by the event loop of a Dask worker and leave what takes time to threads; `lease` is a
task, in one of its threads.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from procession.backends.hosting import here

PATIENCE = 10.0
"""Seconds that a cluster of ours has to end in order."""


async def begin(key: str, made: bytes) -> None:
    """An agent, by this key."""
    make, setting = pickle.loads(made)
    await asyncio.to_thread(here.begin, key, make, setting)


async def call(key: str, name: str, args: tuple[Any, ...]) -> Any:
    """Any method but `lease`. What is asked here waits in no thread: there are few, and each agent is always asked for
    news."""
    if name == "show":
        return await asyncio.to_thread(here.call, key, name, args)
    found = here.call(key, name, args, 0)
    return await asyncio.wrap_future(found) if isinstance(found, Future) else found


async def end(key: str) -> None:
    """It is not wanted any more."""
    await asyncio.to_thread(here.end, key)


def lease(key: str, *args: Any) -> Any:
    """See `Agent.lease`."""
    return here.answer(key, "lease", args)


class Keeper:
    """Lies among the data of a Dask worker as long as the client wants it; with it the agent goes."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __reduce__(self) -> Any:
        raise TypeError("this stays where the agent is")  # so Dask cannot put it on a disk, which would let go of it

    def __del__(self) -> None:
        threading.Thread(target=here.end, args=(self._key,), daemon=True).start()


def imported() -> Any:
    """distributed. Raises ImportError, which names the extra."""
    try:
        import distributed  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("backend=\"dask\" needs Dask: pip install 'procession[dask]'") from error
    return distributed


def local_cluster() -> Local:
    """A scheduler and a worker for each CPU, in processes of their own, which need no main guard."""
    return Local()


class Local:
    """Dask's own SubprocessCluster, on an event loop of ours; it ends with this process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="procession-dask-local", daemon=True)
        self._thread.start()
        self._cluster: Any = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        self.address = str(self._cluster.scheduler_address)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _start(self) -> Any:
        from distributed import SubprocessCluster  # pyright: ignore[reportMissingImports]

        from procession import cpu

        preload = ["procession.backends.dask_preload"]
        words: dict[str, Any] = {"n_workers": cpu.available(), "threads_per_worker": 1, "dashboard_address": None}
        words |= {"scheduler_kwargs": {"preload": preload}, "worker_kwargs": {"preload": preload}}
        cluster: Any = SubprocessCluster(silence_logs=logging.ERROR, asynchronous=True, **words)
        await cluster
        await cluster.scheduler_comm.identity()
        return cluster

    async def _stop(self) -> None:
        """In order; if that is not to be had, since its scheduler is gone say, its processes are killed."""
        if self._cluster.scheduler.process.returncode is None:
            with suppress(Exception):
                await asyncio.wait_for(self._cluster.close(), PATIENCE)
                return
        for each in [*self._cluster.workers.values(), self._cluster.scheduler]:
            with suppress(Exception):
                await each.close()

    def close(self) -> None:
        """Its processes end."""
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()


__all__ = ["Keeper", "Local", "begin", "call", "end", "imported", "lease", "local_cluster"]
