"""Results that wait for their turn in a temporary file: what `imap(spill=True)` does at its bound of bytes.

Laws
1. A file has no name from the moment it is made, no forked child keeps it, and it is closed when the last result in it
   is let go. So nothing stays behind, whatever happens.
2. A result is written whole before anybody hears of it; read back, it is what pickle makes of it. What cannot be
   pickled, and what is no result but a failure, stays where it is.
3. A file takes `SEGMENT` bytes, then the next begins: one that was read to its end gives its room back.
4. When the disk is full, or no file can be made, that is logged once, and nothing more is written.
"""

from __future__ import annotations

import logging
import os
import pickle
from typing import TYPE_CHECKING, Any

from procession.backends import forksafe
from procession.backends.saying import say
from procession.errands import Errands
from procession.transport.pickler import dumps
from procession.types import Raised

if TYPE_CHECKING:
    from procession.handover import Handover

SEGMENT = 64 << 20
"""Bytes after which the next file begins."""


class _Segment:
    """One file."""

    def __init__(self) -> None:
        self.fd = forksafe.adopt(_unnamed)
        self.used = 0

    def __del__(self) -> None:
        if (fd := getattr(self, "fd", None)) is not None:
            forksafe.close(fd)


def _unnamed() -> int:
    import tempfile

    fd, path = tempfile.mkstemp(prefix="procession-")
    os.unlink(path)
    return fd


class Spilled:
    """In the place of a result: where it lies."""

    __slots__ = ("_at", "_segment", "_size")

    def __init__(self, segment: _Segment, at: int, size: int) -> None:
        self._segment = segment
        self._at = at
        self._size = size

    def load(self) -> Any:
        """The result; a `Raised` when it cannot be read."""
        try:
            data, at = bytearray(), self._at
            while len(data) < self._size:
                part = os.pread(self._segment.fd, self._size - len(data), at + len(data))
                if not part:
                    raise OSError("a result that was spilled to a temporary file is not whole any more")
                data += part
            return pickle.loads(data)
        except Exception as error:
            return Raised(error)


class Spill:
    """What one flow has in files, and the thread that writes there."""

    def __init__(self, handover: Handover, name: str) -> None:
        assert handover.ledger is not None
        self._handover = handover
        self._ledger = handover.ledger
        self._errands = Errands(f"spill-{name}")
        self._segment: _Segment | None = None
        self._busy = False
        self._fails = False
        self.high = self._ledger.limit // 2

    def look(self) -> None:
        """Results have come, and may be too heavy by now: have some written."""
        if self._ledger.total > self.high and not self._busy and not self._fails:
            self._busy = True
            self._errands.post(self._relieve)

    def close(self) -> None:
        """No more is to be written."""
        self._fails = True
        if not self._busy:
            self._segment = None
        self._errands.close()

    def _relieve(self) -> None:
        """Write until half of the bound is free, or nothing is left that could be written; an errand."""
        try:
            while self._ledger.total > self.high and not self._fails and self._write_one():
                self._handover.pump()
        finally:
            self._busy = False
            if self._fails:
                self._segment = None

    def _write_one(self) -> bool:
        handover, ledger = self._handover, self._ledger
        with handover.lock:
            index = ledger.latest()
            if index is None:
                return False
            start, run, at = ledger.loose[index]
            value = run[at]
        data = None if isinstance(value, Raised) else _pickled(value)
        del value
        kept = None if data is None else self._write(data)
        with handover.lock:
            if kept is not None and handover.flow.exchange(start, run, at, kept):
                ledger.moved(index)
            ledger.fixed(index)
        return True

    def _write(self, data: bytes) -> Spilled | None:
        try:
            segment = self._segment
            if segment is None or segment.used + len(data) > SEGMENT:
                segment = self._segment = _Segment()
            at, view = segment.used, memoryview(data)
            while view:
                view = view[os.pwrite(segment.fd, view, at + len(data) - len(view)) :]
            segment.used += len(data)
        except OSError as error:
            self._fails = True
            text = "results cannot be spilled to a temporary file any more, new work waits for room: %s"
            say(logging.WARNING, text, str(error))
            return None
        return Spilled(segment, at, len(data))


def _pickled(value: Any) -> bytes | None:
    """None when there is no way."""
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:
        pass
    try:
        return dumps(value)  # a class that has no module to be found in
    except Exception:
        return None
