"""Where the time of the workers went: each moment of each of them is booked on one of `HEADS`.

What is booked is *lanes*: the workers that a pool has had at a time, or could have had to use the CPUs. One that runs a
task is booked by what the task did there; one that does not, by what kept it from that, and the first that fits counts:

1. `start`: a task waits, and this lane has no worker yet that has begun one.
2. `dispatch`: a task waits, and the worker is there.
3. `taker` or `head`: nothing waits, though the stream had more to come, and more items run or lie there finished than
   there are lanes, about as many as ever (`FULL`): its window is full. It is `head` as far as something runs that takes
   `LONG` times as long as usual, which the others have to wait for.
4. `stragglers`: nothing comes before all that runs is through, and more lanes have been busy since the last pause.
5. `serial`: the main thread computes meanwhile, or waits for a CPU. Half is booked where it does so half the time.
6. `input`: none of these: the program was waiting for something itself.

A pool is booked from its first task's hand-over to its last one's end. Of the rest of the recording only what the main
thread computed is booked, once, for the widest pool: what a program waits for that has handed nothing over, who knows.

All is exact up to `EXACT` tasks of a pool: booked between each two events. Of more, `BINS` equal parts are booked, by
what is true of each on average.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import compress, pairwise
from math import ceil, inf
from operator import add, gt, not_, sub
from statistics import median_low
from typing import NamedTuple

from ..recording import DIED, ERROR, MEMORY, TIMEOUT, Recording
from .steps import Level, Steps

FAILED = frozenset((ERROR, DIED, TIMEOUT, MEMORY))

HEADS = {
    "function": "running the function",
    "failed": "runs that failed",
    "codec": "decoding arguments, encoding results",
    "stalled": "waiting for a CPU",
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
LONG = 5
"""So many times the median of its stream is a long run, and `LONG_LEAST` at least."""
FULL = 0.6
"""Of the most results that ever lay there, and as many were there in the first third of the time."""
LONG_LEAST = 10_000_000


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
        self.streams = Steps(self._open_streams(recording))
        self.long_runs = Steps(self._long(recording))
        self.ready = Level(recording.counters.get((pool, "ready")))
        self.most_ready = self._most_ready()
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

    def _open_streams(self, recording: Recording) -> Iterable[tuple[int, int]]:
        """Of each stream, from the first item to the last that was handed over."""
        open_: dict[int, tuple[int, int]] = {}
        for stream, at in zip(self._of(recording, "stream"), self._of(recording, "queued"), strict=True):
            if stream and at:
                begin, end = open_.get(stream, (at, at))
                if at <= begin or at >= end:
                    open_[stream] = min(begin, at), max(end, at)
        return open_.values()

    def _most_ready(self) -> float:
        """So many results have lain there when it was most; infinite where that only grew: there is no window then.

        It is looked at from the first one on: how long workers take to start says nothing of a window.
        """
        end = self.queued[-1]
        begin = min(self.running.ends[0], end) if self.running.ends else self.queued[0]
        most = self.ready.highest(begin, end)
        return most if self.ready.highest(begin, begin + (end - begin) // 3) >= FULL * max(most, 1.0) else inf

    def _long(self, recording: Recording) -> Iterable[tuple[int, int]]:
        long = array("q", map(sub, self.ends, self.started))
        if max(long) < LONG_LEAST:
            return ()
        streams = self._of(recording, "stream")
        lengths: dict[int, array[int]] = {}
        for stream, length in zip(streams, long, strict=True):
            if stream not in lengths:
                lengths[stream] = array("q")
            lengths[stream].append(length)
        least = {stream: max(LONG_LEAST, LONG * median_low(each)) for stream, each in lengths.items()}
        runs = zip(streams, self.started, self.ends, strict=True)
        return ((start, end) for stream, start, end in runs if end - start >= least[stream])

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
            missing = min(idle, max(0, self.lanes * each.long - max(each.alive, each.running)), each.waiting)
            late = min(idle - missing, max(0, each.alive - each.running), each.waiting - missing)
            heads["start"] += missing
            heads["dispatch"] += late
            self._book_idle(heads, each, idle - missing - late, periods)
        self._book_runs(heads, recording, bins)
        return heads

    def _book_idle(self, heads: dict[str, float], each: Bin, idle: float, periods: Periods) -> None:
        """Lanes for which nothing waited."""
        if idle <= 0:
            return
        ready = self.ready.at((each.begin + each.end) // 2)
        full = ready >= FULL * self.most_ready and ready + each.running / each.long >= self.lanes + 0.5
        if full and self.streams.at(each.begin):
            self.own += max(0, each.long - each.running) / 1e9
            slow = self.long_runs.upto(each.end) - self.long_runs.upto(each.begin)
            share = min(1.0, slow / each.long)
            heads["head"] += idle * share
            heads["taker"] += idle * (1 - share)
            return
        end, peak = periods.at(each.begin)
        if each.running and end:
            after = bisect_right(self.queued, each.begin)
            if after == len(self.queued) or self.queued[after] >= end:
                last = min(idle, max(0.0, peak * each.long - each.running))
                heads["stragglers"] += last
                idle -= last
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
