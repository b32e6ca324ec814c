"""What workers note, brought to this program's logging and warnings, as if the tasks had run here.

Laws
1. One pipe for a pool, shared by its workers. `drain` has all handled that was in the pipe when it was called, and
   so, on the driver's way, what a task has logged before its future resolves; but it waits `PATIENCE` seconds for
   that at most, and while handlers are slower than that it does not wait at all.
2. Handlers run on the thread that writes the pool's own lines (`saying.py`), which nobody has to wait for: one that
   blocks holds up no task.
3. What waits is bounded: `MOST` bytes here, and the pipe. Beyond that the pipe is not read until half of it has gone;
   workers wait a little, then drop and count (worker/notes.py), and the count is a line.
4. A record is handed to the logger of its name, with no look at its level, which was looked at in the worker. Warnings
   pass this program's filters, so one place warns once, however many workers come by it.
5. At the end all is handled that is there, as long as handlers get on, `LONGEST` seconds at most. One that blocks is
   waited for as lines of the pool are, a second.
6. What cannot be rebuilt here is told by its text. Nothing that comes from a worker stops the others.
"""

from __future__ import annotations

import logging
import marshal
import os
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from procession.backends import forksafe, saying
from procession.backends.channel import widen
from procession.backends.launch import Watch
from procession.backends.levels import LevelTable
from procession.transport import rebuild, remote
from procession.transport.notes import LOG, Gatherer

MOST = 4 << 20
PATIENCE = 0.1
LONGEST = 10.0
_PIPE = 1 << 20
_READ = 1 << 18
_ROUNDS = 64
"""Reads for each time the pipe is looked at: who writes for ever must not keep a driver."""


class Notes:
    """The pipe of one pool. One thread, the driver's; `beside` is for the workers (see `WorkerFiles`).

    `watch(fd)` and `unwatch(fd)` tell the driver which descriptors to watch for reading; `pump(fd)` is for those.
    Raises OSError when there are no descriptors left.
    """

    def __init__(self, watch: Watch, unwatch: Watch) -> None:
        self._watch, self._unwatch = watch, unwatch
        self._read, self._write = forksafe.pipe(os.O_NONBLOCK)
        try:
            self._room = forksafe.adopt(lambda: os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
            levels = LevelTable.enter()
        except OSError:
            self._close_all()
            raise
        widen(self._read, _PIPE)
        self.beside = self._write, levels
        self._gatherer = Gatherer()
        self._waiting = 0  # bytes that were handed over and are not handled yet
        self._stalled = False
        self._slow = False  # handlers took longer than `PATIENCE`
        watch(self._read)
        watch(self._room)

    def pump(self, fd: int) -> None:
        """`fd` is readable: take what has come, as far as there is room for it here."""
        if fd == self._room:
            os.eventfd_read(fd)
            if self._stalled and self._waiting <= MOST // 2:
                self._stalled = False
                self._watch(self._read)
        if not self._stalled:
            self._take()

    def drain(self) -> None:
        """Have all handled that was noted so far; law 1."""
        self.pump(self._read)
        if self._waiting and not self._slow:
            self._slow = not saying.said(PATIENCE)

    def close(self) -> None:
        """The workers are gone: what they have noted is handled; law 5."""
        if not self._stalled:
            self._unwatch(self._read)
        self._unwatch(self._room)
        self._take()
        until = monotonic() + LONGEST
        before = self._waiting + 1
        while 0 < self._waiting < before and monotonic() < until:
            before = self._waiting
            saying.said()
        LevelTable.leave()
        self._close_all()

    def _close_all(self) -> None:
        for fd in (self._read, self._write, getattr(self, "_room", -1)):
            forksafe.close(fd)

    def _take(self) -> None:
        for _ in range(_ROUNDS):
            try:
                data = os.read(self._read, _READ)
            except BlockingIOError:
                return
            self.hand_over(self._gatherer.take(data))
            if self._waiting > MOST:
                self._stalled = True
                self._unwatch(self._read)
                return

    def hand_over(self, whole: list[bytes]) -> None:
        """These are to be handled."""
        if whole:
            self._waiting += sum(map(len, whole))
            saying.hand_over(_Batch(whole, self._handled))

    def _handled(self, size: int) -> None:
        """By the thread of the handlers."""
        self._waiting -= size
        self._slow = False
        if self._stalled and self._waiting <= MOST // 2:
            with forksafe.lock:
                if forksafe.owns(self._room):
                    os.eventfd_write(self._room, 1)


class _Batch:
    """Notes to be handled, in their order: what `saying` calls a line."""

    def __init__(self, notes: list[bytes], then: Callable[[int], None]) -> None:
        self._notes, self._then = notes, then

    def write(self) -> None:
        size = sum(map(len, self._notes))
        try:
            for note in self._notes:
                try:
                    _handle(*marshal.loads(note))
                except Exception as error:
                    saying.say(logging.ERROR, "a note of a worker could not be handled", error=error)
        finally:
            self._then(size)


def _handle(kind: int, dropped: int, *about: Any) -> None:
    if dropped:
        text = "log records of workers were dropped, since handlers here did not keep up: %d"
        saying.say(logging.ERROR, text, dropped)
    (_log if kind == LOG else _warn)(*about)


def _log(plain: dict[str, Any], others: dict[str, tuple[bytes | None, str]], error: bytes | None) -> None:
    created = plain.pop("created")
    del plain["relativeCreated"]  # to when the worker had loaded logging; here it is to when this program had
    record = logging.makeLogRecord(plain)
    record.relativeCreated += (created - record.created) * 1000
    record.created = created
    for name, (pickled, text) in others.items():
        setattr(record, name, _rebuilt(pickled, text))
    if error is not None:
        raised = remote.decode(error)
        record.exc_info = type(raised), raised, raised.__traceback__
    logging.getLogger(record.name).handle(record)


def _warn(text: str, bases: list[str], pickled: bytes | None, filename: str, lineno: int, worker: str) -> None:
    import warnings

    category = _rebuilt(pickled, "")
    if not isinstance(category, type) or not issubclass(category, Warning):
        category = _nearest(bases)
    try:
        registry = _registries.setdefault(filename, {})
        warnings.warn_explicit(text, category, filename, lineno, _module_of(filename), registry)
    except Warning:  # the filter says "error", and there is nobody here to raise it to: the task goes on
        warnings.showwarning(text, category, filename, lineno)


_registries: dict[str, dict[Any, Any]] = {}
"""What has warned, by file, as modules have it in their `__warningregistry__`."""


def _module_of(filename: str) -> str:
    """Whose code it is: filters name modules. What is in no file was typed in, into `__main__`."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == filename:
            return name
    return filename.removesuffix(".py") if os.path.exists(filename) else "__main__"


def _nearest(bases: list[str]) -> type[Warning]:
    for each in bases:
        module, _, name = each.partition(":")
        found = getattr(sys.modules.get(module), name, None)
        if isinstance(found, type) and issubclass(found, Warning):
            return found
    return UserWarning


def _rebuilt(pickled: bytes | None, text: str) -> Any:
    if pickled is None:
        return text
    try:
        return rebuild.loads_from_below(pickled)
    except Exception:
        return text


__all__ = ["Notes"]
