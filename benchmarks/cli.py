"""The command line: plan the cells, run them round robin, report."""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import machine, page, report
from benchmarks.cell import KINDS, Cell, Kind, Outcome, Size
from benchmarks.measures import MEASURES
from benchmarks.peers import PEERS, problem_with, version_of
from benchmarks.results import Results
from benchmarks.runner import child_environment, run_cell
from benchmarks.targets import OURS, PURE
from benchmarks.words import names, refuse_unknown

BUDGET = {"quick": 240.0, "normal": 720.0}
"""Seconds that a run may take which was not told how often to repeat."""


def parser() -> argparse.ArgumentParser:
    """The words of the command line."""
    words = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    words.add_argument("--only", metavar="MEASURE,...", type=names, default=[], help="only these measures")
    words.add_argument("--peers", metavar="PEER,...", type=names, default=[], help="only these peers")
    words.add_argument("--kinds", metavar="KIND,...", type=names, default=list(KINDS), help="import, main or both")
    words.add_argument("--repeat", metavar="N", type=int, help="repetitions (default 5; quick 3)")
    words.add_argument("--quick", action="store_true", help="fewer and shorter, for a look")
    words.add_argument("--full", action="store_true", help="no fewer tasks for slow peers: half an hour and more")
    words.add_argument("--json", metavar="FILE", type=Path, help="write every value here")
    words.add_argument("--markdown", metavar="FILE", type=Path, help="write the report here")
    words.add_argument("--page", metavar="FILE", type=Path, help="put the table into this page of docs/")
    words.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; the exit status is 2 when it cannot be run as asked, 1 when a cell failed."""
    words = parser()
    asked = words.parse_args(arguments)
    if asked.list:
        print(_listing())
        return 0
    refuse_unknown(words, "--only", asked.only, MEASURES)
    refuse_unknown(words, "--peers", asked.peers, PEERS)
    refuse_unknown(words, "--kinds", asked.kinds, KINDS)
    if asked.quick and asked.full:
        words.error("argument --full: not with --quick")
    if asked.repeat is not None and asked.repeat < 1:
        words.error(f"argument --repeat: must be at least 1, not {asked.repeat}")
    if asked.page:
        try:
            page.check(asked.page)
        except (OSError, ValueError) as error:
            words.error(f"argument --page: {error}")
    peers = asked.peers or list(PEERS)
    if problems := [problem for name in peers if (problem := problem_with(PEERS[name]))]:
        print(*problems, "Install them, or name the peers you want with --peers.", sep="\n", file=sys.stderr)
        return 2
    found = machine.facts()
    began = time.perf_counter()
    size: Size = "quick" if asked.quick else "full" if asked.full else "normal"
    wanted = cells(asked.only or list(MEASURES), peers, asked.kinds, asked.repeat or 0, size)
    plan = [replace(cell, turn_ns=found["turn_ns"]) for cell in wanted]
    outcomes = list(run(plan, math.inf if asked.repeat or asked.full else BUDGET[size]))
    found["repetitions"] = 1 + max((outcome.cell.repetition for outcome in outcomes), default=-1)
    found["seconds"] = round(time.perf_counter() - began)
    found["modes"] = machine.modes({name: child_environment(name) for name in peers if name in (OURS, PURE)})
    found["versions"] = {name: version_of(PEERS[name]) for name in peers}
    results = Results(outcomes)
    _write(results, found, asked)
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def cells(
    measures: Sequence[str], peers: Sequence[str], kinds: Sequence[Kind], repeat: int, size: Size
) -> Iterator[Cell]:
    """The cells in the order of the run: within a repetition the peers follow each other, so that noise hits all."""
    for repetition in range(repeat or (3 if size == "quick" else 5)):
        # Each repetition begins with another peer: none is always the one that runs after the slowest.
        turn = repetition % max(1, len(peers))
        order = [*peers[turn:], *peers[:turn]]
        for name in measures:
            cap = MEASURES[name].repetitions
            if not repeat and cap is not None and repetition >= (1 if size == "quick" else cap):
                continue
            for kind in (kind for kind in MEASURES[name].kinds if kind in kinds):
                for peer in order:
                    if MEASURES[name].takes(PEERS[peer]):
                        yield Cell(name, peer, kind, repetition, size)


def run(plan: Sequence[Cell], budget: float) -> Iterator[Outcome]:
    """Run the cells one after the other; what hung once, or is not there, is not asked again.

    A repetition that would, going by what its cells took before, end after `budget` seconds is not begun: on a machine
    that is too busy, the report shows fewer repetitions.
    """
    settled: set[tuple[str, str, str]] = set()
    took: dict[tuple[str, str, str], float] = {}
    began = time.perf_counter()
    repetition = 0
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
        for index, cell in enumerate(plan, 1):
            if cell.repetition > repetition:
                coming = [(c.measure, c.peer, c.kind) for c in plan if c.repetition == cell.repetition]
                if time.perf_counter() - began + sum(took.get(each, 0.0) for each in coming) > budget:
                    print(f"out of time: {cell.repetition} repetitions, not more", file=sys.stderr)
                    return
                repetition = cell.repetition
            place = (cell.measure, cell.peer, cell.kind)
            if place in settled:
                continue
            limit = MEASURES[cell.measure].limit * (5 if cell.size == "full" else 1)
            outcome = run_cell(cell, limit, Path(scratch))
            took[place] = outcome.seconds
            if outcome.status in ("hang", "not available"):
                settled.add(place)
            print(f"[{index}/{len(plan)}] {report.progress(outcome)}", file=sys.stderr, flush=True)
            yield outcome


def _write(results: Results, found: dict[str, object], asked: argparse.Namespace) -> None:
    rates = results.values("submit_result", "ppe", "import", "rate").values()
    doubts = machine.doubts(found, list(rates))
    print(report.as_text(results, found, doubts))
    if asked.markdown:
        asked.markdown.write_text(report.as_markdown(results, found, doubts))
    if asked.page:
        page.write(asked.page, results, found, doubts)
    if asked.json:
        asked.json.write_text(report.as_json(results, found, doubts))


def _listing() -> str:
    lines = ["measures:"]
    for name, measure in MEASURES.items():
        taking = ", ".join(peer.name for peer in PEERS.values() if measure.takes(peer))
        lines += [f"  {name:<15} {measure.title}", f"  {'':<15}   by {taking}"]
    lines += ["", "peers:", *(f"  {name:<15} {peer.title}" for name, peer in PEERS.items())]
    return "\n".join(lines)
