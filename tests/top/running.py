"""A real program that is looked at from outside: begun, told by lines on its stdin, and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from procession.cli.top_asking import Program

PATIENCE = 30.0
SCRIPT = Path(__file__).with_name("program.py")


class Running:
    """The program, and what it has said."""

    def __init__(self, folder: Path, script: Path, *words: str, **environ: str) -> None:
        """Where it listens is in `folder`; it has said its first line."""
        self.folder = folder
        self.environ = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "PROCESSION_TOP": "1", **environ}
        command, pipe = [sys.executable, str(script), *words], subprocess.PIPE
        self.process = subprocess.Popen(command, env=self.environ, stdin=pipe, stdout=pipe, text=True)
        self.first = self.said()
        self.path = folder / "procession" / f"{self.pid}.sock"

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def said(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def heard(self, line: str) -> None:
        assert self.said() == line

    def attend(self) -> Program:
        until(self.path.exists)
        return Program(self.pid, self.path)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()


def until(what: Callable[[], Any]) -> Any:
    """What it says, when that is something."""
    deadline = time.monotonic() + PATIENCE
    while not (said := what()):
        assert time.monotonic() < deadline, f"{what} says {said}"
        time.sleep(0.02)
    return said


def started(folder: Path, **environ: str) -> Running:
    """The program of program.py, which is ready."""
    made = Running(folder, SCRIPT, str(folder / "go"), **environ)
    assert made.first == "ready"
    return made


@contextmanager
def in_a_folder(start: Callable[[Path], Running] = started) -> Iterator[Running]:
    """One with a short name, which is gone with the program: the system takes no long ones for sockets."""
    with tempfile.TemporaryDirectory(prefix="ptop", dir="/tmp") as name:
        made = start(Path(name))
        try:
            yield made
        finally:
            made.close()
