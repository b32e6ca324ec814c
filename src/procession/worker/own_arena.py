"""A worker's own arena, and the inlet by which it looks into its parent's; loaded with the first large thing."""

from __future__ import annotations

import gc
from collections import deque

from procession.transport import aside
from procession.transport.arena import IDLE, Arena, Inlet, Segment, live, settle, slot_of

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from procession.transport.arena import Block


class OwnArena(Arena):
    """What this worker allocates. Its blocks are free when the parent has released all that was published of them."""

    def __init__(self, fd: int, sent: int, lends: bytearray) -> None:
        """`fd`: the memfd of this arena; `sent`: that of the parent's; `lends` is told when it is lent to tasks."""
        super().__init__(fd)
        self._lends = lends
        self._published: dict[int, int] = {}
        self._notes: deque[Any] = deque()
        parents = Segment(sent)
        aside.inlets[parents.key] = Inlet(parents, self, table=2, comes=1, goes=-1, notes=self._notes)

    def settled(self, slot: int) -> bool:
        """See `Arena`."""
        published = self._published.get(slot, 0)
        return not published or published == self.table(1)[slot]

    def ship(self, data: bytes, spec: Any, blocks: list[Block], keep: list[Any]) -> bytes:
        """See `Arena`."""
        for place in spec[3]:
            self._publish(place[0])
        return data

    def _publish(self, offset: int) -> None:
        """The block there is looked at by one more view."""
        slot = slot_of(offset)
        self._published[slot] = self._published.get(slot, 0) + 1

    def lend(self, size: int) -> memoryview | None:
        """See `Arena`."""
        self._lends[0] = 1
        return Arena.lend(self, size)

    def place(self, raw: memoryview) -> int | None:
        """See `arena.Here`."""
        block = self.allocate(raw.nbytes)
        if block is None:
            return None
        offset = block.offset
        self.memory.bytes[offset : offset + raw.nbytes] = raw
        self._publish(offset)
        return offset

    def tend(self) -> bool:
        """Say what is not looked at any more, and give memory back in time; whether it is to be called again, in IDLE
        seconds, though nothing happens until then."""
        if aside.known:
            from procession.transport import handles

            handles.purge()
        if aside.lenders:
            from procession.transport import passed

            passed.purge()
        settle(self._notes)
        self.mind()
        return self.restless or bool(aside.known or aside.lenders)

    def rest(self, hears: Callable[[float], bool]) -> None:
        """See `arena.pause`."""
        if not (self._notes or live or self.restless or aside.known or aside.lenders):
            return
        looked = False
        while self.tend() or (live and not looked):
            if hears(IDLE):
                return
            if live and not looked:
                looked = True
                gc.collect(1)  # an argument may hang on the traceback of what its task has raised


__all__ = ["OwnArena"]
