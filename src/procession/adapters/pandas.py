"""pandas on a procession pool: what `groupby(...).apply` and `DataFrame.apply` give, with the function run on workers.

    from procession.adapters.pandas import apply, group_apply, partition_apply

    group_apply(df.groupby("city"), fit)         # was: df.groupby("city").apply(fit)
    apply(df, score, axis=1)                     # was: df.apply(score, axis=1)
    partition_apply(df, clean)                   # clean(df), part by part, put together again

Laws
1. Equal to pandas, whatever it was told: pandas itself says what the function is called with, and makes the result of
   what it gave (`_Calls`): index, columns, dtypes, group_keys, as_index, observed, dropna are pandas' own work.
2. The frame travels once: workers look at one copy in shared memory, and are told rows. That copy cannot be written;
   a function that changes what it is given changes a copy of that part, as under pandas' copy-on-write.
3. Who is not sure about which rows a group has (`_rows`) sends the groups one by one.
4. An error is the function's own, with a note that names the group, the row or the part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, update_wrapper
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeVar

from procession import options
from procession.adapters.given_by_users import Sized, pool_of

if TYPE_CHECKING:
    from procession.pool_face import PoolFace
    from procession.seeing.sources import Progress

T = TypeVar("T")

__all__ = ["apply", "group_apply", "partition_apply"]


def group_apply(
    grouped: Any,
    fn: Callable[..., Any],
    *args: Any,
    pool: PoolFace | None = None,
    progress: Progress = False,
    **kwargs: Any,
) -> Any:
    """`grouped.apply(fn, *args, **kwargs)`, each group on a worker. `grouped` is what `groupby` returns, of a frame or
    a series; all that was said to `groupby` holds.

    pool: None: `procession.shared_pool()`.
    progress: as `Pool.imap` has it; counts groups.

    Raises what `fn` raises for the first group that fails, with a note that names it, and `WorkerDied` when a group
    ended its worker; what else runs is cancelled. TypeError for what is no groupby and no function.
    """
    pandas = _pandas()
    _check_fn(fn)
    if not isinstance(grouped, (pandas.api.typing.DataFrameGroupBy, pandas.api.typing.SeriesGroupBy)):
        raise TypeError(f"grouped must be what groupby() returns, not {type(grouped).__name__}")
    words = {"include_groups": kwargs.pop("include_groups")} if "include_groups" in kwargs else {}
    calls = _Calls(fn, lambda called: grouped.apply(called, **words))
    names = [getattr(group, "name", None) for group in calls.given]
    rows = _rows(grouped, calls.given)
    if rows is None:
        found = _run(pool, progress, names, "group", partial(_group, fn, args, kwargs), names, calls.given)
    else:
        frame, stops = rows
        calls.given.clear()  # what it took is needed for the workers
        starts = [0, *stops[:-1]]
        call = partial(_group_of_rows, fn, args, kwargs)
        found = _run(pool, progress, names, "group", call, _Shared(frame), names, starts, stops)
    return calls.result(found)


def apply(
    frame: Any,
    fn: Callable[..., Any],
    *args: Any,
    axis: int | str = 0,
    raw: bool = False,
    result_type: str | None = None,
    pool: PoolFace | None = None,
    progress: Progress = False,
    **kwargs: Any,
) -> Any:
    """`frame.apply(fn, ...)`: each row (`axis=1`), column (`axis=0`) or value (of a series) on a worker, in parts.

    axis, raw, result_type: of a frame, as in pandas.
    pool, progress: see `group_apply`; progress counts parts.

    pandas makes each row once more, to put the result together: worth it where `fn` takes 100 µs and more.
    """
    pandas = _pandas()
    _check_fn(fn)
    words: dict[str, Any]
    if isinstance(frame, pandas.Series):
        if axis not in (0, "index") or raw or result_type is not None:
            raise TypeError("axis, raw and result_type are for frames, not for a series")
        words, along = {}, 0
    elif isinstance(frame, pandas.DataFrame):
        words = {"axis": axis, "raw": raw, "result_type": result_type}
        along = 0 if frame._get_axis_number(axis) == 1 else 1
    else:
        raise TypeError(f"frame must be a DataFrame or a Series, not {type(frame).__name__}")
    if not len(frame) or not frame.shape[along]:
        return frame.apply(fn, args=args, **words, **kwargs)
    pool = pool_of(pool)
    ends = _ends(frame.shape[along], None, pool)
    labels = [f"{a} to {b - 1}" for a, b in ends]
    call = partial(_apply_part, fn, args, kwargs, words, along)
    parts = _run(pool, progress, labels, ("column" if along else "row") + "s", call, _Shared(frame), ends)
    given = iter([value for part in parts for value in part])
    return frame.apply(_named_as(fn, lambda *_: next(given)), **words)


def partition_apply(
    frame: Any,
    fn: Callable[..., Any],
    *args: Any,
    partitions: int | None = None,
    pool: PoolFace | None = None,
    progress: Progress = False,
    **kwargs: Any,
) -> Any:
    """`fn(part, *args, **kwargs)` for contiguous parts of the rows, on workers. Frames and series that it returns are
    put together by `pandas.concat`; of anything else the list is returned.

    partitions: so many parts, of about as many rows, none of them empty; None: four for each worker.
    pool, progress: see `group_apply`; progress counts parts.
    """
    pandas = _pandas()
    _check_fn(fn)
    if not isinstance(frame, (pandas.DataFrame, pandas.Series)):
        raise TypeError(f"frame must be a DataFrame or a Series, not {type(frame).__name__}")
    if partitions is not None and (isinstance(partitions, bool) or partitions < 1):
        raise ValueError(f"partitions must be at least 1, or None, not {partitions!r}")
    pool = pool_of(pool)
    ends = _ends(len(frame), partitions, pool)
    labels = [f"{a} to {b - 1}" for a, b in ends]
    found = _run(pool, progress, labels, "rows", partial(_part, fn, args, kwargs), _Shared(frame), ends)
    if all(isinstance(each, (pandas.DataFrame, pandas.Series)) for each in found):
        return found[0] if len(found) == 1 else pandas.concat(found)
    return found


# -- what pandas calls, and makes of it --------------------------------------------------------------------------------


class _Calls:
    """A call of pandas' that is made twice: to see what the function is given, and to give it what that came to."""

    def __init__(self, fn: Callable[..., Any], caller: Callable[[Callable[..., Any]], Any]) -> None:
        self._fn = fn
        self._caller = caller
        self.given: list[Any] = []
        caller(_named_as(fn, self.given.append))

    def result(self, values: Iterable[Any]) -> Any:
        """What pandas makes of these values, one for each call."""
        left = iter(values)
        return self._caller(_named_as(self._fn, lambda _: next(left)))


