"""`SpinOff(journal=)`: what is put is kept in a file before `put` returns, and what comes of it before anybody gets it.

Laws
1. *Taken in.* `put` returns when the journal has the item. The item may begin to run before that. Puts of several
   threads and coroutines, and those of a `put_many`, share commits. If the journal fails, put raises that, and the
   item is withdrawn.
2. *Outcomes.* A promise (spinoff_promises.py) gets its outcome on the journal's thread, after the commit. Nothing of a
   user runs there, and nobody waits there.
3. *Handed over* (spinoff_hands.py): when the taker asks for more; with on_result= when that has returned; where nobody
   takes anything, when the promise has its outcome. The journal has it before the next one is handed over.
4. *The next program* first takes in what was accepted and not handed over, in its old order: what has an outcome has
   its place in the order, the rest runs. `maxsize` does not bound it.
5. *The end.* An item that was cancelled by its own future, or dropped because there was no room, never runs again. When
   the SpinOff is cancelled, left by an exception or killed, nothing is forgotten: what has no outcome is for the next
   program, and so is what nobody has taken.
6. *The journal fails* (once, for good). What has no outcome gets that error, or is cancelled where its put has not
   returned; what waits to be taken is not handed over. Nothing hangs; the file has what it had.
7. *The file is let go* when nothing more is to be written: everything has its outcome and was handed over; or
   everything has its outcome and nobody is there to take it; or it was left by an exception.
8. An item's number (`seq`) is its place among all puts of all programs, but for gaps where a put was interrupted; with
   `seed` what it draws at random depends on that. Numbers are given, and items posted, in the order of the flow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from concurrent.futures._base import FINISHED
from threading import RLock
from typing import TYPE_CHECKING, Any

from procession.backends import tasks
from procession.backends.base import Engine, Function
from procession.backends.saying import say
from procession.core.flow import UNBOUNDED
from procession.errors import JournalError
from procession.journal.outcomes import counts
from procession.journal.refusals import again
from procession.spinoff_core import Words
from procession.spinoff_giving import GivingSpin
from procession.spinoff_inlet import Inlet
from procession.spinoff_promises import BatchPromise, Kept, Promise
from procession.spinoff_relay import Relay
from procession.starts import SinkFuture
from procession.types import Raised

if TYPE_CHECKING:
    from collections.abc import Hashable

    from procession.journal.queued import QueueJournal


class JournalSpin(GivingSpin):
    """See the module."""

    def __init__(self, engine: Engine, function: Function, words: Words, journal: QueueJournal) -> None:
        super().__init__(engine, function, words, journal)
        self.kept = self
        self.future_type = Promise if words.batch is None else BatchPromise
        self.relay = Relay(self)
        self.inlet = Inlet(self)
        self.number = journal.next_seq  # of the next item
        self._drawn = 0  # the number by which the item draws that is being made
        if self.places is not None:
            self.places = iter(lambda: self._drawn, None)
        self.puts = RLock()  # of those whose items are looked up, or numbered, before they are taken in
        self.known: dict[Any, Kept] = {}  # by their own ids: those whose outcome the file does not have
        self.forgotten = 0  # how many have left `known`
        self.ending = False  # as a whole: nothing is withdrawn from the journal
        self.at_once = engine.capabilities.in_caller  # an item runs in `put`, and has its outcome when that returns

    # -- putting -----------------------------------------------------------------------------------------------------

    def make(self, item: Any) -> tuple[SinkFuture, BaseException | None]:
        """See `SpinCore.make`. With `seed` the caller has `puts`, and takes it in next."""
        return self.make_numbered(self.number, item)

    def make_numbered(self, number: int, item: Any) -> tuple[Kept, BaseException | None]:
        """The same of the item that has this number, or will have it."""
        self._drawn = number
        made, error = super().make(item)
        assert isinstance(made, Kept)
        call = made.run_by
        if call is not made:
            call.sink, call._owner = self.relay, self.canceller
            if self.rules is not None:
                call.obey(self.rules)
            if self.gate is not None:
                self.gate.mark(call)
        return made, error

    def call_of(self, future: SinkFuture) -> SinkFuture:
        """What an engine, or a gate, is given for it."""
        assert isinstance(future, Kept)
        return future.run_by

    def admit(self, future: SinkFuture, error: BaseException | None, lane: Hashable) -> bool:
        """See `SpinCore.admit`. The journal comes first: what it has and this run has not is for the next program."""
        assert isinstance(future, Kept)
        flow = self.flow
        with self.lock:
            if self.broken is not None:
                raise again(self.broken)
            if not flow.closed and flow.room > 0:
                future.seq = self.number
                self.number = future.seq + 1  # before the rest: a signal may strike there, and no number is given twice
                receipt = self.receipt()
                form, data = future.packed
                self.journal.accept([(future.seq, future.known_by, form, data)], receipt)
                future.taken, future.packed = receipt, ()
                future.run_by.index = flow.admitted
                if future.known_by is not None:
                    self.known[future.known_by] = future
            return super().admit(future, error, lane)

    def pump(self) -> None:
        """See `Handover.pump`. Items never run on the journal's thread."""
        if self.at_once and self.gate is None and self.flow.starts and self.journal.writer.here:
            self.errands.post(super().pump)
        else:
            super().pump()

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def keep(self, promises: Sequence[Kept], outcomes: list[Any]) -> None:
        """Their calls have come to this: it goes into the journal, and then to them."""
        if self.file_gone:
            self.give_up(promises)
            return
        if self.broken is not None:
            self._fail(promises)
            return
        if self.ending and any(map(ended_by_us, outcomes)):
            pairs = list(zip(promises, outcomes, strict=True))
            self.give_up([each for each, outcome in pairs if ended_by_us(outcome)])
            pairs = [pair for pair in pairs if not ended_by_us(pair[1])]
            promises, outcomes = [each for each, _ in pairs], [outcome for _, outcome in pairs]
        with self.lock:
            self.unsaid += len(promises)
        entries = [(each.seq, outcome, None) for each, outcome in zip(promises, outcomes, strict=True)]
        self.journal.record(entries, lambda told: self._told(promises, told), lambda error: self._lost(promises, error))
        for each in promises:
            each.posted = True
        if self.gate is not None:
            self.gate.poke()

    def _told(self, promises: Sequence[Kept], outcomes: list[Any]) -> None:
        """The journal has these outcomes, but for those that say nothing about the item; on its thread."""
        with self.lock:
            self.unsaid -= len(promises)
        for each, outcome in zip(promises, outcomes, strict=True):
            each.recorded = outcome.__class__ is not Raised or counts(outcome.error)
            if each.recorded:
                self._forget(each)
        super().answer(promises, outcomes)

    def _lost(self, promises: Sequence[Kept], error: JournalError) -> None:
        with self.lock:
            self.unsaid -= len(promises)
        if self.file_gone:
            self.give_up(promises)
        else:
            self.lose(error)

    def _forget(self, promise: Kept) -> None:
        """Its id need not be known here: it is in the file with its outcome, or was cancelled."""
        with self.lock:
            if promise.known_by is not None and self.known.get(promise.known_by) is promise:
                del self.known[promise.known_by]
                self.forgotten += 1

    def answer(self, futures: Sequence[Any], outcomes: list[Any]) -> None:
        """See `SpinCore.answer`: by something else than their calls."""
        ended: dict[Kept, Any] = {}
        with self.lock:
            for future, outcome in zip(futures, outcomes, strict=True):
                promise: Any = self.open.get(future.index)
                if promise is not None and not promise.posted:
                    ended[promise] = outcome
        if ended:
            self.keep(list(ended), list(ended.values()))

    def refused(self, posted: list[Any], error: BaseException) -> None:
        """See `Handover.refused`: that says nothing about the items, which are for the next program."""
        with self.lock:
            found = [self.open.get(each.index) for each in posted]
        self._answer_unkept([each for each in found if each is not None], lambda: error)

    def _answer_unkept(self, promises: Sequence[Any], error: Callable[[], BaseException]) -> None:
        for each in promises:
            each.posted = True
        super().answer(promises, [Raised(error()) for _ in promises])

    def give_up(self, promises: Sequence[Any]) -> None:
        """These are cancelled, whatever runs them."""
        with tasks.LOCK:
            for each in promises:
                each.wid = None
        self.withdraw(promises)

    def settled(self, futures: list[SinkFuture]) -> None:
        """See `SpinCore.settled`: of promises."""
        with self.lock:
            mine: list[Any] = [each for each in futures if self.open.get(each.index) is each]
            gone = [each for each in mine if each._state is not FINISHED and each.dropped is None]
            if gone and not self.ending and self.broken is None:
                self.forget(gone)
        for each in gone:
            self._forget(each)
        if self.passes:
            self.hand_over([each.seq for each in mine if each.recorded])
        super().settled(futures)

    def forget(self, promises: Sequence[Kept]) -> None:
        """These never run, or are never handed over: the journal is to forget them."""
        receipt = self.receipt()
        self.journal.drop([each.seq for each in promises], receipt)
        for each in promises:
            each.dropped = receipt

    def withdraw(self, promises: Sequence[Kept]) -> None:
        """Their calls were cancelled: so are they."""
        for watched in tasks.cancel_now(promises):
            self.errands.post(lambda watched=watched: tasks.run_callbacks(watched))  # type: ignore[misc]

    def look_again(self) -> None:
        """See `SpinCore.look_again`."""
        late = [each for each in list(self.open.values()) if not each.done()]
        ended = [each.run_by for each in late if each.run_by is not each and each.run_by.done()]  # type: ignore[attr-defined]
        self.relay.settled(ended)
        super().look_again()

    # -- the journal fails -------------------------------------------------------------------------------------------

    def lose(self, error: JournalError) -> None:
        """It has failed: law 6. Any thread; said once."""
        with self.lock:
            first, self.broken = self.broken is None, self.broken or error
            promises: list[Any] = list(self.open.values())
        if first:
            say(logging.ERROR, "%s: %s", self.function.name, error)
        self._fail(promises)

    def _failed(self, future: SinkFuture) -> None:
        """See `SpinCore._failed`: that the journal has failed is said once."""
        if self.broken is None or not isinstance(future._exception, JournalError):
            super()._failed(future)

    def _fail(self, promises: Sequence[Any]) -> None:
        """What is in the file gets the error; who puts the others gets it himself."""
        broken = self.broken
        assert broken is not None
        inside = [each for each in promises if each.taken is None or (each.taken.done and each.taken.error is None)]
        self._answer_unkept(inside, lambda: again(broken))
        self.give_up([each for each in promises if not each.done()])
        for each in promises:
            if each.run_by is not each:
                each.run_by.cancel_unstarted()

    # -- what earlier programs have left, and the end -----------------------------------------------------------------

    def tell_known(self, promises: Sequence[Kept], outcomes: list[Any]) -> None:
        """These outcomes are in the file already."""
        super().answer(promises, outcomes)

    def admit_known(self, future: Kept, error: BaseException | None, lane: Hashable) -> None:
        """Take in what the file has already, whatever room there is."""
        flow = self.flow
        with self.lock:
            future.run_by.index = flow.admitted
            if future.known_by is not None:
                self.known[future.known_by] = future
            window, flow.window = flow.window, UNBOUNDED
            try:
                super().admit(future, error, lane)
            finally:
                flow.window = window

    def cancel(self) -> int:
        """See `SpinCore.cancel`."""
        self.ending = True
        return super().cancel()

    def retire(self) -> None:
        """See `SpinCore.retire`."""
        super().retire()
        self.let_go_of_file(wait=False)


def ended_by_us(outcome: Any) -> bool:
    """It says that its worker was ended, which is what is done to workers when everything is cancelled."""
    return outcome.__class__ is Raised and isinstance(outcome.error, BrokenExecutor)
