"""The SQLite file of a journal: opened and checked, transactions, what it belongs to, its runs. Knows no threads.

Laws
1. It is opened only by who holds its lock, and a new one is made whole (files.py).
2. `commit` returns when what was written since `begin` is in the file, under its name, and on the disk if `begin` asked
   for that. Whatever goes wrong is a JournalError, and then nothing may be taken for written.
3. What the file belongs to is compared, and the run entered, in one transaction, before anything else is written.
"""

from __future__ import annotations

import json
import os
from urllib.parse import quote

from procession.journal import files
from procession.journal.comparing import differences
from procession.journal.refusals import damaged, explained, refusal
from procession.journal.values import JSON, Untrusted, checksum, decode, raw, start_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from typing import Any

    from procession.errors import JournalError
    from procession.journal import Journal

ACCEPTED, DONE, FAILED, HANDED = 0, 1, 2, 3
"""States of an item: only a queue has the first and the last."""

CHECKED = 1 << 30
"""Bytes up to which a whole file is checked when it is opened."""

_ITEMS = (
    "seq INTEGER PRIMARY KEY, id, digest BLOB, state INTEGER NOT NULL, sum INTEGER NOT NULL, item_form INTEGER, "
    "item_sum INTEGER, place INTEGER, form INTEGER, size INTEGER, tries INTEGER, run INTEGER, shown TEXT, "
    "error_type TEXT, error_text TEXT, traceback TEXT, item, outcome"
)
SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE runs (run INTEGER PRIMARY KEY, began REAL NOT NULL, ended REAL, pid INTEGER NOT NULL, how TEXT)",
    f"CREATE TABLE items ({_ITEMS})",
    "CREATE UNIQUE INDEX ids ON items (id) WHERE id IS NOT NULL",
)
SQLITE = (3, 33)
"""Since then there is UPDATE ... FROM, and more than 999 values in a statement."""
WAIT = 20.0
"""Seconds to wait for a reader that holds the file, as one who copies it may."""


def connect(path: str, mode: str = "rw") -> sqlite3.Connection:
    """A connection in autocommit, which any thread may use, one at a time."""
    import sqlite3

    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=WAIT, isolation_level=None, check_same_thread=False)


class Readable:
    """A journal that can be read. `path` is for people, `real` for the system."""

    def __init__(self, path: str, real: str, reader: sqlite3.Connection) -> None:
        self.path = path
        self.real = real
        self.reader = reader
        self.foreign = files.foreign(real)

    def read(self, sql: str, words: Sequence[Any] = ()) -> list[Any]:
        """All rows, as they are committed."""
        return self.reader.execute(sql, words).fetchall()

    def get(self, key: str) -> str | None:
        """A value of `meta`. Raises JournalError when it is not what was written."""
        rows = self.read("SELECT value, sum FROM meta WHERE key = ?", (key,))
        if not rows:
            return None
        value, sum = rows[0]
        if type(value) is not str or sum != checksum(0, JSON, raw(value), start_of(key)):
            raise damaged(self.path, f"what it says of its {key} is not what was written")
        return value

    def load(self, form: int, data: Any, what: str) -> Any:
        """A value of the file, or an exception; `what` says whose. Raises JournalError."""
        try:
            return decode(form, data, self.foreign is None)
        except Untrusted:
            text = f"{what} is a pickle, and is not loaded: {self.foreign}"
            raise refusal(self.path, text) from None
        except Exception as error:
            text = f"{what} cannot be rebuilt here: {type(error).__name__}: {error}"
            raise refusal(self.path, text) from error


