"""The process engine: what a pool calls, on any thread; the work is done by the driver's thread (loop.py)."""

from __future__ import annotations

import copy
import itertools
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from procession.backends import forksafe
from procession.backends.arenas import Arenas
from procession.backends.base import Capabilities, WorkerConfig
from procession.backends.joinable import JoinableThread
from procession.backends.launch import explained
from procession.backends.tasks import CallFuture
from procession.backends.unstruck import unstruck
from procession.core import events
from procession.core.policy import Profile
from procession.core.pool import PoolCore
from procession.core.task import Task
from procession.driver import leftovers, lifecycle
from procession.driver.arrange import arrange
from procession.driver.callbacks import Callbacks
from procession.driver.inbox import Inbox
from procession.driver.looks import ProcessLooks
from procession.driver.loop import Driver
from procession.driver.recycling import limits
from procession.driver.taking_back import taken_back
from procession.transport.codec import Codec, FunctionEntry

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

logger = logging.getLogger("procession")

TERMINATE_PATIENCE = 2.0
"""Seconds that workers have to die of a signal that they could catch, before they are killed."""

_numbers = itertools.count(1)


class ProcessEngine(ProcessLooks):
    """Worker processes behind the contract of `backends.base.Engine`.

    Args:
        max_workers: at most so many worker processes, started when there is work for them.
        config: initializer and setup.
        mp_context: start workers by this multiprocessing context instead of the zygote.
        max_tasks_per_child: a worker is replaced after so many items.
        preload: modules that the zygote imports once, for all workers.
        max_memory_per_child, max_age_per_child: see `Pool`.
    """

    capabilities = Capabilities("processes", can_kill=True, owns_workers=True, pickles=True, in_caller=False)

    def __init__(
        self,
        max_workers: int,
        config: WorkerConfig,
        *,
        mp_context: BaseContext | None = None,
        max_tasks_per_child: int | None = None,
        preload: Sequence[str] = (),
        max_memory_per_child: int | tuple[int, int] | None = None,
        max_age_per_child: float | None = None,
    ) -> None:
        self.max_workers = max_workers
        self.arenas = Arenas(max_workers)
        self.codec = Codec(Profile, supply=self.arenas)
        self.encode = self.codec.encode  # see `Engine.encode`; the codec's own, which saves each submit a frame
        self.callbacks = Callbacks()
        self.inbox: Inbox | None = None
        self.core = PoolCore(max_workers, max_tasks_per_child=max_tasks_per_child)
        self._config = config
        self._mp_context = mp_context
        self._preload = tuple(preload)
        self._limits = limits(max_age_per_child, max_memory_per_child)
        self._name = f"procession-driver-{next(_numbers)}"
        self._starting = threading.RLock()
        self._driver: Driver | None = None
        self._thread: threading.Thread | None = None
        self._closing = self._foreign = self._ruled = False
        self._dropped: list[None] = []  # not empty: the pool was, before the driver had begun
        self.last_words: tuple[list[Any], list[Any]] = ([self._dropped.append], [None])  # see `lifecycle.when_dropped`
        forksafe.on_fork(self._forked)

    # -- work ----------------------------------------------------------------------------------------------------

    def function(
        self, fn: Callable[..., Any], name: str | None = None, with_state: bool = False, many: bool = False
    ) -> FunctionEntry:
        """See `Engine.function`."""
        entry = self.codec.lasting(fn, with_state) if many else self.codec.function(fn, with_state)
        if name is not None:
            entry = copy.copy(entry)
            entry.name = name
        return entry

    def plain(self, items: list[Any]) -> bool:
        """See `Engine.plain`."""
        return self.codec.plain(items)

    def share(self, obj: Any) -> Any:
        """See `Engine.share`."""
        return self.codec.share(obj)

    def post(self, posted: Sequence[Task]) -> None:
        """See `Engine.post`."""
        self._deliver(posted if isinstance(posted, list) else list(posted))

    def post_call(self, future: CallFuture[Any]) -> None:
        """`post` of one call, as lean as can be."""
        future._owner = self
        driver, inbox = self._driver, self.inbox
        if driver is None or inbox is None or self._closing:
            return self._deliver(future)
        if driver.lane is not None and driver.lane.send(future):
            return
        inbox.put(future)
        if inbox.closed:
            self._sweep()

    def _deliver(self, entry: Any) -> None:
        inbox = self.inbox
        if self._closing or inbox is None:
            self._refuse()
            inbox = self._start()
        inbox.put(entry)
        if inbox.closed:
            self._sweep()

    def _refuse(self) -> None:
        """Raise what a task is answered with that cannot be taken, if so it is."""
        if self._foreign:
            raise lifecycle.foreign()
        if self.broken is not None:
            raise self.broken
        if self._closing:
            raise lifecycle.refusal()

    def obey(self) -> None:
        """See `Engine.obey`."""
        self._ruled = True
        if self.inbox is not None:
            self.inbox.ruled = True

    @property
    def takes_work(self) -> bool:
        """See `Engine.takes_work`."""
        return not (self._closing or self._foreign) and self.broken is None

    def resize(self, max_workers: int) -> None:
        """See `Engine.resize`."""
        with self._starting:
            self.max_workers = max_workers
            if not self._request(events.Resized(max_workers)):
                self.core.step(events.Resized(max_workers))  # nobody else steps it yet

    def warm(self) -> None:
        """See `Engine.warm`."""
        self._deliver(events.StartWorkers(self.max_workers))

    def cancel_group(self, group: object, kill: bool = False) -> None:
        """See `Engine.cancel_group`."""
        self._request(events.GroupCancelled(group, kill))

    def cancel_leased(self, future: CallFuture[Any], kill: bool) -> bool:
        """Have the driver take the task back, or end it, and wait for that; see `tasks.LeasedCanceller`."""
        if threading.current_thread() is self._thread:
            return False
        return taken_back(self._driver, self._request, future, kill)

    def _request(self, entry: Any) -> bool:
        inbox = self.inbox
        if inbox is None or self._foreign:
            return False
        inbox.put(entry)
        if inbox.closed:
            self._sweep()
        return True

    # -- beginning -----------------------------------------------------------------------------------------------

    def _start(self) -> Inbox:
        """Start the driver, whole; by this very thread with a context, since `fork` comes before all threads."""
        if self._mp_context is None:
            unstruck(self._start_here)
        return self._start_here()

    def _start_here(self) -> Inbox:
        with self._starting:
            if self.inbox is not None:
                return self.inbox
            self._refuse()
            inbox = Inbox()
            inbox.ruled = self._ruled
            driver = Driver(self.core, inbox, self.codec, self.callbacks)
            driver.when_broken = self._close_door
            driver.limit(self._limits)
            try:
                arrange(driver, self.codec, self._config, self._mp_context, self._preload)
                self._driver = driver
                if driver.launcher is not None and driver.launcher.eager:
                    driver.step(events.StartWorkers(self.max_workers))
                inbox.tell_last(events.ShutdownAsked(False), self.last_words)
                thread = JoinableThread(self._run, self._name, (driver, inbox))
                self._thread = thread
                self.inbox = inbox
                thread.start()
            except BaseException as error:
                if self._thread is None or self._thread.ident is None:
                    self.last_words[0].clear()
                    self.inbox = self._driver = self._thread = None
                    driver.close()
                    inbox.close()
                if isinstance(error, OSError):
                    raise explained(error) from error
                raise
            if self._closing or self._dropped:  # meanwhile; whoever said so did not wait, and saw no inbox
                self._request(events.ShutdownAsked(False))
            return inbox

    # -- the driver's thread -------------------------------------------------------------------------------------

    def _run(self, driver: Driver, inbox: Inbox) -> None:
        self.watch_stalls()
        try:
            driver.run()
        except BaseException as error:
            logger.critical("procession's driver has failed; its pool is lost", exc_info=True)
            driver.broken = leftovers.collapse(self.core, error)
        finally:
            self._closing = True
            self.last_words[0].clear()
            driver.close()
            driver.config.clear()
            self._config = WorkerConfig()  # initargs are let go now, not when the collector finds them in a cycle
            inbox.closed = True
            self._sweep()
            inbox.close()
            self.arenas.close()
            self.callbacks.close()
            self.unwatch_stalls()

    def _close_door(self) -> None:
        self._closing = True

    def _sweep(self) -> None:
        if self.inbox is not None:
            leftovers.sweep(self.inbox, self.broken)

    # -- ending --------------------------------------------------------------------------------------------------

    def shutdown(self, wait: bool, cancel: bool) -> None:
        """See `Engine.shutdown`."""
        self._closing = True
        if wait:
            with self._starting:
                pass  # another thread is just starting the driver, perhaps
        if self._foreign or self.inbox is None:
            return self._give_up()
        self._request(events.ShutdownAsked(cancel))
        if wait:
            self.join()

    def _give_up(self) -> None:
        """It ends without having begun, unless another thread is just starting it."""
        if self._starting.acquire(blocking=False):
            try:
                if self.inbox is None:
                    self.arenas.close()
            finally:
                self._starting.release()

    def kill(self, signum: int) -> None:
        """See `Engine.kill`."""
        self._closing = True
        with self._starting:
            pass
        if self._foreign or self.inbox is None or self._driver is None:
            return
        self._driver.kill_signal = signum
        self._request(events.KillAsked())
        if not self.join(TERMINATE_PATIENCE if signum != signal.SIGKILL else None):
            self._driver.kill_signal = signal.SIGKILL
            self._request(events.KillAsked())
            self.join()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the driver and the callbacks are through; True when they are."""
        thread, me = self._thread, threading.current_thread()
        if thread is None or thread is me or thread.ident is None:
            return True
        thread.join(timeout)
        if thread.is_alive():
            return False
        self.callbacks.join()
        return True

    def _forked(self) -> None:
        """In a forked child: nothing of this pool is ours."""
        self._foreign = True
        self._closing = True
        self.last_words[0].clear()
        self.inbox = self._driver = self._thread = None
        self._starting = threading.RLock()
