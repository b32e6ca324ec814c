"""One warm pool for the whole process, so that a library or a loop need not start workers of its own each time.

Laws
1. There is one for each backend; whoever asks gets the same, until somebody has shut it down, or it is broken.
2. Nothing that a `with` block does closes it. It ends with the interpreter, as any pool: its work is finished first.
3. A forked child has none of it, and makes its own when it asks.
4. It is found or made under a lock, by a thread that no signal handler can strike (`unstruck`).
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from procession import options
from procession.backends import forksafe
from procession.backends.unstruck import unstruck
from procession.pool import Pool


class SharedPool(Pool):
    """A Pool that leaving its with block leaves as it is."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """Nothing: others use it too."""

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """Nothing: others use it too."""

    def __repr__(self) -> str:
        return f"<shared_pool of at most {self._max_workers} {self._backend}>"

    @property
    def takes_work(self) -> bool:
        """It has not been shut down, and is not broken."""
        takes: bool = self._engine.takes_work
        return takes

    def resize(self, max_workers: int) -> None:
        """So many workers from now on. What runs is not disturbed: those that are too many go when they are through."""
        self._max_workers = max_workers
        self._engine.resize(max_workers)

    def warm(self) -> None:
        """Start workers ahead of work."""
        self._engine.warm()


class _Shelf:
    """The pools of this process."""

    def __init__(self) -> None:
        self.forked()
        forksafe.on_fork(self.forked)

    def forked(self) -> None:
        self.lock = threading.Lock()
        self.pools: dict[str, SharedPool] = {}

    def find(self, max_workers: int | None, backend: Any) -> SharedPool:
        """The one that fits, or None."""
        with self.lock:
            pool = self.pools.get(backend)
            if pool is None or not pool.takes_work:
                pool = self.pools[backend] = SharedPool(max_workers, backend=backend)
                pool.warm()
            elif max_workers is not None and max_workers != pool._max_workers and backend != "inline":
                pool.resize(max_workers)
                pool.warm()
            return pool


_shelf = _Shelf()


def shared_pool(max_workers: int | None = None, *, backend: options.Backend = "processes") -> Pool:
    """The pool that this process shares: warm, made when it is first asked for, the same one ever after.

    max_workers: the pool is made, or resized, to have at most so many. None: as many as it has; at first the CPUs that
        this process may use. Whoever says a number last decides for all.
    backend: each has a pool of its own.

    `with shared_pool() as pool:` closes nothing at its end, and waits for nothing; it lives until the interpreter ends,
    and finishes its work then. Somebody may shut it down all the same, or its workers may not start: whoever asks after
    that gets a new one. A forked child gets one of its own.
    """
    options.check_backend(backend)
    options.check_max_workers(max_workers)
    pool = _shelf.pools.get(backend)
    if pool is not None and pool.takes_work and max_workers in (None, pool._max_workers):
        return pool
    found: list[SharedPool] = []
    unstruck(lambda: found.append(_shelf.find(max_workers, backend)))
    return found[0]


__all__ = ["shared_pool"]
