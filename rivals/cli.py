"""The command line: run each row against each peer, one probe after another, and report."""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.words import names, refuse_unknown
from rivals import report
from rivals.peers import PEERS, problem_with, version_of
from rivals.rows import ROWS
from rivals.rows.base import PATIENCE
from rivals.runner import run_probe
from rivals.verdict import Outcome, Verdict


def parser() -> argparse.ArgumentParser:
    """The words of the command line."""
    words = argparse.ArgumentParser(prog="python -m rivals", description=__doc__)
    words.add_argument("--only", metavar="ROW,...", type=names, default=[], help="only these rows")
    words.add_argument("--peers", metavar="PEER,...", type=names, default=[], help="only these peers")
    words.add_argument("--json", metavar="FILE", type=Path, help="write every fact of every probe here")
    words.add_argument("--markdown", metavar="FILE", type=Path, help="write the page here")
    words.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix. The exit status is 2 when it cannot be run as asked, 1 when a peer could not be asked; a bad
    verdict is a result like any other."""
    words = parser()
    asked = words.parse_args(arguments)
    if asked.list:
        print(_listing())
        return 0
    refuse_unknown(words, "--only", asked.only, ROWS)
    refuse_unknown(words, "--peers", asked.peers, PEERS)
    if sys.platform != "linux":
        words.error("the probes find what is left behind through Linux's /proc and child subreapers")
    rows, peers = asked.only or list(ROWS), asked.peers or list(PEERS)
    facts = _machine()
    began = time.monotonic()
    outcomes = list(run(rows, peers))
    facts.update(probes=len(outcomes), seconds=time.monotonic() - began)
    facts["versions"] = {name: version_of(PEERS[name]) for name in peers}
    print(report.as_text(outcomes))
    if asked.markdown:
        asked.markdown.write_text(report.as_markdown(outcomes, facts, PATIENCE))
    if asked.json:
        asked.json.write_text(report.as_json(outcomes, facts))
    return 1 if any(each.status == "not run" for each in outcomes) else 0


def run(rows: Sequence[str], peers: Sequence[str]) -> Iterator[Outcome]:
    """The outcomes, row by row; each probe in a folder of its own, which is removed."""
    problems = {peer: problem_with(PEERS[peer]) for peer in peers}
    total = len(rows) * len(peers)
    for index, (row, peer) in enumerate(((row, peer) for row in rows for peer in peers), 1):
        if problem := problems[peer]:
            outcome = Outcome(row, peer, "not run", Verdict(f"not run: {problem}", "bad"))
        else:
            # A short name: a cluster puts sockets below it, whose paths have at most 107 bytes.
            with tempfile.TemporaryDirectory(prefix="rv-", ignore_cleanup_errors=True) as folder:
                outcome = run_probe(ROWS[row], peer, Path(folder))
        print(f"[{index}/{total}] {report.progress(outcome)}", file=sys.stderr, flush=True)
        yield outcome


def _machine() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }


def _listing() -> str:
    lines = ["rows:", *(f"  {name:<20} {row.title}" for name, row in ROWS.items())]
    lines += ["", "peers:", *(f"  {name:<20} {peer.title}" for name, peer in PEERS.items())]
    return "\n".join(lines)
