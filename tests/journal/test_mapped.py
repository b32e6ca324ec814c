"""The journal of an imap: what was recorded is recalled, for the same items, and nothing else is."""

from __future__ import annotations

from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from procession.errors import JournalError, PicklingError
from procession.journal.mapped import MapJournal
from procession.journal.outcomes import Recalled
from procession.journal.values import PENDING
from procession.types import Raised
from tests.journal.work import Answer, Point, Unpicklable, open_map, recall, record


def test_a_new_journal_knows_nothing(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db")
    assert (journal.known, journal.asks, journal.failed) == (0, False, None)
    assert recall(journal, [1, 2]) == [PENDING, PENDING]
    journal.close()
    assert [each.name for each in tmp_path.iterdir()] == ["run.db"]
    assert (tmp_path / "run.db").stat().st_mode & 0o777 == 0o600


def test_outcomes_are_recalled_by_position(tmp_path: Path) -> None:
    outcomes = [1, "two", None, [3.5, {"four": True}], (5,), Point(6), b"seven"]
    items = list(range(len(outcomes)))
    journal = open_map(tmp_path / "run.db")
    assert record(journal, items, outcomes) == outcomes
    journal.close()

    journal = open_map(tmp_path / "run.db")
    assert (journal.known, journal.asks) == (len(items), True)
    assert recall(journal, [*items, 7]) == [*outcomes, PENDING]
    assert recall(journal, [3, 4], first=3) == outcomes[3:5]
    assert recall(journal, []) == []
    assert recall(journal, [100], first=100) == [PENDING]
    journal.close()


def test_outcomes_are_recalled_by_an_id_of_their_own_in_any_order(tmp_path: Path) -> None:
    ids: list[Any] = ["a", "\ud800", "nul\0", 7, -(2**63), b"a", b"", "", "7"]
    journal = open_map(tmp_path / "run.db", item_id=lambda item: item)
    record(journal, ids, list(range(len(ids))))
    journal.close()

    journal = open_map(tmp_path / "run.db", item_id=lambda item: item)
    assert journal.known == len(ids)
    assert recall(journal, ["new", *reversed(ids)]) == [PENDING, *reversed(range(len(ids)))]
    journal.close()


def test_many_ids_are_asked_at_once(tmp_path: Path) -> None:
    items = [f"item {n}" for n in range(3000)]
    journal = open_map(tmp_path / "run.db", item_id=str)
    record(journal, items, items)
    journal.close()
    journal = open_map(tmp_path / "run.db", item_id=str)
    assert recall(journal, items) == items
    journal.close()


def failed(error: BaseException, attempts: int = 1) -> Raised:
    return Raised(error, attempts)


def test_a_failure_is_an_outcome(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db")
    try:
        raise ValueError("no good", 7)
    except ValueError as error:
        record(journal, [1], [failed(error, 3)])
    journal.close()

    journal = open_map(tmp_path / "run.db")
    (found,) = recall(journal, [1])
    assert (type(found), type(found.error), found.error.args, found.attempts) == (Raised, ValueError, ("no good", 7), 3)
    journal.close()

    journal = open_map(tmp_path / "run.db", failures=False)
    assert journal.known == 0
    assert recall(journal, [1]) == [PENDING]
    record(journal, [1], ["now"])
    journal.close()

    journal = open_map(tmp_path / "run.db")
    assert recall(journal, [1]) == ["now"]
    journal.close()


def test_another_item_at_a_position_is_refused_with_both_named(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db")
    record(journal, ["a", "b"], [1, 2])
    journal.close()
    journal = open_map(tmp_path / "run.db")
    first, second, third = recall(journal, ["a", "c", "d"])
    assert (first, third) == (1, PENDING)
    assert isinstance(second.error, JournalError)
    assert "item 1 is not what it was: it is 'c' now" in str(second.error)
    assert str(tmp_path / "run.db") in str(second.error)
    journal.close()


def test_what_cannot_be_looked_into_is_known_by_its_position_alone(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db")
    record(journal, [object()], [1])
    journal.close()
    journal = open_map(tmp_path / "run.db")
    assert recall(journal, [object()]) == [1]
    assert recall(journal, ["whatever"]) == [1]
    journal.close()


@pytest.mark.parametrize("known", [False, True])
def test_two_items_of_one_id_are_refused(tmp_path: Path, known: bool) -> None:
    if known:
        journal = open_map(tmp_path / "run.db", item_id=str)
        record(journal, ["a"], [1])
        journal.close()
    journal = open_map(tmp_path / "run.db", item_id=str)
    assert journal.asks
    assert recall(journal, ["a"]) == [1 if known else PENDING]
    b, a, again = recall(journal, ["b", "a", "b"], first=1)
    assert b is PENDING
    for each, name in ((a, "'a'"), (again, "'b'")):
        assert isinstance(each.error, JournalError)
        assert f"two items of this input have the id {name}" in str(each.error)
    journal.close()


def twice(outcome: Any) -> bool:
    return isinstance(outcome, Raised) and "two items of this input have the id" in str(outcome.error)


def test_what_was_asked_may_be_asked_again(tmp_path: Path) -> None:
    """A signal may strike who asks, between two steps: then the same items are asked for once more."""
    journal = open_map(tmp_path / "run.db", item_id=str)
    record(journal, ["a"], [1])
    journal.close()
    journal = open_map(tmp_path / "run.db", item_id=str)
    for _ in range(3):
        assert recall(journal, ["a", "b"]) == [1, PENDING]
    assert recall(journal, ["b"], first=1) == [PENDING]
    assert all(map(twice, recall(journal, ["a", "b"], first=2)))
    journal.close()


def test_an_id_is_found_twice_whatever_has_become_of_the_first(tmp_path: Path) -> None:
    failures = [Raised(ValueError("no")), Raised(CancelledError())]
    for n, outcome in enumerate([10, *failures, Unpicklable()]):
        journal = open_map(tmp_path / f"{n}.db", item_id=str)
        assert recall(journal, ["a"]) == [PENDING]
        assert twice(recall(journal, ["a"], first=1)[0])
        record(journal, ["a"], [outcome])
        assert twice(recall(journal, ["a"], first=1)[0])
        journal.close()


def test_a_failure_that_runs_again_is_under_way(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db", item_id=str)
    record(journal, ["a"], [Raised(ValueError("no"))])
    journal.close()
    journal = open_map(tmp_path / "run.db", item_id=str, failures=False)
    assert recall(journal, ["a"]) == recall(journal, ["a"]) == [PENDING]
    assert twice(recall(journal, ["a"], first=1)[0])
    record(journal, ["a"], [2])
    assert twice(recall(journal, ["a"], first=1)[0])
    journal.close()


def test_ids_that_were_recorded_take_no_memory(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db", item_id=str, sync=False)
    for first in range(0, 5000, 500):
        items = list(range(first, first + 500))
        assert recall(journal, items, first) == [PENDING] * 500
        record(journal, items, items, first)
    assert not journal._under_way
    journal.close()


@pytest.mark.parametrize(
    ("id", "error"), [(True, TypeError), (1.5, TypeError), (None, TypeError), (2**63, ValueError), ((1,), TypeError)]
)
def test_what_is_no_id_is_refused(tmp_path: Path, id: Any, error: type[Exception]) -> None:
    journal = open_map(tmp_path / "run.db", item_id=lambda item: id)
    with pytest.raises(error, match="item_id must give"):
        journal.key_of(0, "item")
    journal.close()


def test_what_item_id_raises_passes(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db", item_id=lambda item: item["id"])
    with pytest.raises(KeyError):
        journal.key_of(0, {})
    journal.close()


def test_a_result_that_cannot_be_pickled_has_failed_and_is_kept_as_that(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db")
    good, bad = record(journal, [1, 2], [10, [Unpicklable()]])
    assert good == 10
    assert isinstance(bad.error, PicklingError)
    assert "the result of item 1, which the journal" in str(bad.error)
    assert "list[0] is a" in str(bad.error)
    journal.close()
    journal = open_map(tmp_path / "run.db")
    assert isinstance(recall(journal, [1, 2])[1].error, PicklingError)
    journal.close()


def test_a_large_outcome_is_read_when_it_is_wanted(tmp_path: Path) -> None:
    large, text = b"x" * 1_000_000, "é" * 70_000
    journal = open_map(tmp_path / "run.db")
    record(journal, [0, 1, 2], [large, text, failed(ValueError("y" * 100_000))])
    journal.close()
    journal = open_map(tmp_path / "run.db")
    found = recall(journal, [0, 1, 2])
    assert all(isinstance(each, Recalled) for each in found)
    assert [each.load() for each in found[:2]] == [large, text]
    assert found[1].size == 140_002
    assert str(found[2].load().error) == "y" * 100_000
    journal.close()
    late = found[0].load()
    assert isinstance(late.error, JournalError)
    assert "it is closed" in str(late.error)


def test_recording_what_is_there_replaces_it(tmp_path: Path) -> None:
    for item_id in (None, str):
        path = tmp_path / f"{item_id is None}.db"
        for value in (1, 2):
            journal = open_map(path, item_id=item_id)
            record(journal, ["a"], [value])
            journal.close()
        journal = open_map(path, item_id=item_id)
        assert (journal.known, recall(journal, ["a"])) == (1, [2])
        journal.close()


def test_after_the_end_all_is_refused(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db")
    record(journal, [1], [2])
    journal.close()
    journal.close(wait=False)
    with pytest.raises(JournalError, match="it is closed"):
        recall(journal, [1])
    answer = Answer()
    journal.record([((0, None), 1, None)], answer.then, answer.lost)
    with pytest.raises(JournalError, match="it is closed"):
        answer.wait()


def test_what_was_posted_before_the_end_is_committed(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db")
    answers = [Answer() for _ in range(100)]
    for n, answer in enumerate(answers):
        journal.record([(journal.key_of(n, n), n, None)], answer.then, answer.lost)
    journal.close()
    assert [answer.wait() for answer in answers] == [[n] for n in range(100)]
    journal = open_map(tmp_path / "run.db")
    assert recall(journal, range(100)) == list(range(100))
    journal.close()


def test_without_sync_nothing_but_the_disk_changes(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db", sync=False)
    record(journal, [1], [2])
    journal.close()
    again: MapJournal = open_map(tmp_path / "run.db", sync=False)
    assert recall(again, [1]) == [2]
    again.close()
