"""A worker is gone: what it owned fails or runs again, what it never took is for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from procession.core import commands, ending, events, retrying, starting, supervising
from procession.core.rules import Cause
from procession.core.state import CoreError
from procession.core.task import Task
from procession.core.worker import Signal, State

if TYPE_CHECKING:
    from procession.core.pool import PoolCore


def lost(core: PoolCore, event: events.Lost) -> None:
    """What it owned fails; what it never took is for others. Only who is far may have owned several."""
    worker = core.heard(event)
    if worker.state is State.ORPHANED:
        supervising.returned(core)
    never_ready = worker.state is State.STARTING
    core.forget(worker)
    core.take_back(worker, event.unowned)
    if worker.items > 1 and not core.far:
        raise worker.error(f"it died owning {worker.items} items; a token is taken one at a time")
    fallen: list[tuple[Task, int, Cause]] = []
    while worker.items:
        core.in_flight -= 1
        cause = supervising.cause_of_loss(worker)
        fallen.append((*worker.finish_items(1), cause))
    runs = [retrying.after_loss(core, *each) for each in reversed(fallen)]  # each goes to the front of the line
    for (task, start, cause), again in zip(fallen, reversed(runs), strict=True):
        core.out.append(commands.FailItem(task, start, worker.wid, event.exitcode, cause, again))
    if worker.wid in core.bereaved:
        mourn(core, worker.wid, event.exitcode)
    in_vain = not worker.finished and worker.state in (State.IDLE, State.BUSY)
    core.bury(worker, Signal.LOST)
    if never_ready:
        where = "; what it said is on stderr" if (event.exitcode or 0) > 0 else ""  # else a signal ended it: no word
        starting.start_has_failed(core, f"it ended with exit code {event.exitcode} before it was ready{where}")
    elif in_vain:
        starting.died_in_vain(core, event.exitcode)


def mourn(core: PoolCore, wid: int, exitcode: int | None) -> None:
    """What cannot run without what lived in this worker, which is gone, fails, or begins anew (law 7 of homes.py)."""
    for task in core.bereaved.pop(wid):
        if task.claim(wid):
            start = task.advance(1)
            again = retrying.after_loss(core, task, start, Cause.DIED)
            core.out.append(commands.FailItem(task, start, wid, exitcode, Cause.DIED, again))
        else:
            ending.drop(core, [task])


def mourn_late(core: PoolCore) -> None:
    """Something was handed over when its worker was gone already."""
    if core.bereaved:
        for wid in core.bereaved.keys() - core.workers.keys():
            mourn(core, wid, None)


def of_nobody(core: PoolCore, event: events.OfWorker) -> CoreError:
    """What cannot be heard: there is no such worker, or no more."""
    name = type(event).__name__
    for grave in core.graves:
        if grave.wid == event.wid:
            return grave.error(f"{name} cannot be heard of a worker that is gone")
    return CoreError(f"worker {event.wid}: {name} was heard of it, but it is unknown or long gone")
