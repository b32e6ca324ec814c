"""A worker's arenas: its own, for results, and its parent's, in which arguments lie (`transport/arena.py`)."""

from __future__ import annotations

import gc
import os
import select
from collections import deque

from procession.transport import handles
from procession.transport.arena import IDLE, Arena, Inlet, Segment, live, settle, slot_of
from procession.transport.aside import inlets

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from typing import Any

    from procession.transport.arena import Block
    from procession.worker.boot import WorkerFiles


class OwnArena(Arena):
    """What this worker allocates. Its blocks are free when the parent has released all that was published of them."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._published: dict[int, int] = {}

    def settled(self, slot: int) -> bool:
        """See `Arena`."""
        published = self._published.get(slot, 0)
        return not published or published == self.table(1)[slot]

    def ship(self, data: bytes, spec: Any, blocks: list[Block], keep: list[Any]) -> bytes:
        """See `Arena`."""
        published = self._published
        for place in spec[3]:
            slot = slot_of(place[0])
            published[slot] = published.get(slot, 0) + 1
        return data


class Here:
    """What this process has; a `Supply`."""

    def __init__(self) -> None:
        self.own: OwnArena | None = None

    def arena(self) -> OwnArena | None:
        """See `Supply`."""
        return self.own

    def mine(self) -> OwnArena | None:
        """The same, but for a process that a task has forked, which may not touch it."""
        return self.own if self.own is not None and self.own.pid == os.getpid() else None


here = Here()
_notes: deque[Any] = deque()


def begin(files: WorkerFiles) -> None:
    """This process is a worker that was given these."""
    inlets.clear()
    handles.known.clear()
    here.own = None
    if files.arena >= 0:
        here.own = OwnArena(files.own)
        sent = Segment(files.arena)
        inlets[sent.key] = Inlet(sent, here.own, table=2, comes=1, goes=-1, notes=_notes)


def pause(fd: int) -> None:
    """Before waiting for `fd` to be readable: say what is not looked at any more, and give memory back in time.

    Returns when there is something to read, or nothing to be minded.
    """
    own = here.own
    if own is not None and (_notes or live or own.restless or handles.known):
        _mind(own, fd)


def _mind(own: OwnArena, fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    looked = False
    while True:
        handles.purge()
        settle(_notes)
        own.mind()
        if not (own.restless or handles.known or (live and not looked)) or poll.poll(IDLE * 1000):
            return
        if live and not looked:
            looked = True
            gc.collect()  # an argument may hang on the traceback of what its task has raised


__all__ = ["begin", "here", "pause"]
