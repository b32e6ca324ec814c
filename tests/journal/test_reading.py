"""Looking at a journal changes nothing and keeps nobody from writing; changes have the next run do what they say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from procession.errors import JournalError, PoisonTask, WorkerDied
from procession.journal import reading
from procession.journal.reading import Look, exported, retry_failures, vacuum
from procession.journal.values import PENDING
from procession.types import Raised
from tests.journal.test_processes import HOLDS, go_on, line, program
from tests.journal.test_refusals import contents
from tests.journal.work import Point, accept, double, finish, hand_over, open_map, open_queue, recall, record


def failure(text: str, tries: int = 1) -> Raised:
    return Raised(ValueError(text), tries)


POISON = Raised(PoisonTask("work", -11), 3)


def mapped(path: Path, item_id: Any = None) -> list[Any]:
    items = ["a", "b", "c", "d"]
    journal = open_map(path, item_id=item_id, seed=7, version="v1")
    record(journal, items, [1, failure("no", 2), (2, None), POISON])
    journal.close("stopped")
    return items


def test_a_summary_says_what_there_is(tmp_path: Path) -> None:
    mapped(tmp_path / "run.db")
    open_map(tmp_path / "run.db", seed=7, version="v1").close()
    before = contents(tmp_path)
    with Look(str(tmp_path / "run.db")) as look:
        summary = look.summary()
    assert (summary.done, summary.failed, summary.waiting, summary.pid) == (2, 2, 0, None)
    assert summary.size == (tmp_path / "run.db").stat().st_size
    assert summary.identity["function"] == "tests.journal.work:double"
    assert [(run.number, run.how, run.pid) for run in summary.runs] == [
        (1, "stopped", os.getpid()),
        (2, "finished", os.getpid()),
    ]
    assert all(run.ended is not None and run.began <= run.ended for run in summary.runs)
    assert contents(tmp_path) == before


def test_failures_are_listed_and_quarantined_ones_set_off(tmp_path: Path) -> None:
    mapped(tmp_path / "run.db", item_id=str)
    with Look(str(tmp_path / "run.db")) as look:
        first, second = look.failures()
    assert (first.item, first.shown, first.type, first.text, first.tries) == ("b", "'b'", "ValueError", "no", 2)
    assert (first.quarantined, second.quarantined, second.item, second.tries) == (False, True, "d", 3)
    assert second.type == reading.POISON


@pytest.mark.parametrize("item_id", [None, str])
def test_outcomes_are_exported_in_order(tmp_path: Path, item_id: Any) -> None:
    mapped(tmp_path / "run.db", item_id)
    with Look(str(tmp_path / "run.db")) as look:
        rows = list(look.outcomes())
    assert json.loads(json.dumps(rows)) == [
        {**row, **({"result": [2, None]} if n == 2 else {})} for n, row in enumerate(rows)
    ]
    key, names = ("index", [0, 1, 2, 3]) if item_id is None else ("id", ["a", "b", "c", "d"])
    assert [row[key] for row in rows] == names
    assert [row.get("result") for row in rows] == [1, None, (2, None), None]
    assert [row["error"]["type"] for row in rows if "error" in row] == ["ValueError", reading.POISON]


def test_with_ids_the_order_is_that_of_the_input(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db", item_id=str)
    record(journal, ["c", "d"], [3, 4], first=2)
    record(journal, ["a", "b"], [1, 2])
    journal.close()
    with Look(str(tmp_path / "run.db")) as look:
        assert [row["id"] for row in look.outcomes()] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1, {"result": 1}),
        ((1, [2]), {"result": (1, [2])}),
        (float("nan"), {"repr": "nan"}),
        ({1, 2}, {"repr": "{1, 2}"}),
        (b"x", {"repr": "b'x'"}),
        ("\ud800", {"result": "\ud800"}),
        ("é", {"result": "é"}),
    ],
    ids=repr,
)
def test_what_json_cannot_hold_is_exported_as_its_repr(value: Any, told: dict[str, Any]) -> None:
    assert exported(value) == told
    json.dumps(told, allow_nan=False).encode()


def test_what_cannot_be_read_says_so_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_map(tmp_path / "run.db")
    record(journal, [0, 1, 2, 3], [1, Point(2), "three " * 20, failure("no")])
    journal.close()
    data = bytearray((tmp_path / "run.db").read_bytes())
    data[data.index(b"three three") + 2] = ord("x")
    (tmp_path / "run.db").write_bytes(data)
    (tmp_path / "run.db").chmod(0o666)
    with Look(str(tmp_path / "run.db")) as look:
        one, two, three, four = look.outcomes()
    assert one == {"index": 0, "result": 1}
    assert "may be written by others" in two["unreadable"]
    assert "is not what was written" in three["unreadable"]
    assert four["error"]["text"] == "no"


def test_a_queue_says_what_waits_and_was_handed_over(tmp_path: Path) -> None:
    for item_id in (None, str):
        path = tmp_path / f"{item_id is None}.db"
        journal = open_queue(path, item_id=item_id)
        accept(journal, ["a", "b", "c", "d"])
        finish(journal, [0, 1, 2], [1, failure("no"), 3])
        hand_over(journal, [0, 1])
        journal.close()
        with Look(str(path)) as look:
            summary, rows = look.summary(), list(look.outcomes())
        assert (summary.waiting, summary.accepted, summary.handed) == (1, 4, 2)
        if item_id is None:
            assert (summary.done, summary.failed, rows) == (1, 0, [{"index": 2, "result": 3}])
        else:
            assert (summary.done, summary.failed) == (2, 1)
            assert [row["id"] for row in rows] == ["a", "b", "c"]
            assert rows[1]["error"]["text"] == "no"


# -------------------------------------------------------------------------------------------------------------- changes


@pytest.mark.parametrize("quarantined", [False, True])
def test_failures_that_are_forgotten_run_again(tmp_path: Path, quarantined: bool) -> None:
    for item_id in (None, str):
        path = tmp_path / f"{item_id is None}.db"
        items = mapped(path, item_id)
        assert retry_failures(str(path), quarantined=quarantined) == 1 + quarantined
        journal = open_map(path, item_id=item_id, seed=7, version="v1")
        one, two, three, four = recall(journal, items)
        assert (one, two, three) == (1, PENDING, (2, None))
        assert (four is PENDING) == quarantined
        journal.close()
        assert retry_failures(str(path), quarantined=quarantined) == 0


def test_failures_of_a_queue_wait_again(tmp_path: Path) -> None:
    for item_id in (None, str):
        path = tmp_path / f"{item_id is None}.db"
        journal = open_queue(path, item_id=item_id)
        accept(journal, ["a", "b", "c"])
        finish(journal, [0, 1, 2], [failure("no"), failure("no"), POISON])
        hand_over(journal, [1])
        journal.close()
        assert retry_failures(str(path)) == (1 if item_id is None else 2)
        journal = open_queue(path, item_id=item_id)
        rows = journal.pending()
        assert [(row.seq, row.item) for row in rows] == [(0, "a"), (2, "c")]
        assert rows[0].outcome is PENDING
        assert isinstance(rows[1].outcome, Raised)
        if item_id is not None:
            assert journal.find("b") is None
        finish(journal, [0], [10])
        hand_over(journal, [0])
        assert (journal.accepted, journal.handed) == (3, 2)
        journal.close()


def test_vacuum_gives_back_what_was_deleted_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = open_queue(path)
    accept(journal, ["x" * 10_000 for _ in range(200)])
    finish(journal, range(200), range(200))
    hand_over(journal, range(190))
    journal.close()
    before, after = vacuum(str(path))
    assert before > 2_000_000 > 500_000 > after == path.stat().st_size
    assert [each.name for each in tmp_path.iterdir()] == ["run.db"]
    assert path.stat().st_mode & 0o777 == 0o600
    journal = open_queue(path)
    assert [(row.seq, row.outcome) for row in journal.pending()] == [(n, n) for n in range(190, 200)]
    journal.close()


def test_while_a_program_has_it_it_may_be_looked_at_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with program(HOLDS, path) as child:
        assert line(child) == "held"
        for _ in range(2):
            with Look(str(path)) as look:
                summary = look.summary()
                assert (summary.pid, summary.done, list(look.outcomes())) == (
                    child.pid,
                    1,
                    [{"index": 0, "result": 10}],
                )
            for change in (retry_failures, vacuum):
                with pytest.raises(JournalError, match=rf"in use by another program \(pid {child.pid}\)"):
                    change(str(path))
        go_on(child)
        assert line(child) == "closed"


def test_a_look_in_the_same_program_takes_nothing_from_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = open_map(path)
    record(journal, [0], [1])
    with Look(str(path)) as look:
        assert (look.summary().pid, look.summary().done) == (os.getpid(), 1)
    record(journal, [1], [2], first=1)
    with program(HOLDS, path) as child:
        assert line(child) == ""
    journal.close()


def test_after_a_kill_looking_leaves_everything_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with program(HOLDS, path) as child:
        assert line(child) == "held"
        child.kill()
        child.wait()
    before = [each for each in contents(tmp_path) if not each[0].endswith("-shm")]
    with Look(str(path)) as look:
        summary = look.summary()
    assert (summary.pid, summary.done, summary.runs[0].ended) == (None, 1, None)
    assert [each for each in contents(tmp_path) if not each[0].endswith("-shm")] == before


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("Dear diary")
    for name, text in (("none", "there is no such journal"), ("empty", "it is empty"), ("text", "it is no journal")):
        for look in (Look, retry_failures, vacuum):
            with pytest.raises(JournalError, match=text):
                look(str(tmp_path / name))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "text"]


def test_what_a_died_worker_did_not_say_is_not_there(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db", fn=double)
    record(journal, [0], [Raised(WorkerDied("work", -15))])
    journal.close()
    with Look(str(tmp_path / "run.db")) as look:
        assert (look.failures(), list(look.outcomes())) == ([], [])
