"""A pool of threads that finds its width by itself: its driver measures, every so often while there is work.

The driver sleeps while there is none, and then `rings_meter` is set: whoever leaves work behind that no thread takes at
once rings it. While that is not set the driver wakes by itself, to look.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING

from procession.backends.base import Widening, WorkerConfig
from procession.backends.threads import ThreadWorker
from procession.core.rules import SECOND
from procession.driver.locked_rules import NEVER
from procession.driver.thread_host import ThreadHost

if TYPE_CHECKING:
    from procession.driver.metering import Meter

LATEST_NS = SECOND // 10
"""So late the driver hears of work for which nobody has rung it."""


class MeteredHost(ThreadHost, Widening):
    """See the module. `cap`: so many threads at most, if that is found to be worth it; None: as many as is said."""

    def __init__(self, max_workers: int, config: WorkerConfig, thread_name_prefix: str, cap: int | None) -> None:
        super().__init__(max_workers, config, thread_name_prefix)
        self.may_widen(max_workers, cap)
        self.growing = True  # who posts waits until the thread that this needs has been started
        self.meter: Meter | None = None
        if cap is not None:
            from procession.backends.cpu_time import of_ended, of_thread
            from procession.core.auto import AutoWidth
            from procession.driver.metering import Meter

            self.core.auto = AutoWidth(max_workers, cap, locked=_one_at_a_time())
            self.meter = Meter(self, self.core.auto, of_thread, self.resized, ended=of_ended)
            self.asleep = _Asleep(self.meter)
            self.rings_meter = True

    def mind(self) -> None:
        """What the driver does whenever it wakes up."""
        with self.locked():
            if self.watched:
                self.look_around()
            if self.core.ruled:
                self.keeper.watch()
            self.measure()
            self.settle()

    def numbers_of_workers(self) -> dict[int, int]:
        """See `metering.Host`."""
        return {wid: worker.native for wid, worker in self.workers.items()}

    def resized(self, max_workers: int) -> None:
        """See `Widening`."""
        self.growing = True
        super().resized(max_workers)

    def measure(self) -> None:
        """If that is wanted, and it is time. The core hears first what has come and ended. The lock is held."""
        if self.meter is None:
            return
        self.look_around()
        if self.inbox:
            self.read()
        if self.direct:
            self.sync()
        self.meter.watch()
        self.rings_meter = not self.meter.works
        if self.meter.failed:
            self.meter, self.rings_meter = None, False

    def time_left(self) -> float | None:
        """For how many seconds the driver may sleep; for it."""
        with self.lock:
            meter = self.meter
            wanted = (self.keeper.wanted_at(), None if meter is None else meter.wanted_at())
            others = [at for at in wanted if at is not None]
            if meter is not None and not self.rings_meter and not meter.works:
                others.append(monotonic_ns() + LATEST_NS)  # nobody rings for what comes now
            self.wakes_at = min(others, default=NEVER)
            return self.keeper.time_left(*others)


class _Asleep(list[ThreadWorker]):
    """Who falls asleep has nothing to do."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._resting = meter.resting

    def append(self, worker: ThreadWorker) -> None:
        super().append(worker)
        self._resting((worker.wid,))


def _one_at_a_time() -> bool:
    """This interpreter has a lock that lets one thread run at a time."""
    enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)  # 3.13
    return enabled()
