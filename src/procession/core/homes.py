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

All this costs nothing before the first task with a home comes (`PoolCore.homed`). (Serving is in assign.py.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
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


def answered(worker: Worker, tasks: Iterable[Task]) -> None:
    """These have an outcome of this worker's, for good or not."""
    for task in tasks:
        if task.home is not None:
            task.home.wid = worker.wid


def release(core: PoolCore, worker: Worker) -> None:
    """It stays no more: what is bound to it is for anybody, before what came later."""
    released = core.line.bound.pop(worker.wid, None)
    if released:
        for task in released:
            assert task.home is not None
            task.home.wid = None
        core.line.put_back(released, core.now)


def _queue(core: PoolCore, task: Task) -> deque[Task] | None:
    """Where it is to wait, if it has a home; a home that stays no more is forgotten."""
    home = task.home
    if home is None or home.wid is None:
        return None
    worker = core.workers.get(home.wid)
    if worker is None or not worker.stays:
        home.wid = None
        return None
    return core.line.bound.setdefault(worker.wid, deque())
