"""A flow that threads share: admitted on one side, started on an engine, handed over on the other side.

Laws
1. The flow is changed under `lock` only, and no code of a user runs under it (a key's __hash__ and __eq__ excepted).
   It is reentrant, because a signal handler or a finalizer may come back in; law 6 of core/flow.py makes that safe.
2. What may start waits in `flow.starts` and is posted by whoever pumps, one pump at a time, in order. It is removed
   after it was posted. So an interrupted pump leaves it there, and the next pump posts it again; `renewed` tells what
   is known to have arrived, and takes care that nothing runs twice.
3. Nothing is lost if a raising signal strikes: whoever comes next (put, take, an outcome, a look) pumps what was left.
4. With a ledger, a pump posts no more than that allows (core/ledger.py); so whoever hands something over pumps, too.
5. With a gate (gatekeeper.py) nobody pumps: its thread is told that there may be something to start, and does that.
"""

from __future__ import annotations

import threading
from _thread import get_ident
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import CancelledError
from time import monotonic
from typing import TYPE_CHECKING, Any

from procession import tapping
from procession.backends.base import Engine
from procession.core.flow import FlowCore
from procession.core.ledger import Ledger
from procession.core.task import Home
from procession.starts import Known
from procession.types import Raised
from procession.waiting import Bell
from procession.weighing import weigh

if TYPE_CHECKING:
    from procession.gatekeeper import Gatekeeper
    from procession.happenings import Stood
    from procession.replaying import Rerun
    from procession.starts import SinkFuture, StreamChunk
    from procession.stream_clocks import StreamClocks


