"""`multiprocessing.Pool` on procession's workers: old code moves by an import.

    from procession.adapters.multiprocessing import Pool, ThreadPool       # was: from multiprocessing import Pool
    from procession.adapters import multiprocessing                        # was: import multiprocessing

What is not here (Process, Queue, Manager, ...) is the standard library's own. Behaviour follows CPython's
Lib/multiprocessing/pool.py; where it differs, docs/multiprocessing.md says so.

Laws
1. Whatever was taken in is run, whoever looks at it: a map of which an item fails runs the others; an imap that nobody
   iterates runs as far as its window, and the rest in `join`.
2. An AsyncResult comes to an end, whatever happens: with the result, or with why there is none, also after `terminate`.
3. A callback has returned before `ready` says True, and is called once. What it raises is logged.
4. `join` returns when all that was taken in has ended, callbacks have returned and the workers are gone.
5. After `close` the workers go as soon as nothing more can come to them, whether or not somebody joins.
"""

from __future__ import annotations

import multiprocessing as _standard
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sized
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from procession.adapters.multiprocessing_results import AsyncResult, IMapIterator, pass_on
from procession.pool import Pool as Workers
from procession.stream_taking import Taker
from procession.types import Raised

if TYPE_CHECKING:
    from types import TracebackType

    from procession.options import Backend
    from procession.types import Failure

R = TypeVar("R")
T = TypeVar("T")

TimeoutError = _standard.TimeoutError

RUNNING, CLOSED, TERMINATED = "RUN", "CLOSE", "TERMINATE"


