"""The thread engine: what a pool calls, on any thread; its core is stepped by its own threads (locked.py).

The driver is the thread that is there when no worker is: it starts the first one, and further ones while all are busy;
it answers requests (cancel, shutdown) at once, whatever the workers do; and, asked by `watch`, it hands over what a
worker has finished of a chunk while its present item runs long. A pool whose workers are all there wakes it for nothing
else, until tasks with rules come (`obey`): then it is rung for each post, and keeps time.
"""

from __future__ import annotations

import itertools
import threading
from _thread import allocate_lock
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from queue import Empty
from typing import Any

from procession import tapping
from procession.backends import forksafe
from procession.backends.base import Capabilities, EngineStats, WorkerConfig
from procession.backends.dumping import Dumps
from procession.backends.functions import FunctionTable, ThreadFunction
from procession.backends.gate import Gate
from procession.backends.joinable import JoinableThread
from procession.backends.tasks import CallFuture
from procession.backends.threads import Body
from procession.backends.unstruck import unstruck
from procession.core import events
from procession.core.task import Task
from procession.driver import dumping, lifecycle
from procession.driver.answers import start_error
from procession.driver.lifecycle import in_turn
from procession.driver.thread_width import MeteredHost

TICK = 0.001
"""Seconds between two looks at the `out` of workers, while something lies there."""

PATIENCE = 0.05
"""Seconds that a caller waits at a gate before it waits as others do."""

STARTED = 1.0
"""Seconds that a post waits for the thread it needs: always enough, and an end where the caller holds what it needs."""

BEGIN = 0.02
"""Seconds that a shutdown with cancel gives to a thread that has just been started to take its first task."""

_numbers = itertools.count()


class Gates:
    """The short way to wait for a call (`tasks.FastWay`): a bare lock that `answer` opens, in place of a Condition.

    waiter: leave the gate with the future; look at its state; wait
    engine: set the state; look for a gate; open it
    Only `answer` looks for it. So who waits long, or for what is cancelled meanwhile, goes on in the ordinary way.
    """

    def wait(self, future: CallFuture[Any]) -> None:
        """See `tasks.FastWay`."""
        future._lane = None
        gate = allocate_lock()
        gate.acquire()
        if vars(future).setdefault("gate", gate) is gate and not future.done():  # one waiter only
            gate.acquire(timeout=PATIENCE)

    def answered(self, future: CallFuture[Any]) -> None:
        """See `tasks.FastWay`."""

    def cool(self) -> None:
        """See `tasks.FastWay`."""


GATES = Gates()


