"""Bytes to lines: opening files and stdin, unpacking, and cutting at newlines or NULs."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from procession.cli.mapping.inputs_base import InputError
from procession.cli.mapping.inputs_naming import PACKED, STDIN

BLOCK = 64 * 1024
"""Bytes that are asked for at once. A pipe gives what it has."""
BOM = "\ufeff"


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked if its name ends in .gz, .bz2 or .xz, or of stdin."""
    if name == STDIN:
        said_if_terminal()
    try:
        file = io.FileIO(0, closefd=False) if name == STDIN else _open(name)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from None
    with file:
        yield file


def said_if_terminal() -> None:
    """Who is to type the items is told so."""
    try:
        terminal = os.isatty(0)
    except OSError:
        return
    if terminal:
        print("procession map: reads items from this terminal, one a line; Ctrl-D ends them", file=sys.stderr)


def _open(name: str) -> IO[bytes]:
    packed = PACKED.get(os.path.splitext(name.lower())[1])
    file: IO[bytes]
    if packed == "gz":
        import gzip

        file = gzip.GzipFile(name)  # type: ignore[assignment]
    elif packed == "bz2":
        import bz2

        file = bz2.BZ2File(name)
    elif packed == "xz":
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
            raise InputError(f"{name}: cannot be read on: {said}") from None
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


def whole_lines(file: IO[bytes], name: str) -> Iterator[str]:
    """Lines with the newlines that end them, as `csv.reader` wants them."""
    first = True
    for lines in pieces(file, name, exact=True):
        for line in lines:
            yield (line.removeprefix(BOM) if first else line) + "\n"
            first = False
