"""The levels of the parent's loggers, on a board (boards.py): written when one is set, read before each record.

The text is marshalled: (levels by name, disable).

What a worker takes over is what has changed since it looked last: what its own code has set, it keeps until then.
"""

from __future__ import annotations

import marshal

from procession.transport.boards import LEVELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from types import ModuleType
    from typing import Any


def write(memory: mmap.mmap, version: int, levels: dict[str, int], disable: int) -> None:
    """Parent: from now on these are the levels, of the loggers that have one; "" is the root."""
    text = marshal.dumps((levels, disable))
    if len(text) > LEVELS.most:  # thousands of loggers with levels of their own: theirs are not looked at
        text = marshal.dumps(({"": levels[""]}, disable))
    LEVELS.write(memory, version, text)


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

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._version = LEVELS.version(memory)
        self._seen = 0
        self._levels: dict[str, int] = {"": 30}
        self._disable = 0

    def changed(self) -> bool:
        """Whether there is something that `apply` has not seen."""
        return self._version[0] != self._seen

    def apply(self, logging: ModuleType) -> None:
        """Set what has changed."""
        version, text = LEVELS.read(self._memory)
        if version == self._seen:
            return
        levels, disable = marshal.loads(text)
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


__all__ = ["Levels", "table", "write"]
