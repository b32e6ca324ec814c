"""How worker processes come to be: the contract of a launcher, which one a pool takes, and what all of them share.

    ZygoteLauncher (launch_zygote.py)   the default: forks of one small helper process
    MpLauncher (launch_mp.py)           a multiprocessing context, because the program chose it or nothing else works

Who calls what: a launcher belongs to one driver thread (an `eager` one is first used in the thread of the first submit,
before the driver exists). Process objects, what `process()` returns, may be used from any thread.

The life of a worker, as its driver sees it:

    start(wid, files, config) -> Started(wid, pid) -> Exited(wid, pid, exitcode, peak_rss)
                              -> StartFailed(wid, error, again)

Each `start` that returns is answered by exactly one Started or StartFailed, each Started by exactly one Exited. A
worker may have spoken on its result pipe before its Started comes, and may have said its last word before its Exited.
When `start` raises (no descriptor left, no process, a config that cannot travel), no event follows.

Descriptors in the parent, for each worker: task pipe, result pipe, both ends of the token pipe, the page, and the arena
of its results (5 or 6, the driver's), and one for the process (a pidfd; with a multiprocessing context its sentinel as
well).
"""

from __future__ import annotations

import errno
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterable

from procession.backends import forksafe
from procession.backends.saying import say
from procession.worker.boot import SERVE, WorkerFiles

TYPE_CHECKING = False  # see `lean`
if not TYPE_CHECKING:
    from procession.lean import NamedTuple, Protocol
if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from typing import Any, NamedTuple, Protocol

__all__ = [
    "DESCRIPTORS_PER_WORKER",
    "SERVE",
    "Choice",
    "Event",
    "Exited",
    "Launcher",
    "Lifeline",
    "StartFailed",
    "Started",
    "WorkerFiles",
    "WorkerProcess",
    "choose",
    "explained",
]

DESCRIPTORS_PER_WORKER = 7


class Started(NamedTuple):
    """The worker runs."""

    wid: int
    pid: int


class Exited(NamedTuple):
    """The worker is gone, says its reaper (or its pidfd, when the reaper is gone too)."""

    wid: int
    pid: int
    exitcode: int | None
    """As multiprocessing: -9 is SIGKILL, None is unknown."""
    peak_rss: int | None = None
    """The most bytes that it had in memory at any time; None is unknown (always so by multiprocessing, which reaps
    without asking). A process that the worker has waited for counts, if that was larger (getrusage(2))."""


class StartFailed(NamedTuple):
    """There will be no such worker, and its channels must not be given to another."""

    wid: int
    error: BaseException
    again: bool = False
    """The cause is gone (the zygote was killed with the request in flight): start another, with new channels."""


Event = Started | Exited | StartFailed


class WorkerProcess(Protocol):
    """What a value of `executor._processes` offers, as multiprocessing.Process does."""

    @property
    def pid(self) -> int | None: ...
    @property
    def name(self) -> str: ...
    @property
    def exitcode(self) -> int | None: ...
    @property
    def sentinel(self) -> int: ...
    def is_alive(self) -> bool: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...


class Launcher(Protocol):
    """Starts workers, tells when they are gone, and kills them.

    At construction it takes `watch(fd)` and `unwatch(fd)`, which it calls on its own thread when the set of descriptors
    to watch for reading changes; an `unwatch` comes before the descriptor is closed.
    """

    name: str
    """"zygote", "fork", "spawn" or "forkserver"."""
    eager: bool
    """All workers start in the first submit, in the caller's thread, before any thread of ours exists (fork)."""

    def start(self, wid: int, files: WorkerFiles, config: dict[str, Any]) -> None:
        """Ask for worker `wid`; never waits for it. The caller may close its copies of `files` when this returns.

        `config` is handed to the serve function as it is. By the zygote it must be plain data (None, bool, int, float,
        str, bytes, and tuples, lists and dicts of these), by multiprocessing what that can carry. Raises OSError, or
        ValueError (multiprocessing: what its pickling raises) for a config that cannot travel.
        """
        ...

    def fds(self) -> Iterable[int]:
        """What is being watched now."""
        ...

    def poll(self, fd: int) -> list[Event]:
        """`fd` is readable: what has happened, in order. Never waits; a descriptor of the past is no error."""
        ...

    def kill(self, wid: int, signum: int = 9) -> None:
        """Send a signal to this worker and to no other; one that has not begun gets it when it does. Never raises."""
        ...

    def process(self, wid: int) -> WorkerProcess:
        """The process of a started worker. KeyError before Started and after Exited."""
        ...

    def close(self) -> None:
        """Let go of everything; workers still alive are killed. Idempotent."""
        ...


# ------------------------------------------------------------------------------------------------- which launcher it is


class Choice(NamedTuple):
    """What a pool starts its workers with, and why."""

    context: BaseContext | None
    """None: the zygote."""
    why: str


