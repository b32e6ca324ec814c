"""Cancels of what is in hand: what has not started comes back and is answered; what has, ends only where that is asked.

A cancel that kills (`kill`) ends a running item by supervising.py, in its five steps; one that does not leaves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procession.core import ending, events, homes, retrying, supervising
from procession.core.assign import CALM
from procession.core.rules import Cause
from procession.core.task import Task
from procession.core.worker import Worker

if TYPE_CHECKING:
    from procession.core.pool import PoolCore


def cancel_asked(core: PoolCore, event: events.CancelAsked) -> None:
    """Bring back what these tasks' workers have not started; what was answered or lost meanwhile needs nothing."""
    kill = event.kill and core.can_kill
    for task in event.tasks:
        task.final = True
        if task.wid is None:
            retrying.cancel(core, task)
            continue
        worker = core.workers.get(task.wid)
        if worker is None or not worker.items:
            continue
        if worker.loose and (kill or not task.started):
            worker.unwanted[id(task)] = task
            if kill:
                worker.mortal.add(id(task))
            core.withdraw(worker)
            core.calm = CALM
        elif kill and worker.inflight[-1] is task:
            _end(core, worker)


def group_cancelled(core: PoolCore, event: events.GroupCancelled) -> None:
    """Its tasks refuse to be claimed from now on; bring back those that are in hand."""
    group, kill = event.group, event.kill and core.can_kill
    for worker in core.workers.values():
        members = [task for task in worker.inflight if task.group is group]
        for task in members:
            task.final = True
        if not members:
            continue
        if worker.loose:
            worker.unwanted[id(group)] = group
            if kill:
                worker.mortal.add(id(group))
            core.withdraw(worker)
        elif kill and worker.inflight[-1].group is group:
            _end(core, worker)
    gone = core.line.remove(lambda task: task.group is group) + retrying.forget(core, group)
    gone += homes.forget(core, group)
    if gone:
        ending.drop(core, gone)


def sort_out(core: PoolCore, worker: Worker, back: list[Task]) -> list[Task]:
    """What came back to nobody's regret is answered; returns the rest."""
    unwanted, worker.unwanted = worker.unwanted, {}
    if not unwanted:
        return back
    cancelled = [task for task in back if id(task) in unwanted]
    dropped = [task for task in back if task.group is not None and id(task.group) in unwanted]
    gone = {id(task) for task in (*cancelled, *dropped)}
    if cancelled:
        ending.cancel(core, cancelled)
    if dropped:
        ending.drop(core, dropped)
    return [task for task in back if id(task) not in gone]


def end_what_stayed(core: PoolCore, worker: Worker) -> None:
    """After a withdrawal: what did not come back, though it was to end in any case."""
    if worker.mortal_runs():
        _end(core, worker)


def _end(core: PoolCore, worker: Worker) -> None:
    """The last item in hand, which no token is left for, is to end, if it is not through: it is what runs then."""
    rules = worker.inflight[-1].rules
    grace_ns = 0 if rules is None else rules.grace_ns if rules.stop_ns is None else rules.stop_ns
    supervising.condemn(core, worker, worker.finished + worker.items - 1, Cause.CANCEL, grace_ns)