def _named_as(fn: Callable[..., Any], stand_in: Callable[..., T]) -> Callable[..., T]:
    """pandas treats some names in a way of its own."""

    def called(*given: Any) -> T:
        return stand_in(*given)

    return update_wrapper(called, fn, updated=())


def _rows(grouped: Any, groups: list[Any]) -> tuple[Any, list[int]] | None:
    """A frame in which the groups lie one behind the other, and where each ends; None: one cannot be sure."""
    import numpy as np

    obj = grouped.obj
    if not groups or type(obj) is not type(groups[0]):
        return None
    if obj.ndim == 2 and not (obj.columns.is_unique and groups[0].columns.isin(obj.columns).all()):
        return None
    numbers = grouped.ngroup().fillna(-1).to_numpy().astype(np.int64)
    order = np.argsort(numbers, kind="stable")
    order = order[np.searchsorted(numbers[order], 0) :]
    counted = np.unique(numbers[order], return_counts=True)[1]
    lengths = np.array([len(group) for group in groups])
    if not np.array_equal(counted, lengths[lengths > 0]):
        return None
    if obj.ndim == 2 and not obj.columns.equals(groups[0].columns):
        obj = obj[list(groups[0].columns)]
    return obj.take(order), np.cumsum(lengths).tolist()


def _ends(count: int, parts: int | None, pool: PoolFace) -> list[tuple[int, int]]:
    """Where the parts begin and end."""
    wanted = 4 * pool._engine.max_workers if parts is None else parts
    wanted = max(1, min(wanted, count))
    return [(count * each // wanted, count * (each + 1) // wanted) for each in range(wanted)]


# -- on the way --------------------------------------------------------------------------------------------------------


class _Shared:
    """What all calls are given."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame


def _run(
    pool: PoolFace | None,
    progress: Progress,
    names: list[Any],
    what: str,
    call: Callable[..., Any],
    *arguments: Any,
) -> list[Any]:
    """The results of all calls. Raises the first error in their order."""
    pool = pool_of(pool)
    columns = [repeat(pool.share(each.frame)) if isinstance(each, _Shared) else each for each in arguments]
    found: list[Any] = []
    sized: list[Any] = [Sized(each, len(names)) for each in columns]
    with pool.imap(call, *sized, progress=progress) as stream:
        try:
            found.extend(stream)
        except Exception as error:
            error.add_note(
                f"in the {what} {names[len(found)]!r}" if what == "group" else f"in the {what} {names[len(found)]}"
            )
            raise
    return found


def _check_fn(fn: object) -> None:
    if not callable(fn):
        raise TypeError(f"fn must be a function, not {type(fn).__name__}; what pandas has a name for is quicker there")
    options.check_fn(fn)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("this needs pandas: pip install 'procession[pandas]'") from error
    return pandas


# -- on a worker -------------------------------------------------------------------------------------------------------


def _group(fn: Callable[..., Any], args: Any, kwargs: Any, name: Any, group: Any) -> Any:
    object.__setattr__(group, "name", name)  # as pandas has it
    return fn(group, *args, **kwargs)


def _group_of_rows(fn: Callable[..., Any], args: Any, kwargs: Any, frame: Any, name: Any, start: int, stop: int) -> Any:
    return _group(fn, args, kwargs, name, _own(frame.iloc[start:stop]))


def _part(fn: Callable[..., Any], args: Any, kwargs: Any, frame: Any, ends: tuple[int, int]) -> Any:
    return fn(_own(frame.iloc[slice(*ends)]), *args, **kwargs)


def _apply_part(
    fn: Callable[..., Any], args: Any, kwargs: Any, words: Any, along: int, frame: Any, ends: tuple[int, int]
) -> list[Any]:
    """What `fn` gives for each row, column or value of the part, as pandas calls it."""
    part = _own(frame.iloc[:, slice(*ends)] if along else frame.iloc[slice(*ends)])
    found: list[Any] = []
    part.apply(_named_as(fn, lambda each: found.append(fn(each, *args, **kwargs))), **words)
    return found


def _own(part: Any) -> Any:
    """What may be written: since pandas 3 it copies itself before."""
    return part.copy() if _pandas().__version__.startswith("2.") else part
