"""What a peer is: one small class that says how its library does what the rows ask for.

An adapter is written as the library's documentation would have it, with defaults, and hides nothing: an error that the
library raises comes out, a call that hangs hangs. What the library has no word for raises `Lacks`.
"""

import contextlib
import importlib
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, ClassVar

from rivals.verdict import Lacks

Work = Callable[..., Any]
Initializer = tuple[Work, tuple[Any, ...]]


class Pending(Exception):
    """The task has no outcome yet."""


@dataclass(frozen=True)
class Wish:
    """The pool that a row needs; what it does not name is the library's default."""

    workers: int = 2
    initializer: Initializer | None = None
    max_memory: int | None = None
    """Bytes at which a worker is to be replaced."""
    backlog: int | None = None
    """So many tasks must fit in the queue."""
    spawned: bool = False
    """Workers are not to be forks of the program; from Python 3.14 on they are none by default."""


@dataclass(frozen=True)
class Policy:
    """What a row asks for each of its tasks."""

    timeout: float | None = None
    retries: int | None = None


@dataclass
class Delivery:
    """The outcome of one task as the user has it: a value, an error, or neither when nothing came in time."""

    ok: bool = False
    value: Any = None
    error: BaseException | None = None
    after: float = 0.0
    """Seconds since the first task was handed in."""

    @property
    def pending(self) -> bool:
        return not self.ok and self.error is None


class Peer:
    """A library under test: `submit` and `take`, and as much of the rest as it has."""

    name: ClassVar[str]
    title: ClassVar[str]
    package: ClassVar[str]
    """What to import; done in the process of a probe only."""
    distribution: ClassVar[str | None] = None
    """What to install, and where the version is looked up; None for the standard library."""
    pool: Any = None

    def library(self) -> Any:
        """The imported package; Any, because not every peer is typed."""
        return importlib.import_module(self.package)

    def open(self, wish: Wish) -> None:
        """Make the pool."""
        raise NotImplementedError

    def close(self) -> None:
        """End the pool in the orderly way, and wait for its workers."""
        raise NotImplementedError

    def block(self) -> contextlib.AbstractContextManager[Any]:
        """What stands in the `with` of a program that uses this library."""
        block: contextlib.AbstractContextManager[Any] = self.pool
        return block

    def submit(self, fn: Work, *args: Any) -> Any:
        """Hand in one task; a handle."""
        raise NotImplementedError

    def submit_with(self, policy: Policy, fn: Work, *args: Any) -> Any:
        """The same with a time limit or retries of its own."""
        raise Lacks()

    def take(self, handle: Any, seconds: float) -> Any:
        """The result of a task or its error; `Pending` when there is none after `seconds`."""
        raise NotImplementedError

    def cancel(self, handle: Any) -> bool:
        """Cancel one task, in the strongest way that the library has; whether it says that it did."""
        raise Lacks()

    def cancel_running(self, handle: Any) -> bool:
        """The same for a task that runs, where that has another name."""
        return self.cancel(handle)

    def map(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        """All results in order."""
        raise NotImplementedError

    def stream(self, fn: Work, items: Iterable[Any]) -> Iterator[Any]:
        """The results in order, by the laziest map that there is."""
        raise Lacks()

    def run_all(self, fn: Work, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What a short program does: hand in every task, then wait for each."""
        handles = [self.submit(fn, *row) for row in rows]
        return [self.take(handle, 3600) for handle in handles]

    def deliveries(
        self, fn: Work, rows: Sequence[tuple[Any, ...]], patience: float, policy: Policy | None = None
    ) -> list[Delivery]:
        """Hand in every task, and wait for all of them together for `patience` seconds."""
        began = time.monotonic()
        handed = [self._hand_in(fn, row, policy) for row in rows]
        made = []
        for each in handed:
            left = max(0.0, began + patience - time.monotonic())
            made.append(each if isinstance(each, Delivery) else self._delivery(each[0], left))
            made[-1].after = time.monotonic() - began
        return made

    def _hand_in(self, fn: Work, row: tuple[Any, ...], policy: Policy | None) -> "tuple[Any] | Delivery":
        try:
            return (self.submit_with(policy, fn, *row) if policy else self.submit(fn, *row),)
        except Lacks:
            raise
        except Exception as error:
            if policy and isinstance(error, TypeError):
                raise  # the library does not know the word: no task has failed, the question could not be asked
            return Delivery(error=error)

    def _delivery(self, handle: Any, seconds: float) -> Delivery:
        try:
            return Delivery(ok=True, value=self.take(handle, seconds))
        except Pending:
            return Delivery()
        except Exception as error:
            return Delivery(error=error)


class ExecutorPeer(Peer):
    """A peer with the face of `concurrent.futures.Executor`."""

    def close(self) -> None:
        self.pool.shutdown(wait=True)

    def submit(self, fn: Work, *args: Any) -> Any:
        return self.pool.submit(fn, *args)

    def take(self, handle: Any, seconds: float) -> Any:
        try:
            return handle.result(seconds)
        except (FutureTimeout, TimeoutError):
            if handle.done():  # the task's own
                raise
            raise Pending from None

    def cancel(self, handle: Any) -> bool:
        return bool(handle.cancel())

    def map(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        return list(self.pool.map(fn, items))

    def stream(self, fn: Work, items: Iterable[Any]) -> Iterator[Any]:
        return iter(self.pool.map(fn, items))


class AsyncResultPeer(Peer):
    """A peer whose handles are those of `multiprocessing.Pool`."""

    def submit(self, fn: Work, *args: Any) -> Any:
        return self.pool.apply_async(fn, args)

    def take(self, handle: Any, seconds: float) -> Any:
        try:
            return handle.get(seconds)
        except (multiprocessing.TimeoutError, TimeoutError):
            if handle.ready():
                raise
            raise Pending from None

    def map(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        return list(self.pool.map(fn, items))

    def stream(self, fn: Work, items: Iterable[Any]) -> Iterator[Any]:
        return iter(self.pool.imap(fn, items))


def starting(initializer: Initializer | None) -> dict[str, Any]:
    """The two words of `concurrent.futures` for an initializer, or none."""
    return {} if initializer is None else {"initializer": initializer[0], "initargs": initializer[1]}
