"""Looks at the workers of a pool that finds its width by itself; what comes of it the core decides (core/auto.py).

Laws
1. It looks every TICK_NS while there is work, and not at all while there is none, but for the one look after which
   what was not used is given back. Looking takes no more than a part of the driver's time: where it is dear, it is done
   more rarely.
2. What was measured is of those workers that run something at this look, since the last one, or since they were ready
   to, and had no rest meanwhile: a worker that has nothing to do does not wait for something else than a CPU.
3. What is measured may be odd, and only bounds what follows: no more was taken of the CPUs than there are, and nobody
   has been in line for less than no time. What cannot be measured changes nothing, and fails nobody's pool.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from time import monotonic_ns, thread_time_ns
from typing import TYPE_CHECKING, Protocol

from procession.backends.cpu_time import Taken
from procession.backends.memory import available, resident
from procession.backends.saying import say
from procession.core import events
from procession.core.auto import TICK_NS, AutoWidth
from procession.core.state import State

if TYPE_CHECKING:
    from procession.core.pool import PoolCore

SHARE = 20
"""Looking takes at most one part in so many of the driver's time."""


class Host(Protocol):
    """Who steps the core."""

    core: PoolCore
    done: int
    failed: int

    def step(self, event: events.Event) -> None:
        """Tell the core and do what it says."""
        ...

    def numbers_of_workers(self) -> Mapping[int, int]:
        """Of each worker there is, what the system calls it: a pid, or a thread's."""
        ...


class Meter:
    """Measures for one host; called where that may step its core.

    Args:
        taken: what the worker of such a number has taken of the CPUs.
        resized: called with the new width, when that has changed.
        weighs: a worker has memory of its own.
        ended: what has been taken so far that is no longer in what `taken` says of any worker.
    """

    def __init__(
        self,
        host: Host,
        auto: AutoWidth,
        taken: Callable[[int], Taken | None],
        resized: Callable[[int], object],
        *,
        weighs: bool = False,
        ended: Callable[[], int] = lambda: 0,
    ) -> None:
        self._host = host
        self._auto = auto
        self._taken = taken
        self._weighs = weighs
        self._resized = resized
        self._ended = ended
        self._ended_ns = 0
        self._at = 0  # when it last looked
        self._next = 0  # when it looks next, if there is work
        self._seen: dict[int, tuple[Taken, int]] = {}  # and when; of those that did not rest since
        self._done = 0
        self._machine = os.cpu_count() or 1
        self.failed = False  # nothing is measured any more

    @property
    def works(self) -> bool:
        """There is work, so that it wants to look."""
        core = self._host.core
        return bool(core.in_flight or core.line.items) and not self.failed

    def wanted_at(self) -> int | None:
        """When `watch` has something to do; None: when there is work again."""
        if self.works:
            return self._next
        if self._auto.width <= self._auto.start or self.failed:
            return None
        return self._auto.idles_until or self._next

    def resting(self, wids: Iterable[int]) -> None:
        """These have nothing to do just now."""
        if self._seen:
            for wid in wids:
                self._seen.pop(wid, None)

    def began(self, wid: int) -> None:
        """It is ready. Workers that live for a few items only may never be seen twice."""
        number = self._host.numbers_of_workers().get(wid)
        if number is not None and not self.failed:
            try:
                taken = self._taken(number)
            except Exception:  # `watch` will meet the same, and tell
                return
            if taken is not None:
                self._seen[wid] = taken, monotonic_ns()

    def watch(self) -> None:
        """Look, if the time has come."""
        now = monotonic_ns()
        at = self.wanted_at()
        if at is None or at > now:
            return
        began = thread_time_ns()
        try:
            measured = self._look(now)
        except Exception as error:  # of a system that is odd in a way that we did not foresee
            self.failed = True
            say(logging.WARNING, "cannot measure what workers take of the CPUs; the pool keeps its width", error=error)
            return
        self._at, self._next = now, now + max(TICK_NS, SHARE * (thread_time_ns() - began))
        width = self._auto.width
        self._host.step(measured)
        if self._auto.width != width:
            self._resized(self._auto.width)

    def _look(self, now: int) -> events.Measured:
        passed = now - self._at
        host, core = self._host, self._host.core
        names = host.numbers_of_workers()
        running = [wid for wid, worker in list(core.workers.items()) if worker.state is State.BUSY]
        before, self._seen = self._seen, {}
        run_ns = cpu_ns = queued_ns = 0
        for wid in running:
            taken = self._taken(names[wid]) if wid in names else None
            if taken is None:
                continue
            self._seen[wid] = taken, now
            if wid in before:
                last, at = before[wid]
                run_ns += now - at
                cpu_ns += taken.cpu_ns - last.cpu_ns  # less, if a program of a thread has ended
                queued_ns += max(0, taken.queued_ns - last.queued_ns)  # less, if a program has ended
        ended_ns = self._ended()
        cpu_ns += ended_ns - self._ended_ns
        self._ended_ns = ended_ns
        # Others may have ended programs of theirs, too; and before anybody was seen to run, it was all others.
        cpu_ns = min(max(0, cpu_ns), passed * self._machine) if run_ns else 0
        waiting = core.line.items + max(0, core.in_flight - len(running))
        done = host.done + host.failed
        ended, self._done = done - self._done, done
        room = self._room(names, running) if waiting and self._weighs else None
        return events.Measured(now, len(running), waiting, ended, run_ns, cpu_ns, queued_ns, room)

    def _room(self, names: Mapping[int, int], running: list[int]) -> int | None:
        """How many workers such as the largest there have room in half of what memory is to be had."""
        weights = [resident(names[wid]) or 0 for wid in running[:4] if wid in names]
        free = available()
        return None if free is None or not any(weights) else free // 2 // max(weights)


__all__ = ["Meter"]
