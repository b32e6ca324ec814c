"""The process engine: what a pool calls, on any thread; the work is done by the driver's thread (loop.py)."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Sequence

from procession import sharing, tapping
from procession._native import native
from procession.backends import forksafe
from procession.backends.base import Capabilities, WorkerConfig
from procession.backends.saying import say
from procession.driver import lifecycle
from procession.driver.beginning import Beginning
from procession.driver.callbacks import Callbacks
from procession.errors import ProcessionError

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from typing import Any

    from procession.backends.scripts import Scene, Script
    from procession.backends.tasks import CallFuture
    from procession.core.task import Task
    from procession.driver.inbox import Inbox
    from procession.driver.loop import Driver
    from procession.transport.codec import FunctionEntry


TERMINATE_PATIENCE = 2.0
"""Seconds that workers have to die of a signal that they could catch, before they are killed."""

_numbers = itertools.count(1)


class ProcessEngine(Beginning):
    """Worker processes behind the contract of `backends.base.Engine`.

    Args:
        max_workers: at most so many worker processes, started when there is work for them.
        cap: up to so many, if that is found to be worth it (core/auto.py).
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
        cap: int | None = None,
    ) -> None:
        self.may_widen(max_workers, cap)
        self.among = sharing.divisor() * (max_workers + config.beside)
        self.callbacks = Callbacks()
        self.inbox: Inbox | None = None
        self._max_tasks = max_tasks_per_child
        self._config = config
        self._mp_context = mp_context
        self._preload = tuple(preload)
        self.door = None if native is None else native.Door(self)
        self._limits = max_age_per_child, max_memory_per_child
        self._name = f"procession-driver-{next(_numbers)}"
        self._starting = threading.RLock()
        self._driver: Driver | None = None
        self._thread: threading.Thread | None = None
        self._closing = self.foreign = self._ruled = False
        self._dropped: list[None] = []  # not empty: the pool was, before the driver had begun
        self.last_words: tuple[list[Any], list[Any]] = ([self._dropped.append], [None])  # see `lifecycle.when_dropped`
        self.enroll()
        forksafe.on_fork(self._forked)
        if mp_context is not None:
            self.load_kit()  # it will be started by the caller's thread, see `_start`

    # -- work ----------------------------------------------------------------------------------------------------

    def function(
        self, fn: Callable[..., Any], name: str | None = None, with_state: bool = False, many: bool = False
    ) -> FunctionEntry:
        """See `Engine.function`."""
        if many:
            entry = self.codec.lasting(fn, with_state)
        else:
            if self.inbox is None:  # what is made ready for one call is about to be called
                self.begin()
            entry = self.codec.function(fn, with_state)
        if name is not None:
            import copy

            entry = copy.copy(entry)
            entry.name = name
        return entry

    def plain(self, items: Sequence[Any]) -> bool:
        """See `Engine.plain`."""
        return self.codec.plain(items)

    def share(self, obj: Any) -> Any:
        """See `Engine.share`."""
        return self.codec.share(obj)

    def seal(self) -> None:
        """Results are to be passed on to another engine of processes, and stay as they came where they can
        (transport/sealed.py). Before the first task."""
        self.codec.keeps = True

    def script(self, scene: Scene) -> Script:
        """See `Engine.script`."""
        self._refuse()
        self._start()
        from procession.backends.scripts import RemoteScript

        return RemoteScript(self, scene)

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
        if self.foreign:
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
        return not (self._closing or self.foreign) and self.broken is None

    def resize(self, max_workers: int) -> None:
        """See `Engine.resize`."""
        resized = self.kit.events.Resized(max_workers)
        with self._starting:
            self.max_workers = max_workers
            if not self._request(resized):
                self.core.step(resized)  # nobody else steps it yet

    def begin(self) -> None:
        """See `Engine.begin`: workers are started by the driver, whenever there is work for them."""
        if self.inbox is None:
            self._refuse()
            self._start()

    def warm(self) -> None:
        """See `Engine.warm`."""
        self._deliver(self.kit.events.StartWorkers(self.max_workers))

    def cancel_group(self, group: object, kill: bool = False) -> None:
        """See `Engine.cancel_group`."""
        self._request(self.kit.events.GroupCancelled(group, kill))

    def cancel_leased(self, future: CallFuture[Any], kill: bool) -> bool:
        """Have the driver take the task back, or end it, and wait for that; see `tasks.LeasedCanceller`."""
        if threading.current_thread() is self._thread:
            return False
        taken: bool = self.kit.taken_back(self._driver, self._request, future, kill)
        return taken

    def _request(self, entry: Any) -> bool:
        inbox = self.inbox
        if inbox is None or self.foreign:
            return False
        inbox.put(entry)
        if inbox.closed:
            self._sweep()
        return True

    # -- the driver's thread -------------------------------------------------------------------------------------

    def _run(self, driver: Driver, inbox: Inbox) -> None:
        self.watch_stalls()
        tapping.begun(self)  # while everybody waits for the zygote
        try:
            driver.run()
        except BaseException as error:
            if not isinstance(error, ProcessionError):
                say(logging.CRITICAL, "procession's driver has failed; its pool is lost", error=error)
            driver.broken = self.kit.leftovers.collapse(self.core, error)
        finally:
            self._close_door()
            self.last_words[0].clear()
            tapping.over(self)
            driver.close()
            driver.config.clear()
            self._config = WorkerConfig()  # initargs are let go now, not when the collector finds them in a cycle
            inbox.closed = True
            self._sweep()
            inbox.close()
            self.codec.supply.close()
            self.callbacks.close()
            self.unwatch_stalls()

    def _close_door(self) -> None:
        self._closing = True
        if self.door is not None:
            self.door.close()

    def _sweep(self) -> None:
        if self.inbox is not None:
            self.kit.leftovers.sweep(self.inbox, self.broken)

    # -- ending --------------------------------------------------------------------------------------------------

    def shutdown(self, wait: bool, cancel: bool) -> None:
        """See `Engine.shutdown`."""
        self._close_door()
        if wait:
            with self._starting:
                pass  # another thread is just starting the driver, perhaps
        if self.foreign or self.inbox is None:
            return self._give_up()
        self._request(self.kit.events.ShutdownAsked(cancel))
        if wait:
            self.join()

    def _give_up(self) -> None:
        """It ends without having begun, unless another thread is just starting it."""
        if self._starting.acquire(blocking=False):
            try:
                if self.inbox is None and (codec := vars(self).get("codec")) is not None:
                    codec.supply.close()
            finally:
                self._starting.release()

    def kill(self, signum: int) -> None:
        """See `Engine.kill`."""
        self._close_door()
        with self._starting:
            pass
        if self.foreign or self.inbox is None or self._driver is None:
            return
        self._driver.kill_signal = signum
        self._request(self.kit.events.KillAsked())
        if not self.join(TERMINATE_PATIENCE if signum != lifecycle.SIGKILL else None):
            self._driver.kill_signal = lifecycle.SIGKILL
            self._request(self.kit.events.KillAsked())
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
        self.foreign = True
        self._close_door()
        self.last_words[0].clear()
        self.inbox = self._driver = self._thread = None
        self._starting = threading.RLock()


__all__ = ["ProcessEngine"]
