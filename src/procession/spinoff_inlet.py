"""How items get into a SpinOff with a journal: `put`, `put_many` and `aput`, which return when the journal has them.

Laws
1. The item is packed by the caller: what becomes of it later is not seen.
2. An id that the journal has, or that is on its way there, is not taken in again: its future is given, or one with its
   outcome. Looking and taking in are one step for all who put ids (`JournalSpin.ids`).
3. Where items run in the caller (inline), what has run by then has its outcome when `put` returns.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from concurrent.futures import Future
from time import monotonic
from typing import TYPE_CHECKING, Any

from procession import spinoff_room
from procession.journal.refusals import again
from procession.spinoff_promises import Kept
from procession.spinoff_putting import BATCH, tell_of_what_was_put
from procession.spinoff_resuming import find

if TYPE_CHECKING:
    from procession.spinoff_journal import JournalSpin


class Coming:
    """An item on its way in. `promise`: its future; one of an earlier put, or program, if it is known."""

    __slots__ = ("_core", "_error", "_item", "_lane", "_packed", "_stamp", "promise")

    def __init__(self, core: JournalSpin, item: Any) -> None:
        if core.broken is not None:
            raise again(core.broken)
        self._core = core
        self._item = item
        self._lane: Hashable = None if core.key is None else core.lane(item)
        self._error: BaseException | None = None
        self._stamp = core.forgotten
        id = None if core.words.item_id is None else core.journal.id_of(item)
        known = None if id is None else find(core, id)
        self.promise: Kept
        if known is not None:
            self.promise = known
            return
        self._packed = core.journal.encoded(item)
        self._make(blank=core.places is not None)
        self.promise.known_by = id

    def _make(self, blank: bool) -> None:
        core = self._core
        made: Any
        if blank:
            made = core.future_type(core.function, None)
        else:
            made, self._error = core.make(self._item)
        made.packed = self._packed
        self.promise = made

    def enter(self) -> bool:
        """Take it in; False if there is no room."""
        core, promise = self._core, self.promise
        if promise.taken is not None or promise.seq >= 0 or promise.done():
            return True  # it is in, or need not be taken in
        id = promise.known_by
        if id is None and core.places is None:
            return core.admit(promise, self._error, self._lane)
        with core.puts:
            if id is not None and (known := self._known_now(id)) is not None:
                self.promise = known
                return True
            if core.places is not None and (core.flow.room > 0 or core.flow.closed):
                self._make(blank=False)
                self.promise.known_by = id
            return core.admit(self.promise, self._error, self._lane)

    def _known_now(self, id: Any) -> Kept | None:
        core = self._core
        known = core.known.get(id)
        if known is None and self._stamp != core.forgotten:
            self._stamp = core.forgotten
            known = find(core, id)
        return known

    def enter_or_wait(self, deadline: float | None) -> None:
        """Take it in, or drop it, or wait for room. Raises Full."""
        core = self._core
        while not self.enter():
            if spinoff_room.make_room(core, self.promise, deadline):
                return


class Inlet:
    """What a SpinOff with a journal does when something is put."""

    __slots__ = ("_core",)

    def __init__(self, core: JournalSpin) -> None:
        self._core = core

    def put(self, item: Any, timeout: float | None) -> Future[Any]:
        """See `SpinOff.put`."""
        deadline = None if timeout is None else monotonic() + timeout
        coming = Coming(self._core, item)
        coming.enter_or_wait(deadline)
        self._core.pump()
        self._settle([coming.promise])
        return coming.promise

    def put_many(self, items: Iterable[Any]) -> list[Future[Any]]:
        """See `SpinOff.put_many`."""
        core = self._core
        futures: list[Future[Any]] = []
        fresh: list[Kept] = []
        try:
            for item in items:
                coming = Coming(core, item)
                if not coming.enter():
                    core.pump()
                    coming.enter_or_wait(None)
                fresh.append(coming.promise)
                futures.append(coming.promise)
                if len(fresh) >= BATCH:
                    core.pump()
                    self._settle(fresh)
                    fresh.clear()
        except BaseException as raised:
            tell_of_what_was_put(raised, futures)
            raise
        finally:
            core.pump()
            self._settle(fresh)
        return futures

    async def aput(self, item: Any) -> Future[Any]:
        """See `SpinOff.aput`."""
        core = self._core
        coming = Coming(core, item)
        while not coming.enter():
            if spinoff_room.overflow(core, coming.promise):
                return coming.promise
            if core.words.overflow == "block":
                await core.room.asleep(core.may_put, core.look_again)
        core.pump()
        promise = coming.promise
        if promise.taken is not None:
            await promise.taken.arest()
        if self._has_run(promise):
            await core.settling.asleep(promise.done, core.look_again)
        self._settle([promise])
        return promise

    def _settle(self, promises: list[Kept]) -> None:
        """Wait until the journal has these. Raises JournalError: then they are withdrawn."""
        core = self._core
        for promise in reversed(promises):  # when it has the last, it has all
            receipt = promise.taken
            if receipt is None:
                continue  # it was dropped, or is of an earlier program
            receipt.rest()
            if receipt.error is not None:
                core.lose(receipt.error)
                raise again(receipt.error)
            if self._has_run(promise):
                promise.await_end()

    def _has_run(self, promise: Kept) -> bool:
        """It has run in the thread that put it, and only its outcome is on its way into the journal."""
        core = self._core
        return core.at_once and core.gate is None and promise.run_by.done() and not promise.done()
