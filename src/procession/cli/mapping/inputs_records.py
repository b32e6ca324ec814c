"""Records in text: JSONL, failures files, CSV and TSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import IO, Any

from procession.cli.mapping.inputs_again import Rows
from procession.cli.mapping.inputs_base import InputError, Item, Reading, make_item, shown
from procession.cli.mapping.inputs_naming import named
from procession.cli.mapping.inputs_text import pieces, refuse_utf16, whole_lines

FAILURE = ("item", "source", "number", "error", "text", "stack", "tries", "stage")
"""The keys that each line of a failures file has; more there may be."""
LONGEST_FIELD = 256 * 1024 * 1024
"""Characters of a CSV field. A quote that is never closed makes a field of all that follows: not all is held."""


def jsonl(file: IO[bytes], name: str, reading: Reading, *, failures: bool = False) -> Iterator[Item]:
    """A value for each line; blank lines are left out.

    A file whose first value is a line of a failures file, or with `failures`: the items that failed, not the lines.
    """
    decode, indices = json.JSONDecoder().decode, reading.indices
    number, again, rows = 0, failures, Rows()
    for lines in reading.whole(pieces(file, name), none_blank):
        for line in lines:
            number += 1
            if number == 1:
                refuse_utf16(line, name)
            try:
                value = decode(line)
            except (ValueError, RecursionError) as error:
                if line and not line.isspace():
                    reading.bad(f"{named(name)}:{number}", f"{what_is_wrong(error)}: {shown(line)}")
                continue
            again = again or (number == 1 and is_failure(value))
            if not again:
                yield make_item((value, name, number, None, next(indices)))
            elif (item := failed(value, name, number, reading, rows)) is not None:
                yield item


def none_blank(lines: list[str]) -> bool:
    """Whether each of these lines has something in it."""
    return all(map(str.strip, lines))


def what_is_wrong(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"this line is no JSON ({error.msg} at column {error.colno})"
    return f"this line is JSON that Python does not read ({error})"


def is_failure(value: Any) -> bool:
    return isinstance(value, dict) and all(key in value for key in FAILURE)


def failed(value: Any, name: str, number: int, reading: Reading, rows: Rows) -> Item | None:
    """The item that a line of a failures file tells of, which came from where it came from at first."""
    if not is_failure(value):
        reading.bad(f"{named(name)}:{number}", f"this line is none of a failures file, which has {', '.join(FAILURE)}")
        return None
    item, path = value["item"], value.get("path")
    if item is None and isinstance(value.get("shown"), str):
        try:
            item = rows.again(value["source"], value["number"], value["shown"])
        except InputError as error:
            reading.bad(f"{named(name)}:{number}", str(error))
            return None
    source, place = value["source"], value["number"]
    if not isinstance(source, str) or type(place) is not int:
        source, place = name, number
    return Item(item, source, place, path if isinstance(path, str) else None, next(reading.indices))


def rows(file: IO[bytes], name: str, reading: Reading, delimiter: str) -> Iterator[Item]:
    """CSV or TSV: a dict for each row, by the header; a list, where there is none. Empty rows are left out."""
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(whole_lines(file, name, reading), delimiter=reading.inputs.delimiter or delimiter, strict=True)
    header = _header(reader, name) if reading.inputs.header else None
    wide, indices, number, line = len(header or ()), reading.indices, 0, reader.line_num
    while True:
        try:
            for row in reader:
                if row:
                    number += 1
                    if header is None:
                        yield make_item((row, name, number, None, next(indices)))
                    elif len(row) == wide:
                        yield make_item((dict(zip(header, row)), name, number, None, next(indices)))  # noqa: B905
                    else:
                        fields = f"{len(row)} field{'s' * (len(row) != 1)}, and the header names {wide}"
                        reading.bad(f"{named(name)}:{line + 1}", f"this row has {fields}: {shown(','.join(row))}")
                line = reader.line_num
            return
        except csv.Error as error:  # the reader goes on at the next line
            number += 1
            reading.bad(f"{named(name)}:{line + 1}", f"this row is no CSV ({error})")
            line = reader.line_num


def _header(reader: Any, name: str) -> list[str] | None:
    row: list[str]
    try:
        row = next(filter(None, reader))
    except StopIteration:
        return None
    except csv.Error as error:
        raise InputError(f"{named(name)}:{reader.line_num}: the header is no CSV ({error})") from None
    twice = next((each for each in row if row.count(each) > 1), None)
    if twice is not None:
        raise InputError(f"{named(name)}: the header names {twice!r} twice; --no-header gives all rows as lists")
    return row
