"""`python -m benchmarks.command_line` looks at the answers, and at all processes; no clock is asked here."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import command_line
from benchmarks.command_line import Bench, Way, measured, members, proportional, table, ways

PYTHON = shlex.quote(sys.executable)
LOOP = Way("loop", f"{PYTHON} -m job")


def test_right_answers_are_right_and_others_are_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 2)
    chosen = [
        LOOP,
        Way("backwards", "tac | awk '{print $1 * 2}'"),
        Way("backwards, unordered", "tac | awk '{print $1 * 2}'", ordered=False),
        Way("one short", f"head -n 9 | {PYTHON} -m job"),
        Way("fails", "echo 'what it says' >&2; exit 3", slow=True),
    ]
    chosen = [replace(way, command=f"sh -c {shlex.quote(way.command)}") for way in chosen]
    results = measured(bench, chosen, dict.fromkeys((way.name for way in chosen), 10), 2)
    assert {name: found.wrong for name, found in results.items()} == {
        "loop": "",
        "backwards": "other answers",
        "backwards, unordered": "",
        "one short": "other answers",
        "fails": "ended with 3: what it says",
    }
    assert [len(found.seconds) for found in results.values()] == [2, 2, 2, 2, 1]
    lines = list(table(results, {"gone": "there is no gone"}))
    assert len(lines) == 2 + 6
    assert lines[2].endswith("| right |")
    assert lines[-1].startswith("| gone | skipped: there is no gone |")
    assert len({line.count("|") for line in lines}) == 1


def test_the_memory_of_all_that_a_command_starts_is_added() -> None:
    program = (
        "import subprocess, sys\n"
        "if len(sys.argv) > 1: subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True)\n"
        "kept = b'x' * 50_000_000\nprint(len(kept), flush=True)\nsys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with child:
        assert child.stdout is not None
        assert [child.stdout.readline(), child.stdout.readline()] == [b"50000000\n"] * 2
        found = members(child.pid)
        assert len(found) == 2
        assert sum(map(proportional, found)) > 100_000_000
    assert members(child.pid) == []


def test_a_program_that_is_not_here_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert command_line.main(["--only", "parallel -k -N"]) == 0
    assert "| skipped: there is no parallel |" in capsys.readouterr().out


def test_every_way_reads_what_it_is_given() -> None:
    assert len({way.name for way in ways(2)}) == len(ways(2)) >= 10
    assert ways(2)[0].name == "`procession map`", "it is what the others are compared with"


@pytest.mark.slow
def test_a_whole_run_with_few_items(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--items", "50", "--slow", "4", "--repeat", "1"]) == 0
    out = capsys.readouterr().out
    assert out.count("| right |") + out.count("| skipped: ") == len(ways(2)), out
