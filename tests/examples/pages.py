"""Programs and commands of the pages of docs/, and how a page says what is to be done with them.

A comment on the line before a block, so that it is seen in the source and not on the page:

    <!-- continues -->              it goes on where the program before it has ended
    <!-- given: code -->            what the page takes for granted; the code runs first
    <!-- like: why -->              numbers, addresses and folders of what it prints differ; it may end with an error
    <!-- output differs: why -->    it runs, and must end well, but what it prints is not compared
    <!-- e2e: why -->               it is run by `make e2e` only, and what it prints is compared
    <!-- not run: why -->           it is not run
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>(?:(?!-->).)*?)\s-->\n\n?)?"
    r"^(?P<indent> *)```(?P<language>python|console)\n(?P<code>.*?)^(?P=indent)```\n"
    r"(?:\n(?P=indent)```text\n(?P<printed>.*?)^(?P=indent)```)?",
    re.M | re.S,
)
MARKS = ("continues", "given", "like", "output differs", "e2e", "not run")
OTHERS = re.compile(r"^ *```(py|pycon|sh|bash|shell)\b", re.M)
"""Blocks that look like programs and would be run by nobody."""
SOMETIMES = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?|(?<=File \")[^\"]+(?=\")|(?<=')/[^']*(?=')|/[\w./-]+(?=: )")


@dataclass(frozen=True)
class Block:
    """A program, or a session of a terminal."""

    page: str
    line: int
    language: str
    code: str
    printed: str
    mark: str = ""
    said: str = ""
    """What the mark says behind its colon: a reason, or code."""

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> dict[str, str]:
    """Each page that people read as documentation: its place below docs/ -> its text."""
    found = {file.relative_to(DOCS).as_posix(): file.read_text() for file in sorted(DOCS.rglob("*.md"))}
    return {**found, "../README.md": (ROOT / "README.md").read_text()}


def blocks(page: str, text: str) -> list[Block]:
    """Those of a page, in order. Raises ValueError for a mark that there is not."""
    found = []
    for each in BLOCK.finditer(text):
        mark, _, said = (each["mark"] or "").partition(":")
        line = text.count("\n", 0, each.start("code"))
        if mark and mark not in MARKS:
            if mark.split()[0] in {name.split()[0] for name in MARKS}:
                raise ValueError(f"{page}:{line}: there is no mark {mark!r}; there are {', '.join(MARKS)}")
            mark = said = ""  # a comment of another kind
        code, printed = dedent(each["code"]), dedent(each["printed"] or "")
        block = Block(page, line, each["language"], code, printed, mark, said.strip("\n "))
        if mark == "given":
            block = Block(page, line, block.language, f"{said.strip()}\n\n\n{block.code}", block.printed, mark)
        if mark == "continues":
            before = found[-1]
            block = Block(
                page, line, block.language, f"{before.code}\n\n{block.code}", before.printed + block.printed, mark
            )
        found.append(block)
    return found


def elsewhere() -> list[Block]:
    """What is run by `make e2e` only."""
    return [block for page, text in pages().items() for block in blocks(page, text) if block.mark == "e2e"]


def printed_by(block: Block, folder: Path, environment: dict[str, str]) -> str:
    """What this program prints, run in this folder. AssertionError, with what it says, if it does not end well."""
    script = folder / "program.py"
    script.write_text(block.code)
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def alike(printed: str, found: str) -> bool:
    """Whether each line of `printed`, but for its numbers and folders, is there in this order. `...` is anything."""
    have = iter(SOMETIMES.sub("#", line) for line in found.splitlines())
    wanted = (SOMETIMES.sub("#", line) for line in printed.splitlines() if line.strip() and line.strip() != "...")
    return all(any(fits(line, each) for each in have) for line in wanted)


def fits(wanted: str, line: str) -> bool:
    parts = wanted.split("...")
    return re.fullmatch(".*".join(map(re.escape, parts)), line) is not None
