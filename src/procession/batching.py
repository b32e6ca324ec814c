"""`SpinOff(batch=)`: items that run together, as one call of the function.

Each item has a future of its own, which no engine sees; what is posted is a *call*, a future for some of them. What
core/gate.py decides is done here, by the gatekeeper's thread; so is what the outcome of a call means for its items.

Laws
1. An item is in one place: in the line, in one call that is out, among those that are to run alone, or done.
2. An item that has not begun may be cancelled. Is its call with the engine already, that is taken back, and the others
   are first in the line again. Once a call has begun it ends as a whole: none of several items is cancelled alone.
   Once all of it is cancelled no call begins any more, whoever makes room by ending.
3. What the end of a call is to its items is said in together.py. Those that run again alone start at the gate.
4. Outcomes are heard by the gatekeeper's thread, in which an array of results may be taken apart; engines only ring.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures._base import FINISHED
from heapq import heappop, heappush
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from procession.backends import tasks
from procession.backends.base import Function
from procession.core.gate import Gate, Standing
from procession.core.rules import Rules
from procession.gatekeeper import Gatekeeper
from procession.starts import Known, SinkFuture
from procession.together import attempts_after, may_run_alone, note_company, outputs_of, rules_of_several
from procession.transport import remote
from procession.types import Raised

if TYPE_CHECKING:
    from procession.spinoff_core import SpinCore


class BatchItem(SinkFuture):
    """An item that runs together with others."""

    call: Call | None = None
    since = 0
    unwanted = False  # whoever cancels it has asked for its call to be taken back

    def running(self) -> bool:
        """True while its call is being run."""
        call = self.call
        return call is not None and not self.done() and call.running()

    def cancel_unstarted(self) -> bool:
        """See `CallFuture`; one that waits to run again has started."""
        return not self.tries and super().cancel_unstarted()


class Call(SinkFuture):
    """Items that run together."""

    begun = False  # it could not be taken back: it has begun

    def __init__(self, function: Function, body: Any) -> None:
        super().__init__(function, body)
        self.items: list[BatchItem] = []
        self.bodies: list[Any] = []  # as long as it may run: they may own what lies in an arena

    def gather(self, items: Sequence[BatchItem]) -> list[BatchItem]:
        """It is to run these, but for those that have been cancelled just now, which it returns."""
        gone = []
        with tasks.LOCK:
            for item in items:
                if item.claim(0):
                    item.call = self
                    self.items.append(item)
                    self.bodies.append(item.body)
                else:
                    gone.append(item)
        return gone


class Batcher(Gatekeeper):
    """See the module."""

    def __init__(self, owner: SpinCore, gate: Gate, rules: Rules | None, said: Rules | None) -> None:
        """`said`: the rules without what the pace adds to the wait before a further run."""
        super().__init__(owner, gate, owner.function.name, rules.queue_ns if rules is not None else None)
        self._core = owner
        self._objects = not owner.engine.capabilities.pickles
        self._rules = rules  # of an item that runs alone
        self._said = said
        self._shared = rules_of_several(rules)
        self._calls: dict[Call, None] = {}
        self._arrived: deque[Call] = deque()
        self._later: list[tuple[int, int, BatchItem]] = []  # when they are to run alone
        self._flushed = 0
        self._cancelled = False

    # -- from anywhere -------------------------------------------------------------------------------------------------

    def mark(self, item: Any) -> None:
        """See `Gatekeeper.mark`. Its part of a call is the argument itself, if that need not be pickled."""
        super().mark(item)
        item._owner = self
        body = item.body
        if body is not None:
            arguments = body[0] if self._objects else body
            item.body = arguments[0] if type(arguments) is tuple else (arguments,)

    def flush(self) -> None:
        """See `Gatekeeper.flush`."""
        self._flushed = self.owner.flow.admitted
        self.poke()

    def cancel(self) -> None:
        """End all that is out."""
        self._cancelled = True
        for call in list(self._calls):
            call.cancel()

    def settled(self, futures: list[Any]) -> None:
        """See `tasks.Sink`: of calls."""
        self._arrived.extend(futures)
        self.poke()

    def cancel_leased(self, item: BatchItem, kill: bool) -> bool:
        """See `LeasedCanceller`: for items that are in a call. Law 2."""
        call = item.call
        if call is None and item.wid is None:
            return item._cancel(kill)  # it is in the line again, since this was asked
        ends = kill and call is not None and len(call.items) == 1
        if call is None or (call.begun and not ends):
            return item.cancelled()
        item.unwanted = True
        if not (call.cancel() if ends else call.cancel_unstarted()):
            item.unwanted, call.begun = False, True
            return item.cancelled()
        for watched in self._end([item]):
            tasks.run_callbacks(watched)
        self.poke()
        return True

    def _end(self, items: Sequence[BatchItem]) -> list[Any]:
        """These are cancelled; returns those with callbacks to be run."""
        with tasks.LOCK:
            for item in items:
                item.wid = None
        return tasks.cancel_now(items)

    # -- what starts ---------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        while self._arrived:
            call = self._arrived.popleft()
            if call in self._calls:
                self._hear(call)
                del self._calls[call]  # not before: should that fail, its items are told so
        if self._cancelled:
            self._cancel_line()
        super()._step()

    def _cancel_line(self) -> None:
        """What waits is cancelled. Whoever has asked for that does the same, unless a signal has struck him."""
        while True:
            line = [each for each in list(self.owner.flow.starts) if each.__class__ is not Known]
            waiting = [item for item in (*line, *(item for _, _, item in self._later)) if not item.done()]
            if not waiting:
                return
            self._run_callbacks(self._end(waiting))

    def _run_callbacks(self, watched: list[Any]) -> None:
        """Not here: they may wait for room."""
        for future in watched:
            self._core.errands.post(lambda future=future: tasks.run_callbacks(future))  # type: ignore[misc]

    def _called(self) -> bool:
        return super()._called() or bool(self._arrived)

    def _choose(self, now: int) -> list[Any]:
        """The items of one call, or none. Under the lock."""
        if self._cancelled:
            return []
        gate, starts = self.gate, self.owner.flow.starts
        while self._later and self._later[0][2].done():
            heappop(self._later)
        if self._later and self._later[0][0] <= now:
            line = Standing(1, now, len(self._calls), last=True)
            if gate.startable(line, now) and gate.start(now):
                return [heappop(self._later)[2]]
            self._wake_at(gate.alarm(line, now))
            return []
        if self._later:
            self._wake_at(self._later[0][0])
        if not starts:
            return []
        line, at = self._standing(starts)
        count = gate.startable(line, now)
        if not count or not gate.start(now):
            self._wake_at(gate.alarm(line, now))
            return []
        if at:
            starts.rotate(-at)
            first = starts.popleft()
            starts.rotate(at)
            return [first]
        return [starts.popleft() for _ in range(count)]

    def _standing(self, starts: deque[Any]) -> tuple[Standing, int]:
        flow = self.owner.flow
        room, at = self._room(starts, self._out())
        foremost = starts if self._core.key is not None else (starts[0],)  # with keys, older ones may come later
        flushed = any(item.index < self._flushed for item in foremost)
        full = flow.room <= 0 and not self._calls and not self._later
        return Standing(len(starts), starts[0].since, len(self._calls), room, flow.closed or flushed or full), at

    def _hand_over(self, chosen: list[Any]) -> None:
        core = self._core
        call = Call(core.function, None)
        call.sink, call._owner = self, core.canceller  # whoever cancels one of its items takes it back by that
        self._calls[call] = None
        gone = call.gather(chosen)
        self._run_callbacks(tasks.cancel_now(gone))  # whoever did may have been struck before he had told anybody
        items = call.items
        if not items:
            del self._calls[call]
            return
        call.tries, call.attempts = items[0].tries, items[0].attempts
        try:
            call.body = core.engine.encode(core.function, (call.bodies,), {})
        except Exception as error:  # each of them could be pickled
            del self._calls[call]
            core.answer(items, [Raised(error)] * len(items))
            return
        rules = self._rules if len(items) == 1 else self._shared
        if rules is not None:
            call.obey(rules)
        super()._hand_over([call])
        if self._cancelled:  # since these were chosen: whoever did has not seen this call, or before it was posted
            call.cancel()

    # -- what comes back -----------------------------------------------------------------------------------------------

    def _hear(self, call: Call) -> None:
        items = call.items
        if call._state is not FINISHED:
            self._taken_back(items)
            return
        error = call._exception
        if error is not None and len(items) > 1:
            note_company(call, error, len(items))
            rules = self._said
            if rules is not None and not self._cancelled and may_run_alone(call, error, rules, self.owner.engine):
                self._run_alone(call, error, rules)
                return
        for item in items:
            item.tries, item.call = call.tries, None  # it keeps nothing of the others
        outcomes = _outcomes(call) if error is None else [Raised(error)] * len(items)
        self._core.answer(items, outcomes)

    def _taken_back(self, items: list[BatchItem]) -> None:
        """Their call was cancelled: for the sake of one of them that had not begun, or with everything."""
        wanted = not self._cancelled and any(item.unwanted for item in items)
        back = [item for item in items if wanted and not item.unwanted and not item.done()]
        going = set(back)
        self._run_callbacks(self._end([item for item in items if item not in going]))
        self._release(back)
        with self.owner.lock:
            self.owner.flow.starts.extendleft(reversed(back))
            self._dropped = -1  # whoever was cancelled meanwhile

    def _release(self, items: list[BatchItem]) -> None:
        with tasks.LOCK:
            for item in items:
                item.call, item.wid = None, None

    def _refuse_all(self, error: BaseException) -> None:
        """See `Gatekeeper`. What is out has its outcome as ever, unless nobody is here to hear it."""
        super()._refuse_all(error)
        lost = [item for _, _, item in self._later]
        if self._broken is not None:
            lost += [item for call in list(self._calls) for item in call.items]
        self._later.clear()
        self._core.refused(lost, error)

    def _run_alone(self, call: Call, error: BaseException, rules: Rules) -> None:
        now = monotonic_ns()
        when = now + rules.delay_ns(call.tries + 1, now)
        for item in call.items:
            item.tries, item.attempts = call.tries + 1, attempts_after(call, error, rules)
            heappush(self._later, (when, item.index, item))
        self._release(call.items)


def _outcomes(call: Call) -> list[Any]:
    """Of each of its items, of a call that ended well; what could not be rebuilt in the worker has failed there."""
    made, unbuilt, count = call._result, {}, len(call.items)
    if type(made) is tuple:
        made, unbuilt = made
    left = iter(outputs_of(call.function.name, made, count - len(unbuilt)))
    return [Raised(remote.decode(unbuilt[place])) if place in unbuilt else next(left) for place in range(count)]
