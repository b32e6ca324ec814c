"""The pool's decisions: events in, commands out, nothing else (laws in README.md beside this file).

States of the pool:
    OPEN       takes work
    DRAINING   takes no more; what was handed over runs, then the workers are stopped
    BROKEN     workers cannot start; what waits fails with the reason, what runs finishes, the workers are stopped
    KILLED     every worker was told to die; what waits is cancelled
    CLOSED     no task, no worker
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

from procession.core import assign, commands, events
from procession.core.task import Task
from procession.core.worker import CoreError, Signal, State, Worker

START_ATTEMPTS = 3
"""Workers that may fail to start, one after another, before the pool says that it is broken."""


class PoolState(Enum):
    """Where the pool stands."""

    OPEN = auto()
    DRAINING = auto()
    BROKEN = auto()
    KILLED = auto()
    CLOSED = auto()


class PoolCore:
    """All decisions of one pool. `step` is the only door; time, if it matters, arrives in the event."""

    def __init__(self, max_workers: int, *, max_tasks_per_child: int | None = None) -> None:
        self.max_workers = max_workers
        self.max_tasks_per_child = max_tasks_per_child
        self.state = PoolState.OPEN
        self.pending: deque[Task] = deque()
        self.pending_items = 0
        self.workers: dict[int, Worker] = {}
        self.width = 0  # workers that count: STARTING, IDLE, BUSY
        self.in_flight = 0  # items in the hands of workers
        self.hungry: dict[int, None] = {}  # the latest last: warm caches first
        self.thirsty: dict[int, None] = {}
        self.stealable: dict[int, None] = {}
        self.calm = 0  # leases that stay small because somebody is cancelling
        self.cancelling: set[int] = set()  # ids of leased tasks that somebody wants cancelled
        self.failed_starts = 0
        self.next_wid = 0
        self.reason: object = None
        self.discarding = False  # shut down with cancel: what comes back unstarted is cancelled
        self.out: list[commands.Command] = []
        self._withdraw: dict[int, None] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            events.Submitted: self._submitted,
            events.StartWorkers: self._start_workers,
            events.CallsDone: self._calls_done,
            events.ItemsDone: self._items_done,
            events.LeaseEnded: self._lease_ended,
            events.WorkerReady: self._worker_ready,
            events.Withdrawn: self._withdrawn,
            events.Lost: self._lost,
            events.StartFailed: self._start_failed,
            events.CancelAsked: self._cancel_asked,
            events.GroupCancelled: self._group_cancelled,
            events.ShutdownAsked: self._shutdown_asked,
            events.KillAsked: self._kill_asked,
        }

    def step(self, event: events.Event) -> list[commands.Command]:
        """Take one event; returns what is to be done about it, in order."""
        self._handlers[type(event)](event)
        assign.assign(self)
        self._finish_if_empty()
        out, self.out = self.out, []
        if self._withdraw:
            out.extend(commands.Withdraw(wid) for wid in self._withdraw)
            self._withdraw = {}
        return out

    def withdraw(self, wid: int) -> None:
        """Ask for what this worker has not started; performed last, when all that was decided has been sent."""
        self._withdraw[wid] = None

    # -- tasks ---------------------------------------------------------------------------------------------------

    def _submitted(self, event: events.Submitted) -> None:
        if self.state is PoolState.BROKEN:
            self.out.append(commands.FailAll(event.tasks, self.reason))
        elif self.state in (PoolState.KILLED, PoolState.CLOSED):
            self.out.append(commands.Cancel(event.tasks))
        else:
            self.pending.extend(event.tasks)
            self.pending_items += sum(task.size for task in event.tasks)

    def _calls_done(self, event: events.CallsDone) -> None:
        worker = self._heard(event.wid)
        self.in_flight -= len(event.outcomes)
        self.out.append(commands.Resolve(worker.finish_calls(len(event.outcomes)), event.outcomes))
        self._progressed(worker)

    def _items_done(self, event: events.ItemsDone) -> None:
        worker = self._heard(event.wid)
        self.in_flight -= len(event.outcomes)
        task, start = worker.finish_items(len(event.outcomes))
        self.out.append(commands.ResolveItems(task, start, event.outcomes))
        self._progressed(worker)

    def _lease_ended(self, event: events.LeaseEnded) -> None:
        worker = self._heard(event.wid)
        profiles, expected_ns = worker.open_leases.popleft()
        if len(profiles) == 1:
            profiles[0].observe(event.items, event.busy_ns)
        elif event.items:
            for profile in profiles:
                profile.scale(event.busy_ns / max(expected_ns, 1.0))
        self.calm = max(0, self.calm - 1)
        self.index(worker)

    def _progressed(self, worker: Worker) -> None:
        self.mark_head(worker)
        if worker.items == 0 and worker.quota == 0 and worker.state is State.IDLE:
            self._stop(worker)
        self.index(worker)

    def mark_head(self, worker: Worker) -> None:
        """What is first in a ready worker's hands runs now."""
        if worker.state is State.BUSY and worker.inflight[0].started is False:
            self.out.append(commands.MarkRunning(worker.inflight[0]))

    # -- withdrawal and cancel -----------------------------------------------------------------------------------

    def _cancel_asked(self, event: events.CancelAsked) -> None:
        self.calm = assign.CALM
        for task in event.tasks:
            if task.wid is not None and not task.started:
                self.cancelling.add(id(task))
                self.withdraw(task.wid)

    def _group_cancelled(self, event: events.GroupCancelled) -> None:
        """Its tasks refuse to be claimed from now on; bring back those that are in hand."""
        for wid in self.stealable:
            if any(task.group is event.group for task in self.workers[wid].inflight):
                self.withdraw(wid)
        kept = deque(task for task in self.pending if task.group is not event.group)
        gone = [task for task in self.pending if task.group is event.group]
        if gone:
            self.pending = kept
            self.pending_items -= sum(task.size for task in gone)
            self.out.append(commands.Drop(gone))

    def _withdrawn(self, event: events.Withdrawn) -> None:
        worker = self._heard(event.wid)
        self._take_back(worker, event.count)
        if self.pending and self.pending[0].started and worker.state in (State.IDLE, State.STARTING):
            assign.lease(self, worker, limit=1)  # told to be running: it goes to the worker that was about to start it
        self.index(worker)

    def _take_back(self, worker: Worker, count: int) -> None:
        """Tasks that no worker owns any more: cancelled if so asked, else first in the line again."""
        self.in_flight -= count
        back = worker.take_back(count)
        if self.cancelling:
            cancelled = [task for task in back if id(task) in self.cancelling]
            self.cancelling.difference_update(map(id, cancelled))
            self.cancelling.difference_update(map(id, worker.inflight))  # those have started: too late
            back = [task for task in back if not any(task is other for other in cancelled)]
            self._refuse(cancelled)
        self._put_back(back)

    def _put_back(self, tasks: Sequence[Task] | deque[Task]) -> None:
        """Unstarted tasks are first in the line again, where there still is a line."""
        if self.state in (PoolState.OPEN, PoolState.DRAINING):
            if self.discarding:
                self._refuse([task for task in tasks if not task.started])
                tasks = [task for task in tasks if task.started]
            self.pending.extendleft(reversed(tasks))
            self.pending_items += count_items(tasks)
        else:
            self._refuse(tasks)

    def _refuse(self, tasks: Sequence[Task] | deque[Task]) -> None:
        if tasks:
            broken = self.state is PoolState.BROKEN
            self.out.append(commands.FailAll(list(tasks), self.reason) if broken else commands.Cancel(list(tasks)))

    # -- workers -------------------------------------------------------------------------------------------------

    def spawn(self) -> Worker:
        """Ask for one more worker."""
        worker = Worker(self.next_wid, self.max_tasks_per_child)
        self.next_wid += 1
        self.workers[worker.wid] = worker
        self.width += 1
        self.out.append(commands.Spawn(worker.wid))
        return worker

    def _start_workers(self, event: events.StartWorkers) -> None:
        while self.width < min(event.count, self.max_workers) and self.state is PoolState.OPEN:
            self.index(self.spawn())

    def _worker_ready(self, event: events.WorkerReady) -> None:
        worker = self._heard(event.wid)
        self.failed_starts = 0
        worker.signal(Signal.READY)
        if worker.items and worker.state is State.IDLE:
            worker.signal(Signal.LEASED)
            self.mark_head(worker)
        self.index(worker)

    def _lost(self, event: events.Lost) -> None:
        worker = self._heard(event.wid)
        never_ready = worker.state is State.STARTING
        self._forget(worker)
        self._take_back(worker, event.unowned)
        if worker.items > 1:
            raise CoreError(f"worker {worker.wid} died owning {worker.items} items; a token is taken one at a time")
        if worker.items:
            self.in_flight -= 1
            task, start = worker.finish_items(1)
            self.out.append(commands.FailItem(task, start, worker.wid, event.exitcode))
        worker.signal(Signal.LOST)
        del self.workers[worker.wid]
        if never_ready:
            self._start_has_failed(f"it ended with exit code {event.exitcode} before it was ready")

    def _start_failed(self, event: events.StartFailed) -> None:
        """Nothing ran there. A fatal failure is the initializer's: that process ends by itself and is `Lost` later."""
        worker = self._heard(event.wid)
        if event.fatal:
            self._break(event.reason)
            return
        self._forget(worker)
        self._take_back(worker, worker.items)
        worker.signal(Signal.LOST)
        del self.workers[worker.wid]
        self._start_has_failed(event.reason)

    def _start_has_failed(self, reason: object) -> None:
        self.failed_starts += 1
        if self.failed_starts < START_ATTEMPTS:
            return
        if any(worker.state in (State.IDLE, State.BUSY) for worker in self.workers.values()):
            self.max_workers = max(1, self.width)
            self.failed_starts = 0
            self.out.append(commands.Narrowed(self.max_workers, reason))
        else:
            self._break(reason)

    def _break(self, reason: object) -> None:
        if self.state in (PoolState.OPEN, PoolState.DRAINING):
            self.state = PoolState.BROKEN
            self.reason = reason
            self.out.append(commands.Broken(reason))
            self._refuse_all()

    def _refuse_all(self) -> None:
        pending, self.pending = self.pending, deque()
        self.pending_items = 0
        self._put_back(pending)
        for wid in self.stealable:
            self.withdraw(wid)

    def _stop(self, worker: Worker) -> None:
        self._forget(worker)
        worker.signal(Signal.STOP)
        self.out.append(commands.Stop(worker.wid))

    def _forget(self, worker: Worker) -> None:
        """It no longer counts and will not be given anything."""
        if worker.usable:
            self.width -= 1
        self._unindex(worker.wid)

    def _unindex(self, wid: int) -> None:
        self.hungry.pop(wid, None)
        self.thirsty.pop(wid, None)
        self.stealable.pop(wid, None)

    def index(self, worker: Worker) -> None:
        """Keep the three sets that save every step from looking at all workers."""
        self._unindex(worker.wid)
        if worker.hungry:
            self.hungry[worker.wid] = None
        elif worker.thirsty:
            self.thirsty[worker.wid] = None
        if worker.stealable > 0:
            self.stealable[worker.wid] = None

    def _heard(self, wid: int) -> Worker:
        worker = self.workers.get(wid)
        if worker is None:
            raise CoreError(f"worker {wid} is unknown or gone: nothing may be heard of it")
        return worker

    # -- the end -------------------------------------------------------------------------------------------------

    def _shutdown_asked(self, event: events.ShutdownAsked) -> None:
        if self.state is PoolState.OPEN:
            self.state = PoolState.DRAINING
        if event.cancel and self.state is PoolState.DRAINING:
            self.discarding = True
            self._refuse_all()

    def _kill_asked(self, event: events.KillAsked) -> None:
        if self.state is PoolState.CLOSED:
            return
        self.state = PoolState.KILLED
        self._refuse_all()
        for worker in self.workers.values():
            if worker.state is not State.DYING:
                self._forget(worker)
                worker.signal(Signal.KILL)
                self.out.append(commands.Kill(worker.wid))

    def _finish_if_empty(self) -> None:
        if self.state in (PoolState.OPEN, PoolState.CLOSED) or self.pending or self.in_flight:
            return
        for worker in self.workers.values():
            if worker.usable:
                self._stop(worker)
        if not self.workers:
            self.state = PoolState.CLOSED
            self.out.append(commands.Closed())

    def check(self) -> None:
        """The invariants of the pool; run after every event in tests."""
        for worker in self.workers.values():
            worker.check()
            assert worker.state is not State.GONE
            assert (worker.wid in self.hungry) == worker.hungry, worker.wid
            assert (worker.wid in self.thirsty) == (worker.thirsty and not worker.hungry), worker.wid
            assert (worker.wid in self.stealable) == (worker.stealable > 0), worker.wid
        assert self.width == sum(worker.usable for worker in self.workers.values()) <= self.max_workers
        assert self.in_flight == sum(worker.items for worker in self.workers.values())
        assert self.pending_items == count_items(self.pending)
        everywhere = [id(t) for t in self.pending] + [id(t) for w in self.workers.values() for t in w.inflight]
        assert len(everywhere) == len(set(everywhere)), "a task is in two places"
        assert not (self.pending and self.hungry and self.state is PoolState.OPEN), "work waits while a worker idles"
        assert (self.state is PoolState.CLOSED) <= (not self.workers and not self.pending)


def count_items(tasks: Sequence[Task] | deque[Task]) -> int:
    """The items of some tasks."""
    return sum(task.size for task in tasks)
