"""What has happened lately while somebody looks on, of each pool: rates, task times, errors. A fold, of bounded size.

It counts what ends: a run that is told as running, because nobody listens any more, is none that has ended.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from procession.happenings import CANCELLED, RUNNING, Missed, Ran, Rows
from procession.seeing.collector import text_of
from procession.seeing.recording import OUTCOMES

SECOND = 1_000_000_000
WINDOW = 10
"""Seconds that a rate looks back, at most."""
TIMES = 1000
"""The latest task times, of each pool, from which the percentiles are."""
SAMPLED = 50
"""Of one happening, so many times are looked at."""
ERRORS = 20
"""The latest errors, of each pool."""
TEXT, STACK = 500, 4000
"""Characters of an error's text, and of its traceback's end."""


class _Pool:
    def __init__(self) -> None:
        self.ended: deque[list[int]] = deque()  # (second, how many), the latest WINDOW + 1 of them
        self.times: deque[int] = deque(maxlen=TIMES)
        self.errors: deque[dict[str, Any]] = deque(maxlen=ERRORS)
        self.failures = 0

    def count(self, items: int, now: int) -> None:
        second = now // SECOND
        if self.ended and self.ended[-1][0] >= second:
            self.ended[-1][1] += items
        else:
            self.ended.append([second, items])
            while self.ended[0][0] < second - WINDOW:
                self.ended.popleft()


class Lately:
    """Begins at `since`, in ns of CLOCK_MONOTONIC."""

    def __init__(self, since: int) -> None:
        self._since = since
        self._pools: dict[int, _Pool] = {}
        self._takes = {Ran: self._ran, Rows: self._rows, Missed: self._missed}

    def take(self, happening: tuple[Any, ...]) -> None:
        """This has happened."""
        take: Any = self._takes.get(happening.__class__)
        if take is not None:
            take(happening)

    def told(self, engine: int, now: int) -> dict[str, Any]:
        """Of one pool: `rate` (a second), `p50` and `p99` (seconds), None while nothing is known; how many `failures`
        there were since `since`, and the latest `errors`."""
        pool = self._pools.get(engine) or _Pool()
        seconds = min(WINDOW, (now - self._since) / SECOND)
        lately = sum(items for second, items in pool.ended if second > now // SECOND - WINDOW)
        times = sorted(pool.times)
        return {
            "rate": lately / seconds if seconds >= 0.5 else None,
            "p50": times[len(times) // 2] / SECOND if times else None,
            "p99": times[len(times) * 99 // 100] / SECOND if times else None,
            "failures": pool.failures,
            "errors": list(pool.errors),
        }

    def keep(self, engines: set[int]) -> None:
        """Others are gone."""
        for gone in self._pools.keys() - engines:
            del self._pools[gone]

    def _pool(self, engine: int) -> _Pool:
        return self._pools.setdefault(engine, _Pool())

    def _ran(self, told: Ran) -> None:
        pool = self._pool(told.engine)
        running = sum(outcome == RUNNING for _, outcome, _ in told.failed)
        pool.count(told.items - running, told.done)
        if told.times is not None:
            step = max(1, told.items // SAMPLED)
            pairs = list(zip(told.times.started, told.times.ended, strict=True))[::step]
            pool.times.extend(ended - started for started, ended in pairs if 0 < started <= ended)
        for at, outcome, why in told.failed:
            function = told.function if isinstance(told.function, str) else told.function[at]
            self._fails(pool, told.wid, function, outcome, why, told.done)

    def _rows(self, told: Rows) -> None:
        pool = self._pool(told.engine)
        step = max(1, len(told.rows) // SAMPLED)
        for number, (function, _, _, _, _, started, ended, outcome, why) in enumerate(told.rows):
            if outcome == RUNNING:
                continue
            pool.count(1, ended)
            if not number % step and 0 < started <= ended:
                pool.times.append(ended - started)
            if outcome:
                self._fails(pool, told.wid, function, outcome, why, ended)

    def _missed(self, told: Missed) -> None:
        pool = self._pool(told.engine)
        pool.count(told.items, told.done)
        self._fails(pool, -1, told.function, told.outcome, told.why, told.done)

    def _fails(self, pool: _Pool, wid: int, function: str, outcome: int, why: Any, when: int) -> None:
        if outcome in (RUNNING, CANCELLED):
            return
        pool.failures += 1
        kind, message, trace = (OUTCOMES[outcome], "", "") if why is None else text_of(why)
        pool.errors.append(
            {
                "at": when / SECOND,
                "worker": wid,
                "function": function,
                "kind": kind,
                "text": message[:TEXT],
                "stack": trace[-STACK:],
            }
        )


__all__ = ["Lately"]
