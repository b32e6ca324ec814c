"""Pool: a `concurrent.futures.Executor` over worker processes, threads, or the caller itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from procession import engines, options
from procession.backends.base import AutoStats, WorkerConfig
from procession.backends.saying import said, say
from procession.driver import lifecycle
from procession.engines import make_engine
from procession.pool_face import PoolFace
from procession.record import frozen

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    import threading
    from multiprocessing.context import BaseContext
    from types import TracebackType
    from typing import Any, Literal, NoReturn, Unpack

    from procession.backends.base import Engine
    from procession.dashboard import Dashboard
    from procession.options import Overflow
    from procession.typed import PoolOwn


@frozen
class PoolStats:
    """A pool at one moment; never changes. Counts are of items: a call is one, a chunk of a map is as many as it holds.

    What happens between two looks at one field may show in another: they are read one after another, without a lock.
    """

    backend: str
    """ "processes", "threads", "inline", "ray" or "dask"."""
    max_workers: int
    """So many workers at most; with "auto", now."""
    workers: int
    """Workers that there are, or are being started."""
    idle: int
    """Of them, waiting for work."""
    busy: int
    """Of them, with work in hand."""
    starting: int
    """Of them, not ready yet."""
    pending: int
    """Items that no worker has in hand."""
    in_flight: int
    """Items in the hands of workers, running or next."""
    done: int
    """Items that ran to an end: a result or an exception."""
    failed: int
    """Items that did not: their worker died, or none could be started."""
    died: int
    """Workers that died while they ran something."""
    dropped: int
    """Calls that `overflow` has dropped."""
    timeouts: int = 0
    """Runs that took longer than their timeout, and items that waited longer than their queue_timeout."""
    retries: int = 0
    """Further runs of items that had failed."""
    abandoned: int = 0
    """Threads that were given up, since they could not be killed, and have not come to an end."""
    quarantined: tuple[BaseException, ...] = ()
    """The `PoisonTask` errors of the latest hundred items that killed their worker at every try."""
    auto: AutoStats | None = None
    """With `max_workers="auto"`: why it has as many workers as it has."""


class Pool(PoolFace):
    """Runs functions on workers of its own: an Executor whose tasks survive each other.

    max_workers: at most so many, started when there is work for them; None: the CPUs that this process may use, by
        affinity and by the quota of its container. "auto": as many at first; more, while items wait and the workers
        wait for something else than a CPU, and fewer again when they compute: `stats().auto` says why.
    max_workers_cap: with "auto", the most; None: 32, or four for each CPU if that is more.
    mp_context: start worker processes by this multiprocessing context, instead of from the zygote.
    initializer, initargs: `initializer(*initargs)` runs once in each worker before anything else.
    max_tasks_per_child: a worker process is replaced after so many items.
    max_memory_per_child: a worker process that is found to take more than so many bytes (resident) is replaced between
        two tasks; what it runs when it takes twice as much is ended with `MemoryLimit`. (soft, hard) says both.
    max_age_per_child: a worker process is replaced when it is so many seconds old and has done something.
    backend: "processes"; "threads"; "inline", which runs each task at once where it is submitted, for debugging; "ray"
        or "dask", whose workers are where that cluster has room (docs/clusters.md).
    setup: runs once in each worker, after the initializer; what it returns is entered if it is a context manager, is
        `procession.state()` to its tasks, and is left when the worker ends in order.
    max_pending: calls submitted and not finished, at most; None: no bound. map and imap have bounds of their own.
    overflow: what submit does when so many are: "block" (waits; in a thread that runs an event loop, or that the pool
        itself needs, it raises `Full`), "raise" (`Full`), "drop_newest" (returns a cancelled Future), "drop_oldest"
        (cancels the oldest call that has not started; if there is none, as drop_newest).
    preload: modules that are imported once for all worker processes.
    stall_after: when work is there and for so many seconds nothing has come to an end, a `dump` is logged as a warning
        on "procession"; again after twice as long, and so on, until something moves. One long task is such a case, too.
    dashboard: True shows this program in a browser as long as the pool lives, at an address that is printed and is
        `pool.dashboard`; an int says the port at 127.0.0.1. Needs the extra procession[dashboard]. Pools share it.
    address: (ray, dask) the cluster: what `ray.init` takes; for Dask a scheduler's address, a Client or a Cluster.
        None: the one that is connected already, else the one that RAY_ADDRESS or Dask's configuration names, else one
        that is started on this machine, and ends with this program. With max_workers=None there are as many workers as
        the cluster has CPUs.
    pickle: (inline) True copies arguments and results as processes would, and refuses functions that could not be sent.

    A worker that dies costs the one task that it was running (`WorkerDied`). Initializer or setup that raises breaks
    the pool (`WorkerStartError`).

    Leaving its with block waits for all that was submitted, as the standard library's executors do, and so it is after
    SystemExit and GeneratorExit. After another exception, what has not started is cancelled, how many is logged, and
    what runs finishes. After KeyboardInterrupt, which may come while it waits as well, the workers are killed.

    A pool that is dropped without shutdown finishes its work; so does one that is there when the interpreter ends.
    """

    def __init__(
        self,
        max_workers: int | Literal["auto"] | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_workers_cap: int | None = None,
        max_tasks_per_child: int | None = None,
        max_memory_per_child: int | tuple[int, int] | None = None,
        max_age_per_child: float | None = None,
        backend: options.Backend = "processes",
        setup: Callable[[], object] | None = None,
        max_pending: int | None = None,
        overflow: Overflow = "block",
        preload: Sequence[str] = (),
        stall_after: float | None = None,
        dashboard: bool | int = False,
        **own: Unpack[PoolOwn],
    ) -> None:
        options.check_backend(backend)
        options.check_max_workers(max_workers, auto=True)
        options.check_worker(initializer, initargs, setup)
        recycling = _recycling(max_tasks_per_child, max_memory_per_child, max_age_per_child)
        options.check_pending(max_pending, overflow)
        options.check_preload(preload)
        options.check_seconds("stall_after", stall_after)
        _check_dashboard(dashboard)
        given: dict[str, Any] = {**own, **recycling, "mp_context": mp_context, "preload": tuple(preload)}
        options.check_own(backend, given)
        self._recycles = [word for word, limit in recycling.items() if limit is not None]
        self._backend = backend
        if backend in options.CLUSTERS:
            given["address"] = engines.cluster_of(backend, own.get("address"))
            max_workers = max_workers or given["address"].cpus
        self._max_workers, self._cap = _widths(backend, max_workers, max_workers_cap)
        if mp_context is not None:
            _refuse_fork(mp_context, *self._recycles, *(() if self._cap is None else ('max_workers="auto"',)))
        self._given_context = mp_context
        self._config = config = WorkerConfig(initializer, tuple(initargs), setup)
        self._engine = make_engine(backend, self._max_workers, config, stall_after=stall_after, cap=self._cap, **given)
        if max_pending is not None:
            from procession.pool_room import Room

            self._room = Room(self._engine, max_pending, overflow)
        else:
            self._door = getattr(self._engine, "door", None)
        self._dashboard = _dashboard(self._engine, dashboard) if dashboard else None
        lifecycle.when_dropped(self, self._engine)

    def _pool(self) -> Pool:
        return self

    # -- looking -----------------------------------------------------------------------------------------------------

    def stats(self) -> PoolStats:
        """Numbers, now."""
        numbers = self._engine.stats()
        return PoolStats(
            backend=self._backend,
            max_workers=self._engine.max_workers,
            workers=numbers.workers,
            idle=numbers.idle,
            busy=numbers.busy,
            starting=numbers.starting,
            pending=numbers.pending,
            in_flight=numbers.in_flight,
            done=numbers.done,
            failed=numbers.failed,
            died=numbers.died,
            dropped=0 if self._room is None else self._room.dropped,
            timeouts=numbers.timeouts,
            retries=numbers.retries,
            abandoned=numbers.abandoned,
            quarantined=numbers.quarantined,
            auto=numbers.auto,
        )

    def dump(self) -> str:
        """What the pool is at, for people: each worker's state, what it runs and for how long, its Python stack.

        Of processes the stacks of all their threads, also while C code holds the interpreter's lock; tasks go on. It is
        had within a few seconds whatever hangs, and in milliseconds else. The text has no fixed form.
        """
        text: str = self._engine.dump()
        return text

    @property
    def dashboard(self) -> str | None:
        """The address of its dashboard, token and all; None when there is none, or it has ended."""
        return None if self._dashboard is None else self._dashboard.address

    def __repr__(self) -> str:
        return f"<Pool of at most {self._cap or self._max_workers} {self._backend} at {id(self):#x}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a pool cannot be pickled: it stays in the process that made it; a task makes one of its own")

    # -- the end -----------------------------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work. What runs finishes; what waits runs as well, unless `cancel_futures`.

        wait: return when all that is done and the workers and done-callbacks are gone. Called by a task or a
        done-callback of this very pool it does not wait, since it would wait for itself. May be called again, and from
        several threads.
        """
        self._engine.shutdown(wait, cancel_futures)
        if self._dashboard is not None:
            self._dashboard.over(self._engine, wait)
        if wait:
            said()

    def terminate_workers(self) -> None:
        """Send SIGTERM to every worker and shut down; what ran fails, what waited is cancelled (CPython 3.14).

        Threads cannot be ended: there, what waits is cancelled, and what runs finishes without being waited for.
        """
        self._kill(lifecycle.SIGTERM)

    def kill_workers(self) -> None:
        """`terminate_workers` with SIGKILL (CPython 3.14)."""
        self._kill(lifecycle.SIGKILL)

    def _kill(self, signum: int) -> None:
        self._engine.kill(signum)
        if self._dashboard is not None:
            self._dashboard.over(self._engine, True)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        try:
            if exc_type is None or issubclass(exc_type, (SystemExit, GeneratorExit)):
                self.shutdown(wait=True)
            elif issubclass(exc_type, KeyboardInterrupt):
                self.kill_workers()
            else:
                self._abandon(exc_type)
        except KeyboardInterrupt:
            self.kill_workers()
            raise

    def _abandon(self, exc_type: type[BaseException]) -> None:
        before = self._engine.stats()
        self.shutdown(wait=True, cancel_futures=True)
        after = self._engine.stats()
        ended = after.done - before.done + after.failed - before.failed
        cancelled = before.pending + before.in_flight - ended
        if cancelled > 0:
            say(
                logging.WARNING,
                "%s ended the with block of %r: %d items that had not started were cancelled",
                exc_type.__name__,
                self,
                cancelled,
            )
            said()

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        from procession.coroutines import in_thread

        await in_thread(self.__exit__, exc_type, exc_val, exc_tb)

    # -- for programs that look behind the standard library's executors ------------------------------------------------

    @property
    def _processes(self) -> Any:
        """pid -> an object with `terminate`, `kill`, `join`, `is_alive`, of the workers that there are."""
        return self._engine.processes() if hasattr(self._engine, "processes") else None

    @property
    def _threads(self) -> set[threading.Thread]:
        threads: set[threading.Thread] = self._engine.started_threads()
        return threads

    @property
    def _executor_manager_thread(self) -> threading.Thread | None:
        thread: threading.Thread | None = self._engine.driver_thread
        return thread

    @property
    def _broken(self) -> str | bool:
        broken = self._engine.broken
        return False if broken is None else str(broken)

    @property
    def _mp_context(self) -> BaseContext | None:
        """The context that starts the workers, or the one that says best how the zygote does."""
        if self._backend != "processes":
            return None
        if self._given_context is not None:
            return self._given_context
        import multiprocessing

        return multiprocessing.get_context("spawn" if self._recycles else None)


