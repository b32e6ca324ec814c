"""Run many cases: each module and start in a process group of its own, several at once.

Most of these tests sleep, so more groups run at once than there are cores. A test that hangs is aborted
with the stacks of its threads as the detail; a test that takes its process down is recorded as that; the
rest of the group goes on in a fresh process either way.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .interpreters import Interpreter
from .model import STARTS, Case, GroupRecord, Outcome, Record, Start

ROOT = Path(__file__).resolve().parents[2]
#: No test takes longer than 7 s on an idle machine; deadlocks that a test finds itself are reported after 20 s.
HANG = 120.0
#: Seconds in which what a group has left behind may end by itself.
LEAVING = 20.0
GIVE_UP_AFTER = 3  # hangs in one group
#: Seconds that a module's tests sleep: the longest are started first.
LENGTHS = {"test_wait": 12, "test_process_pool": 9, "test_thread_pool": 9, "test_deadlock": 5, "test_shutdown": 4}


@dataclass
class Results:
    """All that came out of a campaign."""

    interpreter: Interpreter
    subject: str
    records: dict[Case, Record] = field(default_factory=dict)
    groups: dict[tuple[Start, str], GroupRecord] = field(default_factory=dict)
    seconds: float = 0.0


def command(interpreter: Interpreter, subject: str, start: Start) -> list[str]:
    path = [word for folder in interpreter.path for word in ("--path", folder)]
    base = [interpreter.python, "-m", f"{__package__}.runner"]
    return [*base, "--subject", subject, "--start", start, *path]


def list_cases(interpreter: Interpreter, subject: str, starts: Iterable[Start] = STARTS) -> list[Case]:
    """Every case of this interpreter's tests, in the order of the starts."""

    def one(start: Start) -> list[Case]:
        words = [*command(interpreter, subject, start), "--list"]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)} failed:\n{done.stderr}")
        return [Case(**json.loads(line)) for line in done.stdout.splitlines()]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [case for cases in pool.map(one, starts) for case in cases]


class Attempt:
    """One process that runs the cases of a group until it ends, hangs or dies."""

    def __init__(self, words: Sequence[str], cases: Sequence[Case], folder: Path) -> None:
        self._cases = {case.label: case for case in cases}
        self._events = folder / "events"
        self._log = folder / "log"
        self._events.write_text("")
        (folder / "cases").write_text("\n".join(json.dumps(dataclasses.asdict(case)) for case in cases))
        self._running: tuple[Case, float] | None = None
        self._told = 0  # bytes of the log, at the end of the case before
        self._buffer = ""
        self.records: list[Record] = []
        self.problems: list[str] = []
        self.ended = False
        words = [*words, "--cases", str(folder / "cases"), "--events", str(self._events)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def run(self) -> None:
        with self._events.open() as events:
            while self._process.poll() is None:
                self._read(events.read())
                if self._running is not None and time.monotonic() - self._running[1] > HANG:
                    self._abort()
                time.sleep(0.05)
            self._read(events.read())
        if self._running is not None:
            self._lost("died", f"the process ended with {self._process.returncode}:\n{self._tail()}")
        elif not (self.ended or any(record.outcome == "hung" for record in self.records)):
            self.problems.append(f"the process ended with {self._process.returncode}:\n{self._tail()}")
        self._sweep()

    def _read(self, text: str) -> None:
        *lines, self._buffer = (self._buffer + text).split("\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        match event.pop("event"):
            case "start":
                self._running = (self._cases[event["label"]], time.monotonic())
            case "stop":
                self._running = None
                said = self._printed()
                if said and event["outcome"] == "failed":  # why a worker did not start is said on its stderr alone
                    event["detail"] += f"\nprinted meanwhile:\n{said}"
                self.records.append(Record(self._cases[event.pop("label")], **event))
            case "problem":
                self.problems.append(event["detail"])
            case "end":
                self.ended = True

    def _printed(self) -> str:
        """What has been printed since this was last asked."""
        log = self._log.read_bytes()
        since, self._told = self._told, len(log)
        return log[since:].decode(errors="replace").strip()

    def _lost(self, outcome: Outcome, detail: str) -> None:
        assert self._running is not None
        case, since = self._running
        self.records.append(Record(case, outcome, time.monotonic() - since, detail))
        self._running = None

    def _abort(self) -> None:
        self._process.send_signal(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()
        self._lost("hung", f"no end after {HANG:.0f} s:\n{self._tail()}")

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-6000:]

    def _sweep(self) -> None:
        """End what the group left running; that something was left is a problem when the runner ended well."""
        deadline = time.monotonic() + LEAVING
        while time.monotonic() < deadline and self._alive():
            time.sleep(0.02)
        if left := self._alive():
            if self.ended:
                self.problems.append(f"{LEAVING:.0f} s after the end there still run: {', '.join(left)}")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _alive(self) -> list[str]:
        """The processes of our group that are not zombies, by what they run."""
        alive = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                name, _, rest = (entry / "stat").read_text().rpartition(")")
                words = (entry / "cmdline").read_text().replace("\0", " ").strip()
            except OSError:
                continue
            state, _, group = rest.split()[:3]
            if int(group) == self._process.pid and state not in "ZX":
                alive.append(words or name)
        return alive


def run_group(words: Sequence[str], cases: Sequence[Case]) -> tuple[list[Record], GroupRecord]:
    """All cases of one group, in as many processes as its hangs and deaths ask for."""
    began = time.monotonic()
    records: list[Record] = []
    problems: list[str] = []
    waiting = list(cases)
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        while waiting:
            attempt = Attempt(words, waiting, Path(name))
            attempt.run()
            records += attempt.records
            problems += attempt.problems
            done = {record.case for record in attempt.records}
            waiting = [case for case in waiting if case not in done]
            hangs = sum(record.outcome == "hung" for record in records)
            if waiting and (not done or hangs >= GIVE_UP_AFTER):
                reason = "its group came to nothing" if not done else f"{hangs} tests of its group hung before it"
                records += [Record(case, "died", 0.0, f"not run: {reason}\n" + "\n".join(problems)) for case in waiting]
                break
    start, module = cases[0].group
    return records, GroupRecord(start, module, time.monotonic() - began, tuple(problems))


def run(interpreter: Interpreter, subject: str, cases: Iterable[Case], jobs: int = 12) -> Results:
    """Run the cases, ``jobs`` groups at once."""
    began = time.monotonic()
    if subject == "procession":
        interpreter.make_ready()
    groups: dict[tuple[Start, str], list[Case]] = collections.defaultdict(list)
    for case in cases:
        groups[case.group].append(case)
    results = Results(interpreter, subject)
    queue = sorted(groups.items(), key=lambda item: -LENGTHS.get(item[0][1], 3))
    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(run_group, command(interpreter, subject, key[0]), group) for key, group in queue]
        for run in runs:
            records, group = run.result()
            results.records.update((record.case, record) for record in records)
            results.groups[group.start, group.module] = group
    results.seconds = time.monotonic() - began
    return results
