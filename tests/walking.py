"""Walks of models, by a program beside the tests (beside.py).

A test module that has walks to ask for names its test's parameter `scenario`, has a function `walk(scenario)` at its
top level, and takes what came of it from the fixture `walked`. All walks of the selected tests are begun before the
first test, and the tests that ask for them come last.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from procession import cpu
from tests.beside import Beside, answer

Walk = tuple[str, Any]
"""The module whose `walk` it is for, and the scenario."""


class Walks:
    """All walks of a session, and what came of them."""

    def __init__(self, asked: Sequence[Walk]) -> None:
        self._asked = asked
        self._program = Beside(__name__, asked)
        self.end = self._program.end

    def of(self, module: str) -> Mapping[Any, Any]:
        """By scenario. Waits for the program's end."""
        pairs = zip(self._asked, self._program.answer(), strict=True)
        return {scenario: found for (asking, scenario), found in pairs if asking == module}


def asks(item: pytest.Item) -> bool:
    """It waits for a walk."""
    return isinstance(item, pytest.Function) and "walked" in item.fixturenames


def asked_for(items: Sequence[pytest.Item]) -> list[Walk]:
    """What the selected tests ask for, each walk once."""
    found = [(item.module.__name__, item.callspec.params["scenario"]) for item in items if asks(item)]  # type: ignore[attr-defined]
    return list(dict.fromkeys(found))


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


def take(walk: Walk) -> object:
    """What the module's `walk` says, by a worker."""
    gc.disable()  # a walk makes no cycles, and millions of objects that live
    module, scenario = walk
    return importlib.import_module(module).walk(scenario)


def take_all(asked: list[Walk]) -> list[object]:
    """By the standard library's pool, which nothing here can break."""
    with ProcessPoolExecutor(cpu.available(), get_context("spawn")) as executor:
        return list(executor.map(take, asked))


if __name__ == "__main__":
    from tests import walking

    answer(walking.take_all)
