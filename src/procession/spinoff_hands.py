"""Who has which results in his hands, where a journal is to know what was handed over.

A *taker* is a thread, or a task of an event loop. What he is given is in his hands until he asks for more: until then
he may be at it, and should the program die, it comes again.

Laws
1. When a taker asks for more, what is in his hands counts as handed over. That is in the journal before he is given
   anything else.
2. A task that has ended well has asked for more: `asyncio.wait_for` makes one for each result. A thread that has ended
   has not: nobody knows how it did.
3. What is in the hands of others stays there, whoever asks.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from procession.backends.gate import on_event_loop
from procession.core.flow import NOTHING
from procession.journal.refusals import again
from procession.spinoff_outlet import SpinOutlet

if TYPE_CHECKING:
    from procession.spinoff_journal import JournalSpin
    from procession.spinoff_promises import Receipt
    from procession.starts import SinkFuture


def taker() -> Any:
    """Who runs this."""
    if on_event_loop():
        current = getattr(sys.modules.get("asyncio"), "current_task", None)
        try:
            task = None if current is None else current()
        except RuntimeError:  # it is another library's loop
            task = sys.modules["trio"].lowlevel.current_task()
        if task is not None:
            return task
    return threading.current_thread()


def _ended_well(who: Any) -> bool:
    done = getattr(who, "done", None)
    return done is not None and done() and not who.cancelled() and getattr(who, "_exception", None) is None


def _is_gone(who: Any) -> bool:
    return isinstance(who, threading.Thread) and not who.is_alive()


class Hands:
    """See the module. Changed under the lock of the SpinOff, but for what a taker does with his own."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[Any, dict[int, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def give(self, who: Any, seqs: Iterable[int]) -> None:
        """These are in his hands now."""
        self._of.setdefault(who, {}).update(dict.fromkeys(seqs))

    def take_back(self, who: Any, seqs: Iterable[int]) -> None:
        """These did not reach him."""
        mine = self._of.get(who, {})
        for seq in seqs:
            mine.pop(seq, None)

    def asked(self, who: Any) -> list[int]:
        """He asks for more: what counts as handed over by that."""
        return [seq for each in self._through(who) for seq in self._of[each]]

    def _through(self, who: Any) -> list[Any]:
        if len(self._of) == 1:
            return [who] if who in self._of else []
        return [each for each in list(self._of) if each is who or _ended_well(each)]

    def left(self, who: Any) -> list[int]:
        """He has left the with block without an error: by that, what has come to threads that are gone counts, too."""
        return [
            seq
            for each in list(self._of)
            if each is who or _ended_well(each) or _is_gone(each)
            for seq in self._of[each]
        ]

    def drop(self, seqs: Iterable[int]) -> None:
        """These are in nobody's hands any more."""
        gone = set(seqs)
        for who, mine in list(self._of.items()):
            for seq in gone.intersection(mine):
                del mine[seq]
            if not mine:
                self._of.pop(who, None)

    def clear(self) -> None:
        """Nobody is to count as given anything."""
        self._of.clear()


class JournalOutlet(SpinOutlet):
    """What a taker gets, each result after the journal has that those before it were handed over."""

    __slots__ = ("_kept",)

    def __init__(self, core: JournalSpin) -> None:
        super().__init__(core)
        self._kept = core

    def ask(self) -> Receipt | None:
        """The caller asks for more. Done when the journal has it."""
        return self._kept.ask(taker())

    def next(self) -> Any:
        """See `SpinOutlet.next`."""
        core = self._kept
        receipt = self.ask()
        flow = core.flow
        if not flow.ready and not flow.ended:
            return NOTHING
        core.await_receipt(receipt)
        if core.broken is not None:
            self._refuse()
        try:
            return super().next()
        except StopIteration:
            core.let_go_of_file(wait=not on_event_loop())
            raise

    def ready(self) -> list[Any]:
        """See `SpinOutlet.ready`."""
        core = self._kept
        receipt = self.ask()
        if core.flow.ready:
            core.await_receipt(receipt)
            if core.broken is not None:
                self._refuse()
        return super().ready()

    def _refuse(self) -> None:
        """The journal has failed: what waits to be taken is not handed over. Raises that, if anything waits."""
        core = self._kept
        with core.lock:
            gone = core.flow.take_all()
        core.let_go(gone)
        error = core.broken
        if gone and error is not None:
            raise again(error)

    def _gone(self, futures: Iterable[SinkFuture]) -> None:
        futures = list(futures)
        self._kept.hands.give(taker(), [future.seq for future in futures])  # type: ignore[attr-defined]
        super()._gone(futures)

    def _back(self, futures: Iterable[SinkFuture]) -> None:
        futures = list(futures)
        self._kept.hands.take_back(taker(), [future.seq for future in futures])  # type: ignore[attr-defined]
        super()._back(futures)


__all__ = ["Hands", "JournalOutlet", "taker"]
