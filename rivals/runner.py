"""Runs one probe in a process of its own, with a time limit, and leaves nothing of it behind.

The program of a probe leads a session, and so a process group, of its own. Its descendants may leave both (a cluster's
daemons do), and outlive their parents; so while a probe runs we are what Linux calls a child subreaper: an orphan
becomes our child, and is found by walking our own tree.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from rivals import shm
from rivals.rows.base import Row, verdict_of
from rivals.scene import read_facts
from rivals.verdict import Facts, Outcome, Verdict

HERE = Path(__file__).resolve().parent
GRACE = 3.0
"""Seconds in which what a program that ended well has started must be gone."""
TRACKER_GRACE = 2.0
PR_SET_CHILD_SUBREAPER = 36


def environment(scratch: Path) -> dict[str, str]:
    """Ours, with the folder above `rivals/` on the path of every process below, and temporary files in `scratch`."""
    path = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "TMPDIR": str(scratch),
        # It would report to its makers, and leave a token in the home directory.
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    }


class Probe:
    """One running probe, as its row's `attend` and the runner see it."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.folder = folder
        self._before = {each.pid for each in psutil.Process().children(recursive=True)}
        with (folder / "said.txt").open("w") as said:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def interrupt(self) -> None:
        """Ctrl-C, as the terminal sends it: SIGINT to the whole foreground process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to the program alone."""
        self._process.kill()

    def ended(self, seconds: float) -> bool:
        """Wait so long at most for the program to end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    @property
    def pid(self) -> int:
        """The program's."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal."""
        return self._process.returncode

    def left(self) -> list[str]:
        """The processes that have outlived the program, as they are now."""
        return [name for each in self._descendants() if (name := _name(each))]

    def pids(self) -> list[int]:
        """Of the program and of its descendants, wherever they are."""
        return [self.pid, *(each.pid for each in self._descendants())]

    def _descendants(self) -> list[psutil.Process]:
        """Without zombies, which are nothing but an exit status: ours are reaped on the way.

        And without what was started by those who were there before.
        """
        found = []
        for each in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
                if each.pid == self._process.pid or not self._before.isdisjoint(p.pid for p in (each, *each.parents())):
                    continue
                if each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each)
                elif each.ppid() == os.getpid():
                    os.waitpid(each.pid, os.WNOHANG)
        return found

    def end(self) -> None:
        """Kill the program and all its descendants, until there is none: some start others as long as they live.

        multiprocessing's resource trackers come last. They end by themselves when they are alone, and take with them
        the semaphores that were in their care, of which nobody else could say whose they are.
        """
        self._process.kill()
        self._process.wait()
        began = time.monotonic()
        while (left := self._descendants()) and time.monotonic() < began + 10:
            for each in left:
                if time.monotonic() > began + TRACKER_GRACE or "resource_tracker" not in _name(each):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()
            time.sleep(0.02)

    def said(self) -> str:
        """The end of its output."""
        return (self.folder / "said.txt").read_text(errors="replace")[-3000:].strip()


def run_probe(row: Row, peer: str, folder: Path) -> Outcome:
    """Run the row against the peer, kill what is left, and judge."""
    script = HERE / "scripts" / f"{row.script}.py"
    # -P: the script's own folder must not be on the path, where it would offer its modules as top-level.
    return watch(row, peer, [sys.executable, "-P", str(script), row.name, peer, str(folder)], folder)


def watch(row: Row, peer: str, command: list[str], folder: Path, grace: float = GRACE) -> Outcome:
    """The same with any command that notes its facts in `folder`."""
    segments = shm.entries()
    began = time.monotonic()
    with _subreaper():
        probe = Probe(command, folder)
        try:
            seen = row.attend(probe)
            if not seen["hung"] and row.minds_leftovers:
                deadline = time.monotonic() + grace
                while (left := probe.left()) and time.monotonic() < deadline:
                    time.sleep(0.02)
                seen["left_processes"] = left
        finally:
            standing = shm.standing(segments, probe.pids())
            seen_in_shm = shm.facts_of(standing)
            probe.end()
            shm.remove(standing, probe.pid)
    seen.update(seen_in_shm)
    seconds = time.monotonic() - began
    return _outcome(row, peer, {**read_facts(folder), **seen, "status": probe.status}, seconds, probe.said())


def _outcome(row: Row, peer: str, facts: Facts, seconds: float, said: str) -> Outcome:
    """A probe that tells what is absent was not run; one that tripped has failed; the rest is for the row to judge."""
    if absent := facts.get("absent"):
        return Outcome(row.name, peer, "not run", Verdict(f"not run: {absent}", "bad"), seconds, facts, said)
    if (error := facts.get("error")) and not row.judges_errors:
        return Outcome(row.name, peer, "failed", Verdict(f"failed: {error}", "bad"), seconds, facts, said)
    try:
        verdict = verdict_of(row, facts)
    except KeyError as missing:  # it ended before it had noted what the row asks for
        why = error or f"ended without saying {missing}, status {facts['status']}"
        verdict = Verdict(f"failed: {why}", "bad")
        return Outcome(row.name, peer, "failed", verdict, seconds, facts, said)
    return Outcome(row.name, peer, "judged", verdict, seconds, facts, said)


@contextlib.contextmanager
def _subreaper() -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())[:200] or process.name()
    return ""
