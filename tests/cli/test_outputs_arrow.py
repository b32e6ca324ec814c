"""Parquet and Arrow: the first results decide the columns, nothing is rounded, and what does not fit is named."""

import dataclasses
import datetime
import decimal
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.cli.mapping.inputs import Item
from procession.cli.mapping.outputs import NotWritable, OutputError, Outputs, Sink, open_sink
from procession.cli.mapping.outputs_arrow import ROWS
from procession.cli.mapping.outputs_kinds import EXACT, Misfit, merged, misfit, settled, told
from tests.cli.reading import piped_stdout, values

ONE = Item("one", "-", 1, None, 0)
UTC = datetime.UTC
WHEN = datetime.datetime(2024, 2, 29, 12, 30, 0, 123456)


def sink(file: Path, **words: Any) -> Sink:
    return open_sink(Outputs(output=str(file), **words))


def through(file: Path, results: list[Any], **words: Any) -> list[Any]:
    out = sink(file, **words)
    for each in results:
        out.write(ONE, each)
    out.close()
    return values(file)


@dataclasses.dataclass
class Point:
    x: int
    y: float


# ---------------------------------------------------------------------------------------------------------- round trips


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.feather"])
def test_rows_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    rows = [
        {
            "n": n,
            "text": None if n % 3 == 0 else f"zeile ä {n}",
            "data": b"\x00\xff",
            "list": [[n], []],
            "dict": {"x": n / 2, "y": {"z": None if n % 2 else "z"}},
            "when": WHEN,
            "instant": WHEN.replace(tzinfo=UTC),
            "day": WHEN.date(),
            "time": WHEN.time(),
            "took": datetime.timedelta(seconds=1.5),
            "price": decimal.Decimal("1.10") * n,
            "nothing": None,
            "yes": n % 2 == 0,
        }
        for n in range(2 * ROWS + 10)
    ]
    assert through(tmp_path / name, rows) == rows
    assert os.listdir(tmp_path) == [name]


def test_other_results_are_one_column(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    assert through(file, [1, None, 3]) == [{"result": 1}, {"result": None}, {"result": 3}]
    assert through(file, [[1, 2], []]) == [{"result": [1, 2]}, {"result": []}]
    assert through(file, [Point(1, 2.5)]) == [{"x": 1, "y": 2.5}]
    assert through(file, [{"r": 1}], with_item=True) == [{"item": "one", "result": {"r": 1}}]
    assert through(file, []) == []


def test_rows_may_lack_keys_and_the_first_ones_bring_theirs(tmp_path: Path) -> None:
    rows = [{"a": 1}, {"b": "x"}, {"c": [1.5]}, {"c": [1]}]
    full = [dict.fromkeys("abc") | row for row in rows]
    assert through(tmp_path / "a.parquet", rows) == full


scalars = st.sampled_from(["bool", "int", "float", "text", "bytes"]).flatmap(
    lambda kind: st.just(
        {
            "bool": st.booleans(),
            "int": st.integers(-(2**63), 2**63 - 1),
            "float": st.floats(allow_nan=False),
            "text": st.text(st.characters(exclude_categories=["Cs"])),
            "bytes": st.binary(),
        }[kind]
    )
)
columns = st.recursive(
    scalars,
    lambda inner: (
        inner.map(lambda values: st.lists(values, max_size=3))
        | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, min_size=1, max_size=3).map(
            st.fixed_dictionaries
        )
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text("xyz", min_size=1, max_size=2), columns, min_size=1, max_size=3), st.data())
def test_any_columns_come_back(tmp_path_factory: pytest.TempPathFactory, kinds: Any, data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(st.fixed_dictionaries({k: v | st.none() for k, v in kinds.items()}), min_size=1, max_size=5)
    )
    for name in ("a.parquet", "a.arrow"):
        assert through(tmp_path_factory.getbasetemp() / name, rows) == rows


# ------------------------------------------------------------------------------------------------------------- misfits


