"""From happenings to a recording: a fold, without a clock and without threads."""

from __future__ import annotations

import traceback
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from procession.happenings import Began, Closed, Dropped, Gone, Missed, Note, Opened, Ran, Rows, Stood, Streamed
from procession.seeing import recording
from procession.seeing.recording import COLUMNS, FailureText, Pool, Recording, Stream, Worker

LONGEST = 20_000
"""Characters of a failure's text, and of its traceback, that are kept."""

MOST_OF = ("open", "source", "untaken", "headed")
"""What is kept of a stream's time, besides what is sampled of all streams of a pool."""


class Collector:
    """Fills one recording."""

    def __init__(self) -> None:
        self.recording = Recording()
        self._pools: dict[int, int] = {}
        self._workers: dict[tuple[int, int], int] = {}
        self._functions: dict[str, int] = {}
        self._streams: dict[int, int] = {}
        self._prints: dict[tuple[int, int], int] = {}
        self._cumulative: dict[tuple[int, str], dict[int, float]] = {}
        self._takes: dict[type, Callable[[Any], None]] = {
            Ran: self._ran,
            Rows: self._rows,
            Missed: self._missed,
            Dropped: self._dropped,
            Opened: self._opened,
            Closed: lambda _told: None,
            Began: self._began,
            Gone: self._gone,
            Streamed: self._streamed,
            Stood: self._stood,
        }
        self._spent: dict[tuple[int, int], Mapping[str, int]] = {}
        """By stream and engine: what is known of its time."""
        self._waits: dict[int, dict[str, int]] = {}
        """By pool: the same of all its streams together, in ns."""
        self._waited_at = 0  # when that was sampled last

    def take(self, happening: tuple[Any, ...]) -> None:
        """This has happened."""
        self._takes[happening.__class__](happening)

    def sample(self, engine: int, now: int, found: Mapping[str, Any]) -> None:
        """An engine, or -1, the program, is like this; what is told of each worker is added up, over all there were."""
        pool = self._pools.get(engine, -1) if engine >= 0 else -1
        if engine >= 0 and pool < 0:
            return
        for name, value in found.items():
            if isinstance(value, Mapping):
                each = self._cumulative.setdefault((pool, name), {})
                each.update(value)
                value = sum(each.values())
            self.recording.sample(pool, name, now, float(value))

    # -- engines and workers -----------------------------------------------------------------------------------------

    def _opened(self, told: Opened) -> None:
        if told.engine not in self._pools:
            self._pools[told.engine] = len(self.recording.pools)
            self.recording.pools.append(Pool(told.engine, told.backend, told.width, called(told.role)))

    def _began(self, told: Began) -> None:
        if (told.engine, told.wid) in self._workers:
            index = self._workers[told.engine, told.wid]
            self.recording.workers[index] = self.recording.workers[index]._replace(pid=told.pid, started=told.now)
        else:
            self._enter(told.engine, told.wid, told.pid, told.now)

    def _gone(self, told: Gone) -> None:
        index = self._worker(told.engine, told.wid)
        self.recording.workers[index] = self.recording.workers[index]._replace(ended=told.now, end=told.how)

    def _streamed(self, told: Streamed) -> None:
        self._streams[told.number] = len(self.recording.streams)
        self.recording.streams.append(Stream(told.kind, told.name))

    def _stood(self, told: Stood) -> None:
        place = self._streams.get(told.number)
        if place is None or self.recording.streams[place].ended:
            return
        stream, most = self.recording.streams[place], dict.fromkeys(MOST_OF, 0)
        for engine, spent in told.spent.items():
            key = told.number, engine
            before = self._spent.get(key, spent if told.began < self.recording.since else {})
            self._spent[key] = spent
            waits = self._waits.setdefault(engine, {})
            for name, ns in spent.items():
                waits[name] = waits.get(name, 0) + max(0, ns - before.get(name, 0))
                if name in most:
                    most[name] = max(most[name], ns)
            if told.ended:
                del self._spent[key]
        self.recording.streams[place] = Stream(
            *stream[:2], told.window, told.began, told.ended, told.how, *(most[name] for name in MOST_OF)
        )

    def sample_waits(self, now: int) -> None:
        """What streams have waited for so far."""
        for engine, waits in self._waits.items():
            pool = self._pools.get(engine, -1)
            for name, ns in waits.items() if pool >= 0 else ():
                if ns and (pool, name) not in self.recording.counters and self._waited_at:
                    self.recording.sample(pool, name, self._waited_at, 0.0)
                if ns:
                    self.recording.sample(pool, name, now, ns / 1e9)
        self._waited_at = now

    def _stream(self, number: int) -> int:
        """One of which nobody has told is not known as a stream."""
        return self._streams.get(number, 0)

    def _worker(self, engine: int, wid: int) -> int:
        found = self._workers.get((engine, wid))
        return self._enter(engine, wid, 0, 0) if found is None else found

    def _enter(self, engine: int, wid: int, pid: int, started: int) -> int:
        index = self._workers[engine, wid] = len(self.recording.workers)
        self.recording.workers.append(Worker(self._pools.get(engine, 0), wid, pid, started, 0))
        return index

    def _function(self, name: str) -> int:
        found = self._functions.get(name)
        if found is None:
            found = self._functions[name] = len(self.recording.functions)
            self.recording.functions.append(name)
        return found

    # -- tasks -------------------------------------------------------------------------------------------------------

    def _ran(self, told: Ran) -> None:
        into, count = self.recording, told.items
        if is_old(told):
            return
        first = self._room(count)
        if first < 0:
            return
        rows = unfolded(told)
        rows["worker"] = self._worker(told.engine, told.wid)
        rows["function"] = _each(self._function, told.function)
        rows["stream"] = _each(self._stream, told.stream)
        rows["attempt"] = _each(_attempt, told.attempt)
        self._extend(rows, count)
        for at, outcome, why in told.failed:
            into.outcome[first + at] = outcome
            self._fails(first + at, why)
        for at, note in enumerate(told.notes):
            if note is not None and note.print:
                self._repeats(into.function[first + at], note)

    def _rows(self, told: Rows) -> None:
        first, count = self._room(len(told.rows)), len(told.rows)
        if first < 0:
            return
        functions, streams, index, attempts, queued, started, ended, outcomes, why = zip(*told.rows, strict=True)
        rows = {
            "worker": self._worker(told.engine, told.wid),
            "function": [self._function(name) for name in functions],
            "stream": [self._stream(number) for number in streams],
            "index": index,
            "attempt": list(map(_attempt, attempts)),
            "outcome": outcomes,
            "queued": queued,
            "started": started,
            "ended": ended,
            "done": ended,
        }
        self._extend(rows, count)
        if any(outcomes):
            for at, each in enumerate(why):
                self._fails(first + at, each)

    def _dropped(self, told: Dropped) -> None:
        self.recording.lost += told.items

    def _room(self, count: int) -> int:
        """The number of the first of so many rows; -1: there is no room."""
        first = len(self.recording)
        if first + count > recording.MOST:
            self.recording.lost += count
            return -1
        return first

    def _extend(self, rows: Mapping[str, Any], count: int) -> None:
        """So many rows more; what is an int is the same in all, what is not there is 0."""
        for name, code in COLUMNS.items():
            value = rows.get(name, 0)
            if isinstance(value, int):
                self.recording.columns[name].extend(array(code, (value,)) * count)
            else:
                self.recording.columns[name].extend(array(code, value))

    def _missed(self, told: Missed) -> None:
        function = self._function(told.function)
        for at in range(told.items):
            row = self.recording.add(
                function=function,
                stream=self._stream(told.stream),
                index=told.place if told.place < 0 else told.place + at,
                attempt=_attempt(told.attempt),
                outcome=told.outcome,
                queued=told.queued,
                done=told.done,
            )
            if row >= 0:
                self._fails(row, told.why)

    def _fails(self, row: int, why: Any) -> None:
        failures = self.recording.failures
        if why is None or len(failures) >= recording.MOST_FAILURES:
            return
        failures[row] = text_of(why)

    def _repeats(self, function: int, note: Note) -> None:
        seen = self._prints.get((function, note.print), 0)
        self._prints[function, note.print] = seen + 1
        if seen:
            times, size = self.recording.repeats.get(function, (0, 0))
            self.recording.repeats[function] = times + 1, size + note.size


