"""Which process and thread of the file is what, and its clock."""

from __future__ import annotations

from typing import NamedTuple

from ..recording import Recording

FORM = 1
"""Of the file; another number is another form."""


class Tracks(NamedTuple):
    """Process 1 is the program, 2 the first pool. No thread has the number of a process: viewers would take it for the
    main thread of that.
    """

    base: int
    """Nanoseconds of CLOCK_MONOTONIC: the earliest time that there is."""
    submitted: int
    """The program's track of what it hands over; the next is of what it gets back, then come the workers."""

    @classmethod
    def of(cls, recording: Recording) -> Tracks:
        columns = [recording.columns[name] for name in ("queued", "sent", "started", "ended", "done")]
        times = [min(filter(None, column), default=0) for column in columns]
        times += [min(samples.times, default=0) for samples in recording.counters.values()]
        times += [at for worker in recording.workers for at in (worker.started, worker.ended)]
        return cls(min(filter(None, (*times, recording.since)), default=0), len(recording.pools) + 2)

    @property
    def results(self) -> int:
        return self.submitted + 1

    def worker(self, index: int) -> int:
        return self.submitted + 2 + index


def micro(nanoseconds: int) -> str:
    """Microseconds with three decimals."""
    if nanoseconds < 0:
        return "-" + micro(-nanoseconds)
    return f"{nanoseconds // 1000}.{nanoseconds % 1000:03d}"
