"""The sharing of tests between sessions (tests/apart.py), checked in sessions of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests import apart, leaks
from tests.house.shared_sample import COUNT

SAMPLE = Path(__file__).with_name("shared_sample.py")


class Run:
    """A session, what it said, and which test was run where."""

    def __init__(self, folder: Path, *words: str, what: str = "") -> None:
        notes = folder / "notes"
        left_out = (apart.VARIABLE, leaks.VARIABLE, "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST")
        env = {name: word for name, word in os.environ.items() if name not in left_out}
        env |= {"SHARED_NOTES": str(notes), "SHARED_WHAT": what, "PROCESSION_TESTS_HANDS": "1"}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *words, SAMPLE]
        done = subprocess.run(
            command, cwd=apart.ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        self.code, self.out = done.returncode, done.stdout
        self.lines = [(int(number), where) for number, where in map(str.split, notes.read_text().splitlines())]

    def count(self, what: str) -> int:
        """As the last line of all has it."""
        found = re.search(rf"(\d+) {what}", self.out.splitlines()[-1])
        return int(found[1]) if found else 0


def test_each_test_is_run_once_and_reported_once(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.code == 0, run.out
    assert run.count("passed") == COUNT
    assert sorted(number for number, _ in run.lines) == list(range(COUNT))
    assert {where for _, where in run.lines} == {"here", "there"}
    there = [number for number, where in run.lines if where == "there"]
    assert COUNT - 1 in there
    assert 0 not in there


def test_what_the_program_of_low_priority_has_not_come_to_is_run_here(tmp_path: Path) -> None:
    run = Run(tmp_path, what="apart")
    assert run.code == 0, run.out
    assert run.count("passed") == COUNT
    assert sorted(number for number, _ in run.lines) == list(range(COUNT))
    where = dict(run.lines)
    assert (where[0], where[COUNT - 1]) == ("there", "here")


def test_what_fails_there_fails_here(tmp_path: Path) -> None:
    run = Run(tmp_path, what="fails")
    assert run.code == 1
    assert (run.count("failed"), run.count("passed")) == (2, COUNT - 2)
    assert f"test_one[{COUNT - 1}]" in run.out


def test_a_failure_there_ends_a_session_that_stops_at_the_first(tmp_path: Path) -> None:
    run = Run(tmp_path, "-x", what="fails")
    assert run.code == 1
    assert run.count("failed") == 1
    assert "stopping after 1 failures" in run.out


def test_who_dies_there_fails_the_test_that_it_ran_and_no_other(tmp_path: Path) -> None:
    """It had taken a bundle: what it had not begun is run here, as all the rest."""
    run = Run(tmp_path, what="dies")
    assert run.code == 1
    assert (run.count("failed"), run.count("passed")) == (1, COUNT - 1)
    assert f"test_one[{COUNT - 3}]" in run.out
    assert "has ended in the midst of it" in run.out
    where = dict(run.lines)
    assert sorted(number for number, _ in run.lines) == list(range(COUNT))
    assert [where[number] for number in range(COUNT - 3, COUNT)] == ["there", "here", "here"]


def test_a_limit_that_is_kept_by_a_thread_fails_the_test_that_hung_and_no_other(tmp_path: Path) -> None:
    """pytest-timeout ends the program, and has said before where it hung."""
    run = Run(tmp_path, what="hangs")
    assert run.code == 1
    assert (run.count("failed"), run.count("passed")) == (1, COUNT - 1)
    assert "has ended in the midst of it" in run.out
    assert "in test_one" in run.out


def test_who_watches_has_all_of_them_here(tmp_path: Path) -> None:
    run = Run(tmp_path, "-s", "--deselect", f"{SAMPLE.relative_to(apart.ROOT)}::test_one[0]")
    assert run.code == 0, run.out
    assert {where for _, where in run.lines} == {"here"}
