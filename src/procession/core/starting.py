"""How workers start, or do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from procession.core import commands, ending, events, recycling
from procession.core.state import PoolState
from procession.core.worker import Signal, State

if TYPE_CHECKING:
    from procession.core.pool import PoolCore

START_ATTEMPTS = 3
"""Workers that may fail to start, one after another, before the pool says that it is broken."""


IN_VAIN = 8
"""Workers that may die one after another, ready and before they have answered or cost anything, likewise."""


def start_workers(core: PoolCore, event: events.StartWorkers) -> None:
    """Ahead of work, so that they are forked before the program starts threads."""
    while core.width < min(event.count, core.max_workers) and core.state is PoolState.OPEN:
        core.index(core.spawn())


def worker_ready(core: PoolCore, event: events.WorkerReady) -> None:
    """It will run what it was given while it started."""
    worker = core.heard(event)
    core.failed_starts = 0
    core.max_workers = core.wanted_workers  # what narrowed the pool may be over: the next time tells
    worker.signal(Signal.READY)
    if worker.items and worker.state is State.IDLE:
        worker.signal(Signal.LEASED)
        core.mark_head(worker)
    core.index(worker)
    recycling.heir_ready(core, worker)
    recycling.settle(core, worker)


def start_failed(core: PoolCore, event: events.StartFailed) -> None:
    """Nothing ran there. A fatal failure is the initializer's: that process ends by itself and is `Lost` later."""
    worker = core.heard(event)
    wanted = worker.state is State.STARTING  # else it had been told to stop or die, and its failure matters no more
    core.forget(worker)
    if event.fatal:
        worker.signal(Signal.UNFIT)
        if wanted:
            ending.break_(core, event.reason)
        core.withdraw(worker)
        return
    core.take_back(worker, worker.items)
    core.bury(worker, Signal.START_FAILED)
    if wanted and not event.again:
        start_has_failed(core, event.reason)


def start_has_failed(core: PoolCore, reason: object) -> None:
    """Try again, a few times; then go on with the workers that there are; with none, the pool is broken."""
    core.failed_starts += 1
    if core.failed_starts < START_ATTEMPTS or not core.state.takes_back:
        return
    if core.width:
        core.max_workers = core.width
        core.failed_starts = 0
        core.out.append(commands.Narrowed(core.max_workers, reason))
    else:
        ending.break_(core, reason)


def died_in_vain(core: PoolCore, exitcode: int | None) -> None:
    """It was ready, and died before anything came of it. One may be killed from outside; who all do will all do."""
    core.barren += 1
    if core.barren >= max(IN_VAIN, 2 * core.max_workers) and core.state.takes_back:
        core.barren = 0
        ending.break_(core, f"{IN_VAIN} of them died as soon as they were ready, the last with exit code {exitcode}")
