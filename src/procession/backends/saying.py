"""Log lines of ours, written by a thread that nobody waits for: a handler that blocks must not hang a task.

A handler blocks when what it writes to does not take anything, and for ever when a KeyboardInterrupt has struck the
main thread while it logged something: in CPython up to 3.12 that can leave the handler's lock held.

Laws
1. `say` waits for nothing, takes no lock of logging, and can be struck by a signal that raises: at worst its line comes
   with the next one.
2. Lines are written in the order of `say`, with the time, the thread and the place in the code of who said them.
3. A thread is there only while there are lines. It is the interpreter's own kind, that no exit waits for; who is about
   to end something calls `said`, which waits for all lines so far, at most `PATIENCE` seconds.
4. At most `MOST` lines wait. What comes then is dropped and counted, and the count is a line.
5. A forked child begins with no lines.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from _thread import allocate_lock, start_new_thread
from collections import deque

from procession.backends import forksafe
from procession.backends.gate import Gate
from procession.lean import Protocol

MOST = 1000
"""Lines that may wait to be written."""

PATIENCE = 1.0
"""Seconds that who ends something waits for its lines."""

_DROPPED = "%d log lines were dropped: a handler of logging had blocked"


class _Line:
    """What is to be written, and who said it, where and when."""

    __slots__ = ("args", "error", "frame", "level", "name", "text", "thread", "when")

    def __init__(self, name: str, level: int, text: str, args: tuple[object, ...], error: BaseException | None) -> None:
        frame = sys._getframe(2)
        self.name, self.level, self.text, self.args, self.error = name, level, text, args, error
        self.frame = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        self.thread = threading.current_thread()
        self.when = time.time()

    def write(self) -> None:
        """Have logging make a record of it, and hand that to the handlers."""
        logger = logging.getLogger(self.name)
        if not logger.isEnabledFor(self.level):
            return
        error = self.error
        about = None if error is None else (type(error), error, error.__traceback__)
        file, number, function = self.frame
        record = logger.makeRecord(self.name, self.level, file, number, self.text, self.args, about, function)
        record.relativeCreated += (self.when - record.created) * 1000
        record.created, record.msecs = self.when, int(self.when % 1 * 1000)
        record.thread, record.threadName = self.thread.ident, self.thread.name
        logger.handle(record)


class Line(Protocol):
    """What is to be written."""

    def write(self) -> None:
        """Write it."""


class _Saying:
    """What waits to be written, and who writes: whoever holds `pen`."""

    def __init__(self) -> None:
        self.lines: deque[Line | Gate] = deque()
        self.pen = allocate_lock()
        self.dropped = 0

    def write(self) -> None:
        """Write what there is, unless another thread does; the body of the thread."""
        while self.lines and self.pen.acquire(blocking=False):
            try:
                while self.lines:
                    self._write_one()
            finally:
                self.pen.release()

    def _write_one(self) -> None:
        line = self.lines.popleft()
        if isinstance(line, Gate):
            line.open()
            return
        try:
            line.write()
            if self.dropped:
                dropped, self.dropped = self.dropped, 0
                _Line("procession", logging.ERROR, _DROPPED, (dropped,), None).write()
        except BaseException:  # a filter's, a factory's; what a handler raises is logging's own matter
            traceback.print_exc()


_saying = _Saying()
_forks_known = False


def say(
    level: int,
    text: str,
    *args: object,
    error: BaseException | None = None,
    name: str = "procession",
) -> None:
    """Have a thread log `text % args`, with `error` and its traceback, on the logger of that name."""
    global _forks_known
    if not _forks_known:
        forksafe.on_fork(_in_child)
        _forks_known = True
    saying = _saying
    if len(saying.lines) >= MOST:
        saying.dropped += 1
        return
    saying.lines.append(_Line(name, level, text, args, error))
    _hand_over(saying)


def hand_over(line: Line) -> None:
    """Have the same thread write this, behind all that was said. How much of it there is is the caller's business."""
    saying = _saying
    saying.lines.append(line)
    _hand_over(saying)


def said(timeout: float | None = None) -> bool:
    """Wait until all that was said so far is written; False when that takes `PATIENCE` or `timeout` seconds."""
    saying = _saying
    if not saying.lines and not saying.pen.locked():
        return True
    gate = Gate()
    saying.lines.append(gate)
    _hand_over(saying)
    gate.wait(PATIENCE if timeout is None else min(PATIENCE, timeout))
    return gate.opened


def _hand_over(saying: _Saying) -> None:
    """By one call of C: struck before or after it, nothing is half done."""
    try:
        start_new_thread(saying.write, ())
    except RuntimeError:  # the interpreter is going, or the system has no thread left
        saying.write()


def _in_child() -> None:
    global _saying
    _saying = _Saying()
