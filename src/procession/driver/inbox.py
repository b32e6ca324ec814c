"""Where user threads leave what they want, and the bell that wakes the driver.

Appending to a deque and reading a flag are single steps of the interpreter, so that nothing is lost to a signal that
raises between them, and no lock is held that a signal handler, a finalizer or a forked child could find taken.

    user:    append; then, if `asleep`, ring
    driver:  set `asleep`; look at the deque; if it is empty, wait for the bell; clear `asleep`

Whatever the order of these steps, the driver either sees the entry or hears the bell. The end is settled alike:

    user:    append; then, if `closed`, sweep up
    driver:  set `closed`; then sweep up
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from procession.backends import forksafe


class Inbox:
    """Entries for the driver, in order; any thread, any time."""

    __slots__ = ("_ring_fd", "_wake_fd", "asleep", "closed", "entries")

    def __init__(self) -> None:
        self.entries: deque[Any] = deque()
        self.asleep = False
        self.closed = False
        self._wake_fd, self._ring_fd = forksafe.pipe(os.O_CLOEXEC | os.O_NONBLOCK)

    def fileno(self) -> int:
        """Readable when the bell has rung."""
        return self._wake_fd

    def put(self, entry: Any) -> None:
        """Leave an entry."""
        try:
            self.entries.append(entry)
            if self.asleep:
                self.ring()
        except BaseException:  # a signal handler has raised between the two: whoever sleeps must still be woken
            self.ring()
            raise

    def ring(self) -> None:
        """Wake the driver; a full pipe has woken it already, a closed one has no driver."""
        try:
            os.write(self._ring_fd, b"!")
        except (BlockingIOError, OSError):
            pass

    def hush(self) -> None:
        """The driver is awake."""
        try:
            os.read(self._wake_fd, 4096)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """No bell any more; `put` still appends."""
        forksafe.close(self._wake_fd)
        forksafe.close(self._ring_fd)
