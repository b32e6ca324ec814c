"""`procession.adapters.polars`: what a function gives for groups and parts of a frame is what Polars gives for them."""

from __future__ import annotations

import builtins
import datetime as dt
import decimal
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from polars.testing import assert_frame_equal
from polars.testing.parametric import dataframes

from procession import Pool
from procession.adapters.polars import Frame, map_batches, map_frame, map_groups
from procession.errors import WorkerDied
from procession.transport import aside
from tests import warm

pytestmark = pytest.mark.e2e
kept_zygote = warm.keep("polars", "pyarrow")


@pytest.fixture(scope="module", autouse=True)
def _begun() -> None:
    """The first lazy frame starts threads that Polars never ends, and they open descriptors. Not at import: that would
    be in the zygote, too, and the pool of threads does not survive a fork."""
    list(pl.LazyFrame({"a": [1]}).collect_batches())


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(2) as made:
        yield made


def frame(rows: int = 300) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "k": [("a", "b", None, "d")[at % 7 % 4] for at in range(rows)],
            "n": [at % 3 for at in range(rows)],
            "v": [at * 37 % 101 / 10 for at in range(rows)],
            "t": [dt.date(2026, 1, 1) + dt.timedelta(at // 10) for at in range(rows)],
        },
        schema_overrides={"k": pl.Categorical},
    )


def total(group: pl.DataFrame) -> pl.DataFrame:
    return group.select(pl.col("k", "n").first(), pl.col("v").sum(), rows=pl.len())


def two(group: pl.DataFrame) -> pl.DataFrame:
    return group.head(2).with_columns(rank=pl.col("v").rank())


def echo(part: pl.DataFrame) -> pl.DataFrame:
    return part


# -- groups ------------------------------------------------------------------------------------------------------------


GROUPED: dict[str, Callable[[pl.DataFrame], Any]] = {
    "a column": lambda f: f.group_by("k", maintain_order=True),
    "two columns": lambda f: f.group_by("k", "n", maintain_order=True),
    "each row": lambda f: f.with_row_index().group_by("index", maintain_order=True),
    "one group": lambda f: f.with_columns(one=1).group_by("one", maintain_order=True),
    "days": lambda f: f.group_by_dynamic("t", every="3d"),
    "rolling": lambda f: f.rolling("t", period="2d"),
}


@pytest.mark.parametrize("how", list(GROUPED))
def test_groups_are_those_of_polars(how: str, pool: Pool) -> None:
    for fn in (total, two):
        words = {"schema": None} if how in ("days", "rolling") else {}
        wanted = GROUPED[how](frame()).map_groups(fn, **words)
        assert_frame_equal(map_groups(fn, GROUPED[how](frame()), pool=pool), wanted)


def test_groups_in_any_order_and_by_expressions_and_with_having(pool: Pool) -> None:
    came = map_groups(total, frame().group_by("k", "n"), pool=pool)
    assert_frame_equal(came, frame().group_by("k", "n").map_groups(total), check_row_order=False)
    grouped = frame().group_by(pl.col("v") > 5, maintain_order=True)
    wanted = pl.concat([total(group) for _, group in grouped])
    assert_frame_equal(map_groups(total, grouped, pool=pool), wanted)
    grouped = frame().group_by("k", maintain_order=True).having(pl.len() > 60)
    wanted = pl.concat([total(group) for _, group in grouped])
    assert_frame_equal(map_groups(total, grouped, pool=pool), wanted)
    assert wanted.height < frame()["k"].n_unique()


def test_a_frame_without_rows_is_given_to_the_function(pool: Pool) -> None:
    came = map_groups(two, frame(0).group_by("k", maintain_order=True), pool=pool)
    assert_frame_equal(came, two(frame(0)))


@pytest.mark.parametrize("backend", ["threads", "inline"])
def test_other_backends(backend: Any) -> None:
    with Pool(2, backend=backend) as pool:
        grouped = frame().group_by("k", maintain_order=True)
        assert_frame_equal(map_groups(total, grouped, pool=pool), grouped.map_groups(total))
        assert_frame_equal(map_frame(echo, frame(), pool=pool), frame())


