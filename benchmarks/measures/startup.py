"""A fresh program up to its end, and what its import takes of that."""

import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import Measure, Metric
from benchmarks.peers.base import Peer

DEFINITIONS = {
    "import": "from benchmarks.workloads import noop",
    "main": "def noop(x):\n    return x",
}

PRINT = """
import sys
import time


def print(value):
    sys.stdout.write(f"{value} {time.monotonic()}\\n")
"""
"""What `print` is in the program: it says when, too."""


class Startup(Measure):
    """Timed: a whole program by the wall, from its start as a fresh process to its first result, and to its exit.

    The program is a script as the library's documentation would write it: it imports the library, opens a pool of
    two, submits one no-op, prints its result, leaves. The mean of 2 runs, after one that is not counted (byte code
    and files are then cached). The interpreter's own start is in it, alike for all.
    The exit is seen from outside; the first result is when the program prints it, by the clock that all processes
    share.
    """

    name = "startup"
    title = "fresh process to first result and exit"
    metrics = (Metric("first", "to the first result", "ms"), Metric("wall", "to the exit", "ms"))

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        script = Path(cell.out).with_name("program.py")
        script.write_text(program(peer, cell.kind))
        _run(script)
        times = 2
        runs = [_run(script) for _ in range(times)]
        first, wall = (sum(column) / times * 1e3 for column in zip(*runs, strict=True))
        return Sample({"first": first, "wall": wall}, {"times": times})


class Imports(Measure):
    """Timed: `python -c "import X"` by the wall, less `python -c pass`: the least of 7 runs each, taken in turns.

    package: alone. use: the import that the program of the startup measure begins with, which loads what
    a lazy package has put off until then.
    """

    name = "imports"
    title = "import, over a bare interpreter"
    metrics = (Metric("package", "import of the package", "ms"), Metric("use", "import of what is used", "ms"))
    repetitions = 2
    kinds = ("import",)

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        programs = {"bare": "pass", "package": f"import {peer.package}", "use": peer.script_import}
        least = dict.fromkeys(programs, float("inf"))
        for _ in range(1 + 7):  # the first time, files and byte code come from the disk; it is never the least
            for name, text in programs.items():
                began = time.perf_counter()
                subprocess.run([sys.executable, "-c", text], check=True)
                least[name] = min(least[name], time.perf_counter() - began)
        return Sample({name: (least[name] - least["bare"]) * 1e3 for name in ("package", "use")})


def program(peer: Peer, kind: str) -> str:
    """The text of the program."""
    body = "".join(f"    {line}\n" for line in peer.script_body.splitlines())
    return f'{PRINT}\n{peer.script_import}\n\n{DEFINITIONS[kind]}\n\nif __name__ == "__main__":\n{body}'


def _run(script: Path) -> tuple[float, float]:
    """Seconds to the result, and to the end."""
    # Into a file: at the end of a pipe we would also wait for a worker or helper that outlives the program.
    with script.with_name("said.txt").open("w+") as said:
        began = time.monotonic()
        status = subprocess.run([sys.executable, str(script)], stdout=said, stderr=said).returncode
        seconds = time.monotonic() - began
        said.seek(0)
        lines = said.read().splitlines()
    results = [line.split() for line in lines if line.startswith("1 ")]
    if status or len(results) != 1:
        raise AssertionError(f"the program ended with {status} and said {lines}")
    return float(results[0][1]) - began, seconds
