"""What an engine is at, as text for people: `dump()`, which every engine has, and how it is laid out.

Laws
1. It is asked for when things hang. So whoever asks waits for a few seconds at most, whatever hangs, and gets what
   could be had by then.
2. It is made by a thread that no signal handler can strike, and one at a time in this process: a worker's stacks come
   by a file that the next dump empties.
3. No code of a user runs to make a text of his arguments (`telling`).
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from procession.backends.unstruck import unstruck
from procession.lean import NamedTuple

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from procession.backends.stalls import StallWatch

PATIENCE = 5.0
"""Seconds that one dump waits for another to end: more than one takes."""


class Sheet(NamedTuple):
    """What is told of one worker."""

    line: str
    stack: str = ""


class Dumps(ABC):
    """An engine that shows what it is at."""

    stalls: StallWatch | None = None
    """Who shows it unasked when nothing moves; set before the first task comes, if at all."""

    def dump(self) -> str:
        """See `Engine.dump`."""
        found: list[str] = []

        def make() -> None:
            with _turn():
                found.append(self.picture())

        unstruck(make)
        return found[0]

    @abstractmethod
    def picture(self) -> str:
        """The text of a dump; see the laws."""

    def watch_stalls(self) -> None:
        """Work is about to come. By a thread of the engine."""
        if self.stalls is not None:
            self.stalls.start()

    def unwatch_stalls(self) -> None:
        """All is over. By a thread of the engine."""
        if self.stalls is not None:
            self.stalls.stop()


_turns: dict[int, threading.Lock] = {}
"""By process: whoever holds the lock of a process is not in its forked children."""


@contextmanager
def _turn() -> Iterator[None]:
    """In here it is ours; or it is late, and nobody is waited for any more."""
    lock = _turns.setdefault(os.getpid(), threading.Lock())
    ours = lock.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if ours:
            lock.release()


def laid_out(first: str, sheets: Iterable[Sheet]) -> str:
    """All of it: a line for the pool, one for each worker, and below that its stacks."""
    lines = [first]
    for sheet in sheets:
        lines.append(sheet.line)
        lines += ["    " + line for line in sheet.stack.splitlines()]
    return "\n".join(lines)


def lasted(since: float, now: float) -> str:
    """How long, both in seconds of the monotonic clock."""
    return f" for {max(now - since, 0.0):.1f} s"


__all__ = ["Dumps", "Sheet", "laid_out", "lasted"]
