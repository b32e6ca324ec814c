"""What the workers of a thread engine say and ask, each on its own thread: the host of `backends.threads`."""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures._base import PENDING, RUNNING
from queue import SimpleQueue
from typing import Any

from procession.backends import tasks
from procession.backends.saying import say
from procession.backends.scripts import LocalScripts
from procession.backends.tasks import CallFuture
from procession.backends.threads import Segment, ThreadWorker, Work
from procession.core import events
from procession.core.state import PoolState
from procession.driver.locked import LockedCore

_A_CALL = Segment(deque(), None)


class ThreadHost(LockedCore, LocalScripts):
    """See `backends.threads.Host`."""

    def share(self, obj: Any) -> Any:
        """See `Engine.share`."""
        return obj

    def ready(self, worker: ThreadWorker) -> None:
        """See `threads.Host`."""
        with self.locked():
            self.step(events.WorkerReady(worker.wid))
            self.settle()

    def start_failed(self, worker: ThreadWorker, error: BaseException) -> None:
        """See `threads.Host`."""
        with self.locked():
            self.step(events.StartFailed(worker.wid, error, fatal=True))
        self.gone(worker, None)

    def next_work(self, worker: ThreadWorker, items: int | None, busy_ns: int) -> Work | None:
        """See `threads.Host`."""
        while True:
            with self.lock:
                self.stepper = worker.ident
                try:
                    if items is not None:
                        self._work_done(worker, items, busy_ns)
                        items = None
                    elif worker in self.asleep:
                        self.asleep.remove(worker)
                    work = self._find_work(worker)
                    if work is not None or worker.stopping:
                        if not worker.begun.opened:
                            worker.begun.open()
                        return work
                finally:
                    self.stepper = None
            worker.bell.get()

    def _find_work(self, worker: ThreadWorker) -> Work | None:
        """What it has in hand, or one call straight from the inbox; if there is nothing, it counts as asleep."""
        if not worker.bell.empty():  # how often it was rung does not matter
            worker.bell = SimpleQueue()
            worker.ring = worker.bell.put
        while True:
            if worker.leases:
                self.aim()
                return worker.leases[0]
            if worker.stopping:
                self.aim()
                return None
            if self.inbox:
                call = self._take_directly(worker)
                if call is not None:
                    self.aim()
                    return call
                self.read()
            else:
                self.asleep.append(worker)
                self.aim()
                if not self.inbox:
                    return None
                self.asleep.remove(worker)

    def _take_directly(self, worker: ThreadWorker) -> CallFuture[Any] | None:
        """Law 4: the one call in the inbox, when the core could only decide that this worker runs it."""
        inbox, core = self.inbox, self.core
        if len(inbox) != 1 or worker.wid not in core.hungry or core.state is not PoolState.OPEN:
            return None
        call = inbox[0]
        if call.__class__ is list and len(call) == 1:
            call = call[0]
        if not isinstance(call, CallFuture) or call.rules is not None or call.home is not None:
            return None
        inbox.popleft()
        with tasks.LOCK:
            if call._state is not PENDING or call._doomed or call.wid is not None:  # cancelled; or twice (`handover`)
                return None
            call.wid = worker.wid
            call._state = RUNNING
        call.started = True
        worker.direct = self.direct[worker] = call
        return call

    def _work_done(self, worker: ThreadWorker, items: int, busy_ns: int) -> None:
        call, worker.direct = worker.direct, None
        if call is not None:
            if self.direct.pop(worker, None) is not None or not worker.told:  # the core never knew
                call.profile.observe(1, busy_ns)
                self.done += 1
                return
            worker.told = False
            worker.current = _A_CALL
            worker.out.append(None)
        worker.leases.popleft()
        if self.inbox:  # before the core hears that the worker is free: else it would look for work at other workers'
            self.read()
        self.harvest(worker)
        self.step(events.LeaseEnded(worker.wid, items, busy_ns))

    def flush(self, worker: ThreadWorker) -> None:
        """See `threads.Host`."""
        with self.locked():
            self.harvest(worker)

    def watch(self) -> None:
        """See `threads.Host`."""
        self.watched = True
        self.bell.put(None)

    def look_around(self) -> None:
        """Take what lies in the `out` of any worker; the next look is needed only if there was something.

        `watched` goes down first: a worker that publishes after this look sees that, and asks for another.
        """
        self.watched = False
        for worker in list(self.workers.values()):
            if worker.out:
                self.harvest(worker)
                self.watched = True

    def end_generators(self, worker: ThreadWorker) -> BaseException | None:
        """See `threads.Host`. At the end of the pool that goes, too, for what threads have left that were given up."""
        others = {each.ident for each in list(self.workers.values()) if each is not worker and not each.abandoned}
        closing = self.core.state is not PoolState.OPEN
        return self.end_plays(lambda thread: thread == worker.ident or (closing and thread not in others))

    def gone(self, worker: ThreadWorker, teardown_error: BaseException | None) -> None:
        """See `threads.Host`."""
        if worker.abandoned:
            say(logging.WARNING, "a thread that had been given up has come to its end")
        if teardown_error is not None:
            self.teardown_errors.append(teardown_error)
            say(logging.ERROR, "the teardown of worker %d raised", worker.wid, error=teardown_error)
        with self.locked():
            self.harvest(worker)
            self.step(events.Lost(worker.wid, worker.withdraw(), 0))
            self.workers.pop(worker.wid, None)
            self.settle()
