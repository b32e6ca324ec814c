"""A Python function over the batches of an Arrow table, data set or stream, on a procession pool.

    from procession.adapters.arrow import map_batches, map_table

    map_table(score, table)                                   # a table again
    with map_batches(score, dataset("logs/")) as batches:     # in order, as they are needed: any size
        for batch in batches:
            ...

`fn` is given a `pyarrow.RecordBatch`, and returns one, or whatever is like one: a Table, a frame of Polars or pandas,
anything that has `__arrow_c_stream__` or `__arrow_c_array__`. The source is any of these, too.

The laws are those of arrow_batches.py. How batches travel is in arrow_travel.py: through shared memory, without their
parents; on threads and `inline` nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

from procession.adapters.arrow_batches import MOST_ROWS, Batches, Columns, Source, Words
from procession.adapters.arrow_travel import Carried, is_pandas, joined, needs_pyarrow, one_batch
from procession.adapters.given_by_users import checked
from procession.transport.importable import loaded_class

if TYPE_CHECKING:
    from procession.pool_face import PoolFace
    from procession.seeing.sources import Progress

__all__ = ["RecordBatches", "map_batches", "map_table"]


class RecordBatches(Batches[Any]):
    """What `map_batches` returns: an iterator of record batches, and a stream of Arrow (`__arrow_c_stream__`), so that
    `pyarrow.dataset.write_dataset(batches.reader(), ..., preserve_order=True)`, `polars.DataFrame(batches)`, DuckDB and
    others take it.

    One thread takes. Closing or dropping it cancels what it has begun.
    """

    _told: Any = None
    _schema: Any = None

    @property
    def schema(self) -> Any:
        """That of all results. Waits for the first, if none has come and none was told. ValueError: there is none."""
        if self._told is not None:
            return self._told
        if self._like is None:
            try:
                self._first.append(self._take())
            except StopIteration:
                raise ValueError(
                    "the source has no batch, so that nobody knows the columns of the result: say schema="
                ) from None
        return self._schema

    def _columns(self, result: Any) -> Columns:
        if self._like is None:
            self._schema = result.schema
        return [(each.name, (each.type,) if each.nullable else (each.type, "not null")) for each in result.schema]

    def reader(self) -> Any:
        """A `pyarrow.RecordBatchReader` of what is left."""
        return needs_pyarrow().RecordBatchReader.from_batches(self.schema, self)

    def read_all(self) -> Any:
        """What is left as a Table."""
        schema = self.schema
        return needs_pyarrow().Table.from_batches(list(self), schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The stream, for whoever knows the PyCapsule protocol of Arrow."""
        return self.reader().__arrow_c_stream__(requested_schema)


def map_batches(
    fn: Callable[..., Any],
    source: Any,
    *args: Any,
    schema: Any = None,
    batch_rows: int | None = None,
    window: int | None = None,
    ordered: bool = True,
    pool: PoolFace | None = None,
    progress: Progress = False,
    **kwargs: Any,
) -> RecordBatches:
    """`fn(batch, *args, **kwargs)` for each batch of the source, on workers; the results in order, lazily. Starts at
    the call.

    source: a Table, RecordBatch, RecordBatchReader, Dataset, Scanner or ParquetFile, an iterable of record batches or
        tables, or what has `__arrow_c_stream__` or `__arrow_c_array__` (Polars, pandas, DuckDB ...).
    args, kwargs: go to each worker once, as by `pool.share`.
    schema: the `pyarrow.Schema` of the result. What `fn` returns is cast to it, on the worker; for a source without
        rows `fn` is not called. None: that of the first result.
    batch_rows: rows of each batch but the last. None: a table in four batches for each worker, else as the source has
        them; in both cases 65,536 rows at most.
    window: batches that are taken from the source and not yet handed over, at most; None: four for each worker.
    ordered: in the order of the source; False: as they are finished.
    pool: None: `procession.shared_pool()`.
    progress: as `Pool.imap` has it; counts batches.

    Raises what `fn` raises for the first batch that fails, with a note that names it, and `WorkerDied` when a batch
    ended its worker; what else runs is cancelled. TypeError for what is no source, and what is no result; ValueError
    for a result with other columns than the first.
    """
    words = Words(fn, pool, batch_rows, window, ordered)
    if schema is not None and not isinstance(schema, needs_pyarrow().Schema):
        raise TypeError(f"schema must be a pyarrow.Schema, not {type(schema).__name__}")
    found = source_of(source, batch_rows)
    call = _call if schema is None else partial(_call_cast, schema)
    batches = RecordBatches(*words.begin(found, call, Carried, args, kwargs, progress, schema is None))
    batches._told = schema
    return batches


