"""The levels of this program's loggers, told to its workers as they are set (transport/levels.py).

`Logger.setLevel` and `logging.disable` clear the caches in which loggers keep what they are enabled for, that of the
root last. So a cache that tells when it is cleared stands in that place, as long as there is a pool of processes;
nothing of logging is replaced but that dictionary, and a program that sets no level pays nothing.

Laws
1. What is set by `setLevel` or `disable` before a task is submitted is known to its worker when it runs.
2. A level that is assigned (`logger.level = 10`) is found with the next that is set.
3. A forked child does not write into its parent's table.
"""

from __future__ import annotations

import logging
import mmap
import threading
from itertools import count
from typing import Any

from procession.backends import filters, forksafe
from procession.transport import boards, levels


class _Cache(dict[Any, Any]):
    """The root logger's, while levels are told."""

    def clear(self) -> None:
        super().clear()
        LevelTable.tell()


class LevelTable:
    """The one of this process, while it has users."""

    _lock = threading.RLock()
    _fd = -1
    _users = 0
    _memory: mmap.mmap | None = None
    _versions = count(1)

    @classmethod
    def enter(cls) -> int:
        """The descriptor, for workers; each `enter` wants a `leave`. Raises OSError."""
        forksafe.on_fork(cls._in_forked_child)
        with cls._lock:
            if cls._fd < 0:
                cls._fd = forksafe.adopt(boards.create)
                cls._memory = boards.memory_of(cls._fd)
                _root()._cache = _Cache()
                cls.tell()
                filters.begin(cls._memory)
            cls._users += 1
            return cls._fd

    @classmethod
    def leave(cls) -> None:
        """The last to leave closes it."""
        with cls._lock:
            cls._users -= 1
            if not cls._users:
                memory, cls._memory = cls._memory, None
                fd, cls._fd = cls._fd, -1
                _plain_cache()
                filters.end()
                if memory is not None:
                    memory.close()
                forksafe.close(fd)

    @classmethod
    def tell(cls) -> None:
        """Write what is set now. Any thread, and no lock is taken: whoever sets a level holds one of logging's.

        Who was overtaken by another one may have written last what was true before; so it looks again.
        """
        memory, told = cls._memory, None
        while memory is not None and told != (now := levels.table(logging)):
            try:
                levels.write(memory, next(cls._versions), *now)
            except ValueError:
                return  # the last pool has just been closed
            told = now

    @classmethod
    def text(cls, seen: object) -> tuple[object, bytes]:
        """What stands there, for workers elsewhere, and by what to know that it has not changed; then it is empty."""
        memory = cls._memory
        try:
            now = None if memory is None else boards.versions(memory)
            return now, b"" if now == seen or memory is None else boards.text_of(memory)
        except ValueError:
            return seen, b""  # the last pool has just been closed

    @classmethod
    def _in_forked_child(cls) -> None:
        cls._lock, cls._fd, cls._users, cls._memory = threading.RLock(), -1, 0, None
        _plain_cache()
        filters.end()


def _root() -> Any:
    return logging.root


def _plain_cache() -> None:
    if isinstance(_root()._cache, _Cache):
        _root()._cache = {}


__all__ = ["LevelTable"]
