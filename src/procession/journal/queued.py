"""The journal of a SpinOff: what was put, what came of it, and what was handed over, over all runs of the program.

Laws
1. An item's number (`seq`) is its place among all that was ever put. It is in the file from `accept` on: with an
   outcome after `record`; without ids of its own until it is handed over, with one for good, since it may be put again.
2. What is dropped was never there, but for its number.
3. `handed` counts what was handed over, `accepted` what was put, over all runs. Both are in the same commit as what
   they count.
"""

from __future__ import annotations

from procession.journal import statements
from procession.journal.comparing import QUEUE
from procession.journal.opening import Opened, Record, asked_id, column_of, id_of
from procession.journal.outcomes import READ, WRITTEN, kept, recalled, whole
from procession.journal.refusals import damaged
from procession.journal.store import ACCEPTED, DONE, FAILED, HANDED
from procession.journal.values import PENDING, STEP, checksum, encode, pickled, raw, start_of
from procession.journal.writer import FULLY, LAZILY, NOTHING, Job, Ticket, reading
from procession.transport import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from procession.errors import JournalError
    from procession.journal import Journal
    from procession.journal.identity import Identity
    from procession.journal.outcomes import Shown
    from procession.journal.store import Store
    from procession.journal.values import Data

    Accepted = tuple[int, Any, int, Data]
    """seq, own id (None without), form and data of the item (`encoded`)."""
    Entry = tuple[int, Any, Shown]
    """seq, outcome, and what shows the item, for failures."""

_ACCEPTED, _HANDED, _NEXT = "accepted", "handed", "next"
_ACCEPT = statements.insert(("seq", "id", "state", "sum", "run", "item_form", "item_sum", "item"))
_RECORD = statements.update((*WRITTEN, "run"))
_DROP = statements.delete()
_HAND_OVER = statements.delete(f" AND state IN ({DONE}, {FAILED})")
_COLUMNS = f"SELECT seq, id, item_form, item_sum, item, {READ} FROM items"


class Row:
    """An item that the file has."""

    __slots__ = ("_item", "_journal", "handed", "id", "outcome", "seq")

    def __init__(
        self, journal: QueueJournal, seq: int, id: Any, item: tuple[Any, Any], outcome: Any, handed: bool
    ) -> None:
        self._journal = journal
        self.seq = seq
        self.id = id
        """Its own id; None without."""
        self._item = item
        self.outcome = outcome
        """A value, a `Raised`, a `Recalled`, or PENDING."""
        self.handed = handed
        """It was handed over."""

    @property
    def item(self) -> Any:
        """What was put. Raises JournalError when it cannot be rebuilt; not to be asked of what was handed over."""
        form, data = self._item
        return self._journal.store.load(form, data, f"item {self.seq}")


class QueueJournal(Opened):
    """See the module.

    Attributes:
        failed: why it takes no more, a JournalError; None while it does.
    """

    @classmethod
    def open(cls, settings: Journal, identity: Identity, item_id: Callable[[Any], Any] | None) -> QueueJournal:
        """Open or make the file. Raises JournalError; nothing is held then."""
        return cls(settings, identity, item_id)

    def __init__(self, settings: Journal, identity: Identity, item_id: Callable[[Any], Any] | None) -> None:
        self._item_id = item_id
        self.next_seq = 0
        """The number of the first item that is put in this run."""
        super().__init__(settings, QUEUE, identity, item_id is not None)

    def begin(self, store: Store, identity: dict[str, Any], force: bool) -> None:
        """Enter this run, and read how far the others came."""
        super().begin(store, identity, force)
        store.load_counts(_ACCEPTED, _HANDED, _NEXT)
        self.next_seq = store.counts[_NEXT]

    @property
    def accepted(self) -> int:
        """How many items were put, over all runs."""
        return self.store.counts[_ACCEPTED]

    @property
    def handed(self) -> int:
        """How many outcomes were handed over, over all runs."""
        return self.store.counts[_HANDED]

    # -- what there is -----------------------------------------------------------------------------------------------

    def pending(self) -> list[Row]:
        """What was accepted and not handed over, in its order. Any thread. Raises JournalError."""
        sql = f"{_COLUMNS} WHERE state != {HANDED} ORDER BY seq"
        return reading(self.writer, lambda store: self._rows(store, store.read(sql)))  # type: ignore[no-any-return]

    def find(self, id: Any) -> Row | None:
        """What the file has of an own id, as it is committed. Any thread. Raises JournalError."""
        sql = f"{_COLUMNS} WHERE id = ?"
        found = reading(self.writer, lambda store: self._rows(store, store.read(sql, (column_of(id),))))
        return found[0] if found else None

    def id_of(self, item: Any) -> Any:
        """The own id of an item. Raises what item_id raises, TypeError or ValueError for what is no id."""
        assert self._item_id is not None
        return asked_id(self._item_id, item)

    def encoded(self, item: Any) -> tuple[int, Data]:
        """Form and data of an item, for `accept`. Raises PicklingError, which names the path."""
        try:
            form, data = encode(item)
            raw(data)
            return form, data
        except Exception as error:
            what = f"the item, which the journal {self.path} is to keep"
            raise paths.pickling_error(what, item, error, pickled) from error

    def _rows(self, store: Store, rows: list[tuple[Any, ...]]) -> list[Row]:
        return [self._row(store, *row) for row in rows]

    def _row(self, store: Store, seq: int, column: Any, form: Any, item_sum: Any, item: Any, *row: Any) -> Row:
        state = row[0]
        whole_item = type(item) in (str, bytes) or (item is None and state == HANDED)
        if state not in (ACCEPTED, DONE, FAILED, HANDED) or not whole_item:
            raise _unsound(self.path, seq)
        if item_sum != item_checksum(seq, column, form, item):
            raise _unsound(self.path, seq)
        outcome = PENDING
        if state == ACCEPTED:
            if row[1] != checksum(ACCEPTED, 0, b"", seq):
                raise _unsound(self.path, seq)
        else:
            outcome = recalled(store, seq, seq, seq, row, lambda: self._later(seq))
        return Row(self, seq, id_of(column), (form, item), outcome, state == HANDED)

    def _later(self, seq: int) -> Any:
        return reading(self.writer, lambda store: whole(store, seq, seq, seq))

    # -- what happens ------------------------------------------------------------------------------------------------
    # Any thread; nothing is waited for. A ticket is settled when it is committed, or lost.

    def accept(self, rows: Sequence[Accepted], ticket: Ticket | None) -> None:
        """Keep items that were put. No two have one number; one that is left out is not counted."""
        self.writer.post(_Accept(rows, ticket))

    def record(
        self, entries: Sequence[Entry], then: Callable[[list[Any]], object], lost: Callable[[JournalError], object]
    ) -> None:
        """Keep outcomes of accepted items; as `MapJournal.record`. What does not count stays accepted."""
        self.writer.post(_Record(self.path, entries, then, lost))

    def handed_over(self, seqs: Sequence[int], ticket: Ticket | None = None) -> None:
        """The outcomes of these were handed over; of those among them that were recorded."""
        self.writer.post(_Handed(seqs, ticket, self.own_ids))

    def drop(self, seqs: Sequence[int], ticket: Ticket | None = None) -> None:
        """These never run again, and are forgotten."""
        self.writer.post(_Dropped(seqs, ticket))