def map_table(
    fn: Callable[..., Any],
    source: Any,
    *args: Any,
    schema: Any = None,
    batch_rows: int | None = None,
    pool: PoolFace | None = None,
    progress: Progress = False,
    **kwargs: Any,
) -> Any:
    """The results of `map_batches` as one `pyarrow.Table`. Words and errors are those of `map_batches`; ValueError for
    an iterable without batches, where there is no `schema`."""
    words: dict[str, Any] = {"schema": schema, "batch_rows": batch_rows, "pool": pool, "progress": progress}
    with map_batches(fn, source, *args, **words, **kwargs) as batches:
        return batches.read_all()


# -- sources -----------------------------------------------------------------------------------------------------------


def source_of(given: Any, batch_rows: int | None) -> Source:
    """How this one gives its batches."""
    arrow = needs_pyarrow()
    if is_pandas(given) or isinstance(given, arrow.RecordBatch):
        given = arrow.Table.from_batches([one_batch(given)]) if len(given.columns) else one_batch(given)
    if isinstance(given, (arrow.Table, arrow.RecordBatch)):
        pieces = given.to_batches() if given.num_columns else [one_batch(given)]
        return Source(iter(pieces), joined, one_batch(given.slice(0, 0)), given.num_rows)
    if isinstance(given, RecordBatches):
        return Source(given, joined)
    read = _read(given, batch_rows or MOST_ROWS)
    if read is not None:
        return Source(iter(read[0]), joined, one_batch(read[1].empty_table()))
    if hasattr(given, "__arrow_c_array__"):
        return source_of(one_batch(given), batch_rows)
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, dict)):
        return Source(checked(given, _is_rows, "a RecordBatch or a Table", one_batch), joined)
    raise TypeError(
        "source must be a Table, RecordBatch, RecordBatchReader, Dataset, Scanner or ParquetFile, an iterable of "
        f"record batches, or what has __arrow_c_stream__, not {type(given).__name__}"
        + ("; of a path make a pyarrow.dataset.dataset(path)" if isinstance(given, (str, PathLike)) else "")
    )


def _read(given: Any, rows: int) -> tuple[Iterable[Any], Any] | None:
    """The batches and the schema of what Arrow reads itself; None: of this it does not."""
    if isinstance(given, needs_pyarrow().RecordBatchReader):
        return given, given.schema
    if isinstance(given, loaded_class("pyarrow.dataset", "Dataset")):
        return given.to_batches(batch_size=rows), given.schema
    if isinstance(given, loaded_class("pyarrow.dataset", "Scanner")):
        return given.to_batches(), given.projected_schema
    if isinstance(given, loaded_class("pyarrow.parquet", "ParquetFile")):
        return given.iter_batches(batch_size=rows), given.schema_arrow
    if hasattr(given, "__arrow_c_stream__"):
        reader = needs_pyarrow().RecordBatchReader.from_stream(given)
        return reader, reader.schema
    return None


def _is_rows(item: Any) -> bool:
    arrow = needs_pyarrow()
    return isinstance(item, (arrow.RecordBatch, arrow.Table)) or hasattr(item, "__arrow_c_stream__")


# -- on a worker -------------------------------------------------------------------------------------------------------


def _call(fn: Callable[..., Any], item: Any) -> Carried:
    carried, (args, kwargs) = item
    return Carried(one_batch(fn(carried.value, *args, **kwargs), "fn must return"))


def _call_cast(schema: Any, fn: Callable[..., Any], item: Any) -> Carried:
    batch = _call(fn, item).value
    if not batch.schema.equals(schema):
        table = needs_pyarrow().Table.from_batches([batch])
        if sorted(schema.names) == sorted(batch.schema.names):
            table = table.select(schema.names)
        batch = one_batch(table.cast(schema))
    return Carried(batch)
