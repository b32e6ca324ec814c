"""A full SpinOff: what is dropped, who waits, and when waiting would be for ever (API.md, semantics 3)."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Any

from procession.backends.gate import on_event_loop
from procession.core.flow import NOTHING
from procession.errors import Full
from procession.spinoff_core import SpinCore
from procession.starts import SinkFuture

SELF_WAIT = 2.0
"""Seconds that a put waits when all that fills it are results that only its own thread has ever taken; with a journal,
which may have brought them, also those that nobody has taken yet."""


def make_room(core: SpinCore, future: SinkFuture, deadline: float | None) -> bool:
    """It is full: True if the new item is dropped; False to try again, when that has been waited for. Raises Full."""
    if overflow(core, future):
        return True
    if core.words.overflow == "block" and (reason := await_room(core, deadline)) is not None:
        raise Full(reason)
    return False


def overflow(core: SpinCore, future: SinkFuture) -> bool:
    """It is full: True if the new item is dropped, and its future cancelled; False to try again or to wait.

    Raises Full where that is what was asked for.
    """
    how = core.words.overflow
    if how == "raise":
        raise Full(f"{core.flow.window} items are taken in and not yet handed over (overflow='raise')")
    if how == "drop_newest" or (how == "drop_oldest" and not drop_oldest(core)):
        future.sink = None
        future.cancel()
        core.refused_new += 1
        return True
    return False


def drop_oldest(core: SpinCore) -> bool:
    """Make room: see API.md, semantics 3. False when there is nothing to drop."""
    for future in list(core.open.values()):
        if future.cancel_unstarted():
            core.dropped += 1
            return True
    with core.lock:
        dropped: Any = NOTHING if core.passes else core.flow.drop_ready()
        if dropped is NOTHING:
            return core.flow.room > 0
    core.dropped += 1
    core.let_go((dropped,))
    if core.kept is not None:
        core.kept.forget([dropped])
    return True


def await_room(core: SpinCore, deadline: float | None) -> str | None:
    """Sleep until there may be room. Returns why there will be none, for `Full`, or None."""
    flow = core.flow
    if on_event_loop():
        return "put() does not block a thread that runs an event loop: use `await aput()`"
    if core.words.on_result is not None and core.errands.mine:
        return "on_result= is handed nothing while what the SpinOff calls (it, a callback, on_error=) waits in put()"

    def moves_no_more() -> bool:
        return core.may_put() or flow.admitted == flow.finished or core.stalled()

    if not core.room.sleep(moves_no_more, deadline, core.look_again):
        return "no room in time"
    if core.may_put():
        return None
    me = threading.current_thread()
    live = live_takers(core)
    nobody = not live and not core.passes and core.words.on_result is None and not core.bell.sleepers
    waiting = flow.finished - flow.handed
    untaken = f"{waiting} results wait and nobody takes them: use ready(), on_result= or iterate=False"
    if nobody and core.kept is None:  # else they are those of an earlier program, and may be taken soon
        return untaken
    patience = deadline
    if nobody or (live == [me] and not core.bell.sleepers):
        patience = min(deadline or monotonic() + SELF_WAIT, monotonic() + SELF_WAIT)
    if core.room.sleep(core.may_put, patience, core.look_again):
        return None
    if nobody:
        return untaken
    if patience != deadline:
        return (
            f"{waiting} results wait, and only the thread that puts has ever taken any: "
            "take them with ready() before you put, or take them in another thread"
        )
    return "no room in time"


class Lift:
    """While somebody waits for all to be done, results may take any room."""

    def __init__(self, core: SpinCore) -> None:
        self._core = core
        self._up = 0

    def up(self) -> None:
        """From now on."""
        core, ledger = self._core, self._core.ledger
        if ledger is not None:
            with core.lock:
                ledger.lifted += 1
                self._up += 1
            core.pump()

    def down(self) -> None:
        """Until now."""
        ledger = self._core.ledger
        if ledger is not None:
            with self._core.lock:
                ledger.lifted -= self._up
                self._up = 0


def live_takers(core: SpinCore) -> list[threading.Thread]:
    """The threads that have taken a result and are still there."""
    for thread in list(core.takers):
        if not thread.is_alive():
            core.takers.pop(thread, None)
    return list(core.takers)
