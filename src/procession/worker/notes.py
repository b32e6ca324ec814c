"""How a worker sends notes (transport/notes.py): it waits a little for a parent that does not read, and then drops.

Laws
1. Any thread may send, and a signal handler, and a process that a task has forked. No lock is taken.
2. Sending waits `PATIENCE` seconds in all for room in the pipe, then the note is dropped. After that nothing waits
   until there is room again: a parent whose log handlers hang costs a task that much once, not with each line.
3. What was dropped is counted, and the count goes with the next note.
4. A note is in the pipe before `sent` is called, and so before the outcome of the task that sent it is published: who
   looks for notes before it tells an outcome misses none.
"""

from __future__ import annotations

import os
import select
from itertools import count
from time import monotonic

from procession.transport.notes import LARGEST, cut

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 1.0

sent: Callable[[], object] | None = None
"""Called after each note. On the fast lane outcomes may overtake notes, if nobody looks to it."""

place: Callable[[], int] = int
"""Says which item the worker is at: a number that is no other item's of this worker."""

_fd = -1
_numbers = count()
_hopeless = False  # nothing was taken for `PATIENCE` seconds
_dropped = 0


def begin(fd: int) -> None:
    """This process is a worker, and `fd` is the pipe, which does not block; -1: nobody reads notes."""
    global _dropped, _fd, _hopeless
    _fd, _dropped, _hopeless = fd, 0, False


def reach() -> bool:
    """Whether somebody may read what is sent."""
    return _fd >= 0


def dropped() -> int:
    """How many were dropped that nobody has been told of; who asks tells it, or gives it back by `drop`."""
    global _dropped
    count, _dropped = _dropped, 0
    return count


def drop(count: int) -> None:
    """So many are lost."""
    global _dropped
    _dropped += count


def send(note: bytes) -> bool:
    """Whether it is in the pipe."""
    global _hopeless
    if len(note) > LARGEST:
        return False
    until = None
    for piece in cut(os.getpid(), next(_numbers) & 0xFFFFFFFF, note):
        while True:
            try:
                os.write(_fd, piece)
                _hopeless = False
                break
            except BlockingIOError:
                until = until or monotonic() + (0 if _hopeless else PATIENCE)
                poll = select.poll()
                poll.register(_fd, select.POLLOUT)
                if not poll.poll(max(0, int((until - monotonic()) * 1000))) and monotonic() >= until:
                    _hopeless = True
                    return False
            except OSError:  # the parent is gone, or has closed the pool
                return False
    if sent is not None:
        sent()
    return True
