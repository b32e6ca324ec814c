"""How a pool ends: shut down, broken or killed; and what becomes of tasks that no worker will run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from procession.core import commands, events, homes, lending
from procession.core.state import PoolState
from procession.core.task import Task
from procession.core.worker import Signal, State

if TYPE_CHECKING:
    from procession.core.pool import PoolCore


def shutdown_asked(core: PoolCore, event: events.ShutdownAsked) -> None:
    """No more tasks; with `cancel`, what has not started is brought back and refused.

    What a starting worker was given is as good as running, as with the stdlib: a shutdown right after a burst of
    submits lets those first tasks run.
    """
    if core.state is PoolState.OPEN:
        core.state = PoolState.DRAINING
    if event.cancel and core.state is PoolState.DRAINING:
        core.discarding = True
        _refuse_all(core)


def kill_asked(core: PoolCore, event: events.KillAsked) -> None:
    """Every worker is told to die, those too that are ending by themselves, and again when asked again."""
    if core.state is PoolState.CLOSED:
        return
    core.state = PoolState.KILLED
    _refuse_all(core)
    for worker in core.workers.values():
        core.forget(worker)
        worker.signal(Signal.KILL)
        core.out.append(commands.Kill(worker.wid))


def break_(core: PoolCore, reason: object) -> None:
    """Workers cannot start, and the caller knows of none that could go on."""
    if core.state.takes_back:
        core.state = PoolState.BROKEN
        core.reason = reason
        core.out.append(commands.Broken(reason))
        _refuse_all(core)


def put_back(core: PoolCore, tasks: Sequence[Task]) -> None:
    """Unstarted tasks are first in the line again, where there still is a line."""
    if not core.state.takes_back:
        refuse(core, tasks)
        return
    if core.discarding:
        refuse(core, [task for task in tasks if not task.started])
        tasks = [task for task in tasks if task.started]  # the user was told: it may only run
    homes.put_back(core, tasks)


def refuse(core: PoolCore, tasks: Sequence[Task]) -> None:
    """These run no more: failed with the reason where the pool is broken, else cancelled; or as their last run said."""
    if core.ruled:
        again = [task for task in tasks if task.tries]
        if again:
            core.out.append(commands.GiveUp(again))
        tasks = [task for task in tasks if not task.tries]
    if not tasks:
        return
    if core.reason is not None and core.state is not PoolState.KILLED:
        core.out.append(commands.FailAll(tasks, core.reason))
    else:
        core.out.append(commands.Cancel(tasks))


def drop(core: PoolCore, tasks: Sequence[Task]) -> None:
    """These were cancelled before."""
    if tasks:
        core.out.append(commands.Drop(tasks))


def cancel(core: PoolCore, tasks: Sequence[Task]) -> None:
    """These were cancelled while a worker had them, and came back; where the pool is broken they fail as all do."""
    if core.reason is not None and core.state is not PoolState.KILLED:
        core.out.append(commands.FailAll(tasks, core.reason))
    else:
        core.out.append(commands.Cancel(tasks))


def finish_if_empty(core: PoolCore) -> None:
    """Stop the workers when nothing is left to run; say so when the last one is gone."""
    if core.state is PoolState.CLOSED or core.line.items or core.line.bound or core.in_flight or core.delayed:
        return
    if core.bereaved:
        return
    if core.lent is not None:
        lending.recall(core)
        return
    for worker in core.workers.values():
        if worker.usable:
            core.stop(worker)
    if len(core.workers) == core.orphans:
        core.state = PoolState.CLOSED
        core.out.append(commands.Closed())


def _refuse_all(core: PoolCore) -> None:
    """What waits is refused now, and what is in hand but has not started when it comes back, which is asked for.

    A far worker that starts may wait for its place for ever: what it was given comes back, too.
    """
    _give_up(core)
    bereaved, core.bereaved = core.bereaved, {}
    put_back(core, [*core.line.take_all(), *chain.from_iterable(bereaved.values())])
    for worker in core.workers.values():
        if core.far or not (core.state is PoolState.DRAINING and worker.state is State.STARTING):
            core.withdraw(worker)


def _give_up(core: PoolCore) -> None:
    """Whoever waits for the time of a further run will not have it."""
    delayed, core.delayed = core.delayed, []
    if delayed:
        core.out.append(commands.GiveUp([task for _, _, task in sorted(delayed, key=lambda each: each[:2])]))
