"""`procession.adapters.arrow`: what a function gives for the batches of a table is what it gives here, in order."""

from __future__ import annotations

import builtins
import os
import pickle
import re
import signal
import sysconfig
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from procession import Pool
from procession.adapters.arrow import map_batches, map_table
from procession.adapters.arrow_travel import Carried
from procession.errors import WorkerDied
from procession.transport import aside
from tests import warm

pytestmark = pytest.mark.e2e
kept_zygote = warm.keep("pyarrow", "pyarrow.compute")


@pytest.fixture(scope="module")
def lines() -> pa.Table:
    """Text that people wrote: each line of some modules of the standard library, with its file and its number."""
    folder = Path(sysconfig.get_path("stdlib"))
    files, numbers, texts = [], [], []
    for name in ("argparse", "ast", "datetime", "inspect", "typing", "tarfile"):
        for number, text in enumerate((folder / f"{name}.py").read_text().splitlines()):
            files.append(name)
            numbers.append(number)
            texts.append(text or None)
    return pa.table({"file": pa.array(files).dictionary_encode(), "number": numbers, "text": texts})


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(2) as made:
        yield made


WORD = r"\b(?:def|class|import)\b"


def words(batch: pa.RecordBatch) -> pa.RecordBatch:
    """How often each line has one of the words; by Python's `re`, where pyarrow's own is `wanted`."""
    counts = [None if text is None else len(re.findall(WORD, text)) for text in batch["text"].to_pylist()]
    return pa.record_batch({"number": batch["number"], "count": pa.array(counts, pa.int32())})


def wanted(table: pa.Table) -> pa.Table:
    return pa.table({"number": table["number"], "count": pc.count_substring_regex(table["text"], WORD)})


def numbers(rows: int) -> pa.Table:
    return pa.table({"a": np.arange(rows)})


