"""Who gets what: one worker after another is given a lease until nothing waits or nobody wants.

Order of preference: a worker with nothing in hand (the one that was busy last: its caches are warm); a new worker while
the pool may grow; a worker about to run dry. When nothing waits and a worker idles, the fullest of the others gives its
unstarted tail back, whatever the estimates say: a task never waits behind a running one while a worker idles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procession.core import commands
from procession.core.policy import MAX_LEASE, TARGET_NS
from procession.core.task import Task
from procession.core.worker import Worker

if TYPE_CHECKING:
    from procession.core.pool import PoolCore

CALM = 64
"""After a cancel of something in hand, this many leases hold one item: the next cancels then find their tasks waiting."""


def assign(core: PoolCore) -> None:
    """Give out what waits; called after every event."""
    while core.pending:
        if core.hungry:
            worker = core.workers[next(reversed(core.hungry))]
            lease(core, worker)
        elif core.width < core.max_workers:
            lease(core, core.spawn(), limit=1)
        else:
            break
    if core.pending:
        _top_up(core)
    elif core.hungry and core.stealable:
        core.withdraw(max((core.workers[wid] for wid in core.stealable), key=_expected_ns).wid)


def _top_up(core: PoolCore) -> None:
    while core.pending and core.thirsty and core.pending[0].profile.worth_prefetching():
        lease(core, core.workers[next(iter(core.thirsty))])


def _expected_ns(worker: Worker) -> float:
    return worker.inflight[-1].profile.cost_of(worker.items)


def lease(core: PoolCore, worker: Worker, *, limit: int = MAX_LEASE) -> None:
    """Hand the first waiting items to `worker`: as many as the policy says, at most `limit`."""
    if worker.quota is not None:
        limit = min(limit, worker.quota)
    if core.calm:
        limit = 1
    tasks, items = _collect(core, worker.wid, limit)
    if tasks:
        core.in_flight += items
        number = worker.lease(tasks, items)
        core.out.append(commands.Send(worker.wid, number, tasks, items))
        core.mark_head(worker)
    core.index(worker)


def _collect(core: PoolCore, wid: int, limit: int) -> tuple[list[Task], int]:
    """Take tasks from the front of the line until they hold `limit` items or a lease's worth of work."""
    tasks: list[Task] = []
    dropped: list[Task] = []
    items, spent, cost, profile = 0, 0.0, 0.0, None
    pending = core.pending
    while pending and items < limit:
        task = pending[0]
        if task.profile is not profile or task.grain:
            allowed = _allowance(core, task, spent)
            if tasks and (allowed == 0 or task.grain):
                break
            profile, cost = task.profile, max(task.profile.mean_ns, 0.0)
            limit = min(limit, items + max(allowed, 1))
        pending.popleft()
        core.pending_items -= task.size
        if not task.claim(wid):
            dropped.append(task)
            continue
        if task.size > limit - items:
            rest = task.split(limit - items)
            rest.release()
            pending.appendleft(rest)
            core.pending_items += rest.size
        tasks.append(task)
        items += task.size
        spent += cost * task.size
    if dropped:
        core.out.append(commands.Drop(dropped))
    return tasks, items


def _allowance(core: PoolCore, task: Task, spent: float) -> int:
    """How many items of this task's kind a lease with `spent` ns of work in it may still take."""
    if task.grain:
        return task.grain
    profile = task.profile
    if profile.mean_ns < 0:
        return 0 if spent else 1
    share = -(-core.pending_items // max(core.width, 1))
    if not spent:
        return min(profile.lease_items(), share)
    return min(int((TARGET_NS - spent) / profile.mean_ns), share)
