"""What all readers of `procession map` give, and what they raise.

Laws:

1. A reader is lazy: what it has read beyond the item it gives is one block of bytes, or one batch of rows.
2. An item is given as soon as its bytes are there: no reader waits for a block to be full.
3. A reader's files are closed when its iterator is closed or at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count, repeat
from operator import length_hint
from typing import Any, NamedTuple

SHOWN = 60
"""Of a bad line, so many characters are in the error's text."""
REMEMBERED = 3
"""So many of the bad inputs that were skipped are remembered as sentences; the others are counted."""


class InputError(Exception):
    """What was to be read cannot be: a sentence that names the file, and the line where there is one."""


class Item(NamedTuple):
    """One item, and where it came from."""

    value: Any
    """What the function is called with."""
    source: str
    """The file as it was named, "-" for stdin, ":::" for words of the command line, "1..9" for a range."""
    number: int
    """The line, the row (the header is not one) or the place in its source, from 1 on."""
    path: str | None
    """The item is this file, and `value` its name; None for all other items."""
    position: int
    """The place among all items of the run, from 0 on."""


make_item: Any = partial(tuple.__new__, Item)
"""An Item of a tuple of its five fields: a third of the time that `Item(...)` takes."""


class Inputs(NamedTuple):
    """What is to be read, in the words of the command line."""

    paths: tuple[str, ...] = ()
    """Files, patterns, ranges, "-" for stdin; with none of them, and no `literals`, stdin is read."""
    format: str | None = None
    """One of `inputs.FORMATS` for all of `paths`; None: each by its name."""
    literals: tuple[str, ...] | None = None
    """The words behind `:::`, items themselves; they come after what `paths` name. None: there was no `:::`."""
    delimiter: str | None = None
    """What separates the fields of CSV and TSV: one character; None: a comma, a tab."""
    header: bool = True
    """The first row of CSV and TSV names the fields, and rows are dicts; False: rows are lists."""
    skip_bad: bool = False
    """A line or row that cannot be read is counted and left out, instead of ending the run."""


class Reading:
    """What the readers of one run share: the items' running index, and what becomes of bad input."""

    __slots__ = ("_block", "indices", "inputs", "sentences", "skipped")

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.indices: Iterator[int] = count()
        self.skipped = 0
        self.sentences: list[str] = []
        self._block: Iterator[str] = iter(())  # the lines of a piece that were not given yet

    def whole(self, pieces: Iterable[list[str]], each_counts: Callable[[list[str]], bool]) -> Iterator[Iterator[str]]:
        """The lines of `pieces`, noted as at hand where each of them is an item, as `each_counts` says of a piece."""
        for lines in pieces:
            block = iter(lines)
            self._block = block if not self.inputs.skip_bad and each_counts(lines) else iter(())
            yield block

    def at_hand(self) -> int:
        """How many items are given without reading on."""
        return length_hint(self._block)

    def bad(self, where: str, what: str) -> None:
        """A line or a row cannot be read: count it if that is wished, else raise InputError."""
        sentence = f"{where}: {what}"
        if not self.inputs.skip_bad:
            raise InputError(f"{sentence} (--skip-bad-input leaves such input out and goes on)")
        self.skipped += 1
        if len(self.sentences) < REMEMBERED:
            self.sentences.append(sentence)

    def numbered(self, values: Iterable[Any], source: str) -> Iterator[Item]:
        """Items of values that are numbered as they come."""
        return map(make_item, zip(values, repeat(source), count(1), repeat(None), self.indices))


def shown(text: str) -> str:
    """A piece of a bad line, for an error's text."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
