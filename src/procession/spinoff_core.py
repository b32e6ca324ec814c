"""What is behind a SpinOff: a flow of futures over an engine of its own.

Laws
1. `open` has every admitted item that has no outcome yet; who takes an item out of it tells the flow, so each is told
   once. It is told by the engine's thread (`settled`), or by the thread that cancelled.
2. What has no taker is handed over where it arrives: `iterate=False` keeps nothing but what is under way.
3. The engine is told to end when the flow is closed and everything has its outcome: until then items that wait for
   their key must still be posted.
4. No thread refers to the SpinOff itself, only to this; so one that is dropped is noticed, closed, and finishes.
"""

from __future__ import annotations

import logging
import os
import threading
from _contextvars import copy_context
from _pickle import PicklingError
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures._base import FINISHED
from itertools import count
from typing import TYPE_CHECKING, Any

from procession._native import native
from procession.backends import tasks
from procession.backends.base import Engine, Function
from procession.backends.saying import say
from procession.core.flow import NOTHING, UNBOUNDED, FlowCore
from procession.core.ledger import Ledger
from procession.core.rules import SECOND, Rules
from procession.errands import Errands
from procession.errors import TaskTimeout
from procession.handover import Handover
from procession.options import Overflow
from procession.record import record
from procession.seeing.progress import OFF, Meter
from procession.starts import Known, SinkFuture, failed
from procession.surroundings import here
from procession.types import Failure, Raised
from procession.waiting import Bell
from procession.weighing import weigh

if TYPE_CHECKING:
    from procession.journal import Journal
    from procession.spinoff_journal import JournalSpin

SIGKILL = 9


_NO_WORDS: dict[str, Any] = {}


@record
class Words:
    """How a SpinOff treats its items."""

    maxsize: int = 1000
    buffer_bytes: int | None = None
    overflow: Overflow = "block"
    iterate: bool = True
    on_result: Callable[[Any], object] | None = None
    on_error: Any = "raise"
    ordered: bool = True
    key: Callable[[Any], Hashable] | None = None
    sticky: bool = False
    rules: Rules | None = None
    batch: int | None = None
    max_wait: float | None = None
    rate: float | None = None
    seed: int | None = None
    capture: bool = False
    journal: str | os.PathLike[str] | Journal | None = None
    item_id: Callable[[Any], Any] | None = None


