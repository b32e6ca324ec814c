"""Kills a program with a journal at random instants, and has it go on, again and again:

    python -m tests.soak.journals [--kind imap|spinoff|spinoff-ids] [--kills 200] [--items 100000] [--seed N]

Each program (journalled.py) is killed by SIGKILL, alone or with all of its processes: some time after its start, or
some time after its output has grown so far; what and how far is drawn at random. After each kill what it had written is
held against the journal: of an imap there must be an outcome of every item that was handed over; what counts as handed
over by a SpinOff must have been written. The output of an imap begins anew, that of a SpinOff is cut and goes on. When
it has come to its end its output is compared, byte for byte, with that of one that nobody has killed; then a new one
begins.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.soak.journalled import KINDS, expected, item_of

STREAMS = ("imap", "map")
"""Those that write all from the beginning each time."""
PATIENCE = 600.0
"""Seconds that one may take that nobody kills."""
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Told:
    """What has happened."""

    kills: int = 0
    ended: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    """Where the kills have struck."""


class Torture:
    """One program and its files, again and again."""

    def __init__(self, kind: str, items: int, rng: random.Random, folder: Path) -> None:
        self.kind = kind
        self.items = items
        self.rng = rng
        self.folder = folder
        self.told = Told()
        self.whole = expected(kind, items)
        self.known = 0  # outcomes that the one before has left
        self.reached = 0  # bytes of output that the one before had written when it was killed, at most

    def run(self, kills: int) -> Told:
        """Kill so often, and let the last one end."""
        while self.told.kills < kills:
            self.once(kills)
        return self.told

    def once(self, kills: int) -> None:
        """From a new journal to the end."""
        number, self.reached, self.known = self.told.ended, 0, 0
        journal, out = self.folder / f"{number}.db", self.folder / f"{number}.out"
        while (status := self.start(journal, out, self.told.kills < kills)) != 0:
            assert status == -signal.SIGKILL, f"the program ended with status {status}"
            self.told.kills += 1
            self.look(journal, out)
            if not self.told.kills % 20:
                print(f"{self.told.kills} kills", flush=True)
        text = out.read_text()
        assert text == self.whole, f"after {self.told.kills} kills {out} is not what it would have been"
        self.told.ended += 1
        for each in self.folder.iterdir():
            each.unlink()

    def start(self, journal: Path, out: Path, kill: bool) -> int:
        """Run it, and `kill` it at some instant; returns its status."""
        command = [sys.executable, "-m", "tests.soak.journalled", self.kind, str(journal), str(out), str(self.items)]
        if self.kind in STREAMS:
            out.unlink(missing_ok=True)
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        try:
            if not kill:
                return process.wait(PATIENCE)
            if self.rng.random() < 0.75:
                self.await_growth(process, out, self.rng.uniform(0, self.reached + len(self.whole) / 6))
            process.wait(self.rng.expovariate(1 / 0.05) if self.rng.random() < 0.8 else self.rng.uniform(0, 1))
        except subprocess.TimeoutExpired:
            assert kill, "the program does not end"
            if self.rng.random() < 0.5:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        finally:
            if process.poll() is None and not kill:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return process.returncode

    def await_growth(self, process: subprocess.Popen[bytes], out: Path, size: float) -> None:
        """Until it has written so much, or has ended."""
        while process.poll() is None and (not out.exists() or out.stat().st_size < size):
            try:
                process.wait(0.002)
            except subprocess.TimeoutExpired:
                pass

    def look(self, journal: Path, out: Path) -> None:
        """What was handed over has an outcome in the journal."""
        written = out.read_bytes() if out.exists() else b""
        self.reached = max(self.reached, len(written))
        lines = written.count(b"\n")
        known = 0
        if journal.exists() and journal.stat().st_size:
            connection = sqlite3.connect(journal)
            try:
                tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'items'").fetchone()[0]
                if tables and self.kind not in STREAMS:
                    known = self.of_a_queue(connection, lines)
                elif tables:
                    handed = item_of(self.kind, lines)
                    rows = connection.execute("SELECT count(*), count(seq < ? OR NULL) FROM items", (handed,))
                    known, below = rows.fetchone()
                    assert below == handed, f"{handed} items were handed over, and {below} of their outcomes are kept"
            finally:
                connection.close()
        if not known:
            phase = "before anything was kept"
        elif lines < self.known:
            phase = "before it had handed over what was kept"
        elif lines < known:
            phase = "with outcomes that were kept and not handed over"
        else:
            phase = "when all that was kept had been handed over"
        self.told.phases[phase if lines < self.items else "at the end"] += 1
        self.known = known

    @staticmethod
    def of_a_queue(connection: sqlite3.Connection, lines: int) -> int:
        """How many outcomes it has, or had; what counts as handed over was written."""
        found = connection.execute("SELECT value FROM meta WHERE key = 'handed'").fetchone()
        handed = 0 if found is None else int(found[0])
        assert handed <= lines, f"{lines} lines were written, and {handed} outcomes count as handed over"
        waiting = connection.execute("SELECT count(*) FROM items WHERE state IN (1, 2)").fetchone()[0]
        return handed + int(waiting)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=sorted(KINDS), default="imap")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None)
    words = parser.parse_args()
    seed = words.seed if words.seed is not None else random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        told = Torture(words.kind, words.items, random.Random(seed), Path(folder)).run(words.kills)
    print(
        f"{words.kind}: {told.kills} kills of programs of {words.items:,} items, {told.ended} went on to their end, "
        f"each with the same output, byte for byte; {time.monotonic() - began:.0f} s"
    )
    for phase, count in told.phases.most_common():
        print(f"  {count:5} {phase}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
