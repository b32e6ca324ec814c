"""Worker processes that are too old, or take too much memory, are found here; what becomes of them the core decides.

Laws
1. Only who has done something since it was started is replaced: one that has not would be followed by another just
   like it. So a pool that does nothing is left in peace.
2. While a worker runs something its memory is looked at every WEIGH_NS; once more when it has finished, since what it
   has then, it keeps; and once when it is ready. That is one read of a file in /proc: some ten microseconds.
3. Above the soft limit, or past its age, it is `Due`: it works on until its replacement is ready, and goes between two
   tasks. Told again every AGAIN_NS while it is so, since the core replaces one at a time, and a start may fail.
4. Above the hard limit what it runs is ended at once (`Heavy`), after all that it has published has been told.
"""

from __future__ import annotations

import logging
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol

from procession.backends.memory import resident
from procession.backends.saying import say
from procession.core import events
from procession.core.rules import SECOND
from procession.core.state import State
from procession.options import memory_limits
from procession.record import record

if TYPE_CHECKING:
    from procession.core.pool import PoolCore
    from procession.core.worker import Worker

WEIGH_NS = 50_000_000
"""A task that takes a gigabyte a second is found 50 MB too late by that."""
AGAIN_NS = 1_000_000_000
MIB = 1 << 20

_AT_ONCE = (
    "a worker that has done nothing takes %d MiB, more than max_memory_per_child (%d MiB): "
    "each will be replaced after its first task"
)


@record
class Limits:
    """What a worker process may come to."""

    age_ns: int | None = None
    """It is replaced when it is so old."""
    soft: int | None = None
    """It is replaced when it takes so many bytes."""
    hard: int | None = None
    """What it runs is ended when it takes so many."""


def limits(age: float | None, memory: int | tuple[int, int] | None) -> Limits:
    """What the words of a pool come to."""
    soft, hard = memory_limits(memory) or (None, None)
    return Limits(None if age is None else round(age * SECOND), soft, hard)


class Host(Protocol):
    """Who steps the core."""

    core: PoolCore
    pids: dict[int, int]

    def step(self, event: events.Event) -> None:
        """Tell the core and do what it says."""
        ...

    def look(self, wid: int) -> None:
        """Tell all that this worker has published, and that this is all."""
        ...


class _Life:
    """What is known of one worker."""

    __slots__ = ("born", "next_due", "next_look", "seen", "weight")

    def __init__(self, now: int) -> None:
        self.born = now
        self.next_look = now  # when its memory is looked at
        self.next_due = 0  # when it may be told to be due again
        self.seen = -1  # outcomes that it had given when its memory was last looked at
        self.weight = 0  # the most that was seen


class Recycler:
    """Looks after the workers of one driver."""

    def __init__(self, host: Host, limits: Limits) -> None:
        self._host = host
        self._limits = limits
        self._lives: dict[int, _Life] = {}
        self._warned = False

    def born(self, wid: int) -> None:
        """It is ready."""
        self._lives[wid] = _Life(monotonic_ns())

    def gone(self, wid: int) -> None:
        """It is not any more."""
        self._lives.pop(wid, None)

    def most(self, wid: int, peak: int | None) -> int | None:
        """The most memory that it had: what the kernel tells when it has ended, or what was seen here.

        The kernel counts on each CPU by itself, and its peak may be less than what it has shown before.
        """
        life = self._lives.get(wid)
        seen = 0 if life is None else life.weight
        return max(peak or 0, seen) or None

    def wanted_at(self) -> int | None:
        """When `watch` has something to do; None: never, while nothing else happens."""
        workers = self._host.core.workers
        found = [self._next(workers[wid], life) for wid, life in self._lives.items() if wid in workers]
        return min((at for at in found if at is not None), default=None)

    def _next(self, worker: Worker, life: _Life) -> int | None:
        if worker.state is not State.IDLE and worker.state is not State.BUSY:
            return None
        limits, wanted = self._limits, []
        if limits.soft is not None and (worker.state is State.BUSY or worker.finished > life.seen):
            wanted.append(life.next_look)
        if limits.age_ns is not None and worker.finished and not (worker.due or worker.leaving):
            wanted.append(max(life.born + limits.age_ns, life.next_due))
        return min(wanted, default=None)

    def watch(self) -> None:
        """Do what the time has come for."""
        now = monotonic_ns()
        for wid, life in list(self._lives.items()):
            worker = self._host.core.workers.get(wid)
            if worker is None or worker.state not in (State.IDLE, State.BUSY):
                continue
            if self._limits.soft is not None and life.next_look <= now:
                self._weigh(worker, life, now)
            age_ns = self._limits.age_ns
            if age_ns is not None and life.born + age_ns <= now:
                self._tell(worker, life, now)

    def _tell(self, worker: Worker, life: _Life, now: int) -> None:
        if worker.finished and not worker.due and life.next_due <= now:
            life.next_due = now + AGAIN_NS
            self._host.step(events.Due(worker.wid))

    def _weigh(self, worker: Worker, life: _Life, now: int) -> None:
        if worker.state is State.IDLE and worker.finished == life.seen:
            return
        wid, limits = worker.wid, self._limits
        life.next_look = now + WEIGH_NS
        self._host.look(wid)
        pid = self._host.pids.get(wid)
        weight = resident(pid) if pid is not None and wid in self._host.core.workers else None
        life.seen = worker.finished
        life.weight = max(life.weight, weight or 0)
        if weight is None or limits.soft is None or limits.hard is None or weight <= limits.soft:
            return
        if not worker.finished and not self._warned and worker.state is State.IDLE:
            self._warned = True
            say(logging.WARNING, _AT_ONCE, weight // MIB, limits.soft // MIB)
        if weight > limits.hard and worker.state is State.BUSY:
            self._host.step(events.Heavy(wid))
        else:
            self._tell(worker, life, now)
