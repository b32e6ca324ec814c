"""Recordings that nobody recorded: made from a seed, true to the laws of `procession.seeing.recording`.

`made(tasks=..., seed=...)` plays pools whose workers take tasks one after the other; the same words make the same
recording, on every machine. `Faults` says what goes wrong in it.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_right
from collections.abc import Callable
from heapq import heapify, heapreplace
from typing import NamedTuple

from procession.seeing.recording import (
    CANCELLED,
    DIED,
    ERROR,
    MEMORY,
    MOST_FAILURES,
    OK,
    TIMEOUT,
    FailureText,
    Pool,
    Recording,
    Stream,
    Worker,
)

BEGAN = 987_654_321_012_345
"""Nanoseconds: a machine that is up for eleven days. More than 2**49, so that a float of 32 bits is no good for it."""
MS = 1_000_000
US = 1_000

FUNCTIONS = ("app.images.thumbnail", "app.text.tokenize", "app.model.score", "<lambda>", "app.net.fetch")
STREAMS = (
    Stream("call", ""),
    Stream("map", "thumbnails", 0, BEGAN + 3 * MS, BEGAN + 90 * MS, "finished", 2 * MS, 2 * MS),
    Stream("imap", "tokens", 16, BEGAN + 4 * MS, BEGAN + 80 * MS, "closed", 76 * MS, 30 * MS, 20 * MS, 10 * MS),
    Stream("SpinOff", "scores"),
)
KINDS = ("ValueError", "KeyError", "OSError", "app.errors.TooDark")
ENDS = {DIED: "SIGSEGV", TIMEOUT: "SIGKILL", MEMORY: "SIGKILL"}
LOST = {DIED: "WorkerDied", TIMEOUT: "TaskTimeout", MEMORY: "MemoryLimit"}


class Faults(NamedTuple):
    """What goes wrong. Shares are of 1."""

    failing: float = 0.02
    """Of the attempts, end in an error of their own."""
    killing: float = 0.002
    """Of the attempts, end with their worker, which has a successor."""
    cancelled: float = 0.002
    """Of the items, are cancelled before they are sent."""
    attempts: int = 3
    """So many may an item have."""
    straggler: bool = True
    """The last item takes a quarter of the whole."""
    gaps: int = 1
    """So often the program hands nothing over, for a tenth of the whole."""
    instant: float = 0.01
    """Of the items, start and end in the same nanosecond."""


SOME = Faults()
NONE = Faults(0.0, 0.0, 0.0, 1, False, 0, 0.0)


def made(
    tasks: int = 400,
    workers: int = 4,
    pools: int = 1,
    *,
    seed: int = 0,
    faults: Faults = SOME,
    run: float = 2 * MS,
    functions: tuple[str, ...] = FUNCTIONS,
) -> Recording:
    """A recording of so many items (rows are more of them, if there are further attempts) over `workers` of each pool.

    `run` is the mean time of an item in nanoseconds.
    """
    play = Play(random.Random(seed), Recording(), faults, run, tasks)
    play.recording.functions += functions
    play.recording.streams[:] = STREAMS
    for number in range(pools):
        play.pool(number, workers, tasks // pools + (number < tasks % pools))
    play.end(pools * workers)
    return play.recording


class Play:
    """Pools that have no workers but in a heap: when each is free again."""

    def __init__(self, rng: random.Random, recording: Recording, faults: Faults, run: float, tasks: int) -> None:
        self.rng, self.recording, self.faults, self.run, self.tasks = rng, recording, faults, run, tasks
        self.last = BEGAN

    def pool(self, number: int, workers: int, tasks: int) -> None:
        made = self.recording
        backend = ("processes", "threads", "inline")[number % 3]
        made.pools.append(Pool(number, backend, workers, "" if number == 0 else f"pool {number}"))
        free = [(BEGAN + 20 * MS + wid * 100 * US, self._worker(number, wid)) for wid in range(workers)]
        heapify(free)
        self._take(number, tasks, free)
        for _, worker in free:
            made.workers[worker] = made.workers[worker]._replace(ended=self.last + MS)

    def _worker(self, pool: int, wid: int, now: int = BEGAN) -> int:
        workers = self.recording.workers
        workers.append(Worker(pool, wid, 4711 + 2 * len(workers), now + MS, 0))
        return len(workers) - 1

    def _take(self, pool: int, tasks: int, free: list[tuple[int, int]]) -> None:
        """Each item, in order, by whoever is free first."""
        rng, faults = self.rng, self.faults
        length = int(self.run * tasks / max(1, len(free)))
        gaps = {tasks * (at + 1) // (faults.gaps + 1) for at in range(faults.gaps)}
        queued = BEGAN + 15 * MS
        for index in range(tasks):
            queued += int(rng.random() * self.run / len(free))
            if index in gaps:
                queued = max(queued, free[0][0]) + length // 10
            if rng.random() < faults.cancelled:
                self._row(-1, index, 1, CANCELLED, queued, 0, 0, 0, queued + 3 * MS)
                continue
            took = int(rng.expovariate(1 / self.run))
            if rng.random() < faults.instant:
                took = 0
            if faults.straggler and index == tasks - 1:
                took = length // 4
            self._item(pool, index, queued, took, free)

    def _item(self, pool: int, index: int, queued: int, took: int, free: list[tuple[int, int]]) -> None:
        rng, faults = self.rng, self.faults
        for attempt in range(1, faults.attempts + 1):
            at, worker = free[0]
            sent = max(queued, at - 2 * int(self.run)) + (20 * US if took else 0)
            started = max(sent, at) + (30 * US if took else 0)
            ended = started + took
            chance = rng.random()
            outcome = OK
            if chance < faults.failing:
                outcome = ERROR
            elif chance < faults.failing + faults.killing:
                outcome = (DIED, TIMEOUT, MEMORY)[index % 3]
            done = ended + (int(rng.random() * 200 * US) if took else 0)
            lost = outcome in LOST
            self._row(worker, index, attempt, outcome, queued, sent, started, 0 if lost else ended, done)
            if lost:
                workers = self.recording.workers
                workers[worker] = workers[worker]._replace(ended=done, end=ENDS[outcome])
                worker = self._worker(pool, workers[worker].wid + 1000, done)
                ended = done + 5 * MS
            heapreplace(free, (ended, worker))
            if outcome == OK:
                return
            queued = done + 100 * US

    def _row(self, *row: int) -> None:
        worker, index, attempt, outcome, queued, sent, started, ended, done = row
        rng, made = self.rng, self.recording
        stream = index % len(made.streams) if self.tasks > 4 else 0
        took = ended - started if ended else 0
        sizes = int(rng.paretovariate(0.9) * 40) if rng.random() < 0.9 else 0
        at = made.add(
            worker=worker,
            function=(index * 7 + stream) % len(made.functions),
            stream=stream,
            index=index if stream else -1,
            attempt=attempt,
            outcome=outcome,
            queued=queued,
            sent=sent,
            started=started,
            ended=ended,
            done=done,
            pickle=int(rng.random() * 40 * US),
            load=min(took // 8, int(rng.random() * 60 * US)),
            dump=min(took // 8, int(rng.random() * 30 * US)),
            bytes_in=min(sizes, 80_000_000),
            bytes_out=min(sizes // 3, 80_000_000),
        )
        self.last = max(self.last, done)
        if outcome not in (OK, CANCELLED) and len(made.failures) < MOST_FAILURES:
            made.failures[at] = self._said(outcome, index)

    def _said(self, outcome: int, index: int) -> FailureText:
        if outcome in LOST:
            return FailureText(LOST[outcome], f"the worker of item {index} is gone ({ENDS[outcome]})", "")
        kind = KINDS[index % len(KINDS)]
        message = f"item {index} <is> no good & \N{MULTIPLICATION SIGN}"
        trace = "Traceback (most recent call last):\n" + "".join(
            f'  File "/srv/app/{name}.py", line {index % 90 + 10}, in {name}\n    return {name}(item)\n'
            for name in ("run", "load", "check")
        )
        return FailureText(kind, message, f"{trace}{kind}: {message}\n")

    def end(self, workers: int) -> None:
        """The counters, and what is known of the program."""
        made = self.recording
        made.since, made.until = BEGAN, self.last + 5 * MS
        made.cpus = workers
        made.about |= {
            "command": "python app/main.py --all",
            "python": "3.11.7",
            "procession": "0.1",
            "host": "made",
            "began": "2026-11-28T12:00:00+00:00",
            "accelerated": "yes",
        }
        by_pool: list[tuple[list[int], list[int], list[int]]] = [([], [], []) for _ in made.pools]
        for row in range(len(made)):
            if made.worker[row] >= 0:
                times = by_pool[made.workers[made.worker[row]].pool]
                for kept, column in zip(times, ("queued", "started", "done"), strict=True):
                    kept.append(made.columns[column][row])
        for number, pool in enumerate(made.pools):
            self._counters(number, pool.width, *map(sorted, by_pool[number]))
        self._sampled(-1, "memory", lambda share: 60e6 + 20e6 * share)
        self._sampled(-1, "cpu", lambda share: 0.4 * share)
        self._sampled(-1, "main cpu", lambda share: 0.3 * share)

    def _counters(self, pool: int, width: int, queued: list[int], started: list[int], done: list[int]) -> None:
        made = self.recording

        def waiting(now: int) -> int:
            return bisect_right(queued, now) - bisect_right(started, now)

        def running(now: int) -> int:
            return bisect_right(started, now) - bisect_right(done, now)

        length = (made.until - made.since) / 1e9
        for name, value in (("queued", waiting), ("running", running)):
            self._sampled(pool, name, lambda share, value=value: value(self._moment(share)))  # type: ignore[misc]
        self._sampled(pool, "ready", lambda share: float(int(10 * share)))
        self._sampled(pool, "workers", lambda share: float(width if share > 0.02 else 0))
        self._sampled(pool, "memory", lambda share: 30e6 * width * (1 + share / 2))
        self._sampled(pool, "cpu", lambda share: 0.8 * width * length * share)
        self._sampled(pool, "stalled", lambda share: 0.01 * width * length * share)

    def _moment(self, share: float) -> int:
        made = self.recording
        return made.since + int((made.until - made.since) * share)

    def _sampled(self, pool: int, name: str, value: Callable[[float], float]) -> None:
        """A hundred samples, evenly; `value` is asked by the share of the time that has gone."""
        for step in range(101):
            self.recording.sample(pool, name, self._moment(step / 100), float(value(step / 100)))


def repeated(recording: Recording, times: int) -> Recording:
    """So often the same again, one after the other: many rows, soon made. What failures said is kept of the first."""
    length = recording.until - recording.since
    alone = {name: column[:] for name, column in recording.columns.items()}
    for again in range(1, times):
        shift = again * length
        for name, column in alone.items():
            if name in ("queued", "sent", "started", "ended", "done"):
                column = array("q", [time and time + shift for time in column])
            recording.columns[name].extend(column)
        for samples in recording.counters.values():
            first = len(samples.times) // again
            samples.times.extend(array("q", [time + shift for time in samples.times[:first]]))
            samples.values.extend(samples.values[:first])
    recording.until += (times - 1) * length
    recording.workers[:] = [worker._replace(ended=recording.until) for worker in recording.workers]
    return recording
