"""From happenings to the events of `procession.events`: a fold, without a clock and without threads.

A run that is told as running, since its listener leaves, is no event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

from procession.events import (
    Event,
    EventsDropped,
    PoolClosed,
    PoolInfo,
    PoolOpened,
    StreamInfo,
    TaskEnded,
    TaskError,
    WorkerEnded,
    WorkerStarted,
)
from procession.happenings import OK, RUNNING, Began, Closed, Gone, Missed, Opened, Ran, Rows, Streamed
from procession.seeing.collector import is_old, text_of, unfolded
from procession.seeing.recording import OUTCOMES

if TYPE_CHECKING:
    from procession.happenings import Why

SECOND = 1_000_000_000
UNKNOWN = PoolInfo(-1, "", "", "", 0)
"""A pool that nobody has told of."""
MOST_STREAMS = 1000
"""Of those that have ended, so many are known at least."""
WELL: tuple[int, Why] = OK, None
COLUMNS = (
    *("function", "stream", "index", "attempt"),
    *("queued", "sent", "started", "ended", "pickle", "load", "dump", "bytes_in", "bytes_out"),
)
"""Of what `unfolded` has, in the order in which they are told."""


class Telling:
    """`offset`: what the clock of happenings is short of nanoseconds since the epoch."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._pools: dict[int, PoolInfo] = {}
        self._pids: dict[tuple[int, int], int] = {}
        self._streams: dict[int, StreamInfo] = {}
        self._turns: dict[type, Callable[[Any], Iterable[Event]]] = {
            Opened: self._opened,
            Closed: self._closed,
            Began: self._began,
            Gone: self._gone,
            Streamed: self._streamed,
            Ran: self._ran,
            Rows: self._rows,
            Missed: self._missed,
        }

    def events(self, happening: tuple[Any, ...]) -> Iterable[Event]:
        """What there is to be told of it. To be taken before the next one is asked for."""
        turn = self._turns.get(happening.__class__)
        return () if turn is None else turn(happening)

    def dropped(self, count: int, now: int) -> EventsDropped:
        """So many are not told of."""
        return EventsDropped(self._time(now), count)

    def forget(self, live: Callable[[], Iterable[int]]) -> None:
        """Keep no streams but those that `live`, and the latest."""
        if len(self._streams) > 2 * MOST_STREAMS:
            keep = {*live(), *list(self._streams)[-MOST_STREAMS:]}
            self._streams = {number: told for number, told in self._streams.items() if number in keep}

    def _time(self, now: int) -> float:
        return (now + self._offset) / SECOND

    # -- pools and workers -------------------------------------------------------------------------------------------

    def _opened(self, told: Opened) -> Iterator[Event]:
        known = told.engine in self._pools
        pool = self._pools[told.engine] = PoolInfo(told.engine, *told.role, told.backend, told.width)
        if not known:
            yield PoolOpened(self._time(told.now), pool)

    def _closed(self, told: Closed) -> Iterator[Event]:
        pool = self._pools.pop(told.engine, None)
        for key in [key for key in self._pids if key[0] == told.engine]:
            yield from self._gone(Gone(*key, told.now, ""), pool)
        if pool is not None:
            yield PoolClosed(self._time(told.now), pool)

    def _began(self, told: Began) -> Iterator[Event]:
        key = told.engine, told.wid
        known = self._pids.get(key, 0)
        self._pids[key] = told.pid
        if told.pid and not known:  # one whose number is not known yet is told again
            yield WorkerStarted(self._time(told.now), self._pool(told.engine), told.wid, told.pid)

    def _gone(self, told: Gone, pool: PoolInfo | None = None) -> Iterator[Event]:
        pid, pool = self._pids.pop((told.engine, told.wid), -1), pool or self._pool(told.engine)
        if pid == 0:
            yield WorkerStarted(self._time(told.now), pool, told.wid, pid)
        if pid >= 0 or told.how:  # else it was not needed any more before it was ready
            yield WorkerEnded(self._time(told.now), pool, told.wid, max(pid, 0), told.how)

    def _pool(self, engine: int) -> PoolInfo:
        return self._pools.get(engine, UNKNOWN)

    def _streamed(self, told: Streamed) -> Iterator[Event]:
        self._streams[told.number] = StreamInfo(told.number, told.kind, told.name)
        return iter(())

    # -- tasks -------------------------------------------------------------------------------------------------------

    def _ran(self, told: Ran) -> Iterator[Event]:
        if is_old(told):
            return
        count, rows = told.items, unfolded(told)
        failed = {at: (outcome, why) for at, outcome, why in told.failed}
        columns = [_column(rows.get(name, 0), count) for name in COLUMNS]
        tell = partial(self._ended, self._pool(told.engine), told.wid)
        for at, row in enumerate(zip(*columns, strict=True)):
            came = failed.get(at, WELL)
            if came[0] != RUNNING:
                yield tell(row[:4], came, (*row[4:8], told.done), row[8:])

    def _rows(self, told: Rows) -> Iterator[Event]:
        tell = partial(self._ended, self._pool(told.engine), told.wid)
        for function, stream, index, attempt, queued, started, ended, outcome, why in told.rows:
            if outcome != RUNNING:
                yield tell((function, stream, index, attempt), (outcome, why), (queued, 0, started, ended, ended))

    def _missed(self, told: Missed) -> Iterator[Event]:
        came, times = (told.outcome, told.why), (told.queued, 0, 0, 0, told.done)
        for at in range(told.items):
            index = told.place if told.place < 0 else told.place + at
            task = told.function, told.stream, index, told.attempt
            yield self._ended(self._pool(told.engine), None, task, came, times)

    def _ended(
        self,
        pool: PoolInfo,
        worker: int | None,
        task: Sequence[Any],
        came: tuple[int, Why],
        times: tuple[int, int, int, int, int],
        costs: tuple[int, ...] = (0, 0, 0, 0, 0),
    ) -> TaskEnded:
        """`task`: its function, its stream, its place there and the attempt; `times`: see `happenings.py`."""
        function, stream, index, attempt = task
        queued, sent, started, ended, done = [when + self._offset if when else None for when in times]
        outcome, why = came
        error: TaskError | None = None
        if why is not None:
            error = TaskError(*text_of(why), why if isinstance(why, BaseException) else None)
        said: Any = OUTCOMES[outcome]
        return TaskEnded(
            (done or ended or 0) / SECOND,
            pool,
            worker,
            function,
            self._streams.get(stream),
            index if index >= 0 else None,
            attempt,
            said,
            error,
            *(queued, sent, started, ended),
            *(each or None for each in costs),
        )


def _column(value: Any, count: int) -> Iterable[Any]:
    return repeat(value, count) if isinstance(value, int | str) else value


__all__ = ["Telling"]
