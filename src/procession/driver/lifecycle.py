"""What becomes of engines that nobody shuts down: the interpreter ends, a pool is dropped, the process forks.

Laws
1. Nothing is registered anywhere before the first engine is.
2. When the interpreter ends, every engine drains: what was submitted runs, as with the stdlib. If it is leaving because
   of a KeyboardInterrupt, every engine is killed instead: the user has asked for an end, not for patience.
3. A pool dropped without shutdown is shut down without waiting: its queued work runs, then its workers end. It is
   dropped anywhere, by the collector too, and in the main thread a signal handler may raise in whatever Python code
   runs on that occasion, which would lose the request. So no Python code runs: see `when_dropped`.
4. In a forked child no engine of the parent is touched: not at its exit, not by a finalizer (each engine refuses work
   there by itself, see `backends.forksafe`).

`threading._register_atexit` is private, and what the stdlib's own executors use: its hooks run before the interpreter
joins threads and before `atexit`, while new threads can still be started (until 3.12). Where it is missing, `atexit`.
"""

from __future__ import annotations

import operator
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable

from procession.backends.saying import said

TYPE_CHECKING = False  # see `lean`
if not TYPE_CHECKING:
    from procession.lean import Protocol, cast
if TYPE_CHECKING:
    from typing import Any, Protocol, cast

in_turn: Callable[[Callable[[Any], object], Any], object] = cast("Any", operator.call)
"""Call the one with the other; in C, so that a map over it is one step of the interpreter."""

SIGTERM, SIGKILL = 15, 9
"""By POSIX; the module `signal` would make enums of them all."""


class Closable(Protocol):
    """What the end of the interpreter needs of an engine."""

    def shutdown(self, wait: bool, cancel: bool) -> None:
        """See `backends.base.Engine`."""
        ...

    def kill(self, signum: int) -> None:
        """See `backends.base.Engine`."""
        ...


_engines: weakref.WeakSet[Closable] = weakref.WeakSet()
_lock = threading.RLock()
_hooked = False
exiting = False
"""The interpreter is ending: nothing is to be started any more."""


def register(engine: Closable) -> None:
    """Take care of `engine` when the interpreter ends; one that is made later than that is shut down at once."""
    if not _hooked:
        _hook()
    _engines.add(engine)
    if exiting:
        engine.shutdown(wait=False, cancel=False)


class _Obituary(weakref.ref["Any"]):
    """A weak reference whose iterator is the attribute of that name: `iter(obituary)` runs no Python code."""

    __slots__ = ("__iter__",)


def when_dropped(pool: object, engine: Any) -> None:
    """When `pool` is collected, let `engine` finish what it has and end (law 3).

    An engine with `last_words`, a list of C functions and one of arguments, has each called with its argument, now or
    never, wholly in C: the reference's callback is `deque.extend`, which iterates over the reference, which is a map
    over both lists. They are read then; an engine that has begun puts its append and its ring there, and empties them
    when it ends, so that no closed descriptor is written to. Without `last_words` its `shutdown` is called.
    """
    words = getattr(engine, "last_words", None)
    if words is None:
        weakref.finalize(pool, _let_go, engine.shutdown, os.getpid()).atexit = False
        return
    nowhere: deque[object] = deque(maxlen=0)
    obituary = _Obituary(pool, cast("Any", nowhere.extend))
    cast("Any", obituary).__iter__ = map(in_turn, *words).__iter__
    engine.obituary = obituary  # an engine that runs outlives its pool; of one that does not, nothing is wanted


def refusal() -> RuntimeError:
    """What a submit gets after the end, with the words of the stdlib."""
    return RuntimeError(f"cannot schedule new futures after {'interpreter ' if exiting else ''}shutdown")


def foreign() -> RuntimeError:
    """What a submit gets in a forked child."""
    return RuntimeError(
        "this pool belongs to the parent process, which forked: make a new pool here, "
        "or hand the work over to the parent"
    )


def left_by_interrupt() -> bool:
    """True when the interpreter ends because nobody caught a KeyboardInterrupt.

    In an interactive session the last exception says what was typed before, not why it ends.
    """
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return False
    last = getattr(sys, "last_type", None)
    return isinstance(last, type) and issubclass(last, KeyboardInterrupt)


def _let_go(shutdown: Callable[[bool, bool], None], pid: int) -> None:
    if pid == os.getpid():
        shutdown(False, False)


def _hook() -> None:
    global _hooked
    with _lock:
        if _hooked:
            return
        register_at_exit: Callable[[Callable[[], None]], object] | None = getattr(threading, "_register_atexit", None)
        try:
            if register_at_exit is None:
                raise RuntimeError
            register_at_exit(_at_exit)
        except RuntimeError:  # not there, or the interpreter is ending already
            import atexit

            atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_in_child)
        _hooked = True


def _at_exit() -> None:
    """All engines are told first and waited for afterwards, so that they end side by side."""
    global exiting
    exiting = True
    engines = _all()
    try:
        if left_by_interrupt():
            _kill(engines)
            return
        for engine in engines:
            engine.shutdown(wait=False, cancel=False)
        for engine in engines:
            engine.shutdown(wait=True, cancel=False)
        said()
    except KeyboardInterrupt:  # patience has ended while it drained
        _kill(engines)
        raise


def _all() -> list[Closable]:
    while True:
        try:
            return list(_engines)
        except RuntimeError:  # another thread has added one meanwhile
            continue


def _kill(engines: list[Closable]) -> None:
    for engine in engines:
        engine.kill(SIGKILL)


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()
    _engines.clear()
