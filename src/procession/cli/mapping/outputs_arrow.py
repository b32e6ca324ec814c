"""Results as rows of Parquet or Arrow. Needs procession[arrow].

The columns are decided by the first ROWS results (all of them, where there are fewer), and then stay: a later result
that does not fit is NotWritable. A dict is a row; any other result is the one column `result`.
"""

from __future__ import annotations

import os
from typing import Any

from procession.cli.mapping.inputs_base import Item
from procession.cli.mapping.outputs_base import NotWritable, OutputError, Outputs
from procession.cli.mapping.outputs_kinds import Kind, Misfit, merged, misfit, settled, told
from procession.cli.mapping.outputs_places import Place
from procession.cli.mapping.outputs_text import as_row

ROWS = 1000
"""Results that decide what the columns are, and that are made Arrow's at once."""
GROUP = 16 * 1024 * 1024
"""Bytes, about, that Parquet keeps together as a row group."""


def arrow_for(outputs: Outputs, stdout: int) -> Any:
    """The package pyarrow. Raises OutputError where it is not there, or where its bytes would go to a terminal."""
    try:
        import pyarrow
    except ImportError:
        raise OutputError("--to parquet and arrow need pyarrow: pip install 'procession[arrow]'") from None
    if outputs.output is None and os.isatty(stdout):
        raise OutputError(f"{outputs.format} is nothing for a terminal; say --output FILE")
    return pyarrow


class Table:
    """Gathers rows, writes batches."""

    def __init__(self, arrow: Any, place: Place, outputs: Outputs) -> None:
        self._arrow = arrow
        self._place = place
        self._parquet = outputs.format == "parquet"
        self._with_item = outputs.with_item
        self._kinds: Kind = "null"
        self._dicts: bool | None = None
        self._rows: list[Any] = []
        self._schema: Any = None
        self._writer: Any = None
        self._batches: list[Any] = []
        self._size = self._weight = 0
        self._closed = False

    def write(self, item: Item, value: Any) -> None:
        row = {"item": item.value, "result": value} if self._with_item else as_row(value)
        dicts = isinstance(row, dict)
        if self._dicts is not None and dicts != self._dicts:
            raise NotWritable(f"the result is {'a dict' if dicts else 'no dict'}, unlike those before it")
        if not row and dicts:
            raise NotWritable("the result is an empty dict, which is no row")
        try:
            kind, plain_row = told(row if dicts else value, "result")
            if self._schema is None:
                self._kinds = merged(self._kinds, kind, "result")
            elif (said := misfit(self._kinds, kind, "result")) is not None:
                raise Misfit(said)
        except Misfit as error:
            raise NotWritable(str(error)) from None
        self._dicts = dicts
        full = plain_row if dicts else {"result": plain_row}
        self._rows.append(full)
        self._weight += weight(full)
        if len(self._rows) >= ROWS or self._weight >= GROUP:
            self._pass_on()

    def flush(self) -> None:
        """Nothing: a batch, and a row group, are worth writing only when they are full."""

    def close(self, complete: bool = True) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._pass_on()
            self._write_group()
            self._writer.close()
        except BaseException:
            self._place.close(False)
            raise
        self._place.close(complete)

    def _pass_on(self) -> None:
        if self._schema is None:
            self._begin()
        if self._rows:
            batch = self._arrow.RecordBatch.from_pylist(self._rows, schema=self._schema)
            self._rows, self._weight = [], 0
            self._batches.append(batch)
            self._size += batch.nbytes
            if self._size >= GROUP or not self._parquet:
                self._write_group()

    def _begin(self) -> None:
        self._kinds = settled(self._kinds)
        columns = self._kinds[1] if self._dicts else {} if self._dicts is None else {"result": self._kinds}
        self._schema = self._arrow.schema([(key, arrow_type(self._arrow, kind)) for key, kind in columns.items()])
        stream = self._arrow.PythonFile(_Stream(self._place), mode="w")
        if self._parquet:
            import pyarrow.parquet

            self._writer = pyarrow.parquet.ParquetWriter(stream, self._schema)
        else:
            import pyarrow.ipc

            self._writer = pyarrow.ipc.new_file(stream, self._schema)

    def _write_group(self) -> None:
        if self._batches:
            self._writer.write_table(self._arrow.Table.from_batches(self._batches))
            self._batches = []
            self._size = 0


def weight(row: dict[str, Any]) -> int:
    """About how many bytes a row has, if they are many."""
    return sum(len(each) for each in row.values() if isinstance(each, str | bytes | list))


class _Stream:
    """A place, as a file that pyarrow writes to."""

    closed = False

    def __init__(self, place: Place) -> None:
        self._place = place
        self._at = 0

    def write(self, data: Any) -> int:
        self._place.write(bytes(data))
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None: ...

    def close(self) -> None: ...


def arrow_type(arrow: Any, kind: Kind) -> Any:
    """Arrow's type of a column."""
    if isinstance(kind, str):
        return {
            "null": arrow.null,
            "bool": arrow.bool_,
            "big": arrow.int64,
            "float": arrow.float64,
            "text": arrow.string,
            "bytes": arrow.binary,
            "date": arrow.date32,
            "time": lambda: arrow.time64("us"),
            "moment": lambda: arrow.timestamp("us"),
            "instant": lambda: arrow.timestamp("us", "UTC"),
            "duration": lambda: arrow.duration("us"),
        }[kind]()
    if kind[0] == "decimal":
        return arrow.decimal128(kind[1] + kind[2], kind[2])
    if kind[0] == "list":
        return arrow.list_(arrow_type(arrow, kind[1]))
    return arrow.struct([(key, arrow_type(arrow, each)) for key, each in kind[1].items()])
