"""docs/command-line.md tells what is there: its tables are made of the words, and its commands print what it says."""

import re
from pathlib import Path

import pytest

from procession.cli.flags.mapping import MAP
from tests.cli.sessions import PAGE, SESSIONS, tables
from tests.cli.typed import session

TEXT = PAGE.read_text()
CONSOLE = "".join(re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
COMMAND = re.compile(r"^\$ (.*(?:\n>.*)*)\n", re.MULTILINE)


def test_the_tables_are_those_of_the_words() -> None:
    assert tables(TEXT) == TEXT, "python -m tests.cli.sessions makes them anew"


def test_each_option_that_is_named_is_there() -> None:
    """In what the page says of ours; the left column of the last table is GNU parallel's."""
    ours, _, theirs = TEXT.partition("## From GNU parallel")
    ours += "".join(row.split("|")[2] for row in theirs.splitlines() if row.startswith("| "))
    known = {name for flag in MAP.flags for name in flag.names} | {"--help"}
    foreign = {"--ours", "--lines"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours)) - foreign <= known


def test_each_terminal_session_is_there() -> None:
    for name in SESSIONS:
        found = re.search(rf"<!-- session {name} -->\n\n```text\n(.+?)\n```\n", TEXT, re.DOTALL)
        assert found is not None
        assert found[1].startswith("$ ")


@pytest.mark.slow
def test_the_commands_print_what_the_page_says(tmp_path: Path) -> None:
    """From the first to the last, in one folder, as somebody would type them."""
    commands = COMMAND.findall(CONSOLE)
    assert len(commands) >= 15
    assert session(commands, tmp_path) == CONSOLE