class Store(Readable):
    """One open journal."""

    def __init__(self, path: str, real: str, connection: sqlite3.Connection, sync: bool) -> None:
        reader = connect(real)
        reader.execute("PRAGMA query_only=1")
        super().__init__(path, real, reader)
        self.connection = connection
        self.presence = files.Presence(real)
        self.run = 0
        self._sync = sync
        self.counts: dict[str, int] = {}
        """Numbers over all runs, by their key in `meta`, as they are committed."""
        self._growth: dict[str, int] = {}
        self._full: bool | None = None

    # -- transactions ------------------------------------------------------------------------------------------------

    def begin(self, full: bool) -> None:
        """`full`: the commit is to be on the disk when `commit` returns, unless the user wants no sync."""
        full = full and self._sync
        if full is not self._full:
            self.connection.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
            self._full = full
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """See law 2."""
        counts = {key: self.counts[key] + by for key, by in self._growth.items()}
        for key, number in counts.items():
            self.put(key, str(number))
        self._growth.clear()
        self.connection.execute("COMMIT")
        self.presence.check()
        self.counts.update(counts)

    def rollback(self) -> None:
        """Forget what was written since `begin`; never raises."""
        self._growth.clear()
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except Exception:
            pass

    # -- small things ------------------------------------------------------------------------------------------------

    def put(self, key: str, value: str) -> None:
        """Set a value of `meta`, in a transaction."""
        row = (key, value, checksum(0, JSON, raw(value), start_of(key)))
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", row)

    def count(self, key: str, by: int) -> None:
        """Let a number over all runs grow; it is written with the next commit."""
        self._growth[key] = self._growth.get(key, 0) + by

    def counted(self, key: str) -> int:
        """That number, with what the present transaction adds."""
        return self.counts[key] + self._growth.get(key, 0)

    def load_counts(self, *keys: str) -> None:
        """Read these numbers; they are 0 in a new file."""
        for key in keys:
            text = self.get(key)
            self.counts[key] = 0 if text is None else int(text)

    def begin_run(self, identity: dict[str, Any], force: bool) -> None:
        """See law 3. Raises JournalError that names what differs."""
        import time

        said = self.get("identity")
        found = None if said is None else json.loads(said)
        if found is not None:
            differences(self.path, found, identity, force)
        text = json.dumps(identity, sort_keys=True)
        self.begin(full=True)
        if text != said:
            self.put("identity", text)
        row = (time.time(), os.getpid())
        self.run = self.connection.execute("INSERT INTO runs (began, pid) VALUES (?, ?)", row).lastrowid or 0
        self.commit()

    def end_run(self, how: str) -> None:
        """Write down when this run ended, and how."""
        import time

        self.begin(full=True)
        self.connection.execute("UPDATE runs SET ended = ?, how = ? WHERE run = ?", (time.time(), how, self.run))
        self.commit()

    def close(self) -> None:
        """Close the file; what is in the -wal goes into it. Never raises."""
        for connection in (self.reader, self.connection):
            try:
                connection.close()
            except Exception:
                pass


def open_store(settings: Journal, real: str) -> Store:
    """Open the file, or make it. The caller holds its lock. Raises JournalError."""
    path = settings.path
    connection: Any = None
    try:
        there = files.there(real)
        _new_enough(path)
        if not there:
            _make(path, real)
        files.not_planted(path, real)
        connection = connect(real)
        connection.execute(f"PRAGMA synchronous={'FULL' if settings.sync else 'NORMAL'}")
        _prepare(path, connection, os.path.getsize(real))
        return Store(path, real, connection, settings.sync)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, Exception):
            raise explained(path, "opening it", error) from error
        raise


def _new_enough(path: str) -> None:
    import sqlite3

    if sqlite3.sqlite_version_info < SQLITE:
        needs = ".".join(map(str, SQLITE))
        text = f"it needs SQLite {needs} or newer, and that of this Python is {sqlite3.sqlite_version}"
        raise refusal(path, f"{text}; take a Python that has it")


def _prepare(path: str, connection: sqlite3.Connection, size: int) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise refusal(path, "its file system cannot have a write-ahead log (is it a network's?); take a local disk")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) != (files.APPLICATION, files.FORMAT):
        raise damaged(path, "its log says that it is no journal")
    if size <= CHECKED:
        (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if told != "ok":
            raise damaged(path, str(told).splitlines()[-1])
    # A write now says whether writes are possible at all, and makes the -wal, which is to be looked at.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version={files.FORMAT}")
    connection.execute("COMMIT")


def _make(path: str, real: str) -> None:
    """A new journal, whole."""
    made = f"{real}-new"
    files.no_orphan(path, f"{real}-wal")
    files.remove(made, f"{made}-journal", f"{made}-wal", f"{made}-shm", f"{real}-wal", f"{real}-shm")
    os.close(os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = connect(made)
    try:
        connection.execute("PRAGMA synchronous=OFF")  # it is synced as a whole before it gets its name
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={files.APPLICATION}")
        connection.execute(f"PRAGMA user_version={files.FORMAT}")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")
    except BaseException:
        connection.close()
        files.remove(made, f"{made}-journal", f"{made}-wal", f"{made}-shm")
        raise
    connection.close()
    files.publish(made, real)


def failure(path: str, error: BaseException) -> JournalError:
    """What ends a journal: a commit that failed."""
    made = explained(path, "writing it", error)
    text = f"{made.args[0]}. What was committed before is kept; run it again when this is mended"
    ended = type(made)(text)
    ended.__cause__ = made.__cause__ or error
    return ended
