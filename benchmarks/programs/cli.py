"""The command line: make an environment, run rounds, print a table."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.programs.cases import PROGRAMS, Program
from benchmarks.programs.rounds import CORPUS, Outcome, run
from benchmarks.words import names, refuse_unknown

ROOT = Path(__file__).resolve().parents[2]
HEAD = (
    "| program | its pool | files | output | time on its own pool | on procession | ratio (each round) | CPU, ratio |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def parser() -> argparse.ArgumentParser:
    """The words of the command line."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.programs", description=__doc__)
    words.add_argument("--only", metavar="PROGRAM,...", type=names, default=[], help="only these programs")
    words.add_argument("--rounds", metavar="N", type=int, default=3, help="each program so many times on each pool")
    words.add_argument("--corpus", metavar="FOLDER,...", type=names, default=[], help="folders of the standard library")
    words.add_argument("--python", metavar="FILE", type=Path, help="of an environment that has all; default: a new one")
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status is 1 when anything came out otherwise on our pool."""
    words = parser()
    asked = words.parse_args(arguments)
    known = {each.package: each for each in PROGRAMS}
    refuse_unknown(words, "--only", asked.only, known)
    chosen = [known[name] for name in asked.only or known]
    same = True
    with tempfile.TemporaryDirectory(prefix="procession-programs-") as scratch:
        python = asked.python or environment(Path(scratch, "environment"), [each.package for each in chosen])
        print(HEAD)
        for program in chosen:
            pairs = list(rounds(program, python.absolute(), asked.corpus or CORPUS, Path(scratch), asked.rounds))
            print(row(program, version(python, program), pairs), flush=True)
            same = same and all(own.same_as(ours, program) for own, ours in pairs)
    return 0 if same else 1


Pair = tuple[Outcome, Outcome]


def rounds(program: Program, python: Path, folders: Sequence[str], scratch: Path, count: int) -> Iterator[Pair]:
    """(on its own pool, on ours), so many times; the one that is first changes, since the second finds warm caches."""
    for number in range(count):
        found = {ours: run(program, python, ours, folders, scratch) for ours in (number % 2 == 1, number % 2 == 0)}
        yield found[False], found[True]


def row(program: Program, version: str, pairs: Sequence[Pair]) -> str:
    """A line of the table."""
    equal = "equal" if all(own.same_as(ours, program) for own, ours in pairs) else "**differs**"
    if program.sorted_lines:
        equal += " (lines in any order)"
    own, ours = (statistics.median(each[which].seconds for each in pairs) for which in (0, 1))
    ratios = " ".join(f"{ours.seconds / own.seconds:.2f}" for own, ours in pairs)
    work = statistics.median(ours.cpu_seconds / own.cpu_seconds for own, ours in pairs)
    first = pairs[0][0]
    return (
        f"| {program.package} {version}, `{' '.join(program.words)}` | {program.pool} | {len(first.files)} | "
        f"{equal}, {len(first.printed) + len(first.said)} bytes, status {first.status} | "
        f"{own:.1f} s | {ours:.1f} s | {ratios} | {work:.2f} |"
    )


def version(python: Path, program: Program) -> str:
    """Which version of it is installed there."""
    asked = f"from importlib.metadata import version; print(version({program.package!r}))"
    return subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True).stdout.strip()


def environment(home: Path, packages: Sequence[str]) -> Path:
    """A new environment with procession and these; its interpreter."""
    python = home / "bin/python"
    print(f"installing {', '.join(packages)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(ROOT), *packages], check=True)
    return python
