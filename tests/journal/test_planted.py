"""What others lay beside a journal does not become a part of it: SQLite would take it for the user's own."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from procession import JournalError
from procession.journal.reading import retry_failures, vacuum
from tests.journal.work import open_map, recall, record


def planted(folder: Path, end: str) -> Path:
    """A journal whose first outcome is 10, and beside it what others may write: with it the outcome would be gone."""
    path = folder / "run.db"
    journal = open_map(path)
    record(journal, [1, 2], [10, 20])
    journal.close()
    copy = folder / "elsewhere" / "run.db"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("DELETE FROM items")
    beside = path.with_name(f"run.db{end}")
    shutil.copy(copy.with_name("run.db-wal"), beside)
    connection.close()
    beside.chmod(0o666)
    return path


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_what_others_have_laid_beside_a_journal_is_not_taken_in(tmp_path: Path, end: str) -> None:
    path = planted(tmp_path, end)
    for _ in range(2):
        with pytest.raises(JournalError, match=f"run.db{end} may be written by others .mode 0666.*remove it"):
            open_map(path)
        for change in (retry_failures, vacuum):
            with pytest.raises(JournalError, match="would become a part of the journal"):
                change(str(path))
    path.with_name(f"run.db{end}").unlink()
    journal = open_map(path)
    assert recall(journal, [1, 2]) == [10, 20]
    journal.close()


def test_in_a_journal_that_is_not_trusted_anyway_a_log_is_what_it_is(tmp_path: Path) -> None:
    path = planted(tmp_path, "-wal")
    path.chmod(0o666)
    journal = open_map(path)
    assert journal.known == 0
    journal.close()
