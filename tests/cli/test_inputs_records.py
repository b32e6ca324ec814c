"""JSONL, failures files, CSV and TSV: what was written is read again, and what is wrong is named by file and line."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.cli.mapping.inputs import InputError
from tests.cli.reading import fed, items, values

text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


# ---------------------------------------------------------------------------------------------------------------- JSONL


@settings(deadline=None)
@given(st.lists(json_values, max_size=8), st.booleans())
def test_what_json_writes_is_read_again(found: list[Any], escaped: bool) -> None:
    try:
        data = "".join(json.dumps(each, ensure_ascii=escaped) + "\n" for each in found).encode()
    except UnicodeEncodeError:
        data = "".join(json.dumps(each) + "\n" for each in found).encode()
    if len(data) < 60_000:  # what a pipe holds
        assert fed(data, format="jsonl") == found


def test_blank_lines_are_left_out_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n[2]\nNaN\n"last"')
    found = list(items(file))
    assert [each.value for each in found[:2]] == [{"a": 1}, [2]]
    assert math.isnan(found[2].value)
    assert found[3].value == "last"
    assert [each.number for each in found] == [1, 4, 5, 6]
    assert [each.position for each in found] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{'a': 1}", r"this line is no JSON \(Expecting property name .* at column 2\): \"\{'a': 1\}\""),
        ("1 2", r"this line is no JSON \(Extra data at column 3\): '1 2'"),
        ('{"a": ' + "x" * 500, r"'\{\"a\": x{54}\.\.\.'"),
        ("[" * 100_000, r"this line is JSON that Python does not read"),
        ("9" * 5000, r"this line is JSON that Python does not read"),
    ],
)
def test_a_line_that_is_no_json_is_named_and_may_be_left_out(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(f"1\n\n{line}\n4\n")
    found = items(file)
    assert next(found).value == 1
    with pytest.raises(InputError, match=rf"a\.jsonl:3: .*{said}.*--skip-bad-input"):
        next(found)
    found = items(file, skip_bad=True)
    assert [each.value for each in found] == [1, 4]
    assert found.skipped == 1
    assert found.skipped_first[0].startswith(f"{file}:3: ")


def test_many_bad_lines_are_counted_and_a_few_remembered() -> None:
    import os

    from tests.cli.reading import piped_stdin

    with piped_stdin() as writer:
        os.write(writer, b"bad\n" * 50 + b"1\n")
        os.close(writer)
        found = items(format="jsonl", skip_bad=True)
        assert [each.value for each in found] == [1]
    assert found.skipped == 50
    assert len(found.skipped_first) == 3


def test_another_encoding_is_named() -> None:
    for format in ("csv", "jsonl"):
        for encoding in ("utf-16", "utf-16-be"):
            mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
            with pytest.raises(InputError, match=r"UTF-16.*iconv -f UTF-16 -t UTF-8"):
                fed(mark + "a,b\n1,2\n".encode(encoding), format=format)


# ------------------------------------------------------------------------------------------------------------- failures


def failure(**more: Any) -> str:
    line = {
        "item": 1,
        "source": "-",
        "number": 1,
        "error": "ValueError",
        "text": "",
        "stack": "",
        "tries": 1,
        "stage": 0,
    }
    return json.dumps({**line, **more}) + "\n"


def test_a_failures_file_gives_its_items_again(tmp_path: Path) -> None:
    file = tmp_path / "failures.jsonl"
    file.write_text(
        failure(item={"a": [1]}, source="a.jsonl", number=7)
        + "\n"
        + failure(item="x.jpg", path="x.jpg")
        + failure(item=None, number="unknown")
    )
    for words in ({}, {"format": "failures"}):
        found = list(items(file, **words))
        assert [each.value for each in found] == [{"a": [1]}, "x.jpg", None]
        assert [each.path for each in found] == [None, "x.jpg", None]
        assert [(each.source, each.number) for each in found] == [("a.jsonl", 7), ("-", 1), (str(file), 4)]


def test_lines_that_only_look_a_little_like_failures_are_values(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    line = {"item": 1, "error": "ValueError", "source": "-"}
    file.write_text(json.dumps(line) + "\n" + failure())
    assert values(file) == [line, json.loads(failure())], "the first line decides"
    with pytest.raises(InputError, match=r"a\.jsonl:1: this line is none of a failures file"):
        values(file, format="failures")


def test_an_item_that_a_failures_file_could_not_hold_is_said(tmp_path: Path) -> None:
    file = tmp_path / "failures.jsonl"
    file.write_text(failure() + failure(item=None, shown="<Image 3x4>") + failure(item=3))
    with pytest.raises(InputError, match=r"failures\.jsonl:2: the item is not in this file, as JSON .*<Image 3x4>"):
        values(file)
    assert values(file, skip_bad=True) == [1, 3]


# ---------------------------------------------------------------------------------------------------------- CSV and TSV


@settings(deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4, unique=True),
    st.data(),
    st.sampled_from([",", "\t", ";"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_csv_writes_is_read_again(header: list[str], data: st.DataObject, delimiter: str, end: str) -> None:
    rows = data.draw(st.lists(st.lists(text, min_size=len(header), max_size=len(header)), max_size=6))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([header, *rows])
    found = fed(out.getvalue().encode(), format="csv", delimiter=delimiter)
    assert found == [dict(zip(header, row, strict=True)) for row in rows]


def test_fields_have_quotes_newlines_and_separators(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b'\xef\xbb\xbfa,b\r\n1,"x, ""y"""\r\n\r\n2,"two\r\nlines"\r\n3,\n4,last')
    found = list(items(file))
    assert [each.value for each in found] == [
        {"a": "1", "b": 'x, "y"'},
        {"a": "2", "b": "two\r\nlines"},
        {"a": "3", "b": ""},
        {"a": "4", "b": "last"},
    ]
    assert [each.number for each in found] == [1, 2, 3, 4], "rows, not lines"


