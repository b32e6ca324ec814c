"""SpinOffs on an engine at command, and on real threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from procession import spinoff, spinoff_ending
from procession.backends.base import WorkerConfig
from procession.backends.inline import InlineEngine
from procession.driver.threads import ThreadEngine
from tests.flow.fakes import CommandEngine

MakeEngine = Callable[[str, int, WorkerConfig], Any]


def make_engine(backend: str, workers: int, config: WorkerConfig) -> Any:
    if backend == "inline":
        return InlineEngine(config)
    if backend == "threads":
        return ThreadEngine(workers, config)
    return CommandEngine(workers, config)


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The engines that were made, in order; "processes" stands for the one at command here.

    What nobody commands any more never ends: the interpreter is not to wait for it.
    """
    made: list[Any] = []

    def make(backend: str, workers: int, config: WorkerConfig) -> Any:
        made.append(make_engine(backend, workers, config))
        return made[-1]

    monkeypatch.setattr(spinoff, "_make_engine", make)
    yield made
    for core in list(spinoff_ending._cores):
        if isinstance(core.engine, CommandEngine):
            core.killed = True