def test_groups_of_different_sizes_and_arguments(pool: Pool) -> None:
    skewed = pl.DataFrame({"k": [0] * 5000 + list(range(1, 800)), "v": range(5799)})

    def fit(group: pl.DataFrame, power: int, *, plus: int) -> pl.DataFrame:
        return pl.DataFrame({"k": [group["k"][0]], "y": [(group["v"] ** power).sum() + plus]})

    grouped = skewed.group_by("k", maintain_order=True)
    wanted = grouped.map_groups(lambda group: fit(group, 2, plus=7))
    assert_frame_equal(map_groups(fit, grouped, 2, plus=7, pool=pool), wanted)


def test_groups_that_are_small_go_together(pool: Pool) -> None:
    seen: list[int] = []
    grouped = pl.DataFrame({"k": range(1600)}).group_by("k", maintain_order=True)
    came = map_groups(echo, grouped, pool=pool, progress=lambda done, _: seen.append(done))
    assert came["k"].to_list() == list(range(1600))
    assert seen[-1] == 16, "eight for each of two workers"


def test_an_error_names_the_group(pool: Pool) -> None:
    def fail(group: pl.DataFrame) -> pl.DataFrame:
        if group["n"][0] == 2 and group["k"][0] == "a":
            raise ValueError("no")
        return group

    with pytest.raises(ValueError, match="no") as caught:
        map_groups(fail, frame().group_by("k", "n", maintain_order=True), pool=pool)
    assert caught.value.__notes__ == ["in the group ('a', 2)"]
    with pytest.raises(TypeError, match=r"fn must return a DataFrame, .*, not int") as wrong:
        map_groups(len, frame().group_by("n", maintain_order=True), pool=pool)
    assert wrong.value.__notes__ == ["in the group (0,)"]


def test_columns_that_do_not_fit_are_the_error_of_polars_and_name_the_group(pool: Pool) -> None:
    def other(group: pl.DataFrame, odd: int) -> pl.DataFrame:
        return group.with_columns(v=pl.lit(1.5)) if group["k"][0] >= odd else group

    whole = pl.DataFrame({"k": range(1600), "v": range(1600)})
    cases = (
        (1600, 950, "the group (950,)"),
        (1600, 900, "one of the groups (900,) to (999,)"),
        (3, 2, "the group (2,)"),
    )
    for rows, odd, names in cases:
        grouped = whole.head(rows).group_by("k", maintain_order=True)
        with pytest.raises(pl.exceptions.SchemaError):
            grouped.map_groups(partial(other, odd=odd))
        with pytest.raises(pl.exceptions.SchemaError) as caught:
            map_groups(other, grouped, odd, pool=pool)
        assert caught.value.__notes__ == [f"in {names}"]


def test_a_worker_that_dies_costs_the_call_and_not_the_pool(pool: Pool) -> None:
    def die(group: pl.DataFrame) -> pl.DataFrame:
        if group["k"][0] == 901:
            os.kill(os.getpid(), signal.SIGKILL)
        return group

    grouped = pl.DataFrame({"k": range(1600)}).group_by("k", maintain_order=True)
    with pytest.raises(WorkerDied) as caught:
        map_groups(die, grouped, pool=pool)
    assert caught.value.__notes__ == ["in one of the groups (900,) to (999,)"]
    assert_frame_equal(map_frame(echo, frame(), pool=pool), frame())


# -- parts -------------------------------------------------------------------------------------------------------------


def test_parts_of_frames_lazy_ones_and_iterables(tmp_path: Path, pool: Pool) -> None:
    def more(part: pl.DataFrame) -> pl.DataFrame:
        return part.with_columns(w=pl.Series([value * 2 for value in part["v"]], dtype=pl.Float64))

    whole = frame(5000)
    whole.write_parquet(tmp_path / "frame.parquet", row_group_size=600)
    wanted = more(whole)
    pieces = [whole.slice(at, 700) for at in range(0, 5000, 700)]
    for source in (whole, whole.lazy(), pl.scan_parquet(tmp_path / "frame.parquet"), pieces, iter(pieces)):
        assert_frame_equal(map_frame(more, source, pool=pool), wanted)
    for source in (whole, pl.scan_parquet(tmp_path / "frame.parquet"), pieces):
        with map_batches(more, source, batch_rows=999, pool=pool) as frames:
            assert [len(part) for part in frames] == [999, 999, 999, 999, 999, 5]
    assert_frame_equal(map_frame(more, whole.lazy().filter(pl.col("v") > 1e9), pool=pool), more(whole.clear()))


