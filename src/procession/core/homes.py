"""Where the tasks of a key run: where the last of them has run, as long as that worker stays.

A *home* (`Task.home`) is shared by the tasks of one key. Whoever hands them over sees to it that each has one item, and
that one of them at a time can run (law 4 of flow.py); one that was cancelled while it waited may lie about beside its
successor, and will not let itself be claimed.

Laws
1. A home is the worker from which the latest outcome of its key was heard, while that worker *stays* (`Worker.stays`):
   it counts, does not leave, and has quota left. Then the tasks of the key are *bound* to it: they wait in a queue of
   that worker's (`Line.bound`), and nobody else is given them. Without a home they wait in the line, for anybody.
2. Whoever stays no more has nothing bound to it: what was is first in the line again, and has no home (`release`).
3. A hungry worker is given what is bound to it. But where nobody else could take what waits in the line, that has
   every other turn; and nobody for whom something bound waits is topped up from the line. So neither waits for ever.
4. Who was given bound tasks is *tied* until all of them have come or gone: nothing more is leased to it, and nothing
   stolen from it, since nobody else may run these. So stealing still ends.
5. A lent worker for whom something bound waits is recalled.

Of some keys something *lives* in the worker between two tasks, as the generator of a stream does: `Home.lives` says
after which outcomes. Such a home is a *pin* of its worker's.
6. Who has a pin stays, whatever its age, its weight, its quota or the size of the pool (recycling.py), until an outcome
   says that nothing lives there any more. If it was leaving when it got the pin, it does not leave yet.
7. A task whose pin went with its worker runs nowhere else: it fails as if it had been running there, with what is known
   of the end of that worker (losing.py: `mourn`); so it waits for that end (`PoolCore.bereaved`), if nobody cancels it
   meanwhile. A further run begins anew: anywhere. (A thread that is given up takes nothing with it: what lives in this
   process goes on in another.)
8. What anybody may take goes to those who idle without a pin first.

All this costs nothing before the first task with a home comes (`PoolCore.homed`). (Serving is in assign.py.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from procession.core.task import Task

if TYPE_CHECKING:
    from procession.core.pool import PoolCore
    from procession.core.worker import Worker

_HOME: attrgetter[Any] = attrgetter("home")


def arrived(core: PoolCore, tasks: Sequence[Task]) -> Sequence[Task]:
    """These have just come, and some may have a home; those that are bound wait there. Returns the rest."""
    if not core.homed and not any(map(_HOME, tasks)):
        return tasks
    core.homed = True
    free: list[Task] = []
    for task in tasks:
        queue = _queue(core, task)
        (free if queue is None else queue).append(task)
    return free


def put_back(core: PoolCore, tasks: Sequence[Task]) -> None:
    """These are first in the line again, in their order, or first of what is bound to their home."""
    free: deque[Task] = deque()
    if core.homed:
        for task in reversed(tasks):
            queue = _queue(core, task)
            (free if queue is None else queue).appendleft(task)
    core.line.put_back(free if core.homed else tasks, core.now)


def answered(core: PoolCore, worker: Worker, tasks: Iterable[Task], outcomes: Iterable[object]) -> bool:
    """These have an outcome of this worker's; whether it has its first pin by that, or has lost its last."""
    pins = worker.pins
    before = bool(pins)
    for task, outcome in zip_longest(tasks, outcomes):
        home = task.home
        if home is None:
            continue
        home.wid = worker.wid
        if not home.lives(outcome):
            pins.pop(home, None)
        elif worker.usable:
            pins[home] = None
            worker.pinned = True
        else:
            home.lost = worker.wid  # it dies
    if pins and not before:
        core.pinned[worker.wid] = None
    elif before and not pins:
        core.pinned.pop(worker.wid, None)
    return bool(pins) is not before


def release(core: PoolCore, worker: Worker) -> None:
    """It stays no more: what is bound to it is for anybody, before what came later. What lives there goes with it."""
    if worker.pins:
        bereave(core, worker)
    released = core.line.bound.pop(worker.wid, None)
    if released:
        for task in released:
            assert task.home is not None
            task.home.wid = None
        core.line.put_back(released, core.now)


def bereave(core: PoolCore, worker: Worker) -> None:
    """Law 7."""
    pins, worker.pins = worker.pins, {}
    core.pinned.pop(worker.wid, None)
    if not core.can_kill:
        return
    for home in pins:
        home.lost = worker.wid
    queue = core.line.bound.pop(worker.wid, ())
    lost = [task for task in queue if task.home in pins]
    if lost:
        core.bereaved.setdefault(worker.wid, deque()).extend(lost)
    if len(lost) < len(queue):
        core.line.bound[worker.wid] = deque([task for task in queue if task.home not in pins])


def forget(core: PoolCore, group: object) -> list[Task]:
    """The tasks of a group that wait for the end of a worker that dies."""
    gone: list[Task] = []
    for wid, queue in list(core.bereaved.items()):
        members = [task for task in queue if task.group is group]
        if members:
            gone += members
            core.bereaved[wid] = deque([task for task in queue if task.group is not group])
            if not core.bereaved[wid]:
                del core.bereaved[wid]
    return gone


def begun_anew(task: Task) -> None:
    """Its next run needs nothing that lived somewhere."""
    home = task.home
    if home is not None and home.lost is not None:
        home.wid = home.lost = None


def _queue(core: PoolCore, task: Task) -> deque[Task] | None:
    """Where it is to wait, if it has a home; a home that stays no more is forgotten."""
    home = task.home
    if home is None or home.wid is None:
        return None
    if home.lost is not None:
        return core.bereaved.setdefault(home.lost, deque())
    worker = core.workers.get(home.wid)
    if worker is None or not worker.stays:
        home.wid = None
        return None
    return core.line.bound.setdefault(worker.wid, deque())
