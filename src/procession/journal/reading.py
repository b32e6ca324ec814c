"""A journal as people look at it: what it belongs to, what it has, its runs and failures; also while a program has it.

Laws
1. Looking changes nothing, in the file or beside it, and keeps nobody from writing.
2. What changes it (`retry_failures`, `vacuum`) takes its lock first: it is refused while a program has it.
"""

from __future__ import annotations

import json
import os
from urllib.parse import quote

from procession.errors import JournalError
from procession.journal import files
from procession.journal.comparing import QUEUE
from procession.journal.locking import Lock, holder
from procession.journal.opening import id_of
from procession.journal.outcomes import verified
from procession.journal.refusals import clean, damaged, explained, refusal, shown
from procession.journal.store import ACCEPTED, HANDED, Readable, connect
from procession.journal.values import ERROR, checksum, start_of
from procession.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

POISON = "procession.errors.PoisonTask"
"""The type of the errors of quarantined items."""

_BACK_TO_WAITING = """UPDATE items SET state = ?, sum = ?, form = NULL, size = NULL, outcome = NULL, tries = NULL,
    error_type = NULL, error_text = NULL, traceback = NULL WHERE seq = ?"""


@record
class Run:
    """One program that had it open."""

    number: int
    began: float
    """Seconds since 1970."""
    ended: float | None
    """None: it has it still, or was killed."""
    pid: int
    how: str | None
    """In a word, how it ended."""


@record
class Failed:
    """An item whose outcome is a failure."""

    item: Any
    """Its position, its number, or its own id."""
    shown: str | None
    """A short repr of the item."""
    type: str
    text: str
    tries: int
    run: int
    quarantined: bool
    """It killed its worker at every try."""


@record
class Summary:
    """What there is."""

    path: str
    size: int
    """Bytes, with its log."""
    pid: int | None
    """The program that has it now."""
    identity: dict[str, Any]
    """What it belongs to: kind, function, code (by Python version), version, seed, own_ids."""
    done: int
    """Outcomes that are there, but for failures."""
    failed: int
    waiting: int
    """Of a SpinOff: accepted, without an outcome."""
    handed: int
    """Of a SpinOff: handed over, in all runs."""
    accepted: int
    """Of a SpinOff: put, in all runs."""
    runs: tuple[Run, ...]


