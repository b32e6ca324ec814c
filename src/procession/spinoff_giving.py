"""The other end of a SpinOff with a journal: that something was handed over is kept, and the file is let go.

The laws are those of spinoff_journal.py.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procession.backends.base import Engine, Function
from procession.errors import JournalError
from procession.spinoff_core import SpinCore, Words
from procession.spinoff_hands import Hands, taker
from procession.spinoff_promises import Kept, Receipt
from procession.starts import SinkFuture

if TYPE_CHECKING:
    from procession.journal.queued import QueueJournal


class GivingSpin(SpinCore):
    """See the module."""

    def __init__(self, engine: Engine, function: Function, words: Words, journal: QueueJournal) -> None:
        super().__init__(engine, function, words)
        self.journal = journal
        self.hands = Hands()
        self.acked: Receipt | None = None  # for what was handed over last
        self.broken: JournalError | None = None  # the journal has failed
        self.file_gone = False  # nothing can be written any more, and that is as it should be
        self.untaken = False  # nobody will take what is left

    @abstractmethod
    def lose(self, error: JournalError) -> None:
        """The journal has failed."""

    def receipt(self) -> Receipt:
        """For something that is about to be posted."""
        return Receipt(self.journal.writer)

    async def until_committed(self, receipt: Receipt | None) -> None:
        """Wait, in a coroutine, until the journal has it, or has failed."""
        if receipt is not None:
            await receipt.arest()
        self.await_receipt(receipt)

    def await_receipt(self, receipt: Receipt | None) -> None:
        """The same in a thread."""
        if receipt is not None:
            receipt.rest()
            if receipt.error is not None and not self.file_gone:
                self.lose(receipt.error)

    # -- handed over -------------------------------------------------------------------------------------------------

    def ask(self, who: Any) -> Receipt | None:
        """A taker asks for more. What is to be waited for before he is given anything."""
        hands = self.hands
        if hands and (seqs := hands.asked(who)):
            self.hand_over(seqs)
            hands.drop(seqs)
        return self.acked

    async def asked(self) -> None:
        """A coroutine asks for more: until it may be given that."""
        await self.until_committed(self.ask(taker()))

    def left(self) -> None:
        """Who runs this has left the with block without an error."""
        self.await_receipt(self._left())

    async def aleft(self) -> None:
        """The same of a coroutine."""
        await self.until_committed(self._left())

    def _left(self) -> Receipt | None:
        seqs = self.hands.left(taker())
        self.hand_over(seqs)
        self.hands.drop(seqs)
        return self.acked

    def hand_over(self, seqs: list[int]) -> None:
        """These were handed over: the journal is to know it."""
        if seqs and self.broken is None and not self.file_gone:
            receipt = self.receipt()
            self.journal.handed_over(seqs, receipt)
            self.acked = receipt

    def deliver_one(self, on_result: Callable[[Any], object], future: SinkFuture) -> None:
        """See `SpinCore.deliver_one`."""
        assert isinstance(future, Kept)
        if self.broken is not None:
            return
        me = self.errands
        self.hands.give(me, [future.seq])
        super().deliver_one(on_result, future)
        if future.recorded:
            self.hand_over([future.seq])
            self.await_receipt(self.acked)
        self.hands.drop([future.seq])

    def deliver(self) -> None:
        """See `SpinCore.deliver`."""
        super().deliver()
        self.let_go_of_file(wait=False)

    # -- the end -----------------------------------------------------------------------------------------------------

    def let_go_of_file(self, wait: bool) -> None:
        """If nothing is to be written any more: law 7. `wait` until it is closed."""
        if self.retired and not self.hands and (self.flow.ended or self.untaken):
            self.close_file(wait)

    def close_file(self, wait: bool) -> None:
        """What has been posted is written, and no more."""
        self.file_gone = True
        self.journal.close(self.how, wait)

    def dropped_by_all(self) -> None:
        """Nobody is there any more who could take what is left, or ask for more; on_result still gets all."""
        if self.words.on_result is None:
            with self.lock:
                self.untaken = True
                self.hands.clear()
        self.let_go_of_file(wait=False)

    def forsake(self) -> None:
        """It was left by an exception: what is there is for the next program."""
        self.untaken = True
        with self.lock:
            gone = self.flow.take_all()
        self.let_go(gone)
        self.hands.clear()
        self.close_file(wait=True)
