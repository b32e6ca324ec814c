"""From a recording to the file. The laws are in `__init__`."""

from __future__ import annotations

import gzip
import json
import os
from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain, islice
from math import isfinite
from typing import IO

from ..recording import DIED, ERROR, MEMORY, OUTCOMES, STREAM_COUNTERS, TIMEOUT, Recording
from .arrows import ARROWS, LONG, arrow, chosen, got_back, handed_over
from .tracks import FORM, Tracks, micro

__all__ = ["ARROWS", "LONG", "write"]

INNER = 0.01
"""The share of a run that decoding or encoding must take to be drawn; with more than `ARROWS` rows also `LONG`."""
UNITS = dict.fromkeys(("queued", "running", "ready"), "tasks") | {"memory": "bytes", "workers": "alive"}
UNITS |= dict.fromkeys(STREAM_COUNTERS, "seconds")
UNITS |= dict.fromkeys(("cpu", "main cpu", "stalled"), "seconds")
"""What viewers call the quantity of a counter, behind its name."""
CHUNK = 4096
"""Events that are written at once."""


def write(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Write the file; gzipped if its name ends in ".gz".

    Raises:
        OSError: it cannot be written.
    """
    tracks = Tracks.of(recording)
    arrowed = chosen(recording)
    lines = chain(
        _names(recording, tracks),
        handed_over(recording, tracks, arrowed),
        _tasks(recording, tracks, frozenset(arrowed)),
        _deaths(recording, tracks),
        got_back(recording, tracks, arrowed),
        _samples(recording, tracks),
    )
    with _opened(os.fspath(path)) as file:
        file.write(_head(recording, tracks))
        file.write(next(lines))
        while chunk := list(islice(lines, CHUNK)):
            file.write(",\n".join(["", *chunk]))
        file.write("\n]}\n")


def _opened(path: str) -> IO[str]:
    if path.endswith(".gz"):
        return gzip.open(path, "wt", compresslevel=5, encoding="ascii", newline="\n")
    return open(path, "w", encoding="ascii", newline="\n", buffering=1 << 20)


def _head(recording: Recording, tracks: Tracks) -> str:
    """The first line: all that is not a row or a sample."""
    kept = {
        "form": FORM,
        "rows": len(recording),
        "base": tracks.base,
        "first": tracks.worker(0),
        **{name: getattr(recording, name) for name in ("since", "until", "cpus", "lost", "functions")},
        **{name: getattr(recording, name) for name in ("pools", "workers", "streams", "about")},
        "counters": list(recording.counters),
        "repeats": [(function, *told) for function, told in recording.repeats.items()],
    }
    head = {"displayTimeUnit": "ms", "otherData": recording.about, "procession": kept}
    return f'{json.dumps(head, separators=(",", ":"))[:-1]},"traceEvents":[\n'


def _names(recording: Recording, tracks: Tracks) -> Iterator[str]:
    yield from _named("process", 1, 0, "program", 0)
    yield from _named("thread", 1, tracks.submitted, "submitted", 0)
    yield from _named("thread", 1, tracks.results, "results", 1)
    for number, pool in enumerate(recording.pools):
        name = f"{pool.name or f'pool {pool.number}'} ({pool.backend}, width {pool.width})"
        yield from _named("process", number + 2, 0, name, number + 1)
    for index, worker in enumerate(recording.workers):
        name = f"worker {worker.wid} (pid {worker.pid})"
        yield from _named("thread", worker.pool + 2, tracks.worker(index), name, worker.wid)


def _named(kind: str, pid: int, tid: int, name: str, place: int) -> Iterator[str]:
    where = f'{{"ph":"M","pid":{pid}{f""","tid":{tid}""" if tid else ""},"name":"{kind}_'
    yield f'{where}name","args":{{"name":{json.dumps(name)}}}}}'
    yield f'{where}sort_index","args":{{"sort_index":{place}}}}}'


# ------------------------------------------------------------------------------------------------------------- rows


def _tasks(recording: Recording, tracks: Tracks, arrowed: frozenset[int]) -> Iterator[str]:
    """The rows, each followed by what is drawn into it."""
    base, names, places = tracks.base, _Names(recording.functions), _places(recording, tracks)
    failures, cut = recording.failures, _cut(recording)
    least = 1 if len(recording) <= ARROWS else LONG
    lost = f'"ph":"i","s":"t","pid":1,"tid":{tracks.submitted}'
    for row, values in enumerate(zip(*recording.columns.values(), strict=True)):
        worker, function, _, _, _, outcome, queued, sent, started, ended, done, _, load, dump, _, _ = values
        said = _said(values)
        if not names.tell(function):
            said += f',"function":{function}'
        if row in failures:
            said += f',"failure":{json.dumps(failures[row]._asdict(), separators=(",", ":"))}'
        if started > 0 and 0 <= worker < len(places) and (ended >= started or not ended):
            at, place = started, places[worker]
            until = ended or max(cut.get(row, done), started)
            said += _times(at, queued, sent, done, until if ended else at)
            if not ended:
                said += ',"unended":1'
            what = f'"ph":"X",{place},"dur":{micro(until - started)}'
        else:
            at, until, place, what = queued or sent or done or base, 0, "", lost
            said += _times(at, queued, sent, done, at)
            said += "".join(f',"{word}":{at - time}' for word, time in (("run_ns", started), ("ran_ns", ended)) if time)
            if worker != -1:
                said += f',"worker":{worker}'
        yield f'{{{what},"ts":{micro(at - base)},"name":{names.quoted(function)},"args":{{{said[1:]}}}}}'
        if place and ended and (load >= least or dump >= least):
            yield from _inner(place, started - base, ended - base, load, dump)
        if place and row in arrowed:
            yield arrow("t", place, micro(at - base), row)
        if place and outcome in FAILED:
            name = failures[row].kind if row in failures else OUTCOMES[outcome]
            yield _instant(place, until - base, name, "failure")


FAILED = (ERROR, DIED, TIMEOUT, MEMORY)


class _Names:
    """What slices are called; of functions of one name the first is told by it, another by its number besides."""

    def __init__(self, functions: list[str]) -> None:
        self._quoted = [json.dumps(name) for name in functions]
        self._plain = [functions.index(name) == place for place, name in enumerate(functions)]

    def quoted(self, function: int) -> str:
        return self._quoted[function] if 0 <= function < len(self._quoted) else '"?"'

    def tell(self, function: int) -> bool:
        return 0 <= function < len(self._plain) and self._plain[function]


def _places(recording: Recording, tracks: Tracks) -> list[str]:
    return [f'"pid":{worker.pool + 2},"tid":{tracks.worker(n)}' for n, worker in enumerate(recording.workers)]


def _said(values: tuple[int, ...]) -> str:
    """All of a row but its times, its worker and its function."""
    _, _, stream, index, attempt, outcome, _, _, _, _, _, pickle, load, dump, bytes_in, bytes_out = values
    said = f',"item":{index}' if index != -1 else ""
    if stream:
        said += f',"stream":{stream}'
    if attempt != 1:
        said += f',"attempt":{attempt}'
    if outcome:
        said += f',"outcome":"{OUTCOMES[outcome]}"'
    if pickle:
        said += f',"pickle_ns":{pickle}'
    if load:
        said += f',"load_ns":{load}'
    if dump:
        said += f',"dump_ns":{dump}'
    if bytes_in:
        said += f',"bytes_in":{bytes_in}'
    if bytes_out:
        said += f',"bytes_out":{bytes_out}'
    return said


def _times(at: int, queued: int, sent: int, done: int, end: int) -> str:
    """Those that are known: how long before the event, `done` how long behind its end."""
    said = f',"waited_ns":{at - queued}' if queued else ""
    if sent:
        said += f',"sent_ns":{at - sent}'
    if done:
        said += f',"told_ns":{done - end}'
    return said


def _cut(recording: Recording) -> dict[int, int]:
    """When something else starts on the worker of a row that never ended, before it was known what became of that."""
    started, done, worker = recording.started, recording.done, recording.worker
    open_rows = [row for row, ended in enumerate(recording.ended) if not ended and started[row]]
    by_worker: dict[int, list[int]] = {worker[row]: [] for row in open_rows}
    if not by_worker:
        return {}
    for row, at in enumerate(started):
        if at and worker[row] in by_worker:
            by_worker[worker[row]].append(at)
    for times in by_worker.values():
        times.sort()
    cut = {}
    for row in open_rows:
        times = by_worker[worker[row]]
        after = bisect_right(times, started[row])
        if after < len(times) and times[after] < done[row]:
            cut[row] = times[after]
    return cut


def _inner(place: str, start: int, end: int, load: int, dump: int) -> Iterator[str]:
    """An arrow binds to the innermost slice, and is to bind to the run: so decoding begins a nanosecond later."""
    least = int((end - start) * INNER)
    if load + dump <= end - start:
        for name, at, long in (("decode", start + 1, load - 1), ("encode", end - dump, dump)):
            if long > least:
                yield f'{{"ph":"X",{place},"dur":{micro(long)},"ts":{micro(at)},"cat":"codec","name":"{name}"}}'


def _instant(place: str, at: int, name: str, kind: str) -> str:
    return f'{{"ph":"i","s":"t",{place},"ts":{micro(at)},"cat":"{kind}","name":{json.dumps(name)}}}'


# ---------------------------------------------------------------------------------------------------------- the rest


def _deaths(recording: Recording, tracks: Tracks) -> Iterator[str]:
    """How workers ended that did not in order."""
    for place, worker in zip(_places(recording, tracks), recording.workers, strict=True):
        if worker.end and worker.ended:
            yield _instant(place, worker.ended - tracks.base, worker.end, "worker")


def _samples(recording: Recording, tracks: Tracks) -> Iterator[str]:
    for (pool, name), samples in recording.counters.items():
        head = f'{{"ph":"C","pid":{pool + 2},"cat":"counter","name":{json.dumps(name)},"ts":'
        unit = UNITS.get(name, "value")
        for at, value in zip(samples.times, samples.values, strict=True):
            told = repr(value) if isfinite(value) else f'"{value}"'
            yield f'{head}{micro(at - tracks.base)},"args":{{"{unit}":{told}}}}}'
