"""The journal of an imap: each item's outcome, by its position or by an id of its own.

Laws
1. An outcome of an earlier run is recalled only for the same item: at its position, if the digests agree; or by its id.
2. `then` is called when the outcomes are committed, in the order of `record`; see `writer`.
"""

from __future__ import annotations

from procession.journal.comparing import MAP
from procession.journal.identity import digest
from procession.journal.opening import Opened, asked_id, column_of, id_of
from procession.journal.outcomes import READ, WHOLE, WRITTEN, Kept, kept, outcome_of, recalled
from procession.journal.refusals import damaged, refusal, shown
from procession.journal.store import DONE, FAILED
from procession.journal.values import PENDING
from procession.journal.writer import FULLY, NOTHING, Job, reading
from procession.types import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from procession.errors import JournalError
    from procession.journal import Journal
    from procession.journal.identity import Identity
    from procession.journal.store import Store

    Key = Any
    """(position, digest), or an own id."""
    Entry = tuple[Key, Any, Callable[[], str] | str | None]

_INSERT = f"INSERT OR REPLACE INTO items (seq, id, digest, run, {WRITTEN}) VALUES ({', '.join('?' * 14)})"
_BY_PLACE = f"SELECT seq, digest, {READ} FROM items WHERE seq BETWEEN ? AND ?"
_BY_ID = f"SELECT id, digest, {READ} FROM items WHERE id IN (%s)"
_AT_ONCE = 500  # ids in one question


class MapJournal(Opened):
    """See the module.

    Attributes:
        known: how many outcomes of earlier runs there are to be recalled.
        asks: whether `recall` needs to be asked: there are such, or ids that may be there twice.
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
        self.asks = True
        self._item_id = item_id
        self._last = FAILED if failures else DONE
        self._seen: set[Any] = set()
        super().__init__(settings, MAP, identity, item_id is not None)

    def begin(self, store: Store, identity: dict[str, Any], force: bool) -> None:
        """Enter this run, and count what there is."""
        super().begin(store, identity, force)
        sql = "SELECT count(*) FROM items WHERE state BETWEEN ? AND ?"
        ((self.known,),) = store.read(sql, (DONE, self._last))
        self.asks = self.known > 0 or self._item_id is not None

    # -- asked by who pulls ------------------------------------------------------------------------------------------

    def key_of(self, position: int, item: Any) -> Key:
        """How the file knows this item. Raises what `item_id` raises, and TypeError or ValueError for what is no id."""
        if self._item_id is None:
            return position, digest(item)
        return asked_id(self._item_id, item)

    def recall(self, first: int, keys: Sequence[Key], items: Sequence[Any] = ()) -> list[Any]:
        """For each key its outcome of an earlier run, or PENDING; a value, a `Raised`, or a `Recalled` for a large one.

        A `Raised` with a JournalError stands for another item than there was at its position, and for an id that
        another item of this run had. first: the position of the first of them, which follow one another. items: to be
        named then. Any thread. Raises JournalError when the file cannot be read.
        """
        if not self.known:
            self.writer.check()
            found = [PENDING] * len(keys)
        else:
            found = reading(self.writer, lambda store: self._recall(store, first, keys, items))
        if self.own_ids:
            for at, id in enumerate(keys):
                if id in self._seen:
                    text = f"two items of this input have the id {shown(id)}, by item_id; give each its own"
                    found[at] = Raised(refusal(self.path, text))
                self._seen.add(id)
        return found

    def _recall(self, store: Store, first: int, keys: Sequence[Key], items: Sequence[Any]) -> list[Any]:
        found: dict[Any, Any] = {}
        if self._item_id is None:
            wanted = [key[0] for key in keys]
            for row in store.read(_BY_PLACE, (first, first + len(keys) - 1)):
                if 0 <= row[0] - first < len(keys):
                    at = row[0] - first
                    found[row[0]] = self._outcome(store, row, keys[at][1], items[at : at + 1])
        else:
            wanted = list(map(column_of, keys))
            for at in range(0, len(wanted), _AT_ONCE):
                some = wanted[at : at + _AT_ONCE]
                for row in store.read(_BY_ID % ", ".join("?" * len(some)), some):
                    found[row[0]] = self._outcome(store, row, None, ())
        return [found.get(each, PENDING) for each in wanted]

    def _outcome(self, store: Store, row: tuple[Any, ...], now: bytes | None, item: Sequence[Any]) -> Any:
        key, was, *rest = row
        what = f"the outcome of item {shown(id_of(key))}"
        made = recalled(store, what, (key, was), tuple(rest), lambda: self._later(key))
        if was is not None and now is not None and was != now:
            told = f": it is {shown(item[0])} now" if item else ""
            text = (
                f"its input was another one: item {key} is not what it was{told}. Give the same input, or take another "
            )
            return Raised(refusal(self.path, f"{text}file; or say with item_id what makes an item the same"))
        if rest[0] not in (DONE, FAILED):
            raise damaged(self.path, f"{what} is not what was written")
        return PENDING if rest[0] > self._last else made

    def _later(self, key: Any) -> Any:
        return reading(self.writer, lambda store: self._whole(store, key))

    def _whole(self, store: Store, key: Any) -> Any:
        name = "seq" if self._item_id is None else "id"
        rows = store.read(f"SELECT {name}, digest, {WHOLE} FROM items WHERE {name} = ?", (key,))
        what = f"the outcome of item {shown(id_of(key))}"
        if not rows:
            raise damaged(self.path, f"{what} is gone")
        return outcome_of(store, what, (key, rows[0][1]), rows[0][2:])

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
        self.writer.post(_Record(self.path, self._item_id is None, entries, then, lost))


class _Record(Job):
    __slots__ = ("_by_place", "_entries", "_lost", "_outcomes", "_path", "_rows", "_then")

    def __init__(self, path: str, by_place: bool, entries: Sequence[Entry], then: Any, lost: Any) -> None:
        self._path = path
        self._by_place = by_place
        self._entries = entries
        self._then = then
        self._lost = lost
        self._outcomes: list[Any] = []
        self._rows: list[tuple[Any, ...]] = []

    def prepare(self) -> int:
        for key, outcome, item in self._entries:
            place: Any
            if self._by_place:
                place, mark = key
                head = place, None, mark
            else:
                place, mark = column_of(key), None
                head = None, place, mark
            row = kept(self._path, id_of(place), (place, mark), outcome, item)
            if isinstance(row, Kept):
                self._rows.append((*head, None, *row.columns))
                outcome = row.outcome
            self._outcomes.append(outcome)
        return FULLY if self._rows else NOTHING

    def write(self, store: Store) -> None:
        run = store.run
        store.connection.executemany(_INSERT, [(*row[:3], run, *row[4:]) for row in self._rows])

    def then(self) -> None:
        self._then(self._outcomes)

    def lost(self, error: JournalError) -> None:
        self._lost(error)


__all__ = ["MapJournal"]
