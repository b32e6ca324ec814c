"""Walks of models, by a program that begins when the test session does: most tests wait, and leave the cores to it.

A test module that has walks to ask for names its test's parameter `scenario`, has a function `walk(scenario)` at its
top level, and takes what came of it from the fixture `walked`. All walks of the selected tests are begun before the
first test, at the lowest priority, in a process group of their own.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from procession import cpu
from tests import leaks

ROOT = Path(__file__).resolve().parents[1]

Walk = tuple[str, Any]
"""The module whose `walk` it is for, and the scenario."""


def take(walk: Walk) -> object:
    """What the module's `walk` says, by a worker."""
    module, scenario = walk
    return importlib.import_module(module).walk(scenario)


class Walks:
    """All walks of a session, and what came of them."""

    def __init__(self, asked: Sequence[Walk]) -> None:
        self._asked = asked
        self._found: list[object] | None = None
        self._program = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env={name: word for name, word in os.environ.items() if name != leaks.VARIABLE},  # it is no test's
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        assert self._program.stdin is not None
        with self._program.stdin as told:
            told.write(pickle.dumps(asked))

    def of(self, module: str) -> Mapping[Any, Any]:
        """By scenario. Waits for the program's end."""
        if self._found is None:
            assert self._program.stdout is not None
            data = self._program.stdout.read()
            self._program.wait()
            assert self._program.returncode == 0, "the program that walks has failed: its words are above"
            self._found = list(pickle.loads(data))
        pairs = zip(self._asked, self._found, strict=True)
        return {scenario: found for (asking, scenario), found in pairs if asking == module}

    def end(self) -> None:
        """Nobody asks any more."""
        if self._program.poll() is None:
            os.killpg(self._program.pid, signal.SIGKILL)
        self._program.wait()
        assert self._program.stdout is not None
        self._program.stdout.close()


def asked_for(items: Sequence[pytest.Item]) -> list[Walk]:
    """What the selected tests ask for, each walk once."""
    return list(
        dict.fromkeys(
            (item.module.__name__, item.callspec.params["scenario"])
            for item in items
            if isinstance(item, pytest.Function) and "walked" in item.fixturenames
        )
    )


@pytest.fixture(scope="session", autouse=True)
def walks(request: pytest.FixtureRequest) -> Iterator[Walks | None]:
    """Begun before the first test, if one of them asks."""
    asked = asked_for(request.session.items)
    if not asked:
        yield None
        return
    found = Walks(asked)
    try:
        yield found
    finally:
        found.end()


@pytest.fixture(scope="module")
def walked(request: pytest.FixtureRequest, walks: Walks) -> Mapping[Any, Any]:
    """By scenario: what the `walk` of this module said of it."""
    return walks.of(request.module.__name__)


def main() -> None:
    """Take all walks that stdin names; by the standard library's pool, which nothing here can break."""
    os.nice(19)
    asked: list[Walk] = pickle.load(sys.stdin.buffer)
    with ProcessPoolExecutor(cpu.available(), get_context("spawn")) as executor:
        sys.stdout.buffer.write(pickle.dumps(list(executor.map(take, asked))))


if __name__ == "__main__":
    main()
