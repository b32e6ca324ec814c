"""From what is typed to values: numbers, seconds, sizes, workers. Pure; each raises ValueError with a sentence."""

from __future__ import annotations

from collections.abc import Callable

from procession.record import frozen

WHEN = ("now", "soon")
WHAT = ("fail", "success", "done")
HALTS = "now,fail=1, soon,fail=10%, now,success=1, soon,done=100 or never"
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
LONGEST = 1e9
"""Seconds, as `procession.options` has it."""


def at_least(least: int) -> Callable[[str], int]:
    """A whole number of `least` or more."""

    def number(text: str) -> int:
        value = whole(text)
        if value < least:
            raise ValueError(f"a whole number of at least {least} is needed; got {text!r}")
        return value

    return number


def whole(text: str) -> int:
    """A whole number, written in digits; 1_000_000 is fine."""
    try:
        return int(text, 10)
    except ValueError:
        raise ValueError(f"a whole number is needed; got {text!r}") from None


def between(least: int, most: int) -> Callable[[str], int]:
    """A whole number in these bounds."""

    def number(text: str) -> int:
        value = whole(text)
        if not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most} is needed; got {text!r}")
        return value

    return number


def _decimal(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what} is needed; got {text!r}") from None


def seconds(text: str) -> float:
    """Seconds, more than none; 1.5, 90s, 10m, 2h and 1d are understood."""
    what = "a number of seconds greater than 0 (also 90s, 10m, 2h, 1d)"
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}.get(text[-1:], 0.0)
    value = _decimal(text[:-1] if unit else text, what) * (unit or 1.0)
    if not 0 < value <= LONGEST:
        raise ValueError(f"{what}, and at most {LONGEST:.0e}, is needed; got {text!r}")
    return value


def rate(text: str) -> float:
    """So many a second; 5, 0.5, 300/m and 1000/h are understood."""
    what = "a number a second greater than 0 (also 300/m, 1000/h)"
    number, slash, unit = text.partition("/")
    spans = {"s": 1.0, "m": 60.0, "h": 3600.0}
    if slash and unit not in spans:
        raise ValueError(f"{what} is needed; got {text!r}")
    value = _decimal(number, what) / spans.get(unit, 1.0)
    if not 0 < value < float("inf"):
        raise ValueError(f"{what} is needed; got {text!r}")
    return value


def size(text: str) -> int:
    """Bytes: 2G, 500M, 1.5GiB, 1048576. A K is 1024."""
    what = f"a size is needed, as 500M or 2G; got {text!r}"
    short = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = short[-1:] if short[-1:] in ("K", "M", "G", "T") else ""
    try:
        value = float(short.removesuffix(unit)) * UNITS[unit]
    except ValueError:
        raise ValueError(what) from None
    if not 0 < value < 1 << 62:
        raise ValueError(what)
    return int(value)


@frozen
class Share:
    """So many percent of something."""

    percent: float

    def of(self, whole: float) -> float:
        """That part of it."""
        return whole * self.percent / 100


def number_or_percent(text: str) -> int | Share:
    """N, at least 1; or N%, more than 0 and at most 100."""
    if not text.endswith("%"):
        return at_least(1)(text)
    percent = _decimal(text[:-1], "a number or a percentage, as 3 or 10%,")
    if not 0 < percent <= 100:
        raise ValueError(f"a percentage is more than 0% and at most 100%; got {text!r}")
    return Share(percent)


def workers(text: str) -> int | str | Share:
    """N, N% of the CPUs, or "auto"."""
    if text == "auto":
        return text
    try:
        return number_or_percent(text)
    except ValueError:
        raise ValueError(f"a number, a percentage of the CPUs, or auto is needed; got {text!r}") from None


def port(text: str) -> int:
    """A port's number."""
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"a port has a number from 0 (any that is free) to 65535; got {text!r}")
    return int(text)


def pid(text: str) -> int:
    """A process's number."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"a process has a number from 1 on; got {text!r}")
    return int(text)


def interval(text: str) -> float:
    """Seconds between two looks."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 3600:
        raise ValueError(f"from 0.1 to 3600 seconds; got {text!r}")
    return value


@frozen
class Halt:
    """When to end, and how."""

    now: bool
    """What runs is ended, too; else it is waited for."""
    what: str
    """What is counted: "fail", "success" or "done"."""
    limit: int | Share

    def __str__(self) -> str:
        limit = f"{self.limit.percent:g}%" if isinstance(self.limit, Share) else str(self.limit)
        return f"{'now' if self.now else 'soon'},{self.what}={limit}"


def halt(text: str) -> Halt | None:
    """`now|soon,fail|success|done=N|N%`, as GNU parallel has it; None for "never". Raises ValueError."""
    if text == "never":
        return None
    when, comma, rest = text.partition(",")
    what, equals, limit = rest.partition("=")
    if when not in WHEN or what not in WHAT or not comma or not equals:
        raise ValueError(f"{HALTS} is needed; got {text!r}")
    try:
        return Halt(when == "now", what, number_or_percent(limit))
    except ValueError as error:
        raise ValueError(f"{HALTS} is needed; got {text!r}: {error}") from None