def test_tabs_other_separators_and_no_header(tmp_path: Path) -> None:
    tsv, csv_file = tmp_path / "a.tsv", tmp_path / "a.csv"
    tsv.write_text("a\tb c\n1,5\t2\n")
    csv_file.write_text("x;y\n1;2;3\n")
    assert values(tsv) == [{"a": "1,5", "b c": "2"}]
    assert values(csv_file, delimiter=";", header=False) == [["x", "y"], ["1", "2", "3"]]
    csv_file.write_text("")
    assert values(csv_file) == []
    csv_file.write_text("only,header\n")
    assert values(csv_file) == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,2,3", r"this row has 3 fields, and the header names 2: '1,2,3'"),
        ("1", r"this row has 1 field, and the header names 2: '1'"),
        ('"1"x,2', r"this row is no CSV \("),
    ],
)
def test_a_row_that_does_not_fit_is_named_by_the_line_where_it_begins(tmp_path: Path, row: str, said: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f'a,b\n1,"two\nlines"\n\n{row}\n5,6\n')
    found = items(file)
    assert next(found).number == 1
    with pytest.raises(InputError, match=rf"a\.csv:5: {said}.*--skip-bad-input"):
        next(found)
    found = items(file, skip_bad=True)
    assert [(each.value["a"], each.number) for each in found] == [("1", 1), ("5", 3)]
    assert found.skipped == 1


def test_a_quote_that_is_never_closed_is_named_where_it_was_opened(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('a,b\n1,2\n3,"4\n5,6\n')
    with pytest.raises(InputError, match=r"a\.csv:3: this row is no CSV \(unexpected end of data\)"):
        values(file)


def test_a_header_that_names_a_field_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a,b,a\n1,2,3\n")
    with pytest.raises(InputError, match=r"a\.csv: the header names 'a' twice; --no-header"):
        values(file)
    assert values(file, header=False) == [["a", "b", "a"], ["1", "2", "3"]]


def test_fields_may_be_long_and_of_any_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"a\n" + b"x" * 300_000 + b"\ncaf\xe9\n")
    assert [len(each["a"]) for each in values(file)] == [300_000, 4]
    assert values(file)[1]["a"] == "caf\udce9"
