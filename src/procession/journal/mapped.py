"""The journal of an imap: each item's outcome, by its position or by an id of its own.

Laws
1. An outcome of an earlier run is recalled only for the same item: at its position, if the digests agree; or by its id.
2. `then` is called when the outcomes are committed, in the order of `record`; see `writer`.
3. Two items of one run that have one id are found, and what was asked may be asked again. Of ids there are in memory
   only those of items under way; what was recorded in this run is found in the file, and of outcomes of earlier runs
   there is a number each, which says by which position they were recalled.

Why none falls between: `recall` first looks who is under way, then into the file; an item ends to be under way after
its commit.
"""

from __future__ import annotations

from array import array
from functools import partial

from procession.journal import statements
from procession.journal.comparing import MAP
from procession.journal.identity import digest
from procession.journal.opening import Opened, Record, asked_id, column_of
from procession.journal.outcomes import READ, WRITTEN, kept, recalled, unsound, whole
from procession.journal.refusals import damaged, refusal, shown
from procession.journal.store import DONE, FAILED
from procession.journal.values import PENDING, start_of
from procession.journal.writer import reading
from procession.types import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from procession.errors import JournalError
    from procession.journal import Journal
    from procession.journal.identity import Identity
    from procession.journal.outcomes import Shown
    from procession.journal.store import Store

    Key = tuple[int, Any]
    """Its position, and its digest or its own id."""
    Entry = tuple[Key, Any, Shown]

_INSERT = statements.insert(("seq", "id", "digest", "place", "run", *WRITTEN), "INSERT OR REPLACE")
_BY_PLACE = f"SELECT seq, digest, {READ} FROM items WHERE seq BETWEEN ? AND ?"
_BY_ID = f"SELECT seq, id, run, {READ} FROM items WHERE id IN (%s)"
_AT_ONCE = 500  # ids in one question


