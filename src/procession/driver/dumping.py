"""What a dump says of pools with workers: their states, what they are at and for how long, and their Python stacks.

Laws, beside those of backends/dumping.py
1. A pool of processes: its driver takes the snapshot and sends the signals (asking.py), whoever asked awaits the
   stacks. A driver that does not answer within SNAPSHOT is shown itself, with the workers as the core has them.
2. A pool of threads: the same from its core, under its lock; without, if that is not to be had within SNAPSHOT.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING, Any, TypeVar

from procession.backends.dumping import Sheet, laid_out, lasted
from procession.backends.gate import Gate
from procession.backends.stacks import stack_of, without_idle
from procession.core.rules import SECOND
from procession.core.state import State
from procession.driver import lifecycle
from procession.driver.asking import Asked, ask, await_stacks, claimed, close, show_in_c
from procession.driver.verdicts import told
from procession.task_errors import call

if TYPE_CHECKING:
    from procession.backends.threads import ThreadWorker
    from procession.core.pool import PoolCore
    from procession.core.worker import Worker
    from procession.driver.callbacks import Callbacks
    from procession.driver.locked import LockedCore
    from procession.driver.loop import Driver

T = TypeVar("T")
SNAPSHOT = 1.0
"""Seconds in which a driver that is well has answered."""

_WORDS = {
    State.STARTING: "starting",
    State.IDLE: "idle",
    State.BUSY: "runs",
    State.DRAINING: "ending",
    State.DYING: "being killed",
    State.ORPHANED: "given up",
}


# ------------------------------------------------------------------------------------------------------- what is said


def head(core: PoolCore, kind: str, waiting: int, broken: BaseException | None, direct: int = 0) -> str:
    """The pool in a line; `waiting`, `direct`: items that the core has not been told of yet, see `answers.numbers`."""
    width, items = core.width, core.line.waiting + waiting
    later = f", {len(core.delayed)} wait for a further run" if core.delayed else ""
    why = "" if broken is None else f": {broken}"
    return (
        f"pool of {kind}, {core.state.name.lower()}{why}: {width} of {core.max_workers} workers; "
        f"{items} items wait, {core.in_flight + direct} in hand{later}"
    )


def describe(worker: Worker, since: float | None, now: float) -> str:
    """A worker in a few words; `since`: when it was last given something while idle, or answered something."""
    said = _WORDS.get(worker.state, worker.state.name.lower())
    if worker.inflight:
        task = worker.inflight[0]
        said += f" {call(*told(task, getattr(task, 'start', 0)))}"
        said += "" if since is None else lasted(since, now)
        if worker.items > 1:
            said += f", {worker.items - 1} more in hand"
    if worker.sentence is not None:
        said += f", to be ended ({worker.sentence.cause.name.lower()})"
    if worker.principal is not None:
        said += f", to take the place of worker {worker.principal}"
    if worker.leaving:
        said += ", to be replaced"
    return said


def callbacks_sheet(callbacks: Callbacks) -> list[Sheet]:
    """The thread that runs done-callbacks, if it is in one: nobody who waits for the pool gets past that."""
    thread = callbacks.thread
    if thread is None or thread.ident is None or not thread.is_alive():
        return []
    stack = without_idle(stack_of(thread.ident))
    return [Sheet("in a done-callback", stack)] if stack else []


# ---------------------------------------------------------------------------------------------------------- processes


def _ask_all(driver: Driver) -> list[Asked]:
    """By the driver's thread: all workers, and the signal to those that can show their stacks."""
    driver.recall_lane()  # what callers have handed over past the driver is known then
    found = []
    now = monotonic()
    for wid, worker in list(driver.core.workers.items()):
        pid = driver.pids.get(wid)
        who = f"worker {wid}" if pid is None else f"worker {wid} (pid {pid})"
        line = f"{who}: {describe(worker, driver.moved_at.get(wid), now)}"
        found.append(ask(driver, wid, line))
    return found


def snapshot(
    request: Callable[[Any], bool],
    thread: threading.Thread | None,
    ask_all: Callable[[], list[T]],
    let_go: Callable[[list[T]], object] = lambda asked: None,
) -> list[T] | None:
    """What `ask_all` finds, by the driver, which is `thread`; `request` hands it something to call.

    None: it has not answered in time. What it finds later is let go.
    """
    found: list[T] = []
    claims = [None]
    taken = Gate()

    def take() -> None:
        asked = ask_all()
        if claimed(claims):
            found.extend(asked)
            taken.open()
        else:
            let_go(asked)

    if threading.current_thread() is thread:
        take()
    elif request(take):
        taken.wait(SNAPSHOT)
        if not claimed(claims):
            taken.wait()
    return found if taken.opened else None


def deaf(driver: Driver, thread: threading.Thread | None) -> list[Sheet]:
    """A driver that does not answer: the workers as the core has them, and where it is itself."""
    now = monotonic()
    workers = list(driver.core.workers.items())
    sheets = [Sheet(f"worker {wid}: {describe(each, driver.moved_at.get(wid), now)}") for wid, each in workers]
    if thread is not None and thread.ident is not None:
        sheets.append(Sheet("procession's driver does not answer", stack_of(thread.ident)))
    return sheets


def of_processes(
    driver: Driver, request: Callable[[Any], bool], waiting: Callable[[], int], thread: threading.Thread | None
) -> str:
    """A pool of processes that has begun."""
    core = driver.core
    found = snapshot(request, thread, lambda: _ask_all(driver), close)
    if found is None:
        sheets = deaf(driver, thread)
    else:
        sheets = await_stacks(found, lambda stuck: request(lambda: show_in_c(driver, stuck)))
    return laid_out(head(core, "processes", waiting(), driver.broken), [*sheets, *callbacks_sheet(driver.callbacks)])


# ------------------------------------------------------------------------------------------------------------ threads


@contextmanager
def _perhaps(lock: threading.Lock, wanted: bool) -> Iterator[None]:
    """Hold the lock, if it is wanted and to be had."""
    ours = wanted and lock.acquire(timeout=SNAPSHOT)
    try:
        yield
    finally:
        if ours:
            lock.release()


def of_threads(engine: LockedCore, lock_it: bool, broken: BaseException | None, foreign: bool) -> str:
    """A pool of threads; `lock_it`: this thread may wait for its lock; `foreign`: it belongs to the parent process."""
    if foreign:
        return str(lifecycle.foreign())
    core = engine.core
    sheets = []
    with _perhaps(engine.lock, lock_it):
        now = perf_counter_ns() / SECOND
        for wid, worker in list(engine.workers.items()):
            sheets.append(_thread_sheet(worker, core.workers.get(wid), engine.prefix, now))
        first = head(core, "threads", len(engine.inbox), broken, len(engine.direct))
    return laid_out(first, [*sheets, *callbacks_sheet(engine.callbacks)])


def _thread_sheet(worker: ThreadWorker, known: Worker | None, prefix: str, now: float) -> Sheet:
    since = worker.moved_at / SECOND
    direct = worker.direct
    if direct is not None:
        said = f"runs {call(*told(direct, 0))}{lasted(since, now)}"
    elif known is None:
        said = "starting"
    else:
        said = describe(known, since if worker.moved_at else None, now)
    idle = direct is None and known is not None and known.state is State.IDLE
    stack = "" if idle or not worker.ident else without_idle(stack_of(worker.ident))
    return Sheet(f"worker {worker.wid} ({prefix}_{worker.wid}): {said}", stack)


__all__ = ["deaf", "of_processes", "of_threads", "snapshot"]
