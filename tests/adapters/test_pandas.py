"""`procession.adapters.pandas`: equal to pandas, whatever it was told."""

from __future__ import annotations

import builtins
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from procession import Pool
from procession.adapters import pandas as adapter
from procession.adapters.pandas import apply, group_apply, partition_apply
from procession.errors import WorkerDied
from tests import warm

kept_zygote = warm.keep("pandas")


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(2) as made:
        yield made


def _frame() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "k": rng.integers(0, 5, 60),
            "c": pd.Categorical(rng.choice(["a", "b"], 60), categories=["b", "a", "unseen"]),
            "n": rng.choice([1.0, 2.0, np.nan], 60),
            "v": rng.random(60),
            "s": rng.choice(["x", "y", None], 60),
            "t": pd.date_range("2026-01-01", periods=60, freq="h"),
        },
        index=pd.Index(rng.permutation(60), name="at"),
    )
    return frame


def _mean(group: Any) -> float:
    return float(group.v.mean())


def _series(group: Any) -> pd.Series:
    return pd.Series({"size": len(group), "v": group.v.sum(), "name": str(group.name)})


def _same_rows(group: Any) -> pd.DataFrame:
    return group.assign(v=group.v - group.v.mean())


def _some_rows(group: Any) -> pd.DataFrame:
    return group.head(2)


def _some_none(group: Any) -> pd.DataFrame | None:
    return group.head(1) if len(group) > 12 else None


GROUPED: dict[str, Callable[[pd.DataFrame], Any]] = {
    "a column": lambda f: f.groupby("k"),
    "unsorted": lambda f: f.groupby("k", sort=False),
    "as columns": lambda f: f.groupby("k", as_index=False),
    "without keys": lambda f: f.groupby("k", group_keys=False),
    "two columns": lambda f: f.groupby(["k", "n"]),
    "keys that are missing": lambda f: f.groupby(["n", "s"], dropna=False),
    "categories that are not there": lambda f: f.groupby("c", observed=False),
    "categories that are there": lambda f: f.groupby("c", observed=True),
    "a function": lambda f: f.groupby(lambda label: label % 3),
    "a level": lambda f: f.groupby(level="at"),
    "days": lambda f: f.groupby(pd.Grouper(key="t", freq="D")),
    "chosen columns": lambda f: f.groupby("k")[["v", "t"]],
}


@pytest.mark.parametrize("how", list(GROUPED))
def test_group_apply_is_equal_to_pandas(how: str, pool: Pool) -> None:
    frame = _frame()
    before = frame.copy(deep=True)
    for fn in (_mean, _series, _same_rows, _some_rows, _some_none):
        wanted = GROUPED[how](frame).apply(fn)
        came = group_apply(GROUPED[how](frame), fn, pool=pool)
        _same(came, wanted)
        pd.testing.assert_frame_equal(frame, before)


def _same(came: Any, wanted: Any) -> None:
    assert type(came) is type(wanted)
    (pd.testing.assert_frame_equal if wanted.ndim == 2 else pd.testing.assert_series_equal)(came, wanted)


@pytest.mark.parametrize("frame", [_frame().iloc[:0], _frame().iloc[:1]])
def test_groups_of_nothing_and_of_one_row(frame: pd.DataFrame, pool: Pool) -> None:
    wanted = frame.groupby("k").apply(_same_rows)
    pd.testing.assert_frame_equal(group_apply(frame.groupby("k"), _same_rows, pool=pool), wanted)


def test_a_series_and_arguments_and_a_local_function(pool: Pool) -> None:
    frame, power = _frame(), 3
    wanted = frame.v.groupby(frame.k).apply(
        lambda values, plus, times=1: (values**power).sum() * times + plus, 2, times=5
    )
    came = group_apply(
        frame.v.groupby(frame.k),
        lambda values, plus, times=1: (values**power).sum() * times + plus,
        2,
        times=5,
        pool=pool,
    )
    pd.testing.assert_series_equal(came, wanted)
    wanted = frame.groupby("k")["v"].apply(lambda values: values.name)
    pd.testing.assert_series_equal(group_apply(frame.groupby("k")["v"], lambda values: values.name, pool=pool), wanted)


def test_columns_of_one_name_are_sent_group_by_group(pool: Pool) -> None:
    frame = pd.DataFrame([[1, 2, 3], [1, 5, 6], [2, 8, 9]], columns=["k", "v", "v"])
    wanted = frame.groupby("k").apply(lambda group: group.sum())
    pd.testing.assert_frame_equal(group_apply(frame.groupby("k"), lambda group: group.sum(), pool=pool), wanted)


@pytest.mark.parametrize("backend", ["threads", "inline"])
def test_other_backends(backend: Any) -> None:
    frame = _frame()
    with Pool(2, backend=backend) as pool:
        came = group_apply(frame.groupby("k"), _series, pool=pool)
        pd.testing.assert_frame_equal(came, frame.groupby("k").apply(_series))
        pd.testing.assert_series_equal(apply(frame, lambda row: row.k, axis=1, pool=pool), frame.k, check_names=False)


