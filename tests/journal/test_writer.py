"""Group commit, its order, and its failure: nobody hears of what is not committed, and everybody hears."""

from __future__ import annotations

import logging
import os
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from procession.backends.saying import said
from procession.errors import JournalError, WorkerDied
from procession.journal.mapped import MapJournal
from procession.journal.queued import Ticket
from procession.journal.store import Store
from procession.journal.values import PENDING
from procession.journal.writer import FULLY, LAZILY, Job, Writer
from procession.types import Raised
from tests.apart import ROOT
from tests.journal.work import PATIENCE, Answer, accept, hand_over, open_map, open_queue, recall, record


class Held(Job):
    """Holds the writer inside of a transaction until it is let go."""

    def __init__(self, want: int = FULLY) -> None:
        self.inside, self.go = threading.Event(), threading.Event()
        self.want = want
        self.heard: list[JournalError | None] = []

    def prepare(self, run: int) -> int:
        return self.want

    def write(self, store: Store) -> None:
        self.inside.set()
        assert self.go.wait(PATIENCE)

    def then(self) -> None:
        self.heard.append(None)

    def lost(self, error: JournalError) -> None:
        self.heard.append(error)


@contextmanager
def held(writer: Writer) -> Iterator[Held]:
    """While one commit is under way."""
    job = Held()
    writer.post(job)
    assert job.inside.wait(PATIENCE)
    try:
        yield job
    finally:
        job.go.set()


def statements(journal: MapJournal | Any) -> list[str]:
    """What SQLite is told from now on."""
    told: list[str] = []
    journal.store.connection.set_trace_callback(told.append)
    return told


def post(journal: MapJournal, n: int, outcome: Any, order: list[int] | None = None) -> Answer:
    answer = Answer()

    def then(outcomes: list[Any]) -> None:
        if order is not None:
            order.append(n)
        answer.then(outcomes)

    journal.record([(journal.key_of(n, n), outcome, None)], then, answer.lost)
    return answer