def rows_of(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch({"first": [batch["a"][0].as_py()], "rows": [len(batch)]})


def echo(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


# -- sources -----------------------------------------------------------------------------------------------------------


class Stream:
    """What is known by the C interface only."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class Array:
    """The same, of one batch."""

    def __init__(self, table: pa.Table) -> None:
        self._batch = table.combine_chunks().to_batches()[0]

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self._batch.__arrow_c_array__(requested_schema)


def _file(table: pa.Table, folder: Path) -> Path:
    pq.write_table(table, folder / "lines.parquet", row_group_size=3000)
    return folder / "lines.parquet"


SOURCES: dict[str, Callable[[pa.Table, Path], Any]] = {
    "Table": lambda t, _: t,
    "RecordBatch": lambda t, _: t.combine_chunks().to_batches()[0],
    "RecordBatchReader": lambda t, _: t.to_reader(1000),
    "Dataset": lambda t, folder: ds.dataset(_file(t, folder)),
    "Scanner": lambda t, folder: ds.dataset(_file(t, folder)).scanner(batch_size=2000),
    "ParquetFile": lambda t, folder: pq.ParquetFile(_file(t, folder)),
    "list of batches": lambda t, _: t.to_batches(700),
    "generator of tables": lambda t, _: (t.slice(at, 999) for at in range(0, len(t), 999)),
    "Polars": lambda t, _: pl.from_arrow(t),
    "pandas": lambda t, _: t.to_pandas(),
    "a stream": lambda t, _: Stream(t),
    "an array": lambda t, _: Array(t),
}


@pytest.mark.parametrize("kind", list(SOURCES))
def test_every_source_gives_what_pyarrow_computes(kind: str, lines: pa.Table, tmp_path: Path, pool: Pool) -> None:
    came = map_table(words, SOURCES[kind](lines, tmp_path), pool=pool)
    assert came.combine_chunks().equals(wanted(lines).combine_chunks())
    if kind in ("Table", "RecordBatch", "pandas"):
        assert came["count"].num_chunks == 8, "four for each worker"
    came = map_table(words, SOURCES[kind](lines, tmp_path), batch_rows=1234, pool=pool)
    assert came.combine_chunks().equals(wanted(lines).combine_chunks())
    assert [len(batch) for batch in came.to_batches()[:-1]] == [1234] * (len(lines) // 1234)


@pytest.mark.parametrize("backend", ["processes", "threads", "inline"])
def test_every_backend(backend: Any, lines: pa.Table) -> None:
    with Pool(2, backend=backend) as pool:
        assert map_table(words, lines, pool=pool).combine_chunks().equals(wanted(lines).combine_chunks())
        with map_batches(words, lines, batch_rows=500, pool=pool) as batches:
            assert next(batches).equals(words(lines.slice(0, 500).combine_chunks().to_batches()[0]))


def test_threads_copy_nothing() -> None:
    table = numbers(1000)
    with Pool(2, backend="threads") as pool:
        came = map_table(echo, table, pool=pool, batch_rows=100)
    assert came["a"].chunk(3).buffers()[1].address == table["a"].chunk(0).buffers()[1].address


def test_a_large_batch_is_cut_where_nobody_says_how(pool: Pool) -> None:
    came = map_table(rows_of, numbers(150_000).to_reader(), pool=pool)
    assert came["rows"].to_pylist() == [65_536, 65_536, 150_000 - 2 * 65_536]
    assert max(map_table(rows_of, numbers(1_000_000), pool=pool)["rows"].to_pylist()) <= 65_536


def test_batches_of_a_number_of_rows_are_made_of_small_ones(pool: Pool) -> None:
    table = numbers(1000)
    small = [table.slice(at, size) for at, size in ((0, 1), (1, 0), (1, 250), (251, 3), (254, 746))]
    with map_batches(rows_of, small, batch_rows=100, pool=pool) as batches:
        assert [batch.to_pylist()[0] for batch in batches] == [{"first": at, "rows": 100} for at in range(0, 1000, 100)]


def test_one_stream_is_the_source_of_the_next(lines: pa.Table, pool: Pool) -> None:
    with (
        map_batches(words, lines, batch_rows=700, pool=pool) as first,
        map_batches(lambda batch: batch.filter(pc.greater(batch["count"], 0)), first, pool=pool) as second,
    ):
        assert (
            second.read_all()["number"].to_pylist() == wanted(lines).filter(pc.field("count") > 0)["number"].to_pylist()
        )


# -- results -----------------------------------------------------------------------------------------------------------


RESULTS: dict[str, Callable[[pa.RecordBatch], Any]] = {
    "Table": lambda b: pa.Table.from_batches([b, b.slice(0, 0)]),
    "Polars": lambda b: pl.from_arrow(b),
    "pandas": lambda b: b.to_pandas(),
    "a stream": lambda b: Stream(pa.Table.from_batches([b])),
    "an array": lambda b: Array(pa.Table.from_batches([b])),
}


@pytest.mark.parametrize("kind", list(RESULTS))
def test_what_is_like_a_batch_is_a_result(kind: str, pool: Pool) -> None:
    with map_batches(RESULTS[kind], numbers(100), batch_rows=30, pool=pool) as batches:
        came = list(batches)
    assert [type(batch) for batch in came] == [pa.RecordBatch] * 4
    assert [batch["a"].to_pylist() for batch in came] == [
        list(range(at, min(at + 30, 100))) for at in range(0, 100, 30)
    ]


def test_the_index_of_a_pandas_frame_is_a_column_if_it_has_a_name(pool: Pool) -> None:
    def filtered(batch: pa.RecordBatch) -> pd.DataFrame:
        frame = batch.to_pandas()
        return frame[frame.a % 3 == 0]

    came = map_table(filtered, numbers(100), pool=pool)
    assert came.to_pydict() == {"a": list(range(0, 100, 3))}
    came = map_table(lambda batch: batch.to_pandas().assign(b=1).set_index("a"), numbers(4), pool=pool)
    assert came.to_pydict() == {"b": [1] * 4, "a": [0, 1, 2, 3]}


def test_what_is_no_result_is_an_error_that_names_the_batch(pool: Pool) -> None:
    def few(batch: pa.RecordBatch) -> Any:
        return batch if batch["a"][0].as_py() < 60 else {"a": [1]}

    with pytest.raises(TypeError, match=r"fn must return a RecordBatch, a Table, .*, not dict") as caught:
        map_table(few, numbers(100), batch_rows=20, pool=pool)
    assert caught.value.__notes__ == ["in batch 3: rows 60 to 79 of the source"]


def test_other_columns_are_an_error_that_names_the_first_batch_that_has_them(pool: Pool) -> None:
    def change(to: Callable[[pa.RecordBatch], Any]) -> Callable[[pa.RecordBatch], Any]:
        return lambda batch: to(batch) if 60 <= batch["a"][0].as_py() < 80 else batch

    table = pa.table({"a": range(100), "b": ["x"] * 100})
    for made, says in (
        (change(lambda b: b.set_column(0, "a", b["a"].cast(pa.int8()))), "'a' is int8, not int64"),
        (change(lambda b: b.drop_columns(["b"])), "'b' is missing"),
        (change(lambda b: b.append_column("c", b["a"])), "it has 'c' as well"),
        (change(lambda b: b.select(["b", "a"])), "they are in another order, b, a"),
        (change(lambda b: b.cast(pa.schema([pa.field("a", "int64", nullable=False), b.schema[1]]))), "int64 not null"),
    ):
        with pytest.raises(ValueError, match=says) as caught:
            map_table(made, table, batch_rows=20, pool=pool)
        assert caught.value.__notes__ == ["in batch 3: rows 60 to 79 of the source"]


def test_results_are_cast_to_a_schema_that_was_told(pool: Pool) -> None:
    schema = pa.schema([("b", pa.string()), ("a", pa.float32())])

    def nothing_at_first(batch: pa.RecordBatch) -> pa.Table:
        first = batch["a"][0].as_py()
        return pa.Table.from_pylist(
            [{"a": value, "b": None if first < 50 else "x"} for value in batch["a"].to_pylist()]
        )

    with pytest.raises(ValueError, match="'b' is string, not null"):
        map_table(nothing_at_first, numbers(100), batch_rows=10, pool=pool)
    came = map_table(nothing_at_first, numbers(100), batch_rows=10, pool=pool, schema=schema)
    assert came.schema == schema
    assert came.to_pydict() == {"b": [None] * 50 + ["x"] * 50, "a": list(map(float, range(100)))}
    with pytest.raises(pa.ArrowInvalid) as caught:
        map_table(
            lambda b: pa.table({"a": b["a"], "b": [None] * 10}),
            numbers(1000),
            schema=pa.schema([("a", pa.int8()), ("b", pa.string())]),
            batch_rows=10,
            pool=pool,
        )
    assert caught.value.__notes__ == ["in batch 12: rows 120 to 129 of the source"]


# -- without rows, without columns -------------------------------------------------------------------------------------


def test_a_source_without_rows_calls_the_function_once_for_the_columns(tmp_path: Path, pool: Pool) -> None:
    none = numbers(0)
    file = _file(none, tmp_path)
    for source in (none, none.to_reader(), ds.dataset(file), pq.ParquetFile(file), [none, none], Stream(none)):
        came = map_table(lambda batch: batch.append_column("b", batch["a"].cast(pa.string())), source, pool=pool)
        assert came.to_pydict() == {"a": [], "b": []}
    with pytest.raises(ValueError, match="say schema="):
        map_table(echo, [], pool=pool)
    with map_batches(echo, [], pool=pool) as batches:
        assert list(batches) == []

    def never(batch: pa.RecordBatch) -> Any:
        raise AssertionError("called")

    schema = pa.schema([("x", pa.int8())])
    for source in (none, [], [none]):
        assert map_table(never, source, pool=pool, schema=schema).schema == schema
    with pytest.raises(AssertionError, match="called") as caught:
        map_table(never, none, pool=pool)
    assert caught.value.__notes__ == ["in batch 0, which is without rows, as the source is"]


def test_batches_without_rows_are_not_sent_and_results_without_rows_are_kept(pool: Pool) -> None:
    table = numbers(6)
    pieces = [table.slice(0, 0), table.slice(0, 3), table.slice(3, 0), table.slice(3, 3)]
    with map_batches(lambda batch: batch.filter(pc.greater(batch["a"], 3)), pieces, pool=pool) as batches:
        assert [batch["a"].to_pylist() for batch in batches] == [[], [4, 5]]


def test_rows_without_columns(pool: Pool) -> None:
    table = numbers(100).replace_schema_metadata({"k": "v"}).select([])
    came = map_table(echo, table, pool=pool)
    assert (came.num_rows, came.num_columns, came.schema.metadata) == (100, 0, {b"k": b"v"})
    came = map_table(lambda batch: pa.record_batch({"rows": [len(batch)]}), table, batch_rows=30, pool=pool)
    assert came["rows"].to_pylist() == [30, 30, 30, 10]


# -- equal, whatever is in it ------------------------------------------------------------------------------------------


class Length(pa.ExtensionType):  # type: ignore[misc]
    """Not registered: it has to come along."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        super().__init__(pa.list_(pa.int64()), "tests.length")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.unit.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, data: bytes) -> Length:
        return cls(data.decode())


def _column(name: str, rows: int) -> pa.Array:
    """Of a type that is more than numbers and texts."""
    texts = pa.array([None if at % 7 == 3 else f"a text of some length, number {at}" for at in range(rows)])
    lists = pa.array([None if at % 5 == 3 else list(range(at % 4)) for at in range(rows)], pa.list_(pa.int64()))
    ints = pa.array(np.arange(rows))
    kinds = pa.array(np.arange(rows) % 2, pa.int8())
    made: dict[str, Callable[[], pa.Array]] = {
        "numbers": lambda: ints,
        "flags": lambda: pa.array([None if at % 5 == 2 else at % 3 == 0 for at in range(rows)]),
        "texts": lambda: texts,
        "views": lambda: texts.cast(pa.string_view()),
        "lists": lambda: lists,
        "lists of texts": lambda: pa.array([[str(at)] * (at % 3) for at in range(rows)]),
        "structs": lambda: pa.array([None if at % 9 == 1 else {"x": at, "y": str(at)} for at in range(rows)]),
        "maps": lambda: pa.array([[(str(at), at)] for at in range(rows)], pa.map_(pa.string(), pa.int64())),
        "fixed": lambda: pa.array([[at, None] for at in range(rows)], pa.list_(pa.int64(), 2)),
        "dictionary": lambda: pa.array([f"key {at % 5}" for at in range(rows)]).dictionary_encode(),
        "runs": lambda: pa.RunEndEncodedArray.from_arrays(pa.array(np.arange(1, rows + 1), pa.int32()), ints),
        "union": lambda: pa.UnionArray.from_sparse(kinds, [ints, texts]),
        "decimals": lambda: ints.cast(pa.decimal128(30, 2)),
        "times": lambda: ints.cast(pa.timestamp("us", "Europe/Rome")),
        "nothing": lambda: pa.nulls(rows),
        "uuid": lambda: pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)] * rows, pa.binary(16))),
        "extension": lambda: pa.ExtensionArray.from_storage(Length("m"), lists),
    }
    return made[name]()


