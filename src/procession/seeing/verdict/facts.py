"""Numbers that the verdict rests on, of a whole recording. Seconds, where nothing else is said."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from operator import sub
from statistics import median
from typing import NamedTuple

from ..recording import Recording
from .accounts import FAILED, HEADS, Work, outside, works
from .steps import Level, Steps

GIL_LEAST, GIL_MOST = 0.7, 1.25
"""CPUs that threads get which all need the GIL: one, and a bit more for what runs without it."""
GIL_CROWDED = 0.3
"""The least, where they waited for a CPU for `CROWDED` of their time, or longer: then others had that one, too."""
CROWDED = 0.1
TOGETHER = 1.5
"""So many threads must have run at a time, on average, for that to be worth a word."""


class Function(NamedTuple):
    """What is known of the runs of one function that came to a value."""

    name: str
    runs: int
    total: float
    median: float
    longest: float
    row: int
    """Of the longest."""
    bytes_in: int
    bytes_out: int
    pickle: float
    codec: float


class Facts:
    """What there is to be said something of; `works` is empty if nothing ran."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.cpus = max(1, recording.cpus)
        self.works = works(recording)
        self.functions = functions(recording)
        self.count = sum(len(work.rows) for work in self.works)
        self.outside = outside(recording, self.works) / 1e9 if self.works else 0.0
        self.lanes = max((self._beside(work) for work in self.works), default=1)
        """Of the pools that worked at the same time, together."""
        self.heads = {head: sum(work.heads[head] for work in self.works) / 1e9 for head in HEADS}
        self.heads["serial"] += self.outside * self.lanes
        self.capacity = sum(self.heads.values())
        """Seconds of lanes that were booked."""
        begin = min((work.begin for work in self.works), default=0)
        self.wall = (max((work.end for work in self.works), default=0) - begin) / 1e9
        self.bound_by_gil = [work for work in self.works if self.held_by_gil(work)]
        self.sequential = sum(self._alone(work) for work in self.works)
        self.own = min(sum(work.own for work in self.works), self._idle() / 1e9)
        """What the program did itself while nothing ran: it would do that as well if all went one after the other."""
        self.longest = max(self.functions, key=lambda function: function.longest, default=None)

    def name(self, function: int) -> str:
        names = self.recording.functions
        return names[function] if 0 <= function < len(names) else "?"

    def share(self, head: str) -> float:
        """Of the workers' time."""
        return self.heads[head] / self.capacity if self.capacity else 0.0

    def seconds(self, *heads: str) -> float:
        """As if it had kept all lanes at once: of the clock on the wall."""
        return sum(self.heads[head] for head in heads) / self.lanes

    def _idle(self) -> int:
        """Nanoseconds in which some pool might have run something, and none did."""
        spans = [[(work.begin, work.end) for work in self.works]]
        spans.append([period for work in self.works for period in work.running.periods()])
        whole, busy = (sum(end - begin for begin, end in Steps(each).periods()) for each in spans)
        return whole - busy

    def _beside(self, work: Work) -> int:
        return sum(other.lanes for other in self.works if other.begin <= work.begin < other.end or other is work)

    def first_loads(self) -> list[float]:
        """What decoding the arguments of its first task took each worker."""
        columns, first = self.recording.columns, dict[int, tuple[int, int]]()
        for worker, *known in zip(columns["worker"], columns["started"], columns["load"], strict=True):
            if known[0] and worker >= 0 and (worker not in first or known[0] < first[worker][0]):
                first[worker] = known[0], known[1]
        return [load / 1e9 for _, load in first.values()]

    # -- CPUs --------------------------------------------------------------------------------------------------------

    def counter(self, work: Work, name: str) -> Level:
        return Level(self.recording.counters.get((work.index, name)))

    def busy(self, work: Work) -> float:
        """Seconds in which any of them ran."""
        return sum(end - begin for begin, end in work.running.periods()) / 1e9

    def held_by_gil(self, work: Work) -> bool:
        """Threads that run together and get one CPU."""
        cpu, busy = self.counter(work, "cpu"), self.busy(work)
        if work.pool.backend != "threads" or self.cpus < 2 or not cpu or not busy:
            return False
        least = GIL_CROWDED if self.crowded(work) else GIL_LEAST
        if least == GIL_CROWDED and work.wanted >= work.ran / 2:
            least /= 2  # that they compute is known then, whoever has the CPUs
        return work.ran / busy >= TOGETHER and least <= cpu.total() / busy <= GIL_MOST

    def crowded(self, work: Work) -> bool:
        """Its workers waited for a CPU for long."""
        return work.heads["stalled"] >= CROWDED * work.ran * 1e9

    def _alone(self, work: Work) -> float:
        """What its functions would take one after the other. Nobody knows: it is what they took here, without the waits
        for a CPU; of threads that waited for the GIL, the CPU time.
        """
        if work in self.bound_by_gil:
            return self.counter(work, "cpu").total()
        return work.heads["function"] / 1e9

    def _worked(self, work: Work) -> float:
        """The share of its running that went into the functions, and not into sending or failing."""
        function, rest = work.heads["function"], work.heads["codec"] + work.heads["failed"]
        return function / (function + rest) if function else 0.0

    # -- the limit ---------------------------------------------------------------------------------------------------

    def _longest_alone(self, function: Function) -> float:
        """What its longest run would take if nothing had to be sent, and as much less than here as all runs would."""
        columns, row = self.recording.columns, function.row
        number = self.recording.workers[columns["worker"][row]].pool
        work = next(each for each in self.works if each.index == number)
        sent = (columns["load"][row] + columns["dump"][row]) / 1e9
        free = 1 - min(1.0, work.heads["stalled"] / (work.ran * 1e9)) if work.ran else 1.0
        ran = work.heads["function"] / free / 1e9 if free else 0.0
        return max(0.0, function.longest - sent) * (min(1.0, self._alone(work) / ran) if ran else 1.0)

    @property
    def speedup(self) -> float:
        return (self.sequential + self.own) / self.wall if self.wall else 1.0

    def limit(self) -> tuple[float, str]:
        """How many times as fast this work can be here at most, and why no more."""
        cpu = sum(work.computed * self._worked(work) for work in self.works)
        bounds = [
            (self.sequential / self.lanes, "there are no more workers"),
            (cpu / self.cpus, "the CPUs are busy with it"),
        ]
        if self.longest:
            bounds.append((self._longest_alone(self.longest), "its longest task takes as long as that"))
        bound, why = max(bounds)
        if self.own > bound:
            why = "the program itself takes so long, at work or waiting"
        whole = bound + self.own
        return ((self.sequential + self.own) / whole if whole else 1.0), why