def is_old(told: Ran) -> bool:
    """All of it was over before anybody wanted to know."""
    return told.times is not None and not any(told.times.started) and not _any(told.queued)


def unfolded(told: Ran) -> dict[str, Any]:
    """What it tells of its items, by the name of the column: of each one, or what is the same for all."""
    index, times = told.place, told.times
    if isinstance(index, int) and index >= 0:
        index = range(index, index + told.items)
    rows = {
        "function": told.function,
        "stream": told.stream,
        "index": index,
        "attempt": told.attempt,
        "queued": told.queued,
        "sent": _spread(told.sent, told.items),
        "done": told.done,
    }
    if times is not None:
        rows |= {"started": times.started, "ended": times.ended, "load": times.load, "dump": times.dump}
        rows["bytes_out"] = times.out
    if told.notes:
        rows["pickle"] = [0 if each is None else each.ns for each in told.notes]
        rows["bytes_in"] = [0 if each is None else each.size for each in told.notes]
    return rows


def called(role: tuple[str, str]) -> str:
    """What a pool is, if it is not one by itself: "SpinOff resize"."""
    return " ".join(filter(None, role)) if role[0] != "Pool" or role[1] else ""


def _attempt(number: int) -> int:
    return min(number, recording.MOST_ATTEMPTS)


def _each(function: Callable[[Any], int], value: Any) -> Any:
    return function(value) if isinstance(value, int | str) else [function(each) for each in value]


def _any(value: Any) -> bool:
    return bool(value) if isinstance(value, int) else any(value)


def _spread(sent: Sequence[tuple[int, int]], count: int) -> list[int]:
    """A time for each; what nothing is known of has none."""
    times = [when for part, when in sent for _ in range(part)][:count]
    return times + [0] * (count - len(times))


def text_of(error: BaseException | tuple[str, str, str]) -> FailureText:
    """What an error says, whatever its class does when it is asked; or what was said in its place."""
    if isinstance(error, tuple):
        return FailureText(*error)
    try:
        message = str(error)[:LONGEST]
    except BaseException as of_it:
        message = f"<its text cannot be made: {type(of_it).__name__}>"
    try:
        trace = "".join(traceback.format_exception(error))[-LONGEST:]
    except BaseException as of_it:
        trace = f"<the traceback cannot be made: {type(of_it).__name__}>"
    return FailureText(type(error).__name__, message, trace)


__all__ = ["Collector", "is_old", "text_of", "unfolded"]
