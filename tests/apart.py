"""The tests are run by several pytests at a time, and reported by this one as if it had run them all.

Most tests wait for something most of the time, and some need nothing but a core. So beside this session there are
* a program of low priority that runs what PLACES says, which neither measures anything nor races with anybody;
* HANDS others of its kind, with which it *shares* the rest: the tests in their order are cut into bundles, this session
  takes one after the other from the front, the others from the back, until they meet. Then this session takes from the
  back what the program of low priority, which began at the front, has not come to. Who takes a bundle removes the file
  that stands for it, which one can do and no other; so each test is run once, and whoever is quicker does more.

A test may end its program: pytest-timeout does, where it keeps the limit by a thread, of a test that hangs. So a
program says what it begins. What had been begun has failed, with what the program has printed; what else it had taken
is run here.

Each test has the fixtures and the checks that it has anywhere. What there is one of in a session stays here: walks
(walking.py) and the campaign of tests/conformance, which are waited for at the end. When only a few tests are selected,
or somebody wants to watch (`-s`, `--pdb`), all are run here.
"""

from __future__ import annotations

import gc
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import walking, warm
from tests.beside import NICE, ROOT, Beside, Say, tell

PLACES = (
    "tests/arena/test_arena.py",
    "tests/conformance/test_harness.py",
    "tests/core/",
    "tests/dashboard/test_access.py",
    "tests/dashboard/test_metrics.py",
    "tests/flow/test_flow_",
    "tests/flow/test_imap_interrupts.py",
    "tests/flow/test_ledger.py",
    "tests/flow/test_weighing.py",
    "tests/house/test_house.py",
    "tests/house/test_layers.py",
    "tests/house/test_saying.py",
    "tests/native/test_ring_model.py",
    "tests/transport/test_byvalue.py",
    "tests/transport/test_codec.py",
    "tests/transport/test_interrupts.py",
    "tests/typing/",
)
"""What neither measures anything nor races with anybody."""
OURS = ("tests/conformance/test_conformance.py",)
"""What asks for something that a session has once; and whatever asks for walks."""
HANDS = int(os.environ.get("PROCESSION_TESTS_HANDS", "2"))
"""So many others take bundles."""
BUNDLE = 12
"""Tests of a module in a row that are taken together, unless they share a fixture: then it is the module."""
LEAST = 100
"""So many tests are worth a program."""
LIMIT = 600
"""Seconds that a test may take at a low priority, where it may have to wait."""
VARIABLE = "PROCESSION_TESTS_APART"

Report = dict[str, Any]


# -------------------------------------------------------------------------------------------------------- who does what


@cache
def place_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""


def place(item: pytest.Item) -> str:
    return place_of(item.path)


def is_apart(item: pytest.Item) -> bool:
    """Run by the program of low priority."""
    return place(item).startswith(PLACES) and not walking.asks(item)


def is_ours(item: pytest.Item) -> bool:
    """Not to be shared."""
    return place(item).startswith(OURS) or walking.asks(item)


def shares_a_fixture(item: pytest.Item) -> bool:
    """With others of its module, one that costs something."""
    info = getattr(item, "_fixtureinfo", None)
    found = info.name2fixturedefs if info is not None else {}
    defs = itertools.chain.from_iterable(each for name, each in found.items() if name != warm.NAME)
    return any(each.scope in ("class", "module", "package") for each in defs)


def bundles_of(items: Iterable[pytest.Item]) -> list[list[pytest.Item]]:
    """Each of one module, in their order."""
    found = []
    for _, group in itertools.groupby(items, lambda each: each.path):
        tests = list(group)
        size = len(tests) if any(map(shares_a_fixture, tests)) else BUNDLE
        found += [tests[at : at + size] for at in range(0, len(tests), size)]
    return found


# -------------------------------------------------------------------------------------------------------------- bundles


