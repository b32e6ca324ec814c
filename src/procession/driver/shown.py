"""What an engine shows to somebody who looks on, and what it does for him: see `tapping.Tapped.show` and `bid`.

Laws
1. A pool of processes is looked at by its driver's thread, between two of its steps: who is there and what they are at,
   no more. What takes time (the words for what a task is, memory, CPU time) is made by who asked.
2. A driver that does not answer within SNAPSHOT is said not to; the workers are shown as the core has them then.
3. Nothing is waited for but that, and for a lock so long.
4. A worker is killed as if it had died by itself: its task fails with `WorkerDied`, or runs again if it has retries
   left. It is drained as one that has come of age (core/recycling.py): its replacement comes first, and takes over
   between two tasks, so the pool never has fewer.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING, Any

from procession.backends.cpu_time import of_process, of_thread
from procession.backends.gate import Gate
from procession.backends.memory import resident
from procession.core import events
from procession.core.rules import SECOND
from procession.core.state import State
from procession.driver.dumping import SNAPSHOT
from procession.driver.verdicts import told
from procession.task_errors import call

if TYPE_CHECKING:
    from procession.core.worker import Worker
    from procession.driver.loop import Driver

STATES = {
    State.STARTING: "starting",
    State.IDLE: "idle",
    State.BUSY: "runs",
    State.DRAINING: "ending",
    State.DYING: "dying",
    State.ORPHANED: "given up",
}
SILENT = "procession's driver does not answer"


class Seen:
    """A worker as it was found; `task`, `start`: the oldest that it has in hand."""

    __slots__ = ("number", "row", "start", "task")

    def __init__(self, wid: int, number: int, known: Worker | None, since: float | None, direct: Any = None) -> None:
        self.number = number
        state = "starting" if known is None else STATES.get(known.state, known.state.name.lower())
        hand = 0 if known is None else known.items
        self.task = direct
        if direct is None and known is not None and known.inflight:
            self.task = known.inflight[0]
        self.start = getattr(self.task, "start", 0) or 0
        if direct is not None:
            state, hand = "runs", 1
        elif known is not None and known.lent and not known.items:
            state = "lent"  # a caller hands it single calls, past the driver
        self.row: dict[str, Any] = {
            "wid": wid,
            "pid": number,
            "state": state,
            "for": None if since is None or self.task is None else since,
            "hand": hand,
            "done": 0 if known is None else known.finished,
            "note": "" if known is None else _note(known),
        }

    def told(self) -> dict[str, Any]:
        """With the words for its task; by who asked."""
        said = ""
        if self.task is not None:
            try:
                said = call(*told(self.task, self.start))
            except Exception:  # it is done meanwhile, and what it was made of is gone
                said = getattr(getattr(self.task, "function", None), "name", "")
        return {**self.row, "task": said}


def _note(worker: Worker) -> str:
    if worker.sentence is not None:
        return f"to be ended ({worker.sentence.cause.name.lower()})"
    if worker.principal is not None:
        return f"to take the place of worker {worker.principal}"
    return "to be replaced" if worker.leaving or worker.due else ""


def _numbers(engine: Any, backend: str, width: int) -> dict[str, Any]:
    now = engine.alone()
    return {
        "backend": backend,
        "width": width,
        "workers": now.workers,
        "idle": now.idle,
        "busy": now.busy,
        "starting": now.starting,
        "queued": now.pending,
        "running": now.in_flight,
        "done": now.done,
        "failed": now.failed,
        "died": now.died,
        "timeouts": now.timeouts,
        "retries": now.retries,
        "abandoned": now.abandoned,
        "auto": "" if now.auto is None else now.auto.why,
        "trouble": "" if engine.broken is None else str(engine.broken),
    }


# ---------------------------------------------------------------------------------------------------------- processes


def _by_driver(request: Callable[[Any], bool], what: Callable[[], Any]) -> Any:
    """What it returns, called by the driver's thread; None: that did not answer in time, or there is none."""
    found: list[Any] = []
    done = Gate()

    def take() -> None:
        try:
            found.append(what())
        finally:
            done.open()

    if request(take):
        done.wait(SNAPSHOT)
    return found[0] if found else None


def workers(driver: Driver) -> list[Seen]:
    """By the driver, or, if that is deaf, by anybody: then what changes meanwhile may be missing."""
    now, rows = monotonic(), []
    for wid, worker in list(driver.core.workers.items()):
        since = driver.moved_at.get(wid)
        try:
            rows.append(Seen(wid, driver.pids.get(wid, 0), worker, None if since is None else now - since))
        except (IndexError, RuntimeError):
            continue
    return rows


