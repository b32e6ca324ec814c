"""What the workers of one agent print and note, gathered until the next report; and what they are told of levels.

Laws
1. `take` has all that was in the pipes when it was called, up to `MOST` bytes of each; who printed before an outcome
   was published is in front of that outcome (law 2 of agent.py).
2. A pipe that has brought `MOST` bytes is not watched until these are taken: workers wait, as they would have waited
   for a slow terminal.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable

from procession.backends import forksafe
from procession.backends.ends import widen
from procession.driver.agent_wire import NOTED, OUTPUT, Entry, Setting
from procession.transport import boards

MOST = 1 << 20
_READ = 1 << 16
_NOTES = 1 << 20


class _Ear:
    """One pipe."""

    def __init__(self, head: tuple[int, ...], flags: int) -> None:
        self.head = head
        self.read, self.write = forksafe.pipe(flags)
        os.set_blocking(self.read, False)
        self.held: list[bytes] = []
        self.size = 0

    def listen(self) -> None:
        """Read what is there, as far as there is room."""
        while self.size < MOST:
            try:
                data = os.read(self.read, _READ)
            except BlockingIOError:
                return
            if not data:
                return
            self.held.append(data)
            self.size += len(data)

    def take(self) -> list[Entry]:
        self.listen()
        held, self.held, self.size = self.held, [], 0
        return [(*self.head, b"".join(held))] if held else []


class Ears:
    """The pipes that the worker processes of one agent share, one after another."""

    def __init__(
        self,
        setting: Setting,
        watch: Callable[[int, Callable[[int], object]], None],
        unwatch: Callable[[int], None],
    ) -> None:
        self._watch, self._unwatch = watch, unwatch
        self._ears = [
            _Ear((OUTPUT, 1), os.O_CLOEXEC),
            _Ear((OUTPUT, 2), os.O_CLOEXEC),
            _Ear((NOTED,), os.O_CLOEXEC | os.O_NONBLOCK),
        ]
        widen(self._ears[2].read, _NOTES)
        self._boards = forksafe.adopt(boards.create)
        self._memory: mmap.mmap = boards.memory_of(self._boards)
        self.heed(setting.boards)
        self._by_fd = {ear.read: ear for ear in self._ears}
        self._full: list[_Ear] = []
        for ear in self._ears:
            watch(ear.read, self._hear)

    @property
    def child_ends(self) -> tuple[int, int]:
        """The write ends for stdout and stderr."""
        return self._ears[0].write, self._ears[1].write

    @property
    def beside(self) -> tuple[int, int]:
        """The write end for notes, and the boards."""
        return self._ears[2].write, self._boards

    @property
    def heard(self) -> bool:
        """There is something that nobody has taken."""
        return any(ear.held for ear in self._ears)

    def heed(self, text: bytes) -> None:
        """These are the boards of the program now."""
        if text:
            boards.copy(text, self._memory)

    def take(self) -> list[Entry]:
        """What has come, and is not told yet."""
        found = [entry for ear in self._ears for entry in ear.take()]
        for ear in self._full:
            self._watch(ear.read, self._hear)
        self._full.clear()
        return found

    def _hear(self, fd: int) -> None:
        ear = self._by_fd[fd]
        ear.listen()
        if ear.size >= MOST:
            self._unwatch(fd)
            self._full.append(ear)

    def close(self) -> None:
        """The workers are gone."""
        for ear in self._ears:
            self._unwatch(ear.read)
            forksafe.close(ear.read)
            forksafe.close(ear.write)
        self._memory.close()
        forksafe.close(self._boards)


__all__ = ["Ears"]
