"""Values as JSON: what is written for what JSON has no word for, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from procession.cli.mapping.outputs_base import NotWritable

DEEPEST = 20
"""So many levels down the value that is refused is sought; deeper, only its type is said."""


def plain(value: Any) -> Any:
    """What is written for `value`, which JSON has no word for. Raises TypeError if that would be a guess.

    Dataclasses become dicts of their fields; NumPy's scalars and arrays numbers and lists; dates and times ISO 8601;
    paths, UUIDs and Decimals text; members of an Enum their values.
    """
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__}
    if kind.__module__ == "numpy" and hasattr(kind, "tolist"):
        return value.tolist()
    for name, convert in _CONVERSIONS:
        if any(f"{base.__module__}.{base.__qualname__}" == name for base in kind.__mro__):
            return convert(value)
    raise TypeError(f"{kind.__qualname__} has no form in JSON")


def named_parts(value: Any) -> dict[str, Any]:
    """A named tuple as a dict."""
    return dict(zip(type(value)._fields, value, strict=True))


# By name, so that nothing is imported for a type that no value has.
_CONVERSIONS: tuple[tuple[str, Any], ...] = (
    ("datetime.datetime", lambda value: value.isoformat()),
    ("datetime.date", lambda value: value.isoformat()),
    ("datetime.time", lambda value: value.isoformat()),
    ("pathlib.PurePath", str),
    ("pathlib._local.PurePath", str),
    ("decimal.Decimal", str),
    ("uuid.UUID", str),
    ("enum.Enum", lambda value: value.value),
)

_readable = json.JSONEncoder(ensure_ascii=False, default=plain).encode
_escaped = json.JSONEncoder(default=plain).encode


def to_json(value: Any, where: str = "result") -> bytes:
    """`value` as JSON in one line, as `json.dumps` writes it but with letters left as they are; without a newline.

    Strings that are no text (surrogates, of names that are not UTF-8) are escaped. Raises NotWritable, which
    calls the value `where`.
    """
    try:
        try:
            return _readable(value).encode()
        except UnicodeEncodeError:
            return _escaped(value).encode()
    except Exception as error:  # TypeError, ValueError, RecursionError, and what a value's own code raises
        raise NotWritable(reason(value, where, error)) from None


def is_exact(value: Any) -> bool:
    """Whether what `to_json` writes is read again as the same value: nothing in it is converted."""
    if isinstance(value, dict):
        return type(value) is dict and all(type(key) is str and is_exact(each) for key, each in value.items())
    if isinstance(value, list):
        return type(value) is list and all(map(is_exact, value))
    return type(value) in (str, int, float, bool, type(None))


def reason(value: Any, root: str, error: Exception) -> str:
    """Why `value` is no JSON, and where in it."""
    for where, part in parts(value, root, DEEPEST):
        if isinstance(part, dict):
            for key in part:
                if not isinstance(key, str | int | float | bool | None):
                    return f"{where} has a key of type {type(key).__qualname__}, and JSON's are text: {key!r:.60}"
        elif isinstance(part, bytes | bytearray | memoryview):
            kind = type(part).__qualname__
            return f"{where} is {kind}, which JSON does not hold; decode it, or write --to lines or --out-dir"
        elif isinstance(part, set | frozenset):
            return f"{where} is a {type(part).__qualname__}, which has no order; sorted() makes a list of it"
        elif not isinstance(part, str | int | float | list | tuple | None):
            try:
                plain(part)
            except Exception:
                return f"{where} is of type {type(part).__module__}.{type(part).__qualname__}, which JSON does not hold"
    return f"{root} cannot be written as JSON: {error}"


def parts(value: Any, where: str, depth: int) -> Iterator[tuple[str, Any]]:
    """`value` and what is in it, each with the way to it; no deeper than `depth`."""
    yield where, value
    if not depth:
        return
    if isinstance(value, dict):
        for key, each in value.items():
            yield from parts(each, f"{where}[{key!r}]", depth - 1)
    elif isinstance(value, list | tuple):
        for at, each in enumerate(value):
            yield from parts(each, f"{where}[{at}]", depth - 1)
    elif hasattr(type(value), "__dataclass_fields__"):
        for name in type(value).__dataclass_fields__:
            yield from parts(getattr(value, name), f"{where}.{name}", depth - 1)
