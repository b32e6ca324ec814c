"""Waiting for an engine's thread, so that whatever strikes the waiter cannot stop the engine.

`threading.Event` will not do: a signal handler that raises in its `wait` may leave its lock taken, and the engine's
thread would wait for that lock in `set`, for ever. A gate is one lock that only its waiters take; opening never waits.
"""

from __future__ import annotations

from _thread import allocate_lock


class Gate:
    """Shut until `open` is called, by anybody; then open."""

    __slots__ = ("_lock", "opened")

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()
        self.opened = False

    def open(self) -> None:
        """Let the waiter through; never waits."""
        self.opened = True
        try:
            self._lock.release()
        except RuntimeError:
            pass  # it is open

    def wait(self, timeout: float = -1) -> None:
        """Until it is open, at most `timeout` seconds. One waiter for each gate."""
        if not self.opened:
            self._lock.acquire(timeout=timeout)


def on_event_loop() -> bool:
    """Whether this thread runs an event loop now, asyncio's or trio's: then it had better not wait."""
    import sys

    running = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)  # it may just be being imported
    if running is not None and running() is not None:
        return True
    if "trio" not in sys.modules:
        return False
    from procession.coroutines import on_trio_loop

    return on_trio_loop()
