"""The levels of the parent's loggers, in memory that workers share: written when one is set, read before each record.

    bytes 0..7   version: so many times were they written
    then         two slots of `SLOT` bytes: 4 bytes of length, and that much marshalled (levels by name, disable)

Version v is in slot v & 1, and is written whole before the version says so. A reader that is overtaken while it reads
sees that by the version, and reads again. The file has no name; there is one for all pools of a program.

What a worker takes over is what has changed since it looked last: what its own code has set, it keeps until then.
"""

from __future__ import annotations

import marshal
import mmap
import os
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

SLOT = 1 << 18
_VERSION, _LENGTH = Struct("<Q"), Struct("<I")
_SIZE = _VERSION.size + 2 * SLOT


def create() -> int:
    """A new table; returns its descriptor."""
    fd = os.memfd_create("procession-levels", os.MFD_CLOEXEC)
    os.ftruncate(fd, _SIZE)
    return fd


def write(memory: mmap.mmap, version: int, levels: dict[str, int], disable: int) -> None:
    """Parent: from now on these are the levels, of the loggers that have one; "" is the root."""
    text = marshal.dumps((levels, disable))
    if len(text) > SLOT - _LENGTH.size:  # thousands of loggers with levels of their own: theirs are not looked at
        text = marshal.dumps(({"": levels[""]}, disable))
    at = _VERSION.size + (version & 1) * SLOT
    memory[at : at + _LENGTH.size + len(text)] = _LENGTH.pack(len(text)) + text
    memory[: _VERSION.size] = _VERSION.pack(version)


def memory_of(fd: int) -> mmap.mmap:
    """The parent's view."""
    return mmap.mmap(fd, _SIZE)


def table(logging: ModuleType) -> tuple[dict[str, int], int]:
    """What `write` takes, as logging has it now."""
    module: Any = logging
    manager = module.root.manager
    levels = {"": module.root.level}
    for name, logger in list(manager.loggerDict.items()):
        level = getattr(logger, "level", 0)  # not all of them are loggers
        if type(level) is int and level:
            levels[name] = level
    return levels, manager.disable


class Levels:
    """A worker's view."""

    def __init__(self, fd: int) -> None:
        self._mmap = mmap.mmap(fd, _SIZE, prot=mmap.PROT_READ)
        self._version = memoryview(self._mmap)[: _VERSION.size].cast("Q")
        self._seen = 0
        self._levels: dict[str, int] = {"": 30}
        self._disable = 0

    def changed(self) -> bool:
        """Whether there is something that `apply` has not seen."""
        return self._version[0] != self._seen

    def apply(self, logging: ModuleType) -> None:
        """Set what has changed."""
        version, levels, disable = self._read()
        if version == self._seen:
            return
        module: Any = logging
        before = self._levels
        for name in {*before, *levels}:
            level = levels.get(name, 0)
            if before.get(name, 0) != level:
                (module.getLogger(name) if name else module.root).level = level
        manager = module.root.manager
        if disable != self._disable:
            self._disable = manager.disable = disable
        manager._clear_cache()
        self._levels, self._seen = levels, version  # last: who is interrupted begins anew

    def _read(self) -> tuple[int, dict[str, int], int]:
        while True:
            version = self._version[0]
            at = _VERSION.size + (version & 1) * SLOT
            (length,) = _LENGTH.unpack_from(self._mmap, at)
            text = self._mmap[at + _LENGTH.size : at + _LENGTH.size + min(length, SLOT)]
            if self._version[0] == version:
                levels, disable = marshal.loads(text)
                return version, levels, disable


__all__ = ["SLOT", "Levels", "create", "memory_of", "table", "write"]
