"""A recording: what every task of a program went through, while `procession.trace` was on. Columns, one row a task.

An *item* of a map, an imap, a SpinOff or a pipeline is a task here, as a submitted call is; so is each further attempt.
All times are nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share; 0 says that it never came to that.

Laws, for a row whose outcome is `OK` or `ERROR`:

1. queued <= sent <= started <= ended <= done, as far as they are known (not 0).
2. load + dump <= ended - started.
3. On one worker no two rows overlap between started and ended; inline, one may lie within another that handed it over.

Rows are in no order. What did not fit (`MOST` rows) is counted in `lost`. A run of which the times were overwritten
before anybody had read them has started and ended 0.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from procession.happenings import CANCELLED, DIED, ERROR, MEMORY, OK, RUNNING, TIMEOUT

OUTCOMES = ("ok", "error", "died", "timeout", "memory", "cancelled", "running")
"""What a task came to: a value; an exception of its own; its worker's death; a timeout; the memory limit; nothing; and
"running", it was running when the recording ended: `ended` is that moment.

An attempt that is followed by another has the outcome that it had; `attempt` numbers them from 1.
"""

MOST = 5_000_000
"""Rows that are kept."""
MOST_FAILURES = 1_000
"""Failures of which the text is kept."""
MOST_ATTEMPTS = 0xFFFF
"""What comes later counts as that."""
MOST_SAMPLES = 1 << 17
"""Of a quantity. When there are as many every other one is let go, and from then on they are taken half as often."""

COLUMNS = {
    "worker": "i",  # index into `workers`; -1: it never had one
    "function": "i",  # index into `functions`
    "stream": "i",  # index into `streams`; 0: a call by itself
    "index": "q",  # place in its stream, from 0; of a call by itself, -1
    "attempt": "H",  # from 1, at most MOST_ATTEMPTS are told
    "outcome": "B",
    "queued": "q",  # handed over by the program; a further attempt: when the one before had ended
    "sent": "q",  # given to the worker, with others of its lease
    "started": "q",  # taken by the worker
    "ended": "q",  # through there, its result encoded
    "done": "q",  # its outcome is known to the program
    "pickle": "q",  # ns of the program's thread for encoding its arguments
    "load": "I",  # ns of the worker for decoding the arguments, at most 4.29 s are told
    "dump": "I",  # ns of the worker for encoding the result, the same
    "bytes_in": "q",  # of its arguments, as they travelled, those in shared memory too
    "bytes_out": "q",  # of its result
}


class Pool(NamedTuple):
    """A pool, or the engine of a SpinOff or a stage."""

    number: int
    backend: str
    width: int
    """Workers that it may have."""
    name: str = ""


class Worker(NamedTuple):
    """One worker: a process, a thread, or for inline the program's own thread."""

    pool: int
    """Index into `pools`."""
    wid: int
    pid: int
    """Process id; of a thread, its native id."""
    started: int
    ended: int
    """0: it lived on."""
    end: str = ""
    """How it ended, if not in order: "SIGKILL", "exit code 3" ..."""


class Stream(NamedTuple):
    """What its items belong to. All but the first two are known of those that began while this was recorded."""

    kind: str
    """"map", "imap", "SpinOff", "pipeline", ..."""
    name: str
    window: int = 0
    """Items that it took in at a time; the most, where it finds that itself. 0: no bound."""
    began: int = 0
    ended: int = 0
    """0: it went on, or that is not known."""
    end: str = ""
    """"finished", "raised" (an error came out of it), "closed" by who takes, "cancelled", "dropped"."""
    open: int = 0
    """ns until nothing more was to come in; of a pipeline this and the next are of the stage where it is most."""
    source: int = 0
    """Of these, ns in which its source was asked, or nothing was put though there was room."""
    untaken: int = 0
    """ns in which nothing came in, as results were not taken."""
    headed: int = 0
    """ns in which workers idled behind an item in front, the window being full."""


class FailureText(NamedTuple):
    """What a task that failed said of it."""

    kind: str
    """The exception's class."""
    message: str
    trace: str
    """The traceback, or what is known of the stack."""


class Samples(NamedTuple):
    """A quantity of one pool over time."""

    times: array[int]
    values: array[float]


COUNTERS = ("queued", "running", "ready", "workers", "memory", "cpu", "stalled")
"""What is sampled, of each pool: tasks that wait; tasks in hand of workers; finished items that nobody has taken yet;
workers; resident bytes of the workers; CPU seconds of the workers since their start; seconds that workers have waited,
ready to run, for a CPU.
"""
STREAM_COUNTERS = ("open", "source", "untaken", "headed", "keyed", "paced", "gathered")
"""Also of each pool, since the beginning: seconds of its streams, see `stream_clocks`."""
PROGRAM_COUNTERS = ("memory", "cpu", "main cpu", "stalled")
"""The same of the program's process itself (pool -1); "main cpu": of its main thread alone."""


class Recording:
    """See the module."""

    def __init__(self) -> None:
        self.columns: dict[str, array[int]] = {name: array(code) for name, code in COLUMNS.items()}
        self.pools: list[Pool] = []
        self.workers: list[Worker] = []
        self.functions: list[str] = []
        self.streams: list[Stream] = [Stream("call", "")]
        self.failures: dict[int, FailureText] = {}
        """By row."""
        self.counters: dict[tuple[int, str], Samples] = {}
        """By pool (an index, -1: the program) and name."""
        self.repeats: dict[int, tuple[int, int]] = {}
        """By function: (how many of its large arguments had been sent before, just the same, and their bytes).

        At least so many: the whole of one is looked at from the second on, so it is known from the third on.
        """
        self.since = self.until = 0
        """When recording began and ended."""
        self.cpus = 1
        """CPUs that the program may use."""
        self.lost = 0
        self.about: dict[str, str] = {}
        """The program: "command", "python", "procession", "host", "began" (ISO 8601), "accelerated"."""

    def __len__(self) -> int:
        return len(self.columns["worker"])

    def __getattr__(self, name: str) -> array[int]:
        if name not in COLUMNS:
            raise AttributeError(f"a recording has no {name!r}")
        return self.columns[name]

    def add(self, **values: int) -> int:
        """One more row; returns its number, -1 if there is no room. What is not named is 0 (worker and index: -1)."""
        if len(self) >= MOST:
            self.lost += 1
            return -1
        row = {"worker": -1, "index": -1, "attempt": 1, **values}
        for name, column in self.columns.items():
            column.append(row.get(name, 0))
        return len(self) - 1

    def sample(self, pool: int, name: str, now: int, value: float) -> None:
        """This quantity is so much now."""
        found = self.counters.get((pool, name))
        if found is None:
            found = self.counters[pool, name] = Samples(array("q"), array("d"))
        if (taken := len(found.times)) > MOST_SAMPLES // 2:
            apart = (found.times[-1] - found.times[0]) // taken
            if taken >= MOST_SAMPLES:
                found = self.counters[pool, name] = Samples(found.times[::2], found.values[::2])
            elif 4 * (now - found.times[-1]) < 3 * apart:
                return  # those that were let go were as near to another
        found.times.append(now)
        found.values.append(value)


__all__ = [
    "CANCELLED",
    "COLUMNS",
    "COUNTERS",
    "DIED",
    "ERROR",
    "MEMORY",
    "MOST",
    "MOST_FAILURES",
    "OK",
    "OUTCOMES",
    "PROGRAM_COUNTERS",
    "RUNNING",
    "STREAM_COUNTERS",
    "TIMEOUT",
    "FailureText",
    "Pool",
    "Recording",
    "Samples",
    "Stream",
    "Worker",
]
