"""Values as a journal keeps them: JSON where exactly the same comes back, else a pickle.

Laws
1. `decode(*encode(value))` is equal to `value`, and everything in it has the type that it had. So JSON is for exact
   None, bool, int, float, str, and for lists and dicts with str keys of these, each of which is there once. What strict
   JSON does not have (NaN, lone surrogates, numbers of thousands of digits, tuples, what refers to itself) is pickled.
2. Nothing is unpickled in a file that others can write: `decode` is told whether it may.

Encoding and checksums are most of what an outcome costs, and they hold up whoever else needs the interpreter: hence the
encoder that is made once, and the loops without generators.
"""

from __future__ import annotations

import json
import pickle
from json import encoder as _encoder
from zlib import crc32

from procession.transport import remote
from procession.transport.pickler import dumps as dumps_by_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Data = str | bytes

JSON, PICKLE, ERROR = 1, 2, 3
"""Forms: text, a pickle of the value, an exception (`transport.remote`)."""

LARGEST = 900_000_000
"""Bytes of one value; SQLite takes no more than 10^9 in a row."""

_LEAVES = frozenset({type(None), bool, int, float, str})
_WORDS = frozenset({str})


class _Pending:
    """There is no outcome yet."""

    def __repr__(self) -> str:
        return "PENDING"

    def __reduce__(self) -> str:
        return "PENDING"


PENDING: Any = _Pending()


class Untrusted(Exception):
    """It is a pickle, and the file is not its user's alone."""


def _writer() -> Callable[[Any], str]:
    """From a list or dict to strict JSON; raises ValueError for NaN and infinities."""
    made = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
    make: Any = getattr(_encoder, "c_make_encoder", None)
    if make is None:
        return made.encode
    text_of = getattr(_encoder, "encode_basestring")  # noqa: B009  # no checker knows it
    write = make(None, made.default, text_of, None, ":", ",", False, False, False)
    return lambda value: "".join(write(value, 0))


_write = _writer()
_text = json.JSONEncoder(ensure_ascii=False).encode
_scan: Callable[[str, int], tuple[Any, int]] = getattr(json.JSONDecoder(), "scan_once")  # noqa: B009
_CONSTANTS = {None: "null", True: "true", False: "false"}


def encode(value: Any) -> tuple[int, Data]:
    """Form and data. Raises what pickle raises, and OverflowError for what is larger than LARGEST."""
    kind = type(value)
    try:
        if kind is int:
            return JSON, str(value)
        if kind is str:
            text = _text(value)
            if text.isascii() or text.encode():
                return _small(text) or _pickled(value)
        elif kind is dict or kind is list:
            if _holds(value):
                text = _write(value)
                if text.isascii() or text.encode():
                    return _small(text) or _pickled(value)
        elif kind is float:
            if value - value == 0.0:
                return JSON, repr(value)
        elif kind is bool or value is None:
            return JSON, _CONSTANTS[value]
    except (ValueError, RecursionError):  # NaN inside; lone surrogates; too many digits; too deep
        pass
    return _pickled(value)


def _small(text: str) -> tuple[int, Data] | None:
    return (JSON, text) if len(text) * 4 <= LARGEST else None


def _pickled(value: Any) -> tuple[int, Data]:
    data = pickled(value)
    if len(data) > LARGEST:
        raise OverflowError(f"its pickle has {len(data):,} bytes, and {LARGEST:,} are the most that a journal keeps")
    return PICKLE, data


def _holds(value: Any) -> bool:
    """Can JSON hold this list or dict? Its numbers and strings are looked at when they are written."""
    seen: set[int] = set()
    stack = [value]
    while stack:
        part = stack.pop()
        if id(part) in seen:
            return False  # there twice: it would come back as two
        seen.add(id(part))
        if type(part) is dict:
            if not _WORDS.issuperset(map(type, part)):
                return False
            part = part.values()
        kinds = set(map(type, part))
        if kinds <= _LEAVES:
            continue
        kinds -= _LEAVES
        if not kinds <= {list, dict}:
            return False
        for each in part:
            if type(each) is list or type(each) is dict:
                stack.append(each)
    return True


def pickled(value: Any) -> bytes:
    """By name where that is possible, so that it is the program's own class that comes back; else by value."""
    try:
        return pickle.dumps(value, 5)
    except Exception:
        return dumps_by_value(value)


def encode_error(error: BaseException) -> bytes:
    """An exception, with its traceback; never raises."""
    return remote.encode(error, pickled)


def raw(data: Data) -> bytes:
    """The bytes that are checked and counted."""
    return data if type(data) is bytes else data.encode()  # type: ignore[union-attr]


def decode(form: int, data: Data, trusted: bool) -> Any:
    """The value; for the form ERROR the exception. Raises Untrusted, and whatever loading it raises."""
    if form == JSON and isinstance(data, str):
        try:
            value, end = _scan(data, 0)
        except StopIteration:
            value, end = None, -1
        if end != len(data):
            raise ValueError("it is no JSON")
        return value
    if form not in (PICKLE, ERROR) or not isinstance(data, bytes):
        raise ValueError(f"there is no form {form} for {type(data).__name__}")
    if not trusted:
        raise Untrusted
    return remote.decode(data) if form == ERROR else pickle.loads(data)


# -- checksums -----------------------------------------------------------------------------------------------------

STEP = 1 << 32
"""What a row's checksum grows by when its state grows by 1: so the next one is reckoned without the row's data."""
_MASK = STEP - 1


def checksum(state: int, form: int, data: bytes, start: int, beside: tuple[Any, ...] | None = None) -> int:
    """A number that tells whether a row is what was written. start: which row it is (`start_of`)."""
    sum = crc32(data, (start << 2 | form) & _MASK)
    if beside is not None:
        sum = crc32(repr(beside).encode("utf-8", "surrogatepass"), sum)
    return sum + state * STEP


def start_of(place: Any, mark: Any = None) -> int:
    """Where the checksum of a row begins: what is known by this number, text or bytes, and has this beside."""
    start: int = place if type(place) is int else crc32(raw(place))
    if mark is not None:
        start = crc32(mark if type(mark) is bytes else repr(mark).encode("utf-8", "surrogatepass"), start & _MASK)
    return start
