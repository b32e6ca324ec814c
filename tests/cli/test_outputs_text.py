"""JSONL, lines, CSV and TSV: what is written is read again; what has no form there is refused, and named."""

import csv
import dataclasses
import datetime
import decimal
import enum
import io
import json
import pathlib
import uuid
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.cli.mapping.inputs import Item
from procession.cli.mapping.outputs import NotWritable, Outputs, to_json
from procession.cli.mapping.outputs_json import is_exact
from procession.cli.mapping.outputs_text import Fields, JsonLines, Lines
from tests.cli.reading import fed
from tests.cli.test_inputs_records import json_values, text


class Kept:
    """A place that keeps what is written."""

    name = "kept"

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def flush(self) -> None: ...

    def close(self, complete: bool) -> None: ...


def written(kind: Any, *results: Any, item: Any = "item", **words: Any) -> bytes:
    place = Kept()
    sink = kind(place, Outputs(**words))
    for result in results:
        sink.write(Item(item, "-", 1, None, 0), result)
    sink.close()
    return place.data


@dataclasses.dataclass
class Point:
    x: int
    y: Any


Pair = namedtuple("Pair", "left right")


class Colour(enum.Enum):
    RED = "red"


# ----------------------------------------------------------------------------------------------------------------- JSON


@settings(deadline=None)
@given(st.lists(json_values, max_size=6))
def test_json_values_come_back_as_they_were(results: list[Any]) -> None:
    data = written(JsonLines, *results)
    assert [json.loads(line) for line in data.split(b"\n")[:-1]] == results
    if len(data) < 60_000:
        assert fed(data, format="jsonl") == results


def test_letters_stay_letters_and_names_that_are_no_text_are_escaped() -> None:
    assert to_json({"ä": "€😀\u2028"}) == '{"ä": "€😀\u2028"}'.encode()
    assert to_json("caf\udce9 ä") == b'"caf\\udce9 \\u00e4"'
    assert json.loads(to_json("caf\udce9")) == "caf\udce9"
    assert to_json([float("nan"), float("inf"), (1, None), True]) == b"[NaN, Infinity, [1, null], true]"
    assert to_json({1: 2, None: 3}) == b'{"1": 2, "null": 3}'


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (Point(1, Point(2, None)), '{"x": 1, "y": {"x": 2, "y": null}}'),
        (Pair(1, 2), "[1, 2]"),
        (datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC), '"2024-02-29T12:30:00+00:00"'),
        (datetime.date(2024, 2, 29), '"2024-02-29"'),
        (datetime.time(12, 30), '"12:30:00"'),
        (pathlib.PurePosixPath("a/b"), '"a/b"'),
        (Path("a/b"), '"a/b"'),
        (decimal.Decimal("1.10"), '"1.10"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (numpy.int64(3), "3"),
        (numpy.float32(0.5), "0.5"),
        (numpy.float64(0.1), "0.1"),
        (numpy.bool_(True), "true"),
        (numpy.arange(4).reshape(2, 2), "[[0, 1], [2, 3]]"),
        (numpy.datetime64("2024-02-29"), '"2024-02-29"'),
    ],
)
def test_what_json_has_no_word_for_has_a_form(value: Any, form: str) -> None:
    assert to_json(value).decode() == form
    assert to_json({"in": [value]}).decode() == f'{{"in": [{form}]}}'


@given(json_values)
def test_what_is_exact_comes_back(value: Any) -> None:
    assert is_exact(value)
    for other in ((1,), {1: value}, Path("a"), [Pair(1, 2)], {"a": numpy.float64(1)}, Colour.RED):
        assert not is_exact(other)
        assert not is_exact([value, {"in": other}])


def circular() -> list[Any]:
    one: list[Any] = []
    one.append(one)
    return one


def deep() -> Any:
    one: Any = []
    for _ in range(100_000):
        one = [one]
    return one


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"x", r"^result is bytes, which JSON does not hold; decode it, or write --to lines or --out-dir"),
        ({"a": [1, {"b": bytearray()}]}, r"^result\['a'\]\[1\]\['b'\] is bytearray"),
        ({1, 2}, r"^result is a set, which has no order; sorted\(\)"),
        ([object()], r"^result\[0\] is of type builtins\.object, which JSON does not hold"),
        (Point(1, {2}), r"^result\.y is a set"),
        ({(1, 2): 3}, r"^result has a key of type tuple, and JSON's are text: \(1, 2\)"),
        (1j, r"^result is of type builtins\.complex"),
        (datetime.timedelta(1), r"^result is of type datetime\.timedelta"),
        (circular(), r"^result cannot be written as JSON: Circular reference"),
        (deep(), r"^result cannot be written as JSON: "),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(NotWritable, match=said):
        to_json(value)


def test_the_item_may_stand_beside_the_result() -> None:
    data = written(JsonLines, {"r": 1}, item={"id": 7}, with_item=True)
    assert json.loads(data) == {"item": {"id": 7}, "result": {"r": 1}}
    with pytest.raises(NotWritable, match=r"^line\['result'\] is bytes"):
        written(JsonLines, b"", with_item=True)


# ---------------------------------------------------------------------------------------------------------------- lines


@settings(deadline=None)
@given(st.lists(st.binary().filter(lambda line: b"\n" not in line)))
def test_lines_of_any_bytes_leave_as_they_came(lines: list[bytes]) -> None:
    expected = b"".join(line + b"\n" for line in lines)
    assert written(Lines, *lines) == expected
    assert written(Lines, *(line.decode("utf-8", "surrogateescape") for line in lines)) == expected