@pytest.mark.parametrize(
    ("first", "later", "said"),
    [
        ({"a": 1}, {"a": "x"}, r"^result\['a'\] is text, and "),
        ({"a": 1}, {"a": 2**63}, r"^result\['a'\] is a whole number beyond 64 bits: 9223372036854775808"),
        ({"a": 1.5}, {"a": EXACT + 1}, r"^result\['a'\] is a whole number, and "),
        ({"a": [1]}, {"a": ["x"]}, r"^result\['a'\]\[\] is text"),
        ({"a": {"b": 1}}, {"a": {"b": b""}}, r"^result\['a'\]\['b'\] is bytes"),
        ({"a": {"b": 1}}, {"a": [1]}, r"^result\['a'\] is a list, and .* a dict"),
        ({"a": WHEN}, {"a": WHEN.replace(tzinfo=UTC)}, r"is a datetime with a time zone, and .* without"),
        ({"a": WHEN}, {"a": WHEN.date()}, r"^result\['a'\] is a date"),
        ({"a": 1}, {"a": [1, "x"]}, r"^result\['a'\]\[1\] is text, and before it was a whole number"),
        ({"a": 1}, {"a": {1: 2}}, r"^result\['a'\] has a key that is no text: 1"),
        ({"a": 1}, {"a": {1, 2}}, r"^result\['a'\] is of type builtins\.set, which no column holds"),
        ({"a": "x"}, {"a": "caf\udce9"}, r"^result\['a'\] is no text"),
        ({"a": 1}, {}, r"^the result is an empty dict"),
        ({"a": 1}, 3, r"^the result is no dict, unlike those before it"),
        (3, {"a": 1}, r"^the result is a dict, unlike those before it"),
        (3, "x", r"^result is text, and "),
        ({"a": decimal.Decimal("1.5")}, {"a": decimal.Decimal("1e40")}, r"Decimal of more than 38 digits"),
        ({"a": decimal.Decimal("1.5")}, {"a": decimal.Decimal("nan")}, r"Decimal NaN"),
    ],
)
@pytest.mark.parametrize("settle", [False, True], ids=["among the first", "later"])
def test_what_does_not_fit_is_refused_and_the_rest_is_written(
    tmp_path: Path, first: Any, later: Any, said: str, settle: bool
) -> None:
    file = tmp_path / "a.parquet"
    out = sink(file)
    count = ROWS if settle else 1
    for _ in range(count):
        out.write(ONE, first)
    with pytest.raises(NotWritable, match=said):
        out.write(ONE, later)
    out.write(ONE, first)
    out.close()
    assert values(file) == [first if isinstance(first, dict) else {"result": first}] * (count + 1)


@pytest.mark.parametrize(
    ("first", "later", "said"),
    [
        ({"a": 1}, {"b": 1}, r"^result has the key 'b', which no row had when the columns were decided"),
        ({"a": 1}, {"a": 1.5}, r"^result\['a'\] is a float, and the column is of a whole number"),
        ({"a": None}, {"a": 1}, r"^result\['a'\] is a whole number, and the column is of None in all rows so far"),
        ({"a": decimal.Decimal("1.5")}, {"a": decimal.Decimal("1.55")}, r"Decimal with 1 digits before and 2 behind"),
    ],
)
def test_once_decided_columns_stay(tmp_path: Path, first: Any, later: Any, said: str) -> None:
    file = tmp_path / "a.parquet"
    assert through(file, [first, later]) == [dict.fromkeys(later) | first, dict.fromkeys(first) | later]
    out = sink(file)
    for _ in range(ROWS):
        out.write(ONE, first)
    with pytest.raises(NotWritable, match=said):
        out.write(ONE, later)
    out.close()
    assert values(file) == [first] * ROWS


