"""Values as a journal keeps them: JSON where exactly the same comes back, else a pickle.

Laws
1. `decode(*encode(value))` is equal to `value`, and everything in it has the type that it had. So JSON is for exact
   None, bool, int, float, str, and for lists and dicts with str keys of these, each of which is there once. What strict
   JSON does not have (NaN, lone surrogates, very large numbers, tuples, what refers to itself) is pickled.
2. Nothing is unpickled in a file that others can write: `decode` is told whether it may.
"""

from __future__ import annotations

import json
import pickle
from zlib import crc32

from procession.transport import remote
from procession.transport.pickler import dumps as dumps_by_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Data = str | bytes

JSON, PICKLE, ERROR = 1, 2, 3
"""Forms: text, a pickle of the value, an exception (`transport.remote`)."""

LARGEST = 900_000_000
"""Bytes of one value; SQLite takes no more than 10^9 in a row."""

_BITS = 2000  # of an int; an interpreter may be told to read no more than 640 digits
_LEAVES = frozenset({type(None), bool, float, str})


class _Pending:
    """There is no outcome yet."""

    def __repr__(self) -> str:
        return "PENDING"

    def __reduce__(self) -> str:
        return "PENDING"


PENDING: Any = _Pending()


class Untrusted(Exception):
    """It is a pickle, and the file is not its user's alone."""


_write = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode
_read = json.JSONDecoder().decode


def encode(value: Any) -> tuple[int, Data]:
    """Form and data. Raises what pickle raises, and OverflowError for what is larger than LARGEST."""
    kind = type(value)
    if kind is int:  # the most frequent
        if value.bit_length() <= _BITS:
            return JSON, str(value)
    elif kind in _LEAVES or kind is list or kind is dict:
        text = _json(value)
        if text is not None:
            return JSON, text
    data = pickled(value)
    if len(data) > LARGEST:
        raise OverflowError(f"its pickle has {len(data):,} bytes, and {LARGEST:,} are the most that a journal keeps")
    return PICKLE, data


def _json(value: Any) -> str | None:
    """The text, if exactly this comes back from it."""
    try:
        if type(value) not in _LEAVES and not _holds(value, set()):
            return None
        text = _write(value)
        if not text.isascii():
            text.encode()
    except (ValueError, RecursionError):  # NaN; lone surrogates; too deep
        return None
    return text if len(text) * 4 <= LARGEST else None


def _holds(value: Any, seen: set[int]) -> bool:
    """Can JSON hold this list or dict? Its floats and strings are looked at when they are written."""
    if id(value) in seen:
        return False  # there twice: it would come back as two
    seen.add(id(value))
    if type(value) is dict:
        if not _only(str, value):
            return False
        parts: Any = value.values()
    else:
        parts = value
    kinds = set(map(type, parts))
    if _LEAVES.issuperset(kinds):
        return True
    for part in parts:
        kind = type(part)
        if kind is int:
            if part.bit_length() > _BITS:
                return False
        elif kind is list or kind is dict:
            if not _holds(part, seen):
                return False
        elif kind not in _LEAVES:
            return False
    return True


def _only(kind: type, values: Any) -> bool:
    return all(type(each) is kind for each in values)


def pickled(value: Any) -> bytes:
    """By name where that is possible, so that it is the program's own class that comes back; else by value."""
    try:
        return pickle.dumps(value, 5)
    except Exception:
        return dumps_by_value(value)


def encode_error(error: BaseException) -> bytes:
    """An exception, with its traceback; never raises."""
    return remote.encode(error, pickled)


def size_of(data: Data) -> int:
    """In bytes."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())


def decode(form: int, data: Data, trusted: bool) -> Any:
    """The value; for the form ERROR the exception. Raises Untrusted, and whatever loading it raises."""
    if form == JSON and isinstance(data, str):
        return _read(data)
    if form not in (PICKLE, ERROR) or not isinstance(data, bytes):
        raise ValueError(f"there is no form {form} for {type(data).__name__}")
    if not trusted:
        raise Untrusted
    return remote.decode(data) if form == ERROR else pickle.loads(data)


def checksum(state: int, data: Data | None, *beside: Any) -> int:
    """A number that tells whether a row is what was written; `beside`: what is in it beside the data.

    The state is in it in plain, so that the row's next state can be reckoned without its data (STEP).
    """
    crc = crc32(repr(beside).encode("utf-8", "surrogatepass"))
    if data is not None:
        crc = crc32(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data, crc)
    return crc + state * STEP


STEP = 1 << 32
"""What a row's checksum grows by when its state grows by 1."""
