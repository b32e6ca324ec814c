"""Tests that need nothing but a core are run by a pytest beside this one, and reported here as if they were run here.

PLACES says which. They come last; by then they have long been run (beside.py says why that costs little). Each has the
fixtures and the checks that it has anywhere. When only a few tests are selected, or somebody wants to watch
(`-s`, `--pdb`), they are run where they are asked for.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import walking
from tests.beside import ROOT, Beside, answer

PLACES = (
    "tests/arena/test_arena.py",
    "tests/conformance/test_harness.py",
    "tests/core/",
    "tests/flow/test_flow_",
    "tests/flow/test_imap_interrupts.py",
    "tests/flow/test_ledger.py",
    "tests/flow/test_weighing.py",
    "tests/house/test_house.py",
    "tests/house/test_layers.py",
    "tests/house/test_saying.py",
    "tests/native/test_ring_model.py",
    "tests/pool/test_typing.py",
    "tests/rivals/test_runner.py",
    "tests/transport/test_byvalue.py",
    "tests/transport/test_codec.py",
    "tests/transport/test_interrupts.py",
)
"""What neither measures anything nor races with anybody."""
LEAST = 100
"""So many tests are worth a program of their own."""
LIMIT = 600
"""Seconds that a test may take there: whoever has a low priority may have to wait."""
VARIABLE = "PROCESSION_TESTS_APART"

Report = dict[str, Any]


class Apart:
    """The tests that are run there, and what it said of each."""

    def __init__(self, config: pytest.Config, items: Sequence[pytest.Item]) -> None:
        self._config = config
        self._ids = {item.nodeid for item in items}
        self._program: Beside | None = None
        self._said: dict[str, list[Report]] = {}
        self._words = ""

    def begin(self) -> None:
        """Have them run."""
        options = ["-o", f"timeout={LIMIT}"]
        options += [word for each in self._config.getoption("override_ini") or () for word in ("-o", each)]
        if (limit := self._config.getoption("timeout", None)) is not None:
            options.append(f"--timeout={limit}")
        self._program = Beside(__name__, (options, sorted(self._ids)))

    def end(self) -> None:
        """Nobody asks any more."""
        if self._program is not None:
            self._program.end()

    def has(self, item: pytest.Item) -> bool:
        """It is run there."""
        return item.nodeid in self._ids

    def reports(self, item: pytest.Item) -> list[Any]:
        """Of this test. Waits for the end of all of them."""
        assert self._program is not None
        try:
            if not self._said:
                said, self._words = self._program.answer()
                for report in said:
                    self._said.setdefault(report["nodeid"], []).append(report)
            told = self._said.get(item.nodeid)
            assert told, f"it was to be run apart, and was not:\n{self._words}"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            return [pytest.TestReport(item.nodeid, item.location, {}, "failed", said, "call")]
        hook = self._config.hook.pytest_report_from_serializable
        return [hook(config=self._config, data=report) for report in told]


def is_apart(item: pytest.Item) -> bool:
    """One of those."""
    place = item.path.relative_to(ROOT).as_posix() if item.path.is_relative_to(ROOT) else ""
    return place.startswith(PLACES) and not walking.asks(item)


_apart = pytest.StashKey[Apart]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is waited for comes last: walks, then the tests that are run apart. How long it takes beside is no fault."""
    for each in filter(walking.asks, items):
        if each.get_closest_marker("timeout") is None:
            each.add_marker(pytest.mark.timeout(900))
    watched = config.getoption("usepdb") or config.getoption("capture") == "no" or config.getoption("collectonly")
    found = [] if watched or VARIABLE in os.environ else [each for each in items if is_apart(each)]
    if len(found) >= LEAST:
        config.stash[_apart] = apart = Apart(config, found)
        for each in found:
            each.add_marker(pytest.mark.timeout(0), append=False)  # there it has one
        items.sort(key=lambda each: 2 if apart.has(each) else walking.asks(each))
    else:
        items.sort(key=walking.asks)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    gc.collect()
    gc.freeze()  # some tests collect garbage a hundred times, and need not look at all modules each time
    apart = session.config.stash.get(_apart, None)
    if apart is None:
        return (yield)
    try:
        apart.begin()
        return (yield)
    finally:
        apart.end()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    apart = item.config.stash.get(_apart, None)
    if apart is None or not apart.has(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in apart.reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


# ------------------------------------------------------------------------------------------------- the program itself


class Listener:
    """What is reported there."""

    def __init__(self) -> None:
        self.said: list[Report] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.said.append(self.config.hook.pytest_report_to_serializable(config=self.config, report=report))

    def pytest_configure(self, config: pytest.Config) -> None:
        self.config = config


def run(asked: tuple[list[str], list[str]]) -> tuple[list[Report], str]:
    """Run these tests; what was reported of them, and what pytest has printed."""
    options, ids = asked
    os.environ[VARIABLE] = "1"
    listener = Listener()
    with tempfile.TemporaryDirectory(prefix="apart-") as folder:
        words = Path(folder, "words")
        Path(folder, "ids").write_text("\n".join(ids))
        with words.open("w") as file:
            os.dup2(file.fileno(), 1)
        pytest.main(["-p", "no:cacheprovider", "-o", "addopts=", *options, f"@{folder}/ids"], [listener])
        os.dup2(2, 1)
        return listener.said, words.read_text(errors="replace")[-20_000:]


if __name__ == "__main__":
    from tests import apart

    answer(apart.run)
