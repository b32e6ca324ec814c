"""Runs one cell in a process of its own, with a time limit, and leaves nothing of it behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.cell import Cell, Outcome, Sample
from benchmarks.peers import PEERS
from benchmarks.peers.procession import PURE

HERE = Path(__file__).resolve().parent
SCRIPTS = {"import": HERE / "launch.py", "main": HERE / "workloads.py"}


def child_environment(peer: str) -> dict[str, str]:
    """Ours, with the folder above `benchmarks/` on the path of every process below, and what `peer` wants set."""
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    # Absolute: a cell runs in a folder of its own.
    path = [str(HERE.parent), *map(os.path.abspath, given)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    # Peers come with their bytecode from pip; ours, in a checkout, may write its own.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # The mode is the peer's to say, not the shell's: both modes run in one run.
    environment.pop(PURE, None)
    return {**environment, **PEERS[peer].environment}


def run_cell(cell: Cell, limit: float, scratch: Path) -> Outcome:
    """Run `cell`; after `limit` seconds kill it with all its descendants, and call it a hang."""
    out = scratch / "sample.json"
    out.unlink(missing_ok=True)
    cell = replace(cell, out=str(out))
    # -P: the script's own folder must not be on the path, where benchmarks/ would offer its modules as top-level.
    command = [sys.executable, "-P", str(SCRIPTS[cell.kind]), cell.to_json()]
    began = time.perf_counter()
    with (scratch / "stderr.txt").open("w+", errors="replace") as errors:
        process = subprocess.Popen(
            command,
            cwd=scratch,
            env=child_environment(cell.peer),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )
        hung = False
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            hung = True
        finally:
            _kill_group(process.pid)
            process.wait()
        errors.seek(0)
        said = errors.read()[-2000:].strip()
    seconds = time.perf_counter() - began
    if hung:
        return Outcome(cell, "hang", seconds, reason=f"no end after {limit:g} s")
    if process.returncode != 0 or not out.exists():
        return Outcome(cell, "error", seconds, reason=said or f"exit status {process.returncode}")
    found = json.loads(out.read_text())
    if "not available" in found:
        return Outcome(cell, "not available", seconds, reason=found["not available"])
    return Outcome(cell, "ok", seconds, Sample(**found))


def _kill_group(leader: int) -> None:
    """Also after a normal end: a peer that leaves workers behind must not disturb the next one."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