def test_what_comes_during_a_commit_is_the_next_commit(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db")
    told = statements(journal)
    order: list[int] = []
    with held(journal.writer) as first:
        answers = [post(journal, n, n, order) for n in range(50)]
        assert (order, first.heard) == ([], [])
    assert [answer.wait() for answer in answers] == [[n] for n in range(50)]
    assert order == list(range(50))
    assert (told.count("COMMIT"), first.heard) == (2, [None])
    journal.close()


def test_nobody_hears_before_the_commit(tmp_path: Path) -> None:
    """Each that hears of a commit finds it committed, by a connection of its own."""
    journal = open_map(tmp_path / "run.db")
    found: list[list[Any]] = []
    done = threading.Event()

    def then(outcomes: list[Any]) -> None:
        found.append(journal.store.read("SELECT seq FROM items"))
        done.set()

    journal.record([((0, None), 1, None), ((1, None), 2, None)], then, found.append)
    assert done.wait(PATIENCE)
    assert found == [[(0,), (1,)]]
    journal.close()


def test_what_is_not_recorded_is_told_in_its_turn(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db")
    told = statements(journal)
    order: list[int] = []
    died = Raised(WorkerDied("work", -15))
    with held(journal.writer):
        answers = [post(journal, 0, 0, order), post(journal, 1, died, order), post(journal, 2, 2, order)]
    assert [answer.wait() for answer in answers] == [[0], [died], [2]]
    assert order == [0, 1, 2]
    before = told.count("COMMIT")
    assert post(journal, 3, died).wait() == [died]
    assert told.count("COMMIT") == before
    assert recall(journal, range(4)) == [PENDING] * 4  # what is recorded now is for the next run
    journal.close()
    journal = open_map(tmp_path / "run.db")
    assert recall(journal, range(4)) == [0, PENDING, 2, PENDING]
    journal.close()


def test_what_hears_of_a_commit_and_fails_is_logged_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = open_map(tmp_path / "run.db")

    def fails(_: Any) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR, "procession"):
        with held(journal.writer):
            journal.record([((0, None), 1, None)], fails, fails)
            last = post(journal, 1, 1)
        assert last.wait() == [1]
        assert said()
    assert "what was to hear of a commit to the journal" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    journal.close()


def test_only_what_must_outlive_a_power_cut_waits_for_the_disk(tmp_path: Path) -> None:
    journal = open_queue(tmp_path / "run.db")
    accept(journal, ["a", "b", "c"])
    answer = Answer()
    journal.record([(0, 1, None), (1, 1, None)], answer.then, answer.lost)
    answer.wait()
    told = statements(journal)
    hand_over(journal, [0])
    assert told[0] == "PRAGMA synchronous=NORMAL"
    with held(journal.writer) as job:  # one that must wait: the whole group waits
        job.want = LAZILY
        ticket = Ticket()
        journal.handed_over([1], ticket)
        answer = Answer()
        journal.record([(2, 1, None)], answer.then, answer.lost)
    ticket.wait()
    answer.wait()
    assert [each for each in told if "synchronous" in each][-1] == "PRAGMA synchronous=FULL"
    journal.close()


def test_without_sync_no_commit_waits_for_the_disk(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db", sync=False)
    told = statements(journal)
    record(journal, [1], [1])
    assert not [each for each in told if each == "PRAGMA synchronous=FULL"]
    journal.close()


# -------------------------------------------------------------------------------------------------------------- failure


def is_over(journal: MapJournal, text: str) -> None:
    """Everything later fails with the same words, and the journal can be closed."""
    assert journal.failed is not None
    for _ in range(2):
        with pytest.raises(JournalError) as caught:
            post(journal, 1000, 1).wait()
        assert text in str(caught.value)
        assert journal.path in str(caught.value)
    died = Raised(WorkerDied("work", -15))
    with pytest.raises(JournalError):
        post(journal, 1001, died).wait()
    with pytest.raises(JournalError):
        recall(journal, [1])
    journal.close()


def test_when_the_disk_is_full_all_of_that_commit_is_lost_and_nothing_before(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = open_map(path)
    record(journal, range(10), range(10))
    (pages,) = journal.store.connection.execute("PRAGMA page_count").fetchone()
    journal.store.connection.execute(f"PRAGMA max_page_count={pages + 2}")
    with held(journal.writer) as first:
        answers = [post(journal, n, "x" * 3000) for n in range(10, 20)]
    for answer in answers:
        with pytest.raises(JournalError, match="the disk is full"):
            answer.wait()
    assert first.heard == [None]
    is_over(journal, "What was committed before is kept")
    journal = open_map(path)
    assert recall(journal, range(20)) == [*range(10), *[PENDING] * 10]
    record(journal, range(10, 20), range(10, 20), first=10)
    journal.close()


def test_tickets_hear_of_a_failure_each_with_an_error_of_its_own(tmp_path: Path) -> None:
    journal = open_queue(tmp_path / "run.db")
    journal.store.connection.execute("PRAGMA max_page_count=1")
    tickets = [Ticket() for _ in range(3)]
    called = threading.Event()
    tickets[0].then(called.set)
    with held(journal.writer) as job:
        job.want = LAZILY
        for n, ticket in enumerate(tickets):
            journal.accept([(n, None, *journal.encoded("x" * 10_000))], ticket)
    errors = []
    for ticket in tickets:
        for _ in range(2):
            with pytest.raises(JournalError, match="the disk is full") as caught:
                ticket.wait()
            errors.append(caught.value)
    assert len(set(map(id, errors))) == 6
    assert called.wait(PATIENCE)
    at_once: list[int] = []
    tickets[0].then(lambda: at_once.append(1))
    assert at_once == [1]
    assert journal.failed is not None
    journal.close()


FULL_DISK = """
import resource, signal, sys
from tests.journal.work import *
journal = open_map(sys.argv[1])
size = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
done = 0
try:
    while done < 10_000:
        record(journal, [done], [[done, "x" * 1000]], first=done)
        done += 1
except JournalError as error:
    print(done, error, flush=True)
journal.close()
"""


@pytest.mark.parametrize("size", [100_000, 131_072 + 24])
def test_a_file_that_cannot_grow_is_an_error_and_what_was_told_is_there(tmp_path: Path, size: int) -> None:
    path = tmp_path / "run.db"
    command = [sys.executable, "-c", FULL_DISK, str(path), str(size)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ran.returncode == 0, ran.stderr
    done, told = ran.stdout.split(" ", 1)
    assert str(path) in told
    assert "writing it failed" in told
    journal = open_map(path)
    assert recall(journal, range(int(done))) == [[n, "x" * 1000] for n in range(int(done))]
    record(journal, [int(done)], ["on"], first=int(done))
    journal.close()
    assert int(done) > 10
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != size


def replaced(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.write_bytes(b"")


@pytest.mark.parametrize("which", ["run.db", "run.db-wal"])
@pytest.mark.parametrize(("how", "text"), [(Path.unlink, "is gone"), (replaced, "was replaced by another file")])
def test_a_file_that_is_taken_away_is_an_error(
    tmp_path: Path, which: str, how: Callable[[Path], object], text: str
) -> None:
    journal = open_map(tmp_path / "run.db")
    record(journal, [0], [0])
    how(tmp_path / which)
    with pytest.raises(JournalError, match=f"{which} {text}"):
        record(journal, [1], [1], first=1)
    is_over(journal, text)


def test_a_folder_that_is_taken_away_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    journal = open_map(folder / "run.db")
    record(journal, [0], [0])
    folder.rename(tmp_path / "other")
    with pytest.raises(JournalError, match="is gone"):
        record(journal, [1], [1], first=1)
    journal.close()
    journal = open_map(tmp_path / "other" / "run.db")
    assert recall(journal, [0]) == [0]
    journal.close()


# ------------------------------------------------------------------------------------------------------------------ end


def test_the_writer_may_close_it(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db")
    answer = post(journal, 0, 0)
    ended = threading.Event()
    journal.record([((1, None), 1, None)], lambda _: (journal.close(), ended.set()), answer.lost)
    assert ended.wait(PATIENCE)
    journal.close()
    assert answer.wait() == [0]
    again = open_map(tmp_path / "run.db")
    assert recall(again, [0, 1]) == [0, 1]
    again.close()


def test_runs_are_written_down(tmp_path: Path) -> None:
    for how in ("finished", "stopped"):
        journal = open_map(tmp_path / "run.db")
        assert journal.store.read("SELECT ended FROM runs")[-1] == (None,)
        journal.close(how)
    journal = open_map(tmp_path / "run.db")
    rows = journal.store.read("SELECT run, began <= ended, pid, how FROM runs")
    assert rows == [(1, 1, os.getpid(), "finished"), (2, 1, os.getpid(), "stopped"), (3, None, os.getpid(), None)]
    journal.close()


@pytest.mark.parametrize("seed", range(5))
def test_each_that_posts_is_answered_once_whenever_it_is_closed(tmp_path: Path, seed: int) -> None:
    """Threads post while another closes: each job hears one thing, once; what heard `then` is in the file."""
    journal = open_map(tmp_path / "run.db", sync=False)
    heard: dict[int, list[str]] = {n: [] for n in range(400)}
    begun = threading.Barrier(5)

    def posts(first: int) -> None:
        begun.wait()
        for n in range(first, first + 100):
            journal.record(
                [((n, None), n, None)],
                lambda _, n=n: heard[n].append("then"),  # type: ignore[misc]
                lambda _, n=n: heard[n].append("lost"),  # type: ignore[misc]
            )

    threads = [threading.Thread(target=posts, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    begun.wait()
    for _ in range(random.Random(seed).randrange(40)):
        journal.key_of(0, 0)
    journal.close()
    for thread in threads:
        thread.join()
    assert {len(each) for each in heard.values()} == {1}
    again = open_map(tmp_path / "run.db")
    kept = [n for n, outcome in enumerate(recall(again, [object()] * 400)) if outcome is not PENDING]
    assert kept == [n for n in range(400) if heard[n] == ["then"]]
    again.close()
