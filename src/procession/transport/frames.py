"""What travels through a worker's pipes: frames of a five-byte header (length, kind) and a payload.

The parent's writes never block (`FrameWriter` keeps what the pipe did not take), its reads take all there is
(`FrameReader` keeps a frame that has not come whole). The worker's reads and writes block. Whole frames or nothing: a
worker killed in the middle of one leaves a tail that is never parsed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from struct import Struct

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

HEADER = Struct("<IB")
HEADER_SIZE = HEADER.size

# parent to worker
DEFINE = 1  # ENTRY_ID, then what FunctionTable.define takes
LEASE = 2  # LEASE_HEAD, then a pickled list of groups (function's id, bodies, mode)
FORGET = 3  # ENTRY_IDs
STOP = 4  # finish: teardown, exit

# worker to parent
READY = 16  # PID: initializer and setup are through
START_FAILED = 17  # an encoded exception: initializer or setup raised
OUTCOMES = 18  # OUTCOMES_HEAD, then a pickled list of outcomes, all plain values
PACKED_OUTCOMES = 19  # the same, but a tuple (kind, bytes) stands for what is not a plain value
LEASE_END = 20  # LEASE_TALLY
TEARDOWN_FAILED = 21  # an encoded exception
BELL = 22  # (the fast lane) there are outcomes in the ring
PIPED = 23  # (the fast lane, both ways) what was too large for the ring
YIELD = 24  # YIELD_HEAD, then a value that a generator has yielded, as the page would have it
WRITTEN = 25  # WRITTEN_AT: where what captured tasks write is found, see worker/capture.py

# what a group's bodies are, and whose outcomes they give
CALLS = 0  # each a task: a tuple of plain arguments, or bytes for FunctionTable.decode (id 0: decode_call)
ITEMS = 1  # items of one chunk, the same
WHOLE_ITEMS = 2  # items of one chunk, each the one argument itself

ENTRY_ID = Struct("<I")
LEASE_HEAD = Struct("<B")  # the lease's number modulo 256, which its tokens bear
PID = Struct("<i")  # of the worker
LEASE_TALLY = Struct("<IQ")  # items run, nanoseconds they took
YIELD_HEAD = Struct("<QQB")  # the stream's number, the value's place in it, what the value is (page.VALUE, ...)
WRITTEN_AT = Struct("<Qii")  # the worker's process, and its descriptors of the files
OUTCOMES_HEAD = Struct("<QB")  # the page's generation, the group's mode

READ_SIZE = 1 << 18
LARGE = 1 << 18


def frame(kind: int, payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    return HEADER.pack(len(payload), kind) + payload


def pid_of(payload: bytes) -> int:
    """Of READY; 0 if it says none."""
    return int(PID.unpack(payload)[0]) if payload else 0


def write_all(fd: int, data: bytes) -> None:
    """Blocking write of all of `data`; a signal may cut a write, never a frame."""
    written = os.write(fd, data)
    if written < len(data):
        view = memoryview(data)
        while written < len(data):
            written += os.write(fd, view[written:])


class FrameWriter:
    """The parent's writing end: never blocks, keeps order, keeps what does not fit."""

    __slots__ = ("_fd", "_waiting", "queued")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: deque[memoryview] = deque()
        self.queued = 0  # bytes that wait for room

    def write(self, data: bytes) -> bool:
        """Send or keep `data`; True when nothing waits. A reader that is gone swallows everything."""
        if self._waiting:
            self._keep(memoryview(data))
            return False
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except BrokenPipeError:
            return True
        if written < len(data):
            self._keep(memoryview(data)[written:])
            return False
        return True

    def _keep(self, view: memoryview) -> None:
        self._waiting.append(view)
        self.queued += len(view)

    def flush(self) -> bool:
        """The pipe has room: send more of what waits; True when nothing is left."""
        while self._waiting:
            view = self._waiting[0]
            try:
                written = os.write(self._fd, view)
            except BlockingIOError:
                return False
            except BrokenPipeError:
                self._waiting.clear()
                self.queued = 0
                return True
            self.queued -= written
            if written == len(view):
                self._waiting.popleft()
            else:
                self._waiting[0] = view[written:]
        return True


class FrameReader:
    """The reading end: gives whole frames, in order, and keeps an unfinished one."""

    __slots__ = ("_fd", "_large", "_large_at", "_rest", "ended", "received")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""
        self._large: bytearray | None = None  # a big unfinished frame, read in place
        self._large_at = 0
        self.received = 0  # bytes
        self.ended = False  # every writer has closed its end

    def read(self) -> Iterator[tuple[int, bytes | bytearray | memoryview]]:
        """The frames that one read completes. On a blocking descriptor, waits for at least some bytes."""
        if self._large is not None:
            yield from self._read_large(self._large)
            return
        data = os.read(self._fd, READ_SIZE)
        if not data:
            self.ended = True
            return
        self.received += len(data)
        if self._rest:
            data = self._rest + data
        position, size = 0, len(data)
        while size - position >= HEADER_SIZE:
            length, kind = HEADER.unpack_from(data, position)
            start = position + HEADER_SIZE
            if start + length > size:
                if length > LARGE:
                    self._large = bytearray(length + HEADER_SIZE)
                    self._large[: size - position] = data[position:]
                    self._large_at = size - position
                    position = size
                break
            position = start + length
            yield kind, data[start:position]
        self._rest = data[position:] if position < size else b""

    def _read_large(self, large: bytearray) -> Iterator[tuple[int, memoryview]]:
        got = os.readv(self._fd, [memoryview(large)[self._large_at :]])
        if not got:
            self.ended = True
            return
        self._large_at += got
        self.received += got
        if self._large_at == len(large):
            self._large = None
            yield HEADER.unpack_from(large)[1], memoryview(large)[HEADER_SIZE:]

    def drain(self, take: Callable[[int, bytes | bytearray | memoryview], None]) -> None:
        """Read to the end of what is there (non-blocking descriptors only)."""
        while not self.ended:
            try:
                for kind, payload in self.read():
                    take(kind, payload)
            except BlockingIOError:
                return

    def sift(self, wanted: int, take: Callable[[int, Any], None]) -> list[tuple[int, Any]]:
        """`drain`, of the frames of this kind alone; returns the others."""
        others: list[tuple[int, Any]] = []

        def look(kind: int, payload: Any) -> None:
            if kind == wanted:
                take(kind, payload)
            else:
                others.append((kind, payload))

        self.drain(look)
        return others
