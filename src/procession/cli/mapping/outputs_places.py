"""Where bytes go: stdout, or a file that gets its name when it is complete.

`--output FILE` is written as FILE.partial, beside it, and renamed at the end: who sees FILE sees all of it.
FILE.partial is what is left after a kill or an interruption; the next run begins it anew, and a journal gives it the
results again.
What is no regular file (/dev/null, a pipe) is written to as it is.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from collections.abc import Callable
from typing import Any, Protocol

from procession.cli.mapping.outputs_base import OutputError

PARTIAL = ".partial"
PACKED = (".gz", ".bz2", ".xz")


class Place(Protocol):
    """Takes bytes."""

    name: str

    def write(self, data: bytes) -> None: ...

    def flush(self) -> None: ...

    def close(self, complete: bool) -> None: ...


class Stdout:
    """The descriptor 1 itself: nothing is left in Python's own buffer that could fail at its end."""

    name = "stdout"

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._gone = False

    def write(self, data: bytes) -> None:
        """Write all of it. Raises BrokenPipeError, the first time; OutputError for a full disk and the like."""
        rest = memoryview(data)
        while rest and not self._gone:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                select.select((), [self._fd], ())
            except BrokenPipeError:
                self._gone = True
                raise
            except OSError as error:
                self._gone = True
                raise OutputError(f"stdout: {error.strerror or error}") from None

    def flush(self) -> None: ...

    def close(self, complete: bool) -> None: ...


class Terminal:
    """stdout, where it is a terminal: by `sys.stdout`, so that a bar of progress stands below what is written."""

    name = "stdout"

    def write(self, data: bytes) -> None:
        """Write all of it."""
        sys.stdout.write(data.decode(errors="replace"))

    def flush(self) -> None:
        sys.stdout.flush()

    def close(self, complete: bool) -> None:
        self.flush()


class OutputFile:
    """FILE, packed if its name ends in .gz, .bz2 or .xz."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._target = os.path.realpath(name)
        whole = not os.path.lexists(self._target) or os.path.isfile(self._target)
        self._partial = self._target + PARTIAL if whole else None
        if os.path.isdir(self._target):
            raise OutputError(f"{name}: is a folder; --out-dir writes a file for each item")
        self._failed = self._began = False
        self._file = self._guarded(self._open)
        self._packed: Any = None if not whole else packed(self._file, name)

    def write(self, data: bytes) -> None:
        """Raises OutputError for a full disk and the like, BrokenPipeError where FILE is a pipe."""
        self._began = True
        self._guarded((self._packed or self._file).write, data)

    def flush(self) -> None:
        if self._packed is None:
            self._guarded(self._file.flush)

    def close(self, complete: bool) -> None:
        """End: the name, if `complete` and nothing failed; else FILE.partial is left, unless there is nothing in it."""
        if self._file.closed:
            return
        try:
            self._guarded(self._end)
            self._named(complete and not self._failed)
        finally:
            try:
                self._file.close()
            except OSError:
                pass  # what it could not write has been told

    def _end(self) -> None:
        if self._packed is not None:
            self._packed.close()
        self._file.flush()
        if self._partial is not None:
            os.fsync(self._file.fileno())

    def _named(self, complete: bool) -> None:
        """While it is locked: nobody else begins to write it before it has its name."""
        if self._partial is not None:
            if complete:
                self._guarded(os.replace, self._partial, self._target)
            elif not self._began:
                self._guarded(os.unlink, self._partial)

    def _open(self) -> Any:
        if self._partial is None:
            return io.BufferedWriter(io.FileIO(self._target, "wb"))
        while True:
            file = io.BufferedWriter(io.FileIO(self._partial, "ab"))
            if self._locked(file):
                break
            file.close()  # another program has just given it its name
        file.truncate(0)
        if os.path.exists(self._target):
            os.fchmod(file.fileno(), stat.S_IMODE(os.stat(self._target).st_mode))
        return file

    def _locked(self, file: Any) -> bool:
        """Whether `file` is ours, and is what is at its path. Raises OutputError if it is another program's."""
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise OutputError(f"{self.name}: another program is writing it, into {self._partial}") from None
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self._partial or ""))
        except FileNotFoundError:
            return False

    def _guarded(self, act: Callable[..., Any], *words: Any) -> Any:
        try:
            return act(*words)
        except OSError as error:
            self._failed = True
            if isinstance(error, BrokenPipeError):
                raise
            if error.errno == errno.ENOENT:
                raise OutputError(f"{self.name}: there is no such folder") from None
            raise OutputError(f"{self.name}: {error.strerror or error}") from None


def packed(file: Any, name: str) -> Any:
    """What packs what is written to `file`; None where its name asks for none."""
    suffix = os.path.splitext(name.lower())[1]
    if suffix == ".gz":
        import gzip

        return gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
    if suffix == ".bz2":
        import bz2

        return bz2.BZ2File(file, "wb")
    if suffix == ".xz":
        import lzma

        return lzma.LZMAFile(file, "wb")
    return None
