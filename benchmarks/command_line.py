"""`procession map` beside what else runs a Python function over lines: `python -m benchmarks.command_line [--items N]`.

A tiny function, N lines of a file, the answers in one file: GNU parallel, xargs and loops in Python do the same work,
in turns and in one run; the interpreters' starts are in the time. What starts a process for each item does fewer of
them (--slow), unless --full asks for all. The answers are compared with what they must be, in order; xargs keeps none,
so its lines are sorted first. Memory is that of all processes together, looked at in a run that is not timed. Ends with
status 1 if some answers were wrong.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.machine import facts

JOB = """\
import sys


def double(line: str) -> str:
    return str(int(line) * 2)


if __name__ == "__main__":
    for line in sys.argv[1:] or sys.stdin:
        print(double(line))
"""

IMAP = """\
import sys
from multiprocessing import Pool
from job import double

with Pool({workers}) as pool:
    for answer in pool.imap(double, sys.stdin, chunksize={chunk}):
        print(answer)
"""

EXECUTOR = """\
import sys
from concurrent.futures import ProcessPoolExecutor
from job import double

with ProcessPoolExecutor({workers}) as pool:
    for answer in pool.map(double, sys.stdin):
        print(answer)
"""

LOOK = 0.02
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Way:
    """One way to run the function over the lines: a command of the shell, which reads stdin."""

    name: str
    command: str
    slow: bool = False
    """It starts a process for each item."""
    ordered: bool = True
    needs: str | None = None
    """A program; the way is skipped without."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Found:
    """What was measured of one way."""

    items: int
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    megabytes: float = 0.0
    wrong: str = ""


def ways(workers: int) -> list[Way]:
    """All of them."""
    python = shlex.quote(sys.executable)
    command = shlex.quote(str(Path(sys.executable).with_name("procession")))
    ours = f"{command} map job:double --to lines --workers {workers}"
    parallel = f"parallel --will-cite -k -j{workers}"
    # What processes write is not mixed if it goes into a pipe, at once, and has no more than 4096 bytes: 500 answers.
    xargs = f"xargs -P{workers}"
    many = {"needs": "xargs", "ordered": False}
    return [
        Way("`procession map`", ours),
        Way("`procession map`, in pure Python", ours, environment={"PROCESSION_PURE": "1"}),
        Way("`procession map --backend threads`", f"{ours} --backend threads"),
        Way("a for loop, one process", f"{python} -m job"),
        Way("`multiprocessing.Pool.imap`", f"{python} imap.py"),
        Way("`multiprocessing.Pool.imap`, chunksize=100", f"{python} imap_100.py"),
        Way("`ProcessPoolExecutor.map`", f"{python} executor.py"),
        Way("`parallel -k python job.py {}`", f"{parallel} {python} job.py {{}}", slow=True, needs="parallel"),
        Way("`parallel -k -N 1000 python job.py {}`", f"{parallel} -N 1000 {python} job.py {{}}", needs="parallel"),
        Way(
            "`parallel -k --pipe -N 1000 python job.py`", f"{parallel} --pipe -N 1000 {python} job.py", needs="parallel"
        ),
        Way("`xargs -P -n 1 python job.py` (unordered)", f"{xargs} -n 1 {python} job.py | cat", slow=True, **many),  # type: ignore[arg-type]
        Way("`xargs -P -n 500 python job.py` (unordered)", f"{xargs} -n 500 {python} job.py | cat", **many),  # type: ignore[arg-type]
    ]


def missing(way: Way) -> str | None:
    """Why a way cannot be gone here."""
    if way.needs is None:
        return None
    if shutil.which(way.needs) is None:
        return f"there is no {way.needs}"
    if way.needs == "parallel":
        said = subprocess.run(["parallel", "--version"], capture_output=True, text=True, check=False).stdout
        if not said.startswith("GNU parallel"):
            return "the parallel that is here is not GNU's"
    return None


