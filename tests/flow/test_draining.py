"""A stream that drains: nothing more is pulled or started, what runs comes out, and then it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from functools import partial
from itertools import count
from typing import Any

import pytest

from procession import Journal, Pool
from procession.stream_course import Course
from procession.streams import Stream
from tests import warm
from tests.contract import work
from tests.contract.conftest import PATIENCE, Gate, backend, capabilities, gate, last, make_pool, side_by_side

kept_zygote = warm.keep()

FIXTURES = [backend, capabilities, gate, last, make_pool, side_by_side]


def course_of(stream: Stream[Any]) -> Course:
    course: Course = stream._outlet.course
    return course


def sorted_out(results: Iterator[Any]) -> tuple[list[Any], int]:
    """What has run, and how many have not."""
    got, cancelled = [], 0
    for each in results:
        if isinstance(each, CancelledError):
            cancelled += 1
        else:
            got.append(each)
    return got, cancelled


WORDS: list[dict[str, Any]] = [
    {},
    {"window": 50},
    {"chunksize": 4, "window": 50},
    {"live": True},
    {"key": lambda item: item[1] % 7, "window": 50},
    {"buffer_bytes": 5000},
    {"rate": 5000.0},
    {"progress": lambda done, total: None},
]


@pytest.mark.usefixtures("side_by_side")
@pytest.mark.parametrize("journal", [False, True])
@pytest.mark.parametrize("words", WORDS, ids=lambda words: ",".join(words) or "plain")
def test_what_runs_comes_out_and_nothing_else_starts(
    make_pool: Any, gate: Gate, words: dict[str, Any], journal: bool, tmp_path: Any
) -> None:
    pool: Pool = make_pool(2)
    pulled = count()
    kept: dict[str, Any] = {"journal": Journal(tmp_path / "run.db", sync=False)} if journal else {}
    source = (("a", next(pulled)) for _ in iter(int, 1))
    results = pool.imap(partial(work.pass_gate, *gate.paths), source, on_error="return", **words, **kept)
    gate.arrived(2)
    course_of(results).drain()
    pool._engine.show()  # what drives the pool has heard of it
    before = results.stats().pulled
    gate.open(100)
    got, cancelled = sorted_out(results)
    numbers = [each[1] for each in got]
    assert numbers == sorted(set(numbers))
    assert 2 <= len(got) <= 2 + 8  # some may have been on their way to a worker
    assert before <= len(got) + cancelled <= next(pulled) <= before + 2  # some, on their way in
    assert list(results) == []
    if journal:
        gate.open(100)
        held = partial(work.pass_gate, *gate.paths)
        again = pool.imap(held, (("a", n) for n in range(20)), on_error="return", **kept)
        assert [each[1] for each in again] == list(range(20))


def test_one_that_waits_for_its_source(make_pool: Any) -> None:
    """A live source that gives nothing any more, as a pipe."""
    pool: Pool = make_pool(2)
    go = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        assert go.wait(PATIENCE)
        yield 2

    results = pool.imap(str, source(), live=True)
    assert next(results) == "1"
    course_of(results).drain()
    assert list(results) == []
    go.set()


def test_one_that_has_ended_or_was_closed(make_pool: Any) -> None:
    pool: Pool = make_pool(2)
    results = pool.imap(str, range(5))
    assert list(results) == list("01234")
    course_of(results).drain()
    assert list(results) == []
    results = pool.imap(str, count())
    results.close()
    course_of(results).drain()
    assert list(results) == []


def test_all_that_was_pulled_already(make_pool: Any, gate: Gate, capabilities: Any) -> None:
    """The source has ended; what waits is not started all the same."""
    if capabilities.in_caller:
        pytest.skip("nothing waits there")
    pool: Pool = make_pool(1)
    results = pool.imap(
        partial(work.pass_gate, *gate.paths), [("a", n) for n in range(10)], window=10, on_error="return"
    )
    gate.arrived(1)
    course_of(results).drain()
    gate.open(100)
    got, cancelled = sorted_out(results)
    assert got[0] == ("a", 0)
    assert len(got) < 10
    assert len(got) + cancelled == 10
