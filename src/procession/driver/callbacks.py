"""The one thread of an engine that runs users' done-callbacks.

Laws
1. It starts with the first future that has callbacks, and ends when it is closed and has run all that was posted.
2. Callbacks of one engine run one after another, in the order in which their futures were answered.
3. What a callback raises is logged on "concurrent.futures", as the stdlib does; the thread goes on, whatever it was.
4. `post` is called by threads that no signal handler interrupts (an engine's own). Where no thread can be started any
   more, at the end of the interpreter, and after `close`, it runs the callbacks at once.
"""

from __future__ import annotations

import itertools
import threading
from _queue import SimpleQueue
from collections.abc import Iterable

from procession.backends import tasks
from procession.backends.joinable import JoinableThread
from procession.backends.tasks import CallFuture

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

_numbers = itertools.count(1)


class Callbacks:
    """Runs the callbacks of answered futures, on a thread of its own."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Iterable[CallFuture[Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def post(self, futures: Iterable[CallFuture[Any]]) -> None:
        """Run the callbacks of `futures` soon, in this order."""
        with self._lock:
            if not self._closed and (self._thread is not None or self._start()):
                self._queue.put(futures)
                return
        _run(futures)

    def close(self) -> None:
        """What was posted runs, then the thread ends; does not wait. May be called again."""
        with self._lock:
            self._closed = True
            self._queue.put(None)

    def join(self, timeout: float | None = None) -> bool:
        """Wait, at most `timeout` seconds, for the thread to end; True when it has.

        Called by a callback it returns False at once: that callback would wait for itself.
        """
        thread = self._thread
        if thread is None:
            return True
        if thread is threading.current_thread():
            return False
        thread.join(timeout)
        return not thread.is_alive()

    @property
    def thread(self) -> threading.Thread | None:
        """The thread, once there was something to run."""
        return self._thread

    def _start(self) -> bool:
        thread = JoinableThread(_serve, f"procession-callbacks-{next(_numbers)}", (self._queue,))
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going, or the system has no thread left
            return False
        self._thread = thread
        return True


def _serve(queue: SimpleQueue[Iterable[CallFuture[Any]] | None]) -> None:
    while (futures := queue.get()) is not None:
        _run(futures)
        futures = None  # nothing is kept alive while this thread waits


def _run(futures: Iterable[CallFuture[Any]]) -> None:
    for future in futures:
        try:
            tasks.run_callbacks(future)
        except BaseException as error:  # Exceptions are logged in there; SystemExit and its kin end nothing here
            tasks.say_of_callback(future, error)
        del future
