"""What can be seen of a pool of processes from any thread: its numbers, its processes, a dump."""

from __future__ import annotations

import threading
from abc import abstractmethod

from procession.backends.dumping import Dumps, laid_out
from procession.backends.gate import Gate
from procession.driver import lifecycle

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

    from procession.backends.base import EngineStats
    from procession.backends.launch import WorkerProcess
    from procession.core.pool import PoolCore
    from procession.driver.inbox import Inbox
    from procession.driver.loop import Driver


class ProcessLooks(Dumps):
    """The part of `ProcessEngine` that decides nothing."""

    core: PoolCore
    kit: Any
    inbox: Inbox | None
    _driver: Driver | None
    _thread: threading.Thread | None
    foreign: bool

    @abstractmethod
    def _request(self, entry: Any) -> bool:
        """Have the driver do something. False: there is none."""

    @property
    def broken(self) -> BaseException | None:
        """Why the pool takes no more work, if its workers cannot start."""
        return self._driver.broken if self._driver is not None else None

    @property
    def driver_thread(self) -> threading.Thread | None:
        """The thread that drives the pool, once there is work."""
        return self._thread

    @property
    def teardown_errors(self) -> list[BaseException]:
        """What teardowns raised."""
        return self._driver.teardown_errors if self._driver is not None else []

    def processes(self) -> dict[int, WorkerProcess]:
        """pid -> process of the workers that there are, once all that was asked for has been started."""
        driver = self._driver
        if driver is None or driver.launcher is None:
            return {}
        if threading.current_thread() is not self._thread:
            started = Gate()
            if self._request(started):
                started.wait()
        found: dict[int, WorkerProcess] = self.kit.by_pid(self.core, driver.launcher.process)
        return found

    def stats(self) -> EngineStats:
        """See `Engine.stats`."""
        now: EngineStats = self.kit.numbers(self.core, self._waiting, self._driver)
        return now

    @property
    def _waiting(self) -> int:
        """Entries that the driver has not read."""
        return len(self.inbox.entries) if self.inbox is not None else 0

    def picture(self) -> str:
        """See `Dumps`."""
        if self.foreign:
            return str(lifecycle.foreign())
        driver, dumping = self._driver, self.kit.dumping
        if driver is None:
            return laid_out(dumping.head(self.core, "processes", self._waiting, None), ())
        text: str = dumping.of_processes(driver, self._request, lambda: self._waiting, self._thread)
        return text
