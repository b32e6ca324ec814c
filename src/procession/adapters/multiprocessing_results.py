"""What the façade of multiprocessing returns at once: `AsyncResult` and `IMapIterator`. Laws: multiprocessing.py."""

from __future__ import annotations

import builtins
import logging
import multiprocessing
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from time import monotonic
from typing import Any, Generic, TypeVar

from procession.backends.saying import say
from procession.stream_taking import NotYet, Taker

R = TypeVar("R")


class AsyncResult(Generic[R]):
    """What `apply_async`, `map_async` and `starmap_async` return."""

    def __init__(self, future: Future[R]) -> None:
        self._future = future

    def get(self, timeout: float | None = None) -> R:
        """The result; raises what the call has raised.

        Raises `multiprocessing.TimeoutError` when there is none in so many seconds, and `CancelledError` or
        `WorkerDied` when the pool was terminated before.
        """
        try:
            return self._future.result(timeout)
        except builtins.TimeoutError:
            if self._future.done():  # it is the call's own, or has come just now
                return self._future.result()
            raise multiprocessing.TimeoutError(f"no result in {timeout} s") from None

    def wait(self, timeout: float | None = None) -> None:
        """Until it is ready, or so many seconds."""
        try:
            self._future.exception(timeout)
        except (builtins.TimeoutError, CancelledError):
            pass

    def ready(self) -> bool:
        """Whether the call has come to an end."""
        return self._future.done()

    def successful(self) -> bool:
        """Whether it raised nothing. Raises ValueError when it is not ready."""
        if not self._future.done():
            raise ValueError(f"{self!r} not ready")
        return not self._future.cancelled() and self._future.exception() is None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}, {'ready' if self.ready() else 'not ready'}>"


class IMapIterator(Generic[R]):
    """What `imap` and `imap_unordered` return. Any thread may take; a failed item is raised at its place."""

    def __init__(
        self,
        taker: Taker,
        over: Callable[[IMapIterator[Any]], object],
        told: Callable[[BaseException], BaseException],
    ) -> None:
        self._taker = taker
        self._told = told
        self._over: Callable[[IMapIterator[Any]], object] | None = over
        self._lock = threading.RLock()
        self._ahead: deque[tuple[bool, Any]] = deque()
        """Taken by `run_on`: (True, a result) or (False, an error)."""

    def __iter__(self) -> IMapIterator[R]:
        return self

    def __next__(self) -> R:
        return self.next()

    def next(self, timeout: float | None = None) -> R:
        """The next result; raises `multiprocessing.TimeoutError` when there is none in so many seconds: ask again."""
        until = None if timeout is None else monotonic() + timeout
        if not self._lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            raise multiprocessing.TimeoutError(f"another thread takes, and no result came in {timeout} s")
        try:
            if self._ahead:
                succeeded, found = self._ahead.popleft()
                if succeeded:
                    return found  # type: ignore[no-any-return]
                raise found
            return self._take(until)
        finally:
            self._lock.release()

    def run_on(self) -> None:
        """Have what is left run to its end; it is kept for who asks."""
        with self._lock:
            while self._over is not None:
                try:
                    self._ahead.append((True, self._take(None)))
                except StopIteration:
                    return
                except Exception as error:
                    self._ahead.append((False, error))

    def _take(self, until: float | None) -> R:
        if self._over is None:
            raise StopIteration
        try:
            return self._taker.take(until=until)  # type: ignore[no-any-return]
        except StopIteration:
            over, self._over = self._over, None
            over(self)
            raise
        except NotYet:
            raise multiprocessing.TimeoutError("no result in time; it may be asked for again") from None
        except RuntimeError as error:
            raise self._told(error)  # noqa: B904  # the same, or one that says why itself


def pass_on(
    told: Future[Any],
    callback: Callable[[Any], object] | None,
    error_callback: Callable[[BaseException], object] | None,
    result: Callable[[], Any],
) -> None:
    """Call who wants to know of this result, or of what is raised for it, then let `told` be known."""
    try:
        found = result()
    except BaseException as error:
        _call(error_callback, error)
        told.set_exception(error)
    else:
        _call(callback, found)
        told.set_result(found)


def _call(callback: Callable[[Any], object] | None, found: Any) -> None:
    if callback is not None:
        try:
            callback(found)
        except BaseException as error:  # on a thread that others need: nothing of this ends it
            say(logging.ERROR, "the callback %r of a pool raised", callback, error=error)


__all__ = ["AsyncResult", "IMapIterator", "pass_on"]
