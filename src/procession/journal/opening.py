"""What an imap's and a SpinOff's journal share: being opened, in steps that are undone when one fails, and closed."""

from __future__ import annotations

from procession.journal import files
from procession.journal.comparing import described
from procession.journal.locking import Lock
from procession.journal.refusals import explained
from procession.journal.store import open_store
from procession.journal.writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from procession.errors import JournalError
    from procession.journal import Journal
    from procession.journal.identity import Identity

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
