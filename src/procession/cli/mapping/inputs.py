"""What `procession map` reads: `open_items` gives the items of all INPUTs, in order, as they are asked for.

Each INPUT is one of these (`inputs_naming.py` decides by its name, `--from` for all alike):

* records: JSONL, CSV, TSV, Parquet, Arrow; each value or row is an item;
* lines (stdin, unless something else is said), separated by newlines or NULs;
* a file that is an item itself: the function is given its name;
* numbers, 1..1000;
* a failures file, whose items are given again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain

from procession.cli.mapping.inputs_base import InputError, Inputs, Item, Reading, make_item, shown
from procession.cli.mapping.inputs_naming import FORMATS, STDIN, TABLES, WORDS, Source, sources

__all__ = ["FORMATS", "InputError", "Inputs", "Item", "Items", "open_items", "total"]


class Items:
    """The items of a run, to be iterated once."""

    def __init__(self, found: list[Source], inputs: Inputs) -> None:
        self._found = found
        self._reading = Reading(inputs)
        self._items = self._read()

    def __iter__(self) -> Iterator[Item]:
        return self._items

    def __next__(self) -> Item:
        return next(self._items)

    def close(self) -> None:
        """Close what is open; the next item is none. Not while another thread is in `next`."""
        self._items.close()

    def at_hand(self) -> int:
        """How many items it gives without waiting for more input."""
        return self._reading.at_hand()

    @property
    def skipped(self) -> int:
        """How many lines and rows were left out because they could not be read (`skip_bad`)."""
        return self._reading.skipped

    @property
    def skipped_first(self) -> list[str]:
        """A sentence for each of the first few of them, with file and line."""
        return list(self._reading.sentences)

    def total(self) -> int | None:
        """How many items there will be, where that is cheap to know: None for stdin, and for records in text.

        Raises InputError where a file cannot be read.
        """
        count = len(self._reading.inputs.literals or ())
        for source in self._found:
            one = _total_of(source)
            if one is None:
                return None
            count += one
        return count

    def _read(self) -> Generator[Item, None, None]:
        reading = self._reading
        for source in self._found:
            yield from _items_of(source, reading)
        yield from words(reading)


def open_items(inputs: Inputs) -> Items:
    """The items that `inputs` names, lazily: what has been read beyond the item that was given is one block or batch.

    Raises InputError at once if an INPUT is not there, is a folder, matches nothing or makes no sense; while items are
    taken, if a file cannot be read on, or a line or a row is no record. Iterating raises nothing else.
    """
    return Items(_found(inputs), inputs)


def _found(inputs: Inputs) -> list[Source]:
    if inputs.format is not None and inputs.format not in FORMATS:
        raise InputError(f"--from takes one of {', '.join(FORMATS)}; got {inputs.format!r}")
    if inputs.delimiter is not None and (len(inputs.delimiter) != 1 or inputs.delimiter in '\r\n"'):
        raise InputError(f"--delimiter takes one character, \\t for a tab; got {inputs.delimiter!r}")
    if inputs.literals is not None and inputs.format not in (None, "lines", "jsonl", "files"):
        raise InputError(f"what stands behind {WORDS} is lines, jsonl or files; got --from {inputs.format}")
    paths = inputs.paths or (() if inputs.literals is not None else (STDIN,))
    if paths.count(STDIN) > 1:
        raise InputError("- stands for stdin, which can be read only once")
    return list(sources(paths, inputs.format))


def _items_of(source: Source, reading: Reading) -> Iterator[Item]:
    format, name, numbers = source
    if numbers is not None:
        return reading.numbered(numbers, name)
    if format == "files" and name != STDIN:
        return iter((make_item((name, name, 1, name, next(reading.indices))),))
    if format in TABLES:
        from procession.cli.mapping.inputs_arrow import arrow_rows, parquet_rows

        return parquet_rows(name, reading) if format == "parquet" else arrow_rows(name, reading)
    return _text(format, name, reading)


def _text(format: str, name: str, reading: Reading) -> Iterator[Item]:
    from procession.cli.mapping.inputs_text import opened, pieces, said_if_terminal

    with opened(name) as file:
        if name == STDIN:
            said_if_terminal("lines" if format == "files" else format)
        if format in ("lines", "null", "files"):
            found = pieces(file, name, "\0", exact=True) if format == "null" else pieces(file, name)
            lines = chain.from_iterable(reading.whole(found, bool))
            if format == "files":
                for number, line in enumerate(lines, 1):
                    yield make_item((line, name, number, line, next(reading.indices)))
            else:
                yield from reading.numbered(lines, name)
        elif format in ("csv", "tsv"):
            from procession.cli.mapping.inputs_records import rows

            yield from rows(file, name, reading, "," if format == "csv" else "\t")
        else:
            from procession.cli.mapping.inputs_records import jsonl

            yield from jsonl(file, name, reading, failures=format == "failures")


def words(reading: Reading) -> Iterator[Item]:
    """The items behind `:::`: text; with --from jsonl values, with --from files names of files."""
    literals, format = reading.inputs.literals or (), reading.inputs.format
    if format == "jsonl":
        import json

        for number, word in enumerate(literals, 1):
            try:
                yield Item(json.loads(word), WORDS, number, None, next(reading.indices))
            except ValueError as error:
                reading.bad(f"{WORDS} {number}", f"this word is no JSON ({error}): {shown(word)}")
    elif format == "files":
        for number, word in enumerate(literals, 1):
            yield Item(word, WORDS, number, word, next(reading.indices))
    else:
        yield from reading.numbered(literals, WORDS)


def total(inputs: Inputs) -> int | None:
    """`open_items(inputs).total()`."""
    return open_items(inputs).total()


def _total_of(source: Source) -> int | None:
    if source.numbers is not None:
        try:
            return len(source.numbers)
        except OverflowError:  # more than anybody will run
            return None
    if source.format == "files" and source.name != STDIN:
        return 1
    if source.format == "parquet":
        from procession.cli.mapping.inputs_arrow import parquet_total

        return parquet_total(source.name)
    if source.format in ("lines", "null"):
        from procession.cli.mapping.inputs_text import counted

        return counted(source.name, "\0" if source.format == "null" else "\n")
    return None
