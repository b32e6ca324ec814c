"""Running a program on a copy of the corpus, and what came out of it."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.programs.cases import Program

CORPUS = ("json", "logging")
"""Folders of the standard library."""


@dataclass(frozen=True)
class Outcome:
    """What a run left, and what it took."""

    status: int
    printed: bytes
    said: bytes
    files: dict[str, bytes]
    seconds: float
    cpu_seconds: float
    """Of the program and its workers."""

    def same_as(self, other: Outcome, program: Program) -> bool:
        """Whether nobody could tell them apart, by what came out."""
        return self._seen(program) == other._seen(program) and (self.status, self.files) == (other.status, other.files)

    def _seen(self, program: Program) -> tuple[object, object]:
        if program.sorted_lines:
            return sorted(self.printed.splitlines()), sorted(self.said.splitlines())
        return self.printed, self.said


def run(program: Program, python: Path, ours: bool, folders: Sequence[str], scratch: Path) -> Outcome:
    """Run it in `scratch`, on a fresh copy of these folders of the standard library."""
    corpus = scratch / "corpus"
    shutil.rmtree(corpus, ignore_errors=True)
    for name in folders:
        source = Path(sysconfig.get_path("stdlib"), name)
        shutil.copytree(source, corpus / name, ignore=shutil.ignore_patterns("__pycache__", "test", "tests"))
    start = [str(python), "-m", "procession.adapters.run"] if ours else []
    command = [
        *start,
        program.words[0] if ours else str(python.with_name(program.words[0])),
        *program.words[1:],
        "corpus",
    ]
    surroundings = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    before, began = _cpu(), time.monotonic()
    done = subprocess.run(command, cwd=scratch, capture_output=True, env=surroundings, check=False)
    seconds, cpu = time.monotonic() - began, _cpu() - before
    files = {str(each.relative_to(corpus)): each.read_bytes() for each in sorted(corpus.rglob("*")) if each.is_file()}
    return Outcome(done.returncode, done.stdout, done.stderr, files, seconds, cpu)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
