"""A raising signal at any instruction of next() on an imap with a journal loses no item and no outcome.

Some outcomes are there from an earlier run, others are not. What is committed is waited for between two calls.
"""

from __future__ import annotations

import gc
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procession import Journal, JournalError
from procession.core.flow import NOTHING
from procession.stream_journal import JournalledCourse, Keeping
from procession.streams import Words, imap
from tests.failures.kit import seeded
from tests.flow.fakes import CommandEngine
from tests.flow.interrupts import Interrupter, at_every_point

ITEMS = 4
THERE = (0, 2)
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def no_finalizers() -> Iterator[None]:
    """But where the test has them run."""
    gc.disable()
    yield
    gc.enable()


def some(step: int) -> range:
    """One point in so many, others each time: each is a file, and takes milliseconds."""
    return range(seeded().randrange(step), 100_000, step)


def settle(course: JournalledCourse) -> None:
    """Wait until all that the engine has told is committed."""
    done = threading.Event()
    course.journal.record([], lambda outcomes: done.set(), lambda error: done.set())
    assert done.wait(PATIENCE)


def collect(results: Any, engine: CommandEngine, take: Any) -> list[Any]:
    """All results; `take` calls next() of the outlet, and may be interrupted."""
    outlet, got = results._outlet, []
    while True:
        engine.on_thread()
        settle(outlet.course)
        try:
            got.append(take(outlet.next))
        except KeyboardInterrupt:
            continue
        except StopIteration:
            return got
        if got[-1] is NOTHING:  # where next() would sleep
            got.pop()
            outlet.course.stirred()
        outlet.course.flow.check()


@pytest.mark.parametrize(
    "words",
    [
        {"window": 2},
        {"window": 3, "ordered": False, "key": lambda x: x % 2},
        {"window": 4, "item_id": str},
    ],
    ids=lambda words: ",".join(words),
)
def test_next_interrupted_at_every_point(words: dict[str, Any], tmp_path: Path) -> None:
    ran: list[int] = []

    def double(x: int) -> int:
        ran.append(x)
        return 2 * x

    item_id = words.pop("item_id", None)

    def begun(path: Path, items: Any, engine: CommandEngine) -> Any:
        keeping = Keeping(Journal(path, sync=False, version=1), item_id, double, None, captures=False)
        return imap(engine, engine.function(double), [items], Words(keeping=keeping, **words))

    filled, file = tmp_path / "filled.db", tmp_path / "run.db"
    engine = CommandEngine()
    first = THERE if item_id else range(2)
    collect(begun(filled, first, engine), engine, lambda take: take())

    def scenario(interrupter: Interrupter) -> None:
        gc.collect()  # no finalizer of the one before is to meet an interrupt
        shutil.copy(filled, file)
        ran.clear()
        engine = CommandEngine()
        results = begun(file, range(ITEMS), engine)
        got = collect(results, engine, interrupter.run)
        results.close()
        assert sorted(ran) == [x for x in range(ITEMS) if x not in first], "an item was lost, or ran twice"
        assert sorted(got) == [2 * x for x in range(ITEMS)], "a result was lost"
        if words.get("ordered", True):
            assert got == sorted(got)

    at_every_point(scenario, 60, some(3))


@pytest.mark.filterwarnings("ignore:an imap")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it strikes in finalizers, too
def test_a_call_interrupted_at_every_point_lets_the_journal_go(tmp_path: Path) -> None:
    file = tmp_path / "run.db"

    def call() -> Any:
        engine = CommandEngine()
        keeping = Keeping(Journal(file, sync=False), None, str, None, captures=False)
        return imap(engine, engine.function(str), [range(3)], Words(window=2, keeping=keeping))

    def scenario(interrupter: Interrupter) -> None:
        try:
            interrupter.run(call).close()
        except KeyboardInterrupt:
            gc.collect()
        for _ in range(100):  # a finalizer does not wait for it
            try:
                call().close()
                break
            except JournalError:
                time.sleep(0.05)
        else:
            pytest.fail("the journal is held")

    at_every_point(scenario, 100, some(6))
