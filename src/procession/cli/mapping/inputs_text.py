"""Bytes to lines: opening files and stdin, unpacking, and cutting at newlines or NULs."""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import IO

from procession.cli.mapping.inputs_base import InputError, Reading
from procession.cli.mapping.inputs_naming import PACKED, STDIN, named

BLOCK = 64 * 1024
"""Bytes that are asked for at once. A pipe gives what it has."""
COUNTED = 16 * 1024 * 1024
BOM = "\ufeff"
_UTF16 = ("\udcff\udcfe", "\udcfe\udcff")


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked if its name ends in .gz, .bz2 or .xz, or of stdin."""
    try:
        file = io.FileIO(0, closefd=False) if name == STDIN else _open(name)
    except OSError as error:
        raise InputError(f"{named(name)}: {error.strerror or error}") from None
    with file:
        yield file


def said_if_terminal(what: str) -> None:
    """Who is to type the items is told so."""
    try:
        terminal = os.isatty(0)
    except OSError:
        return
    if terminal:
        print(
            f"procession map: reads {what} from this terminal; Ctrl-D at the start of a line ends it", file=sys.stderr
        )


def _open(name: str) -> IO[bytes]:
    way = packed(name)
    file: IO[bytes]
    if way == "gz":
        import gzip

        file = gzip.GzipFile(name)  # type: ignore[assignment]
    elif way == "bz2":
        import bz2

        file = bz2.BZ2File(name)
    elif way == "xz":
        import lzma

        file = lzma.LZMAFile(name)  # noqa: SIM115
    else:
        file = io.FileIO(name)
    return file


def blocks(file: IO[bytes], name: str) -> Iterator[bytes]:
    """What `file` holds, each piece as soon as it is there."""
    read: Callable[[int], bytes | None] = getattr(file, "read1", file.read)
    while True:
        try:
            block = read(BLOCK)
        except Exception as error:  # each way of packing has errors of its own: EOFError, zlib.error, LZMAError, ...
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise InputError(f"{named(name)}: cannot be read on: {said}") from None
        if block is None:  # somebody has made stdin non-blocking
            select.select([file], (), ())
        elif block:
            yield block
        else:
            return


def pieces(file: IO[bytes], name: str, separator: str = "\n", *, exact: bool = False) -> Iterator[list[str]]:
    """What stands between separators, a list for what was read at once; any bytes come through, by surrogateescape.

    Unless `exact`: CR LF ends a line as LF does, and a byte order mark at the start is left out.
    """
    mark, rest, first = separator.encode(), [], not exact
    for block in blocks(file, name):
        head, found, tail = block.rpartition(mark)
        if not found:
            rest.append(block)
            continue
        whole = b"".join((*rest, head)).decode("utf-8", "surrogateescape")
        rest = [tail] if tail else []
        if not exact and "\r" in whole:
            whole = whole.replace("\r\n", "\n").removesuffix("\r")
        yield (whole.removeprefix(BOM) if first else whole).split(separator)
        first = False
    if rest:
        last = b"".join(rest).decode("utf-8", "surrogateescape")
        yield [last.removeprefix(BOM) if first else last]


def whole_lines(file: IO[bytes], name: str, reading: Reading) -> Iterator[str]:
    """Lines with the newlines that end them, as `csv.reader` wants them."""
    return chain.from_iterable(reading.whole(_ended(file, name), rows_of_their_own))


def _ended(file: IO[bytes], name: str) -> Iterator[list[str]]:
    first = True
    for lines in pieces(file, name, exact=True):
        if first:
            lines[0] = lines[0].removeprefix(BOM)
            refuse_utf16(lines[0], name)
            first = False
        yield [line + "\n" for line in lines]


def rows_of_their_own(lines: list[str]) -> bool:
    """Whether each of these lines is surely a row of CSV: none is blank, or has a quote, in which a row may go on."""
    return all(map(str.strip, lines)) and not any('"' in line for line in lines)


def refuse_utf16(line: str, name: str) -> None:
    """The first line of records tells of the encoding that some spreadsheets write. Raises InputError."""
    if line.startswith(_UTF16):
        raise InputError(
            f"{named(name)}: is written in UTF-16, and UTF-8 is read here: iconv -f UTF-16 -t UTF-8 makes it so"
        )


def counted(name: str, separator: str) -> int | None:
    """How many lines a file has, if it is a small one (COUNTED bytes) that is not packed; None otherwise."""
    try:
        found = os.stat(name)
        if name == STDIN or not stat.S_ISREG(found.st_mode) or found.st_size > COUNTED or packed(name):
            return None
        with opened(name) as file:
            return sum(map(len, pieces(file, name, separator, exact=True)))
    except OSError:
        return None


def packed(name: str) -> str | None:
    """How a file is packed, by its name."""
    return PACKED.get(os.path.splitext(name.lower())[1])
