"""A thread that looks whether an engine still gets anything done, and writes a dump to the log when it does not.

Laws
1. It is not the engine's driver: a driver that hangs is one of the things that are to be shown.
2. It asks for numbers, four times within the patience that it was given, and touches nothing else. An engine that has
   nothing to do is asked as well: that costs some 10 µs each time.
3. A stall is: work is there, and for `seconds` nothing has come to an end, been given up, or been tried again. It is
   told then, again after twice as long, after four times as long, and so on, until something moves.
4. It holds no reference to the engine while it waits, and ends when the engine does, or is gone.
"""

from __future__ import annotations

import itertools
import logging
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from procession.backends.gate import Gate
from procession.backends.joinable import JoinableThread
from procession.backends.saying import say

if TYPE_CHECKING:
    from procession.backends.base import EngineStats

LOOKS = 4
"""In the time after which nothing has moved for too long."""
END = 5.0
"""Seconds that its end is waited for: it may be in the middle of a dump."""

_numbers = itertools.count(1)


class Watched(Protocol):
    """What it needs of an engine."""

    def stats(self) -> EngineStats:
        """Numbers, now."""
        ...

    def dump(self) -> str:
        """See `Engine.dump`."""
        ...


class Patience:
    """Pure: told the numbers now and then, says when it is time to complain, and of how many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = seconds
        self._since: float | None = None  # None: there was nothing to do
        self._mark: object = None

    def look(self, numbers: EngineStats, now: float) -> float | None:
        """Seconds for which nothing has moved, if that is to be told now."""
        mark = (numbers.done, numbers.failed, numbers.died, numbers.timeouts, numbers.retries)
        busy = numbers.pending + numbers.in_flight > 0
        if not busy or self._since is None or mark != self._mark:
            self._since = now if busy else None
            self._mark = mark
            self._next = self._seconds
            return None
        still = now - self._since
        if still < self._next:
            return None
        self._next = 2 * still
        return still


class StallWatch:
    """Watches one engine."""

    def __init__(self, engine: Watched, seconds: float) -> None:
        self._engine = weakref.ref(engine)
        self._seconds = seconds
        self._over = Gate()
        self._thread: JoinableThread | None = None

    def start(self) -> None:
        """Begin; again is no harm."""
        if self._thread is None:
            thread = JoinableThread(self._run, f"procession-stalls-{next(_numbers)}")
            try:
                thread.start()
            except RuntimeError:  # the interpreter is going, or the system has no thread left
                return
            self._thread = thread

    def stop(self) -> None:
        """The end; waits for the thread's."""
        self._over.open()
        if self._thread is not None:
            self._thread.join(END)

    def _run(self) -> None:
        patience = Patience(self._seconds)
        pause = self._seconds / LOOKS
        while not self._over.opened:
            self._over.wait(pause)
            engine = self._engine()
            if engine is None or self._over.opened:
                return
            try:
                self._look(engine, patience)
            except Exception as error:
                say(logging.ERROR, "procession could not tell what stands still", error=error)
            del engine

    @staticmethod
    def _look(engine: Watched, patience: Patience) -> None:
        still = patience.look(engine.stats(), monotonic())
        if still is not None:
            say(logging.WARNING, "nothing has come to an end for %.1f s, and there is work\n%s", still, engine.dump())
