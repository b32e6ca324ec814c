"""A model of a machine on which a pool of `AutoWidth` runs: CPUs that are shared fairly, and items that use and wait.

Time goes in steps. An item is a list of stretches, each so many ms on a CPU, or waiting, or holding a lock that one has
at a time (waiting for it is waiting: nothing tells them apart from outside).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from procession.core import events
from procession.core.auto import TICK_NS, AutoWidth

STEP = 2
"""ms."""
MS = 1_000_000

Stretch = tuple[Literal["cpu", "wait", "lock"], float]
Item = list[Stretch]


@dataclass
class _Worker:
    left: deque[list[object]]
    run: float = 0.0
    cpu: float = 0.0
    queued: float = 0.0


@dataclass
class Machine:
    """Runs items under a width that changes; `widths` is what it was at each tick."""

    auto: AutoWidth
    cpus: int
    gil: bool = False
    """One worker computes at a time, and the others are not seen to be in line."""
    blind: bool = False
    """The system does not say who is in line."""
    strangers: int = 0
    """Others that always want a CPU."""
    now: float = 1000.0
    done: int = 0
    widths: list[tuple[float, int]] = field(default_factory=list)
    workers: list[_Worker] = field(default_factory=list)
    locked_by: _Worker | None = None
    whys: list[str] = field(default_factory=list)
    _gone: list[_Worker] = field(default_factory=list)  # since the last tick

    def run(self, items: Iterable[Item], until: float = 1e9) -> float:
        """Run them all, or for so many ms; returns how many ms it took."""
        source: Iterator[Item] = iter(items)
        line: deque[Item] = deque()
        began, told, last = self.now, self.now, self.done
        exhausted = False
        while self.now - began < until:
            if self.workers:
                self._step()
                self.now += STEP
            while not exhausted and len(line) < 64:
                item = next(source, None)
                exhausted = item is None
                if item is not None:
                    line.append(item)
            while line and len(self.workers) < self.auto.width:
                self.workers.append(_Worker(deque([list(stretch) for stretch in line.popleft()])))
            if not self.workers:
                break
            if (self.now - told) * MS >= TICK_NS:
                self._tell(len(line), self.done - last)
                told, last = self.now, self.done
        return self.now - began

    def idle(self, ms: float) -> None:
        """Nothing to do, for so long."""
        for _ in range(int(ms * MS // TICK_NS)):
            self.now += TICK_NS / MS
            self._tell(0, 0)

    def _step(self) -> None:
        computing = [each for each in self.workers if each.left and each.left[0][0] == "cpu"]
        room = min(self.cpus, 1) if self.gil else self.cpus
        wanting = len(computing) + (0 if self.gil else self.strangers)
        share = min(1.0, room / wanting) if wanting else 0.0
        for worker in list(self.workers):
            worker.run += STEP
            kind, left = worker.left[0]
            assert isinstance(left, (int, float))
            if kind == "cpu":
                worker.cpu += STEP * share
                worker.queued += 0 if self.gil or self.blind else STEP * (1 - share)
                left -= STEP * share
            elif kind == "wait" or self.locked_by in (None, worker):
                self.locked_by = worker if kind == "lock" else self.locked_by
                left -= STEP
            worker.left[0][1] = left
            if left <= 1e-6:
                worker.left.popleft()
                if self.locked_by is worker:
                    self.locked_by = None
                if not worker.left:
                    self.workers.remove(worker)
                    self._gone.append(worker)
                    self.done += 1

    def _tell(self, waiting: int, done: int) -> None:
        everyone = [*self.workers, *self._gone]
        self._gone = []
        before = self.auto.width
        self.auto.next(
            events.Measured(
                round(self.now * MS),
                len(self.workers),
                waiting,
                done,
                round(sum(each.run for each in everyone) * MS),
                round(sum(each.cpu for each in everyone) * MS),
                round(sum(each.queued for each in everyone) * MS),
            ),
            self.auto.width,
        )
        for each in everyone:
            each.run = each.cpu = each.queued = 0.0
        if self.auto.width != before:
            self.whys.append(f"{self.now:.0f} {self.auto.width}: {self.auto.why}")
        self.widths.append((self.now, self.auto.width))


def fixed(cpus: int, width: int, items: Iterable[Item], gil: bool = False) -> float:
    """How many ms it takes with so many workers."""
    return Machine(AutoWidth(width, width), cpus, gil=gil).run(items)
