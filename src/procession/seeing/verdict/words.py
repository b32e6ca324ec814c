"""Numbers in words."""

from __future__ import annotations


def long(seconds: float) -> str:
    """A duration: "12 µs", "3.4 ms", "4.0 s", "2 min 5 s", "2.5 hours"."""
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.1f} days"
    if seconds >= 2 * 3_600:
        return f"{seconds / 3_600:.1f} hours"
    if seconds >= 119.5:
        return f"{round(seconds) // 60} min {round(seconds) % 60} s"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size * 0.9995:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def size(count: float) -> str:
    """Bytes: "80 MB"."""
    for unit, much in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= much * 0.9995:
            value = count / much
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{count:.0f} bytes"


def many(count: int, what: str) -> str:
    """ "1 task", "12,345 tasks"."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def times(count: int) -> str:
    """ "once", "12,345 times"."""
    return "once" if count == 1 else f"{count:,} times"


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"
