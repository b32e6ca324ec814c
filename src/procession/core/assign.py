"""Who gets what: one worker after another is given a lease until nothing waits or nobody wants.

Order of preference: a ready worker with nothing in hand (the latest to be busy: its caches are warm); one that is
starting and has nothing; a new one while the pool may grow; a worker about to run dry. One that has not started yet
gets a single item. When nothing waits and a worker idles, or could be started, the fullest of the others gives its
unstarted tail back, whatever the estimates say: a task never waits behind a running one while a worker idles. One that
is lent and idles counts as one that idles: it is asked back first.

Before all that, hungry workers are given what is bound to them (homes.py), which is nobody else's.

Why stealing ends: what comes back is shared among all takers (`_share`), so that afterwards either nobody is left to
steal for, or whoever was given something now has a single item, which is not stolen from a ready worker.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from procession.core import commands, ending, lending, recycling
from procession.core.policy import MAX_LEASE, Profile
from procession.core.task import Task
from procession.core.worker import State, Worker

if TYPE_CHECKING:
    from procession.core.pool import PoolCore

CALM = 64
"""After a cancel of something in hand, so many leases hold one item: the next cancels then find their tasks waiting."""


def assign(core: PoolCore) -> None:
    """Give out what waits; called after every event."""
    if core.line.bound:
        _serve_bound(core)
    while core.line.items:
        if core.hungry:
            lease(core, _taker(core), _share(core))
        elif lending.idles(core):
            lending.recall(core)
            return
        elif core.waking:
            lease(core, core.workers[next(reversed(core.waking))], 1)
        elif core.width < core.max_workers:
            _lease_to_new(core)
        else:
            _top_up(core)
            return
    if core.stealable and not core.withdrawing and not core.discarding:  # where what comes back would be cancelled
        if not core.hungry and lending.idles(core):
            lending.recall(core)  # and steal for it when it is back
        else:
            _steal(core)


def _taker(core: PoolCore) -> Worker:
    """Of those that idle, the latest to be busy in which nothing lives (homes.py), if there is one."""
    free = reversed(core.hungry) if not core.pinned else [wid for wid in core.hungry if wid not in core.pinned][-1:]
    return core.workers[next(iter(free), next(reversed(core.hungry)))]


def _serve_bound(core: PoolCore) -> None:
    """Laws 3 and 5 of homes.py."""
    bound = core.line.bound
    others = core.waking or core.width < core.max_workers or not core.hungry.keys() <= bound.keys()
    for wid, queue in list(bound.items()):
        worker = core.workers[wid]
        if worker.lent:
            lending.recall(core)
        while queue and wid in core.hungry:
            if worker.tied and core.line.items and not others and not queue[0].started:
                lease(core, worker, _share(core))
            else:
                _lease_bound(core, worker, queue)


def _lease_bound(core: PoolCore, worker: Worker, queue: deque[Task]) -> None:
    """Hand it what is bound to it: a lease's worth of work, in tasks of one item each."""
    limit = 1 if core.calm else min(worker.allowance, MAX_LEASE)
    tasks: list[Task] = []
    refused: list[Task] = []
    profiles: dict[Profile, None] = {}
    expected_ns = 0.0
    while queue and len(tasks) < limit and expected_ns < queue[0].profile.target_ns:
        task = queue.popleft()
        if task.claim(worker.wid):
            tasks.append(task)
            profiles[task.profile] = None
            expected_ns += task.profile.cost_of(1)
        else:
            refused.append(task)
    if not queue:
        del core.line.bound[worker.wid]
    ending.drop(core, refused)
    _hand(core, worker, (tasks, len(tasks), tuple(profiles), expected_ns), tied=True)


def _steal(core: PoolCore) -> None:
    """Nothing waits: for an idle worker, or one that can be started, somebody's unstarted tail is asked back."""
    victims = [core.workers[wid] for wid in core.stealable]
    if not core.hungry:
        room = core.width < core.max_workers and core.state.takes_back
        victims = [worker for worker in victims if room and worker.state is State.BUSY]  # not from start to start
    if victims:
        core.withdraw(max(victims, key=_expected_ns))


