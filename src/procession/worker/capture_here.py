"""What a task writes, for the task's own result, where it shares its process: on threads, and inline.

Laws
1. It is what the thread of the task writes to `sys.stdout` and `sys.stderr`, as these are when it writes. A context
   variable would not do: contexts are copied, to tasks that this one hands over, and to coroutines that outlive it.
2. What other threads write goes where it went. So does what goes past these two: to descriptors, by C code, by programs
   that the task starts, and through streams that somebody has kept from before, as handlers of `logging` do.
3. While such tasks run, and no longer, a stand-in is in the place of each stream. It is the stream in all that it does
   not know better; so a notebook's streams, a test's, and those of `contextlib.redirect_stdout` go on.
4. A process that a task forks writes to where its program writes.
"""

from __future__ import annotations

import io
import os
import sys
from _thread import RLock, _local, get_ident

from procession.captured import Captured, captured, keep, tell
from procession.transport.written import Kept

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


class CaptureHere:
    """A function that gives a `Captured`. `func`: see `backends.functions.kind_of`.

    `notes`: an error is told what it had written; else who rebuilds it does that.
    """

    def __init__(self, func: Callable[..., Any], notes: bool) -> None:
        self.func = func
        self._tell = tell if notes else keep

    def __call__(self, *args: Any, **kwargs: Any) -> Captured[Any]:
        """The function's. What it raises bears what it had written."""
        task = _Task()
        outer: _Task | None = getattr(_own, "task", None)
        try:
            task.begin()
            value = self.func(*args, **kwargs)
        except BaseException as error:
            self._tell(error, task.written(None))
            raise
        finally:
            task.end(outer)
        return task.written(value)


class _Task:
    """What one has written."""

    def __init__(self) -> None:
        self.stdout = Kept()
        self.stderr = Kept()

    def begin(self) -> None:
        """It is this thread's from here on."""
        _stand_in(self)
        _own.task = _tasks[get_ident()] = self

    def end(self, outer: _Task | None) -> None:
        """It is over, and the thread is that one's again; or `begin` was struck by a signal."""
        _own.task = outer
        if outer is None:
            _tasks.pop(get_ident(), None)
        else:
            _tasks[get_ident()] = outer
        _stand_back(self)

    def written(self, value: Any) -> Captured[Any]:
        """With this value."""
        return captured(value, self.stdout.part(), self.stderr.part())


def written_by(thread: int) -> Captured[None] | None:
    """What the captured task that runs on this thread has written so far."""
    task = _tasks.get(thread)
    return None if task is None else task.written(None)


_own = _local()
_tasks: dict[int, _Task] = {}  # by their threads
_lock = RLock()
_running: set[_Task] = set()
_NAMES = ("stdout", "stderr")


def _stand_in(task: _Task) -> None:
    with _lock:
        _running.add(task)
        for name in _NAMES:
            stream: Any = getattr(sys, name, None)
            if stream.__class__ is not _StandIn:
                setattr(sys, name, _StandIn(name, stream))


def _stand_back(task: _Task) -> None:
    """What somebody else has put there meanwhile stays."""
    with _lock:
        _running.discard(task)
        for name in _NAMES if not _running else ():
            stream: Any = getattr(sys, name, None)
            if stream.__class__ is _StandIn:
                setattr(sys, name, stream._stream)


def _forked() -> None:
    """Law 4."""
    global _lock
    _lock = RLock()
    _running.clear()
    _tasks.clear()
    _own.task = None


os.register_at_fork(after_in_child=_forked)


class _StandIn:
    """In the place of `sys.stdout` or `sys.stderr`."""

    def __init__(self, name: str, stream: Any) -> None:
        self._name = name
        self._stream = stream  # None, where a program has none

    def write(self, text: str) -> int:
        """The task's, if one is captured on this thread; else the stream's."""
        kept = self._kept()
        if kept is None:
            return self._stream.write(text) if self._stream is not None else len(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        kept.add(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """`write` each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing of a task is held back."""
        if self._kept() is None and self._stream is not None:
            self._stream.flush()

    def isatty(self) -> bool:
        """Not for a captured task."""
        return self._kept() is None and self._stream is not None and bool(self._stream.isatty())

    @property
    def buffer(self) -> Any:
        """What takes bytes."""
        kept = self._kept()
        return self._stream.buffer if kept is None else _Bytes(kept)

    def _kept(self) -> Kept | None:
        task: _Task | None = getattr(_own, "task", None)
        return None if task is None else task.stdout if self._name == "stdout" else task.stderr

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __repr__(self) -> str:
        return repr(self._stream)


class _Bytes(io.BufferedIOBase):
    """The `buffer` of a captured task's stream; a task may wrap it, as it may any."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def write(self, data: Any) -> int:
        """Keep it."""
        view = bytes(memoryview(data))
        self._kept.add(view)
        return len(view)

    def writable(self) -> bool:
        """It is."""
        return True


__all__ = ["CaptureHere", "written_by"]