def functions(recording: Recording) -> list[Function]:
    """Of each that has run, in their order."""
    rows: dict[int, array[int]] = {}
    columns = [recording.columns[name] for name in ("worker", "function", "outcome", "started", "ended")]
    workers = len(recording.workers)
    for row, (worker, function, outcome, started, ended) in enumerate(zip(*columns, strict=True)):
        if not started or ended < started or outcome in FAILED or not 0 <= worker < workers:
            continue
        if function not in rows:
            rows[function] = array("q")
        rows[function].append(row)
    return [_function(recording, function, its) for function, its in sorted(rows.items())]


def _function(recording: Recording, function: int, rows: array[int]) -> Function:
    """What these runs of it were."""

    def of(name: str) -> Iterator[int]:
        return map(recording.columns[name].__getitem__, rows)

    times = array("q", map(sub, of("ended"), of("started")))
    most = max(times)
    return Function(
        name=recording.functions[function] if 0 <= function < len(recording.functions) else "?",
        runs=len(times),
        total=sum(times) / 1e9,
        median=median(times) / 1e9,
        longest=most / 1e9,
        row=rows[times.index(most)],
        bytes_in=sum(of("bytes_in")),
        bytes_out=sum(of("bytes_out")),
        pickle=sum(of("pickle")) / 1e9,
        codec=(sum(of("load")) + sum(of("dump"))) / 1e9,
    )
