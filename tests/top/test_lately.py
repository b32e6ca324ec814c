"""Rates, task times and errors, from happenings that nobody had to wait for."""

from types import SimpleNamespace

import pytest

from procession.happenings import CANCELLED, DIED, ERROR, RUNNING, Began, Missed, Ran, Rows
from procession.seeing.attending.lately import ERRORS, TEXT, TIMES, WINDOW, Lately

SECOND = 1_000_000_000


def ran(items: int, done: int, *failed: tuple[int, int, object], took: int = 0, engine: int = 0) -> Ran:
    times = SimpleNamespace(started=[done - took] * items, ended=[done] * items) if took else None
    return Ran(engine, 4, items, "work", 0, 0, 1, 0, [], [], times, done, failed)  # type: ignore[arg-type]


def test_nothing_is_known_at_first() -> None:
    told = Lately(0).told(0, SECOND // 4)
    assert told == {"rate": None, "p50": None, "p99": None, "failures": 0, "errors": []}


def test_the_rate_is_of_the_time_that_somebody_has_looked() -> None:
    lately = Lately(100 * SECOND)
    for second in range(4):
        lately.take(ran(10, (100 + second) * SECOND + SECOND // 2))
    assert lately.told(0, 104 * SECOND)["rate"] == 10
    assert lately.told(1, 104 * SECOND)["rate"] == 0


def test_the_rate_looks_back_only_so_far() -> None:
    lately = Lately(0)
    lately.take(ran(1_000_000, SECOND))
    for second in range(20, 30):
        lately.take(ran(5, second * SECOND + SECOND // 2))
    assert lately.told(0, 30 * SECOND - 1)["rate"] == 5
    assert lately.told(0, (60 + WINDOW) * SECOND)["rate"] == 0
    assert len(lately._pools[0].ended) <= WINDOW + 1


def test_percentiles_are_of_the_latest_times() -> None:
    lately = Lately(0)
    lately.take(ran(50, SECOND, took=7))
    for milliseconds in range(1, 1001):
        lately.take(ran(1, 2 * SECOND, took=milliseconds * 1_000_000))
    told = lately.told(0, 3 * SECOND)
    assert told["p50"] == pytest.approx(0.501)
    assert told["p99"] == pytest.approx(0.991)
    assert len(lately._pools[0].times) == TIMES


def test_what_runs_has_not_ended() -> None:
    lately = Lately(0)
    lately.take(ran(3, SECOND, (2, RUNNING, None)))
    lately.take(Rows(0, 1, [("work", 0, 0, 1, 1, 2, SECOND, RUNNING, None)]))
    told = lately.told(0, SECOND)
    assert told["rate"] == 2
    assert told["failures"] == 0


def test_errors_are_texts_of_a_bounded_size() -> None:
    class Loud(Exception):
        def __str__(self) -> str:
            raise ValueError

    lately = Lately(0)
    lately.take(ran(2, SECOND, (0, ERROR, ValueError("x" * 10_000)), (1, DIED, ("WorkerDied", "signal 9", "stack"))))
    lately.take(Rows(0, 1, [("rest", 0, 0, 1, 1, 2, SECOND, ERROR, Loud())]))
    lately.take(Missed(0, 7, "late", 0, 0, 1, 0, SECOND, ERROR, None))
    first, second, third, fourth = lately.told(0, SECOND)["errors"]
    assert (first["kind"], len(first["text"]), first["worker"]) == ("ValueError", TEXT, 4)
    assert (second["kind"], second["text"], second["stack"]) == ("WorkerDied", "signal 9", "stack")
    assert "cannot be made" in third["text"]
    assert (fourth["kind"], fourth["function"]) == ("error", "late")
    assert lately.told(0, SECOND)["rate"] == 10


def test_the_latest_errors_are_kept_and_all_are_counted() -> None:
    lately = Lately(0)
    for number in range(100):
        lately.take(ran(1, SECOND, (0, ERROR, ("E", str(number), ""))))
    lately.take(ran(1, SECOND, (0, CANCELLED, None)))
    told = lately.told(0, SECOND)
    assert [each["text"] for each in told["errors"]] == [str(number) for number in range(100 - ERRORS, 100)]
    assert told["failures"] == 100


def test_pools_that_are_gone_are_forgotten_and_what_else_happens_is_nothing_to_it() -> None:
    lately = Lately(0)
    lately.take(ran(1, SECOND))
    lately.take(ran(1, SECOND, engine=1))
    lately.take(Began(2, 0, 1, 1))
    lately.keep({1})
    assert set(lately._pools) == {1}
