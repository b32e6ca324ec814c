"""What is an outcome, and how it stands in a row.

Laws
1. A failure is an outcome, unless it says nothing about the item (`counts`).
2. A row says by a checksum whether it is what was written; what is not is a JournalError, never a value.
"""

from __future__ import annotations

import signal
from concurrent.futures import BrokenExecutor, CancelledError

from procession.errors import JournalError, MemoryLimit, PicklingError, RemoteError, TaskTimeout, WorkerDied
from procession.journal.refusals import clean, damaged, shown
from procession.journal.store import DONE, FAILED, HANDED
from procession.journal.values import ERROR, STEP, checksum, encode, encode_error, pickled, raw
from procession.transport import paths
from procession.transport.remote import full_name, text_of
from procession.types import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from procession.journal.store import Readable

    Shown = Callable[[], str] | str | None
    """What shows an item: a text, or what makes one; None: nothing does."""

LARGE = 1 << 16
"""Bytes from which on an outcome is read only when it is wanted."""

_ENDED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def counts(error: BaseException) -> bool:
    """Does this say something about the item? Not if somebody, or the machine, has ended its run, or there was none."""
    if isinstance(error, MemoryLimit):
        return True
    if isinstance(error, WorkerDied):
        # How it died is not known if who had started it died as well: then the program as a whole was ended.
        return error.signal not in _ENDED and (error.signal, error.exitcode) != (None, None)
    if isinstance(error, TaskTimeout):
        return error.where != "queued"  # it has not run
    if isinstance(error, RemoteError):  # among them those whose values could not be rebuilt
        return True
    return not isinstance(error, (CancelledError, BrokenExecutor, JournalError, KeyboardInterrupt))


# -- written -------------------------------------------------------------------------------------------------------

WRITTEN = ("state", "sum", "form", "size", "outcome", "tries", "shown", "error_type", "error_text", "traceback")
"""The columns of an outcome."""
_NOTHING = (None,) * 5


def kept(path: str, name: Any, start: int, outcome: Any, item: Shown) -> tuple[Any, tuple[Any, ...] | None]:
    """What is handed over for `outcome`, and its columns; None for one that does not count. Never raises.

    What cannot be kept has become a failure. name: how people know the item. start: see `values.start_of`.
    """
    if outcome.__class__ is not Raised:
        try:
            form, data = encode(outcome)
            bytes_of = raw(data)
        except BaseException as error:
            outcome = Raised(_unkept(path, name, outcome, error))
        else:
            return outcome, (DONE, checksum(DONE, form, bytes_of, start), form, len(bytes_of), data, *_NOTHING)
    return outcome, (_failed(start, outcome, item) if counts(outcome.error) else None)


def _unkept(path: str, name: Any, outcome: Any, error: BaseException) -> BaseException:
    what = f"the result of item {shown(name)}, which the journal {path} was to keep"
    if not isinstance(error, Exception):
        return error
    try:
        found = paths.pickling_error(what, outcome, error, pickled)
    except Exception:
        found = PicklingError(f"{what}, cannot be pickled: {error}")
    found.__cause__ = error
    return found


def _failed(start: int, outcome: Raised, item: Shown) -> tuple[Any, ...]:
    error = outcome.error
    data = encode_error(error)
    beside = (outcome.attempts, _item(item), *_about(error))
    return FAILED, checksum(FAILED, ERROR, data, start, beside), ERROR, len(data), data, *beside


def _about(error: BaseException) -> tuple[str, str, str]:
    import traceback

    try:
        lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException:
        lines = ""
    return clean(full_name(type(error))), clean(text_of(error)), clean(lines)


def _item(item: Shown) -> str | None:
    try:
        return None if item is None else clean(item if isinstance(item, str) else item())
    except BaseException as error:
        return f"<its repr failed: {type(error).__name__}>"


# -- back ----------------------------------------------------------------------------------------------------------

READ = f"state, sum, form, size, CASE WHEN size <= {LARGE} THEN outcome END"
"""What is read of a row. A large outcome, and what there is beside a failure, is read by `whole`."""
WHOLE = ", ".join(WRITTEN)


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


def recalled(store: Readable, name: Any, start: int, seq: int, row: Sequence[Any], later: Callable[[], Any]) -> Any:
    """The outcome of the row of this number (the columns of READ), or a Recalled, which calls `later`.

    Raises JournalError.
    """
    state, sum, form, size, data = row
    if data is None and type(size) is int and size > LARGE:
        return Recalled(size, later)
    if form == ERROR:
        return whole(store, name, start, seq)
    was, sum = _before(state, sum, form)
    if data is None or was != DONE or not _sound(size, data) or sum != checksum(DONE, form, raw(data), start):
        raise unsound(store.path, name)
    return store.load(form, data, f"the outcome of item {shown(name)}")


def whole(store: Readable, name: Any, start: int, seq: int) -> Any:
    """The outcome of the row of this number. Raises JournalError."""
    form, data, beside = verified(store, name, start, seq)
    value = store.load(form, data, f"the outcome of item {shown(name)}")
    return Raised(value, beside[0]) if form == ERROR else value


def verified(store: Readable, name: Any, start: int, seq: int) -> tuple[int, Any, tuple[Any, ...]]:
    """Form and data of that outcome, and what there is beside a failure (from `tries` on in WRITTEN), nothing loaded.

    Raises JournalError when it is not what was written.
    """
    rows = store.read(f"SELECT {WHOLE} FROM items WHERE seq = ?", (seq,))
    if not rows:
        raise damaged(store.path, f"the outcome of item {shown(name)} is gone")
    state, sum, form, size, data, *beside = rows[0]
    was, sum = _before(state, sum, form)
    failed = form == ERROR
    if data is None or was != (FAILED if failed else DONE) or not _sound(size, data):
        raise unsound(store.path, name)
    if sum != checksum(was, form, raw(data), start, tuple(beside) if failed else None):
        raise unsound(store.path, name)
    return form, data, tuple(beside)


def unsound(path: str, name: Any) -> JournalError:
    """The row of an item is not what was written."""
    return damaged(path, f"the outcome of item {shown(name)} is not what was written")


def _before(state: Any, sum: Any, form: Any) -> tuple[Any, Any]:
    """State and checksum as they were before it was handed over."""
    if type(state) is not int or type(sum) is not int or type(form) is not int:
        return None, None
    if state != HANDED:
        return state, sum
    was = FAILED if form == ERROR else DONE
    return was, sum - (HANDED - was) * STEP


def _sound(size: Any, data: Any) -> bool:
    kind = type(data)
    return (kind is str or kind is bytes) and size == len(raw(data))


__all__ = [
    "LARGE",
    "READ",
    "WHOLE",
    "WRITTEN",
    "Recalled",
    "counts",
    "kept",
    "recalled",
    "unsound",
    "verified",
    "whole",
]
