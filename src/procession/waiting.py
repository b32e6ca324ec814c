"""Sleeping until something has changed, in a thread or in a coroutine, with no lock held and nothing to corrupt.

The protocol, step by step
    sleeper: put its waker among `sleepers`; look; if there is nothing, sleep; take its waker back
    changer: change; then `ring`, if there are sleepers
If the change comes before the look, the sleeper sees it; otherwise its waker is there when the changer looks. A
`threading.Condition` would do, were it not for signals that raise: struck between its release and its wait it breaks.

Who rings on the main thread may be struck by such a signal between the change and the ring. So a sleeper looks again
by itself every `LOOK_AGAIN` seconds. That is the only use of this period: nothing else depends on it.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable
from time import monotonic

LOOK_AGAIN = 1.0
"""Seconds after which a sleeper looks by itself."""


class Bell:
    """Wakes all who sleep on it."""

    __slots__ = ("sleepers",)

    def __init__(self) -> None:
        self.sleepers: dict[Callable[[], object], None] = {}

    def ring(self) -> None:
        """Wake all sleepers; they look for themselves whether it was for them."""
        for wake in list(self.sleepers):
            try:
                wake()
            except RuntimeError:
                pass  # awake already, or its event loop is closed

    def sleep(
        self,
        until: Callable[[], object],
        deadline: float | None = None,
        again: Callable[[], object] | None = None,
    ) -> bool:
        """Sleep in this thread until `until()` is true; False when `deadline` (of `time.monotonic`) came first.

        Both callables are called in this thread, without any lock; `again` when the sleeper looks by itself, to do
        what an interrupted changer has left undone.
        """
        gate = allocate_lock()
        gate.acquire()
        try:
            self.sleepers[gate.release] = None
            while not until():
                patience = LOOK_AGAIN
                if deadline is not None:
                    patience = min(patience, deadline - monotonic())
                    if patience <= 0:
                        return False
                if not gate.acquire(timeout=patience) and again is not None:
                    again()
        finally:
            self.sleepers.pop(gate.release, None)
        return True

    async def asleep(self, until: Callable[[], object], again: Callable[[], object] | None = None) -> None:
        """Sleep in this coroutine until `until()` is true; see `sleep`."""
        from procession.coroutines import nap

        while not until():
            woken = await nap(self.sleepers, until, LOOK_AGAIN)
            if not woken and again is not None:
                again()
