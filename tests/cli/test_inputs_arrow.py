"""Parquet and Arrow: rows as dicts of plain Python values, batch by batch."""

import datetime
import decimal
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest

from procession.cli.mapping.failing import line
from procession.cli.mapping.inputs import InputError, Inputs, total
from procession.cli.mapping.inputs_arrow import BYTES, ROWS, fitting
from tests.cli.reading import items, piped_stdin, values

WHEN = datetime.datetime(2024, 2, 29, 12, 30, 0, 123456)
ROWS_HERE: list[dict[str, Any]] = [
    {
        "n": n,
        "text": None if n % 3 == 0 else f"row {n}",
        "data": b"\x00\xff",
        "list": list(range(n % 4)),
        "dict": {"x": n / 2},
        "when": WHEN,
        "day": WHEN.date(),
        "price": decimal.Decimal("1.10"),
    }
    for n in range(2_500)
]


@pytest.fixture(scope="module")
def table() -> Any:
    return pyarrow.Table.from_pylist(ROWS_HERE)


def write(table: Any, file: Path, how: str) -> Path:
    if how == "parquet":
        pyarrow.parquet.write_table(table, file, row_group_size=700)
    elif how == "feather":
        pyarrow.feather.write_feather(table, str(file))
    else:
        make = pyarrow.ipc.new_file if how == "file" else pyarrow.ipc.new_stream
        with make(str(file), table.schema) as writer:
            writer.write_table(table, max_chunksize=700)
    return file


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.parquet", "parquet"),
        ("a.feather", "feather"),
        ("a.arrow", "file"),
        ("b.arrow", "stream"),
    ],
)
def test_rows_are_dicts_of_plain_values(tmp_path: Path, table: Any, name: str, how: str) -> None:
    file = write(table, tmp_path / name, how)
    found = list(items(file))
    assert [each.value for each in found] == ROWS_HERE
    assert {type(each) for each in found[1].value.values()} == {
        *(int, str, bytes, list, dict, datetime.datetime, datetime.date, decimal.Decimal)
    }
    assert [each.number for each in found] == list(range(1, 2_501))
    assert found[-1].source == str(file)
    assert total(Inputs((str(file),))) == (2_500 if how == "parquet" else None)


@pytest.mark.parametrize("how", ["stream", "file"])
def test_arrow_may_come_through_stdin(table: Any, tmp_path: Path, how: str) -> None:
    file = write(table.slice(0, 50), tmp_path / "a", how)
    with piped_stdin() as writer:
        os.write(writer, file.read_bytes())
        os.close(writer)
        assert values(format="arrow") == ROWS_HERE[:50]
    with pytest.raises(InputError, match="stdin: a Parquet file says at its end"):
        values(format="parquet")


def test_nanoseconds_become_microseconds_or_are_refused(tmp_path: Path) -> None:
    def written(nanoseconds: int) -> Path:
        kinds = [pyarrow.timestamp("ns", "UTC"), pyarrow.duration("ns"), pyarrow.time64("ns")]
        arrays = [pyarrow.array([nanoseconds], kind) for kind in kinds]
        return write(pyarrow.table(arrays, ["at", "took", "time"]), tmp_path / "a.arrow", "file")

    (row,) = values(written(5_000))
    assert row == {
        "at": datetime.datetime(1970, 1, 1, 0, 0, 0, 5, tzinfo=datetime.UTC),
        "took": datetime.timedelta(microseconds=5),
        "time": datetime.time(0, 0, 0, 5),
    }
    assert {type(each) for each in row.values()} == {datetime.datetime, datetime.timedelta, datetime.time}
    with pytest.raises(InputError, match=r"a\.arrow: column 'at' has nanoseconds"):
        values(written(5_001))


@pytest.mark.parametrize(("name", "how"), [("a.parquet", "parquet"), ("a.arrow", "file")])
def test_rows_that_failed_are_read_again_from_their_table(tmp_path: Path, table: Any, name: str, how: str) -> None:
    """A failures file holds no dates and bytes."""
    file, failures = write(table, tmp_path / name, how), tmp_path / "failures.jsonl"
    chosen = [list(items(file))[number] for number in (3, 4, 2_000, 1_000)]
    failures.write_bytes(b"".join(line(item, ValueError(), 1, None) for item in chosen))
    assert b"null" in failures.read_bytes()
    found = list(items(failures))
    assert [item[:3] for item in found] == [item[:3] for item in chosen]
    failures.write_bytes(b"".join(line(item, ValueError(), 1, None) for item in found))
    assert values(failures) == [item.value for item in chosen], "those that fail again are known, too"

    write(table.slice(1), file, how)
    with pytest.raises(InputError, match=rf"failures\.jsonl:1: .*{name} has no such row 4 any more: \"\{{'n': 3,"):
        values(failures)
    assert values(failures, skip_bad=True) == []
    file.unlink()
    with pytest.raises(InputError, match=rf"failures\.jsonl:1: the item is to be read again, and .*{name}: "):
        values(failures)


def test_no_more_rows_are_made_than_a_few_megabytes() -> None:
    assert fitting(0, 0) == fitting(100 * ROWS, ROWS) == ROWS
    assert fitting(BYTES * 50, 50) == 1
    assert fitting(BYTES * 500, 50) == 1
    assert fitting(BYTES, 50) == 50
    assert fitting(BYTES * 2, 50) == 25


def test_a_parquet_file_is_not_read_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    data = os.urandom(1_000_000)
    pyarrow.parquet.write_table(pyarrow.table({"data": [data] * 60}), file, row_group_size=2, use_dictionary=False)
    assert file.stat().st_size > 60_000_000
    before, most = pyarrow.total_allocated_bytes(), 0
    for item in items(file):
        assert item.value["data"] == data
        most = max(most, pyarrow.total_allocated_bytes() - before)
    assert most < 20_000_000


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.feather"])
def test_a_file_that_is_something_else_or_was_cut_is_said(tmp_path: Path, table: Any, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"no table at all, but some text")
    with pytest.raises(InputError, match=rf"{name}: cannot be read"):
        values(file)
    file.write_bytes(b"")
    with pytest.raises(InputError, match=rf"{name}: "):
        values(file)
    whole = write(table, file, {"a.parquet": "parquet", "a.arrow": "stream", "a.feather": "file"}[name]).read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf"{name}: cannot be read"):
        values(file)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").touch()
    (tmp_path / "a.arrow").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in ("a.parquet", "a.arrow"):
        with pytest.raises(InputError, match=r"pip install 'procession\[arrow\]'"):
            values(tmp_path / name)


def test_a_batch_is_given_before_the_next_is_read(tmp_path: Path, table: Any) -> None:
    """A file whose second half is damaged gives its first half."""
    file = write(table, tmp_path / "a.arrow", "stream")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    found = items(file)
    assert [next(found).value for _ in range(700)] == ROWS_HERE[:700]
    with pytest.raises(InputError):
        list(found)
