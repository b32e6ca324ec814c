"""What a forked child of this process must not keep: our descriptors, and the belief that it owns the pools.

Laws
1. A descriptor that only this process may hold is registered by `own` from the moment it exists until the moment it
   is closed. `pipe` makes and registers, and `close` closes and forgets, in one step as seen by a fork.
2. In a forked child the callbacks of `on_fork` run first (objects close their own handles there, so that none closes
   a number twice), then every descriptor still registered is closed, and the registry is empty.
3. `close` touches only what is registered. So an object that lives on in a forked child cannot close a stranger: its
   number is no longer in the registry there.

Races, step by step
* A thread makes a pipe, another forks between the creation and the registration: the child would keep both ends. So
  creation, registration and closing hold a lock that the fork takes too (register_at_fork, before).
* A signal handler forks while its own thread holds that lock: it is re-entrant, and every step under it leaves the
  set whole, so the fork goes on; at worst the child keeps one descriptor that was just being made.
* A closed number is given out again by the kernel at once: the number leaves the registry before it is closed.

Nothing happens at import; the hook is registered with the first use. os.register_at_fork is POSIX; a fork from C that
does not go through Python's hooks keeps everything, which is why nobody may wait for an end of file (law 6 of the
design): the death of a worker is known from its reaper.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import MethodType

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

lock = threading.RLock()
"""Held by a fork. Hold it while descriptors are made and registered by other means than `pipe` and `adopt`."""
_owned: set[int] = set()
_callbacks: dict[tuple[int, object], tuple[weakref.ref[Any], Callable[..., object] | None]] = {}
_keeping: dict[int, frozenset[int]] = {}
_hooked = False


def own(fd: int) -> int:
    """Register `fd`, which a forked child must not keep; returns it."""
    _hook()
    _owned.add(fd)
    return fd


def disown(fd: int) -> int:
    """Forget `fd`, which stays open; returns it."""
    _owned.discard(fd)
    return fd


def pipe(flags: int = os.O_CLOEXEC) -> tuple[int, int]:
    """`os.pipe2(flags)`, both ends owned; where there is no pipe2, `os.pipe()` (never inheritable) and O_NONBLOCK."""
    _hook()
    with lock:
        if hasattr(os, "pipe2"):
            read, write = os.pipe2(flags | os.O_CLOEXEC)
        else:
            read, write = os.pipe()
            for fd in (read, write):
                os.set_blocking(fd, not flags & os.O_NONBLOCK)
        _owned.update((read, write))
        return read, write


def adopt(make: Callable[[], int]) -> int:
    """Own the descriptor that `make()` opens; no fork falls between the two."""
    _hook()
    with lock:
        return own(make())


def duplicate(fd: int) -> int:
    """`os.dup(fd)`, owned."""
    return adopt(lambda: os.dup(fd))


def close(fd: int) -> None:
    """Close `fd` if it is owned here and now, and forget it; otherwise do nothing (law 3)."""
    with lock:
        if fd in _owned:
            _owned.discard(fd)
            os.close(fd)


def owns(fd: int) -> bool:
    """Is `fd` registered here? False for every descriptor of the parent in a forked child."""
    return fd in _owned


def owned() -> frozenset[int]:
    """What is registered now."""
    return frozenset(_owned)


@contextmanager
def keeping(fds: Iterable[int]) -> Iterator[None]:
    """A fork by this thread inside the block leaves `fds` open in the child, the worker that is to have them."""
    me = threading.get_ident()
    before = _keeping.get(me)
    _keeping[me] = frozenset(fds) | (before or frozenset())
    try:
        yield
    finally:
        if before is None:
            _keeping.pop(me, None)
        else:
            _keeping[me] = before


def on_fork(callback: Callable[[], object]) -> None:
    """Call `callback()` in every forked child, as long as it (for a bound method: its object) lives; held weakly.

    It runs while the child has one thread and before that thread goes on. What it raises is swallowed: there is nobody
    to tell.
    """
    _hook()
    holder, function = (callback.__self__, callback.__func__) if isinstance(callback, MethodType) else (callback, None)
    key = id(holder), function
    # The default argument: at the end of the interpreter the names of this module may be gone before the object.
    ref = weakref.ref(holder, lambda _, forget=_callbacks.pop: forget(key, None))  # type: ignore[misc]
    _callbacks[key] = ref, function


def _hook() -> None:
    global _hooked
    with lock:
        if not _hooked and hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_before, after_in_parent=lock.release, after_in_child=_in_child)
        _hooked = True


def _before() -> None:
    lock.acquire()


def _in_child() -> None:
    kept = _keeping.get(threading.get_ident(), frozenset())
    _keeping.clear()
    for ref, function in list(_callbacks.values()):
        holder = ref()
        try:
            if holder is not None:
                holder() if function is None else function(holder)
        except Exception:
            pass
    left = _owned - kept
    _owned.clear()
    for fd in left:
        try:
            os.close(fd)
        except OSError:
            pass
    lock.release()
