"""What a task writes, for the task's own result, in a worker process: by Python, by C code, by programs that it starts.

Laws
1. While a captured task runs, descriptors 1 and 2 are files of the worker (transport/written.py). What was written
   before, and is still in a buffer, goes first to where it belongs; what is in a buffer when the task ends is its own.
2. Before a captured task runs, the parent has opened these files. So what it has written is there when the worker is
   dead (`Channel.written`). Where the parent says nothing for `PATIENCE`, since it cannot, the worker goes on without.
3. A flood is bounded: by the worker itself where Python writes, else by the parent, which looks now and then.
4. What an error was to bear is told by the parent (`remote.decode`), so it is not in the traceback as well.
5. A process that the task forks writes to the same place, and ends nothing when it comes back (boot.py, law 4).
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from time import monotonic, sleep

from procession.captured import Captured, captured, keep
from procession.transport import frames, written
from procession.worker import boot, loop, stdio

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST_LEFT = 16
"""Files to which programs go on to write that were left behind; of more, the oldest is closed to them."""
PATIENCE = 1.0
LOOK = 0.0005
"""Seconds between two looks whether the parent has answered. That is waited for once in a worker's life, and again when
a task has left a program behind that writes on."""


class CaptureInWorker:
    """A function that gives a `Captured`. `func`: see `backends.functions.kind_of`."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def __reduce__(self) -> tuple[Any, ...]:
        return CaptureInWorker, (self.func,)

    def __call__(self, *args: Any, **kwargs: Any) -> Captured[Any]:
        """The function's. What it raises bears what it had written."""
        try:
            files = _here()
            files.begin()
        except OSError as error:
            error.add_note("the task was not run, since what it writes could not be captured")
            raise
        try:
            value = self.func(*args, **kwargs)
        except BaseException as error:
            if not boot.forked:
                keep(error, files.end(None))
            raise
        if boot.forked:
            raise SystemExit(0)
        return files.end(value)


class _Stream:
    """One of the two: its file, and the descriptor that it takes the place of."""

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.file = -1
        self._read = -1  # the same, for reading alone
        self._left: list[tuple[int, int]] = []  # files that others still write to
        self._own = self._saved = -1
        self._text: Any = None  # in the place of a sys.stdout that is not ours: it may hold lines back, or go elsewhere
        self._before: Any = None
        self.renew()

    def renew(self) -> None:
        """Have a file that nobody else writes to."""
        if self.file >= 0:
            self._left.append((self.file, self._read))
        self.file = self._read = -1
        self.file = written.create(f"procession-{self.name}")
        try:
            self._read = written.open_anew(self.file, os.O_RDONLY)
        except OSError:
            pass  # no /proc: each task has a file of its own, since nobody can say who else writes to the last one

    def close(self) -> None:
        """Give back what `renew` has made."""
        for fd in (self.file, self._read):
            if fd >= 0:
                os.close(fd)

    def sweep(self) -> None:
        """What programs have written that former tasks have left behind is nobody's."""
        for file, read in list(self._left):
            os.ftruncate(file, 0)
            if read < 0 or len(self._left) > MOST_LEFT or written.is_free(read):
                written.seal(file)
                self._left.remove((file, read))
                os.close(file)
                if read >= 0:
                    os.close(read)

    @property
    def free(self) -> bool:
        """Nobody writes there any more."""
        return self._read >= 0 and written.is_free(self._read)

    def begin(self) -> None:
        """From here on what is written there is the task's."""
        if self._left:
            self.sweep()
        os.ftruncate(self.file, 0)  # what was left behind may have written until a moment ago
        if self._read >= 0:
            own = written.open_anew(self.file, os.O_WRONLY | os.O_APPEND)
        else:
            fcntl.fcntl(self.file, fcntl.F_SETFL, os.O_APPEND)
            own = os.dup(self.file)
        try:
            try:
                self._saved = fcntl.fcntl(self.number, fcntl.F_DUPFD_CLOEXEC, 3)  # not in the place of the other
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                self._saved = -1  # it is closed, as in a worker of a program without it
            os.dup2(own, self.number)
        except BaseException:
            os.close(own)
            raise
        self._own = own
        self._before = None
        if not stdio.is_ours(getattr(sys, self.name, None)):
            if self._text is None:
                self._text = stdio.stream_on(self.number)
            self._before = getattr(sys, self.name, None)
            setattr(sys, self.name, self._text)

    def end(self) -> written.Part:
        """No longer; what it was."""
        if self._before is not None:
            if getattr(sys, self.name, None) is self._text:
                setattr(sys, self.name, self._before)
            self._before = None
        if self._saved < 0:
            os.close(self.number)
        else:
            os.dup2(self._saved, self.number)
            os.close(self._saved)
        os.close(self._own)
        part = written.read(self.file)
        os.ftruncate(self.file, 0)
        return part


class _Files:
    """Both, in one worker."""

    def __init__(self, worker: loop.Worker) -> None:
        self.worker = worker
        out = _Stream(1, "stdout")
        try:
            self._streams = (out, _Stream(2, "stderr"))
        except BaseException:
            out.close()
            raise
        self._spoken: Any = None
        self._heard = self._announced()

    def begin(self) -> None:
        """A task begins."""
        _flush()
        out, err = self._streams
        taken = [each for each in self._streams if not each.free]
        if taken:
            for each in taken:
                each.renew()
            self._heard = self._heard and self._announced()
        out.begin()
        try:
            err.begin()
        except BaseException:
            out.end()
            raise
        written.tell(out.file, written.RUNS, True)
        self._spoken, stdio.spoken = stdio.spoken, self._bound

    def end(self, value: Any) -> Captured[Any]:
        """It has ended, with this."""
        _flush()
        stdio.spoken = self._spoken
        written.tell(self._streams[0].file, written.RUNS, False)
        out, err = [each.end() for each in self._streams]
        return captured(value, out, err)

    def _bound(self) -> None:
        """Law 3; after each write of Python's."""
        for each in self._streams:
            written.bound(each.file)

    def _announced(self) -> bool:
        """Law 2: whether the parent has said that it has them."""
        files = [each.file for each in self._streams]
        told = frames.frame(frames.WRITTEN, frames.WRITTEN_AT.pack(os.getpid(), *files))
        frames.write_all(self.worker.results, told)
        until = monotonic() + PATIENCE
        while not (seen := written.told(files[0], written.SEEN)) and monotonic() < until:
            sleep(LOOK)
        return seen


_files: _Files | None = None


def _here() -> _Files:
    """Those of this worker; a process that was forked from one has none yet."""
    global _files
    worker = loop.serving
    assert worker is not None
    if _files is None or _files.worker is not worker:
        _files = _Files(worker)
    return _files


# ---------------------------------------------------------------------------------------------------------- in buffers


def _flush() -> None:
    """Let go of what Python and C hold back, to where it is to go now."""
    stdio.flush()
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except Exception:
            pass  # None, or closed, or a task has deleted it
    _flush_c()


def _flush_c() -> None:
    """The buffer of C's stdout; how is found out when it is first needed."""
    global _flush_found
    if _flush_found is None:
        _flush_found = _find_flush()
    _flush_found()


_flush_found: Callable[[], object] | None = None


def _find_flush() -> Callable[[], object]:
    try:
        import ctypes

        library = ctypes.CDLL(None)
        stream = ctypes.c_void_p.in_dll(library, "stdout")
        flush = library.fflush
        flush.argtypes = (ctypes.c_void_p,)
    except (ImportError, OSError, ValueError, AttributeError):
        return int
    return lambda: flush(stream)


__all__ = ["CaptureInWorker"]
