"""Whatever a file holds, reading it gives items or InputError, and nothing else."""

import io
from pathlib import Path

import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.cli.mapping.inputs import InputError
from procession.cli.mapping.inputs_naming import TEXT
from tests.cli.reading import items

pieces = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b'"',
        b",",
        b"\t",
        b"{",
        b"}",
        b"[1]",
        b'{"a": 1}',
        b"1",
        b"\xff",
        b"\xef\xbb\xbf",
        b" ",
        b"a",
    ]
)
texts = st.lists(pieces | st.binary(max_size=3), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "file"


@settings(deadline=None, max_examples=300)
@given(texts, st.sampled_from(TEXT), st.booleans(), st.booleans())
def test_any_text(file: Path, text: bytes, format: str, header: bool, skip_bad: bool) -> None:
    file.write_bytes(text)
    found = items(file, format=format, header=header, skip_bad=skip_bad)
    given, said = [], None
    try:
        for each in found:
            given.append(each)
    except InputError as error:
        said = str(error)
    if said is not None:
        assert said.startswith(str(file))
        assert format not in ("lines", "null"), "lines may be anything"
        assert not skip_bad or "header" in said or "UTF-16" in said
    assert [each.position for each in given] == list(range(len(given)))
    numbers = [each.number for each in given]
    assert numbers == sorted(set(numbers))


def tables() -> dict[str, bytes]:
    table = pyarrow.table(
        {"n": list(range(40)), "text": ["x" * n for n in range(40)], "list": [[n] for n in range(40)]}
    )
    parquet, feather, stream = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pyarrow.parquet.write_table(table, parquet)
    pyarrow.feather.write_feather(table, feather)
    with pyarrow.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=10)
    return {"parquet": parquet.getvalue(), "arrow": feather.getvalue(), "stream": stream.getvalue()}


TABLES = tables()


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(TABLES)), st.data())
def test_any_cut_of_a_table(file: Path, kind: str, data: st.DataObject) -> None:
    whole = TABLES[kind]
    cut = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.binary(max_size=4))
    file.write_bytes(whole[:cut] + other)
    found = items(file, format="parquet" if kind == "parquet" else "arrow")
    rows, said = [], str(file)
    try:
        for each in found:
            rows.append(each.value)
    except InputError as error:
        said = str(error)
    assert said.startswith(str(file))
    assert rows == [{"n": n, "text": "x" * n, "list": [n]} for n in range(len(rows))]
