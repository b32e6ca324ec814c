"""What an imap's and a SpinOff's journal share: being opened, in steps that are undone when one fails, and closed."""

from __future__ import annotations

from abc import abstractmethod

from procession.journal import files, statements
from procession.journal.comparing import described
from procession.journal.locking import Lock
from procession.journal.refusals import explained
from procession.journal.store import open_store
from procession.journal.writer import FULLY, NOTHING, Job, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from procession.errors import JournalError
    from procession.journal import Journal
    from procession.journal.identity import Identity
    from procession.journal.outcomes import Shown
    from procession.journal.store import Store

ID_RANGE = 1 << 63


class Opened:
    """A journal that is this program's now: the store, and its writer."""

    def __init__(self, settings: Journal, kind: str, identity: Identity, own_ids: bool) -> None:
        """Raises JournalError; nothing is held then."""
        real = files.real(settings.path)
        lock = Lock(real)
        store = writer = None
        try:
            store = open_store(settings, real)
            self.begin(store, described(kind, identity, own_ids, settings.version), settings.force)
            self.writer = writer = Writer(store, lock)
            writer.start()
        except BaseException as error:
            if writer is not None and writer.started:  # a signal has struck
                writer.close("interrupted", wait=False)
                raise
            if store is not None:
                store.rollback()
                store.close()
            lock.release()
            if isinstance(error, Exception):
                raise explained(settings.path, "opening it", error) from error
            raise
        self.store = store
        self.path = settings.path
        self.own_ids = own_ids

    def begin(self, store: Any, identity: dict[str, Any], force: bool) -> None:
        """Enter this run; who needs more from the file asks for it here."""
        store.begin_run(identity, force)

    @property
    def failed(self) -> JournalError | None:
        """Why it takes no more; None while it does."""
        return self.writer.failed

    def close(self, how: str = "finished", wait: bool = True) -> None:
        """What was posted is still committed; then the file and its lock are let go. May be called again.

        how: a word for people, how the run ended. wait: for all that; only by a thread that may.
        """
        self.writer.close(how, wait)


class Record(Job):
    """Outcomes to be kept. `then` is told what is handed over; what was written leaves `rows`."""

    __slots__ = ("_entries", "_lost", "_then", "outcomes", "path", "rows")

    statement: Callable[[int], str]
    """What writes `rows`, see `statements`; a staticmethod."""

    def __init__(self, path: str, entries: Sequence[tuple[Any, Any, Shown]], then: Any, lost: Any) -> None:
        self.path = path
        self._entries = entries
        self._then = then
        self._lost = lost
        self.outcomes: list[Any] = []
        self.rows: list[tuple[Any, ...]] = []

    @abstractmethod
    def keep(self, key: Any, outcome: Any, item: Shown, run: int) -> Any:
        """Add what is to be written of one to `rows`, if it is kept; returns what is handed over."""

    def prepare(self, run: int) -> int:
        """See `Job`."""
        self.outcomes += [self.keep(*entry, run) for entry in self._entries]
        return FULLY if self.rows else NOTHING

    def write(self, store: Store) -> None:
        """See `Job`."""
        statements.in_steps(store.connection, self.statement, self.rows)
        self.rows = []

    def then(self) -> None:
        """See `Job`."""
        self._then(self.outcomes)

    def lost(self, error: JournalError) -> None:
        """See `Job`."""
        self._lost(error)


def column_of(id: Any) -> Any:
    """An own id as the file has it: int, text, or bytes that say by their first one what they are."""
    if type(id) is str:
        try:
            id.encode()
        except UnicodeEncodeError:
            return b"s" + id.encode("utf-8", "surrogatepass")
        return id
    return b"b" + id if type(id) is bytes else id


def id_of(column: Any) -> Any:
    """The own id again."""
    if type(column) is not bytes:
        return column
    return column[1:] if column[:1] == b"b" else column[1:].decode("utf-8", "surrogatepass")


def asked_id(item_id: Callable[[Any], Any], item: Any) -> Any:
    """What `item_id(item)` gives, checked. Raises what that raises, and TypeError or ValueError that names item_id."""
    id = item_id(item)
    kind = type(id)
    if kind is str or kind is bytes:
        return id
    if kind is bool or not isinstance(id, (int, str, bytes)):
        raise TypeError(f"item_id must give a str, an int or bytes, the same in each run; got {kind.__name__}")
    if isinstance(id, int):
        id = int(id)
        if not -ID_RANGE <= id < ID_RANGE:
            raise ValueError(f"item_id must give an int of 64 bits, or a str; got {id}")
        return id
    return str(id) if isinstance(id, str) else bytes(id)


__all__ = ["Opened", "asked_id", "column_of", "id_of"]