def test_other_results(pool: Pool) -> None:
    assert_frame_equal(map_frame(lambda part: part["v"], frame(), pool=pool), frame().select("v"))
    assert_frame_equal(map_frame(lambda part: part.select("v").to_arrow(), frame(), pool=pool), frame().select("v"))
    with pytest.raises(TypeError, match=r"not LazyFrame; collect\(\) it"):
        map_frame(lambda part: part.lazy(), frame(), pool=pool)
    with pytest.raises(ValueError, match="'v' is Float32, not Float64") as caught:
        map_frame(
            lambda part: part.with_columns(pl.col("v").cast(pl.Float32)) if part["v"][0] == 2.7 else part,
            frame(),
            batch_rows=50,
            pool=pool,
        )
    assert caught.value.__notes__ == ["in batch 4: rows 200 to 249 of the source"]


def test_no_more_than_a_window_is_read_ahead_and_the_source_is_closed(pool: Pool) -> None:
    read, closed = 0, threading.Event()

    def pieces() -> Iterator[pl.DataFrame]:
        nonlocal read
        try:
            while True:
                read += 1
                yield frame(2)
        finally:
            closed.set()

    with map_batches(echo, pieces(), window=5, pool=pool) as frames:
        for taken in range(1, 50):
            next(frames)
            assert read - taken <= 5
    assert closed.is_set()


def test_a_lazy_frame_that_is_left_early_leaves_nothing(pool: Pool) -> None:
    with map_batches(echo, frame(200_000).lazy(), batch_rows=100, pool=pool) as frames:
        assert len(next(frames)) == 100
    assert frame().lazy().select(pl.len()).collect().item() == 300


# -- the way -----------------------------------------------------------------------------------------------------------


VALUES: dict[str, tuple[list[Any], Any]] = {
    "Int8": ([1, None, 3], pl.Int8),
    "Int128": ([1, None, 2**70], pl.Int128),
    "Float32": ([1.5, None, float("inf")], pl.Float32),
    "Boolean": ([True, None, False], pl.Boolean),
    "String": (["a", None, "a text of more than twelve bytes"], pl.String),
    "Binary": ([b"a", None, bytes(30)], pl.Binary),
    "Null": ([None] * 3, pl.Null),
    "Time": ([dt.time(1, 2), None, None], pl.Time),
    "Datetime": ([dt.datetime(2026, 1, 1), None, None], pl.Datetime("ms", "Europe/Rome")),
    "Duration": ([dt.timedelta(1), None, None], pl.Duration("ns")),
    "Categorical": (["a", "b", None], pl.Categorical),
    "Enum": (["a", "b", None], pl.Enum(["b", "a", "c"])),
    "Decimal": ([decimal.Decimal("1.20"), None, None], pl.Decimal(20, 2)),
    "List": ([[1, 2], None, []], pl.List(pl.Int16)),
    "List of Categorical": ([["a"], None, ["b", None]], pl.List(pl.Categorical)),
    "List of Int128": ([[2**70], None, []], pl.List(pl.Int128)),
    "Array": ([[1, 2], None, [3, 4]], pl.Array(pl.Int16, 2)),
    "Struct": ([{"x": 1, "y": "q"}, None, {"x": None, "y": "z"}], pl.Struct({"x": pl.Int8, "y": pl.String})),
    "Struct of Int128": ([{"x": 2**70}, None, {"x": None}], pl.Struct({"x": pl.Int128})),
}


def _sent(value: Any) -> tuple[int, Any]:
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, 5, buffer_callback=buffers.append)
    return len(data) + sum(each.raw().nbytes for each in buffers), pickle.loads(data, buffers=buffers)


