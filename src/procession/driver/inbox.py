"""Where user threads leave what they want, and the bell that wakes the driver.

Appending and ringing are one step of the interpreter, a map over `targets` that runs wholly in C: no signal that raises
comes between them, and no lock is held that a signal handler, a finalizer or a forked child could find taken.

    user:    append; then, if the bell is among `targets`, ring
    driver:  put the bell among `targets`; look at the deque; if it is empty, wait for the bell; take the bell away

Whatever the order of these steps, the driver either sees the entry or hears the bell. The end is settled alike:

    user:    append; then, if `closed`, sweep up
    driver:  set `closed`; then sweep up

`os.write` lets go of the GIL before it writes, and what was appended may be just what ends a driver that was awake. So
the driver closes the pipe when nobody has the bell in hand any more: the number may be another's file at once.
"""

from __future__ import annotations

import os
from _queue import Empty, SimpleQueue
from _weakref import ref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from procession._native import native
from procession.backends import forksafe
from procession.backends.tasks import CallFuture
from procession.core.task import Task
from procession.driver.lifecycle import in_turn

if TYPE_CHECKING:
    from procession.backends.scripts import Outlet

PATIENCE = 1.0
"""Seconds that a driver which ends waits for those who are just ringing: each is between two instructions."""


class Inbox:
    """Entries for the driver, in order; any thread, any time."""

    __slots__ = ("_bell", "_last_bell", "_ring_fd", "_wake_fd", "closed", "entries", "outlets", "ruled", "targets")

    def __init__(self) -> None:
        self.entries: Any = deque() if native is None else native.TaskQueue()  # with a deque's methods
        self.closed = False
        self.outlets: dict[int, Outlet] = {}  # by its number: who is told what a generator yields
        self.ruled = False  # among the tasks there may be some with rules
        self._wake_fd, self._ring_fd = forksafe.pipe(os.O_CLOEXEC | os.O_NONBLOCK)
        self._bell: tuple[Callable[[bytes], object], ...] = (partial(os.write, self._ring_fd),)
        self._last_bell: tuple[Callable[[bytes], object], ...]
        self._last_bell = self._bell if native is None else (partial(native.ring, self._ring_fd),)
        self.targets: list[Callable[[Any], object]] = [self.entries.append]

    def fileno(self) -> int:
        """Readable when the bell has rung."""
        return self._wake_fd

    def put(self, entry: Any) -> None:
        """Leave an entry."""
        try:
            any(map(in_turn, self.targets, (entry, b"!")))
        except OSError:
            pass  # see `ring`

    def let_in(self, door: Any, functions: dict[int, Any]) -> None:
        """Calls of these functions that come through this door (`_native/door.c`) are put here as `put` would."""
        door.let_in(functions, CallFuture, self.entries, self.targets, self._ring_fd)

    def tell_last(self, entry: Any, words: tuple[list[Any], list[Any]]) -> None:
        """Make `words` leave this entry, and ring in any case; see `lifecycle.when_dropped`."""
        words[1][:] = (entry, b"!")
        words[0][:] = (self.entries.append, *self._last_bell)

    def take_run(self) -> list[Task]:
        """Take the futures that come first, up to an entry that is none."""
        entries = self.entries
        if native is not None:
            run: list[Task] = entries.take_run()
            return run
        run = []
        while entries and isinstance(entries[0], CallFuture):
            run.append(entries.popleft())
        return run

    @property
    def asleep(self) -> bool:
        """Whether the driver wants to be woken."""
        return len(self.targets) > 1

    @asleep.setter
    def asleep(self, value: bool) -> None:
        self.targets[1:] = self._bell if value else ()

    def ring(self) -> None:
        """Wake the driver; a full pipe has woken it already, a closed one has no driver."""
        try:
            for bell in self._bell:
                bell(b"!")
        except OSError:
            pass

    def hush(self) -> None:
        """The driver is awake."""
        try:
            os.read(self._wake_fd, 4096)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """No bell any more; `put` still appends. Who was told the last words has forgotten them."""
        self.targets[1:] = ()
        gone: SimpleQueue[object] = SimpleQueue()
        bells, self._bell, self._last_bell = {*self._bell, *self._last_bell}, (), ()
        watches = [ref(bells.pop(), gone.put) for _ in range(len(bells))]
        try:
            for _ in watches:
                gone.get(timeout=PATIENCE)
        except Empty:
            return  # better open for ever than closed under somebody's hands
        forksafe.close(self._wake_fd)
        forksafe.close(self._ring_fd)
