"""Lending an idle worker to callers, so that a lone call need not wait for the driver's thread to wake up.

While a worker is lent, a caller that has one call to make hands it over itself, under the lease number that comes next,
and the core hears of it afterwards (`LentTasks`), always before it hears of its outcome. A lent worker is given nothing
by the core. When something waits that it could take, or the pool ends, the core asks for it back (`Recall`), and knows
that no caller will use it any more when `Recalled` comes; calls that were handed over before were told by then. At
most one worker is lent, and only one without a quota.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procession.core import commands, events
from procession.core.worker import State

if TYPE_CHECKING:
    from procession.core.pool import PoolCore


def lent(core: PoolCore, event: events.Lent) -> None:
    """It leaves the line of those who may be given something."""
    worker = core.heard(event)
    if core.lent is not None or worker.wid not in core.hungry or worker.quota is not None:
        raise worker.error("only one idle worker without a quota can be lent")
    core.lent, worker.lent = worker.wid, True
    core.index(worker)


def lent_tasks(core: PoolCore, event: events.LentTasks) -> None:
    """What the caller did is entered as if it had been a `Send`."""
    worker = core.heard(event)
    if not worker.lent:
        raise worker.error("a caller used it, but it is not lent")
    profiles = tuple({id(task.profile): task.profile for task in event.tasks}.values())
    expected_ns = sum([task.profile.cost_of(1) for task in event.tasks])
    worker.lease(event.tasks, len(event.tasks), profiles, expected_ns)
    core.in_flight += len(event.tasks)
    core.index(worker)


def recalled(core: PoolCore, event: events.Recalled) -> None:
    """It is like any other worker again."""
    worker = core.heard(event)
    end(core)
    core.index(worker)
    if worker.through and worker.state is State.IDLE:
        core.stop(worker)


def recall(core: PoolCore) -> None:
    """Ask for it back, once."""
    if not core.recalling and core.lent is not None:
        core.recalling = True
        core.out.append(commands.Recall(core.lent))


def idles(core: PoolCore) -> bool:
    """The lent worker has nothing in hand, as far as the core was told: it could take what waits."""
    return core.lent is not None and core.workers[core.lent].state is State.IDLE


def end(core: PoolCore) -> None:
    """Nobody is lent any more."""
    if core.lent is not None:
        core.workers[core.lent].lent = False
    core.lent, core.recalling = None, False
