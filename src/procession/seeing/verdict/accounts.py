"""Where the time of the workers went: each moment of each of them is booked on one of `HEADS`.

What is booked is *lanes*: the workers that a pool has had at a time, or could have had to use the CPUs. One that runs a
task is booked by what the task did there; one that does not, by what kept it from that, and the first that fits counts:

1. `backoff`: what waits is a further attempt, whose time has not come.
2. `key`, `rate`, `batch`: something waits, which the words `key=`, `rate=` or `batch=` hold back.
3. `start`: a task waits, and this lane has no worker yet that has begun one.
4. `dispatch`: a task waits, and the worker is there.
5. `taker` or `head`: nothing waits, though a stream has more to come: nobody takes its results, or its window is full
   behind a slow item. That is known of each stream (`stream_clocks`); so is for how long its source was asked, which is
   `serial` or `input`, as below. All idle time while streams were open is one of these, in proportion.
6. `stragglers`: nothing comes before all that runs is through, and more lanes have been busy since the last pause.
7. `serial`: the main thread computes meanwhile, or waits for a CPU. Half is booked where it does so half the time.
8. `input`: none of these: the program was waiting for something itself.

A pool is booked from its first task's hand-over to its last one's end. Of the rest of the recording only what the main
thread computed is booked, once, for the widest pool: what a program waits for that has handed nothing over, who knows.

All is exact up to `EXACT` tasks of a pool: booked between each two events. Of more, `BINS` equal parts are booked, by
what is true of each on average.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import compress, pairwise
from math import ceil
from operator import add, gt, not_, sub
from typing import NamedTuple

from ..recording import DIED, ERROR, MEMORY, STREAM_COUNTERS, TIMEOUT, Recording
from .steps import Level, Steps

FAILED = frozenset((ERROR, DIED, TIMEOUT, MEMORY))

HEADS = {
    "function": "running the function",
    "failed": "runs that failed",
    "codec": "decoding arguments, encoding results",
    "stalled": "waiting for a CPU",
    "backoff": "waiting for a further attempt's time",
    "key": "held back by key=",
    "rate": "held back by rate=",
    "batch": "waiting for a batch to be full",
    "start": "workers starting",
    "dispatch": "between two tasks, though one waited",
    "taker": "nobody took the results",
    "head": "behind a slow item, window full",
    "stragglers": "nothing left to do while others ran",
    "serial": "the program computed by itself",
    "input": "no input",
}
"""What time is booked on, and what that is called."""

EXACT = 10_000
BINS = 4_000
PAUSE = 1_000_000
"""A further attempt that waited longer was held back before it, in ns."""
HOLDS = {"key": "keyed", "rate": "paced", "batch": "gathered"}
"""By the head: the counter of what is held back."""


class Bin(NamedTuple):
    """A part of the time, and what was open in it, as lanes times nanoseconds."""

    begin: int
    end: int
    running: int
    alive: int
    waiting: int

    @property
    def long(self) -> int:
        return self.end - self.begin


class Work:
    """What one pool has run, and on what its lanes' time is booked."""

    def __init__(self, recording: Recording, pool: int, rows: array[int]) -> None:
        self.pool, self.rows = recording.pools[pool], rows
        self.ran = 0.0
        """Seconds in which its tasks ran, all together."""
        self.computed = self.wanted = 0.0
        """Seconds in which they took a CPU, or also waited for one; more than `ran`, if they have threads."""
        self.own = 0.0
        """Seconds in which nothing ran or waited to run, as the program was at something else."""
        self.index = pool
        self.last = recording.until or max((*recording.done, *recording.ended, *recording.started), default=0)
        dense = 5 * len(rows) > len(recording)  # a row that is passed over costs less than one that is looked up
        self._kept = _mask(rows, len(recording)) if dense else None
        queued, started, ended, done = (self._of(recording, name) for name in ("queued", "started", "ended", "done"))
        self.started, self.ends = started, ended
        for row in compress(range(len(rows)), map(gt, started, ended)):  # nobody has seen its end
            ended[row] = max(started[row], ended[row] or done[row] or self.last)
        if 0 in queued:  # nobody has seen that it waited
            queued = array("q", [at or start for at, start in zip(queued, started, strict=True)])
        self.running = Steps.between(started, self.ends)
        self.waiting = Steps.between(queued, started)
        self.queued = array("q", sorted(queued))
        self.begin = self.queued[0]
        self.end = max(max(done), max(self.ends), self.begin)
        self.alive = self._alive(recording)
        most = max((self.alive.at(at) for at in self.alive.starts), default=1)
        self.lanes = max(most, min(self.pool.width, recording.cpus), 1)
        self.waits = {name: Level(recording.counters.get((pool, name))) for name in STREAM_COUNTERS}
        self.rests = Steps(self._rests(recording))
        self.main = Level(recording.counters.get((-1, "main cpu")))
        self.waited = Level(recording.counters.get((-1, "stalled")))
        self.stalled = Level(recording.counters.get((pool, "stalled")))
        self.cpu = Level(recording.counters.get((pool, "cpu")))
        self.heads = self._book(recording)

    @property
    def wall(self) -> int:
        return self.end - self.begin

    def _of(self, recording: Recording, name: str) -> array[int]:
        """What a column says of its rows."""
        column = recording.columns[name]
        kept = map(column.__getitem__, self.rows) if self._kept is None else compress(column, self._kept)
        return array(column.typecode, kept)

    def _alive(self, recording: Recording) -> Steps:
        """Workers, from their first run until their end, or the pool's."""
        first: dict[int, int] = {}
        for worker, at in zip(self._of(recording, "worker"), self.started, strict=True):
            if at < first.get(worker, at + 1):
                first[worker] = at
        known = ((recording.workers[number], at) for number, at in first.items())
        return Steps((at, worker.ended or self.end) for worker, at in known)

    def _rests(self, recording: Recording) -> Iterable[tuple[int, int]]:
        """The pauses before further attempts."""
        attempts, *times = (self._of(recording, name) for name in ("attempt", "queued", "sent", "started"))
        if max(attempts) < 2:
            return
        for attempt, queued, sent, started in zip(attempts, *times, strict=True):
            end = sent or started
            if attempt > 1 and queued and end - queued >= PAUSE:
                yield queued, end

    # -- booking -----------------------------------------------------------------------------------------------------

    def _bins(self) -> list[Bin]:
        begin, end = self.begin, self.end
        if len(self.rows) <= EXACT:
            known = (self.queued, self.running.starts, self.running.ends, self.alive.starts, self.alive.ends)
            edges = sorted({begin, end, *(at for times in known for at in times if begin < at < end)})
        else:
            edges = [begin + (end - begin) * part // BINS for part in range(BINS + 1)]
        sums = [(self.running.upto(at), self.alive.upto(at), self.waiting.upto(at)) for at in edges]
        steps = zip(pairwise(edges), pairwise(sums), strict=True)
        return [Bin(*of, *(b - a for a, b in zip(*sum_, strict=True))) for of, sum_ in steps if of[0] < of[1]]

    def _book(self, recording: Recording) -> dict[str, float]:
        heads = dict.fromkeys(HEADS, 0.0)
        bins, periods = self._bins(), Periods(self.running.periods())
        for each in bins:
            periods.see(each)
        for each in bins:
            idle = max(0, self.lanes * each.long - each.running)
            late = self._book_held(heads, each, min(idle, each.waiting))
            held = min(idle, each.waiting) - late
            missing = min(late, max(0, self.lanes * each.long - max(each.alive, each.running)))
            late = min(late - missing, max(0, each.alive - each.running))
            heads["start"] += missing
            heads["dispatch"] += late
            self._book_idle(heads, each, idle - held - missing - late, periods)
        self._book_runs(heads, recording, bins)
        return heads

    def _book_held(self, heads: dict[str, float], each: Bin, late: float) -> float:
        """Lanes for which something waits; how many are left, for which it could begin."""
        if late <= 0:
            return 0.0
        rests = self.rests.upto(each.end) - self.rests.upto(each.begin)
        back = max(0, late - max(0, each.waiting - rests))
        heads["backoff"] += back
        held = self._shares(HOLDS, each)
        whole = sum(held.values())
        for head, share in held.items():
            heads[head] += (late - back) * share / max(1.0, whole)
        return (late - back) * (1 - min(1.0, whole))

    def _shares(self, of: Mapping[str, str], each: Bin) -> dict[str, float]:
        """Of this time, by these counters."""
        grown = {head: self.waits[name].grown(each.begin, each.end) * 1e9 / each.long for head, name in of.items()}
        return {head: min(1.0, max(0.0, share)) for head, share in grown.items()}

    def _book_streams(self, heads: dict[str, float], each: Bin, idle: float) -> tuple[float, float]:
        """Lanes that idle while a stream has more to come; those for which its source was asked, and all others."""
        reasons = self._shares({**HOLDS, "taker": "untaken", "head": "headed", "source": "source"}, each)
        held = min(1.0, sum(reasons[head] for head in HOLDS))
        reasons["head"] = max(0.0, reasons["head"] - held)
        part = idle * max(held, self._shares({"open": "open"}, each)["open"])
        whole = sum(reasons.values())
        if not part or not whole:
            return 0.0, idle
        source = part * reasons.pop("source") / whole
        for head, share in reasons.items():
            heads[head] += part * share / whole
        self.own += part * reasons["taker"] / whole / idle * max(0, each.long - each.running) / 1e9
        return source, idle - part

    def _book_idle(self, heads: dict[str, float], each: Bin, idle: float, periods: Periods) -> None:
        """Lanes for which nothing waited."""
        if idle <= 0:
            return
        source, idle = self._book_streams(heads, each, idle)
        end, peak = periods.at(each.begin)
        if each.running and end:
            after = bisect_right(self.queued, each.begin)
            if after == len(self.queued) or self.queued[after] >= end:
                last = min(idle, max(0.0, peak * each.long - each.running))
                heads["stragglers"] += last
                idle -= last
        idle += source
        busy = self.busy(each.begin, each.end)
        self.own += min(idle / self.lanes, max(0, each.long - each.running)) / 1e9
        heads["serial"] += idle * busy
        heads["input"] += idle * (1 - busy)

    def busy(self, begin: int, end: int) -> float:
        """The share of this time that the main thread was on a CPU, or would have been."""
        wanted = self.main.grown(begin, end) + self.waited.grown(begin, end)
        return min(1.0, max(0.0, wanted * 1e9 / (end - begin)))

    def _book_runs(self, heads: dict[str, float], recording: Recording, bins: list[Bin]) -> None:
        """What the lanes did that ran something. Of the time in which workers waited for a CPU, those that run
        something have as large a part as they are of all that live; it is taken from whatever else they did.
        """
        outcome, load, dump = (self._of(recording, name) for name in ("outcome", "load", "dump"))
        failing = [*map(FAILED.__contains__, outcome)]
        fine = [*map(not_, failing)]
        lengths = array("q", map(sub, self.ends, self.started))
        failed = sum(compress(lengths, failing))
        coded = map(add, compress(load, fine), compress(dump, fine))
        codec = sum(map(min, coded, compress(lengths, fine)))
        ran = sum(each.running for each in bins)
        stalled = cpu = 0.0
        for each in bins if self.stalled or self.cpu else ():
            part = each.running / max(each.alive, each.running, 1)
            stalled += self.stalled.grown(each.begin, each.end) * part
            cpu += self.cpu.grown(each.begin, each.end) * part
        self.ran = ran / 1e9
        self.computed, self.wanted = cpu, stalled + cpu
        stalled = min(max(0.0, stalled * 1e9), ran)
        heads["failed"] = min(failed, ran)
        heads["codec"] = min(codec, ran - heads["failed"])
        heads["function"] = ran - heads["failed"] - heads["codec"]
        heads["stalled"] = stalled
        for head in ("failed", "codec", "function"):
            heads[head] *= 1 - stalled / ran if ran else 1


def _mask(rows: array[int], of: int) -> bytearray:
    """Which of so many these are."""
    mask = bytearray(of)
    for row in rows:
        mask[row] = 1
    return mask


class Periods:
    """Times in which something runs, and how many lanes at most."""

    def __init__(self, periods: list[tuple[int, int]]) -> None:
        self._begins, self._ends = [begin for begin, _ in periods], [end for _, end in periods]
        self._peaks = [1.0] * len(periods)

    def see(self, each: Bin) -> None:
        period = bisect_right(self._begins, each.begin) - 1
        if period >= 0 and each.running:
            self._peaks[period] = max(self._peaks[period], ceil(each.running / each.long - 0.05))

    def at(self, now: int) -> tuple[int, float]:
        """When the one ends that is going on, 0 if there is none; and its peak."""
        period = bisect_right(self._begins, now) - 1
        if period < 0 or self._ends[period] <= now:
            return 0, 1.0
        return self._ends[period], self._peaks[period]


def works(recording: Recording) -> list[Work]:
    """What each pool has run, of those that have run anything."""
    rows = [array("q") for _ in recording.pools]
    pools = [worker.pool for worker in recording.workers]
    started = recording.started
    for row, worker in enumerate(recording.worker):
        if 0 <= worker < len(pools) and started[row]:
            rows[pools[worker]].append(row)
    return [Work(recording, pool, its) for pool, its in enumerate(rows) if its]


def outside(recording: Recording, found: list[Work]) -> float:
    """Nanoseconds that the main thread computed while no pool had anything to do."""
    begin = min([recording.since or found[0].begin, *(work.begin for work in found)])
    end = max([recording.until, *(work.end for work in found)])
    total, at = 0.0, begin
    for first, last in sorted([(work.begin, work.end) for work in found] + [(end, end)]):
        if first > at:
            total += (first - at) * found[0].busy(at, first)
        at = max(at, last)
    return total
