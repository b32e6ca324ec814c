"""Standard streams that are closed, or full: a sentence, and nothing of one stream in another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.mapped import JOBS, command, surroundings

STDIN, STDOUT, STDERR = range(3)


def closed(*fds: int, words: list[str], stdin: str = "3\n4\n") -> subprocess.CompletedProcess[str]:
    """Started by a shell that has closed these."""
    closing = " ".join(f"{fd}{'<' if fd == STDIN else '>'}&-" for fd in fds)
    shell = ["sh", "-c", f'exec "$@" {closing}', "sh", *words]
    return subprocess.run(
        shell, input=stdin, capture_output=True, text=True, timeout=100, env=surroundings(), check=False
    )


def test_a_closed_stdout_is_an_error_of_the_output() -> None:
    done = closed(STDOUT, words=command("-e", "int(x)"))
    assert (done.returncode, done.stderr) == (1, "procession map: stdout: Bad file descriptor\n")


def test_a_closed_stdout_does_not_matter_where_nothing_is_written_to_it(tmp_path: Path) -> None:
    done = closed(STDOUT, words=command("-e", "int(x)", "-o", str(tmp_path / "out")))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out").read_text() == "3\n4\n"


def test_what_a_closed_stderr_would_get_is_not_in_the_results(tmp_path: Path) -> None:
    (tmp_path / "prints.py").write_text("def prints(x):\n    print('printed', flush=True)\n    return int(x)\n")
    done = closed(STDERR, words=command(f"{tmp_path / 'prints.py'}:prints"))
    assert (done.returncode, done.stdout) == (0, "3\n4\n")
    done = closed(STDERR, words=command(f"{JOBS}:no_such_function"))
    assert (done.returncode, done.stdout) == (2, "")


def test_a_closed_stdin_is_not_another_file(tmp_path: Path) -> None:
    failures = tmp_path / "failures.jsonl"
    done = closed(STDIN, words=command("-e", "int(x)", "--failures", str(failures)))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "procession map: stdin: cannot be read on: Bad file descriptor\n"
    assert failures.read_bytes() == b""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["map", "--help"], ["man"], ["completion", "bash"]])
def test_a_full_disk_under_help_is_a_sentence(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "procession", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=surroundings(),
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "procession: stdout: No space left on device\n")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--dry-run"], 1, "stdout: No space left on device"),
        (["--joblog", "/dev/full", "-o", os.devnull], 2, "--joblog /dev/full: No space left on device"),
        (["--failures", "/dev/full", "-o", os.devnull], 1, "--failures /dev/full: No space left on device"),
    ],
)
def test_a_full_disk_under_other_files_is_a_sentence(words: list[str], status: int, said: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("-e", "1 // 0", "1..3", *words, "-q"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            env=surroundings(),
            check=False,
        )
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") <= 2