def _cpus() -> int:
    from procession import cpu

    return cpu.available()


def _recycling(
    max_tasks: int | None, max_memory: int | tuple[int, int] | None, max_age: float | None
) -> dict[str, Any]:
    options.check_max_tasks(max_tasks)
    options.check_seconds("max_age_per_child", max_age)
    options.memory_limits(max_memory)
    return {"max_tasks_per_child": max_tasks, "max_memory_per_child": max_memory, "max_age_per_child": max_age}


def _check_dashboard(wanted: object) -> None:
    options.check_dashboard(wanted)
    if wanted:
        from procession import dashboard

        dashboard.check()


def _dashboard(engine: Engine, wanted: int) -> Dashboard:
    from procession import dashboard

    return dashboard.hold(engine, wanted)


def _widths(backend: str, max_workers: int | str | None, max_workers_cap: int | None) -> tuple[int, int | None]:
    """How many workers at first, and at most if that is found out."""
    width = max_workers if isinstance(max_workers, int) else _cpus()
    cap = options.auto_cap(max_workers, max_workers_cap, width)
    if backend == "inline":
        return 1, None
    return (width, None) if cap is None else (min(width, cap), cap)


def _refuse_fork(mp_context: BaseContext, *words: str) -> None:
    if words and mp_context.get_start_method(allow_none=False) == "fork":
        raise ValueError(
            f"{words[0]} is incompatible with the 'fork' multiprocessing start method; supply a different mp_context."
        )


__all__ = ["Pool", "PoolStats", "make_engine"]
