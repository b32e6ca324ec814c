"""Further runs, and waiting too long for the first one.

Laws
1. A run that failed is followed by another while the task's rules want one and the pool still takes tasks back. In the
   meantime the task is nobody's: it waits for its time (`PoolCore.delayed`), or at the front of the line.
2. Once a pool is to start nothing more, whoever waits for a further run keeps the outcome of the last (`GiveUp`).
3. Only a first run can come too late. Who has waited too long for it is looked for when the first of those who may wait
   so long must have, and again while somebody is left, but no more than SWEEPS times in that span: so an answer comes
   late by a sixty-fourth of it at most, and looking stays cheap beside many who wait. What is in the line is answered
   (`Expire`); what is in the hands of a worker is asked back, and if it does not come, it has started in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from procession.core import commands, ending, events, homes
from procession.core.rules import Cause, Rules
from procession.core.task import Task

if TYPE_CHECKING:
    from procession.core.pool import PoolCore

SWEEPS = 64
"""So often in the time for which a task may wait, at most, it is looked for who has waited too long."""


def clock(core: PoolCore, event: events.Clock) -> None:
    """Time has gone by: whose waiting is over?"""
    core.now = event.now
    delayed = core.delayed
    while delayed and delayed[0][0] <= event.now:
        homes.put_back(core, [heappop(delayed)[2]])
    if core.sweeps and min(core.sweeps.values()) <= event.now:
        _sweep(core)


def alarm(core: PoolCore) -> int | None:
    """When `Clock` is wanted next, whatever else happens."""
    dues = list(core.sweeps.values())
    if core.delayed:
        dues.append(core.delayed[0][0])
    return min(dues, default=None)


# ---------------------------------------------------------------------------------------------------- waiting too long


def arrived(core: PoolCore, tasks: Sequence[Task], kinds: Sequence[Rules]) -> None:
    """These have just come: those with a limit to their waiting are waited for."""
    if all(rules.queue_ns is None for rules in kinds):
        return
    for task in tasks:
        rules = task.rules
        if rules is not None and rules.queue_ns is not None:
            task.due = core.now + rules.queue_ns
            core.sweeps.setdefault(rules.queue_ns, task.due)


def _sweep(core: PoolCore) -> None:
    """Whose waiting is over? And when is the next who still waits to be looked for?"""
    now = core.now
    _expire(core, core.line.remove(lambda task: task.due is not None and task.due <= now))
    next_due: dict[int, int] = {}
    in_hand = [task for worker in core.workers.values() if worker.loose for task in worker.inflight]
    for task in (*core.line, *in_hand):
        if task.due is not None and task.due > now:
            assert task.rules is not None
            assert task.rules.queue_ns is not None
            queue_ns = task.rules.queue_ns
            due = max(task.due, now + queue_ns // SWEEPS)
            next_due[queue_ns] = min(due, next_due.get(queue_ns, due))
        elif task.due is not None and task.wid is not None:
            core.withdraw(core.workers[task.wid])
    core.sweeps = next_due


def _expire(core: PoolCore, tasks: Sequence[Task]) -> None:
    if tasks:
        core.out.append(commands.Expire(tasks))


def in_time(core: PoolCore, back: list[Task]) -> list[Task]:
    """Of what has come back, answer what is late; returns the rest."""
    late = [task for task in back if task.due is not None and task.due <= core.now]
    if not late:
        return back
    _expire(core, late)
    return [task for task in back if task.due is None or task.due > core.now]


# ---------------------------------------------------------------------------------------------------- further runs


def after_loss(core: PoolCore, task: Task, index: int, cause: Cause) -> Task | None:
    """The worker of this item is gone; the task of its next run, if there is to be one. It has been put into line."""
    rules = task.rules
    if rules is None or cause not in rules.again_after or not _may(core, task):
        return None
    again = task.again(index)
    _wait(core, again)
    return again


def after_calls(
    core: PoolCore, tasks: list[Task], outcomes: list[Any], failed: Sequence[int]
) -> tuple[list[Task], list[Any]]:
    """Those calls, and their outcomes, that are the last word; of `failed`, further runs are arranged where may be."""
    last = set(range(len(tasks)))
    for place in failed:
        if _may(core, tasks[place]):
            last.discard(place)
            _once_more(core, tasks[place], 0, outcomes[place])
    return [tasks[place] for place in sorted(last)], [outcomes[place] for place in sorted(last)]


def after_items(core: PoolCore, task: Task, start: int, outcomes: list[Any], failed: Sequence[int]) -> None:
    """The same for items of a chunk; those that are the last word are told."""
    told = 0
    for place in failed:
        if _may(core, task):
            if place > told:
                core.out.append(commands.ResolveItems(task, start + told, outcomes[told:place]))
            _once_more(core, task, start + place, outcomes[place])
            told = place + 1
    if told < len(outcomes):
        core.out.append(commands.ResolveItems(task, start + told, outcomes[told:]))


def _once_more(core: PoolCore, task: Task, index: int, outcome: Any) -> None:
    again = task.again(index)
    core.out.append(commands.TryAgain(again, outcome))
    _wait(core, again)


def _may(core: PoolCore, task: Task) -> bool:
    rules = task.rules
    if rules is None or task.final or task.tries >= rules.retries:
        return False
    return core.state.takes_back and not core.discarding


def _wait(core: PoolCore, task: Task) -> None:
    assert task.rules is not None
    homes.begun_anew(task)
    delay_ns = task.rules.delay_ns(task.tries, core.now)
    if delay_ns <= 0:
        homes.put_back(core, [task])
        return
    core.sequence += 1
    heappush(core.delayed, (core.now + delay_ns, core.sequence, task))


def cancel(core: PoolCore, task: Task) -> None:
    """Somebody has cancelled what is in nobody's hands; it may wait for its time."""
    gone = [each for each in core.delayed if each[2] is task]
    if gone:
        core.delayed.remove(gone[0])
        heapify(core.delayed)
        ending.cancel(core, [task])


def forget(core: PoolCore, group: object) -> list[Task]:
    """The tasks of a group that wait for their time."""
    gone = [each[2] for each in core.delayed if each[2].group is group]
    if gone:
        core.delayed = [each for each in core.delayed if each[2].group is not group]
        heapify(core.delayed)
    return gone