COLUMNS = (
    *("numbers", "flags", "texts", "views", "lists", "lists of texts", "structs", "maps", "fixed", "dictionary"),
    *("runs", "union", "decimals", "times", "nothing", "uuid", "extension"),
)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_slice_travels_without_its_parent(name: str) -> None:
    batch = pa.record_batch({"x": _column(name, 50_000)}, metadata={"k": "v"})
    sliced = batch.slice(20_003, 500)

    def sent(value: Any) -> tuple[int, Any]:
        buffers: list[pickle.PickleBuffer] = []
        data = pickle.dumps(value, 5, buffer_callback=buffers.append)
        return len(data) + sum(each.raw().nbytes for each in buffers), pickle.loads(data, buffers=buffers)

    size, came = sent(Carried(sliced))
    assert came.value.equals(sliced, check_metadata=True)
    came.value.validate(full=True)
    assert size < 100 * 500 + 2000
    assert size < sent(sliced)[0] / 3 or name in ("nothing", "flags"), "pyarrow sends slices without their parents now"
    assert Carried(batch).__reduce__()[1][0] is batch, "what is whole is not copied"


_types: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=5),
    pa.large_binary(): st.binary(max_size=5),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from("abc"),
    pa.list_(pa.string()): st.lists(st.text(max_size=3), max_size=3),
    pa.struct([("x", pa.int8()), ("y", pa.list_(pa.bool_()))]): st.fixed_dictionaries(
        {"x": st.integers(-128, 127), "y": st.lists(st.booleans(), max_size=2)}
    ),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Of some columns, in chunks that are slices of something larger."""
    kinds = draw(st.lists(st.sampled_from(list(_types)), max_size=4))
    rows = draw(st.integers(0, 60))
    columns = [draw(st.lists(st.none() | _types[kind], min_size=rows, max_size=rows)) for kind in kinds]
    fields = [(f"{number} {kind}", kind) for number, kind in enumerate(kinds)]
    whole = pa.Table.from_arrays(
        [pa.array(c, k) for c, k in zip(columns, kinds, strict=True)], schema=pa.schema(fields)
    )
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=4)))
    pieces = [whole.slice(start, stop - start) for start, stop in zip([0, *cuts], [*cuts, rows], strict=True)]
    joined = pa.concat_tables(pieces)
    return joined.slice(draw(st.integers(0, rows)), draw(st.integers(0, rows)))


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(table=tables(), batch_rows=st.none() | st.integers(1, 20), how=st.sampled_from(["table", "reader", "batches"]))
def test_any_table_is_equal_afterwards(table: pa.Table, batch_rows: int | None, how: str, pool: Pool) -> None:
    source = {"table": lambda: table, "reader": table.to_reader, "batches": table.to_batches}[how]()
    came = map_table(echo, source, schema=table.schema, batch_rows=batch_rows, pool=pool)
    came.validate(full=True)
    if table.num_columns:
        assert came.equals(table)
        sizes = [len(batch) for batch in came.to_batches()]
        assert batch_rows is None or all(size == batch_rows for size in sizes[:-1])


# -- the way -----------------------------------------------------------------------------------------------------------


def moved(_: Any = None) -> int:
    return aside.moved[0]


def test_large_columns_lie_in_shared_memory_both_ways() -> None:
    batch = pa.record_batch({"a": np.arange(200_000), "b": np.arange(200_000.0)})
    with Pool(1) as pool:
        with map_batches(echo, batch, batch_rows=200_000, pool=pool) as batches:
            list(batches)
        here, there = moved(), pool.submit(moved).result()
        with map_batches(echo, batch, batch_rows=200_000, pool=pool) as batches:
            came = next(batches)
        assert moved() - here == pool.submit(moved).result() - there == batch.nbytes
    assert came.equals(batch)


def test_arguments_go_to_each_worker_once(pool: Pool) -> None:
    table = numbers(1000)
    names = ["x" * 1000] * 1000 + [str(number) for number in range(100_000)]

    def named(batch: pa.RecordBatch, names: list[str], *, shared: Any) -> pa.RecordBatch:
        assert shared == {"a": 1}
        return pa.record_batch({"a": batch["a"], "at": [id(names)] * len(batch), "pid": [os.getpid()] * len(batch)})

    here = moved()
    came = map_table(named, table, names, shared=pool.share({"a": 1}), batch_rows=10, pool=pool)
    assert moved() - here < 2 * len(pickle.dumps(names)), "once"
    assert len({*zip(came["pid"].to_pylist(), came["at"].to_pylist(), strict=True)}) <= 2, "one object in each worker"


# -- the window, and the end -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["processes", "threads", "inline"])
def test_no_more_than_a_window_is_read_ahead(backend: Any) -> None:
    table, read = numbers(300), 0

    def pieces() -> Iterator[pa.RecordBatch]:
        nonlocal read
        for at in range(100):
            read += 1
            yield table.slice(3 * at, 3).to_batches()[0]

    with Pool(2, backend=backend) as pool, map_batches(rows_of, pieces(), window=5, pool=pool) as batches:
        assert read <= 5
        for taken, batch in enumerate(batches, 1):
            assert batch["first"].to_pylist() == [3 * taken - 3]
            assert read - taken <= 5
    assert read == 100


def test_the_window_is_four_for_each_worker_however_cheap_the_function_is(pool: Pool) -> None:
    read = 0

    def pieces() -> Iterator[pa.RecordBatch]:
        nonlocal read
        for _ in range(500):
            read += 1
            yield numbers(1).to_batches()[0]

    with map_batches(lambda batch: batch.slice(0, 0), pieces(), pool=pool) as batches:
        assert all(read - taken <= 8 for taken, _ in enumerate(batches, 1))
    assert read == 500


def test_a_data_set_of_many_files_becomes_another(tmp_path: Path, pool: Pool) -> None:
    for number in range(30):
        pq.write_table(
            pa.table({"a": range(1000 * number, 1000 * number + 1000)}), tmp_path / f"in-{number:02}.parquet"
        )
    files = sorted(map(str, tmp_path.glob("in-*.parquet")))
    double = lambda batch: pa.record_batch({"b": pc.multiply(batch["a"], 2)})  # noqa: E731
    with map_batches(double, ds.dataset(files), window=4, pool=pool) as batches:
        ds.write_dataset(batches.reader(), tmp_path / "out", format="parquet", preserve_order=True)
    written = ds.dataset(tmp_path / "out").to_table()["b"].to_pylist()
    assert written == list(range(0, 60_000, 2))
    with map_batches(double, ds.dataset(files), pool=pool) as batches:
        assert pl.DataFrame(batches)["b"].to_list() == written


def test_leaving_early_cancels_what_runs_and_closes_the_source(tmp_path: Path, pool: Pool) -> None:
    closed = threading.Event()

    def pieces() -> Iterator[pa.RecordBatch]:
        try:
            while True:
                yield numbers(1).to_batches()[0]
        finally:
            closed.set()

    hold = tmp_path / "hold"
    os.mkfifo(hold)

    def first_only(batch: pa.RecordBatch, pipe: Path) -> pa.RecordBatch:
        if not (done := pipe.parent / "done").exists():
            done.touch()
            return batch
        pipe.read_bytes()  # nobody will ever write
        return batch

    with Pool(1) as one, map_batches(first_only, pieces(), hold, pool=one) as batches:
        next(batches)
        assert not closed.is_set()
        batches.close()
        assert closed.is_set()
        assert list(batches) == []
        assert one.submit(int, 3).result(30) == 3, "its worker is free"
        assert one.stats().pending == 0
    dropped = map_batches(echo, pieces(), pool=pool)
    next(dropped)
    closed.clear()
    del dropped
    assert closed.is_set()


def test_not_in_order_each_batch_comes_once_and_errors_name_theirs(pool: Pool) -> None:
    with map_batches(rows_of, numbers(100), batch_rows=10, ordered=False, pool=pool) as batches:
        assert sorted(batch["first"][0].as_py() for batch in batches) == list(range(0, 100, 10))

    def fail(batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch["a"][0].as_py() == 70:
            raise KeyError("seventy")
        return batch

    with (
        pytest.raises(KeyError, match="seventy") as caught,
        map_batches(fail, numbers(100), batch_rows=10, ordered=False, pool=pool) as batches,
    ):
        list(batches)
    assert caught.value.__notes__ == ["in batch 7: rows 70 to 79 of the source"]


def test_progress_knows_the_number_of_batches(pool: Pool) -> None:
    seen: list[tuple[int, int | None]] = []
    map_table(echo, numbers(100), batch_rows=7, pool=pool, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (15, 15)


# -- failures ----------------------------------------------------------------------------------------------------------


def test_an_error_names_the_batch_and_its_rows(pool: Pool) -> None:
    def fail(batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"b": [100 // (value - 42) for value in batch["a"].to_pylist()]})

    with map_batches(fail, numbers(100), batch_rows=10, pool=pool) as batches:
        came = [next(batches) for _ in range(4)]
        with pytest.raises(ZeroDivisionError) as caught:
            next(batches)
        assert list(batches) == []
    assert [len(batch) for batch in came] == [10] * 4
    assert caught.value.__notes__ == ["in batch 4: rows 40 to 49 of the source"]


def test_an_error_of_the_source_comes_behind_what_it_gave(pool: Pool) -> None:
    def pieces() -> Iterator[Any]:
        yield from numbers(30).to_batches(10)
        raise OSError("the disk")

    with map_batches(rows_of, pieces(), pool=pool) as batches:
        assert [next(batches)["first"][0].as_py() for _ in range(3)] == [0, 10, 20]
        with pytest.raises(OSError, match="the disk") as caught:
            next(batches)
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(TypeError, match="item 1 of the source must be a RecordBatch or a Table, not int"):
        map_table(echo, [numbers(1), 5], pool=pool)
    with pytest.raises(ValueError, match="have not the same columns"):
        map_table(echo, [numbers(1), pa.table({"b": [1]})], batch_rows=2, pool=pool)


def test_a_worker_that_dies_costs_the_call_and_not_the_pool(pool: Pool) -> None:
    def die(batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch["a"][0].as_py() == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    with pytest.raises(WorkerDied) as caught:
        map_table(die, numbers(100), batch_rows=10, pool=pool)
    assert caught.value.__notes__ == ["in batch 2: rows 20 to 29 of the source"]
    assert map_table(echo, numbers(100), pool=pool).equals(numbers(100))


def test_policies_of_a_view_hold_for_each_batch(tmp_path: Path, pool: Pool) -> None:
    def second_time(batch: pa.RecordBatch, seen: Path) -> pa.RecordBatch:
        if batch["a"][0].as_py() == 20 and not seen.exists():
            seen.touch()
            os._exit(3)
        return batch

    came = map_table(second_time, numbers(100), tmp_path / "seen", batch_rows=10, pool=pool.options(retries=1))
    assert came.equals(numbers(100))


def test_an_error_passes_through_arrow(pool: Pool) -> None:
    def fail(batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch["a"][0].as_py() == 50:
            raise ValueError("fifty")
        return batch

    with map_batches(fail, numbers(100), batch_rows=10, pool=pool) as batches:
        reader = batches.reader()
        assert reader.schema == numbers(0).schema
        with pytest.raises(ValueError, match="fifty"):
            reader.read_all()


def test_words_that_make_no_sense(pool: Pool) -> None:
    for call, says in (
        (lambda: map_batches(numbers(1), echo), "fn must be a function, not Table; it comes before the source"),
        (lambda: map_batches(echo, 5), "source must be a Table, .*, not int"),
        (lambda: map_batches(echo, "data.parquet"), r"not str; of a path make a pyarrow\.dataset\.dataset\(path\)"),
        (lambda: map_batches(echo, numbers(1), pool=3), r"pool must be a procession\.Pool"),
        (lambda: map_batches(echo, numbers(1), schema=["a"]), r"schema must be a pyarrow\.Schema, not list"),
        (lambda: map_batches(echo, numbers(1), batch_rows=1.5), "batch_rows must be an integer"),
        (lambda: map_batches(echo, numbers(1), ordered=1), "ordered must be True or False"),
    ):
        with pytest.raises(TypeError, match=says):
            call()
    with pytest.raises(ValueError, match="batch_rows must be at least 1"):
        map_batches(echo, numbers(1), batch_rows=0)
    with pytest.raises(ValueError, match="pool is a view with capture=True"):
        map_batches(echo, numbers(1), pool=pool.options(capture=True))
    with pytest.raises(ValueError, match="window must be at least 1"):
        map_batches(echo, numbers(1), window=0)


def test_without_pyarrow_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pyarrow":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'procession\[arrow\]'"):
        map_table(echo, [])
