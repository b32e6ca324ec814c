"""docs/command-line-formats.md tells what is there: each format, and what each of its commands prints."""

import re
from pathlib import Path

import pytest

from procession.cli.mapping.inputs import FORMATS as READ
from procession.cli.mapping.inputs_naming import SUFFIXES as NAMES_READ
from procession.cli.mapping.outputs import FORMATS as WRITTEN
from procession.cli.mapping.outputs import SUFFIXES as NAMES_WRITTEN
from tests.cli.typed import session

PAGE = (Path(__file__).resolve().parents[2] / "docs/command-line-formats.md").read_text()
SESSIONS = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def table_after(heading: str) -> str:
    rows = PAGE.partition(f"\n{heading}\n")[2].partition("\n| --- |")[2]
    return rows.partition("\n\n")[0]


@pytest.mark.parametrize(
    ("heading", "formats", "suffixes"),
    [("## What is read", READ, NAMES_READ), ("## What is written", WRITTEN, NAMES_WRITTEN)],
)
def test_the_tables_name_each_format_and_each_suffix(
    heading: str, formats: tuple[str, ...], suffixes: dict[str, str]
) -> None:
    table = table_after(heading)
    for each in (*formats, *suffixes):
        assert f"`{each}`" in table, each


@pytest.mark.slow
@pytest.mark.parametrize("printed", SESSIONS, ids=range(len(SESSIONS)))
def test_the_commands_print_what_the_page_says(printed: str, tmp_path: Path) -> None:
    assert session(re.findall(r"^\$ (.*)\n", printed, re.MULTILINE), tmp_path, "sh") == printed


def test_there_are_commands_on_the_page() -> None:
    assert len(SESSIONS) >= 4