def test_lines_are_what_str_says_with_an_end_behind_each() -> None:
    assert (
        written(Lines, "a", b"b", 3, None, 1.5, "two\nlines", "", "end\n")
        == b"a\nb\n3\nNone\n1.5\ntwo\nlines\n\nend\n\n"
    )
    assert written(Lines, "a\nb", 2, format="null") == b"a\nb\x002\x00"
    with pytest.raises(NotWritable, match="has a NUL in it"):
        written(Lines, "a\0b", format="null")
    with pytest.raises(NotWritable, match="UTF-8 does not hold: '\\\\ud800'"):
        written(Lines, "\ud800")


def test_a_tag_is_the_item() -> None:
    assert written(Lines, 1, item="x", tag=True) == b"x\t1\n"
    assert written(Lines, 1, item={"id": 7}, tag=True) == b'{"id": 7}\t1\n'
    assert written(Lines, b"r", item="caf\udce9", tag=True) == b"caf\xe9\tr\n"


# ---------------------------------------------------------------------------------------------------------- CSV and TSV

names = st.lists(text.filter(len), min_size=1, max_size=4, unique=True)


@settings(deadline=None)
@given(names, st.data(), st.sampled_from(["csv", "tsv"]))
def test_rows_that_were_written_are_read_again(header: list[str], data: st.DataObject, format: str) -> None:
    rows = data.draw(st.lists(st.lists(text, min_size=len(header), max_size=len(header)), min_size=1, max_size=5))
    dicts = [dict(zip(header, row, strict=True)) for row in rows]
    out = written(Fields, *dicts, format=format)
    assert (
        list(csv.DictReader(io.StringIO(out.decode(), newline=""), delimiter="," if format == "csv" else "\t")) == dicts
    )
    assert fed(out, format=format) == dicts


def test_a_carriage_return_in_a_field_comes_back() -> None:
    row = {"a": "x\ry", "b": "x\r\ny\r"}
    assert fed(written(Fields, row), format="csv") == [row]


def test_the_first_row_makes_the_header() -> None:
    assert written(Fields, {"b": 1, "a": "x"}, {"a": "y", "b": None}) == b"b,a\n1,x\n,y\n"
    assert written(Fields, Point(1, "z")) == b"x,y\n1,z\n"
    assert written(Fields, Pair("l", "r"), format="tsv") == b"left\tright\nl\tr\n"
    assert written(Fields, ["x", 1], ("y", 2), delimiter=";") == b"x;1\ny;2\n"
    assert written(Fields, 1, "a,b", None) == b'1\n"a,b"\n""\n'
    assert written(Fields, {"a": 1}, item={"id": 7}, with_item=True) == b'item,result\n"{""id"": 7}","{""a"": 1}"\n'


def test_cells_are_plain() -> None:
    row = {
        "list": [1, "ä"],
        "date": datetime.date(2024, 2, 29),
        "array": numpy.arange(2),
        "float": 0.1,
        "numpy": numpy.float64(0.1),
        "bool": True,
        "path": Path("a/b"),
    }
    assert fed(written(Fields, row), format="csv") == [
        {
            "list": '[1, "ä"]',
            "date": "2024-02-29",
            "array": "[0, 1]",
            "float": "0.1",
            "numpy": "0.1",
            "bool": "True",
            "path": "a/b",
        }
    ]


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (
            [{"a": 1}, {"b": 1}],
            r"^the result has b, which the header has not and lacks a; the first row made the header",
        ),
        ([{"a": 1}, {"a": 1, "b": 2}], r"^the result has b, which the header has not; "),
        ([{"a": 1, "b": 2}, {"a": 1}], r"^the result lacks b; "),
        ([{"a": 1}, [1]], r"^the result is a list, and the rows before it have keys"),
        ([{"a": 1}, 1], r"^the result is a int, and the rows before it have keys"),
        ([[1], {"a": 1}], r"^the result has keys, and the rows before it are lists"),
        ([{"a": b"x"}], r"^result\['a'\] is of type bytes, which a field does not hold"),
        ([{"a": [b"x"]}], r"^result\['a'\]\[0\] is bytes"),
        ([[{1}]], r"^result\[0\] is of type set"),
        ([b"x"], r"^result is of type bytes"),
        ([{}], r"^the result is an empty row"),
        ([[]], r"^the result is an empty row"),
        ([{"a": "\ud800"}], r"UTF-8 does not hold"),
    ],
)
def test_rows_that_do_not_fit_are_refused(results: list[Any], said: str) -> None:
    place = Kept()
    sink = Fields(place, Outputs())
    *first, last = results
    for each in first:
        sink.write(Item("x", "-", 1, None, 0), each)
    with pytest.raises(NotWritable, match=said):
        sink.write(Item("x", "-", 1, None, 0), last)
    sink.close()
    assert place.data == (written(Fields, *first) if first else b"")


def test_a_first_row_that_is_refused_makes_no_header() -> None:
    place = Kept()
    sink = Fields(place, Outputs())
    with pytest.raises(NotWritable):
        sink.write(Item("x", "-", 1, None, 0), {"bad": b""})
    sink.write(Item("x", "-", 1, None, 0), {"good": 1})
    sink.close()
    assert place.data == b"good\n1\n"