def choose(mp_context: BaseContext | None, initargs: Iterable[object] = (), initializer: object = None) -> Choice:
    """Zygote or multiprocessing context, as DESIGN has it; logs on "procession" when the program did not say itself.

    A start method that equals the platform's default is not seen as a choice: multiprocessing fixes it by itself with
    the first Queue or Lock that a program makes, and does not tell the two apart.
    """
    if mp_context is not None:
        return Choice(mp_context, "mp_context= says so")
    if tied := _tied([initializer, *initargs]):
        why = f"the initializer or its arguments hold a {tied}, which only a child of multiprocessing can take over"
    elif method := _chosen_method():
        why = f"the program has chosen multiprocessing.set_start_method({method!r})"
    elif lacking := _lacking():
        why = f"there can be no zygote here: {lacking}"
    else:
        return Choice(None, "the default")

    import logging
    import multiprocessing

    context = multiprocessing.get_context()
    say(logging.INFO, "workers start by multiprocessing's %r: %s", context.get_start_method(), why)
    return Choice(context, why)


def _chosen_method() -> str | None:
    """The start method that the program has set, where it differs from the default; imports nothing."""
    default = getattr(sys.modules.get("multiprocessing.context"), "_default_context", None)
    if default is None:  # or another thread is just importing it
        return None
    actual = default._actual_context
    if actual is None or actual is default._default_context:
        return None
    return str(actual.get_start_method())


@functools.cache
def _lacking() -> str | None:
    """What a zygote needs and this system has not."""
    if getattr(sys, "frozen", False):
        return "the program is frozen, so there is no interpreter to start"
    if not sys.executable:
        return "sys.executable is not set, so there is no interpreter to start"
    for name in ("pidfd_open", "memfd_create", "posix_spawn", "P_PIDFD"):
        if not hasattr(os, name):
            return f"os.{name} is missing (it needs Linux)"
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return None if error.errno in (errno.EMFILE, errno.ENFILE) else f"pidfd_open fails: {error}"
    return None


_TIED = frozenset(f"multiprocessing.{name}" for name in ("synchronize", "queues", "connection", "sharedctypes", "heap"))


def _tied(objects: list[object]) -> str | None:
    """The type name of a multiprocessing lock, queue, connection or shared array among `objects` or inside them."""
    if not any(name in sys.modules for name in _TIED):
        return None
    seen: set[int] = set()
    level = objects
    for _ in range(4):
        below: list[object] = []
        for each in level:
            if id(each) in seen or isinstance(each, (str, bytes, int, float, type)) or len(seen) > 10_000:
                continue
            seen.add(id(each))
            if any(base.__module__ in _TIED for base in type(each).__mro__) or _is_shared_ctype(each):
                return f"{type(each).__module__}.{type(each).__name__}"
            below += _inside(each)
        level = below
    return None


def _is_shared_ctype(each: object) -> bool:
    return hasattr(type(each), "_type_") and hasattr(each, "_wrapper")


def _inside(each: object) -> list[object]:
    if isinstance(each, (list, tuple, set, frozenset)):
        return list(each)
    if isinstance(each, dict):
        return list(each.values())
    if isinstance(each, functools.partial):
        return [each.func, *each.args, *each.keywords.values()]
    inside: list[object] = [getattr(each, "__self__", None)]
    attributes = getattr(each, "__dict__", None)
    if isinstance(attributes, dict) and not callable(each):
        inside += attributes.values()
    return inside


# ------------------------------------------------------------------------------------------------------ shared by all


class Lifeline:
    """The pipe whose write end only this process holds; its workers die when that closes (`procession.worker.boot`).

    One for the process, made with the first launcher and closed with the last. A forked child has none of it.
    """

    _lock = threading.Lock()
    _current: Lifeline | None = None

    def __init__(self) -> None:
        self.read, self._write = forksafe.pipe()
        self._pid = os.getpid()
        self._users = 0

    @classmethod
    def enter(cls) -> Lifeline:
        """The one of this process; each `enter` wants a `leave`."""
        forksafe.on_fork(cls._in_forked_child)
        with cls._lock:
            if cls._current is None:
                cls._current = Lifeline()
            cls._current._users += 1
            return cls._current

    def leave(self) -> None:
        """The last one to leave closes it."""
        with Lifeline._lock:
            self._users -= 1
            if self._users or self._pid != os.getpid():
                return
            Lifeline._current = None
            forksafe.close(self.read)
            forksafe.close(self._write)

    @classmethod
    def _in_forked_child(cls) -> None:
        cls._lock, cls._current = threading.Lock(), None


def explained(error: OSError) -> OSError:
    """The same error, saying what to do about it when a limit of the system is what was met."""
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ETOOMANYREFS):
        return OSError(error.errno, f"{error.strerror}: {_about_descriptors()}")
    if error.errno == errno.EAGAIN:
        text = "the limit of processes (ulimit -u, RLIMIT_NPROC, or the cgroup's pids.max) has been reached"
        return OSError(error.errno, f"{error.strerror}: {text}; use fewer workers or raise it")
    return error


def _about_descriptors() -> str:
    try:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = f"this process may have {soft} (the hard limit is {hard})"
    except (ImportError, OSError):
        limit = "the limit of this process"
    return (
        f"a worker takes up to {DESCRIPTORS_PER_WORKER} descriptors here and {limit}; use fewer workers, or raise "
        "RLIMIT_NOFILE (`ulimit -n`, or resource.setrlimit before the pool is made)"
    )


def owned_pidfd(pid: int) -> int:
    """A pidfd that a forked child does not keep. Raises OSError."""
    return forksafe.adopt(lambda: os.pidfd_open(pid))


Watch = Callable[[int], None]
