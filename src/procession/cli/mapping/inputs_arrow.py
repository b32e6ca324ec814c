"""Parquet, Arrow and Feather: rows as dicts of plain Python values, batch by batch. Needs procession[arrow]."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from procession.cli.mapping.inputs_base import InputError, Item, Reading, make_item
from procession.cli.mapping.inputs_naming import STDIN, named

ROWS = 1000
"""Rows that are made Python values at once, at most; fewer, where they are large."""
BYTES = 4 * 1024 * 1024
"""Of rows that are made Python values at once, about."""
MAGIC = b"ARROW1\0\0"
"""How an Arrow file begins."""
BUFFER = 64 * 1024
"""Bytes of a column that are read at once."""


def arrow_of(name: str) -> Any:
    """The package pyarrow. Raises InputError that says what to install where it is not there."""
    try:
        import pyarrow
    except ImportError:
        raise InputError(f"{named(name)}: Parquet and Arrow need pyarrow: pip install 'procession[arrow]'") from None
    return pyarrow


def parquet_rows(name: str, reading: Reading) -> Iterator[Item]:
    """The rows of a Parquet file."""
    with _parquet(name) as file:
        groups = [file.metadata.row_group(at) for at in range(file.num_row_groups)]
        at_once = fitting(sum(each.total_byte_size for each in groups), sum(each.num_rows for each in groups))
        yield from _items(_guarded(file.iter_batches(batch_size=at_once), name), name, reading)


def parquet_total(name: str) -> int:
    """How many rows a Parquet file has; that is written at its end."""
    with _parquet(name) as file:
        return int(file.metadata.num_rows)


def _parquet(name: str) -> Any:
    arrow = arrow_of(name)
    if name == STDIN:
        raise InputError(
            "stdin: a Parquet file says at its end what is in it, so it is read by its name, not from a pipe"
        )
    import pyarrow.parquet

    try:
        # By itself it would read ahead all row groups of the file.
        return pyarrow.parquet.ParquetFile(name, pre_buffer=False, buffer_size=BUFFER)
    except (OSError, arrow.ArrowException) as error:
        raise InputError(f"{name}: cannot be read as Parquet: {_said(error)}") from None


def arrow_rows(name: str, reading: Reading) -> Iterator[Item]:
    """The rows of an Arrow or Feather file, or of an Arrow stream; stdin may be either."""
    arrow = arrow_of(name)
    import pyarrow.ipc

    try:
        source = arrow.PythonFile(_Stdin(), mode="r") if name == STDIN else arrow.memory_map(name)
    except (OSError, arrow.ArrowException) as error:
        raise InputError(f"{named(name)}: {_said(error)}") from None
    with source:
        yield from _items(_guarded(_batches(pyarrow.ipc, source, name), name), name, reading)


class _Stdin:
    """The Arrow stream that comes through stdin. An Arrow file is one, between its first 8 bytes and its footer."""

    closed = False

    def __init__(self) -> None:
        self._file = io.BufferedReader(io.FileIO(0, closefd=False))
        head = self._file.read(len(MAGIC))
        self._head = b"" if head == MAGIC else head

    def read(self, size: int) -> bytes:
        """So many bytes, or what there is."""
        head, self._head = self._head[:size], self._head[size:]
        return head + self._file.read(size - len(head))

    def close(self) -> None:
        """Stdin itself stays open."""
        self._file.close()


def _batches(ipc: Any, source: Any, name: str) -> Iterator[Any]:
    magic = b"" if name == STDIN else source.read(6)
    if magic[:4] == b"FEA1":
        raise InputError(
            f"{name}: is a Feather file of version 1, which pyarrow no longer reads as a stream of batches"
        )
    if name != STDIN:
        source.seek(0)
    if magic == b"ARROW1":
        file = ipc.open_file(source)
        yield from (file.get_batch(at) for at in range(file.num_record_batches))
    else:
        yield from ipc.open_stream(source)


def _guarded(batches: Iterator[Any], name: str) -> Iterator[Any]:
    arrow = arrow_of(name)
    try:
        yield from batches
    except (OSError, arrow.ArrowException) as error:
        raise InputError(f"{named(name)}: cannot be read on: {_said(error)}") from None


def _items(batches: Iterator[Any], name: str, reading: Reading) -> Iterator[Item]:
    number, indices = 0, reading.indices
    for batch in batches:
        at_once = fitting(batch.nbytes, batch.num_rows)
        for start in range(0, batch.num_rows, at_once):
            for row in _plain(batch.slice(start, at_once), name).to_pylist():
                number += 1
                yield make_item((row, name, number, None, next(indices)))


def fitting(size: int, rows: int) -> int:
    """Of rows that weigh so much together, how many are taken at once."""
    return max(1, min(ROWS, BYTES * rows // size)) if size else ROWS


def _plain(batch: Any, name: str) -> Any:
    """Nanoseconds become microseconds, which Python's own types have; where that would lose something: InputError."""
    arrow = arrow_of(name)
    schema = batch.schema
    for at, field in enumerate(schema):
        finer = {
            arrow.lib.Type_TIMESTAMP: lambda kind: arrow.timestamp("us", kind.tz),
            arrow.lib.Type_DURATION: lambda kind: arrow.duration("us"),
            arrow.lib.Type_TIME64: lambda kind: arrow.time64("us"),
        }.get(field.type.id)
        if finer is not None and field.type.unit == "ns":
            kind = finer(field.type)
            try:
                column = batch.column(at).cast(kind)
            except arrow.ArrowInvalid as error:
                raise InputError(
                    f"{named(name)}: column {field.name!r} has nanoseconds, which Python's times do not have; cast it "
                    f"to microseconds first ({_said(error)})"
                ) from None
            batch = batch.set_column(at, field.with_type(kind), column)
    return batch


def _said(error: Exception) -> str:
    return str(error).partition("\n")[0]
