"""What a worker prints: two pipes to the parent, written a line at a time.

Laws
1. Descriptors 1 and 2 of a worker are pipes that the workers of a pool share. So what C code or a subprocess writes
   there arrives like what Python prints.
2. A finished line goes out at once, in one write if it fits PIPE_BUF; the kernel does not tear such a write. A larger
   text is cut behind line ends, so that no line up to PIPE_BUF is torn between workers. A longer line goes in one
   write and may be torn where the pipe was full.
3. A partial line stays here until its end comes, until `flush` (the worker goes idle), a fork or the exit; under
   `python -u` as well, where print() would otherwise write each of its arguments alone, and tear.
4. The text is UTF-8, whatever the parent's encoding is: the parent encodes it again for its own stream. What UTF-8
   cannot hold (lone surrogates: file names that are not text) travels as the bytes it stands for on stdout, and as
   a backslash escape on stderr.

Importable everywhere; the atomicity of law 2 is POSIX.
"""

from __future__ import annotations

import io
import os
import select
import sys

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable

PIPE_BUF: int = getattr(select, "PIPE_BUF", 512)
_LOOK_AHEAD = 1 << 16

_streams: tuple[io.TextIOWrapper, ...] = ()
spoken: Callable[[], object] | None = None
"""Called after each write. On the fast lane outcomes may overtake what was printed, if nobody looks to it."""


class _Lines(io.FileIO):
    """Writes less than it was given where that keeps lines whole; the buffer above calls again for the rest."""

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]  # typeshed names the buffer protocol only from 3.12 on
        if len(view) > PIPE_BUF:
            ahead = bytes(view[:_LOOK_AHEAD])
            end = ahead.rfind(b"\n", 0, PIPE_BUF) + 1 or ahead.find(b"\n", PIPE_BUF) + 1 or len(ahead)
            view = view[:end]
        written = super().write(view)
        if spoken is not None:
            spoken()
        return written


def install() -> None:
    """Put streams with these laws in the place of sys.stdout and sys.stderr; the descriptors stay where they point."""
    global _streams
    _streams = (_stream(1, "<stdout>", "surrogateescape"), _stream(2, "<stderr>", "backslashreplace"))
    sys.stdout = sys.__stdout__ = _streams[0]  # type: ignore[misc]  # Final in typeshed; this is the start of a process
    sys.stderr = sys.__stderr__ = _streams[1]  # type: ignore[misc]


def stream_on(fd: int) -> io.TextIOWrapper:
    """Such a stream on this descriptor, whatever sys.stdout and sys.stderr are."""
    global _streams
    made = _stream(fd, "<stdout>", "surrogateescape") if fd == 1 else _stream(fd, "<stderr>", "backslashreplace")
    _streams += (made,)
    return made


def is_ours(stream: object) -> bool:
    """It is one of these."""
    return any(stream is each for each in _streams)


def redirect(out: int, err: int) -> None:
    """From here on descriptors 1 and 2 are `out` and `err`, which are closed under their own numbers."""
    flush()
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)


def flush() -> None:
    """Let partial lines go; under a microsecond when there is none, and nothing at all where `install` never ran."""
    for stream in _streams:
        try:
            stream.flush()
        except (OSError, ValueError):
            pass


def _stream(fd: int, name: str, errors: str) -> io.TextIOWrapper:
    raw = _Lines(fd, "w", closefd=False)
    raw.name = name
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8",
        errors=errors,
        newline="\n",
        line_buffering=True,
    )
