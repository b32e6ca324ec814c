"""Part 2 of the demo: a real job on real input, the complexity of every function of the standard library."""

import os
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from procession import Pool
from procession.cli.complexity import Report, analyse, most_complex
from procession.cli.screen import Screen

ELSEWHERE = frozenset({"site-packages", "__pycache__"})
MOST_COMPLEX = 10


@dataclass(frozen=True)
class Sources:
    root: Path
    files: tuple[str, ...]
    lines: int
    size: int


def library(every: int = 1) -> Sources:
    """The sources of the running Python's standard library, in the order of their names; every n-th of them.

    They are read once, so that whoever parses them first does not wait for the disk alone.
    """
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(path for path in root.rglob("*.py") if ELSEWHERE.isdisjoint(path.relative_to(root).parts))[::every]
    lines = size = 0
    for path in files:
        source = path.read_bytes()
        lines += source.count(b"\n")
        size += len(source)
    return Sources(root, tuple(map(str, files)), lines, size)


def sequential(screen: Screen, files: Sequence[str]) -> tuple[list[Report], float]:
    began = time.perf_counter()
    reports = list(screen.progress(map(analyse, files), len(files), "in sequence "))
    return reports, time.perf_counter() - began


def parallel(files: Sequence[str]) -> tuple[list[Report], float, int]:
    """The same through a pool of processes; the reports, the seconds from before there was a pool until it was gone,
    and how many workers it had."""
    began = time.perf_counter()
    with Pool() as pool:
        workers = pool.stats().max_workers
        reports = list(pool.options(name="through imap").imap(analyse, files, progress=True))
    return reports, time.perf_counter() - began, workers


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stdlib(screen: Screen, every: int = 1) -> bool:
    """Run the job in sequence and through imap, and compare; True if the results are equal, in order."""
    screen.heading("2. A real job: how complex is Python's standard library?")
    sources = library(every)
    screen.say(
        f"Each of {len(sources.files):,} files ({sources.lines:,} lines, {sources.size / 1e6:.1f} MB"
        f"{f', every {every}th file' if every > 1 else ''}) of Python {sys.version.split()[0]} is parsed, and its "
        f"functions measured."
    )
    expected, slow = sequential(screen, sources.files)
    reports, quick, workers = parallel(sources.files)
    screen.say()
    screen.say(f"in sequence       {slow:6.2f} s")
    with_what = f"{counted(workers, 'worker')} on {counted(cores(), 'core')}"
    screen.say(f"through imap      {quick:6.2f} s    {slow / quick:.2f}x as fast, {with_what}")
    problems = differences(expected, reports)
    screen.verdict(problems, f"{len(reports):,} results, equal to those in sequence, and in the same order")
    findings(screen, sources, expected)
    return not problems


def differences(expected: Sequence[Report], got: Sequence[Report]) -> list[str]:
    """What does not agree: nothing, if both are equal and in the same order."""
    if len(expected) != len(got):
        return [f"{len(got):,} results came through imap, and {len(expected):,} in sequence"]
    unlike = [index for index, (one, other) in enumerate(zip(expected, got, strict=True)) if one != other]
    if not unlike:
        return []
    first = unlike[0]
    return [
        f"{counted(len(unlike), 'result')} not equal to those in sequence; the first is number {first}, "
        f"{got[first].path} in place of {expected[first].path}"
        if got[first].path != expected[first].path
        else f"{counted(len(unlike), 'result')} not equal to those in sequence; the first is that on {got[first].path}"
    ]


def findings(screen: Screen, sources: Sources, reports: Sequence[Report]) -> None:
    def short(path: str) -> str:
        return Path(path).relative_to(sources.root).as_posix()

    functions = sum(len(report.functions) for report in reports)
    deepest = max(reports, key=lambda report: report.nesting)
    broken = [report for report in reports if report.problem]
    screen.say()
    screen.say(f"{functions:,} functions. The deepest nesting is {deepest.nesting} blocks, in {short(deepest.path)}.")
    if broken:
        names = ", ".join(short(report.path) for report in broken)
        screen.say(f"{counted(len(broken), 'file')} did not parse: {names}.", hang=2)
    screen.say("The most complex functions (1 + the decisions in it, as McCabe counts):")
    rows = [
        [str(function.complexity), function.name, f"{short(path)}:{function.line}"]
        for function, path in most_complex(reports, MOST_COMPLEX)
    ]
    screen.table(["complexity", "function", "where"], rows)
