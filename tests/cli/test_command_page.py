"""docs/command-line.md tells what is there: its tables are made of the words, and its commands print what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from procession.cli.flags.mapping import MAP
from tests.cli.sessions import PAGE, SESSIONS, tables

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
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = ""
    commands = COMMAND.findall(CONSOLE)
    assert len(commands) >= 15
    for typed in commands:
        done = subprocess.run(
            ["bash", "-c", re.sub(r"\n> ?", "\n", typed)],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        said += f"$ {typed}\n{done.stdout}"
    assert said == CONSOLE
