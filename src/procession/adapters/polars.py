"""A Python function over the batches or groups of a Polars frame, on a procession pool.

    from procession.adapters.polars import map_batches, map_frame, map_groups

    map_frame(score, frame)                                       # a frame again
    map_groups(fit, frame.group_by("city", maintain_order=True))  # was: frame.group_by(...).map_groups(fit)
    with map_batches(score, scan_parquet("logs/*")) as frames:    # in order, as they are needed: any size
        for frame in frames:
            ...

`fn` is given a `polars.DataFrame`, and returns one, or a Series, or what has `__arrow_c_stream__`.

Laws, beside those of arrow_batches.py
1. What arrives is equal to what was sent, types included. A frame travels as a table of Arrow, through shared memory;
   one with a type that Arrow has not, or that might come back as another, travels as Polars pickles it.
2. `map_groups` gives what Polars' own gives, where that has a result: Polars makes the groups, and joins the results.
3. Each row travels once. Groups that are small go together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from procession.adapters.arrow_batches import MOST_ROWS, Batches, Columns, Source, Words
from procession.adapters.arrow_travel import needs_pyarrow, own
from procession.adapters.given_by_users import checked

if TYPE_CHECKING:
    from procession.pool_face import PoolFace
    from procession.seeing.sources import Progress

__all__ = ["Frames", "map_batches", "map_frame", "map_groups"]

OLDEST = (1, 44)


class Frames(Batches[Any]):
    """What `map_batches` returns: an iterator of frames.

    One thread takes. Closing or dropping it cancels what it has begun.
    """

    def _columns(self, result: Any) -> Columns:
        return [(name, (kind,)) for name, kind in result.schema.items()]

    def read_all(self) -> Any:
        """What is left as one frame. ValueError: there is nothing that would say the columns."""
        frames = list(self)
        if not frames:
            raise ValueError("the source has no frame, so that nobody knows the columns of the result")
        return _joined(frames)


def map_batches(
    fn: Callable[..., Any],
    source: Any,
    *args: Any,
    batch_rows: int | None = None,
    window: int | None = None,
    ordered: bool = True,
    pool: PoolFace | None = None,
    progress: Progress = False,
    **kwargs: Any,
) -> Frames:
    """`fn(part, *args, **kwargs)` for parts of the rows, on workers; the results in order, lazily. Starts at the call.

    source: a DataFrame; a LazyFrame, which is computed here, in batches (`LazyFrame.collect_batches`), as they are
        needed; or an iterable of frames.
    args, kwargs: go to each worker once, as by `pool.share`.
    batch_rows: rows of each batch but the last. None: a DataFrame in four batches for each worker, else as the source
        has them; in both cases 65,536 rows at most.
    window: batches that are taken from the source and not yet handed over, at most; None: four for each worker.
    ordered: in the order of the source; False: as they are finished.
    pool: None: `procession.shared_pool()`.
    progress: as `Pool.imap` has it; counts batches.

    Raises what `fn` raises for the first batch that fails, with a note that names it, and `WorkerDied` when a batch
    ended its worker; what else runs is cancelled. TypeError for what is no source, and what is no result; ValueError
    for a result with other columns than the first.
    """
    words = Words(fn, pool, batch_rows, window, ordered)
    return Frames(*words.begin(_source_of(source, batch_rows), _call, Frame, args, kwargs, progress))


def map_frame(
    fn: Callable[..., Any],
    source: Any,
    *args: Any,
    batch_rows: int | None = None,
    pool: PoolFace | None = None,
    progress: Progress = False,
    **kwargs: Any,
) -> Any:
    """The results of `map_batches` as one DataFrame. Words and errors are those of `map_batches`; ValueError for an
    iterable without frames."""
    words: dict[str, Any] = {"batch_rows": batch_rows, "pool": pool, "progress": progress}
    with map_batches(fn, source, *args, **words, **kwargs) as frames:
        return frames.read_all()


def map_groups(
    fn: Callable[..., Any],
    grouped: Any,
    *args: Any,
    pool: PoolFace | None = None,
    progress: Progress = False,
    **kwargs: Any,
) -> Any:
    """`grouped.map_groups(fn)`, on workers: `fn(group, *args, **kwargs)` is a frame for each group.

    grouped: what `DataFrame.group_by`, `group_by_dynamic` or `rolling` returns, with expressions and `having`, too.
        Say `maintain_order=True`, or the groups come in any order, as with Polars.
    pool: None: `procession.shared_pool()`.
    progress: as `Pool.imap` has it; counts parcels of groups, of which there are some eight for each worker.

    Of a frame without rows Polars gives an error; here `fn` is given that frame.

    Raises what `fn` raises for the first group that fails, with a note that names it, and `WorkerDied`, whose note says
    which groups the worker had; what else runs is cancelled. TypeError for what is no groupby, no function, no frame;
    `polars.exceptions.SchemaError`, as Polars, for a result with other columns than the first.
    """
    groups = _polars().dataframe.group_by
    words = Words(fn, pool, None, None, True)
    if not isinstance(grouped, (groups.GroupBy, groups.DynamicGroupBy, groups.RollingGroupBy)):
        hint = ": collect() its frame first" if type(grouped).__name__ == "LazyGroupBy" else ""
        raise TypeError(f"grouped must be what DataFrame.group_by() returns, not {type(grouped).__name__}{hint}")
    source = _Parcels(grouped)
    with _Found(*words.begin(source, _call_groups, _carried_parcel, args, kwargs, progress)) as found:
        return found.read_all()


# -- sources -----------------------------------------------------------------------------------------------------------


def _source_of(given: Any, batch_rows: int | None) -> Source:
    polars = _polars()
    if isinstance(given, polars.DataFrame):
        return Source(iter([given]), _joined, given.clear(), len(given))
    if isinstance(given, polars.LazyFrame):
        frames = given.collect_batches(chunk_size=batch_rows or MOST_ROWS, maintain_order=True, lazy=True)
        return Source(iter(frames), _joined, polars.DataFrame(schema=given.collect_schema()))
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, dict, polars.Series)):
        return Source(checked(given, lambda each: isinstance(each, polars.DataFrame), "a DataFrame"), _joined)
    raise TypeError(f"source must be a DataFrame, a LazyFrame or an iterable of frames, not {type(given).__name__}")


def _joined(frames: list[Any]) -> Any:
    return frames[0] if len(frames) == 1 else _polars().concat(frames, how="vertical")


# -- groups ------------------------------------------------------------------------------------------------------------

PARCELS = 8
"""Parcels of groups for each worker, about."""


class _Parcel:
    """Groups that go together: their names, their rows one behind the other, and where each ends."""

    def __init__(self, names: list[Any], frame: Any, ends: list[int]) -> None:
        self.names, self.frame, self.ends = names, frame, ends

    def __len__(self) -> int:
        return self.ends[-1]


class _Parcels(Source):
    """The groups of a groupby, as Polars makes them."""

    def __init__(self, grouped: Any) -> None:
        super().__init__(iter(()), _joined, _Parcel([()], grouped.df.clear(), [0]), len(grouped.df))
        self._grouped = grouped

    def batches(self, batch_rows: int | None, workers: int) -> tuple[Iterator[Any], int | None]:
        """See `Source`."""
        grouped, enough = self._grouped, min(MOST_ROWS, (self.rows or 0) // (PARCELS * workers))
        plain = isinstance(grouped, _polars().dataframe.group_by.GroupBy) and not grouped.predicates
        if plain and not grouped.named_by and all(isinstance(each, str) for each in grouped.by):
            return _at_once(grouped, enough), None
        return _one_by_one(grouped, enough), None

    def told(self, number: int, start: int, batch: _Parcel) -> str:
        """See `Source`."""
        first, last = batch.names[0], batch.names[-1]
        return f"the group {first}" if len(batch.names) == 1 else f"one of the groups {first} to {last}"


def _one_by_one(grouped: Any, enough: int) -> Iterator[_Parcel]:
    """Parcels of `enough` rows, or of one more group than would be that."""
    names: list[Any] = []
    frames: list[Any] = []
    ends: list[int] = []
    for name, frame in grouped:
        names.append(name)
        frames.append(frame)
        ends.append(len(frame) + (ends[-1] if ends else 0))
        if ends[-1] >= enough:
            yield _Parcel(names, _joined(frames), ends)
            names, frames, ends = [], [], []
    if names:
        yield _Parcel(names, _joined(frames), ends)


def _at_once(grouped: Any, enough: int) -> Iterator[_Parcel]:
    """The same, where the groups are made by columns: the rows of a parcel are gathered together."""
    polars, frame = _polars(), grouped.df.rechunk()
    found = (
        frame.lazy()
        .select(*grouped.by)
        .with_row_index(_ROW)
        .group_by(*grouped.by, maintain_order=grouped.maintain_order)
        .agg(polars.col(_ROW))
        .collect()
    )
    keys, rows = found.drop(_ROW), found[_ROW]
    first = 0
    ends: list[int] = []
    for number, size in enumerate(rows.list.len(), 1):
        ends.append(size + (ends[-1] if ends else 0))
        if ends[-1] >= enough or number == len(rows):
            part = frame[rows.slice(first, number - first).explode()]
            yield _Parcel(keys.slice(first, number - first).rows(), part, ends)
            first, ends = number, []


_ROW = "__procession_row"


class _Found(Frames):
    """The results of parcels."""

    def _unlike(self, text: str) -> Exception:
        error: Exception = _polars().exceptions.SchemaError(text)
        return error

    def _note(self, error: Exception, place: str) -> None:
        if not any(note.startswith("in the group ") for note in getattr(error, "__notes__", ())):
            super()._note(error, place)


# -- on the way --------------------------------------------------------------------------------------------------------


class Frame:
    """A frame on its way; `value` is the frame."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        frame = self.value
        if not frame.width or not all(map(_same_in_arrow, frame.dtypes)):
            return Frame, (frame,)
        arrow = needs_pyarrow()
        table = frame.to_arrow(compat_level=_polars().CompatLevel.oldest())
        columns = [arrow.chunked_array(list(map(own, each.chunks)), each.type) for each in table.columns]
        return _arrived, (arrow.Table.from_arrays(columns, schema=table.schema),)


