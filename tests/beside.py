"""Programs beside the tests: what needs no quiet and waits for nothing is done there, from the first moment on.

Most tests wait for something, and leave the cores to whoever can use them. Such a program is asked over its stdin and
answers over its stdout, both pickled. It has a low priority, so that it slows nobody down, until somebody waits for it.
It has a process group of its own, so that no ^C of a test reaches it, and no mark by which leaks.py would take it, or
what it starts, for a test's.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import leaks

ROOT = Path(__file__).resolve().parents[1]
running: set[int] = set()
"""Such programs of this process."""
NICE = 5
"""Low, but not the lowest, with which it would hardly run at all on a crowded machine."""


class Beside:
    """A program that was asked, and what it answers."""

    def __init__(self, module: str, question: object) -> None:
        """`module` calls `answer` when it is run."""
        self.module = module
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

    def answer(self) -> Any:
        """Waits for it."""
        if not self._answer:
            with contextlib.suppress(OSError):  # not everybody may hurry others
                os.setpriority(os.PRIO_PGRP, self._program.pid, 0)
            code = self._program.wait()
            assert code == 0, f"{self.module} has ended with {code}: its words are above"
            self._out.seek(0)
            self._answer.append(pickle.load(self._out))
        return self._answer[0]

    def end(self) -> None:
        """Nobody asks any more."""
        if self._program.poll() is None:
            os.killpg(self._program.pid, signal.SIGKILL)  # not reaped, so still this group
        self._program.wait()
        self._told.close()
        running.discard(self._program.pid)
        self._out.close()


def answer(find: Callable[[Any], object]) -> None:
    """To be called by such a program: answers with what `find` makes of the question."""
    os.nice(NICE)
    out = os.dup(1)
    os.dup2(2, 1)  # whatever is printed is for people
    question = pickle.load(sys.stdin.buffer)
    threading.Thread(target=end_with_our_parent, args=[os.dup(0)], daemon=True).start()  # 0 may become something else
    found = find(question)
    with open(out, "wb") as file:
        pickle.dump(found, file)


def end_with_our_parent(told: int) -> None:
    """Whoever asked is gone: nobody waits for us, or for what we have started."""
    os.read(told, 1)  # past Python's file, whose lock nobody may hold at the interpreter's end
    os.killpg(0, signal.SIGKILL)