@pytest.mark.parametrize("name", list(VALUES))
def test_every_type_arrives_as_it_was(name: str) -> None:
    values, kind = VALUES[name]
    sent = pl.DataFrame({"x": pl.Series(values, dtype=kind)})
    for each in (sent, sent.slice(1, 1), sent.clear(), pl.concat([sent, sent], rechunk=False)):
        came = _sent(Frame(each))[1].value
        assert came.schema == each.schema
        assert_frame_equal(came, each)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(dataframes(max_cols=3, max_size=20, excluded_dtypes=[pl.Object]))
def test_any_frame_arrives_as_it_was(sent: pl.DataFrame) -> None:
    for each in (sent, sent.slice(len(sent) // 3, len(sent) // 2)):
        came = _sent(Frame(each))[1].value
        assert came.schema == each.schema
        assert_frame_equal(came, each, check_exact=True)


def test_rows_without_columns_arrive() -> None:
    without = pl.DataFrame({"x": [1, 2]}).select([])
    assert _sent(Frame(without))[1].value.shape == without.shape


def test_a_slice_travels_without_its_parent() -> None:
    whole = pl.DataFrame({"i": range(100_000), "s": [f"a text of some length, number {at}" for at in range(100_000)]})
    size, came = _sent(Frame(whole.slice(50_000, 500)))
    assert_frame_equal(came.value, whole.slice(50_000, 500))
    assert size < 100 * 500


def moved() -> int:
    return aside.moved[0]


def test_large_columns_lie_in_shared_memory_both_ways() -> None:
    big = pl.DataFrame({"a": range(200_000), "b": [1.5] * 200_000})
    with Pool(1) as pool:
        map_frame(echo, big, batch_rows=200_000, pool=pool)
        here, there = moved(), pool.submit(moved).result()
        assert_frame_equal(map_frame(echo, big, batch_rows=200_000, pool=pool), big)
        assert moved() - here == pool.submit(moved).result() - there == 200_000 * 16


def test_each_row_of_a_group_travels_once() -> None:
    big = pl.DataFrame({"k": [at % 5 for at in range(200_000)], "v": range(200_000)})
    with Pool(2) as pool:
        here = moved()
        map_groups(lambda group: group.select(pl.col("v").sum()), big.group_by("k", maintain_order=True), pool=pool)
        assert moved() - here == 200_000 * 16


def test_a_worker_has_its_share_of_the_threads_of_polars() -> None:
    """In a program of its own: here POLARS_MAX_THREADS may be set."""
    program = """
    import polars, os
    from procession import Pool
    with Pool(os.cpu_count() * 2) as pool:
        print(pool.submit(polars.thread_pool_size).result())
    """
    environment = {name: text for name, text in os.environ.items() if name != "POLARS_MAX_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


# -- words -------------------------------------------------------------------------------------------------------------


def test_words_that_make_no_sense() -> None:
    grouped = frame().group_by("k")
    for call, says in (
        (lambda: map_groups(grouped, total), "fn must be a function, not GroupBy; it comes before the source"),
        (lambda: map_groups(total, frame()), r"grouped must be what DataFrame\.group_by\(\) returns, not DataFrame"),
        (lambda: map_groups(total, frame().lazy().group_by("k")), r"not LazyGroupBy: collect\(\) its frame first"),
        (lambda: map_batches(echo, 5), "source must be a DataFrame, a LazyFrame or an iterable of frames, not int"),
        (lambda: map_frame(echo, frame(), pool=3), r"pool must be a procession\.Pool"),
    ):
        with pytest.raises(TypeError, match=says):
            call()
    with Pool(1, backend="threads") as pool:
        with pytest.raises(TypeError, match="item 0 of the source must be a DataFrame, not Table"):
            map_frame(echo, [pa.table({"a": [1]})], pool=pool)
        with pytest.raises(ValueError, match="nobody knows the columns"):
            map_frame(echo, [], pool=pool)


@pytest.mark.parametrize("missing", ["polars", "pyarrow"])
def test_without_polars_the_error_names_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == missing:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'procession\[polars\]'"):
        map_groups(len, None)


def test_a_polars_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl, "__version__", "1.43.1")
    with pytest.raises(ImportError, match=r"needs Polars 1\.44 or newer, not 1\.43\.1: pip install"):
        map_frame(echo, frame())