def _arrived(table: Any) -> Frame:
    return Frame(_polars().from_arrow(table))


def _carried_parcel(parcel: _Parcel) -> Any:
    return Frame(parcel.frame), parcel.names, parcel.ends


def _same_in_arrow(kind: Any) -> bool:
    """Whether Arrow gives back the same: only for types of which that is known."""
    name = str(kind.base_type())
    if name == "Struct":
        return all(_same_in_arrow(each.dtype) for each in kind.fields)
    if name in ("List", "Array"):
        return _same_in_arrow(kind.inner)
    return name in _SAME


_SAME = {
    *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64"),
    *("Boolean", "String", "Binary", "Null", "Date", "Time", "Datetime", "Duration", "Decimal", "Categorical", "Enum"),
}


# -- on a worker -------------------------------------------------------------------------------------------------------


def _call(fn: Callable[..., Any], item: Any) -> Frame:
    carried, (args, kwargs) = item
    return Frame(_result(fn(carried.value, *args, **kwargs)))


def _call_groups(fn: Callable[..., Any], item: Any) -> Frame:
    (carried, names, ends), (args, kwargs) = item
    frame, found = carried.value, list[Any]()
    start = 0
    try:
        for end in ends:
            found.append(_result(fn(frame.slice(start, end - start), *args, **kwargs)))
            start = end
    except Exception as error:
        error.add_note(f"in the group {names[len(found)]}")
        raise
    try:
        return Frame(_joined(found).rechunk())
    except _polars().exceptions.PolarsError as error:
        odd = next((at for at, each in enumerate(found) if each.schema != found[0].schema), 0)
        error.add_note(f"in the group {names[odd]}")
        raise


def _result(given: Any) -> Any:
    """What a function gave, as a frame."""
    polars = _polars()
    if isinstance(given, polars.DataFrame):
        return given
    if isinstance(given, polars.Series):
        return given.to_frame()
    if hasattr(given, "__arrow_c_stream__"):
        return polars.DataFrame(given)
    hint = "; collect() it" if isinstance(given, polars.LazyFrame) else ""
    raise TypeError(
        f"fn must return a DataFrame, a Series or what has __arrow_c_stream__, not {type(given).__name__}{hint}"
    )


def _polars() -> Any:
    try:
        import polars
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError("this needs Polars and PyArrow: pip install 'procession[polars]'") from error
    if tuple(map(int, polars.__version__.split(".")[:2])) < OLDEST:  # whose slices of structs are no valid Arrow
        text = f"this needs Polars {'.'.join(map(str, OLDEST))} or newer, not {polars.__version__}"
        raise ImportError(f"{text}: pip install 'procession[polars]'")
    return polars
