"""What a task writes to one stream, kept within bounds: in memory (`Kept`), or in a file that two processes see.

Laws
1. The first `HEAD` and the last `TAIL` bytes are kept, and all that was written is counted. What was written in less
   than that is whole.
2. A file has what one task writes, which appends to it; so who opens it anew, as a shell does for `>> /dev/stderr`,
   finds its place. (With `>` it is emptied, as any file would be.) It is empty when one begins.
3. A file serves for another task only if nobody has it open for writing (`is_free`): else a program that the first one
   has left behind would write among the output of the next. What it writes is for nobody, and is thrown away now and
   then; when the worker is gone it hears that it cannot (`seal`).
4. The middle of what grows is given back to the system (`bound`), by whoever comes by.
5. The file's mode is what the two processes tell each other: SEEN, the parent has it; RUNS, a task writes there. Not
   by the bits that make it a program, which a kernel may be told to keep as they are (vm.memfd_noexec).
"""

from __future__ import annotations

import fcntl
import mmap
import os

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # what signal itself adds to it, enums of its numbers, costs two milliseconds

Part = tuple[str, int]
"""The text that is there, and how many bytes are not."""

HEAD = TAIL = 1 << 19
SLACK = 1 << 20
"""What has so much more than is kept is made smaller."""
PAGE = mmap.ALLOCATIONGRANULARITY
OWN, SEEN, RUNS = 0o600, 0o004, 0o040


class Kept:
    """The beginning and the end of what is added, as bytes."""

    __slots__ = ("_head", "_tail", "total")

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """More."""
        self.total += len(data)
        room = HEAD - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            tail = self._tail
            tail += data[-TAIL:]
            if len(tail) > 2 * TAIL:
                del tail[:-TAIL]

    def part(self) -> Part:
        """All of it that is there."""
        return part(bytes(self._head), bytes(self._tail[-TAIL:]), self.total)


def part(head: bytes, tail: bytes, total: int) -> Part:
    """The text of what began and ended so, and had so many bytes: no character is torn where something is missing."""
    if total <= len(head) + len(tail):
        return (head + tail).decode("utf-8", "backslashreplace"), 0
    head, tail = head[: _whole(head)], tail[_start(tail) :]
    omitted = total - len(head) - len(tail)
    middle = f"\n[... {omitted:,} bytes are left out ...]\n"
    return head.decode("utf-8", "backslashreplace") + middle + tail.decode("utf-8", "backslashreplace"), omitted


def _whole(head: bytes) -> int:
    """Where the last character begins that is not whole, or the end."""
    for back in range(1, min(4, len(head)) + 1):
        byte = head[-back]
        if byte & 0xC0 == 0x80:
            continue
        needs = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4 if byte >> 3 == 0b11110 else 1
        return len(head) - back if needs > back else len(head)
    return len(head)


def _start(tail: bytes) -> int:
    """Where the first character begins that is whole: no more than three bytes are the rest of another."""
    for at, byte in enumerate(tail[:4]):
        if byte & 0xC0 != 0x80:
            return at
    return 0 if len(tail) > 3 else len(tail)


# --------------------------------------------------------------------------------------------------------- in a file


def create(name: str) -> int:
    """A file without a name, empty."""
    fd = _above(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
    os.fchmod(fd, OWN)
    return fd


def open_anew(fd: int, flags: int) -> int:
    """A descriptor of its own for the file of `fd`. Raises OSError."""
    return _above(os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC))


def _above(fd: int) -> int:
    """Not one of the standard streams, where these are closed."""
    if fd > 2:
        return fd
    made = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return made


def tell(fd: int, mark: int, on: bool) -> None:
    """This mark is set from now on, or is not."""
    mode = os.fstat(fd).st_mode & 0o777
    os.fchmod(fd, mode | mark if on else mode & ~mark)


def told(fd: int, mark: int) -> bool:
    """Whether it is set."""
    return bool(os.fstat(fd).st_mode & mark)


def is_free(fd: int) -> bool:
    """Nobody has the file open for writing, or a lease would not be granted; `fd` is open for reading alone."""
    try:
        try:
            lease(fd)
        finally:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def lease(fd: int) -> None:
    """For the moment in which it is held. Raises OSError.

    In that moment another process may open the file for writing: the parent, in `bound`. Then the kernel sends a
    signal: SIGIO, which kills, unless one chooses another, each time. SIGURG is ignored by who knows nothing of it.
    """
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)


def seal(fd: int) -> None:
    """Who still writes there hears that it cannot."""
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
    except OSError:
        pass  # it will be a file that grows, then


def read(fd: int) -> Part:
    """What is there."""
    total = os.fstat(fd).st_size
    head = os.pread(fd, min(total, HEAD), 0)
    tail = os.pread(fd, min(total - HEAD, TAIL), max(HEAD, total - TAIL)) if total > HEAD else b""
    return part(head, tail, total)


def bound(fd: int) -> None:
    """Give back the middle, if it is much. `fd` may be open for reading alone."""
    end = (os.fstat(fd).st_size - TAIL) // PAGE * PAGE
    if end - HEAD <= SLACK:
        return
    try:
        mine = open_anew(fd, os.O_RDWR | os.O_NONBLOCK)  # it waits for no lease
        try:
            with mmap.mmap(mine, end - HEAD, offset=HEAD) as view:
                view.madvise(mmap.MADV_REMOVE)
        finally:
            os.close(mine)
    except (OSError, ValueError):
        pass  # a limit of address space; or it was emptied just now


__all__ = [
    "HEAD",
    "RUNS",
    "SEEN",
    "TAIL",
    "Kept",
    "Part",
    "bound",
    "create",
    "is_free",
    "lease",
    "open_anew",
    "part",
    "read",
]
