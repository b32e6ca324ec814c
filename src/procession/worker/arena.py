"""A worker's arenas: its own, for results, and its parent's, in which arguments lie (`transport/arena.py`).

Nothing of them is loaded before the first large thing travels: most workers never see one, and each starts sooner.
"""

from __future__ import annotations

import os

from procession.transport import aside

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable

    from procession.worker.boot import WorkerFiles
    from procession.worker.own_arena import OwnArena


class Here:
    """What this process has; a `Supply`."""

    def __init__(self) -> None:
        self._files: tuple[int, int] | None = None  # its own, and its parent's
        self._pid = 0
        self.own: OwnArena | None = None

    def begin(self, files: WorkerFiles) -> None:
        """This process is a worker that was given these."""
        self.own = None
        lends[0] = 0
        self._pid = os.getpid()
        self._files = (files.own, files.arena) if files.arena >= 0 else None
        aside.begin(self._open)

    def _open(self) -> None:
        if self._files is not None:
            from procession.worker.own_arena import OwnArena

            self.own = OwnArena(*self._files, lends)

    def arena(self) -> OwnArena | None:
        """See `Supply`. A process that a task has forked may not touch it."""
        if self._files is None or os.getpid() != self._pid:
            return None
        if self.own is None:
            self._open()
        return self.own

    def place(self, raw: memoryview) -> int | None:
        """Put these bytes into the worker's arena, published; where they lie. None: they have to go another way."""
        own = self.arena()
        return None if own is None else own.place(raw)


here = Here()
lends = bytearray(1)
"""Not 0: the worker's arena has been lent to tasks as arrays, so a result may lie there already. Its address stays."""


def pause(hears: Callable[[float], bool]) -> None:
    """Before waiting for the parent: say what is not looked at any more, and give memory back in time.

    `hears(seconds)` waits so long, and is true when there is something. Returns then, or when nothing is to be minded.
    """
    if here.own is not None:
        here.own.rest(hears)


__all__ = ["here", "lends", "pause"]
