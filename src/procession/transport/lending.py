"""Loans: blocks of one worker's arena that the parent lets another worker look at. Bookkeeping alone.

What a worker has published (arena.py) waits to be released by the parent. Most of it is released by the views that the
parent makes. What is *sealed* (sealed.py) has no views here: it may go on to a worker of another engine as it is. So
each block of it has a *loan*: an object of the parent's, and a number, the *slot*.

    published -> lent, which ends when the loan object has gone and no worker counts a view under its slot -> released
              -> lent, taken over by views of this process                                    -> released by these

Laws
1. **A slot belongs to one loan at a time**, from `lend` until it is collected. It is a place in the tables of arena.py
   that no block of the parent's arena has: a worker counts its views of a lent block there, in its own table 2, as it
   counts those of the parent's blocks. So each word has the one writer that it has had.
2. **A loan is collected when nobody can look any more**: its object is gone (that is, no task that was given the block
   can run, or run again), and no worker's word is set. A worker sets the word before its task is answered, and the task
   holds the loan until then: whoever finds the word empty afterwards finds it empty for good. Whoever is gone holds
   nothing, for its table is gone.
3. **What was lent is released once**, when it is collected, unless views of this process have taken it over (`taken`),
   which release it themselves.
4. **A lender stays until it is left and nothing of it is out**: its memory can be found by all who may have to look for
   it. Then it is closed, once. Workers that have mapped it see that by its *home*, a slot of its own: as long as it is
   there, the word of that slot in table 1 of the parent's arena holds its key.
5. **The end of a loan runs no Python**: it is a note in a deque, which `collect` reads, at the next occasion: when
   something is lent, when a driver looks after its arenas, and when a worker has gone.
6. Any thread may collect; one does at a time, and no other waits for it. None that a signal may strike lends.
"""

from __future__ import annotations

from _thread import allocate_lock
from _weakref import ref
from collections import deque

from procession.transport.arena import MOST
from procession.transport.spans import GRAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

SLOTS = 1 << 16
"""So many loans and homes there are at most."""
FIRST = MOST // GRAIN - SLOTS
"""The first slot for them: the parent's arena has no block there."""
AT_ONCE = 64
"""Ended loans that are looked at when something is lent: some may have to wait for their workers."""


class Lender:
    """The arena of a worker, whose blocks may be lent.

    Args:
        key: that of its segment.
        where: how other workers find it.
        words: gives the words in which is counted what was released. Raises OSError.
        close: called when nobody needs it any more.
    """

    __slots__ = ("close", "home", "key", "left", "out", "where", "words")

    def __init__(self, key: int, where: str, words: Callable[[], Any], close: Callable[[], object]) -> None:
        self.key = key
        self.where = where
        self.words = words
        self.close = close
        self.home = -1
        self.out = 0
        self.left = False


class Loan:
    """As long as somebody has it, the block may be passed on."""

    __slots__ = ("__weakref__", "note")
    note: _Note

    @property
    def slot(self) -> int:
        """Where workers count their views of the block."""
        return self.note.slot


class _Note(ref):  # type: ignore[type-arg]
    """What is known of a loan; in the deque when that has gone."""

    __slots__ = ("lender", "place", "slot", "taken")
    lender: Lender
    place: int
    slot: int
    taken: bool


class Lending:
    """All loans of one parent's arena.

    Args:
        held: whether some worker counts a view under this slot.
        homes: gives the words in which lenders say that they are there. Raises OSError or ImportError.
    """

    def __init__(self, held: Callable[[int], bool], homes: Callable[[], Any]) -> None:
        self._held = held
        self._homes = homes
        self._lock = allocate_lock()
        self._notes: dict[int, _Note] = {}
        self._ended: deque[_Note] = deque()
        self._free: list[int] = []
        self._fresh = FIRST
        self._staying: set[Lender] = set()  # left, and something of them is out

    @property
    def out(self) -> int:
        """Loans that were not collected."""
        return len(self._notes)

    def lend(self, lender: Lender, places: Sequence[int]) -> list[Loan] | None:
        """Loans of the blocks at these places in the lender's tables, each published once for it; None: no room."""
        with self._lock:
            self._collect(AT_ONCE)
            needed = len(places) + (lender.home < 0)
            if needed > len(self._free) + FIRST + SLOTS - self._fresh:
                return None
            if lender.home < 0 and not self._settle_in(lender):
                return None
            return [self._lend(lender, place) for place in places]

    def _settle_in(self, lender: Lender) -> bool:
        try:
            words = self._homes()
        except (OSError, ImportError):
            return False
        lender.home = self._slot()
        words[lender.home] = lender.key
        return True

    def _slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._fresh += 1
        return self._fresh - 1

    def _lend(self, lender: Lender, place: int) -> Loan:
        loan = Loan()
        note = loan.note = _Note(loan, self._ended.append)
        note.lender, note.place, note.slot, note.taken = lender, place, self._slot(), False
        self._notes[note.slot] = note
        lender.out += 1
        return loan

    def taken(self, loans: Iterable[Loan]) -> None:
        """Views of this process release these."""
        for loan in loans:
            loan.note.taken = True

    def collect(self) -> None:
        """Release what nobody looks at any more."""
        if self._ended and self._lock.acquire(blocking=False):
            try:
                self._collect(len(self._ended))
            finally:
                self._lock.release()

    def _collect(self, most: int) -> None:
        ended = self._ended
        for _ in range(min(most, len(ended))):
            note = ended.popleft()
            if self._held(note.slot):
                ended.append(note)
            else:
                self._end(note)

    def _end(self, note: _Note) -> None:
        lender = note.lender
        if not note.taken:
            try:
                words = lender.words()
                words[note.place] += 1
            except OSError:
                pass  # it cannot be mapped now: lost to its worker, as long as that lives
        del self._notes[note.slot]
        self._free.append(note.slot)
        lender.out -= 1
        if lender.left and not lender.out:
            self._staying.discard(lender)
            self._close(lender)

    def leave(self, lender: Lender) -> None:
        """The lender's process is gone."""
        with self._lock:
            lender.left = True
            if lender.out:
                self._staying.add(lender)
            else:
                self._close(lender)

    def _close(self, lender: Lender) -> None:
        if lender.home >= 0:
            self._homes()[lender.home] = 0
            self._free.append(lender.home)
            lender.home = -1
        lender.close()

    def abandon(self) -> None:
        """The parent's arena is gone, and with it all who could be sent anything."""
        staying, self._staying = self._staying, set()
        for lender in staying:
            lender.close()


__all__ = ["FIRST", "SLOTS", "Lender", "Lending", "Loan"]
