"""The command line of the curves: one script, for a machine with many cores too."""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine
from benchmarks.cell import Cell, Outcome
from benchmarks.growth.measures import GROWTH, MEMORY_LIMIT
from benchmarks.growth.tables import tables
from benchmarks.peers import PEERS, problem_with
from benchmarks.report import in_markdown, in_text
from benchmarks.runner import child_environment, run_cell
from benchmarks.targets import OURS, PURE
from benchmarks.words import names, refuse_unknown

WORKERS = (2, 4, 8, 16, 32, 64)
QUEUED = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
SLOW_QUEUED = 100_000
"""The most that a peer other than ourselves gets: at a hundred microseconds a task, more would take minutes."""


def parser() -> argparse.ArgumentParser:
    """The words of the command line."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    words.add_argument("--only", metavar="CURVE,...", type=names, default=list(GROWTH), help=f"of {', '.join(GROWTH)}")
    words.add_argument("--peers", metavar="PEER,...", type=names, default=["procession", "procession-pure", "ppe"])
    words.add_argument("--most", metavar="N", type=int, default=1_000_000, help="queued tasks (10000000 takes minutes)")
    words.add_argument("--memory", metavar="MIB", type=int, default=MEMORY_LIMIT, help="limit of queued (%(default)s)")
    words.add_argument("--cores", metavar="N", type=int, default=len(os.sched_getaffinity(0)), help="for scaling")
    words.add_argument("--seconds", metavar="S", type=float, default=450.0, help="begin nothing after so many")
    words.add_argument("--json", metavar="FILE", type=Path, help="write every value here")
    words.add_argument("--markdown", metavar="FILE", type=Path, help="write the tables here")
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the curves; the exit status is 2 when they cannot be run as asked, 1 when a point failed."""
    words = parser()
    asked = words.parse_args(arguments)
    refuse_unknown(words, "--only", asked.only, GROWTH)
    refuse_unknown(words, "--peers", asked.peers, PEERS)
    if problems := [problem for name in asked.peers if (problem := problem_with(PEERS[name]))]:
        print(*problems, sep="\n", file=sys.stderr)
        return 2
    os.environ["BENCHMARKS_MEMORY"] = str(asked.memory)
    found = machine.facts()
    found["modes"] = machine.modes({name: child_environment(name) for name in asked.peers if name in (OURS, PURE)})
    began = time.perf_counter()
    plan = list(points(asked.only, asked.peers, asked.most, asked.cores, found["turn_ns"]))
    outcomes = list(run(plan, asked.seconds))
    found["seconds"] = round(time.perf_counter() - began)
    drawn = list(tables(outcomes, plan))
    doubts = machine.doubts(found, [])
    head = _head(found, doubts)
    print("\n\n".join([head, *map(in_text, drawn)]))
    if asked.markdown:
        asked.markdown.write_text("\n\n".join(["# Cost as it grows", head, *map(in_markdown, drawn)]) + "\n")
    if asked.json:
        every = {"machine": found, "doubts": doubts, "outcomes": [asdict(outcome) for outcome in outcomes]}
        asked.json.write_text(json.dumps(every, indent=1))
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def points(only: Sequence[str], peers: Sequence[str], most: int, cores: int, turn_ns: float) -> Iterator[Cell]:
    """The cells, the peers of a point one after the other."""
    scaled = sorted({cores, *(2**power for power in range(cores.bit_length()))})
    amounts = {"workers": WORKERS, "queued": [n for n in QUEUED if n <= most], "scaling": scaled}
    for name in (name for name in GROWTH if name in only):
        for amount in amounts[name]:
            # The control comes with the curves that need it, asked for or not.
            for peer in dict.fromkeys([*peers, *(["forks"] if name == "scaling" else [])]):
                slow = name == "queued" and amount > SLOW_QUEUED and peer not in (OURS, PURE)
                if GROWTH[name].takes(PEERS[peer]) and not slow:
                    yield Cell(name, peer, "import", 0, amount=amount, turn_ns=turn_ns)


def limit_of(cell: Cell) -> float:
    """Seconds after which a point hangs; a long queue takes longer."""
    return GROWTH[cell.measure].limit + (cell.amount * 100e-6 if cell.measure == "queued" else 0.0)


def run(plan: Sequence[Cell], budget: float) -> Iterator[Outcome]:
    """Run the points one after the other; none is begun after `budget` seconds."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="growth-") as scratch:
        for index, cell in enumerate(plan, 1):
            if time.perf_counter() - began > budget:
                print(f"out of time: {index - 1} of {len(plan)} points", file=sys.stderr)
                return
            outcome = run_cell(cell, limit_of(cell), Path(scratch))
            values = outcome.sample.values if outcome.sample else {}
            said = ", ".join(f"{key} {value:.3g}" for key, value in values.items()) or outcome.reason[-200:]
            where = f"{cell.measure} {cell.amount:,.0f} {cell.peer}"
            print(f"[{index}/{len(plan)}] {where} ({outcome.status}, {outcome.seconds:.1f} s): {said}", file=sys.stderr)
            yield outcome


def _head(found: dict[str, object], doubts: Sequence[str]) -> str:
    modes = found["modes"]
    assert isinstance(modes, dict)
    lines = [
        f"{found['date']}, {found['python']}, {found['kernel']}, {found['seconds']} s",
        f"{found['cpu']}, {found['cores_usable']} cores, load average {found['load_average']}",
        f"a turn of the busy loop takes {found['turn_ns']} ns",
        *(f"{name}: {mode}" for name, mode in modes.items()),
        *(f"DOUBT: {doubt}" for doubt in doubts),
    ]
    return "\n".join(lines)
