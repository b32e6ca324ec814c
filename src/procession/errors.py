"""What can go wrong, as a tree; everything here is also a ProcessionError.

    ProcessionError
     ├── WorkerDied(BrokenProcessPool)          the worker died while it ran this task; only this task is lost
     │    ├── MemoryLimit(MemoryError)          its worker took more than max_memory_per_child
     │    └── PoisonTask                        it killed its worker at every try
     ├── TaskTimeout(TimeoutError)              it ran, or waited to run, for longer than it may
     ├── WorkerStartError(BrokenProcessPool, BrokenThreadPool)
     │                                          start, initializer or setup failed: the pool is broken
     ├── RemoteError(+ the nearest built-in)    something that was raised elsewhere and cannot be rebuilt here
     │    └── (+ BrokenProcessPool)             an argument or a result could not be rebuilt from its pickle
     ├── PicklingError(pickle.PicklingError, TypeError, AttributeError)
     │                                          something could not be pickled; says the path to it
     ├── ClusterLost(BrokenProcessPool, ConnectionError)
     │                                          the connection to the cluster is gone: the pool is broken
     ├── Full(queue.Full)                       no room, and waiting was not wanted or not possible
     └── JournalError                           a journal refuses something, or cannot be written or read any more

Classes whose bases are slow to import (concurrent.futures.process, queue) are made when they are first asked for: a
worker imports this module, and pays only for what it uses.
"""

from __future__ import annotations

import sys
from _pickle import PicklingError as _PicklingError

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    import queue
    from collections.abc import Callable
    from concurrent.futures.process import BrokenProcessPool
    from concurrent.futures.thread import BrokenThreadPool
    from typing import Any, Literal


class ProcessionError(Exception):
    """The root of all errors of this library."""


class PicklingError(ProcessionError, _PicklingError, TypeError, AttributeError):
    """An argument, a function or a result cannot be pickled; the message says the path to what is at fault.

    It is a TypeError and an AttributeError as well, because that is what plain pickle raises in many such cases. The
    original error is its `__cause__`.
    """


class JournalError(ProcessionError):
    """A journal refuses something, or cannot be written or read; the message says its path, what is so, and what to do.

    What was handed over before is in the file, and stays good; what has no outcome there runs again the next time.
    """


class RemoteError(ProcessionError):
    """Stands for an error of another process that cannot be rebuilt here.

    Each one is also an instance of the nearest built-in base of the original, so `except ValueError` still catches it.

    Attributes:
        type_name: the full name of the original's type.
        text: the original's message.
        traceback: the remote traceback, as text ("" when there is none).
    """

    type_name: str
    text: str
    traceback: str

    def __init__(self, type_name: str, text: str = "", traceback: str = "") -> None:
        Exception.__init__(self, type_name, text, traceback)
        self.type_name = type_name
        self.text = text
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}" if self.text else self.type_name

    def __repr__(self) -> str:
        return f"RemoteError({self.type_name!r}, {self.text!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return remote_error, (self._base, self.type_name, self.text, self.traceback), self.__dict__

    _base = ""  # the name of the built-in that a subclass made by `remote_error` mixes in


_remote_classes: dict[str, type[RemoteError]] = {"": RemoteError}
_POOL = "BrokenProcessPool"


def remote_error(base: str, type_name: str, text: str, traceback: str = "") -> RemoteError:
    """A RemoteError that is also a `base`: the name of a built-in exception, "" or "BrokenProcessPool"."""
    made = _remote_classes.get(base)
    if made is None:
        made = _remote_classes.setdefault(base, _remote_class(base))
    return made(type_name, text, traceback)


def _remote_class(base: str) -> type[RemoteError]:
    """RemoteError with that base, or as it is, where the base's constructor insists on more than a message."""
    import builtins

    mixin = _broken_process_pool() if base == _POOL else getattr(builtins, base, None)
    if not isinstance(mixin, type) or not issubclass(mixin, BaseException) or issubclass(RemoteError, mixin):
        return RemoteError
    try:
        names = {"__module__": __name__, "__qualname__": "RemoteError", "__doc__": RemoteError.__doc__, "_base": base}
        made: type[RemoteError] = type("RemoteError", (RemoteError, mixin), names)
        made("", "", "")
    except TypeError:  # exception groups want exceptions
        return RemoteError
    return made


def _broken_process_pool() -> type[BaseException]:
    if _too_late("concurrent.futures.process"):
        from concurrent.futures import BrokenExecutor

        return BrokenExecutor
    from concurrent.futures.process import BrokenProcessPool

    return BrokenProcessPool


def _too_late(module: str) -> bool:
    """The stdlib's pools refuse to be imported while the interpreter ends; then nobody can name their errors, either.

    Not found out by trying: what else that imports runs code that makes Python forget that it ends by Ctrl-C, and
    it would exit with 1 instead of by SIGINT.
    """
    return module not in sys.modules and getattr(sys.modules.get("threading"), "_SHUTTING_DOWN", False)


# ------------------------------------------------------------------------------------------- made when first asked for

