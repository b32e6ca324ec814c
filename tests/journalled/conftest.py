"""The suites of SpinOffs once more, each with a journal.

Where a test expects that an outcome is there when its engine has told it, it is: who tells it waits here until the
journal has it, and has passed it on. What was not closed is closed after the test.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import Any

import pytest

from procession import Journal, SpinOff
from procession.spinoff_journal import JournalSpin
from procession.spinoff_promises import Kept
from tests.contract.conftest import *  # noqa: F403

HERE = os.path.dirname(__file__)
PATIENCE = 60.0

LONG = ("interrupted", "any_story", "storm", "is_owed_for_the_last")
"""Each example, or point, of these costs a file: they are for soak."""
LONG_FILES = ("test_contract_batches.py", "test_contract_rates.py", "test_full.py")
SHORT = ("test_put_interrupted_at_every_point[words0]", "test_taking_interrupted_where_an_item_failed[words0-next]")
"""But for these."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark those that take long."""
    mine = [item for item in items if os.path.dirname(item.path) == HERE]
    for item in mine:
        long = item.path.name in LONG_FILES or any(word in item.name for word in LONG)
        if long and item.name not in SHORT:
            item.add_marker(pytest.mark.soak)
    others = {item for item in mine if "contract" in item.path.name and "spin" not in source(item.function)}  # type: ignore[attr-defined]
    items[:] = [item for item in items if item not in others]


@cache
def source(function: Callable[..., object]) -> str:
    """What a test says, to find those that make a SpinOff."""
    return inspect.getsource(function).lower()


@pytest.fixture(autouse=True)
def journals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[JournalSpin]]:
    """Every SpinOff has a journal of its own, unless it says which."""
    made: list[JournalSpin] = []
    begin, keep = SpinOff.__init__, JournalSpin.keep

    @wraps(begin)
    def init(self: Any, *args: Any, **words: Any) -> None:
        words.setdefault("journal", Journal(tmp_path / f"{len(made)}.journal", sync=False))
        begin(self, *args, **words)
        made.append(self._core)

    def keep_and_wait(self: JournalSpin, promises: Sequence[Kept], outcomes: list[Any]) -> None:
        keep(self, promises, outcomes)
        done = threading.Event()
        if not self.journal.writer.here:
            self.journal.record([], lambda _: done.set(), lambda _: done.set())
            assert done.wait(PATIENCE)

    monkeypatch.setattr(SpinOff, "__init__", init)
    monkeypatch.setattr(JournalSpin, "keep", keep_and_wait)
    yield made
    for core in made:
        if core.is_ours():
            core.close_file(wait=True)