class Look(Readable):
    """A journal that is looked at. A context manager. Raises JournalError, where it is none or cannot be read."""

    def __init__(self, path: str) -> None:
        real = files.real(path)
        if not files.there(real):
            raise refusal(path, "there is no such journal" if not os.path.exists(real) else "it is empty")
        log = f"{real}-wal"
        empty = not os.path.exists(log) or not os.path.getsize(log)
        try:
            super().__init__(path, real, _connect_to_look(real, untouched=empty))
            said = self.get("identity")
        except Exception as error:
            raise explained(path, "reading it", error) from error
        if said is None:
            raise refusal(path, "no program has begun with it")
        self.identity: dict[str, Any] = json.loads(said)

    def __enter__(self) -> Look:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.reader.close()

    @property
    def is_queue(self) -> bool:
        """It is a SpinOff's."""
        return bool(self.identity["kind"] == QUEUE)

    def summary(self) -> Summary:
        """All but failures. Raises JournalError."""
        return self._asked(self._summary)  # type: ignore[no-any-return]

    def _summary(self) -> Summary:
        done = failed = waiting = 0
        for state, form, count in self.read("SELECT state, form, count(*) FROM items GROUP BY state, form"):
            waiting += count * (state == ACCEPTED)
            failed += count * (form == ERROR)
            done += count * (state != ACCEPTED and form != ERROR)
        runs = self.read("SELECT run, began, ended, pid, how FROM runs ORDER BY run")
        return Summary(
            path=self.path,
            size=sum([os.path.getsize(name) for name in (self.real, f"{self.real}-wal") if os.path.exists(name)]),
            pid=holder(self.real),
            identity=self.identity,
            done=done,
            failed=failed,
            waiting=waiting,
            handed=int(self.get("handed") or 0),
            accepted=int(self.get("accepted") or 0),
            runs=tuple([Run(*row) for row in runs]),
        )

    def failures(self) -> list[Failed]:
        """Those that there are, in order; of a SpinOff with ids, what was handed over, too. Raises JournalError."""
        sql = "SELECT id, seq, shown, error_type, error_text, tries, run FROM items WHERE form = ?"
        rows = self._asked(lambda: self.read(f"{sql} ORDER BY {self._order}", (ERROR,)))
        found = []
        for id, seq, told, kind, text, tries, run in rows:
            name = seq if id is None else id_of(id)
            found.append(Failed(name, told, str(kind), str(text), tries or 1, run, kind == POISON))
        return found

    def outcomes(self) -> Iterator[dict[str, Any]]:
        """Each outcome, in order, as a dict that JSON can hold.

        In it are the item's `index`, or its `id`; and `result` or `repr` (see `exported`), or `error`, or `unreadable`:
        why it is not told. Raises JournalError.
        """
        sql = f"SELECT seq, id, digest, form FROM items WHERE state != {ACCEPTED} ORDER BY {self._order}"
        for seq, id, mark, _ in self._asked(lambda: self.read(sql)):
            name = seq if id is None else id_of(id)
            start = seq if self.is_queue else start_of(seq, mark) if id is None else start_of(id)
            key = "id" if self.identity["own_ids"] else "index"
            yield {key: _plain(name), **self._exported(name, start, seq)}

    def _exported(self, name: Any, start: int, seq: int) -> dict[str, Any]:
        try:
            form, data, beside = self._asked(lambda: verified(self, name, start, seq))
            if form != ERROR:
                return exported(self.load(form, data, f"the outcome of item {shown(name)}"))
        except JournalError as error:
            return {"unreadable": str(error)}
        tries, told, kind, text, traceback = beside
        return {"error": {"type": kind, "text": text, "tries": tries, "item": told, "traceback": traceback}}

    @property
    def _order(self) -> str:
        return "place, seq" if self.identity["own_ids"] and not self.is_queue else "seq"

    def _asked(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Exception as error:
            raise explained(self.path, "reading it", error) from error


def _connect_to_look(real: str, *, untouched: bool) -> Any:
    """Without a log nobody writes: then SQLite needs no files beside it, and makes none."""
    if not untouched:
        return connect(real, "ro")
    import sqlite3

    uri = f"file:{quote(os.fsencode(real))}?immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def exported(value: Any) -> dict[str, Any]:
    """A result for a line of JSON: `result`, where JSON can hold it (tuples become lists), else `repr`."""
    try:
        json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return {"repr": shown(value, 1000)}
    return {"result": value}


def _plain(name: Any) -> Any:
    """An id as JSON can hold it."""
    return clean(name) if isinstance(name, str) else repr(name) if isinstance(name, bytes) else name


# -- changes -------------------------------------------------------------------------------------------------------


def retry_failures(path: str, *, quarantined: bool = False) -> int:
    """Forget failures, so that these items run again with the next program; returns how many. Raises JournalError.

    quarantined: those that killed their workers at every try, too.
    """

    def change(connection: Any, queue: bool) -> int:
        which = "form = ?" if quarantined else "form = ? AND error_type IS NOT ?"
        words = (ERROR,) if quarantined else (ERROR, POISON)
        found = connection.execute(f"SELECT seq, state FROM items WHERE {which}", words).fetchall()
        connection.execute("BEGIN IMMEDIATE")
        for seq, state in found:
            if queue and state != HANDED:
                connection.execute(_BACK_TO_WAITING, (ACCEPTED, checksum(ACCEPTED, 0, b"", seq), seq))
            else:  # of what was handed over there is no item any more: it runs when it is put again
                connection.execute("DELETE FROM items WHERE seq = ?", (seq,))
        connection.execute("COMMIT")
        return len(found)

    return _changed(path, change)  # type: ignore[no-any-return]


def vacuum(path: str) -> tuple[int, int]:
    """Write the file anew without what was deleted; returns its bytes before and after. Raises JournalError."""

    def change(connection: Any, queue: bool) -> tuple[int, int]:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = os.path.getsize(os.path.realpath(path))
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return before, os.path.getsize(os.path.realpath(path))

    return _changed(path, change)  # type: ignore[no-any-return]


def _changed(path: str, change: Callable[[Any, bool], Any]) -> Any:
    with Look(path) as look:
        queue, real = look.is_queue, look.real
    lock = Lock(real)
    connection = None
    try:
        files.not_planted(path, real)
        connection = connect(real)
        connection.execute("PRAGMA synchronous=FULL")
        (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if told != "ok":
            raise damaged(path, str(told).splitlines()[-1])
        return change(connection, queue)
    except Exception as error:
        raise explained(path, "changing it", error) from error
    finally:
        if connection is not None:
            connection.close()
        lock.release()


__all__ = ["POISON", "Failed", "Look", "Run", "Summary", "exported", "retry_failures", "vacuum"]