if TYPE_CHECKING:

    class WorkerDied(ProcessionError, BrokenProcessPool):
        """The worker that ran this task died. Only this task is lost; the pool lives.

        Attributes:
            exitcode: as multiprocessing has it, negative for a signal; None when it is not known.
            signal: the number of the signal that killed it, or None.
            task: the name of the task's function.
            index: the item's place in its stream, or None.
            pid: the worker's process id, or None.
            arguments: what it was called with, shortened; None when that is not known.
            stack: the Python stacks of the worker's threads when it crashed, the one at fault last; "" when there are
                none (SIGKILL leaves no time for it).
            peak_rss: the most memory that the worker had resident, in bytes; None when it is not known.
            oom: whether the kernel's OOM killer did it; None when that cannot be known.
        """

        exitcode: int | None
        signal: int | None
        task: str
        index: int | None
        pid: int | None
        arguments: str | None
        stack: str
        peak_rss: int | None
        oom: bool | None

        def __init__(
            self,
            task: str,
            exitcode: int | None,
            pid: int | None = None,
            index: int | None = None,
            arguments: str | None = None,
            stack: str = "",
            peak_rss: int | None = None,
            oom: bool | None = None,
        ) -> None: ...

    class PoisonTask(WorkerDied):
        """This task killed its worker at every try that `retries=` gave it. Its notes tell of each."""

    class MemoryLimit(WorkerDied, MemoryError):
        """The worker that ran this task was killed: it took more than the ceiling of `max_memory_per_child`.

        Attributes:
            limit: that ceiling, in bytes.
        """

        limit: int | None

    class TaskTimeout(ProcessionError, TimeoutError):
        """This task ran for longer than its `timeout`, or waited to be started for longer than its `queue_timeout`.

        Attributes:
            where: "running" or "queued".
            seconds: so long it had run, or waited.
            limit: so long it was allowed to.
            task, index, arguments, pid: as of `WorkerDied`.
            stack: the Python stacks of the worker's threads, at the end of its time; "" when there are none.
        """

        where: Literal["running", "queued"]
        seconds: float
        limit: float
        task: str
        index: int | None
        arguments: str | None
        stack: str
        pid: int | None

        def __init__(
            self,
            task: str,
            where: str,
            seconds: float,
            limit: float,
            index: int | None = None,
            arguments: str | None = None,
            stack: str = "",
            pid: int | None = None,
        ) -> None: ...

    class WorkerStartError(ProcessionError, BrokenProcessPool, BrokenThreadPool):
        """A worker's start, initializer or setup failed: the pool is broken; the reason is the `__cause__`."""

    class ClusterLost(ProcessionError, BrokenProcessPool, ConnectionError):
        """The connection to the cluster is gone, and with it what this task's run there came to: the pool is broken."""

    class Full(ProcessionError, queue.Full):
        """There is no room, and waiting for it was not wanted, took too long, or would never end.

        Attributes:
            taken: of `SpinOff.put_many`, the Futures of the items that were put before.
        """

        taken: tuple[Any, ...]


def _make_worker_died() -> type[Any]:
    from procession import task_errors

    return task_errors.worker_died(ProcessionError, _broken_process_pool())


def _make_poison_task() -> type[Any]:
    from procession import task_errors

    return task_errors.poison_task(_make("WorkerDied"))


def _make_memory_limit() -> type[Any]:
    from procession import task_errors

    return task_errors.memory_limit(_make("WorkerDied"))


def _make_task_timeout() -> type[Any]:
    from procession import task_errors

    return task_errors.task_timeout(ProcessionError)


def _broken_thread_pool() -> type[BaseException]:
    if _too_late("concurrent.futures.thread"):
        return _broken_process_pool()
    from concurrent.futures.thread import BrokenThreadPool

    return BrokenThreadPool


def _make_worker_start_error() -> type[Any]:
    bases = dict.fromkeys((ProcessionError, _broken_process_pool(), _broken_thread_pool()))

    class WorkerStartError(*bases):  # type: ignore[misc]  # declared above
        """A worker's start, initializer or setup failed: the pool is broken; the reason is the `__cause__`."""

    return WorkerStartError


def _make_cluster_lost() -> type[Any]:
    bases = (ProcessionError, _broken_process_pool(), ConnectionError)

    class ClusterLost(*bases):  # type: ignore[misc]  # declared above
        """The connection to the cluster is gone, and with it what this task's run there came to: the pool is broken."""

    return ClusterLost


def _make_full() -> type[Any]:
    import queue

    class Full(ProcessionError, queue.Full):
        """There is no room, and waiting for it was not wanted, took too long, or would never end."""

        taken: tuple[Any, ...] = ()

    return Full


_MAKERS: dict[str, Callable[[], type[Any]]] = {
    "ClusterLost": _make_cluster_lost,
    "Full": _make_full,
    "MemoryLimit": _make_memory_limit,
    "PoisonTask": _make_poison_task,
    "TaskTimeout": _make_task_timeout,
    "WorkerDied": _make_worker_died,
    "WorkerStartError": _make_worker_start_error,
}


def _make(name: str) -> Any:
    if name in globals():
        return globals()[name]  # made meanwhile
    maker = _MAKERS.get(name)
    if maker is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = maker()
    made.__qualname__ = name
    made.__module__ = __name__
    return vars(sys.modules[__name__]).setdefault(name, made)


if not TYPE_CHECKING:  # they would take any name for one that there is
    __getattr__ = _make


def __dir__() -> list[str]:
    return sorted({*globals(), *_MAKERS})


__all__ = [
    "ClusterLost",
    "Full",
    "JournalError",
    "MemoryLimit",
    "PicklingError",
    "PoisonTask",
    "ProcessionError",
    "RemoteError",
    "TaskTimeout",
    "WorkerDied",
    "WorkerStartError",
    "remote_error",
]
