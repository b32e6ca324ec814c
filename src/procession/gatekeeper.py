"""Who starts what a flow has in its line when that may not start at once: a thread of its own, for `rate` and `batch`.

Laws
1. This thread alone takes out of `flow.starts`, decides by core/gate.py, and hands over to the engine. No signal
   strikes it, so nothing is posted twice, and nothing of the laws of handover.py on interrupted pumps is needed. All
   others only change the flow, under its lock, and ring.
2. It sleeps until somebody rings, or until the instant that the gate has named.
3. It ends when nothing is left to start: the flow is closed, and everything in it has its outcome.
4. On the inline backend it is this thread that runs the items.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

from procession.backends.joinable import JoinableThread
from procession.backends.saying import say
from procession.backends.unstruck import unstruck
from procession.core.flow import UNBOUNDED
from procession.core.gate import Gate, Standing
from procession.core.rules import SECOND
from procession.handover import Handover
from procession.pacing import SharedPace
from procession.starts import Known
from procession.waiting import Bell


class Gatekeeper:
    """See the module. `queue_ns`: an item that has waited here so long fails, where items say since when they do."""

    def __init__(self, owner: Handover, gate: Gate, name: str, queue_ns: int | None = None) -> None:
        self.owner = owner
        self.gate = gate
        self.over = False
        self._name = name
        self._queue_ns = queue_ns
        self._bell = Bell()
        self._poked = self._begun = False
        self.alarm: int | None = None  # when time alone lets something start
        self._seen: tuple[int, ...] | None = None  # how it stood when it was last looked at
        self._dropped = 0  # of the flow, when its line was last cleared of what was dropped
        self._broken: BaseException | None = None
        self.thread = JoinableThread(self._serve, f"procession-gate-{name}")

    def begin(self) -> None:
        """From now on. Called once, when somebody has the owner who will close it."""
        unstruck(self.thread.start)

    # -- from anywhere -------------------------------------------------------------------------------------------------

    def call(self) -> None:
        """The flow may have changed.

        Whoever puts the first item has the engine begin: from the end of a program on, which may come at once, 3.12
        starts no thread.
        """
        if not self._begun and self.owner.flow.admitted:
            self._begun = True
            try:
                self.owner.engine.begin()
            except (RuntimeError, OSError):
                pass  # the thread will meet the same, and tell
        if self._snapshot() != self._seen:
            self.poke()

    def poke(self) -> None:
        """Something has changed."""
        self._poked = True
        self._bell.ring()
        if self._broken is not None:
            self._refuse_all(self._broken)

    def mark(self, item: Any) -> None:
        """A future of a SpinOff, before it is taken in."""
        item.since = monotonic_ns()

    def flush(self) -> None:
        """All that is in the flow now is to start as soon as it can."""

    def cancel(self) -> None:
        """Nothing more is wanted of what it has handed over together."""

    def join(self, timeout: float | None) -> bool:
        """Wait for the end of the thread; True when it has ended, and at once when it is the caller (inline)."""
        if threading.current_thread() is self.thread:
            return True
        self.thread.join(timeout)
        return not self.thread.is_alive()

    def _snapshot(self) -> tuple[int, ...]:
        flow, ledger = self.owner.flow, self.owner.ledger
        stands = flow.admitted, flow.finished, flow.handed, flow.closed
        return stands if ledger is None else (*stands, ledger.total, ledger.lifted)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        pace = self.gate.pace
        if isinstance(pace, SharedPace):
            pace.rested[self.poke] = None
        widened = self.owner.engine.widened
        widened[self.poke] = None
        try:
            while not self.over:
                alarm = self.alarm
                self._bell.sleep(self._called, None if alarm is None else alarm / SECOND)
                self._step()
        except BaseException as error:  # a bug of ours hangs nobody
            say(logging.CRITICAL, "what starts the items of %s has failed", self._name, error=error)
            self._broken = error
            self._refuse_all(error)
        finally:
            widened.pop(self.poke, None)
            if isinstance(pace, SharedPace):
                pace.rested.pop(self.poke, None)

    def _called(self) -> bool:
        """Asked when it is rung, and once a second: whoever was to ring may have been struck."""
        return self._poked or self._snapshot() != self._seen

    def _step(self) -> None:
        self._poked = False
        while True:
            now = monotonic_ns()
            with self.owner.lock:
                self._seen = self._snapshot()
                self.alarm = None
                late, chosen = self._sort_out(now), []
                if not late:
                    chosen = self._choose(now)
                self.over = self._nothing_left()
            if late:
                self._fail(late)
            elif chosen:
                self._hand_over(chosen)
            else:
                return

    def _nothing_left(self) -> bool:
        flow = self.owner.flow
        return flow.closed and flow.admitted == flow.finished

    def _sort_out(self, now: int) -> list[Any]:
        """Clear the line of what will not start; returns what fails by that. Under the lock."""
        owner = self.owner
        flow = owner.flow
        starts, late = flow.starts, []
        if flow.dropped != self._dropped:
            self._dropped = flow.dropped
            kept = owner.alive(starts)
            starts.clear()
            starts += kept
        if owner.draining:
            kept = [owner.in_place_of(each) for each in starts]
            starts.clear()
            starts += kept
        if owner.knows:
            late += [each for each in starts if each.__class__ is Known]
            for each in late:
                starts.remove(each)
        if self._queue_ns is not None:
            while starts and starts[0].since + self._queue_ns <= now:
                late.append(starts.popleft())
            if starts:
                self._wake_at(starts[0].since + self._queue_ns)
        return late

    def _choose(self, now: int) -> list[Any]:
        """What of the line starts now; it has left it. Under the lock."""
        starts, chosen = self.owner.flow.starts, []
        self.gate.workers = self.owner.engine.at_once
        while starts:
            line, at = self._standing(starts)
            if not self.gate.startable(line, now) or not self.gate.start(now):
                self._wake_at(self.gate.alarm(line, now))
                break
            chosen.append(starts[at])
            del starts[at]
        return chosen

    def _out(self) -> int:
        """Items that have left the line and have no outcome: what is in there has none either."""
        flow = self.owner.flow
        return flow.admitted - flow.finished - flow.held - len(flow.starts)

    def _standing(self, starts: deque[Any]) -> tuple[Standing, int]:
        """How it stands with the line, and where its first is."""
        out = self._out()
        room, at = self._room(starts, out)
        return Standing(len(starts), 0, out - self.owner.unsaid, room, True), at

    def _room(self, starts: deque[Any], out: int) -> tuple[int, int]:
        """How many items may start as far as bytes go, and which is the first: see `Handover._allowed`."""
        owner, flow, ledger = self.owner, self.owner.flow, self.owner.ledger
        if ledger is None:
            return UNBOUNDED, 0
        if flow.finished == flow.handed and ledger.weights:
            ledger.clear()
        room = ledger.allowance(out)
        flow.pass_gone()
        if room > 0 or out or flow.ready:
            return max(0, room), 0
        return 1, owner.foremost(starts)

    def _wake_at(self, at: int | None) -> None:
        if at is not None:
            self.alarm = at if self.alarm is None else min(self.alarm, at)

    def _fail(self, late: Sequence[Any]) -> None:
        """These do not start: their outcomes are known, or they have waited too long."""
        for start in late:
            if start.__class__ is Known:
                self.owner.tell(start)
            else:
                self.owner.expire(start)

    def _hand_over(self, chosen: list[Any]) -> None:
        """To the engine, and what it does not take is told why."""
        engine = self.owner.engine
        for posted in [[each] for each in chosen] if engine.capabilities.in_caller else [chosen]:
            try:
                engine.post(posted)
            except RuntimeError as error:
                self.owner.refused(posted, error)
                self._refuse_all(error)
            except BaseException:
                if not engine.capabilities.in_caller:
                    raise  # else it was raised by the item, whose future has it

    def _refuse_all(self, error: BaseException) -> None:
        """The engine takes nothing more: all that waits is told so."""
        owner = self.owner
        with owner.lock:
            rest = list(owner.flow.starts)
            owner.flow.starts.clear()
        for start in rest:
            if start.__class__ is Known:
                owner.tell(start)
            else:
                owner.refused([start], error)
