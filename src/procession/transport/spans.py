"""Which bytes of an arena are taken: bookkeeping alone, no memory, no clock.

Laws
1. **One list is the whole state**: what is taken, sorted by place. A gap is what lies between two neighbours, so that
   two free pieces beside each other are one without anybody joining them.
2. Taking is one insertion, giving back one deletion, each a single call of C code. A signal handler that raises comes
   before it or after it: nothing is ever half taken.
3. The lowest gap that is large enough is taken. So the same few places are used again and again, and they are warm:
   their pages are there, and mapped.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Span(Protocol):
        """A piece that is taken."""

        offset: int
        size: int


GRAIN = 1 << 16
"""Bytes: every piece begins at a multiple of it, and takes whole ones."""

_offset = attrgetter("offset")


def whole(size: int) -> int:
    """`size` in whole grains, one at least."""
    return max(-(-size // GRAIN), 1) * GRAIN


class Spans:
    """The taken pieces of `limit` bytes. Not to be used by two threads at a time."""

    __slots__ = ("_dense", "limit", "taken")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken: list[Span] = []
        self._dense = 0  # so many at the beginning have no gap before or between them: a search may begin there

    def find(self, size: int) -> int | None:
        """Where `size` bytes, a multiple of GRAIN, are free; None when nowhere."""
        taken, dense = self.taken, self._dense
        end = taken[dense - 1].offset + taken[dense - 1].size if dense else 0
        for index in range(dense, len(taken)):
            span = taken[index]
            offset = span.offset
            if offset - end >= size:
                return end
            if offset == end and dense == index:
                dense = self._dense = index + 1
            end = offset + span.size
        return end if self.limit - end >= size else None

    def add(self, span: Span) -> None:
        """It is taken now: where `find` has said, and before anybody else has asked."""
        self.taken.insert(bisect_right(self.taken, span.offset, key=_offset), span)

    def remove(self, span: Span) -> None:
        """It is free; one that is not taken any more is no error."""
        index = bisect_left(self.taken, span.offset, key=_offset)
        if index < len(self.taken) and self.taken[index] is span:
            self._dense = min(self._dense, index)
            del self.taken[index]

    def at(self, offset: int) -> Span | None:
        """What holds the byte at `offset`."""
        index = bisect_right(self.taken, offset, key=_offset) - 1
        if index < 0:
            return None
        span = self.taken[index]
        return span if offset < span.offset + span.size else None

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Begin and end of each free piece."""
        end = 0
        for span in self.taken:
            if span.offset > end:
                yield end, span.offset
            end = span.offset + span.size
        if end < self.limit:
            yield end, self.limit


__all__ = ["GRAIN", "Spans", "whole"]
