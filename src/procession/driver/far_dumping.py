"""What a dump says of a pool on a cluster: as dumping.py, with the stacks as the agents have them.

    who dumps            driver's thread             agent, beside the worker         worker process
    request         -->  who is there, who is at
                         what; a call of `show`  --> its thread: signal           --> writes its stacks
                         for each                    who called: awaits the file  <--
    waits for all   <--------------------------------  text

Laws
1. The driver takes down what it knows between two of its steps, and calls the agents of those workers that are not
   idle. It waits for none of them: tasks go on, and so do the agents, each of which has the answer awaited by whoever
   called it (`Agent.show`), beside the call with the leases.
2. Whoever asked waits for all agents together, SHOWN seconds at most. Of one that has not answered, or is lost, or has
   no place yet, that is said, and the others are shown.
3. A worker is asked by its number: another one that has come into its place meanwhile is not shown for it.
4. A driver that does not answer within SNAPSHOT is shown itself, as on one machine.
5. Times are those of this machine's clock. What a worker is at was so when it last said something, a tenth of a second
   ago say; of an agent that has not been heard of for DEAF seconds, that is said.
"""

from __future__ import annotations

from concurrent.futures import Future, wait
from time import monotonic
from typing import TYPE_CHECKING, Any

from procession.backends.dumping import Sheet, laid_out
from procession.core.state import State
from procession.driver.agent import QUIET
from procession.driver.dumping import callbacks_sheet, deaf, describe, head, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from procession.driver.far import FarEngine
    from procession.driver.far_channel import FarChannel
    from procession.driver.far_loop import FarDriver

SHOWN = 3.0
"""Seconds in which an agent has answered that can be reached: it needs one, if its worker is in C code or stopped."""
DEAF = QUIET + 5.0
"""An agent says something every QUIET seconds, if nobody else has it say something."""

Asked = tuple[str, "Future[str] | None"]
"""A worker in a line, and what its agent answers."""


def of_clusters(engines: Iterable[FarEngine]) -> str:
    """The pools of these engines, as text; their agents are asked side by side."""
    asked = [(engine, _ask_all(engine)) for engine in engines]
    futures = [future for _, found in asked for _, future in found or () if future is not None]
    wait(futures, SHOWN)
    return "\n".join(_told(engine, found) for engine, found in asked)


def _ask_all(engine: FarEngine) -> list[Asked] | None:
    driver: Any = engine._driver
    return [] if driver is None else snapshot(engine._request, engine._thread, lambda: _workers(driver))


def _workers(driver: FarDriver) -> list[Asked]:
    """By the driver's thread: all workers, and a call to the agent of each that may be at something."""
    now, found = monotonic(), []
    for wid, worker in list(driver.core.workers.items()):
        channel = driver.channels.get(wid)
        told = f"worker {wid}{_where(channel)}: {describe(worker, driver.moved_at.get(wid), now)}{note(channel, now)}"
        idle = worker.state is State.IDLE or channel is None or not channel.heard_of
        found.append((told, None if idle or channel is None else channel.station.seat.call("show", wid)))
    return found


def _where(channel: FarChannel | None) -> str:
    if channel is None or not channel.heard_of:
        return ""
    process = f"pid {channel.pid} on {channel.host}, " if channel.pid else ""
    return f" ({process}place: {channel.station.seat.where})"


def note(channel: FarChannel | None, now: float) -> str:
    """What is to be said of the way to a worker; empty if there is nothing."""
    if channel is None:
        return ""
    if not channel.heard_of:
        return ", waits for a place of the cluster"
    silent = now - channel.station.heard_at
    return f", its agent has not been heard of for {silent:.0f} s" if silent > DEAF else ""


def _told(engine: FarEngine, found: list[Asked] | None) -> str:
    driver: Any = engine._driver
    broken = None if driver is None else driver.broken
    kind = f"workers on {engine.capabilities.name}{engine.beside}"
    sheets = [Sheet(line, "" if future is None else _stack(future)) for line, future in found or ()]
    if driver is not None:
        sheets += deaf(driver, engine._thread) if found is None else []
        sheets += callbacks_sheet(driver.callbacks)
    return laid_out(head(engine.core, kind, engine._waiting, broken), sheets)


def _stack(future: Future[str]) -> str:
    if not future.done():
        return f"no stack: its agent has not answered within {SHOWN:.0f} s"
    if future.cancelled():
        return "no stack: its agent is gone"
    error = future.exception()
    return future.result() if error is None else f"no stack: {error}"


__all__ = ["DEAF", "SHOWN", "note", "of_clusters"]
