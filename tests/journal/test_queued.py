"""The journal of a SpinOff: what was accepted stays until it was handed over, and is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from procession.errors import JournalError, PicklingError, WorkerDied
from procession.journal.outcomes import Recalled
from procession.journal.queued import QueueJournal
from procession.journal.values import PENDING
from procession.types import Raised
from tests.journal.work import Point, Unpicklable, accept, drop, finish, hand_over, open_queue

Id = Callable[[Any], Any] | None


def told(journal: QueueJournal) -> list[tuple[int, Any, Any, Any]]:
    return [(row.seq, row.id, row.item, row.outcome) for row in journal.pending()]


@pytest.mark.parametrize("item_id", [None, str])
def test_what_was_accepted_waits_for_the_next_run(tmp_path: Path, item_id: Id) -> None:
    journal = open_queue(tmp_path / "run.db", item_id=item_id)
    assert (journal.next_seq, journal.accepted, journal.handed, journal.pending()) == (0, 0, 0, [])
    items = ["a", (1, 2), {"x": [1.5, None]}]
    accept(journal, items)
    assert finish(journal, [1], ["done"]) == ["done"]
    journal.close()

    journal = open_queue(tmp_path / "run.db", item_id=item_id)
    assert (journal.next_seq, journal.accepted, journal.handed) == (3, 3, 0)
    ids = [None if item_id is None else str(item) for item in items]
    assert told(journal) == [(0, ids[0], "a", PENDING), (1, ids[1], (1, 2), "done"), (2, ids[2], items[2], PENDING)]
    hand_over(journal, [1])
    accept(journal, ["new"])
    journal.close()

    journal = open_queue(tmp_path / "run.db", item_id=item_id)
    assert (journal.next_seq, journal.accepted, journal.handed) == (4, 4, 1)
    assert [row.seq for row in journal.pending()] == [0, 2, 3]
    journal.close()


def test_with_ids_what_was_handed_over_stays_known(tmp_path: Path) -> None:
    journal = open_queue(tmp_path / "run.db", item_id=str)
    accept(journal, ["a", "b", "c"])
    finish(journal, [0, 1], [10, Raised(ValueError("no"), 2)])
    hand_over(journal, [0, 1])
    journal.close()

    journal = open_queue(tmp_path / "run.db", item_id=str)
    assert journal.handed == 2
    a, b, c = (journal.find(id) for id in "abc")
    assert a is not None
    assert b is not None
    assert c is not None
    assert (a.seq, a.id, a.outcome, a.handed) == (0, "a", 10, True)
    assert (type(b.outcome.error), b.outcome.attempts, b.handed) == (ValueError, 2, True)
    assert (c.outcome, c.handed, c.item) == (PENDING, False, "c")
    assert journal.find("d") is None
    assert [row.seq for row in journal.pending()] == [2]
    journal.close()


def test_without_ids_what_was_handed_over_is_gone(tmp_path: Path) -> None:
    journal = open_queue(tmp_path / "run.db")
    accept(journal, ["a", "b"])
    finish(journal, [0, 1], [1, 2])
    hand_over(journal, [0])
    assert [row.seq for row in journal.pending()] == [1]
    hand_over(journal, [0, 1])
    assert (journal.pending(), journal.handed) == ([], 2)
    journal.close()


@pytest.mark.parametrize("item_id", [None, str])
def test_what_does_not_count_stays_accepted(tmp_path: Path, item_id: Id) -> None:
    journal = open_queue(tmp_path / "run.db", item_id=item_id)
    accept(journal, ["a"])
    died = Raised(WorkerDied("work", -15))
    assert finish(journal, [0], [died]) == [died]
    hand_over(journal, [0])
    assert (journal.handed, [row.outcome for row in journal.pending()]) == (0, [PENDING])
    journal.close()


@pytest.mark.parametrize("item_id", [None, str])
def test_what_was_dropped_was_never_there(tmp_path: Path, item_id: Id) -> None:
    journal = open_queue(tmp_path / "run.db", item_id=item_id)
    accept(journal, ["a", "b"])
    drop(journal, [0])
    journal.close()
    journal = open_queue(tmp_path / "run.db", item_id=item_id)
    assert [row.seq for row in journal.pending()] == [1]
    assert (journal.accepted, journal.handed) == (2, 0)
    if item_id is not None:
        assert journal.find("a") is None
        accept(journal, ["a"])
        found = journal.find("a")
        assert found is not None
        assert found.seq == 2
    journal.close()


def test_numbers_are_as_they_are_committed_and_none_is_given_twice(tmp_path: Path) -> None:
    journal = open_queue(tmp_path / "run.db")
    accept(journal, ["a"], first=0)
    accept(journal, ["b"], first=5)
    assert (journal.accepted, journal.next_seq) == (2, 0)
    journal.store.begin(full=True)
    journal.store.count("handed", 1)
    assert (journal.handed, journal.store.counted("handed")) == (0, 1)
    journal.store.rollback()
    journal.close()
    journal = open_queue(tmp_path / "run.db")
    assert (journal.accepted, journal.next_seq, journal.handed) == (2, 6, 0)
    journal.close()


def test_many_at_once(tmp_path: Path) -> None:
    journal = open_queue(tmp_path / "run.db", sync=False)
    accept(journal, [f"item {n}" for n in range(1000)])
    finish(journal, range(1000), [n if n % 7 else Raised(ValueError(n)) for n in range(1000)])
    hand_over(journal, range(300))
    drop(journal, range(300, 433))
    journal.close()
    journal = open_queue(tmp_path / "run.db")
    rows = journal.pending()
    assert [(row.seq, row.item) for row in rows] == [(n, f"item {n}") for n in range(433, 1000)]
    for row in rows:
        assert row.outcome == row.seq if row.seq % 7 else str(row.outcome.error) == str(row.seq)
    assert (journal.accepted, journal.handed) == (1000, 300)
    journal.close()


def test_large_and_odd_items_come_back(tmp_path: Path) -> None:
    journal = open_queue(tmp_path / "run.db")
    items = [b"x" * 1_000_000, Point(3), "\ud800"]
    accept(journal, items)
    finish(journal, [0, 1], [items[0], Raised(ValueError("y" * 100_000))])
    journal.close()
    journal = open_queue(tmp_path / "run.db")
    rows = journal.pending()
    assert [row.item for row in rows] == items
    first, second = rows[0].outcome, rows[1].outcome
    assert isinstance(first, Recalled)
    assert isinstance(second, Recalled)
    assert first.load() == items[0]
    assert len(str(second.load().error)) == 100_000
    journal.close()


def test_an_item_that_cannot_be_pickled_is_refused(tmp_path: Path) -> None:
    journal = open_queue(tmp_path / "run.db")
    with pytest.raises(PicklingError, match="the item, which the journal"):
        journal.encoded({"x": Unpicklable()})
    journal.close()


def test_two_of_one_id_break_the_journal_rather_than_a_promise(tmp_path: Path) -> None:
    """The SpinOff looks before it puts; should it not, nothing is overwritten."""
    journal = open_queue(tmp_path / "run.db", item_id=str)
    accept(journal, ["a"])
    with pytest.raises(JournalError, match="UNIQUE"):
        accept(journal, ["a"])
    journal.close()
    journal = open_queue(tmp_path / "run.db", item_id=str)
    assert [(row.seq, row.item) for row in journal.pending()] == [(0, "a")]
    journal.close()
