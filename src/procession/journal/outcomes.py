"""What is an outcome, and how it stands in a row.

Laws
1. A failure is an outcome, unless it says nothing about the item (`counts`).
2. A row says by a checksum whether it is what was written; what is not is a JournalError, never a value.
"""

from __future__ import annotations

import signal
from concurrent.futures import BrokenExecutor, CancelledError

from procession.errors import JournalError, MemoryLimit, RemoteError, WorkerDied
from procession.journal.refusals import clean, damaged, shown
from procession.journal.store import DONE, FAILED
from procession.journal.values import ERROR, STEP, checksum, encode, encode_error, pickled, size_of
from procession.transport import paths
from procession.transport.remote import full_name, text_of
from procession.types import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from procession.journal.store import Store
    from procession.journal.values import Data

LARGE = 1 << 16
"""Bytes from which on an outcome is read only when it is wanted."""

_ENDED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def counts(error: BaseException) -> bool:
    """Does this say something about the item? Not if somebody, or the machine, has ended its run, or there was none."""
    if isinstance(error, MemoryLimit):
        return True
    if isinstance(error, WorkerDied):
        return error.signal not in _ENDED
    if isinstance(error, RemoteError):  # among them those whose values could not be rebuilt
        return True
    return not isinstance(error, (CancelledError, BrokenExecutor, JournalError, KeyboardInterrupt))


class Kept:
    """An outcome as a row has it: the columns of WRITTEN, in this order."""

    __slots__ = ("columns", "outcome")

    def __init__(self, outcome: Any, columns: tuple[Any, ...]) -> None:
        self.outcome = outcome
        """What is handed over: what was given, or what has become of what cannot be kept."""
        self.columns = columns


WRITTEN = "state, sum, form, size, tries, shown, error_type, error_text, traceback, outcome"


def kept(path: str, key: Any, beside: Any, outcome: Any, item: Callable[[], str] | str | None) -> Kept | None:
    """`outcome` as a row; None for one that does not count. Never raises.

    key: how the item is known to people. beside: what of the row the checksum is to cover as well.
    """
    if outcome.__class__ is not Raised:
        try:
            form, data = encode(outcome)
        except BaseException as error:
            return _failed(beside, Raised(_unkept(path, key, outcome, error)), item)
        size = size_of(data)
        return Kept(outcome, (DONE, checksum(DONE, data, beside, form), form, size, *(None,) * 5, data))
    return _failed(beside, outcome, item) if counts(outcome.error) else None


def _unkept(path: str, key: Any, outcome: Any, error: BaseException) -> BaseException:
    what = f"the result of item {key!r}, which the journal {path} was to keep"
    if not isinstance(error, Exception):
        return error
    try:
        found = paths.pickling_error(what, outcome, error, pickled)
    except Exception:
        from procession.errors import PicklingError

        found = PicklingError(f"{what}, cannot be pickled: {error}")
    found.__cause__ = error
    return found


def _failed(beside: Any, outcome: Raised, item: Callable[[], str] | str | None) -> Kept:
    error, tries = outcome.error, outcome.attempts
    data = encode_error(error)
    about = _about(error)
    told = _item(item)
    sum = checksum(FAILED, data, beside, ERROR, tries, told, *about)
    return Kept(outcome, (FAILED, sum, ERROR, len(data), tries, told, *about, data))


def _about(error: BaseException) -> tuple[str, str, str]:
    import traceback

    try:
        lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException:
        lines = ""
    return clean(full_name(type(error))), clean(text_of(error)), clean(lines)


def _item(item: Callable[[], str] | str | None) -> str | None:
    if item is None or isinstance(item, str):
        return None if item is None else clean(item)
    try:
        return clean(item())
    except BaseException as error:
        return f"<its repr failed: {type(error).__name__}>"


# -- back ----------------------------------------------------------------------------------------------------------

WHOLE = WRITTEN
"""What is read of a row."""
READ = WRITTEN.removesuffix("outcome") + f"CASE WHEN size <= {LARGE} THEN outcome END"
"""The same, without a large outcome."""


class Recalled:
    """A large outcome of an earlier run, which lies in the file until `load`."""

    __slots__ = ("_load", "size")

    def __init__(self, size: int, load: Callable[[], Any]) -> None:
        self.size = size
        """Bytes that it has in the file."""
        self._load = load

    def load(self) -> Any:
        """The outcome: a value or a `Raised`. A `Raised` with a JournalError when it cannot be read (any more)."""
        try:
            return self._load()
        except JournalError as error:
            return Raised(error)


def recalled(store: Store, what: str, beside: Any, row: tuple[Any, ...], later: Callable[[], Any]) -> Any:
    """The outcome of a row (the columns of READ), or a Recalled that calls `later`. Raises JournalError."""
    if type(row[3]) is int and row[3] > LARGE and row[9] is None:
        return Recalled(row[3], later)
    return outcome_of(store, what, beside, row)


def outcome_of(store: Store, what: str, beside: Any, row: tuple[Any, ...]) -> Any:
    """The outcome of a row with its data."""
    form, tries, data = row[2], row[4], row[9]
    checked(store.path, what, beside, row)
    value = store.load(form, data, what)
    return Raised(value, tries) if form == ERROR else value


def checked(path: str, what: str, beside: Any, row: tuple[Any, ...]) -> None:
    """Raise JournalError unless the row is what was written."""
    state, sum, form, size, tries, told, *about, data = row
    more = (tries, told, *about) if form == ERROR else ()
    if not _sound(state, sum, form, size, data) or sum != checksum(state, data, beside, form, *more):
        raise damaged(path, f"{what} is not what was written")


def _sound(state: Any, sum: Any, form: Any, size: Any, data: Data) -> bool:
    whole = type(state) is type(sum) is type(form) is type(size) is int and type(data) in (str, bytes)
    return (
        whole and size_of(data) == size and (form == ERROR) == (state == FAILED or (form == ERROR and state > FAILED))
    )


__all__ = [
    "LARGE",
    "READ",
    "STEP",
    "WHOLE",
    "WRITTEN",
    "Kept",
    "Recalled",
    "checked",
    "counts",
    "kept",
    "outcome_of",
    "recalled",
    "shown",
]
