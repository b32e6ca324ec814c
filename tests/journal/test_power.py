"""A power cut at any instant loses nothing that was told to be committed.

How it is played. The files are copied after each commit. What the disk may hold at an instant between two of them is
made up from these copies, by what SQLite has then synced and what it has not:
* *Writing the log.* What the log had at the last synced commit is on the disk. Of the sectors that were written since
  any are, and in place of the others is what was there before, or zeros or anything where the file was shorter. It
  may end anywhere behind what it had.
* *A checkpoint*, in the same call, after the log is synced: the log is whole. Any sectors of the database are as they
  were, or as they are afterwards.
* *The log begins anew*, after the database is synced: first its header is written and synced. So the header is the old
  one, the new one or torn, and behind it are the old frames; or it is the new one, and behind it any sectors of both.
Sectors have 512 bytes. That the system writes down what it was told to sync is taken for granted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from procession.journal.values import PENDING
from procession.types import Raised
from tests.journal.work import Answer, Point, accept, drop, finish, hand_over, open_map, open_queue, recall

SECTOR = 512
HEADER = 32
COMMITS = 40


class Copy(NamedTuple):
    """The files after a commit."""

    db: bytes
    log: bytes


def copied(path: Path) -> Copy:
    return Copy(path.read_bytes(), Path(f"{path}-wal").read_bytes())


def mixed(chance: random.Random, old: bytes, new: bytes) -> bytes:
    """Any sectors of both."""
    made = bytearray(new)
    likely = chance.random()
    for at in range(0, len(new), SECTOR):
        if chance.random() < likely:
            there = old[at : at + SECTOR]
            if len(there) < len(new[at : at + SECTOR]):
                there += rubbish(chance, len(new[at : at + SECTOR]) - len(there))
            made[at : at + SECTOR] = there
    return bytes(made)


def rubbish(chance: random.Random, size: int) -> bytes:
    return bytes(size) if chance.random() < 0.5 else chance.randbytes(size)


def begins_anew(before: Copy, after: Copy) -> bool:
    return before.log[:HEADER] != after.log[:HEADER]


def instants(chance: random.Random, synced: Copy, before: Copy, after: Copy) -> Iterator[Copy]:
    """What the disk may hold between two copies; of the log that of `synced` is there for sure."""
    if begins_anew(before, after) and before.log:
        torn = chance.randrange(HEADER)
        yield Copy(before.db, after.log[:torn] + before.log[torn:])
        log = after.log[:HEADER] + mixed(chance, before.log, after.log)[HEADER:]
        yield Copy(before.db, log + before.log[len(log) :])
        yield Copy(before.db, log[: chance.randrange(HEADER, len(log) + 1)])
    else:
        length = len(synced.log)
        log = mixed(chance, synced.log, after.log)
        yield Copy(before.db, log[: chance.randint(length, len(log))])
        cut = after.log[: chance.randint(length, len(after.log))]
        yield Copy(before.db, cut + rubbish(chance, chance.randrange(10_000)))
    if before.db != after.db:
        yield Copy(mixed(chance, before.db, after.db), after.log)


def restored(folder: Path, number: int, copy: Copy) -> Path:
    path = folder / f"{number}.db"
    path.write_bytes(copy.db)
    path.chmod(0o600)
    log = Path(f"{path}-wal")
    log.write_bytes(copy.log)
    log.chmod(0o600)
    return path


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Raised) and isinstance(other, Raised):
        return repr(one.error) == repr(other.error)
    return type(one) is type(other) and bool(one == other)


def outcome_of(n: int) -> Any:
    kinds = [n, f"result {n}" * (n % 50), (n, [n]), Point(n), b"x" * 10_000, Raised(ValueError(n))]
    return kinds[n % len(kinds)]


def test_what_a_map_was_told_is_there_after_a_power_cut(tmp_path: Path) -> None:
    chance = random.Random(1)
    journal = open_map(tmp_path / "run.db")
    journal.store.connection.execute("PRAGMA wal_autocheckpoint=12")
    before = copied(tmp_path / "run.db")
    number = told = checkpoints = restarts = 0
    for _ in range(COMMITS):
        size = chance.choice([1, 1, 3, 20])
        answer = Answer()
        entries = [(journal.key_of(n, n), outcome_of(n), None) for n in range(told, told + size)]
        journal.record(entries, answer.then, answer.lost)
        answer.wait()
        after = copied(tmp_path / "run.db")
        checkpoints += before.db != after.db
        restarts += begins_anew(before, after)
        for copy in instants(chance, before, before, after):
            number += 1
            check_map(restored(tmp_path, number, copy), told, told + size)
        told += size
        before = after
    journal.close()
    assert (number > 100, checkpoints > 10, restarts > 5) == (True, True, True), (number, checkpoints, restarts)


def check_map(path: Path, told: int, size: int) -> None:
    """All that was told is there and is true; of what was under way, all or nothing."""
    journal = open_map(path, sync=False)
    found = recall(journal, range(size))
    journal.close()
    assert all(same(found[n], outcome_of(n)) for n in range(told)), path
    rest = [each is PENDING or same(each, outcome_of(told + n)) for n, each in enumerate(found[told:])]
    assert all(rest), path
    assert len({each is PENDING for each in found[told:]}) <= 1, path
    path.unlink()


class Queue:
    """What a queue was told, to be compared with what it knows afterwards."""

    def __init__(self) -> None:
        self.items: dict[int, Any] = {}
        self.outcomes: dict[int, Any] = {}
        self.gone: set[int] = set()

    def copy(self) -> Queue:
        made = Queue()
        made.items, made.outcomes, made.gone = dict(self.items), dict(self.outcomes), set(self.gone)
        return made


def test_what_a_queue_was_told_is_there_after_a_power_cut(tmp_path: Path) -> None:
    """What was handed over, or dropped, may be forgotten by a power cut: then it comes again, with its outcome."""
    chance = random.Random(1)
    path = tmp_path / "run.db"
    journal = open_queue(path)
    journal.store.connection.execute("PRAGMA wal_autocheckpoint=12")
    synced = before = copied(path)
    model, sure = Queue(), Queue()  # all that it was told; what must outlive a power cut
    number = 0
    for _ in range(COMMITS):
        was = model.copy()
        full = step(chance, journal, model)
        after = copied(path)
        anew = begins_anew(before, after)
        for copy in instants(chance, synced, before, after):
            number += 1
            check_queue(restored(tmp_path, number, copy), was if anew else sure, model)
        if full or before.db != after.db:
            synced, sure = after, model.copy()
        elif anew:  # what was before is in the database; of the log the header is on the disk
            synced, sure = Copy(after.db, after.log[:HEADER] + before.log[HEADER:]), was
        before = after
    journal.close()
    assert number > 100


def step(chance: random.Random, journal: Any, model: Queue) -> bool:
    """Something happens; whether it is on the disk then."""
    open_ones = [n for n in model.items if n not in model.outcomes and n not in model.gone]
    done = [n for n in model.outcomes if n not in model.gone]
    choice = chance.random()
    if choice < 0.35 or not open_ones:
        first = journal.accepted
        some = {first + n: outcome_of(chance.randrange(5)) for n in range(chance.choice([1, 5]))}
        accept(journal, list(some.values()))
        model.items.update(some)
        return True
    if choice < 0.65 or not done:
        some = {n: outcome_of(n) for n in chance.sample(open_ones, min(len(open_ones), 3))}
        finish(journal, list(some), list(some.values()))
        model.outcomes.update(some)
        return True
    if choice < 0.9:
        hand_over(journal, done[:2])
        model.gone.update(done[:2])
        return False
    drop(journal, open_ones[:1])
    model.gone.update(open_ones[:1])
    return False


def check_queue(path: Path, sure: Queue, model: Queue) -> None:
    journal = open_queue(path, sync=False)
    rows = {row.seq: row for row in journal.pending()}
    accepted = journal.accepted
    journal.close()
    must = {n for n in sure.items if n not in model.gone}
    assert must <= set(rows), path
    assert not sure.gone & set(rows), path
    for n, row in rows.items():
        assert same(row.item, model.items[n]), path
        outcome = row.outcome
        assert outcome is PENDING or same(outcome, model.outcomes[n]), path
        assert outcome is not PENDING or n not in sure.outcomes, path
    assert len(sure.items) <= accepted <= len(model.items)
    path.unlink()


def test_this_would_find_what_is_lost(tmp_path: Path) -> None:
    """A fault that is seeded: a log of which the synced part was cut, too."""
    journal = open_map(tmp_path / "run.db")
    answer = Answer()
    journal.record([(journal.key_of(n, n), outcome_of(n), None) for n in range(20)], answer.then, answer.lost)
    answer.wait()
    copy = copied(tmp_path / "run.db")
    journal.close()
    check_map(restored(tmp_path, 1, copy), 20, 20)
    with pytest.raises(AssertionError):
        check_map(restored(tmp_path, 2, copy._replace(log=copy.log[:-100])), 20, 20)