class SpinCore(Handover):
    """See the module."""

    kept: JournalSpin | None = None
    """Itself, if it has a journal."""

    def __init__(self, engine: Engine, function: Function, words: Words) -> None:
        passes = not words.iterate and words.on_result is None
        flow = FlowCore(words.maxsize or UNBOUNDED, ordered=words.ordered and not passes)
        bounded = words.buffer_bytes is not None and not passes  # what passes does not wait
        first = engine.max_workers * (words.batch or 1)
        super().__init__(engine, flow, Ledger(words.buffer_bytes or 1, first) if bounded else None)
        self.function = function
        self.words = words
        self.meter: Meter = OFF  # see watching.py
        self.open: dict[int, SinkFuture] = {}
        self.room = Bell()  # for those who put
        self.settling = Bell()  # for those who wait for items to finish
        self.known_as("SpinOff", function.name, beside=True)
        self.how = "finished"  # it ends, see `happenings.Stood`
        self.errands = Errands(function.name)
        self.passes = passes
        self.owed: deque[SinkFuture] = deque()  # failures that nobody takes and that are to be told
        self.takers: dict[threading.Thread, None] = {}
        self.dropped = self.refused_new = self.failed = self.teardown_told = 0
        self.retired = self.killed = False
        self.waiter: threading.Thread | None = None
        self.key = words.key
        self.tells_items = callable(words.on_error)
        self.canceller: Any = engine if hasattr(engine, "cancel_leased") else None
        self.rules = words.rules
        self.future_type: type[SinkFuture] = SinkFuture
        self.places: Iterator[int] | None = None if words.seed is None else count()  # for what each draws at random
        self._pid = os.getpid()

    def let_go(self, futures: Iterable[SinkFuture]) -> None:
        """These were handed over, or dropped: what waits for the room of their results may start."""
        ledger = self.ledger
        if ledger is None:
            return
        with self.lock:
            for future in futures:
                ledger.left(future.index)
        if self.flow.starts:
            self.pump()

    def alive(self, starts: Sequence[Any]) -> list[Any]:
        """See `Handover.alive`."""
        return [each for each in starts if each.index in self.open]

    def expire(self, start: Any) -> None:
        """See `Handover.expire`."""
        limit = 0.0 if self.rules is None else (self.rules.queue_ns or 0) / SECOND
        self.answer([start], [Raised(TaskTimeout(self.function.name, "queued", limit, limit))])

    def unfinished(self, batch: list[Any]) -> int:
        """See `Handover.unfinished`: those that were cancelled while they waited have their outcome."""
        return len([each for each in batch if each.index in self.open])

    # -- outcomes --------------------------------------------------------------------------------------------------

    def settled(self, futures: list[SinkFuture]) -> None:
        """See `tasks.Sink`."""
        flow, unsettled, ledger = self.flow, self.open, self.ledger
        weights = [] if ledger is None else [(each, weigh(each._result)) for each in futures]
        with self.lock:
            for future, weight in weights:
                if unsettled.get(future.index) is future and future._state is FINISHED:
                    self._came(future.index, weight)
            if native is not None and not self.passes and (start := native.run_of(futures, unsettled)) is not None:
                flow.done(start, futures)
                native.forget(futures, unsettled)  # as below: with no call between
                futures = []
            for future in futures:
                index = future.index
                if unsettled.get(index) is not future:
                    continue
                if future._state is not FINISHED:
                    flow.drop(index)
                else:
                    if future._exception is not None:
                        self.failed += 1
                    flow.done_one(index, future)
                del unsettled[index]  # after the call that told the flow, with no call between (law 6 of the flow)
            self.look_at_head()
            if self.passes:
                self.owed += [future for future in flow.take_all() if future._exception is not None]
        self.stir()

    def stir(self) -> None:
        """Something has changed: whoever waits for it is to look."""
        flow = self.flow
        idle = flow.admitted == flow.finished
        last = idle and flow.closed and not self.retired
        if last:
            with self.lock:
                pass  # whoever finished the last item has left what is owed for it
        if flow.starts or self.gate is not None:
            self.pump()
        if self.words.on_result is not None and flow.ready:
            self.errands.post(self.deliver)
        if self.owed:
            self.errands.post(self._tell_owed)
        if self.bell.sleepers and (flow.ready or flow.ended):
            self.bell.ring()
        if self.room.sleepers and (flow.room > 0 or flow.closed or idle or self.stalled()):
            self.room.ring()
        if last:
            self.retire()
        if self.settling.sleepers:
            self.settling.ring()

    def look_again(self) -> None:
        """What a raising signal kept from being told is told now."""
        late = [future for future in list(self.open.values()) if future.done()]
        if late:
            self.settled(late)
        self.stir()

    def retire(self) -> None:
        """Everything has its outcome and nothing comes: the workers may go. `stir` has posted all errands."""
        if self.meter:
            self.errands.post(self.meter.close)
        self.retired = True
        self.over(self.how)
        self.errands.close()
        self.engine.shutdown(wait=False, cancel=False)

    def tell(self, known: Known) -> None:
        """See `Handover.tell`; of one item."""
        future = self.open.get(known.index)
        if future is not None:
            self.answer([future], known.outcomes)

    def refused(self, posted: list[Any], error: BaseException) -> None:
        """See `Handover.refused`."""
        self.answer(posted, [Raised(error) for _ in posted])

    def answer(self, futures: Sequence[Any], outcomes: list[Any]) -> None:
        """These have their outcomes by us."""
        for future in tasks.resolve(futures, outcomes):
            self.errands.post(lambda future=future: tasks.run_callbacks(future))  # type: ignore[misc]

    # -- the one outlet --------------------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Hand over to on_result what is ready; an errand."""
        on_result = self.words.on_result
        assert on_result is not None
        while True:
            with self.lock:
                future = self.flow.take()
            if future is NOTHING:
                break
            self.let_go((future,))
            if self.room.sleepers:
                self.room.ring()
            self.deliver_one(on_result, future)

    def deliver_one(self, on_result: Callable[[Any], object], future: SinkFuture) -> None:
        """This one, which has been taken for it."""
        error = future._exception
        if error is None:
            on_result_safely(on_result, future._result)
        elif self.words.on_error == "return":
            on_result_safely(on_result, error)
        else:
            self._failed(future)

    def _tell_owed(self) -> None:
        """Tell of the failures that nobody takes; an errand."""
        try:
            while self.owed:
                self._failed(self.owed.popleft())
        finally:
            if self.owed:  # on_error has raised
                self.errands.post(self._tell_owed)

    def _failed(self, future: SinkFuture) -> None:
        """A failure that nobody can be given; an errand."""
        error, on_error = future._exception, self.words.on_error
        assert error is not None
        if callable(on_error):
            on_error(failure_of(self, future))
        elif on_error == "raise":
            say(logging.ERROR, "%s failed on item %d", self.function.name, future.index, error=error)

    # -- putting ---------------------------------------------------------------------------------------------------

    def make(self, item: Any) -> tuple[SinkFuture, BaseException | None]:
        """The call on `item`, and why its arguments cannot be sent, if so."""
        error: BaseException | None = None
        body: object = None
        place: int | None = None
        try:
            if self.places is not None:
                place = next(self.places)
            args = (item,) if place is None else (item, place)
            around = here(self.engine) if self.words.batch is None and copy_context() else None
            body = self.engine.encode(self.function, args, _NO_WORDS, around)
        except PicklingError as problem:
            error = problem
        future = self.future_type(self.function, body)
        future.sink = self
        future._owner = self.canceller
        if self.tells_items:
            future.item, future.place, future.context = item, place, copy_context()
        if self.rules is not None:
            future.obey(self.rules)
        if self.gate is not None:
            self.gate.mark(future)
        return future, error

    def lane(self, item: Any) -> Hashable:
        """The key of an item; raises what the key function raises, TypeError when it cannot be hashed."""
        assert self.key is not None
        lane = self.key(item)
        hash(lane)
        return lane

    def admit(self, future: SinkFuture, error: BaseException | None, lane: Hashable) -> bool:
        """Take it in if there is room. Raises RuntimeError after the end."""
        flow = self.flow
        self.refuse_foreign()
        with self.lock:
            if flow.closed:
                raise RuntimeError("cannot put into a SpinOff after close() or cancel()")
            if flow.room <= 0:
                return False
            index = future.index = flow.admitted
            call = future if self.kept is None else self.kept.call_of(future)
            start: Any = call if error is None else failed(index, error)
            self.knows = self.knows or error is not None
            if self.key is None:
                flow.admit_one(start)
            else:
                self.give_home(call, lane)
                flow.admit_keyed(lane, start)
            self.open[index] = future  # after the call that admitted it, with no call between (law 6 of the flow)
        return True

    def may_put(self) -> bool:
        """Whether it is worth trying again."""
        return self.flow.room > 0 or self.flow.closed

    # -- ending ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """No more in; the rest runs. Any thread, a finalizer included."""
        with self.lock:
            self.flow.close()
        if self.clocks is not None:
            self.clocks.dries()
        self.stir()
        self.bell.ring()

    def cancel(self) -> int:
        """Close, and cancel what has not started; returns how many items that were."""
        self.how = "cancelled"
        self.close()
        if self.gate is not None:
            self.gate.cancel()
        count = sum([future.cancel() for future in reversed(list(self.open.values()))])
        self.stir()
        return count

    def is_ours(self) -> bool:
        """False in a forked child, where whoever held the lock may not exist."""
        return self._pid == os.getpid()

    def refuse_foreign(self) -> None:
        """RuntimeError in a forked child: nothing of this works there."""
        if self._pid != os.getpid():
            raise RuntimeError("this SpinOff belongs to the parent process, which forked: make a new one here")


def funnel_of(core: SpinCore) -> Any:
    """The short way for plain items (`_native/funnel.c`); None where each item needs more than that."""
    door = getattr(core.engine, "door", None)
    needs = (core.ledger, core.key, core.gate, core.rules, core.places, core.kept)
    if door is None or any(each is not None for each in needs) or core.tells_items:
        return None
    parts = (core.flow, core.open, core.lock, core.function, SinkFuture, core, core.canceller, door)
    return native.Funnel(*parts, core.words.iterate)


def failure_of(core: SpinCore, future: SinkFuture) -> Failure:
    """The record of an item that failed."""
    error, rerun = future._exception, core.rerun
    assert error is not None
    if rerun is not None and core.words.batch is None:
        rerun = rerun.within(future.context)
    return Failure(future.index, (future.item,), error, future.tries + 1, None, rerun, future.place)


def on_result_safely(on_result: Callable[[Any], object], value: Any) -> None:
    """Errors of on_result are logged; the next result is delivered all the same."""
    try:
        on_result(value)
    except BaseException as error:
        say(logging.ERROR, "an error in on_result=%r", on_result, error=error)