def test_what_a_function_writes_into_its_group_is_seen_by_nobody(pool: Pool) -> None:
    def write(group: pd.DataFrame) -> float:
        group.loc[group.index[0], "v"] = 100.0
        group["new"] = 1
        return float(group.v.max())

    frame = _frame()
    before = frame.copy(deep=True)
    assert (group_apply(frame.groupby("k"), write, pool=pool) == 100.0).all()
    assert (group_apply(frame.groupby("k"), lambda group: group.v.max(), pool=pool) < 1).all()
    pd.testing.assert_frame_equal(frame, before)


def test_the_frame_is_sent_once_and_not_with_each_group(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[Any] = []
    real = pool.share
    monkeypatch.setattr(pool, "share", lambda obj: (shared.append(obj), real(obj))[1])
    frame = pd.DataFrame({"k": np.arange(20000) % 50, "v": np.arange(20000.0)})
    assert group_apply(frame.groupby("k"), _mean, pool=pool).tolist() == frame.groupby("k").v.mean().tolist()
    partition_apply(frame, len, pool=pool)
    assert [len(each) for each in shared] == [20000, 20000]


# -- rows, columns, values ---------------------------------------------------------------------------------------------


APPLIED: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (lambda row: row.k + row.v, {"axis": 1}),
    (lambda row: pd.Series([row.k, row.v], ["a", "b"]), {"axis": "columns"}),
    (lambda row: [row.k, row.s], {"axis": 1, "result_type": "expand"}),
    (lambda row: None if row.k else 1, {"axis": 1}),
    (lambda column: column.isna().sum(), {}),
    (lambda column: column.head(3), {"axis": "index"}),
    (lambda row: len(row), {"axis": 1, "raw": True}),
]


def test_apply_is_equal_to_pandas(pool: Pool) -> None:
    frame = _frame()
    for fn, words in APPLIED:
        _same(apply(frame, fn, pool=pool, **words), frame.apply(fn, **words))
    _same(apply(frame.v, lambda v, p: v**p, 2, pool=pool), frame.v.apply(lambda v: v**2))
    nothing = frame.iloc[:0][["v"]]
    _same(apply(nothing, lambda row: 1.0, axis=1, pool=pool), nothing.apply(lambda row: 1.0, axis=1))


def test_partition_apply(pool: Pool) -> None:
    frame = _frame()
    pd.testing.assert_frame_equal(
        partition_apply(frame, lambda part: part.assign(w=part.v * 2), pool=pool), frame.assign(w=frame.v * 2)
    )
    pd.testing.assert_series_equal(
        partition_apply(frame.v, lambda part, by: part * by, 3, partitions=7, pool=pool), frame.v * 3
    )
    assert partition_apply(frame, len, partitions=4, pool=pool) == [15, 15, 15, 15]
    assert partition_apply(frame.iloc[:2], len, partitions=40, pool=pool) == [1, 1]
    pd.testing.assert_frame_equal(partition_apply(frame.iloc[:0], lambda part: part, pool=pool), frame.iloc[:0])


# -- failures ----------------------------------------------------------------------------------------------------------


def test_an_error_names_the_group_the_row_or_the_part(pool: Pool) -> None:
    frame = _frame()

    def fail(group: Any) -> None:
        if group.name == (3, 2.0):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        group_apply(frame.groupby(["k", "n"]), fail, pool=pool)
    assert caught.value.__notes__ == ["in the group (3, 2.0)"]
    with pytest.raises(ZeroDivisionError) as divided:
        apply(frame, lambda row: 1 // int(row.k), axis=1, pool=pool)
    assert divided.value.__notes__[-1].startswith("in the rows ")
    with pytest.raises(ZeroDivisionError) as divided:
        partition_apply(frame, lambda part: 1 // int(part.index[0] - frame.index[20]), partitions=3, pool=pool)
    assert divided.value.__notes__ == ["in the rows 20 to 39"]


def test_a_worker_that_dies_costs_the_call_and_not_the_pool() -> None:
    frame = _frame()
    with Pool(2) as pool:
        with pytest.raises(WorkerDied) as caught:
            group_apply(frame.groupby("k"), lambda group: os.kill(os.getpid(), signal.SIGKILL), pool=pool)
        assert "in the group 0" in caught.value.__notes__
        assert len(group_apply(frame.groupby("k"), _mean, pool=pool)) == 5


def test_words_that_make_no_sense(pool: Pool) -> None:
    frame = _frame()
    with pytest.raises(TypeError, match=r"grouped must be what groupby\(\) returns, not DataFrame"):
        group_apply(frame, _mean)
    with pytest.raises(TypeError, match="fn must be a function, not str"):
        group_apply(frame.groupby("k"), "sum")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"pool must be a procession\.Pool"):
        apply(frame, _mean, axis=1, pool=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="frame must be a DataFrame or a Series, not list"):
        apply([1], _mean)
    with pytest.raises(TypeError, match="are for frames"):
        apply(frame.v, _mean, axis=1)
    with pytest.raises(ValueError, match="partitions must be at least 1"):
        partition_apply(frame, len, partitions=0)


def test_without_pandas_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'procession\[pandas\]'"):
        adapter.group_apply(None, len)