def item_checksum(seq: int, column: Any, form: Any, item: Data | None) -> int:
    """Of what a row has of its item; `column` is its own id there."""
    return checksum(ACCEPTED, form or 0, b"" if item is None else raw(item), start_of(seq, column))


def _unsound(path: str, seq: int) -> JournalError:
    return damaged(path, f"item {seq} is not what was written")


class _Ticketed(Job):
    """A job that at most a ticket waits for."""

    __slots__ = ("_ticket",)

    def __init__(self, ticket: Ticket | None) -> None:
        self._ticket = ticket

    def then(self) -> None:
        if self._ticket is not None:
            self._ticket.settle()

    def lost(self, error: JournalError) -> None:
        if self._ticket is not None:
            self._ticket.settle(error)


class _Accept(_Ticketed):
    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Accepted], ticket: Ticket | None) -> None:
        super().__init__(ticket)
        self._rows = rows

    def prepare(self, run: int) -> int:
        return FULLY if self._rows else NOTHING

    def write(self, store: Store) -> None:
        rows = []
        for seq, id, form, data in self._rows:
            column = column_of(id)
            sums = checksum(ACCEPTED, 0, b"", seq), item_checksum(seq, column, form, data)
            rows.append((seq, column, ACCEPTED, sums[0], store.run, form, sums[1], data))
        statements.in_steps(store.connection, _ACCEPT, rows)
        store.count(_ACCEPTED, len(rows))
        store.count(_NEXT, max(0, max(row[0] for row in rows) + 1 - store.counted(_NEXT)))


class _Record(Record):
    __slots__ = ()

    statement = staticmethod(_RECORD)

    def keep(self, key: int, outcome: Any, item: Shown, run: int) -> Any:
        outcome, columns = kept(self.path, key, key, outcome, item)
        if columns is not None:
            self.rows.append((key, *columns, run))
        return outcome


class _Handed(_Ticketed):
    __slots__ = ("_own_ids", "_seqs")

    def __init__(self, seqs: Sequence[int], ticket: Ticket | None, own_ids: bool) -> None:
        super().__init__(ticket)
        self._seqs = seqs
        self._own_ids = own_ids

    def prepare(self, run: int) -> int:
        return LAZILY if self._seqs else NOTHING

    def write(self, store: Store) -> None:
        if self._own_ids:
            count = sum([self._keep(store, seq) for seq in self._seqs])
        else:
            count = statements.in_steps(store.connection, _HAND_OVER, [(seq,) for seq in self._seqs])
        if count:
            store.count(_HANDED, count)

    def _keep(self, store: Store, seq: int) -> int:
        """With an id of its own it may be put again: the item goes, its outcome stays."""
        found = store.connection.execute("SELECT id, state FROM items WHERE seq = ?", (seq,)).fetchone()
        if found is None or found[1] not in (DONE, FAILED):
            return 0
        new = f"state = {HANDED}, sum = sum + ?, item = NULL, item_form = NULL, item_sum = ?"
        words = (HANDED - found[1]) * STEP, item_checksum(seq, found[0], None, None), seq
        store.connection.execute(f"UPDATE items SET {new} WHERE seq = ?", words)
        return 1


class _Dropped(_Ticketed):
    __slots__ = ("_seqs",)

    def __init__(self, seqs: Sequence[int], ticket: Ticket | None) -> None:
        super().__init__(ticket)
        self._seqs = seqs

    def prepare(self, run: int) -> int:
        return LAZILY if self._seqs else NOTHING

    def write(self, store: Store) -> None:
        statements.in_steps(store.connection, _DROP, [(seq,) for seq in self._seqs])


__all__ = ["QueueJournal", "Row", "Ticket"]