class Handover(ABC):
    """A flow, its lock, the bell for those who wait, and the engine on which its items run."""

    clocks: StreamClocks | None = None  # where somebody wants to know what it waits for

    def __init__(self, engine: Engine, flow: FlowCore, ledger: Ledger | None = None) -> None:
        self.engine = engine
        self.flow = flow
        self.ledger = ledger
        self.stream_number = 0  # by which a tap knows it, if there was one when it began (tapping.py)
        self.gate: Gatekeeper | None = None
        self.homes: dict[Hashable, Home] | None = None
        self._head, self._since = -1, 0.0  # the item that finished ones were seen waiting for, and since when
        self.lock = threading.RLock()
        self.bell = Bell()  # for takers
        self._poster = 0  # the thread that pumps, or 0
        self._telling = False
        self._asked = False  # somebody wants a pump since the last look at what may start
        self.knows = False  # there may be a Known among `flow.starts`
        self.draining = False  # nothing more starts: what waits to is cancelled in its place in the line
        self.rerun: Rerun | None = None  # how an item that failed is run once more, where somebody may ask for it
        self.unsaid = 0  # items whose calls have ended, and that have no outcome yet (a journal)
        self._doubtful = 0  # of the first so many of `flow.starts` it is unknown whether they were posted

    def finished_untaken(self) -> int:
        """Items that have an outcome and were not handed over; see `tapping.Tap.watch`."""
        return self.flow.finished - self.flow.handed

    def known_as(self, kind: str, name: str, beside: bool = False) -> None:
        """Whoever looks on is to know of this stream. `beside`: it is not those who take that bring its items in."""
        self.stream_number = tapping.enter(self, kind, name)
        if self.stream_number:
            from procession.stream_clocks import clocked

            self.clocks = clocked(self, beside)

    def stood(self, now: int) -> Stood | None:
        """See `tapping.Streaming`."""
        return None if self.clocks is None else self.clocks.stood(now)

    def over(self, how: str) -> None:
        """It has ended like this ("finished", ..., see `happenings.Stood`); what is said first counts."""
        if self.clocks is not None:
            self.clocks.over(how)

    def seen(self) -> dict[str, Any]:
        """See `tapping.Streaming`. Read without the lock: numbers that do not quite fit are better than a wait."""
        flow = self.flow
        head = None if not flow.ordered or flow.finished <= flow.handed + flow.gone or flow.ready else flow.handed
        return {
            "engine": self.engine.number,
            "taken": flow.handed,
            "finished": flow.finished,
            "ready": self.finished_untaken(),
            "unfinished": flow.admitted - flow.finished,
            "head": head,
            "head_for": monotonic() - self._since if head is not None and head == self._head else 0.0,
        }

    def stick(self) -> None:
        """From now on the items of a key go to one worker: `homes` has one for each key that there has been."""
        self.homes = {}
        self.engine.obey()

    def give_home(self, start: SinkFuture | StreamChunk, key: Hashable) -> None:
        """It is of this key, and shares its home if there are any. Under the lock."""
        if self.homes is not None:
            start.home = self.homes.setdefault(key, Home())

    # -- outcomes --------------------------------------------------------------------------------------------------

    def arrived(self, start: int, outcomes: list[Any]) -> None:
        """Items have their outcomes; the engine's thread."""
        flow, ledger = self.flow, self.ledger
        weights = () if ledger is None else [weigh(outcome) for outcome in outcomes]
        with self.lock:
            flow.done(start, outcomes)
            for index, weight in enumerate(weights, start):
                self._came(index, weight, start, outcomes)
            self.look_at_head()
        if flow.starts or self.gate is not None:
            self.pump()
        if self.bell.sleepers and (flow.ready or flow.ended):
            self.bell.ring()

    def _came(self, index: int, weight: int, start: int = 0, run: list[Any] | None = None) -> None:
        """Enter a weight into the ledger, of an outcome of a run that begins at `start`; under the lock."""
        assert self.ledger is not None
        self.ledger.came(index, weight)

    def look_at_head(self) -> tuple[int | None, float]:
        """The item that finished ones wait for, and for how many seconds they have been seen to; None: they do not."""
        flow = self.flow
        head = flow.handed
        if not flow.ordered or flow.finished <= head + flow.gone or flow.ready:
            return None, 0.0
        if head != self._head:
            self._head, self._since = head, monotonic()
            return head, 0.0
        return head, monotonic() - self._since

    def stirred(self) -> bool:
        """Whether a taker should look; what was left undone is done on the way."""
        flow = self.flow
        if flow.starts:
            self.pump()
        return flow.ready or flow.ended

    # -- posting ---------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Post what may start, unless somebody is at it, who then looks again."""
        if self.gate is not None:
            self.gate.call()
            return
        starts = self.flow.starts
        me = get_ident()
        self._asked = True
        while starts and self._asked:
            mine = False
            try:
                with self.lock:
                    before = self._poster
                    if before and (before != me or self._telling or self.engine.capabilities.in_caller):
                        return
                    self._poster = me
                    mine = not before
                while starts:
                    self._asked = False
                    if not self._post_all(starts):
                        break
            finally:
                if mine:
                    self._poster = 0

    def _post_all(self, starts: deque[Any]) -> bool:
        """Post what may start now; False when that is nothing, though something waits."""
        batch = posted = list(starts)  # one step of the interpreter: others append meanwhile
        again = self._doubtful
        known: Sequence[Known] = ()
        reach = again or len(batch)
        if self.draining and not again:
            batch = posted = self._withdraw(batch)
        elif self.ledger is not None and not again:
            at, batch = self._allowed(batch, self.ledger)
            if not batch:
                return False
            posted, reach = batch, at + len(batch)
        if again:
            batch = batch[:again]
            posted = self._renew(batch)
        if self.knows:
            known = [each for each in posted if each.__class__ is Known]
            posted = [each for each in posted if each.__class__ is not Known]
        self._doubtful = reach
        refusal = None
        try:
            if posted:
                self.engine.post(posted)
        except RuntimeError as error:
            if not again:
                return True  # a signal handler may have raised it: an engine that refuses says so again
            refusal = error
        if known or refusal is not None:
            self._tell(known, posted, refusal)
        for each in batch:  # by identity: a signal handler may have pumped meanwhile
            if starts and starts[0] is each:
                del starts[0]
            elif reach > len(batch) and each in starts:
                starts.remove(each)
        self._doubtful = 0
        return True

    def _allowed(self, batch: list[Any], ledger: Ledger) -> tuple[int, list[Any]]:
        """What of `batch` may start now, and where in it that begins: all that there is room for, from its head on.

        When nothing is out and nothing is ready, the item that the order waits for (core/ledger.py, law 3).
        """
        flow = self.flow
        with self.lock:
            if flow.finished == flow.handed and ledger.weights:
                ledger.clear()
            out = self._out(batch)
            room = ledger.allowance(out)
            flow.pass_gone()
            blocked = not out and not flow.ready
        count = 0
        for each in batch:
            room -= each.size
            if room < 0:
                break
            count += 1
        if count or not blocked:
            return 0, batch[:count]
        at = self.foremost(batch)
        return at, [batch[at]]

    @staticmethod
    def foremost(batch: Sequence[Any]) -> int:
        """The place of the one that the order waits for."""
        return min(range(len(batch)), key=lambda at: batch[at].index)

    def alive(self, starts: Sequence[Any]) -> list[Any]:
        """Of these, all that are still to start."""
        return list(starts)

    def expire(self, start: Any) -> None:
        """One that was in the line has waited too long to start: it fails."""
        raise NotImplementedError

    def _out(self, starts: list[Any]) -> int:
        """Items that have started, and have no outcome. Under the lock; `starts`: what waits to be posted."""
        flow = self.flow
        return max(0, flow.admitted - flow.finished - flow.held - self.unfinished(starts))

    def stalled(self) -> bool:
        """Whether nothing runs, and nothing will before somebody takes a result: these fill the bound of bytes."""
        flow, ledger = self.flow, self.ledger
        if ledger is None or not flow.starts:
            return False
        with self.lock:
            flow.pass_gone()
            return flow.ready and ledger.allowance(0) <= 0 and not self._out(list(flow.starts))

    def unfinished(self, batch: list[Any]) -> int:
        """Items of `batch` that have no outcome."""
        return sum([each.size for each in batch])

    def _renew(self, batch: list[Any]) -> list[Any]:
        """What of `batch`, the head of `starts`, is to be posted again; it takes its predecessor's place there."""
        starts = self.flow.starts
        posted = []
        for at, each in enumerate(batch):
            fresh = each if each.__class__ is Known else each.renewed()
            if fresh is None:
                continue
            if at < len(starts) and starts[at] is each:
                starts[at] = batch[at] = fresh
            posted.append(fresh)
        return posted

    def _tell(self, known: Sequence[Known], posted: list[Any], refusal: RuntimeError | None) -> None:
        """What was not posted has its outcome by that; what this lets start is posted by the pump that is running."""
        self._telling = True
        try:
            if refusal is not None:
                self.refused(posted, refusal)
            for each in known:
                self.tell(each)
        finally:
            self._telling = False

    def tell(self, known: Known) -> None:
        """These have their outcomes; said once, however often it is tried."""
        with self.lock:
            if not known.told:
                self.flow.done(known.index, known.outcomes)
                known.told = True
        self.bell.ring()

    def _withdraw(self, batch: list[Any]) -> list[Any]:
        """In the place of each of `batch`, the head of `starts`, what has its outcome."""
        starts = self.flow.starts
        withdrawn = []
        for at, each in enumerate(batch):
            fresh = self.in_place_of(each)
            if at < len(starts) and starts[at] is each:  # else a signal handler has pumped meanwhile
                starts[at] = fresh
                withdrawn.append(fresh)
        return withdrawn

    def in_place_of(self, start: Any) -> Known:
        """What takes the place of this one, which does not start any more."""
        if start.__class__ is Known:
            return start
        return Known(start.index, [Raised(CancelledError()) for _ in range(start.size)])

    @abstractmethod
    def refused(self, posted: list[Any], error: BaseException) -> None:
        """The engine takes these no more, and why."""
