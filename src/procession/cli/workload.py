"""The reference workload, and what runs in a worker.

A loop looks at 1..30; multiples of three qualify; the work on 9 takes 4 s, on each other 1 s: 13 s in sequence. The
work sleeps, as one does who waits for a disk or a network: so 8 workers need no 8 cores.
"""

import heapq
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

LOOKED_AT = range(1, 31)
LONG_ITEM = 9


def qualifies(item: int) -> bool:
    return item % 3 == 0


ITEMS = tuple(item for item in LOOKED_AT if qualifies(item))


class Done(NamedTuple):
    """The result of one item: who worked on it and when, in seconds of time.monotonic.

    That clock is one for all processes of a Linux machine, so that a worker's times compare with the parent's.
    """

    item: int
    pid: int
    thread: int
    start: float
    end: float


@dataclass(frozen=True)
class Work:
    """The work on one item: call it with the item. It travels to the worker by pickle.

    `second` is how long a second of the workload really lasts. `diary` names a file to which each start and each end is
    appended, for those who want to watch; the result says the same when the work is done.
    """

    second: float = 1.0
    diary: str | None = None

    def __call__(self, item: int) -> Done:
        start = time.monotonic()
        if self.diary is not None:
            write(self.diary, item, start, None)
        time.sleep(self.seconds(item))
        end = time.monotonic()
        if self.diary is not None:
            write(self.diary, item, start, end)
        return Done(item, os.getpid(), threading.get_native_id(), start, end)

    def seconds(self, item: int) -> float:
        return (4.0 if item == LONG_ITEM else 1.0) * self.second

    @property
    def step(self) -> float:
        """How long one step of the loop takes that feeds a spin-off."""
        return 0.25 * self.second


def limit(arrivals: Sequence[float], seconds: Sequence[float], workers: int) -> float:
    """When the last of the items can be done at best, if each starts in its turn and as soon as a worker is free."""
    free = [0.0] * workers
    last = 0.0
    for arrival, duration in zip(arrivals, seconds, strict=True):
        end = max(arrival, heapq.heappop(free)) + duration
        heapq.heappush(free, end)
        last = max(last, end)
    return last


class Entry(NamedTuple):
    """A line of the diary; `end` is None in the line that was written at the start."""

    item: int
    pid: int
    thread: int
    start: float
    end: float | None


def write(diary: str, item: int, start: float, end: float | None) -> None:
    """Append one line, in one write: lines of several workers do not mix."""
    line = f"{item} {os.getpid()} {threading.get_native_id()} {start!r} {end!r}\n"
    fd = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def read(diary: str) -> Iterable[Entry]:
    """What is in the diary, the last word on each item; a line that is not complete yet is left out."""
    entries: dict[int, Entry] = {}
    with open(diary, encoding="ascii") as file:
        for line in file:
            if line.endswith("\n"):
                item, pid, thread, start, end = line.split()
                known = None if end == "None" else float(end)
                entries[int(item)] = Entry(int(item), int(pid), int(thread), float(start), known)
    return entries.values()
