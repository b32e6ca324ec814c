"""Arrows from the hand-over of a task to its run and on to its result.

An arrow is three events of one number: "s" on the program's track of what it hands over, "t" on the worker's, "f" on
the track of results. Each binds to the slice that is open there at that time, so those tracks need slices. What comes
within `TOGETHER` is one slice: a map hands over a thousand items at the same moment.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from heapq import nlargest

from ..recording import CANCELLED, OK, Recording
from .tracks import Tracks, micro

ARROWS = 100_000
"""So many tasks have arrows, at most."""
LONG = 1_000_000
"""Nanoseconds that a task must have run, to have arrows among more than `ARROWS`."""
TOGETHER = 1000
"""Nanoseconds between the tasks of one slice, at most; it is so long at least."""


def handed_over(recording: Recording, tracks: Tracks, rows: list[int]) -> Iterator[str]:
    """The first track, and where the arrows of these rows begin; before the runs: viewers want a beginning first."""
    yield from _slices(recording, tracks, recording.queued, rows, ("submitted", tracks.submitted, "s"))


def got_back(recording: Recording, tracks: Tracks, rows: list[int]) -> Iterator[str]:
    """The second track, and where they end."""
    yield from _slices(recording, tracks, recording.done, rows, ("results", tracks.results, "f"))


def arrow(phase: str, place: str, at: str, row: int) -> str:
    """One of the three events."""
    binding = '"bp":"e",' if phase == "f" else ""
    return f'{{"ph":"{phase}",{place},"ts":{at},{binding}"id":{row},"cat":"arrow","name":"task"}}'


def chosen(recording: Recording) -> list[int]:
    """The rows that have arrows: they ran, and it is known when that began and what came of it."""
    known = range(len(recording.workers))
    columns = zip(recording.worker, recording.queued, recording.started, recording.done, strict=True)
    ran = (row for row, (worker, *times) in enumerate(columns) if worker in known and all(times))
    if len(recording) <= ARROWS:
        return list(ran)
    started, done, outcome = recording.started, recording.done, recording.outcome
    lengths = ((done[row] - started[row], row) for row in ran)
    worth = ((long, row) for long, row in lengths if long >= LONG or outcome[row] not in (OK, CANCELLED))
    return sorted(row for _, row in nlargest(ARROWS, worth))


def _slices(
    recording: Recording, tracks: Tracks, times: array[int], rows: list[int], track: tuple[str, int, str]
) -> Iterator[str]:
    """The slices of one of the program's tracks, and behind each the ends of arrows in it."""
    kind, tid, phase = track
    place = f'"pid":1,"tid":{tid}'
    for group in _together(times, sorted(rows, key=times.__getitem__)):
        first, last = times[group[0]], times[group[-1]]
        functions = {recording.function[row] for row in group}
        name = f"{len(group)} tasks"
        if len(functions) == 1 and (function := functions.pop()) in range(len(recording.functions)):
            name = recording.functions[function] + f" \N{MULTIPLICATION SIGN} {len(group)}" * (len(group) > 1)
        at, long = micro(first - tracks.base), micro(last - first + TOGETHER)
        yield f'{{"ph":"X",{place},"ts":{at},"dur":{long},"cat":"{kind}","name":{json.dumps(name)}}}'
        for row in group:
            yield arrow(phase, place, micro(times[row] - tracks.base), row)


def _together(times: array[int], rows: Iterable[int]) -> Iterator[list[int]]:
    group: list[int] = []
    for row in rows:
        if group and times[row] - times[group[-1]] > TOGETHER:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
