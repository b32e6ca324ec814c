"""Whether `procession top` can look at this process: a thread that opens the door for it (seeing/attending/).

Laws
1. Nothing is loaded, and no thread started, before the first engine has begun, and then by that engine's own thread.
   For DELAY seconds the thread only waits, so a program that is through by then has paid for the start of one thread.
   An engine of processes starts it while its zygote comes up, one of threads when its first task is on its way. Not
   when a worker has just started: a thread that is being made may be handed a ^C that is meant for the main thread,
   which then sleeps on (seen in one of five runs of a test that strikes at just that moment).
2. It ends with the last engine that had begun, and with the interpreter; then the socket is gone.
3. `PROCESSION_TOP=0` in the environment: nothing of all this.
4. What goes wrong here is one log line in the life of a process, and touches nobody's task.
5. A forked child has none, and gets one with an engine of its own.

The thread is a daemon: one that is waited for would keep a program from ending whose threads were given up. At the
interpreter's end it is told to end, and waited for by `atexit`, for a moment.
"""

from __future__ import annotations

import logging
import os
from _thread import allocate_lock, start_new_thread

from procession import tapping
from procession.backends import forksafe
from procession.backends.gate import Gate
from procession.backends.saying import say

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from procession.seeing.attending.door import Door

DELAY = 0.5
LAST = 1.0
"""Seconds that the interpreter's end waits for it."""


class _Attendance:
    """From the first engine's beginning to the end of the last one that was there."""

    def __init__(self) -> None:
        self.over = Gate()
        self.door: Door | None = None
        self.through = Gate()

    def start(self) -> None:
        """By a driver, who must not wait: `Thread.start` waits until the new thread has run, behind all others."""
        start_new_thread(self._run, ())

    def end(self) -> None:
        """May be called again."""
        self.over.open()
        if self.door is not None:
            self.door.end()

    def _is_over(self) -> bool:
        return self.over.opened

    def _run(self) -> None:
        self.over.wait(DELAY)
        try:
            if not self._is_over():
                self._attend()
        except Exception as error:
            attended.complain(error)
        finally:
            self.through.open()

    def _attend(self) -> None:
        from procession.seeing.attending import door, places

        if not places.possible():
            return
        self.door = door.Door(places.folder() / f"{os.getpid()}.sock")
        if self._is_over():  # meanwhile
            self.door.end()
        self.door.serve()


class Attended:
    """Of this process; there is one."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._now: _Attendance | None = None
        self._all: list[_Attendance] = []
        self._known = self._complained = False

    def mind(self) -> None:
        """Engines have begun, or none is left that has; on a thread of theirs."""
        with self._lock:
            if tapping.at_work and self._now is None:
                if not self._known:
                    self._known = True
                    self._mind_the_end()
                self._all = [each for each in self._all if not each.through.opened]
                self._now = _Attendance()
                self._all.append(self._now)
                try:
                    self._now.start()
                except RuntimeError:  # the interpreter is ending, or the system has no thread left
                    self._now = None
                    self._all.pop()
            elif not tapping.at_work and self._now is not None:
                self._now.end()
                self._now = None

    def complain(self, error: Exception) -> None:
        """Once, since every pool would say the same; aloud if somebody else may be behind it, not for want of room."""
        if not self._complained:
            self._complained = True
            level = logging.INFO if isinstance(error, OSError) else logging.WARNING
            say(level, "procession top cannot look at this process: %s", error)

    def _mind_the_end(self) -> None:
        import atexit

        atexit.register(self._last)
        forksafe.on_fork(self._forked)

    def _last(self) -> None:
        for each in self._all:
            each.end()
            each.through.wait(LAST)

    def _forked(self) -> None:
        tapping.at_work.clear()
        self._lock = allocate_lock()
        self._now, self._all = None, []


attended = Attended()


def offer() -> None:
    """From now on engines that begin make this process one that can be looked at."""
    if tapping.greet is None and os.environ.get("PROCESSION_TOP") != "0":
        tapping.greet = attended.mind


__all__ = ["offer"]
