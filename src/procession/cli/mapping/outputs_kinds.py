"""What a column of a table holds, found from the values themselves. Pure; knows no pyarrow.

A kind is "null" (nothing but None so far), "bool", "int", "big" (an int that no float holds exactly), "float", "text",
"bytes", "date", "time", "moment" (date and time), "instant" (that with a time zone), "duration"; or a tuple: ("list",
kind), ("struct", {key: kind}), ("decimal", digits before the point, digits behind it).

Laws:

1. `merged(a, b)` holds what `a` and `b` hold, or there is no such kind: Misfit. It matters in no way which one comes
   first, and "null" changes nothing.
2. A column that is settled never changes. It takes a value of the kind that it has, None, and whole numbers where it
   has floats that hold them exactly; nothing is rounded.
"""

from __future__ import annotations

from typing import Any

from procession.cli.mapping.outputs_json import named_parts, plain

Kind = Any

INT64 = 2**63
EXACT = 2**53
"""Whole numbers up to this one are floats without loss."""
DIGITS = 38
"""Of a Decimal, that Arrow holds."""
DEEPEST = 50


class Misfit(Exception):
    """Why a value is in no column, or not in this one."""


def told(value: Any, where: str, depth: int = DEEPEST) -> tuple[Kind, Any]:
    """The kind of a value, and the value as Arrow takes it. Raises Misfit for what no column holds."""
    kind = _SCALARS.get(type(value))
    if kind is not None:
        return kind, value
    if not depth:
        raise Misfit(f"{where} is nested deeper than {DEEPEST} levels")
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int):
        return _of_int(int(value), where)
    if isinstance(value, str):
        return _of_text(str(value), where)
    if isinstance(value, float | bytes):
        return ("float", float(value)) if isinstance(value, float) else ("bytes", bytes(value))
    if isinstance(value, tuple) and hasattr(type(value), "_fields"):
        value = named_parts(value)
    if isinstance(value, dict):
        return _of_dict(value, where, depth)
    if isinstance(value, list | tuple):
        return _of_list(value, where, depth)
    return _of_others(value, where, depth)


def quick(value: Any) -> Kind | None:
    """The kind of what most values are, without a look at the rest; None: `told` says it."""
    kind = type(value)
    if kind is str:
        return "text" if value.isascii() else None
    if kind is int:
        return "int" if -EXACT <= value <= EXACT else None
    return _SCALARS.get(kind)


_SCALARS: dict[type, Kind] = {type(None): "null", bool: "bool", float: "float", bytes: "bytes"}


def _of_int(value: int, where: str) -> tuple[Kind, Any]:
    if not -INT64 <= value < INT64:
        raise Misfit(f"{where} is a whole number beyond 64 bits: {str(value)[:30]}")
    return ("int" if -EXACT <= value <= EXACT else "big"), value


def _of_text(value: str, where: str) -> tuple[Kind, Any]:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Misfit(f"{where} is no text (it has bytes that are not UTF-8): {value[:60]!r}") from None
    return "text", value


def _of_dict(value: dict[Any, Any], where: str, depth: int) -> tuple[Kind, Any]:
    kinds, plain_values = {}, {}
    for key, each in value.items():
        kind = quick(each)
        if type(key) is str and kind is not None:
            kinds[key], plain_values[key] = kind, each
            continue
        if not isinstance(key, str):
            raise Misfit(f"{where} has a key that is no text: {key!r:.60}")
        kinds[key], plain_values[key] = told(each, f"{where}[{key!r}]", depth - 1)
    return (("struct", kinds), plain_values) if kinds else ("null", None)


def _of_list(value: list[Any] | tuple[Any, ...], where: str, depth: int) -> tuple[Kind, Any]:
    kind: Kind = "null"
    plain_values = []
    for at, each in enumerate(value):
        other = quick(each)
        if other is not None and other == kind:
            plain_values.append(each)
            continue
        other, one = told(each, f"{where}[{at}]", depth - 1)
        kind = merged(kind, other, f"{where}[{at}]")
        plain_values.append(one)
    return ("list", kind), plain_values


