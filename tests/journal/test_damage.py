"""A damaged file: either a JournalError, or what is said is true. Never a wrong value, another error, or a crash."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from procession.errors import JournalError
from procession.journal.mapped import MapJournal
from procession.journal.outcomes import Recalled
from procession.journal.values import PENDING
from procession.types import Raised
from tests.journal.work import Answer, Point, accept, finish, hand_over, open_map, open_queue, recall

CASES = 100
ITEMS = 60


def outcome_of(n: int) -> Any:
    kinds = [
        n,
        f"result {n}" * 9,
        (n, [n]),
        Point(n),
        b"%d" % n * 1000,
        Raised(ValueError(n), 2),
        f"{n}" * (40_000 if n == 13 else 9),
    ]
    return kinds[n % len(kinds)]


def is_true(found: Any, n: int) -> bool:
    """What is recalled for item n, or read later, is its outcome; or it says that it cannot be read."""
    if isinstance(found, Recalled):
        found = found.load()
        if isinstance(found, Raised) and isinstance(found.error, JournalError):
            return True
    true = outcome_of(n)
    if isinstance(found, Raised) and isinstance(true, Raised):
        return repr(found.error) == repr(true.error) and found.attempts == true.attempts
    return type(found) is type(true) and bool(found == true)


def damage(chance: random.Random, path: Path) -> None:
    """Something happens to the bytes of a file."""
    data = bytearray(path.read_bytes())
    kind = chance.randrange(5)
    at = chance.randrange(len(data))
    if kind == 0:
        for _ in range(chance.choice([1, 1, 3, 30])):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 1:
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 2:
        size = chance.choice([16, 512, 4096])
        data[at : at + size] = bytes(size) if chance.random() < 0.5 else chance.randbytes(size)
    elif kind == 3:
        del data[at:]
    else:  # one page in the place of another
        page, other = (chance.randrange(len(data) // 4096) * 4096 for _ in range(2))
        data[page : page + 4096] = data[other : other + 4096]
    path.write_bytes(data)


def base(folder: Path, own_ids: bool) -> tuple[Path, Path]:
    """A journal that was closed, and the files of one that was killed."""
    path = folder / "base.db"
    journal = open_map(path, item_id=str if own_ids else None, sync=False)
    journal.store.connection.execute("PRAGMA wal_autocheckpoint=40")
    for first in range(0, ITEMS, 10):
        answer = Answer()
        entries = [(journal.key_of(n, n), outcome_of(n), repr(n)) for n in range(first, first + 10)]
        journal.record(entries, answer.then, answer.lost)
        answer.wait()
    killed = folder / "killed.db"
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{killed}{end}")
    journal.close()
    return path, killed


def copy_of(source: Path, target: Path) -> list[Path]:
    made = []
    for end in ("", "-wal"):
        target.with_name(target.name + end).unlink(missing_ok=True)
        if Path(f"{source}{end}").exists():
            shutil.copy(f"{source}{end}", f"{target}{end}")
            made.append(Path(f"{target}{end}"))
    return made


def one_by_one(journal: MapJournal) -> list[Any]:
    """What each item comes to, with the error in its place where one is raised."""
    try:
        return recall(journal, range(ITEMS))
    except JournalError:
        found: list[Any] = []
        for n in range(ITEMS):
            try:
                found += recall(journal, [n], first=n)
            except JournalError as error:
                found.append(error)
        return found


def look(path: Path, own_ids: bool) -> str:
    """What comes of opening it, asking for all items, and writing one more."""
    try:
        journal = open_map(path, item_id=str if own_ids else None, sync=False)
    except JournalError as error:
        return "not opened" if str(path) in str(error) else f"badly told: {error}"
    told = "all there"
    try:
        for n, found in enumerate(one_by_one(journal)):
            if isinstance(found, JournalError):
                told = "an error" if str(path) in str(found) else f"badly told: {found}"
            elif found is PENDING:
                told = "something lost"
            else:
                assert is_true(found, n), (path, n, found)
        answer = Answer()
        journal.record([(journal.key_of(ITEMS, ITEMS), 1, None)], answer.then, answer.lost)
        try:
            answer.wait()
        except JournalError:
            told = "not written"
    finally:
        journal.close()
    return told


@pytest.mark.parametrize("own_ids", [False, True])
def test_whatever_is_damaged_nothing_false_is_recalled(tmp_path: Path, own_ids: bool) -> None:
    chance = random.Random(f"1 {own_ids}")
    sources = base(tmp_path, own_ids)
    told: dict[str, int] = {}
    for _ in range(CASES):
        files = copy_of(chance.choice(sources), tmp_path / "case.db")
        damage(chance, chance.choice(files))
        found = look(tmp_path / "case.db", own_ids)
        told[found] = told.get(found, 0) + 1
    assert told.get("not opened", 0) > CASES // 10, told
    assert told.get("all there", 0) < CASES * 4 // 5, told
    assert not [each for each in told if each.startswith("badly told")]


def test_undamaged_everything_is_there(tmp_path: Path) -> None:
    for own_ids in (False, True):
        for source in base(tmp_path, own_ids):
            copy_of(source, tmp_path / "case.db")
            assert look(tmp_path / "case.db", own_ids) == "all there"
            (tmp_path / "case.db").unlink()
        (tmp_path / "base.db").unlink()


def test_a_byte_of_a_result_that_sqlite_would_not_notice_is_noticed(tmp_path: Path) -> None:
    path, _ = base(tmp_path, own_ids=False)
    data = bytearray(path.read_bytes())
    data[data.index(b"result 1result 1") + 7] = ord("2")
    path.write_bytes(data)
    journal = open_map(path)
    with pytest.raises(JournalError, match="the file is damaged: the outcome of item 1 is not what was written"):
        recall(journal, [1], first=1)
    assert recall(journal, [0]) == [0]
    journal.close()


def test_whatever_is_damaged_a_queue_says_nothing_false(tmp_path: Path) -> None:
    chance = random.Random(1)
    path = tmp_path / "base.db"
    for item_id in (None, str):
        journal = open_queue(path, item_id=item_id, sync=False)
        accept(journal, [[n, "x" * 50] for n in range(ITEMS)])
        finish(journal, range(0, ITEMS, 2), [outcome_of(n) for n in range(0, ITEMS, 2)])
        hand_over(journal, range(0, ITEMS, 6))
        journal.close()
        for _ in range(CASES // 2):
            (copy,) = copy_of(path, tmp_path / "case.db")
            damage(chance, copy)
            check_queue(copy, item_id)
        path.unlink()


def check_queue(path: Path, item_id: Any) -> None:
    try:
        journal = open_queue(path, item_id=item_id, sync=False)
    except JournalError:
        return
    try:
        assert (journal.accepted, journal.handed) == (ITEMS, ITEMS // 6)
        for row in journal.pending():
            assert row.item == [row.seq, "x" * 50]
            assert row.seq % 6
            assert row.outcome is PENDING if row.seq % 2 else is_true(row.outcome, row.seq)
    except JournalError:
        pass
    finally:
        journal.close()