class MapJournal(Opened):
    """See the module.

    Attributes:
        known: how many outcomes of earlier runs there are to be recalled.
        failed: why it takes no more, a JournalError; None while it does.
    """

    @classmethod
    def open(
        cls, settings: Journal, identity: Identity, item_id: Callable[[Any], Any] | None, failures: bool
    ) -> MapJournal:
        """Open or make the file. failures: failures of earlier runs are recalled, too; else these items run again.

        Raises JournalError; nothing is held then.
        """
        return cls(settings, identity, item_id, failures)

    def __init__(
        self, settings: Journal, identity: Identity, item_id: Callable[[Any], Any] | None, failures: bool
    ) -> None:
        self.known = 0
        self._item_id = item_id
        self._last = FAILED if failures else DONE
        self._under_way: dict[Any, int] = {}  # the position of each id
        self._recalled = array("q")  # by seq: the position that it was recalled for, and 1
        super().__init__(settings, MAP, identity, item_id is not None)

    def begin(self, store: Store, identity: dict[str, Any], force: bool) -> None:
        """Enter this run, and count what there is."""
        super().begin(store, identity, force)
        sql = "SELECT count(*) FROM items WHERE state BETWEEN ? AND ?"
        ((self.known,),) = store.read(sql, (DONE, self._last))
        if self._item_id is not None:
            ((most,),) = store.read("SELECT coalesce(max(seq), 0) FROM items")
            self._recalled = array("q", bytes(8 * (most + 1)))

    @property
    def asks(self) -> bool:
        """Whether `recall` needs to be asked: there is something to be recalled, or ids may be there twice."""
        return self.known > 0 or self._item_id is not None

    # -- asked by who pulls ------------------------------------------------------------------------------------------

    def key_of(self, position: int, item: Any) -> Key:
        """How the file knows this item. Raises what `item_id` raises, and TypeError or ValueError for what is no id."""
        if self._item_id is None:
            return position, digest(item)
        return position, asked_id(self._item_id, item)

    def recall(self, first: int, keys: Sequence[Key], items: Sequence[Any] = ()) -> list[Any]:
        """For each key its outcome of an earlier run, or PENDING; a value, a `Raised`, or a `Recalled` for a large one.

        A `Raised` with a JournalError stands for another item than there was at its position, and for an id that
        another item of this run had. items: those from position `first` on, to be named then. Any thread, one at a
        time; the same may be asked again. Raises JournalError when the file cannot be read.
        """
        if self._item_id is not None:
            return self._by_id(keys)
        if not self.asks or not keys:
            self.writer.check()
            return [PENDING] * len(keys)
        return reading(self.writer, lambda store: self._by_place(store, first, keys, items))  # type: ignore[no-any-return]

    def _by_place(self, store: Store, first: int, keys: Sequence[Key], items: Sequence[Any]) -> list[Any]:
        rows = {row[0]: row for row in store.read(_BY_PLACE, (keys[0][0], keys[-1][0]))}
        found: list[Any] = []
        for place, now in keys:
            row = rows.get(place)
            if row is None:
                found.append(PENDING)
                continue
            was = row[1]
            outcome = self._outcome(store, place, start_of(place, was), row[0], row[2:])
            if was is not None and now is not None and was != now:
                at = place - first
                told = f": it is {shown(items[at])} now" if 0 <= at < len(items) else ""
                text = (
                    f"its input was another one: item {place} is not what it was{told}. Give the same input, or take "
                )
                outcome = Raised(
                    refusal(self.path, f"{text}another file; or say with item_id what makes an item the same")
                )
            found.append(outcome)
        return found

    def _by_id(self, keys: Sequence[Key]) -> list[Any]:
        self.writer.check()
        found: list[Any] = [PENDING] * len(keys)
        asked: dict[Any, int] = {}
        for at, (place, id) in enumerate(keys):
            there = self._under_way.get(id)
            if id in asked or (there is not None and there != place):
                found[at] = self._twice(id)
            elif there is None:
                asked[id] = at
        ids = list(asked)
        for first in range(0, len(ids), _AT_ONCE):
            columns = {column_of(id): id for id in ids[first : first + _AT_ONCE]}
            sql = _BY_ID % ", ".join("?" * len(columns))
            places = {column: keys[asked[id]][0] for column, id in columns.items()}
            for column, outcome in reading(self.writer, partial(self._rows, sql=sql, ids=columns, places=places)):
                found[asked[columns[column]]] = outcome
        for id, at in asked.items():
            if found[at] is PENDING:
                self._under_way[id] = keys[at][0]
        return found

    def _rows(self, store: Store, *, sql: str, ids: dict[Any, Any], places: dict[Any, int]) -> list[tuple[Any, Any]]:
        """What there is of these ids, by how the file has them: an outcome, or PENDING."""
        found = []
        for seq, column, run, *rest in store.read(sql, tuple(ids)):
            if column not in ids:
                raise damaged(self.path, "its index of ids leads to another item")
            id, place = ids[column], places[column]
            mark = self._recalled[seq] if 0 <= seq < len(self._recalled) else 0
            if run == store.run or (mark and mark != place + 1):
                found.append((column, self._twice(id)))
                continue
            outcome = self._outcome(store, id, start_of(column), seq, tuple(rest))
            if outcome is not PENDING:
                self._recalled[seq] = place + 1
            found.append((column, outcome))
        return found

    def _twice(self, id: Any) -> Raised:
        text = f"two items of this input have the id {shown(id)}, by item_id; give each its own"
        return Raised(refusal(self.path, text))

    def _outcome(self, store: Store, name: Any, start: int, seq: int, row: tuple[Any, ...]) -> Any:
        state = row[0]
        if state not in (DONE, FAILED):
            raise unsound(self.path, name)
        outcome = recalled(store, name, start, seq, row, lambda: self._later(name, start, seq))
        return outcome if state <= self._last else PENDING

    def _later(self, name: Any, start: int, seq: int) -> Any:
        return reading(self.writer, lambda store: whole(store, name, start, seq))

    # -- told by whoever hears of outcomes ---------------------------------------------------------------------------

    def record(
        self,
        entries: Sequence[Entry],
        then: Callable[[list[Any]], object],
        lost: Callable[[JournalError], object],
    ) -> None:
        """Keep outcomes: of each its key, the outcome, and what shows the item, for failures (text, or makes it).

        Then, on the writer's thread, `then(outcomes)`: what is to be handed over, in order. It is what was given, but
        for what could not be pickled, which has become a `Raised`. Or `lost(error)`. Any thread; waits for nothing.
        """
        under_way = None if self._item_id is None else self._under_way
        self.writer.post(_Record(self.path, under_way, entries, then, lost))


class _Record(Record):
    __slots__ = ("_ids", "_under_way")

    statement = staticmethod(_INSERT)

    def __init__(
        self, path: str, under_way: dict[Any, int] | None, entries: Sequence[Entry], then: Any, lost: Any
    ) -> None:
        super().__init__(path, entries, then, lost)
        self._under_way = under_way
        self._ids: list[Any] = []  # of what is recorded

    def keep(self, key: Key, outcome: Any, item: Shown, run: int) -> Any:
        place, mark = key
        if self._under_way is None:
            outcome, columns = kept(self.path, place, start_of(place, mark), outcome, item)
            if columns is not None:
                self.rows.append((place, None, mark, None, run, *columns))
            return outcome
        column = column_of(mark)
        outcome, columns = kept(self.path, mark, start_of(column), outcome, item)
        if columns is not None:
            self.rows.append((None, column, None, place, run, *columns))
            self._ids.append(mark)
        return outcome

    def then(self) -> None:
        if self._under_way is not None:
            for id in self._ids:
                self._under_way.pop(id, None)
        super().then()


__all__ = ["MapJournal"]
