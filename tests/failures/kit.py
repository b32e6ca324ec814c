"""What the failure tests share: waiting without sleeping blindly, processes by pid, programs of their own, seeds."""

import contextlib
import ctypes
import fcntl
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import termios
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import beside, leaks
from tests.failures import tasks

PATIENCE = 30.0
"""Seconds until a test says that something will never happen. Generous: what is promised faster is measured and
printed, and asserted with the slack that the test names."""

SLACK = 10.0
"""Seconds allowed where one is promised: this many times slower a crowded machine may be before a test is red."""


# -------------------------------------------------------------------------------------------------------------- waiting


def wait_until(done: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Poll what cannot be waited for, the longer the less often; returns what `done` gave."""
    deadline = time.monotonic() + patience
    pause = 0.002
    while not (result := done()):
        assert time.monotonic() < deadline, f"in {patience} s it did not happen: {what}"
        time.sleep(pause)
        pause = min(1.1 * pause, 0.03)
    return result


def took(done: Callable[[], Any], what: str, patience: float = PATIENCE) -> float:
    """Seconds until `done`."""
    start = time.monotonic()
    wait_until(done, what, patience)
    return time.monotonic() - start


class Notes:
    """An O_APPEND file in which tasks say what they do."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def lines(self) -> list[str]:
        return tasks.lines(self.path)

    def wait(self, count: int = 1) -> list[str]:
        wait_until(lambda: len(self.lines()) >= count, f"{count} lines in {self.path}")
        return self.lines()

    def pids(self, count: int = 1) -> list[int]:
        return [int(line) for line in self.wait(count)]


class Gate:
    """A file whose existence lets tasks go on."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def open(self) -> None:
        Path(self.path).touch()

    def close(self) -> None:
        Path(self.path).unlink()


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Opened at the end, so that a failing test does not wait for its own tasks."""
    it = Gate(tmp_path / "gate")
    yield it
    it.open()


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[str]:
    """For `tasks.hold_gil_until`; a byte is written at the end in any case."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    yield path
    with contextlib.suppress(OSError):
        os.write(fd, b"....")
    os.close(fd)


def write_fifo(path: str, count: int = 1) -> None:
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    os.write(fd, b"." * count)
    os.close(fd)


def seeded(seed: int | None = None) -> random.Random:
    """A generator whose seed is in the output of a failing test; PROCESSION_TEST_SEED repeats it."""
    if seed is None:
        seed = int(os.environ.get("PROCESSION_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed} (repeat with PROCESSION_TEST_SEED={seed})")
    return random.Random(seed)


# ------------------------------------------------------------------------------------------------------------ processes


def stat_of(pid: int) -> list[str]:
    """The words of /proc/pid/stat behind the name; [] when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def gone(pid: int) -> bool:
    """Dead; a zombie of whoever adopted it counts as dead."""
    words = stat_of(pid)
    return not words or words[0] in "ZX"


def parent_of(pid: int) -> int:
    return int(stat_of(pid)[1])


def members(session: int) -> list[int]:
    """Living processes of a session: everything that a program started, wherever its parents have gone."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            words = stat_of(int(name))
            if words and int(words[3]) == session and words[0] not in "ZX":
                found.append(int(name))
    return found


def descendants(pid: int) -> list[int]:
    parents = {
        int(name): int(words[1]) for name in os.listdir("/proc") if name.isdigit() and (words := stat_of(int(name)))
    }
    for program in beside.running:  # and what it starts are nobody's here
        parents.pop(program, None)
    family, more = {pid}, {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sorted(family - {pid})


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    os.kill(pid, signum)


def quietly_kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def threads_now() -> int:
    return len(os.listdir("/proc/self/task"))


def descriptors_now() -> int:
    return len(os.listdir("/proc/self/fd"))


def segments_since(before: set[str]) -> list[str]:
    """New ones in shared memory, those of other programs left out."""
    return leaks.ours_of(leaks.segments() - before)


PURGE: Any = getattr(ctypes.CDLL(None), "__sanitizer_purge_allocator", None)
"""With the address sanitizer, which keeps what was freed, to see who uses it afterwards: it lets go of that."""


def resident_mib(pid: int | str = "self") -> float:
    if pid == "self" and PURGE is not None:
        PURGE()
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def tidied(notes: Notes) -> bool:
    """What `tasks.in_a_program` has started is gone, was asked to, and the task has not seen it."""
    first, *others = notes.lines()
    return all(map(gone, map(int, first.split()))) and others == ["tidied"]


# ------------------------------------------------------------------------------------------------------------- programs

# A session leader that opens a terminal gets it as its controlling one: from then on a ^C typed there is a real one.
_IN_TERMINAL = """
import os, sys
os.open(os.ttyname(0), os.O_RDWR)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Program:
    """A Python program in a session of its own, as a user would start it; with `tty`, in a terminal.

    `out` collects what it prints (in a terminal stdout and stderr alike).
    """

    def __init__(
        self, folder: Path, source: str, *args: object, tty: bool = False, flags: tuple[str, ...] = ()
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.file = folder / "program.py"
        self.file.write_text(textwrap.dedent(source))
        command = [*flags, *([] if "-m" in flags else [str(self.file)]), *map(str, args)]
        self.terminal: int | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in __exit__
        environment = {**os.environ, "PYTHONFAULTHANDLER": ""}
        where: dict[str, Any] = {"cwd": folder, "start_new_session": True, "env": environment}
        if tty:
            self.terminal, slave = os.openpty()
            mode = termios.tcgetattr(slave)
            mode[1] &= ~termios.OPOST  # no carriage returns
            termios.tcsetattr(slave, termios.TCSANOW, mode)
            fcntl.fcntl(self.terminal, fcntl.F_SETFL, os.O_NONBLOCK)
            command = [sys.executable, "-c", _IN_TERMINAL, *command]
            self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, **where)
            os.close(slave)
        else:
            command = [sys.executable, *command]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, **where
            )
        self.pid = self.process.pid

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *exc: object) -> None:
        for pid in members(self.pid):
            quietly_kill(pid)
        self.process.wait(PATIENCE)
        if exc[0] is not None:
            print(f"--- output of the program ---\n{self.out}---")
        if self.terminal is not None:
            os.close(self.terminal)
        self._log.close()

    @property
    def out(self) -> str:
        if self.terminal is not None:
            with contextlib.suppress(OSError):
                while data := os.read(self.terminal, 1 << 16):
                    self._log.seek(0, os.SEEK_END)
                    self._log.write(data)
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def interrupt(self) -> None:
        """Type ^C: SIGINT to everybody in the foreground process group."""
        assert self.terminal is not None
        os.write(self.terminal, b"\x03")

    def wait(self, patience: float = PATIENCE) -> int:
        """The exit code."""
        deadline = time.monotonic() + patience
        if self.process.returncode is None:
            ended = os.pidfd_open(self.pid)
            try:
                self._follow(ended, deadline)
            finally:
                os.close(ended)
        return self.process.wait()

    def _follow(self, ended: int, deadline: float) -> None:
        """Until it ends; a terminal that nobody reads would stop it."""
        sources = [ended] if self.terminal is None else [ended, self.terminal]
        while ended not in (ready := select.select(sources, [], [], max(deadline - time.monotonic(), 0))[0]):
            assert ready, f"the program goes on and on; so far it said:\n{self.out}"
            before = self._log.tell()
            _ = self.out
            if self._log.tell() == before:  # nobody is at its other end any more
                sources = [ended]

    def alone(self, patience: float = PATIENCE) -> float:
        """Seconds until no process of the session is left."""
        return took(lambda: not members(self.pid), f"the end of {members(self.pid)}", patience)


def run_program(folder: Path, source: str, *args: object, code: int = 0, flags: tuple[str, ...] = ()) -> str:
    """Run to the end, expect that exit code and no process left; returns the output."""
    with Program(folder, source, *args, flags=flags) as program:
        assert program.wait() == code, program.out
        program.alone(SLACK)
        return program.out
