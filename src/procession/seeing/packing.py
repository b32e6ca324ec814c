"""The rows of a recording as few bytes, for a page that a browser reads: planes of bytes, deflated.

1. Rows are ordered by worker, and on one worker by when they started: a row is then much like the row before.
2. Each column is turned into small whole numbers from 0 (`TIMES` and `_coded` say how). Their lowest bytes are laid one
   after the other, then the next bytes, and so on as far as the largest number needs: high bytes are nearly all
   zero and cost nothing when deflated.
3. Up to `EXACT` rows all numbers are exact. Of more rows times are told in a coarser unit, a power of ten of
   nanoseconds: two per mille of the median run or less, so that a million tasks do not cost the digits that nobody can
   see. The laws of `recording` hold for coarse times too, since all of them are rounded down.

Who reads needs no more than `Packed.about`, the number of rows and `report/columns.js`, which undoes it.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from itertools import chain, pairwise
from statistics import median
from typing import Any, NamedTuple

from procession.seeing.recording import COLUMNS, Recording

EXACT = 200_000
"""Rows of which each nanosecond is told."""
FINENESS = 500
"""Above that the unit is at most so small a part of the median run."""
SAMPLE = 10_000
"""Rows that the median is taken from."""
COARSEST = 1_000_000
"""Nanoseconds."""

TIMES: dict[str, tuple[str, ...]] = {
    "started": (),
    "ended": ("started",),
    "sent": ("started",),
    "queued": ("sent", "started"),
    "done": ("ended", "started", "queued"),
}
"""Each is told as its distance from the first of these that is known in its row, else from `since`; `started` as its
distance from that of the last row that has one. 0: not known; any other number is one more than what is meant."""
DURATIONS = ("pickle", "load", "dump")
SIGNED = ("worker", "stream", "function")
"""Told as they are; -1 is possible."""
STEPS = ("index",)
"""Told as the distance from the row before."""


Coded = tuple[str, str, list[int], int]
"""A column: its name, how it is coded, the numbers, their unit. One is made at a time: a million numbers take 40 MB."""


class Packed(NamedTuple):
    """See the module."""

    order: list[int]
    """The recording's row of each packed row."""
    about: dict[str, Any]
    """"rows"; "columns": [name, how it is coded, planes, unit]; "series": [pool, name, samples, planes of times]."""
    data: bytes
    """Deflated: the planes of each column, then of each series its times and its values (8 planes)."""


def pack(recording: Recording) -> Packed:
    """All rows and samples of `recording`."""
    order = _order(recording)
    deflate = zlib.compressobj(6)
    pieces: list[bytes] = []
    columns: list[tuple[str, str, int, int]] = []
    unit = _unit(recording)
    for name, coding, numbers, scale in chain(_times(recording, order, unit), _others(recording, order)):
        planes = _planes(numbers)
        columns.append((name, coding, len(planes), scale))
        pieces += map(deflate.compress, planes)
    series: list[tuple[int, str, int, int]] = []
    for (pool, name), samples in recording.counters.items():
        steps = [after - before for before, after in pairwise([recording.since, *samples.times])]
        planes = _planes([_folded(step) for step in steps])
        series.append((pool, name, len(steps), len(planes)))
        values = samples.values.tobytes()
        pieces += map(deflate.compress, (*planes, *(values[byte::8] for byte in range(8))))
    pieces.append(deflate.flush())
    return Packed(order, {"rows": len(order), "columns": columns, "series": series}, b"".join(pieces))


def _order(recording: Recording) -> list[int]:
    """By worker; on it by start; what never started by when it was handed over."""
    rows = zip(recording.worker, recording.started, recording.sent, recording.queued, strict=True)
    keys = [(worker + 1) << 64 | (started or sent or queued) for worker, started, sent, queued in rows]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _unit(recording: Recording) -> int:
    """Nanoseconds in which its times are told."""
    rows = len(recording)
    if rows <= EXACT:
        return 1
    some = range(0, rows, max(1, rows // SAMPLE))
    runs = [recording.ended[row] - recording.started[row] for row in some if recording.ended[row]]
    return _power(median(runs) / FINENESS if runs else 1)


def _power(value: float) -> int:
    """The largest power of ten up to `value`, and at least 1."""
    unit = 1
    while unit * 10 <= value and unit < COARSEST:
        unit *= 10
    return unit


def _folded(value: int) -> int:
    """0, -1, 1, -2, 2 ... are 0, 1, 2, 3, 4 ..."""
    return value << 1 if value >= 0 else ~value << 1 | 1


def _times(recording: Recording, order: list[int], unit: int) -> Iterator[Coded]:
    since = recording.since
    known: dict[str, list[int | None]] = {}
    for name, after in TIMES.items():
        times = [(time - since) // unit if time else None for time in map(recording.columns[name].__getitem__, order)]
        near = _near([known[other] for other in after], len(times)) if after else _before(times)
        known[name] = times
        numbers = [
            0 if time is None else 1 + ((time - other) << 1 if time >= other else ~(time - other) << 1 | 1)
            for time, other in zip(times, near, strict=True)
        ]
        yield name, "time", numbers, unit


def _near(others: list[list[int | None]], rows: int) -> list[int]:
    """Of each row the first that is known, else 0."""
    near = [0] * rows
    for column in reversed(others):
        near = [other if time is None else time for time, other in zip(column, near, strict=True)]
    return near


def _before(times: list[int | None]) -> list[int]:
    """Of each row the last known time of a row above it, else 0."""
    near, last = [], 0
    for time in times:
        near.append(last)
        if time is not None:
            last = time
    return near


def _others(recording: Recording, order: list[int]) -> Iterator[Coded]:
    for name in COLUMNS:
        if name not in TIMES:
            yield name, *_coded(name, list(map(recording.columns[name].__getitem__, order)))


def _coded(name: str, values: list[int]) -> tuple[str, list[int], int]:
    """How a column that is no time is told: the coding's name, the numbers, the unit."""
    if name in SIGNED:
        return "signed", list(map(_folded, values)), 1
    if name in STEPS:
        return "step", [_folded(after - before) for before, after in pairwise([0, *values])], 1
    if name in DURATIONS and len(values) > EXACT:
        unit = _power(sum(values) / len(values) / 100)
        return "plain", [value // unit for value in values], unit
    return "plain", values, 1


def _planes(numbers: list[int]) -> list[bytes]:
    """The lowest bytes of all, the next bytes of all, and so on; none for what is zero everywhere."""
    wide = array("Q", numbers)
    if wide.itemsize != 8:
        raise NotImplementedError("an unsigned long long has 8 bytes on every machine that procession runs on")
    octets = wide.tobytes()
    needed = (max(numbers, default=0).bit_length() + 7) // 8
    return [octets[byte::8] for byte in range(needed)]
