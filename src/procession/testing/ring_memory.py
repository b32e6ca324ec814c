"""Memory as C11 lets it be: each word is the list of values that it has had and that somebody may still see.

A thread has a *view*: for each word, the oldest value that it may still read. A load picks any value from there on, and
moves the view up to it (a thread does not see a word go back). A value carries a view too: that of its writer, if the
store was a release; an acquire load takes over what the value carries. A read-modify-write acts on the newest value and
hands on what that carried. Sequentially consistent accesses take part in one order, which is the order of the walk:
none reads a value older than the newest that one of them has read or written.

That is the release-acquire part of C11 in its operational form, with seq_cst accesses. It allows all that x86 does, and
what ARM does but for one thing: no load is delayed past a later store of its own thread. (The relaxed loads of the
protocol are of the thread's own word, or have a compare-and-swap behind them.)

Bytes that are not atomic may not be met by two threads unordered. For each ring two counts are kept, of the cells
written and of the cells read, and they travel in the views like words: who reads a cell must know of its writing, who
writes over it must know of its reading. Anything else is a data race, and said.

A view is one integer, with a field for each word; the arithmetic below works on all fields at once. Numbers in it are
counted from the oldest value that is kept, so that equal futures look equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

BITS = 6
FIELDS = 20
ONES = sum(1 << BITS * field for field in range(FIELDS))
GUARD = ONES << (BITS - 1)
MOST = GUARD - ONES
"""The largest number in each field; one bit above it is kept free."""
LIMIT = (1 << (BITS - 1)) - 1

RELAXED, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST = 0, 1, 2, 3, 7
"""Orders, as sets of bits: acquire, release, and part of the one order."""
_TOTAL = 4


def newer(one: int, other: int) -> int:
    """Each field the greater of two."""
    more = ((one | GUARD) - other) & GUARD
    mask = more - (more >> (BITS - 1))
    return one & mask | other & ~mask


def older(one: int, other: int) -> int:
    """Each field the smaller of two."""
    more = ((one | GUARD) - other) & GUARD
    mask = more - (more >> (BITS - 1))
    return other & mask | one & ~mask


def field_of(view: int, word: int) -> int:
    """What a view says of one word."""
    return view >> BITS * word & LIMIT


def fields(words: Iterable[int]) -> int:
    """A mask of whole fields."""
    return sum(LIMIT << BITS * word for word in words)


Value = Any
Message = tuple[Value, int]


@dataclass(frozen=True)
class Rules:
    """Who looks at what. By this it is known which values, and what of views, can make no difference any more."""

    blind: Sequence[int]
    """By thread, the fields of the words that it never loads."""
    readers: Sequence[tuple[int, ...]]
    """By word, the threads that load or change it."""
    lockers: tuple[int, ...]
    """The threads that take the lock."""
    strict: int
    """The fields of the words that are loaded by seq_cst loads only."""


class Memory:
    """All words, and what each thread may see of them."""

    __slots__ = ("kernel", "last", "lock", "total", "views", "words")

    def __init__(self, initial: Sequence[Value], threads: int) -> None:
        self.words: list[tuple[Message, ...]] = [((value, 0),) for value in initial]
        self.views = [0] * threads
        self.total = 0  # what seq_cst accesses have seen
        self.kernel = 0  # what the kernel had seen of a futex word when it last woke somebody
        self.lock = 0  # the view of who last held the parent's lock
        self.last = 0  # by word: the newest value

    def copy(self) -> Memory:
        """A memory that shares nothing that changes."""
        new = Memory.__new__(Memory)
        new.words, new.views = self.words[:], self.views[:]
        new.total, new.kernel, new.lock, new.last = self.total, self.kernel, self.lock, self.last
        return new

    def key(self) -> tuple[object, ...]:
        """Equal where the same can be read."""
        return (tuple(self.words), tuple(self.views), self.total, self.kernel, self.lock)

    # -- atomic words --------------------------------------------------------------------------------------------

    def seen(self, thread: int, word: int, order: int) -> tuple[Message, ...]:
        """What a load may find, the newest last."""
        view = self.views[thread]
        floor = field_of(newer(view, self.total) if order & _TOTAL else view, word)
        return self.words[word][floor:]

    def read(self, thread: int, word: int, order: int, back: int) -> Value:
        """Load the value that is `back` places before the newest."""
        index = len(self.words[word]) - 1 - back
        value, carried = self.words[word][index]
        own = index << BITS * word
        self.views[thread] = newer(newer(self.views[thread], own), carried if order & ACQUIRE else 0)
        if order & _TOTAL:
            self.total = newer(self.total, own)
        return value

    def write(self, thread: int, word: int, order: int, value: Value) -> None:
        """Store."""
        self._append(thread, word, order, value, 0)

    def change(self, thread: int, word: int, order: int, value: Value) -> Value:
        """Read-modify-write: the newest value is replaced, and returned."""
        before, carried = self.words[word][-1]
        if order & ACQUIRE:
            self.views[thread] = newer(self.views[thread], carried)
        self._append(thread, word, order, value, carried)
        return before

    def _append(self, thread: int, word: int, order: int, value: Value, carried: int) -> None:
        index = len(self.words[word])
        assert index <= LIMIT, "the bound is too wide for the fields of a view"
        own = index << BITS * word
        view = self.views[thread] = newer(self.views[thread], own)
        self.words[word] += ((value, newer(view if order & RELEASE else own, carried)),)
        self.last += 1 << BITS * word
        if order & _TOTAL:
            self.total = newer(self.total, own)

    # -- what orders threads beside the words --------------------------------------------------------------------

    def join(self, thread: int, view: int) -> None:
        """From now on the thread knows what this view knows."""
        self.views[thread] = newer(self.views[thread], view)

    def futex_floor(self, thread: int, word: int) -> int:
        """The oldest value that the kernel may find there when this thread is about to sleep."""
        return max(field_of(self.views[thread], word), field_of(self.kernel, word))

    def woken(self, thread: int, word: int) -> None:
        """This thread wakes those who sleep on the word: who is about to sleep now will see what it has seen."""
        self.kernel = newer(self.kernel, self.views[thread] & LIMIT << BITS * word)

    def know(self, thread: int, word: int, number: int) -> None:
        """Of a word that is but a count: the thread knows of so many."""
        self.views[thread] = newer(self.views[thread], number << BITS * word)

    def settle(self, threads: Sequence[int], rules: Rules) -> None:
        """Forget what makes no difference to `threads`, all that may do anything still."""
        base, views = self.last, self.views
        for thread in threads:
            base = older(base, newer(views[thread], self.total & rules.strict) | rules.blind[thread])
        if base:
            self._rebase(base)
        floors: dict[tuple[int, ...], int] = {}
        for word, readers in enumerate(rules.readers):
            floor = floors.get(readers)
            if floor is None:
                floor = floors[readers] = self._known_to_all(readers, threads)
            self.words[word] = tuple([(value, newer(view, floor)) for value, view in self.words[word]])
        self.lock = newer(self.lock, self._known_to_all(rules.lockers, threads))

    def _known_to_all(self, readers: Sequence[int], threads: Sequence[int]) -> int:
        """What a value that only these can read need not tell."""
        known = MOST
        for thread in readers:
            if thread in threads:
                known = older(known, self.views[thread])
        return known

    def _rebase(self, base: int) -> None:
        """Values older than these cannot be read any more."""
        for word, messages in enumerate(self.words):
            if gone := field_of(base, word):
                self.words[word] = messages[gone:]
        self.words = [tuple([(value, newer(view, base) - base) for value, view in each]) for each in self.words]
        self.views = [newer(view, base) - base for view in self.views]
        self.total, self.kernel = newer(self.total, base) - base, newer(self.kernel, base) - base
        self.lock = newer(self.lock, base) - base
        self.last -= base
