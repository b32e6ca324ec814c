"""max_pending: how many calls may be submitted and not finished, and what submit does when that many are.

Laws
1. A call is counted from before it is posted until it has an outcome or is cancelled. It is counted by being in a
   dictionary, so counting it out twice, or a call that was never posted, does no harm.
2. Nobody waits on a thread that others need: one that runs an event loop, one of the engine's own (its callbacks, its
   workers). There `Full` is raised at once.
3. No user code runs under the lock. It is reentrant, because a signal handler or a finalizer may submit, too.
"""

from __future__ import annotations

import threading
from typing import Any

from procession.backends.gate import on_event_loop
from procession.backends.tasks import CallFuture
from procession.errors import Full
from procession.options import Overflow
from procession.waiting import Bell


class Room:
    """The room of one pool; the sink (`tasks.Sink`) of its calls."""

    def __init__(self, engine: Any, limit: int, overflow: Overflow) -> None:
        self.limit = limit
        self.overflow = overflow
        self.dropped = 0
        self._engine = engine
        self._lock = threading.RLock()
        self._pending: dict[CallFuture[Any], None] = {}  # in the order of submission
        self._bell = Bell()

    def submit(self, future: CallFuture[Any]) -> None:
        """Post it when there is room, or do what `overflow` says. Raises Full, and what `Engine.post` raises."""
        while not self._enter(future):
            if self.overflow == "drop_newest" or (self.overflow == "drop_oldest" and not self._drop_oldest()):
                self.dropped += 1
                future.cancel()
                return
            if self.overflow == "raise":
                raise Full(f"{self.limit} calls are pending (max_pending)")
            if self.overflow == "block":
                self._refuse_to_wait()
                self._bell.sleep(self._has_room)
        self._post(future)

    async def asubmit(self, future: CallFuture[Any]) -> None:
        """The same, where "block" waits without blocking the event loop."""
        if self.overflow == "block":
            while not self._enter(future):
                await self._bell.asleep(self._has_room)
            self._post(future)
        else:
            self.submit(future)

    def settled(self, futures: list[Any]) -> None:
        """See `tasks.Sink`."""
        with self._lock:
            for future in futures:
                self._pending.pop(future, None)
        if self._bell.sleepers:
            self._bell.ring()

    def _has_room(self) -> bool:
        return len(self._pending) < self.limit

    def _enter(self, future: CallFuture[Any]) -> bool:
        with self._lock:
            if len(self._pending) < self.limit:
                self._pending[future] = None
                return True
        return False

    def _post(self, future: CallFuture[Any]) -> None:
        future.sink = self
        try:
            self._engine.post_call(future)
        except BaseException:
            self.settled([future])
            raise

    def _drop_oldest(self) -> bool:
        """Cancel the oldest call that has not started; False when all have."""
        with self._lock:
            oldest = list(self._pending)
        for future in oldest:
            if future.cancel_unstarted():
                self.settled([future])
                self.dropped += 1
                return True
            if future.done():
                return True  # it has made room by itself
        return False

    def _refuse_to_wait(self) -> None:
        if on_event_loop():
            raise Full(
                f"{self.limit} calls are pending (max_pending), and this thread runs an event loop, which must not "
                "be blocked: await acall() instead"
            )
        if self._engine.capabilities.in_caller or self._engine_needs(threading.current_thread()):
            raise Full(
                f"{self.limit} calls are pending (max_pending), and this is a thread of the pool itself: those that "
                "are pending may never finish while it waits"
            )

    def _engine_needs(self, thread: threading.Thread) -> bool:
        engine = self._engine
        callbacks = getattr(engine, "callbacks", None)
        return (
            (callbacks is not None and callbacks.thread is thread)
            or thread is getattr(engine, "driver_thread", None)
            or thread in getattr(engine, "threads", ())
        )
