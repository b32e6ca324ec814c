"""What workers send beside their outcomes, log records and warnings: notes, over one pipe for all workers of a pool.

Laws
1. A note is cut into pieces of at most PIPE_BUF bytes, each written by one call, which the kernel does not tear. So
   workers, their threads, their signal handlers and the processes that they fork write without any lock; pieces of
   different notes may lie between each other.
2. A piece bears the process and a number that this has given to no other note, and whether it is the last. A note is
   whole when its last piece is there: pieces of one note are written one after another, so none is missing then.
3. A writer that died, or gave up, leaves a note open. Of more than `MOST_OPEN` the oldest is let go.

The atomicity of law 1 is POSIX.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from struct import Struct

HEAD = Struct("<HIIB")  # bytes of the piece behind the head, process, number of the note, is it the last
PIECE = getattr(select, "PIPE_BUF", 512) - HEAD.size
MOST_OPEN = 256
LARGEST = 1 << 20
"""Bytes of a note that is ever sent."""
LOG, WARNING = 0, 1
"""What a note is; `worker/logs.py` makes them, `backends/notes.py` takes them."""


def cut(pid: int, number: int, note: bytes) -> Iterator[bytes]:
    """The pieces of a note, each to be written by one call."""
    if len(note) <= PIECE:
        yield HEAD.pack(len(note), pid, number, 1) + note
        return
    for at in range(0, len(note), PIECE):
        piece = note[at : at + PIECE]
        yield HEAD.pack(len(piece), pid, number, at + PIECE >= len(note)) + piece


class Gatherer:
    """Puts notes together again, from what is read of the pipe."""

    def __init__(self) -> None:
        self._rest = b""
        self._open: dict[tuple[int, int], list[bytes]] = {}

    def take(self, data: bytes) -> list[bytes]:
        """What `data`, which goes on where the last ended, completes."""
        if self._rest:
            data = self._rest + data
        whole: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= HEAD.size:
            size, pid, number, last = HEAD.unpack_from(data, at)
            start = at + HEAD.size
            if start + size > end:
                break
            at = start + size
            pieces = self._open.pop((pid, number), [])
            pieces.append(data[start:at])
            if last:
                whole.append(b"".join(pieces))
                continue
            self._open[pid, number] = pieces
            if len(self._open) > MOST_OPEN:
                del self._open[next(iter(self._open))]
        self._rest = data[at:]
        return whole


__all__ = ["HEAD", "LARGEST", "LOG", "MOST_OPEN", "PIECE", "WARNING", "Gatherer", "cut"]
