"""What is shown of a stream, as pieces of one line that fits: numbers in, text out.

Whoever draws gives the pieces their colours (a terminal) or joins them (a notebook). What matters less is left out
where a line is narrow: the workers first, then how long it has taken, ...; the count, errors and the time left stay.
"""

from __future__ import annotations

from procession.record import frozen
from procession.seeing.pace import Pace, clock, speed, time_left

LABEL = 24
"""Columns of a label at most."""
BAR = 40
"""Columns of a bar at most; and at least:"""
BAR_LEAST = 5

Piece = tuple[str, str]
"""A text, and what it is: "label", "full", "empty", "count", "rate", "time", "bad", "note" or ""."""


@frozen
class Stage:
    """A stage of a pipeline at one moment."""

    name: str
    done: int
    failed: int
    waiting: int
    running: int
    width: int


@frozen
class Sight:
    """A stream at one moment, as its bar shows it."""

    done: int
    """Items that are completed."""
    total: int | None
    """How many there will be; None: that is not known yet."""
    ended: bool = False
    """All have an outcome, and no more will come."""
    errors: int = 0
    """Items that have failed."""
    dropped: int = 0
    """Items that an overflow has dropped."""
    cancelled: int = 0
    """Items that were cancelled."""
    retries: int = 0
    """Further runs since it began; these and the next two are those of the pool."""
    died: int = 0
    """Workers that have died."""
    timeouts: int = 0
    """Tasks that have taken too long."""
    running: int = 0
    """Workers that run something; these and the next three are those of the pool, now."""
    idle: int = 0
    starting: int = 0
    width: int = 0
    """Workers that there can be."""
    cost: float | None = None
    """What an item was measured to cost a worker, in seconds."""
    stages: tuple[Stage, ...] = ()


def compose(
    label: str, sight: Sight, pace: Pace, width: int, *, over: bool = False, ascii_only: bool = False
) -> list[Piece]:
    """The line, in `width` columns. `over`: it is the last one, of what has ended, or was left before its end."""
    total = sight.total
    # Pieces from left to right, and how much each matters: what has the smallest number is left out first.
    pieces: list[tuple[int, Piece]] = [(8, (shortened(label, LABEL), "label"))] if label else []
    at = len(pieces)
    pieces.append((99, (f"{sight.done:,}" if total is None else f"{sight.done:,}/{total:,}", "count")))
    if total:
        pieces.append((4, (f"{100 * sight.done // total}%", "count")))
    rate = (pace.done / pace.elapsed if pace.done and pace.elapsed > 0 else None) if over else pace.rate
    if rate is not None:
        pieces.append((7, (speed(rate), "rate")))
    pieces.append((10 if over else 2, (clock(pace.elapsed), "time")))
    if not over and total is not None:
        left = time_left(total, pace, cost=sight.cost, workers=sight.width, running=sight.running)
        pieces.append((9, ("eta ?" if left is None else f"eta {clock(left + 0.5)}", "time")))
    pieces += [
        (value, (counted(number, word), "bad" if word != "retry" else "note"))
        for value, number, word in (
            (11, sight.errors, "error"),
            (3, sight.retries, "retry"),
            (6, sight.died, "death"),
            (3, sight.timeouts, "timeout"),
        )
        if number
    ]
    pieces += [
        (5, (f"{number:,} {word}", "bad"))
        for number, word in ((sight.dropped, "dropped"), (sight.cancelled, "cancelled"))
        if number
    ]
    if over and not whole(sight):
        pieces.append((6, ("stopped", "note")))
    if not over and sight.width:
        pieces.append((1, (workers_of(sight), "note")))
    while len(pieces) > 1 and _length(pieces) > width:
        at -= pieces.index(least := min(pieces, key=lambda each: each[0])) < at
        pieces.remove(least)
    line = [piece for _, piece in pieces]
    room = min(BAR, width - _length(pieces) - 1)
    if total and room >= BAR_LEAST:
        line[at:at] = bar(sight.done / total, room, ascii_only)
    if len(line) == 1:
        line = [(line[0][0][:width], line[0][1])]
    return line


def whole(sight: Sight) -> bool:
    """It has come to its end, and all is completed."""
    return sight.ended and sight.done == sight.total and not sight.cancelled


def joined(line: list[Piece]) -> str:
    """The line as plain text."""
    return "".join(text for text, _ in spaced(line))


def spaced(line: list[Piece]) -> list[Piece]:
    """The line with its blanks: one between pieces, none inside a bar."""
    found: list[Piece] = []
    for text, kind in line:
        if found and kind != "empty":
            found.append((" ", ""))
        found.append((text, kind))
    return found


def compose_stage(stage: Stage, width: int) -> list[Piece]:
    """The line below a pipeline's, for one of its stages."""
    pieces: list[tuple[int, Piece]] = [
        (4, (f"  {shortened(stage.name, LABEL)}", "label")),
        (9, (f"{stage.done:,} done", "count")),
    ]
    if stage.failed:
        pieces.append((3, (counted(stage.failed, "error"), "bad")))
    pieces.append((1, (f"{stage.waiting:,} waiting", "note")))
    pieces.append((2, (f"{stage.running} of {stage.width} run", "note")))
    while len(pieces) > 1 and _length(pieces) > width:
        pieces.remove(min(pieces, key=lambda each: each[0]))
    return [piece for _, piece in pieces]


def bar(part: float, room: int, ascii_only: bool = False) -> list[Piece]:
    """A bar of `room` columns, of which `part` is full: in halves of columns, and never full before the end."""
    full, half, empty = ("#", "-", "-") if ascii_only else ("━", "╸", "─")
    halves = int(2 * room * min(max(part, 0.0), 1.0))
    text = full * (halves // 2) + half * (halves % 2)
    rest = empty * (room - len(text))
    if not text:
        return [(rest, "full")]
    return [(text, "full"), (rest, "empty")] if rest else [(text, "full")]


def workers_of(sight: Sight) -> str:
    """What the workers are at."""
    text = f"{sight.running} of {sight.width} run"
    if sight.idle:
        text += f", {sight.idle} idle"
    if sight.starting:
        text += f", {sight.starting} starting"
    return text


def counted(number: int, word: str) -> str:
    """`3 errors`, `1 retry`."""
    many = word[:-1] + "ies" if word.endswith("y") else word + "s"
    return f"{number:,} {word if number == 1 else many}"


def shortened(text: str, most: int) -> str:
    """`text` in at most so many columns, on one line."""
    text = "".join(each if each.isprintable() else "?" for each in text)
    if columns(text) <= most:
        return text
    while columns(text) > most - 1:
        text = text[:-1]
    return text + "…"


def columns(text: str) -> int:
    """How many columns of a terminal it takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum((east_asian_width(each) in "WF") + (not combining(each)) for each in text)


def _length(pieces: list[tuple[int, Piece]]) -> int:
    return sum(columns(text) for _, (text, _) in pieces) + len(pieces) - 1