def _of_others(value: Any, where: str, depth: int) -> tuple[Kind, Any]:
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if name == "decimal.Decimal":
        return _of_decimal(value, where)
    if name == "datetime.datetime":
        return ("moment" if value.tzinfo is None else "instant"), value
    if name in ("datetime.date", "datetime.time", "datetime.timedelta"):
        return {"date": "date", "time": "time", "timedelta": "duration"}[type(value).__name__], value
    if isinstance(value, bytearray | memoryview):
        return "bytes", bytes(value)
    try:
        converted = plain(value)
    except TypeError:
        raise Misfit(f"{where} is of type {name}, which no column holds") from None
    return told(converted, where, depth - 1)


def _of_decimal(value: Any, where: str) -> tuple[Kind, Any]:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Misfit(f"{where} is the Decimal {value}, which no column holds")
    behind = max(-exponent, 0)
    before = max(len(digits) + exponent, 0)
    if before + behind > DIGITS:
        raise Misfit(f"{where} is a Decimal of more than {DIGITS} digits")
    return ("decimal", before, behind), value


def merged(a: Kind, b: Kind, where: str) -> Kind:
    """The kind that holds what both hold. Raises Misfit where there is none."""
    if a == b or b == "null":
        return a
    if a == "null":
        return b
    if isinstance(a, tuple) and isinstance(b, tuple) and a[0] == b[0]:
        if a[0] == "list":
            return ("list", merged(a[1], b[1], f"{where}[]"))
        if a[0] == "struct":
            return ("struct", merged_structs(a[1], b[1], where))
        before, behind = max(a[1], b[1]), max(a[2], b[2])
        if before + behind <= DIGITS:
            return ("decimal", before, behind)
    elif isinstance(a, str) and isinstance(b, str) and {a, b} in _NUMBERS:
        return "big" if "big" in (a, b) else "float"
    raise Misfit(f"{where} is {named(b)}, and before it was {named(a)}")


_NUMBERS = ({"int", "big"}, {"int", "float"})


def merged_structs(a: dict[str, Kind], b: dict[str, Kind], where: str) -> dict[str, Kind]:
    both = dict(a)
    for key, kind in b.items():
        had = both.get(key, "null")
        if had != kind:
            both[key] = merged(had, kind, f"{where}[{key!r}]")
        else:
            both[key] = had
    return both


def settled(kind: Kind) -> Kind:
    """What a column is to take beyond the values it was found from: all of 64 bits, all digits of a Decimal."""
    if kind == "int":
        return "big"
    if isinstance(kind, tuple):
        if kind[0] == "decimal":
            return ("decimal", DIGITS - kind[2], kind[2])
        if kind[0] == "list":
            return ("list", settled(kind[1]))
        return ("struct", {key: settled(each) for key, each in kind[1].items()})
    return kind


def fits(column: Kind, value: Kind) -> bool:
    """Whether it surely fits, at a glance."""
    return value == column or value == "null" or (value == "int" and column in ("big", "float"))


def misfit(column: Kind, value: Kind, where: str) -> str | None:
    """Why a value of one kind does not fit into a column that is settled; None: it does."""
    if fits(column, value):
        return None
    if isinstance(column, tuple) and isinstance(value, tuple) and column[0] == value[0]:
        if column[0] == "list":
            return misfit(column[1], value[1], f"{where}[]")
        if column[0] == "struct":
            for key, each in value[1].items():
                had = column[1].get(key)
                if had is None:
                    return f"{where} has the key {key!r}, which no row had when the columns were decided"
                if not fits(had, each) and (said := misfit(had, each, f"{where}[{key!r}]")) is not None:
                    return said
            return None
        if value[1] <= column[1] and value[2] <= column[2]:
            return None
    return f"{where} is {named(value)}, and the column is of {named(column)}"


def named(kind: Kind) -> str:
    """A kind in words."""
    if isinstance(kind, str):
        return _WORDS.get(kind, kind)
    if kind[0] == "decimal":
        return f"a Decimal with {kind[1]} digits before and {kind[2]} behind the point"
    return "a list" if kind[0] == "list" else "a dict"


_WORDS = {
    "bool": "true or false",
    "date": "a date",
    "time": "a time of day",
    "null": "None in all rows so far",
    "int": "a whole number",
    "big": "a whole number",
    "float": "a float",
    "moment": "a datetime without time zone",
    "instant": "a datetime with a time zone",
    "duration": "a timedelta",
}
