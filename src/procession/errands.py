"""One thread for what a SpinOff owes its user outside the engine: on_result, on_error, progress, log lines.

Laws
1. It starts with the first errand, runs them one by one in their order, and ends when it has been idle for `IDLE`
   seconds or when it is told that no more will come; the next errand starts another.
2. What an errand raises is logged on "procession" and ends nothing.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from procession.backends.joinable import JoinableThread
from procession.backends.saying import say
from procession.waiting import Bell

IDLE = 2.0
"""Seconds that the thread waits for another errand."""

_numbers = itertools.count(1)


class Errands:
    """Callables to be run soon, one after another, on a thread of their own."""

    def __init__(self, name: str) -> None:
        self._name = f"procession-{name}-{next(_numbers)}"
        self._queue: deque[Callable[[], object]] = deque()
        self._lock = threading.RLock()
        self._bell = Bell()
        self._thread: threading.Thread | None = None
        self._closed = False

    def post(self, errand: Callable[[], object]) -> None:
        """Run `errand()` soon; here and now where no thread can be started any more."""
        self._queue.append(errand)
        with self._lock:
            if self._thread is None:
                thread = JoinableThread(self._serve, self._name)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is going
                    self._drain()
                    return
                self._thread = thread
        self._bell.ring()

    @property
    def mine(self) -> bool:
        """Whether the caller is an errand."""
        return self._thread is threading.current_thread()

    def close(self) -> None:
        """The thread need not wait for more."""
        self._closed = True
        self._bell.ring()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all errands are done; True when they are, and at once when an errand asks."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _serve(self) -> None:
        with self._lock:
            pass  # whoever started this thread has noted it
        while True:
            self._drain()
            if not self._closed and self._bell.sleep(lambda: self._queue or self._closed, monotonic() + IDLE):
                continue
            with self._lock:
                if not self._queue:
                    self._thread = None
                    return

    def _drain(self) -> None:
        while self._queue:
            errand = self._queue.popleft()
            try:
                errand()
            except BaseException as error:
                say(logging.ERROR, "an error in %s", self._name, error=error)
            del errand