def of_processes(
    engine: Any,
    driver: Driver | None,
    request: Callable[[Any], bool],
    look: Callable[[Any], list[Seen]] = workers,
) -> dict[str, Any]:
    """See `tapping.Tapped.show`; `look` finds the workers."""
    if not engine.takes_work and (driver is None or driver.closed):
        return {}
    found = _numbers(engine, engine.capabilities.name, engine.max_workers)
    if driver is None or driver.closed:
        return {**found, "rows": []}

    def take() -> list[Seen]:
        driver.read_notes()  # what callers have handed over past the driver is known then
        return look(driver)

    seen = _by_driver(request, take)
    if seen is None:
        found["trouble"] = found["trouble"] or SILENT
        seen = look(driver)
    return {**found, "width": driver.core.max_workers, "rows": [_with_process(each) for each in seen]}


def _with_process(seen: Seen) -> dict[str, Any]:
    taken = of_process(seen.number) if seen.number else None
    memory = resident(seen.number) if seen.number else None
    return {**seen.told(), "memory": memory, "cpu": None if taken is None else taken.cpu_ns / SECOND}


def bid_processes(engine: Any, driver: Driver | None, request: Callable[[Any], bool], what: str, number: int) -> str:
    """See `tapping.Tapped.bid`."""
    if what == "resize":
        return _resize(engine, number)
    if driver is None or driver.closed:
        return f"there is no worker {number}"
    acts = {"kill": _kill, "drain": _drain}
    said = _by_driver(request, lambda: acts[what](driver, number))
    return SILENT if said is None else str(said)


def _kill(driver: Driver, wid: int) -> str:
    if wid not in driver.core.workers:
        return f"there is no worker {wid}"
    if not driver.has_begun(wid):
        return "it has not started yet"
    if wid in driver.killed:
        return "it is being killed already"
    driver.strike(wid)
    return ""


def _drain(driver: Driver, wid: int) -> str:
    worker = driver.core.workers.get(wid)
    if worker is None:
        return f"there is no worker {wid}"
    if worker.state not in (State.IDLE, State.BUSY):
        return f"it is {STATES.get(worker.state, 'ending')}"
    if worker.pins:
        return "something lives in it, of a sticky key or of a generator: it stays until that has ended"
    if worker.due or worker.leaving:
        return ""
    if worker.principal is not None:
        return "it is new, and waits for its turn to take another's place"
    driver.step(events.Due(wid))
    now = driver.core.workers.get(wid)
    if now is None or now.due or now.leaving or now.state is not worker.state:
        return ""
    return "another one is being replaced, or the pool ends: ask again"


def _resize(engine: Any, number: int) -> str:
    if engine.role[0] != "Pool":
        return f"the width of a {engine.role[0]} is part of what it promises: only the program can change it"
    if engine.cap is not None:
        return 'this pool finds its width by itself (max_workers="auto")'
    if number < 1:
        return "a pool has at least one worker"
    engine.resize(number)
    return ""


# ------------------------------------------------------------------------------------------------------------ threads


def of_threads(engine: Any) -> dict[str, Any]:
    """See `tapping.Tapped.show`."""
    if engine.closed:
        return {}
    found = _numbers(engine, "threads", engine.core.max_workers)
    seen, ours = [], engine.lock.acquire(timeout=SNAPSHOT)
    try:
        now = perf_counter_ns() / SECOND
        for wid, worker in list(engine.workers.items()):
            since = now - worker.moved_at / SECOND if worker.moved_at else None
            seen.append(Seen(wid, worker.native, engine.core.workers.get(wid), since, worker.direct))
    except (IndexError, RuntimeError):
        pass  # without the lock it may change meanwhile
    finally:
        if ours:
            engine.lock.release()
    if not ours:
        found["trouble"] = found["trouble"] or SILENT
    return {**found, "rows": [_with_thread(each) for each in seen]}


def _with_thread(seen: Seen) -> dict[str, Any]:
    taken = of_thread(seen.number) if seen.number else None
    return {**seen.told(), "done": None, "memory": None, "cpu": None if taken is None else taken.cpu_ns / SECOND}


def bid_threads(engine: Any, what: str, number: int) -> str:
    """See `tapping.Tapped.bid`."""
    if what == "resize":
        return _resize(engine, number)
    if what == "kill":
        return "a thread cannot be killed"
    return "a thread has nothing of its own that it would give back: it is not replaced"


__all__ = ["Seen", "bid_processes", "bid_threads", "of_processes", "of_threads", "workers"]
