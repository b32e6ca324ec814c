"""Workers that are replaced though they could go on, as too old, too heavy or at the end of their quota; other sizes.

Laws
1. The replacement, the *heir*, is started first. Until its *principal* is gone it is not counted and is given nothing:
   no more than `max_workers` run something at any time, and none of them has to wait for a start.
2. Whoever is too old or too heavy (`Due`) works on until its heir is ready. Then it *leaves*: it is given nothing more,
   what it has not started comes back, and it is stopped when it is through. One at a time, so that a pool never takes
   twice its memory because all of its workers have come of age together.
3. Whoever has a quota gets an heir as the end of that comes near, if more waits than others could take, and works the
   quota off. The heir of a worker that ends for any other reason takes its place all the same.
4. Whoever goes, in whatever way, makes room: `part` is called for each (`PoolCore.forget`).
5. An heir that is lost, or cannot be started, leaves its principal as it was. Who told of it may tell again.
6. A pool that gets smaller lets workers leave, those that do nothing first; until they have left, they count. It wants
   no heirs: those that are there are stopped, and whoever was leaving for one leaves without.
7. A far worker (README.md) that is due leaves at once, and the next one is started when there is work: its heir would
   need a place of the cluster, of which there may be no other than its own.
8. Where something lives (homes.py), nobody leaves, whatever his age, weight or quota, or the size of the pool; once
   that has ended, all this counts again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procession.core import events, homes, lending
from procession.core.worker import State, Worker

if TYPE_CHECKING:
    from procession.core.pool import PoolCore

LEAD = 4
"""An heir is started when a quarter of the quota is left, at most."""


def due(core: PoolCore, event: events.Due) -> None:
    """It is to be replaced, as soon as that can be."""
    worker = core.heard(event)
    if worker.pins or worker.leaving or worker.state not in (State.IDLE, State.BUSY) or worker.principal is not None:
        return
    if core.far:
        leave(core, worker)
    elif worker.heir is not None:
        worker.due = True
        if core.workers[worker.heir].state is State.IDLE:
            leave(core, worker)
    elif _takes_heirs(core) and not any(each.due for each in core.workers.values()):
        worker.due = True
        core.spawn(worker)


def near_its_end(core: PoolCore, worker: Worker) -> None:
    """Something was leased to it: if that is nearly all that it may ever do, and more waits, it needs an heir."""
    assert worker.quota is not None
    assert core.max_tasks_per_child is not None
    if worker.spent:
        homes.release(core, worker)
    if worker.quota > core.max_tasks_per_child // LEAD or worker.renewed or worker.heir is not None:
        return
    full = core.width >= core.max_workers and not core.hungry and not core.waking
    waits = core.line.items or worker.wid in core.line.bound
    if waits and full and _takes_heirs(core) and not worker.leaving:
        worker.renewed = True
        core.spawn(worker)


def _takes_heirs(core: PoolCore) -> bool:
    return core.state.takes_back and not core.discarding


def heir_ready(core: PoolCore, heir: Worker) -> None:
    """Its principal may go."""
    principal = None if heir.principal is None else core.workers[heir.principal]
    if principal is not None and principal.due and not principal.pins:
        leave(core, principal)


def repinned(core: PoolCore, worker: Worker) -> None:
    """Something lives there now: it does not leave. Or nothing does any more: what it was spared meanwhile."""
    if not worker.usable:
        return
    if worker.pins:
        worker.leaving = False
    elif worker.due and worker.heir is not None and core.workers[worker.heir].state is State.IDLE:
        leave(core, worker)
    elif worker.spent:
        homes.release(core, worker)
    _let_go(core)


def leave(core: PoolCore, worker: Worker) -> None:
    """It is given nothing more."""
    worker.leaving = True
    core.index(worker)
    homes.release(core, worker)
    if worker.lent:
        lending.recall(core)
    else:
        core.withdraw(worker)
    settle(core, worker)


def settle(core: PoolCore, worker: Worker) -> None:
    """Stop it, if it leaves and is through."""
    if worker.leaving and not worker.items and not worker.lent and worker.state in (State.IDLE, State.STARTING):
        core.stop(worker)


def part(core: PoolCore, worker: Worker) -> None:
    """It goes: its heir takes its place; if it is an heir itself, its principal has none any more."""
    if worker.principal is not None:
        principal = core.workers[worker.principal]
        principal.heir, principal.due, worker.principal = None, False, None
    elif worker.heir is not None:
        heir = core.workers[worker.heir]
        worker.heir, worker.due, heir.principal = None, False, None
        core.width += 1
        core.index(heir)


def resized(core: PoolCore, event: events.Resized) -> None:
    """The pool is to have so many workers from now on."""
    core.wanted_workers = max(1, core.wanted_workers + event.count - core.size)
    core.size = event.count
    core.max_workers = core.wanted_workers
    excess = _let_go(core)
    for worker in list(core.workers.values()):
        if excess < 0 and worker.usable and worker.leaving and worker.heir is None:
            excess += 1
            worker.leaving = False
            core.index(worker)


def measured(core: PoolCore, event: events.Measured) -> None:
    """A pool that finds its width by itself (auto.py) gets as many as that says."""
    if core.auto is not None:
        count = core.auto.next(event, core.max_workers, core.max_workers < core.wanted_workers)
        if count != core.size:
            resized(core, events.Resized(count))
        elif core.auto.again:
            core.max_workers = core.wanted_workers


def _let_go(core: PoolCore) -> int:
    """Who is too many leaves, those first that do nothing; returns how many those are who stay, beyond what may be."""
    counted = [worker for worker in core.workers.values() if worker.usable]
    staying = [worker for worker in counted if not worker.leaving]
    replaced = sum(worker.leaving and worker.heir is not None for worker in counted)
    if len(staying) + replaced > core.max_workers:
        for worker in list(core.workers.values()):
            if worker.principal is not None:
                core.stop(worker)
    excess = len(staying) - core.max_workers
    if excess > 0:
        free = [worker for worker in staying if not worker.pins]
        free.sort(key=lambda worker: (worker.state is not State.IDLE, worker.items))
        for worker in free[:excess]:
            leave(core, worker)
    return excess
