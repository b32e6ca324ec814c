"""How record batches travel: as the buffers of pickle's protocol 5, which lie in shared memory (transport/aside.py).

Laws
1. What arrives is equal to what was sent, schema, metadata and extension types included.
2. **A slice travels without its parent.** pyarrow pickles the whole buffers that a slice looks into; so a column that
   looks at clearly more than it has is copied first (`own_rows`). A dictionary travels whole with each batch.
3. Where nothing is pickled (threads, inline) nothing is copied.
"""

from __future__ import annotations

from operator import is_
from typing import Any

from procession.transport.importable import loaded_class

SLACK = 1024
"""Bytes that a column may look at in vain, beside a tenth of what it has."""


class Carried:
    """A batch on its way; `value` is the batch."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        batch = self.value
        if not batch.num_columns:
            return _bare, (batch.num_rows, batch.schema)
        return Carried, (own_rows(batch),)


def _bare(rows: int, schema: Any) -> Carried:
    return Carried(bare(rows, schema))


def bare(rows: int, schema: Any) -> Any:
    """A batch of so many rows without columns, which pyarrow's own pickle forgets."""
    arrow = needs_pyarrow()
    return arrow.record_batch([arrow.nulls(rows)], ["x"]).select([]).replace_schema_metadata(schema.metadata)


def own_rows(batch: Any) -> Any:
    """An equal one that looks at its own rows only, or at little more."""
    had = batch.columns
    columns = list(map(own, had))
    if all(map(is_, columns, had)):
        return batch
    return type(batch).from_arrays(columns, schema=batch.schema)


def own(column: Any) -> Any:
    """An equal array that looks at little more than it has, where that can be made."""
    arrow = needs_pyarrow()
    types = arrow.types
    try:
        has = column.nbytes
        if column.get_total_buffer_size() <= has + has // 10 + SLACK:
            return column
        if types.is_string_view(column.type):  # copied by themselves, views would go on looking at all texts
            return column.cast(arrow.large_string()).cast(column.type)
        if types.is_binary_view(column.type):
            return column.cast(arrow.large_binary()).cast(column.type)
        return arrow.concat_arrays([column])
    except (arrow.ArrowNotImplementedError, arrow.ArrowTypeError):  # what this version cannot weigh, or copy
        return column


def joined(batches: list[Any]) -> Any:
    """Several batches as one."""
    arrow, schema = needs_pyarrow(), batches[0].schema
    for each in batches[1:]:
        if not each.schema.equals(schema):
            raise ValueError(
                "batch_rows puts batches of the source together, and they have not the same columns:\n"
                f"{schema.remove_metadata()}\nand then\n{each.schema.remove_metadata()}"
            )
    if not schema.names:
        return bare(sum(map(len, batches)), schema)
    return one_batch(arrow.Table.from_batches(batches))


def one_batch(given: Any, must: str = "a source must give") -> Any:
    """What somebody gave, as one record batch. `must` begins the error about what is none."""
    arrow = needs_pyarrow()
    if isinstance(given, arrow.RecordBatch):
        return given
    if is_pandas(given):
        given = _of_pandas(given)
    if not isinstance(given, arrow.Table):
        if hasattr(given, "__arrow_c_stream__"):
            given = arrow.table(given)
        elif hasattr(given, "__arrow_c_array__"):
            return arrow.record_batch(given)
        else:
            raise TypeError(
                f"{must} a RecordBatch, a Table, a frame of Polars or pandas, or what has __arrow_c_stream__ or "
                f"__arrow_c_array__, not {type(given).__name__}"
            )
    if not given.num_columns:
        return bare(given.num_rows, given.schema)
    if not given.num_rows:
        return arrow.RecordBatch.from_arrays([arrow.nulls(0, each.type) for each in given.schema], schema=given.schema)
    batches = given.combine_chunks().to_batches()
    if len(batches) > 1:
        raise ValueError(f"{must} what fits into one batch: for more than 2 GiB of text take the type large_string")
    return batches[0]


def is_pandas(given: object) -> bool:
    """A frame of pandas."""
    return isinstance(given, loaded_class("pandas", "DataFrame"))


def _of_pandas(frame: Any) -> Any:
    """As a table. An index without a name counts rows that are not there any more, or in another batch."""
    named = any(name is not None for name in frame.index.names)
    return needs_pyarrow().Table.from_pandas(frame, preserve_index=None if named else False)


def needs_pyarrow() -> Any:
    """The package."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError("this needs PyArrow: pip install 'procession[arrow]'") from error
    return pyarrow