class Bench:
    """A folder with the job and the items, in which commands are run."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        (folder / "job.py").write_text(JOB)
        (folder / "imap.py").write_text(IMAP.format(workers=workers, chunk=1))
        (folder / "imap_100.py").write_text(IMAP.format(workers=workers, chunk=100))
        (folder / "executor.py").write_text(EXECUTOR.format(workers=workers))

    def items(self, count: int) -> Path:
        """The file of so many lines."""
        file = self.folder / f"{count}.txt"
        if not file.exists():
            file.write_text("".join(f"{n}\n" for n in range(count)))
        return file

    def run(self, way: Way, found: Found, *, timed: bool) -> None:
        """Once, and look at the answers."""
        answers = self.folder / "answers.txt"
        # PYTHONUNBUFFERED and the like would slow some down, and have xargs mix what its processes write.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment = {**ours, "PARALLEL_HOME": str(self.folder / "home"), **way.environment}
        with (
            self.items(found.items).open() as items,
            answers.open("w") as out,
            (self.folder / "said").open("w") as said,
        ):
            began = time.perf_counter()
            child = subprocess.Popen(
                ["sh", "-c", way.command],
                cwd=self.folder,
                env=environment,
                stdin=items,
                stdout=out,
                stderr=said,
                start_new_session=True,
            )
            watch = None if timed else Watch(child.pid)
            _, status, used = os.wait4(child.pid, 0)
            took = time.perf_counter() - began
            child.returncode = os.waitstatus_to_exitcode(status)
        if watch is not None:
            found.megabytes = watch.end()
        else:
            found.seconds.append(took)
            found.cpu.append(used.ru_utime + used.ru_stime)
        found.wrong = found.wrong or self.fault(way, found.items, child.returncode, answers.read_text())

    def fault(self, way: Way, count: int, status: int, answers: str) -> str:
        """What is wrong with a run; nothing, if nothing is."""
        if status:
            return f"ended with {status}: {(self.folder / 'said').read_text().strip()[-200:]}"
        lines = answers.splitlines()
        expected = [str(2 * n) for n in range(count)]
        if (lines if way.ordered else sorted(lines)) != (expected if way.ordered else sorted(expected)):
            return "other answers"
        return ""


class Watch:
    """Looks at the memory of a session's processes, on a thread, until the end."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> float:
        """The most that they had together, in MiB."""
        self._over.set()
        self._thread.join()
        return self._most / 2**20

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            self._most = max(self._most, sum(map(proportional, members(self._session))))


def members(session: int) -> list[int]:
    """The processes of a session, and those that they have started in sessions of their own."""
    parents: dict[int, int] = {}
    found = set()
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        parents[pid] = int(fields[1])
        if int(fields[3]) == session:
            found.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return list(found)


def proportional(pid: int) -> int:
    """Bytes of a process; a page that several have is divided among them."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def measured(bench: Bench, chosen: Sequence[Way], counts: Mapping[str, int], repeat: int) -> dict[str, Found]:
    """All ways in turns, each round beginning with another one; then once more for the memory."""
    results = {way.name: Found(counts[way.name]) for way in chosen}
    for turn in range(repeat + 1):
        at = turn % len(chosen)
        for way in [*chosen[at:], *chosen[:at]]:
            if way.slow and 1 <= turn < repeat:
                continue  # once is long enough
            print(f"{'memory' if turn == repeat else f'round {turn + 1}'}: {way.name}", file=sys.stderr)
            bench.run(way, results[way.name], timed=turn < repeat)
    return results


def table(results: Mapping[str, Found], skipped: Mapping[str, str]) -> Iterable[str]:
    """Markdown. What a way costs in times of the first one is the median of what it was in each round."""
    yield "| | items | seconds (least to most) | µs an item | times ours | CPU seconds | peak memory, MiB | answers |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    ours = next(iter(results.values()), Found(1))
    for name, found in results.items():
        middle = median(found.seconds)
        each = middle / found.items
        ratio = median(
            mine / found.items * ours.items / theirs for mine, theirs in zip(found.seconds, ours.seconds, strict=False)
        )
        spread = f"{middle:.2f} ({min(found.seconds):.2f} to {max(found.seconds):.2f})"
        yield (
            f"| {name} | {found.items:,} | {spread} | {each * 1e6:,.1f} | {ratio:,.1f} | {median(found.cpu):.2f} | "
            f"{found.megabytes:.0f} | {found.wrong or 'right'} |"
        )
    for name, why in skipped.items():
        yield f"| {name} | skipped: {why} | | | | | | |"


def main(argv: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.command_line", description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--slow", type=int, default=2_000, help="items, where each is a process (%(default)s)")
    parser.add_argument("--full", action="store_true", help="all items there, too; that takes an hour")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="", help="ways whose names have this in them")
    words = parser.parse_args(argv)
    every = [way for way in ways(words.workers) if words.only in way.name]
    skipped = {way.name: why for way in every if (why := missing(way)) is not None}
    chosen = [way for way in every if way.name not in skipped]
    fewer = words.items if words.full else min(words.items, words.slow)
    counts = {way.name: fewer if way.slow else words.items for way in chosen}
    about = facts()
    with tempfile.TemporaryDirectory() as folder:
        results = measured(Bench(Path(folder), words.workers), chosen, counts, words.repeat) if chosen else {}
    print(
        f"{about['cpu']}, {about['cores_usable']} cores, {about['python']}; {words.workers} workers; load "
        f"{about['load_average'][0]} at the start; {words.repeat} rounds\n"
    )
    print(*table(results, skipped), sep="\n")
    return int(any(found.wrong for found in results.values()))


if __name__ == "__main__":
    raise SystemExit(main())