class ThreadEngine(MeteredHost, Dumps):
    """Worker threads behind the contract of `backends.base.Engine`.

    Args:
        max_workers: at most so many threads, started when there is work for them.
        cap: up to so many, if that is found to be worth it (core/auto.py).
        config: initializer and setup.
        thread_name_prefix: workers are called `<prefix>_0`, `<prefix>_1`, ...
    """

    capabilities = Capabilities("threads", can_kill=False, owns_workers=True, pickles=False, in_caller=False)

    def __init__(
        self, max_workers: int, config: WorkerConfig, *, thread_name_prefix: str = "", cap: int | None = None
    ) -> None:
        number = next(_numbers)
        super().__init__(max_workers, config, thread_name_prefix or f"procession-{number}", cap)
        self._functions = FunctionTable()
        self._known = self._functions.known
        self._driver_name = f"procession-driver-{number}"
        self._drivers: list[threading.Thread] = []
        self.last_words: tuple[list[Any], list[Any]] = ([], [])  # see `lifecycle.when_dropped`
        self._closing = self._killed = False
        self.foreign = False
        self.enroll()
        forksafe.on_fork(self._forked)

    # -- work ------------------------------------------------------------------------------------------------------

    def function(
        self, fn: Callable[..., Any], name: str | None = None, with_state: bool = False, many: bool = False
    ) -> ThreadFunction:
        """See `Engine.function`; `with_state`: it is called with the worker's state before its arguments."""
        known = self._known.get(id(fn))
        if known is not None and known.fn is fn and name is None and not with_state:
            return known
        return self._functions.make(fn, name, with_state)

    def encode(self, function: ThreadFunction, args: Any, kwargs: Mapping[str, Any], around: Any = None) -> Body:
        """See `Engine.encode`: threads share objects, nothing is copied."""
        return (args, kwargs) if around is None else (args, kwargs, around)

    def plain(self, items: Sequence[Any]) -> bool:
        """See `Engine.plain`."""
        return True

    def post(self, posted: Sequence[Task]) -> None:
        """See `Engine.post`."""
        if self.guarded:
            self._admit()
        any(map(in_turn, self.targets, repeat(list(posted))))
        if self.closed:
            self._sweep()
        elif self.growing:
            self._grow(len(posted))

    def post_call(self, future: CallFuture[Any]) -> None:
        """`post` of one call, as lean as can be."""
        future._owner = self
        future._lane = GATES
        if self.guarded:
            self._admit()
        any(map(in_turn, self.targets, repeat(future)))
        if self.closed:
            self._sweep()
        elif self.growing:
            self._grow(1)

    def obey(self) -> None:
        """See `Engine.obey`."""
        self.ruled = True
        self.bell.put(None)  # from now on the driver is rung for each post: what waits too long is to be noticed

    @property
    def takes_work(self) -> bool:
        """See `Engine.takes_work`."""
        return not (self._closing or self.foreign) and self.broken is None

    def resize(self, max_workers: int) -> None:
        """See `Engine.resize`."""
        self._admit()
        self.max_workers = max_workers
        self.growing = True
        self._request(events.Resized(max_workers))

    def warm(self) -> None:
        """See `Engine.warm`: a thread is started in no time."""

    def begin(self) -> None:
        """See `Engine.begin`: all workers, since each is a thread; returns when they are there."""
        self._admit()
        self._settle(events.StartWorkers(self.max_workers))

    def cancel_group(self, group: object, kill: bool = False) -> None:
        """See `Engine.cancel_group`."""
        self._request(events.GroupCancelled(group))

    def cancel_leased(self, future: CallFuture[Any], kill: bool) -> bool:
        """Have the engine take it back from its worker, and wait for the answer; see `tasks.LeasedCanceller`.

        Where waiting would be a deadlock (a finalizer on a thread that steps the core or holds the lock of all
        futures), the answer is False, and the future is cancelled soon if that is still possible.
        """
        if future.running():
            future.final = future.asked = True
            if future.wid is not None or future.rules is None:
                return False
        asked = events.CancelAsked([future])
        if self._must_not_wait():
            self._request((asked, lambda: self.cancel_unleased(future)))
            return False
        answered = Gate()

        def answer() -> None:
            self.cancel_unleased(future)
            answered.open()

        if self._request((asked, answer)):
            answered.wait()
        return future.cancelled()

    def _request(self, entry: Any) -> bool:
        """Something that the driver is to see to even when every worker is busy. False: nobody may wait for that, since
        there never was a driver, or one that was struck before its thread began, and may never live."""
        driver = self._driver
        if driver is None or self.foreign:
            return False
        any(map(in_turn, (self.inbox.append, self.bell.put), repeat(entry)))
        if self.closed:
            self._sweep()
        return driver.ident is not None

    # -- beginning ---------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        """Raise what a task is answered with that cannot be taken; start the driver if there is none."""
        self._refuse()
        if self._driver is None or self._driver.ident is None:
            self._begin()
        self.guarded = False
        if self._closing:  # it ended while we began, and perhaps before there was anybody to hear of it
            self.guarded = True
            self._request(events.ShutdownAsked(False))
            self._refuse()
        if self.broken_by is not None:
            self.guarded = True  # this task is answered so, and the next one is refused

    def _refuse(self) -> None:
        if self.foreign:
            raise lifecycle.foreign()
        if (broken := self.broken) is not None:
            raise broken
        if self._closing:
            raise lifecycle.refusal()

    def _begin(self) -> None:
        """Start a driver. Should two be started, by threads that race or after an interrupt, the first one drives.

        Struck here, it is not known whether it will live: `_driver` stays, so that a shutdown is left for it to read,
        and has no `ident` yet, so that the next post starts another.
        """
        thread = JoinableThread(self._drive, self._driver_name)
        self.last_words[1][:] = (events.ShutdownAsked(False), None)
        self.last_words[0][:] = (self.inbox.append, self.bell.put)
        self._driver = thread
        unstruck(thread.start)

    def _grow(self, posted: int) -> None:
        """So many tasks have just been posted: return when the thread that they need has been started, as the stdlib.

        A program may end now, and then 3.12 starts none. None is needed for what lies in the inbox when as many workers
        sleep, and for what is gone from there when nobody is about to tell the core of it (law 1 of locked.py).
        """
        waiting = len(self.inbox)
        if self.core.width >= self.core.max_workers:
            self.growing = False
        elif posted == 1 and (waiting <= len(self.asleep) if waiting else not self.lock.locked()):
            return
        else:
            self._settle(None)

    def _settle(self, event: Any) -> None:
        """Have the driver see to this, and wait until it has, where that is no deadlock."""
        settled = Gate()
        if not self._must_not_wait() and self._request((event, settled.open)):
            settled.wait(STARTED)

    # -- the driver ----------------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        self._drivers.append(threading.current_thread())
        self._driver = self._drivers[0]
        if self._on_driver():
            self.watch_stalls()
            self.begin_telling()
            while not self.closed:
                self._wait()
                self.mind()
                tapping.begun(self)
            self.guarded = True
            tapping.over(self)
            self._sweep()
            self.callbacks.close()
            self.unwatch_stalls()
            if self.tracker is not None:
                self.tracker.close()

    def _wait(self) -> None:
        patience = TICK if self.watched else None
        if patience is None and (self.core.ruled or self.meter is not None):
            patience = self.time_left()
        try:
            self.bell.get(timeout=patience)
            while not self.bell.empty():
                self.bell.get_nowait()
        except Empty:
            pass

    def _sweep(self) -> None:
        """What reached the inbox after the end is answered: the core, which is closed, cancels it."""
        with self.locked():
            self.settle()

    # -- the end -------------------------------------------------------------------------------------------------------

    def shutdown(self, wait: bool, cancel: bool) -> None:
        """See `Engine.shutdown`. On one of the engine's own threads, or where waiting would deadlock, never waits."""
        self._closing = self.guarded = True
        if self.foreign:
            return
        if cancel and not self._must_not_wait():
            self._let_begin()
        self._request(events.ShutdownAsked(cancel))
        if wait and not self._killed:  # who was killed is not waited for, at the interpreter's end neither
            self.join()

    def _let_begin(self) -> None:
        """What the stdlib would have running by now is not cancelled: new threads get a moment to take their first."""
        self.started_threads()
        for worker in list(self.workers.values()):
            worker.begun.wait(BEGIN)

    def kill(self, signum: int) -> None:
        """Cancel what has not started, and shut down. A thread cannot be killed: what runs finishes, unwaited for."""
        self._closing = self.guarded = self._killed = True
        if self.foreign:
            return
        performed = Gate()
        if self._request((events.KillAsked(), performed.open)) and not self._must_not_wait():
            performed.wait()

    def join(self, timeout: float | None = None) -> bool:
        """Wait, at most `timeout` seconds a thread, until workers, driver and callbacks are through; True if they are.

        Called on one of these threads it returns False at once: it would wait for itself.
        """
        lost = {each.ident for each in list(self.workers.values()) if each.abandoned}  # nobody waits for those
        threads = [thread for thread in self.threads if thread.ident not in lost]
        everyone = [*self.threads, self._driver, self.callbacks.thread]
        if self.foreign or self._must_not_wait() or threading.current_thread() in everyone:
            return False
        driver = self._driver
        if driver is not None and driver.ident is not None:
            driver.join(timeout)
            if driver.is_alive():
                return False
        for thread in threads:
            thread.join(timeout)
        return self.callbacks.join(timeout) and not any(thread.is_alive() for thread in threads)

    def _forked(self) -> None:
        """In a forked child: nothing of this pool is ours."""
        self.foreign = self._closing = self.guarded = True

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def broken(self) -> BaseException | None:
        """Why the pool takes no more work, if its workers cannot start."""
        return None if self.broken_by is None else start_error(self.broken_by)

    @property
    def driver_thread(self) -> threading.Thread | None:
        """The thread that drives the pool, once there was work."""
        return self._driver

    def started_threads(self) -> set[threading.Thread]:
        """The worker threads, once all that was asked for so far has been started."""
        if not self._must_not_wait():
            performed = Gate()
            if self._request((None, performed.open)):
                performed.wait()
        return self.threads

    def stats(self) -> EngineStats:
        """See `Engine.stats`."""
        return self.count()

    def picture(self) -> str:
        """See `Dumps`."""
        return dumping.of_threads(self, not self._must_not_wait(), self.broken, self.foreign)