def test_whole_numbers_fit_among_floats_if_they_stay_what_they_are(tmp_path: Path) -> None:
    assert through(tmp_path / "a.parquet", [{"a": 1}, {"a": 1.5}, {"a": EXACT}]) == [{"a": 1}, {"a": 1.5}, {"a": EXACT}]
    out = sink(tmp_path / "a.parquet")
    for _ in range(ROWS):
        out.write(ONE, {"a": 0.5})
    out.write(ONE, {"a": 7})
    out.close()
    assert values(tmp_path / "a.parquet")[-1] == {"a": 7.0}


kinds = st.recursive(
    st.sampled_from(["null", "bool", "int", "big", "float", "text", "bytes", "date", "moment"])
    | st.tuples(st.just("decimal"), st.integers(0, 19), st.integers(0, 19)),
    lambda inner: (
        st.tuples(st.just("list"), inner)
        | st.tuples(st.just("struct"), st.dictionaries(st.sampled_from("ab"), inner, min_size=1))
    ),
    max_leaves=4,
)


def both(a: Any, b: Any) -> Any:
    try:
        return merged(a, b, "x")
    except Misfit:
        return None


@given(kinds, kinds, kinds)
def test_kinds_merge_in_any_order(a: Any, b: Any, c: Any) -> None:
    assert both(a, a) == a == both(a, "null") == both("null", a)
    assert both(a, b) == both(b, a)
    first, second = both(a, b), both(b, c)
    left = None if first is None else both(first, c)
    right = None if second is None else both(a, second)
    if left is not None and right is not None:
        assert left == right
    if first is not None:
        assert misfit(settled(first), a, "x") is None
        assert misfit(settled(first), b, "x") is None


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), st.lists, max_leaves=5))
def test_what_is_told_of_a_value_is_stable(value: Any) -> None:
    try:
        kind, plain = told(value, "x")
    except Misfit:
        return
    assert told(plain, "x")[0] == kind
    assert misfit(settled(kind), kind, "x") is None


# ------------------------------------------------------------------------------------------------------------- the file


def test_a_file_is_complete_only_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    out = sink(file)
    for n in range(ROWS + 1):
        out.write(ONE, {"n": n})
    out.flush()
    assert os.listdir(tmp_path) == ["a.parquet.partial"]
    out.close(complete=False)
    assert os.listdir(tmp_path) == ["a.parquet.partial"]
    assert len(values(tmp_path / "a.parquet.partial", format="parquet")) == ROWS + 1, "an interrupted run can be read"


def test_large_rows_are_not_gathered(tmp_path: Path) -> None:
    out: Any = sink(tmp_path / "a.parquet")
    for _ in range(40):
        out.write(ONE, {"data": b"x" * 1_000_000})
        assert len(out._rows) + len(out._batches) <= 20
    out.close()
    assert len(values(tmp_path / "a.parquet")) == 40


def test_a_table_may_go_to_a_pipe_but_not_to_a_terminal(tmp_path: Path) -> None:
    with piped_stdout() as stdout:
        out = open_sink(Outputs(format="parquet"))
        out.write(ONE, {"a": 1})
        out.close()
        (tmp_path / "a.parquet").write_bytes(os.read(stdout, 60_000))
    assert values(tmp_path / "a.parquet") == [{"a": 1}]
    ours, theirs = pty.openpty()
    kept = os.dup(1)
    os.dup2(theirs, 1)
    try:
        with pytest.raises(OutputError, match=r"parquet is nothing for a terminal; say --output FILE"):
            open_sink(Outputs(format="parquet"))
    finally:
        os.dup2(kept, 1)
        for fd in (kept, ours, theirs):
            os.close(fd)


def test_a_reader_that_goes_passes_through(tmp_path: Path) -> None:
    with piped_stdout() as stdout:
        out = open_sink(Outputs(format="arrow"))
        os.close(stdout)
        out.write(ONE, {"a": 1})
        with pytest.raises(BrokenPipeError):
            out.close()
        out.close()


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OutputError, match=r"pip install 'procession\[arrow\]'"):
        sink(tmp_path / "a.parquet")
    assert os.listdir(tmp_path) == []
