"""The futures of a SpinOff with a journal: what a user has is not what an engine sees.

Laws
1. A *promise* is in the user's hands, and in `SpinCore.open`. What an engine is given is a *call*, a future of ours.
   The outcome of the call goes into the journal, and only when it is there does the promise get it. With `batch` an
   engine sees none of the items anyway, and each is its own promise.
2. Between the two a promise runs: it is not done, and cannot be cancelled any more.
3. Whoever cancels a promise cancels its call. When he is told that it is cancelled, the journal has it, too: the item
   never runs again. But when everything is cancelled, the journal forgets nothing (`SpinOff.cancel`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procession.backends import tasks
from procession.batching import BatchItem
from procession.journal.writer import Ticket
from procession.starts import SinkFuture
from procession.waiting import LOOK_AGAIN, Bell

if TYPE_CHECKING:
    from procession.backends.base import Function
    from procession.journal.writer import Writer


class Receipt(Ticket):
    """Says that the journal has something."""

    __slots__ = ("_writer",)

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    async def arest(self) -> None:
        """`rest` for coroutines: each is woken for its own."""
        if not self.done:
            bell = Bell()
            self.then(bell.ring)
            await bell.asleep(lambda: self.done)

    def rest(self) -> None:
        """Wait for that, but on the journal's own thread, which would wait for itself."""
        while not self.done and not self._writer.here:
            if self._gate.acquire(timeout=LOOK_AGAIN):
                self._gate.release()


class Kept(SinkFuture):
    """An item that the journal knows."""

    seq = -1
    """Its number in the journal."""
    known_by: Any = None
    """Its own id, if it has one."""
    packed: Any = ()
    """Form and data of the item, until the journal is given them."""
    taken: Receipt | None = None
    """Done when the journal has the item."""
    dropped: Receipt | None = None
    """Done when the journal has that it was cancelled."""
    posted = False
    """The journal has been given its outcome, or need not get it."""
    recorded = False
    """Its outcome is in the journal."""

    @property
    def run_by(self) -> SinkFuture:
        """The call that runs it; with `batch` itself, as far as this matters."""
        return self

    def _cancel(self, kill: bool) -> bool:
        cancelled = super()._cancel(kill)
        if cancelled and self.dropped is not None:
            self.dropped.rest()
        return cancelled


class Promise(Kept):
    """One that runs alone, by a call of its own."""

    cancelling = 0
    """Threads that are cancelling it, and run its callbacks themselves."""

    def __init__(self, function: Function, body: Any) -> None:
        super().__init__(function, None)
        self._call = SinkFuture(function, body)
        self._call.index = -1  # until it is taken in

    @property
    def run_by(self) -> SinkFuture:
        """See `Kept.run_by`."""
        return self._call

    def running(self) -> bool:
        """True from when it begins to run until its outcome is in the journal."""
        return not self.done() and (self._call.running() or (self._call.done() and not self._call.cancelled()))

    def _cancel(self, kill: bool) -> bool:
        with tasks.LOCK:
            self.cancelling += 1
        try:
            if not self.done() and not self._call._cancel(kill):
                return self.cancelled()
            return super()._cancel(kill)
        finally:
            with tasks.LOCK:
                self.cancelling -= 1


class BatchPromise(Kept, BatchItem):
    """One that runs together with others."""

    def running(self) -> bool:
        """See `Promise.running`."""
        return (self.posted and not self.done()) or super().running()