class Pool:
    """A `multiprocessing.pool.Pool` whose tasks survive each other's death; see `procession.Pool`.

    `chunksize` is not looked at in the methods below: how many items travel together is measured.

    processes: at most so many workers, started when there is work; None: the CPUs that this process may use.
    initializer, initargs: called once in each worker, before anything else.
    maxtasksperchild: a worker is replaced after so many items (the standard library counts chunks).
    context: start workers by this multiprocessing context; None: from procession's zygote.
    """

    _backend: Backend = "processes"

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
    ) -> None:
        _check_count("Number of processes must be at least 1", processes)
        _check_count("maxtasksperchild must be a positive int or None", maxtasksperchild)
        self._state = CLOSED  # until there is one
        self._workers = Workers(
            processes,
            context.starter if isinstance(context, Context) else context,
            initializer,
            tuple(initargs),
            max_tasks_per_child=maxtasksperchild,
            backend=self._backend,
        )
        self._processes = self._workers.stats().max_workers
        self._lock = threading.RLock()
        self._gathering: set[threading.Thread] = set()
        self._streams: set[IMapIterator[Any]] = set()
        self._state = RUNNING

    # -- one call ------------------------------------------------------------------------------------------------------

    def apply(self, func: Callable[..., R], args: Iterable[Any] = (), kwds: Mapping[str, Any] | None = None) -> R:
        """`func(*args, **kwds)` by a worker."""
        self._check_running()
        return self._workers.submit(func, *args, **(kwds or {})).result()

    def apply_async(
        self,
        func: Callable[..., R],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] | None = None,
        callback: Callable[[R], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[R]:
        """`apply` that does not wait. A callback is given the result, or what was raised, on a thread of the pool."""
        self._check_running()
        future = self._workers.submit(func, *args, **(kwds or {}))
        if callback is None and error_callback is None:
            return AsyncResult(future)
        told: Future[R] = Future()
        told.set_running_or_notify_cancel()
        future.add_done_callback(lambda done: pass_on(told, callback, error_callback, done.result))
        return AsyncResult(told)

    # -- many, at once -------------------------------------------------------------------------------------------------

    def map(self, func: Callable[[T], R], iterable: Iterable[T], chunksize: int | None = None) -> list[R]:
        """The results, in order. All items are run, then the error of the first that failed is raised."""
        return self._all(func, iterable)

    def starmap(
        self, func: Callable[..., R], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[R]:
        """`map` with each item's elements as arguments."""
        return self._all(func, iterable, starred=True)

    def map_async(
        self,
        func: Callable[[T], R],
        iterable: Iterable[T],
        chunksize: int | None = None,
        callback: Callable[[list[R]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[list[R]]:
        """`map` that does not wait."""
        return self._all_async(func, _taken(iterable), callback, error_callback)

    def starmap_async(
        self,
        func: Callable[..., R],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[R]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[list[R]]:
        """`starmap` that does not wait."""
        return self._all_async(func, _taken(iterable), callback, error_callback, starred=True)

    def _all(self, func: Callable[..., R], iterable: Iterable[Any], *, starred: bool = False) -> list[R]:
        self._check_running()
        return self._gathered(func, _taken(iterable), starred=starred)

    def _gathered(self, func: Callable[..., R], items: Collection[Any], *, starred: bool) -> list[R]:
        try:
            outcomes = self._workers._gather(func, list(map(tuple, items)) if starred else items, starred=starred)
        except RuntimeError as error:
            raise self._told(error)  # noqa: B904  # the same, or one that says why itself
        if Raised in set(map(type, outcomes)):
            raise next(each.error for each in outcomes if type(each) is Raised)
        return outcomes

    def _all_async(
        self,
        func: Callable[..., R],
        items: Collection[Any],
        callback: Callable[[list[R]], object] | None,
        error_callback: Callable[[BaseException], object] | None,
        *,
        starred: bool = False,
    ) -> AsyncResult[list[R]]:
        self._check_running()
        gathered = partial(self._gathered, func, items, starred=starred)
        told: Future[list[R]] = Future()
        told.set_running_or_notify_cancel()

        def gather() -> None:
            try:
                pass_on(told, callback, error_callback, gathered)
            finally:
                with self._lock:
                    self._gathering.discard(thread)
                self._end_if_done()

        thread = threading.Thread(target=gather, name="procession-map-async", daemon=True)
        with self._lock:
            self._gathering.add(thread)
        thread.start()
        return AsyncResult(told)

    # -- many, one after another ---------------------------------------------------------------------------------------

    def imap(self, func: Callable[[T], R], iterable: Iterable[T], chunksize: int = 1) -> IMapIterator[R]:
        """The results one by one, in order, while others run; so many items are taken in ahead as fit the window."""
        return self._stream(func, iterable, chunksize, ordered=True)

    def imap_unordered(self, func: Callable[[T], R], iterable: Iterable[T], chunksize: int = 1) -> IMapIterator[R]:
        """The same, each as soon as it is there."""
        return self._stream(func, iterable, chunksize, ordered=False)

    def _stream(
        self, func: Callable[..., R], items: Iterable[Any], chunksize: int, *, ordered: bool
    ) -> IMapIterator[R]:
        self._check_running()
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize:n}")
        # What has a length does not keep its taker waiting; anything else is pulled by a thread, at ten times the cost.
        live = not isinstance(items, Sized)
        stream = self._workers.imap(func, items, ordered=ordered, on_error=_raise, live=live)
        found: IMapIterator[R] = IMapIterator(Taker(stream), self._left, self._told)
        with self._lock:
            self._streams.add(found)
        return found

    def _left(self, stream: IMapIterator[Any]) -> None:
        with self._lock:
            self._streams.discard(stream)
        self._end_if_done()

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take nothing more in. What was taken in is run."""
        if self._state == RUNNING:
            self._state = CLOSED
            self._end_if_done()

    def terminate(self) -> None:
        """End the workers at once; what has not ended fails."""
        self._state = TERMINATED
        self._workers.terminate_workers()

    def join(self) -> None:
        """Wait until all that was taken in has ended and the workers are gone. Raises ValueError before `close` or
        `terminate`."""
        if self._state == RUNNING:
            raise ValueError("Pool is still running")
        while self._gathering or self._streams:
            with self._lock:
                threads, streams = list(self._gathering), list(self._streams)
            for stream in streams:
                stream.run_on()
            for thread in threads:
                thread.join()
        self._workers.shutdown(wait=True)

    def _end_if_done(self) -> None:
        with self._lock:
            done = self._state == CLOSED and not self._gathering and not self._streams
        if done:
            self._workers.shutdown(wait=False)

    def _told(self, error: BaseException) -> BaseException:
        """What is raised for this error of a stream: after `terminate` its items are refused, which is no reason."""
        if self._state != TERMINATED or type(error) is not RuntimeError:
            return error
        found = CancelledError("the pool was terminated")
        found.__cause__ = error
        return found

    def _check_running(self) -> None:
        if self._state != RUNNING:
            raise ValueError("Pool not running")

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()

    def __reduce__(self) -> NoReturn:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    @property
    def _pool(self) -> list[Any]:
        """The workers that there are now, with `pid`, `is_alive`, `terminate`; for programs that look there."""
        found = self._workers._processes
        return [] if found is None else list(found.values())

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} state={self._state} pool_size={self._processes}>"


class ThreadPool(Pool):
    """A `multiprocessing.pool.ThreadPool`."""

    _backend: Backend = "threads"

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
    ) -> None:
        super().__init__(processes, initializer, initargs)


# -- parts ------------------------------------------------------------------------------------------------------------


def _check_count(what: str, value: Any) -> None:
    """ValueError, as the standard library has it, unless this is a positive int, or None."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{what}; got {value!r}")


def _taken(iterable: Iterable[Any]) -> Collection[Any]:
    """All of it. A range travels as two numbers."""
    return iterable if isinstance(iterable, range) else list(iterable)


def _raise(failure: Failure) -> NoReturn:
    raise failure.error


# -- the module -------------------------------------------------------------------------------------------------------


class Context:
    """A multiprocessing context whose Pool is ours; without a `method` that has workers from the zygote."""

    def __init__(self, real: Any, method: str | None) -> None:
        self._real = real
        self._method = method

    @property
    def starter(self) -> Any:
        """What starts workers, for `procession.Pool`."""
        return None if self._method is None else self._real

    def Pool(  # its name there
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
    ) -> Pool:
        """A pool whose workers are started by this context."""
        return Pool(processes, initializer, initargs, maxtasksperchild, context=self.starter)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def get_context(method: str | None = None) -> Any:
    """`multiprocessing.get_context`, with our Pool: without a method, its workers come from procession's zygote."""
    return Context(_standard.get_context(method), method)


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)


__all__ = ["AsyncResult", "IMapIterator", "Pool", "ThreadPool", "TimeoutError", "get_context"]
