"""How `procession top` writes numbers and texts: so wide as they may be, with nothing that a terminal obeys. Pure."""

from __future__ import annotations

import unicodedata


def clean(text: str) -> str:
    """Law 2: on one line, too."""
    return "".join(
        each if each.isprintable() else " " if each in "\n\t\r" else "\N{REPLACEMENT CHARACTER}" for each in text
    )


def columns(text: str) -> int:
    """How many a terminal takes for it."""
    return sum(_columns(each) for each in text)


def _columns(char: str) -> int:
    if char < "\u0300":
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """At most so wide; what is missing is said by three dots."""
    if columns(text) <= width:
        return text
    room, kept = width - 1, ""
    for each in text:
        room -= _columns(each)
        if room < 0:
            break
        kept += each
    return kept + "\N{HORIZONTAL ELLIPSIS}" if width > 0 else ""


def folds(text: str, width: int) -> list[str]:
    """A line as lines that are at most so wide."""
    found, room = [""], width
    for each in text:
        taken = _columns(each)
        if taken > room and found[-1]:
            found.append("")
            room = width
        found[-1] += each
        room -= taken
    return found


def aligned(text: str, width: int, *, right: bool = False) -> str:
    """Just so wide."""
    text = cut(text, width)
    space = " " * (width - columns(text))
    return space + text if right else text + space


# -------------------------------------------------------------------------------------------------------------- numbers


def number(value: float) -> str:
    """1,234"""
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """8.0, 56, 1,234"""
    return f"{value:.1f}" if value < 10 else number(value)


def percent(share: float) -> str:
    """99 %"""
    return f"{share * 100:.0f} %"


def size(count: float) -> str:
    """12 MB"""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5 or unit == "GB":
            return f"{count:.1f} {unit}" if count < 9.95 and unit != "B" else f"{count:.0f} {unit}"
        count /= 1000
    raise AssertionError


def lasting(seconds: float) -> str:
    """12 us, 3.4 ms, 0.21 s, 1:02:03"""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.0995:
        return f"{seconds * 1e3:.1f} ms" if seconds < 9.95e-3 else f"{seconds * 1e3:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    return clock(seconds)


def clock(seconds: float) -> str:
    """0:59, 1:02:03, 2 d 1:02:03"""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour}:{minute:02}:{second:02}"
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


__all__ = ["aligned", "clean", "clock", "columns", "cut", "folds", "lasting", "number", "percent", "rate", "size"]