class Heap:
    """A folder with a file for each bundle that nobody has taken."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def fill(self, count: int) -> None:
        for number in range(count):
            self._file(number).touch()

    def take(self, number: int) -> bool:
        """Nobody else has, or will."""
        try:
            self._file(number).unlink()
        except FileNotFoundError:
            return False
        return True

    def _file(self, number: int) -> Path:
        return Path(self._folder, str(number))


def one_after_the_other(items: Iterator[pytest.Item]) -> Iterator[pytest.Item]:
    """Runs them; the next is asked for before one is run, which tears down what the next one does not need."""
    item = next(items, None)
    for number in itertools.count():
        if item is None:
            return
        if number % BUNDLE == 0:
            tidy()
        following = next(items, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        yield item
        item = following


def tidy() -> None:
    """Some tests collect garbage a hundred times, and need not look each time at all the modules, tests and reports
    that there are: that was an eighth of what the suite cost."""
    gc.collect()
    gc.freeze()


def look_whether_to_stop(session: pytest.Session) -> None:
    """As pytest does after each test."""
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)


# --------------------------------------------------------------------------------------------------------- this session


class Apart:
    """What is run where, and what was reported of it."""

    def __init__(self, config: pytest.Config, items: Sequence[pytest.Item]) -> None:
        found = [each for each in items if is_apart(each)]
        self._apart = found if len(found) >= LEAST else []
        apart = set(self._apart)
        rest = [each for each in items if not is_ours(each) and each not in apart]
        self._shared = bundles_of(rest) if len(rest) >= LEAST and HANDS else []
        self._bundles = [*self._shared, *bundles_of(self._apart)]
        given = {each for bundle in self._bundles for each in bundle}
        self._ours = [each for each in items if each not in given]
        self._config = config
        self._waits = {each.nodeid: each for each in items}
        self._programs: list[Beside] = []
        self._begun: dict[str, int] = {}  # tests, and the programs that have said that they begin them

    def __bool__(self) -> bool:
        return bool(self._bundles)

    def begin(self) -> None:
        """Have them run."""
        self._began = time.monotonic()
        self._folder = tempfile.TemporaryDirectory(prefix="tests-")
        self._heap = Heap(self._folder.name)
        self._heap.fill(len(self._bundles))
        count = len(self._shared)
        if self._apart:
            self._programs.append(self._program(NICE, range(count, len(self._bundles))))
        for _ in range(HANDS if self._shared else 0):
            self._programs.append(self._program(0, reversed(range(count))))

    def _program(self, nice: int, numbers: Iterable[int]) -> Beside:
        """It takes those bundles, in that order."""
        words = self._words(len(self._programs))
        bundles = {number: [each.nodeid for each in self._bundles[number]] for number in numbers}
        return Beside(__name__, Asked(nice, self._options(nice), bundles, self._folder.name, str(words)))

    def _words(self, number: int) -> Path:
        """What that program prints."""
        return Path(self._folder.name, f"words-{number}")

    def _options(self, nice: int) -> list[str]:
        options = ["-o", f"timeout={LIMIT}"] if nice else []
        options += [word for each in self._config.getoption("override_ini") or () for word in ("-o", each)]
        options += [f"--tb={self._config.getoption('tbstyle')}"]
        if (given := self._config.getoption("timeout", None)) is not None:
            options.append(f"--timeout={given}")
        return options

    def end(self) -> None:
        """Nobody asks any more."""
        for each in self._programs:
            each.end()
        self._folder.cleanup()

    def run(self, session: pytest.Session) -> None:
        """All of them, here or elsewhere."""
        self._run(session, itertools.chain(self._taken(), self._ours))
        while self._waits and not all(each.ended() for each in self._programs):
            self._look_at_the_time(session)
            self._hurry()
            time.sleep(0.02)  # nothing announces that a program has said something
            self._report(session)
        self._report(session)
        self._miss(session)
        self._run(session, iter(list(self._waits.values())))

    def _run(self, session: pytest.Session, items: Iterator[pytest.Item]) -> None:
        for item in one_after_the_other(items):
            del self._waits[item.nodeid]
            look_whether_to_stop(session)
            if len(self._waits) % BUNDLE == 0:
                self._report(session)

    def _hurry(self) -> None:
        for each in self._programs:
            each.hurry()

    def _look_at_the_time(self, session: pytest.Session) -> None:
        """As pytest-timeout does after each test."""
        limit = self._config.getoption("session_timeout", None)
        if limit and time.monotonic() - self._began > limit:
            session.shouldfail = f"session-timeout: {limit} s, and other sessions have not ended"
            look_whether_to_stop(session)

    def _miss(self, session: pytest.Session) -> None:
        """What was begun and not reported, though all have ended."""
        for nodeid, number in self._begun.items():
            words = self._words(number).read_text(errors="replace")[-20_000:]
            text = f"a program beside this one has ended in the midst of it. {words}"
            item = self._waits.pop(nodeid)
            self._replay(item, [pytest.TestReport(item.nodeid, item.location, {}, "failed", text, "call")])
            look_whether_to_stop(session)

    def _taken(self) -> Iterator[pytest.Item]:
        """The tests of the bundles that this session takes."""
        for number, bundle in enumerate(self._shared):
            if self._heap.take(number):
                yield from bundle
        self._hurry()  # there is little else to do, and much of it may be there
        for number, bundle in reversed([*enumerate(self._bundles)][len(self._shared) :]):
            if self._heap.take(number):
                yield from bundle

    def _report(self, session: pytest.Session) -> None:
        """What was heard from the others."""
        for number, program in enumerate(self._programs):
            for nodeid, told in program.heard():
                if told is None:
                    self._begun[nodeid] = number
                    continue
                del self._begun[nodeid]
                hook = self._config.hook.pytest_report_from_serializable
                self._replay(self._waits.pop(nodeid), [hook(config=self._config, data=each) for each in told])
                look_whether_to_stop(session)

    def _replay(self, item: pytest.Item, reports: list[Any]) -> None:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for each in reports:
            item.ihook.pytest_runtest_logreport(report=each)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


_apart = pytest.StashKey[Apart]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is waited for comes last: how long it takes beside is no fault."""
    for each in filter(walking.asks, items):
        if each.get_closest_marker("timeout") is None:
            each.add_marker(pytest.mark.timeout(900))
    items.sort(key=is_ours)
    watched = config.getoption("usepdb") or config.getoption("capture") == "no" or config.getoption("collectonly")
    if not watched and VARIABLE not in os.environ:
        config.stash[_apart] = Apart(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    tidy()
    apart = session.config.stash.get(_apart, None)
    if not apart or session.testsfailed:
        return None
    try:
        apart.begin()
        apart.run(session)
    finally:
        apart.end()
    return True


# ------------------------------------------------------------------------------------------------ the programs


class Asked(NamedTuple):
    """What such a program is to do."""

    nice: int
    options: list[str]
    bundles: dict[int, list[str]]
    """By their numbers, in the order in which to take them: the tests of each, by their ids."""
    heap: str
    """Where to take them from."""
    words: str
    """The file for what pytest prints."""


class Hand:
    """What makes a pytest such a program: it runs the tests of the bundles that it takes, and says what is reported."""

    def __init__(self, asked: Asked, say: Say) -> None:
        self._asked = asked
        self._heap = Heap(asked.heap)
        self._say = say
        self._reports: list[Report] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        wanted = set(itertools.chain.from_iterable(self._asked.bundles.values()))
        items[:] = [each for each in items if each.nodeid in wanted]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        taken = self._taken({each.nodeid: each for each in session.items})
        for _ in one_after_the_other(taken):
            look_whether_to_stop(session)
        return True

    def _taken(self, found: dict[str, pytest.Item]) -> Iterator[pytest.Item]:
        """What it has not found it leaves to others."""
        for number, ids in self._asked.bundles.items():
            tests = [found[each] for each in ids if each in found]
            if len(tests) == len(ids) and self._heap.take(number):
                yield from tests

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._say((nodeid, None))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.append(self._config.hook.pytest_report_to_serializable(config=self._config, report=report))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._say((nodeid, self._reports))
        self._reports = []


def work(asked: Asked, say: Say) -> None:
    """Be such a program."""
    os.nice(asked.nice)
    if asked.nice:
        gc.disable()  # models are walked there, which make no cycles, and millions of objects that live
    os.environ[VARIABLE] = "1"
    with open(asked.words, "w") as file:
        os.dup2(file.fileno(), 1)
    files = sorted({each.partition("::")[0] for ids in asked.bundles.values() for each in ids})
    pytest.main(["-p", "no:cacheprovider", "-o", "addopts=", *asked.options, *files], [Hand(asked, say)])
    sys.stdout.flush()
    os.dup2(2, 1)


if __name__ == "__main__":
    from tests import apart

    tell(apart.work)