def _share(core: PoolCore) -> int:
    """What one idle worker may take so that every other that idles, or may be started, gets something as well."""
    takers = len(core.hungry) + len(core.waking) + max(0, core.max_workers - core.width)
    return -(-core.line.items // takers)


def _top_up(core: PoolCore) -> None:
    """Nobody idles: workers about to run dry get a successor, where that is worth it."""
    bound = core.line.bound
    while core.line.items and core.thirsty and core.line.front[0].profile.worth_prefetching():
        thirsty = core.thirsty if not bound else [wid for wid in core.thirsty if wid not in bound]
        if not thirsty:
            break
        lease(core, core.workers[next(iter(thirsty))])


def _expected_ns(worker: Worker) -> float:
    return worker.inflight[-1].profile.cost_of(worker.items)


def lease(core: PoolCore, worker: Worker, limit: int = MAX_LEASE) -> None:
    """Hand the first waiting items to `worker`: as many as the policy says, at most `limit`."""
    limit = min(limit, worker.allowance, MAX_LEASE)
    _hand(core, worker, _collect(core, worker.wid, 1 if core.calm else limit))


def _lease_to_new(core: PoolCore) -> None:
    """Start a worker for the first waiting item, if there is one that still wants to run."""
    batch = _collect(core, core.next_wid, 1)
    if batch[0]:
        _hand(core, core.spawn(), batch)


Batch = tuple[list[Task], int, tuple[Profile, ...], float]
"""Tasks, their items, the kinds they are of, the nanoseconds expected."""


def _hand(core: PoolCore, worker: Worker, batch: Batch, tied: bool = False) -> None:
    tasks, items, profiles, expected_ns = batch
    if tasks:
        core.in_flight += items
        number = worker.lease(tasks, items, profiles, expected_ns)
        worker.tied = tied
        worker.look_ns = core.look_ns
        core.out.append(commands.Send(worker.wid, number, tasks, items))
        if worker.items == items:
            core.mark_head(worker)
    core.index(worker)
    if worker.quota is not None:
        recycling.near_its_end(core, worker)


def mark_head(core: PoolCore, worker: Worker, wanted: bool = True) -> None:
    """What is first in a ready worker's hands runs now. Of a far one that is being withdrawn from, nobody knows."""
    if not wanted or (core.far and worker.wid in core.withdrawing):
        return
    if worker.state is State.BUSY and worker.inflight[0].started is False:
        core.out.append(commands.MarkRunning(worker.inflight[0]))


def _collect(core: PoolCore, wid: int, limit: int) -> Batch:
    """Take tasks from the front of the line until they hold `limit` items or a lease's worth of work.

    Calls of one kind are taken together: what can be said once a kind of task is not said once a call.
    """
    if core.line.items == 1:
        return _collect_last(core, wid)
    tasks: list[Task] = []
    dropped: list[Task] = []
    profiles: tuple[Profile, ...] = ()
    profile: Profile | None = None
    items = counted = 0  # taken; of them in `spent`
    spent = cost = 0.0
    waiting = core.line.items
    pending = core.line.front
    while pending and items < limit:
        task = pending[0]
        if task.profile is not profile or task.grain:
            spent += cost * (items - counted)
            counted = items
            allowed = _allowance(core, task, spent, waiting - items)
            if tasks and (allowed <= 0 or task.grain):
                break
            profile = task.profile
            if profile not in profiles:
                profiles += (profile,)
            cost = profile.cost_of(1)
            limit = min(limit, items + max(allowed, 1))
        calls, refused = pending.take_calls(wid, task.profile, limit - items)
        if calls or refused:
            tasks += calls
            items += len(calls)
            dropped += refused
            waiting -= len(refused)
            continue
        task, size = pending.popleft(), task.size
        if not task.claim(wid):
            dropped.append(task)
            waiting -= size
            continue
        if size > limit - items:
            size = limit - items
            _cut(core, task, size)
        tasks.append(task)
        items += size
    core.line.items = waiting - items
    if core.ruled:
        core.line.choose()
    if dropped:
        ending.drop(core, dropped)
    return tasks, items, profiles, spent + cost * (items - counted)


def _collect_last(core: PoolCore, wid: int) -> Batch:
    """The only item that waits: a round trip at a time is worth a short way."""
    task = core.line.front.popleft()
    core.line.items = 0
    if core.ruled:
        core.line.choose()
    if not task.claim(wid):
        ending.drop(core, [task])
        return [], 0, (), 0.0
    profile = task.profile
    return [task], 1, (profile,), profile.cost_of(1)


def _cut(core: PoolCore, task: Task, count: int) -> None:
    """Leave what is beyond `count` items of `task` at the front of the line."""
    rest = task.split(count)
    rest.release()
    core.line.front.appendleft(rest)


def _allowance(core: PoolCore, task: Task, spent: float, waiting: int) -> int:
    """How many items of this task's kind a lease with `spent` ns of work in it may still take."""
    if task.grain:
        return task.grain
    profile = task.profile
    mean_ns = profile.mean_ns
    if mean_ns < 0:
        return 0 if spent else 1
    share = -(-waiting // (core.width or 1))
    allowed = int((profile.target_ns - spent) / mean_ns) if spent else profile.lease_items()
    return allowed if allowed < share else share
