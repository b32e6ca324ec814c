"""The pool's decisions: events in, commands out, nothing else (laws and the protocol in README.md beside this file)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procession.core import (
    assign,
    cancelling,
    commands,
    ending,
    events,
    homes,
    invariants,
    lending,
    losing,
    recycling,
    retrying,
    starting,
    supervising,
)
from procession.core.line import Line
from procession.core.policy import learn
from procession.core.state import PoolState as PoolState
from procession.core.task import Task, kinds_of
from procession.core.worker import Signal, State, Worker

if TYPE_CHECKING:
    from procession.core.auto import AutoWidth


class PoolCore:
    """All decisions of one pool. `step` is the only door; time, if it matters, arrives in the event."""

    def __init__(
        self, max_workers: int, *, max_tasks_per_child: int | None = None, can_kill: bool = True, far: bool = False
    ) -> None:
        self.max_workers = max_workers
        self.far = far  # workers are on other machines: what that means is in README.md
        self.auto: AutoWidth | None = None  # who finds out how many that are to be, if not the user
        self.size = max_workers  # as the user wants it
        self.can_kill = can_kill
        self.max_orphans = max_workers  # so many threads that were given up are replaced
        self.orphans = 0
        self.wanted_workers = max_workers  # before workers that could not be started made it less
        self.max_tasks_per_child = max_tasks_per_child
        self.state = PoolState.OPEN
        self.line = Line()
        self.look_ns = 0  # between two looks at a worker that runs something; 0: nobody need look
        self.now = 0  # as of the last `Clock`
        self.ruled = False  # there are, or have been, tasks with rules or homes
        self.homed = False  # with homes
        self.delayed: list[tuple[int, int, Task]] = []  # a heap: when its next run is due, a number, the task
        self.sweeps: dict[int, int] = {}  # by `queue_ns`: when to look for who has waited so long
        self.sequence = 0
        self.workers: dict[int, Worker] = {}
        self.width = 0  # workers that count: STARTING, IDLE, BUSY
        self.in_flight = 0  # items in the hands of workers
        self.hungry: dict[int, None] = {}  # the latest last: warm caches first
        self.waking: dict[int, None] = {}
        self.thirsty: dict[int, None] = {}
        self.stealable: dict[int, None] = {}
        self.holding: dict[int, None] = {}
        self.watched: dict[int, None] = {}
        self.pinned: dict[int, None] = {}  # workers in which something lives, see homes.py
        self.bereaved: dict[int, deque[Task]] = {}  # by the worker that dies: what cannot run without what lived there
        self.withdrawing: dict[int, None] = {}  # to be withdrawn from, one after another
        self.lent: int | None = None  # the worker that callers use themselves, see lending.py
        self.recalling = False
        self.calm = 0  # leases that stay small because somebody is cancelling
        self.failed_starts = 0
        self.barren = 0  # workers that died ready and in vain, one after another
        self.next_wid = 0
        self.reason: object = None  # why it is broken
        self.discarding = False  # shut down with cancel: what comes back unstarted is cancelled
        self.out: list[commands.Command] = []
        self.graves: deque[Worker] = deque(maxlen=8)

    def step(self, event: events.Event) -> list[commands.Command]:
        """Take one event; returns what is to be done about it, in order. A `Withdraw` is the last, and the only one."""
        _HANDLERS[event.__class__](self, event)
        if self.line.items or self.stealable or self.line.bound:
            assign.assign(self)
        if self.state is not PoolState.OPEN:
            ending.finish_if_empty(self)
        out, self.out = self.out, []
        if self.withdrawing:
            out += map(commands.Withdraw, self.withdrawing if self.far else (next(iter(self.withdrawing)),))
        return out

    def withdraw(self, worker: Worker) -> None:
        """Ask for what this worker has not started, when all that was decided has been sent."""
        if worker.loose:
            self.withdrawing[worker.wid] = None

    alarm = retrying.alarm
    mark_head = assign.mark_head

    def check(self) -> None:
        """The invariants of the pool; run after every event in tests."""
        invariants.check(self)

    # -- tasks ---------------------------------------------------------------------------------------------------

    def submitted(self, event: events.Submitted) -> None:
        """They wait, unless nothing will ever run again."""
        tasks, kinds = event.tasks, []
        if event.ruled:
            self.ruled = True
            self.now = max(event.now, self.now)
        if self.discarding or not self.state.takes_back:
            ending.refuse(self, tasks)
            return
        if event.ruled:
            kinds = kinds_of(tasks)
            supervising.expect(self, kinds)
            retrying.arrived(self, tasks, kinds)
            tasks = homes.arrived(self, tasks)
            losing.mourn_late(self)
        self.line.extend(tasks, self.now, any(rules.priority for rules in kinds))

    def calls_done(self, event: events.CallsDone) -> None:
        """Answer them, and see what its worker needs now."""
        worker = self._answering(event)
        count = len(event.outcomes)
        tasks, outcomes = worker.finish_calls(count), event.outcomes
        self.in_flight -= count
        if self.homed and homes.answered(self, worker, tasks, event.outcomes):
            recycling.repinned(self, worker)
        if event.failed:
            tasks, outcomes = retrying.after_calls(self, tasks, outcomes, event.failed)
        if tasks:
            self.out.append(commands.Resolve(tasks, outcomes))
        self._progressed(worker)

    def items_done(self, event: events.ItemsDone) -> None:
        """The same for a part of a chunk."""
        worker = self._answering(event)
        count = len(event.outcomes)
        task, start = worker.finish_items(count)
        self.in_flight -= count
        if self.homed:
            homes.answered(self, worker, (task,), ())
        if event.failed:
            retrying.after_items(self, task, start, event.outcomes, event.failed)
        else:
            self.out.append(commands.ResolveItems(task, start, event.outcomes))
        self._progressed(worker)

    def lease_ended(self, event: events.LeaseEnded) -> None:
        """Learn what it cost; its number is free."""
        worker = self.heard(event)
        learn(event.items, event.busy_ns, *worker.end_lease())
        if self.calm:
            self.calm -= 1
        self.index(worker)

    def _answering(self, event: events.CallsDone | events.ItemsDone) -> Worker:
        worker = self.heard(event)
        self.barren = 0
        if worker.state is State.STARTING:
            raise worker.error("it answered before it was ready")
        return worker

    def _progressed(self, worker: Worker) -> None:
        if worker.sentence is not None:
            supervising.progressed(worker, worker.sentence)
        self.mark_head(worker)
        if worker.state is State.IDLE and worker.through:
            self.stop(worker)
        else:
            self.index(worker)

    # -- withdrawal ----------------------------------------------------------------------------------------------

    def withdrawn(self, event: events.Withdrawn) -> None:
        """Put back, or answer, what was read back."""
        worker = self.heard(event)
        sentence = worker.sentence
        self.take_back(worker, event.count)
        self.mark_head(worker, self.far)  # which was put off
        if worker.mortal:
            cancelling.end_what_stayed(self, worker)
        if sentence is not None and worker.sentence is sentence:
            supervising.withdrawn(self, worker, sentence)
        self.index(worker)
        recycling.settle(self, worker)
        front = self.line.front
        if front and front[0].started and worker.hungry:
            assign.lease(self, worker, 1)  # told to be running: it goes to the worker that was about to start it

    def take_back(self, worker: Worker, count: int) -> None:
        """Tasks that no worker owns any more: answered if they are not to run, else first in the line again."""
        self.in_flight -= count
        back = worker.take_back(count)
        self.withdrawing.pop(worker.wid, None)
        back = cancelling.sort_out(self, worker, back)
        if self.ruled:
            back = retrying.in_time(self, back)
        ending.put_back(self, back)

    # -- workers -------------------------------------------------------------------------------------------------

    def spawn(self, principal: Worker | None = None) -> Worker:
        """Ask for one more worker, or for an heir of one that there is (recycling.py)."""
        worker = Worker(self.next_wid, self.max_tasks_per_child)
        self.next_wid += 1
        self.workers[worker.wid] = worker
        if principal is None:
            self.width += 1
        else:
            principal.heir, worker.principal = worker.wid, principal.wid
        self.out.append(commands.Spawn(worker.wid))
        return worker

    def stop(self, worker: Worker) -> None:
        """It has nothing in hand and is to finish."""
        self.forget(worker)
        worker.signal(Signal.STOP)
        self.out.append(commands.Stop(worker.wid))

    def forget(self, worker: Worker) -> None:
        """It no longer counts and will not be given anything; called before its state changes."""
        worker.leaving = True  # from here on it is nobody's home
        homes.release(self, worker)
        if worker.usable:
            self.width -= 1
        if worker.heir is not None or worker.principal is not None:
            recycling.part(self, worker)
        if worker.lent:
            lending.end(self)
        for index in (self.hungry, self.waking, self.thirsty, self.stealable, self.holding, self.watched):
            index.pop(worker.wid, None)

    def bury(self, worker: Worker, signal: Signal) -> None:
        worker.signal(signal)
        del self.workers[worker.wid]
        self.graves.append(worker)

    def index(self, worker: Worker) -> None:
        """Keep the sets that save every step from looking at all workers; `check` compares with the properties."""
        wid, state, items = worker.wid, worker.state, worker.items
        self.hungry.pop(wid, None)
        self.waking.pop(wid, None)
        self.thirsty.pop(wid, None)
        self.stealable.pop(wid, None)
        self.holding.pop(wid, None)
        if self.ruled:
            self.watched.pop(wid, None)
            if worker.watched:
                self.watched[wid] = None
        if state is State.BUSY:
            if items <= max(1, worker.lease_items >> 1) and not worker.tied and worker.may_lease():
                self.thirsty[wid] = None
            if items > 1 and not worker.lent:
                self.holding[wid] = None
                if worker.loose and not worker.tied:
                    self.stealable[wid] = None
        elif state is State.IDLE:
            if worker.may_lease():
                self.hungry[wid] = None
        elif state is State.STARTING:
            if worker.loose:
                self.stealable[wid] = None
            if items == 0 and worker.may_lease():
                self.waking[wid] = None

    def heard(self, event: events.OfWorker) -> Worker:
        worker = self.workers.get(event.wid)
        if worker is None:
            raise losing.of_nobody(self, event)
        return worker


_HANDLERS: dict[type, Callable[[PoolCore, Any], None]] = {
    events.Submitted: PoolCore.submitted,
    events.StartWorkers: starting.start_workers,
    events.Clock: retrying.clock,
    events.CallsDone: PoolCore.calls_done,
    events.ItemsDone: PoolCore.items_done,
    events.LeaseEnded: PoolCore.lease_ended,
    events.WorkerReady: starting.worker_ready,
    events.Withdrawn: PoolCore.withdrawn,
    events.Lent: lending.lent,
    events.LentTasks: lending.lent_tasks,
    events.Recalled: lending.recalled,
    events.Looked: supervising.looked,
    events.Due: recycling.due,
    events.Heavy: supervising.heavy,
    events.Resized: recycling.resized,
    events.Measured: recycling.measured,
    events.Lost: losing.lost,
    events.StartFailed: starting.start_failed,
    events.CancelAsked: cancelling.cancel_asked,
    events.GroupCancelled: cancelling.group_cancelled,
    events.ShutdownAsked: ending.shutdown_asked,
    events.KillAsked: ending.kill_asked,
}
