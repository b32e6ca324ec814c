"""Programs beside the tests, from the first moment on: what waits for nothing is done there, and other tests are run.

Most tests wait for something, and leave the cores to whoever can use them. Such a program is asked over its stdin and
answers over its stdout, both pickled; it may say something long before its end. Where nothing waits for it, it has a
low priority, so that it slows nobody down, until somebody waits for it. It has a process group of its own, so that no
^C of a test reaches it, and no mark by which leaks.py would take it, or what it starts, for a test's.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import leaks

ROOT = Path(__file__).resolve().parents[1]
running: set[int] = set()
"""Such programs of this process, and who would end it."""
NICE = 5
"""Low, but not the lowest, with which it would hardly run at all on a crowded machine."""
HEAD = 8
"""Bytes in front of what is said: its length."""
WATCH = "read line; kill -KILL 0"
"""For a shell: at the end of its stdin, end the group."""


class Beside:
    """A program that was asked, and what it says."""

    def __init__(self, module: str, question: object) -> None:
        """`module` calls `answer` when it is run."""
        self.module = module
        self._at = 0
        self._answer: list[Any] = []
        self._out = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `end`
        self._program = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={name: word for name, word in os.environ.items() if name != leaks.VARIABLE},
            stdin=subprocess.PIPE,
            stdout=self._out,
            process_group=0,
        )
        running.add(self._program.pid)
        assert self._program.stdin is not None
        self._told = self._program.stdin  # open as long as we live: at its end the program ends
        self._told.write(pickle.dumps(question))
        self._told.flush()

    def heard(self) -> list[Any]:
        """What it has said since we last asked."""
        found = []
        while len(head := os.pread(self._out.fileno(), HEAD, self._at)) == HEAD:
            size = int.from_bytes(head)
            if len(body := os.pread(self._out.fileno(), size, self._at + HEAD)) < size:
                break
            self._at += HEAD + size
            found.append(pickle.loads(body))
        return found

    def ended(self) -> bool:
        """It has: what it said until now is all."""
        return self._program.poll() is not None

    def hurry(self) -> None:
        """Somebody waits for it."""
        with contextlib.suppress(OSError):  # not everybody may hurry others
            os.setpriority(os.PRIO_PGRP, self._program.pid, 0)

    def answer(self) -> Any:
        """Waits for it."""
        if not self._answer:
            self.hurry()
            code = self._program.wait()
            assert code == 0, f"{self.module} has ended with {code}: its words are above"
            self._answer += self.heard()
        return self._answer[-1]

    def end(self) -> None:
        """Nobody asks any more."""
        if self._program.poll() is None:
            os.killpg(self._program.pid, signal.SIGKILL)  # not reaped, so still this group
        self._program.wait()
        self._told.close()
        running.discard(self._program.pid)
        self._out.close()


Say = Callable[[object], None]


def tell(work: Callable[[Any, Say], object]) -> None:
    """To be called by such a program: does this with the question, and with a way to say something."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever is printed is for people
    question = pickle.load(sys.stdin.buffer)
    with end_with_our_parent():
        work(question, lambda said: write(out, pickle.dumps(said)))


def write(out: int, body: bytes) -> None:
    """All of it, in one piece where that goes."""
    data = memoryview(len(body).to_bytes(HEAD) + body)
    while data:
        data = data[os.write(out, data) :]


def answer(find: Callable[[Any], object]) -> None:
    """To be called by such a program: answers with what `find` makes of the question."""
    os.nice(NICE)
    tell(lambda question, say: say(find(question)))


@contextlib.contextmanager
def end_with_our_parent() -> Any:
    """Whoever asked is gone: nobody waits for us, or for what we have started. A process looks, since a thread would be
    one that tests do not expect."""
    watch = subprocess.Popen(["/bin/sh", "-c", WATCH], stdin=0)
    running.add(watch.pid)
    try:
        yield
    finally:
        watch.kill()
        watch.wait()
        running.discard(watch.pid)
