"""What the tests of `procession map` share: running it in this process, and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from procession.cli import main
from tests.cli.reading import piped_stdin

JOBS = "tests.cli.jobs"
ROOT = str(Path(__file__).resolve().parents[2])
START = "import sys; from procession.cli import main; sys.exit(main())"


class Done(NamedTuple):
    """How a run has ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Here:
    """Runs it in this process, with stdout and stderr caught at their descriptors."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: str, stdin: str | bytes | None = None) -> Done:
        self._capture.readouterr()
        path = list(sys.path)
        try:
            status = self._run(list(words), stdin)
        except SystemExit as ended:
            status = int(ended.code or 0)
        finally:
            sys.path[:] = path
        return Done(status, *self._capture.readouterr())

    @staticmethod
    def _run(words: list[str], stdin: str | bytes | None) -> int:
        if stdin is None:
            return main(["map", *words])
        with piped_stdin() as writer:
            os.write(writer, stdin.encode() if isinstance(stdin, str) else stdin)
            os.close(writer)
            return main(["map", *words])


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", START, "map", *words]


def surroundings(**more: str) -> dict[str, str]:
    """Those of a plain program that finds the tests."""
    path = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **more}


def apart(*words: str, stdin: str = "", cwd: Path | None = None, **more: Any) -> Done:
    """In a process of its own."""
    done = subprocess.run(
        command(*words),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        env=surroundings(**more),
        check=False,
        cwd=cwd,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def lines(values: Iterable[object]) -> str:
    return "".join(f"{value}\n" for value in values)
