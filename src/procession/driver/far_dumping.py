"""What a dump says of a pool on a cluster: as dumping.py, with the stacks as the agents have them."""

from __future__ import annotations

from concurrent.futures import Future, wait
from time import monotonic
from typing import TYPE_CHECKING, Any

from procession.backends.dumping import Sheet, laid_out
from procession.backends.gate import Gate
from procession.driver.dumping import SNAPSHOT, callbacks_sheet, describe, head

if TYPE_CHECKING:
    from procession.driver.far import FarEngine

SHOWN = 3.0
"""Seconds in which an agent has answered that can be reached."""


def of_cluster(engine: FarEngine) -> str:
    """A pool on a cluster, as text."""
    driver: Any = engine._driver
    core, kind = engine.core, engine.capabilities.name
    if driver is None:
        return laid_out(head(core, kind, engine._waiting, None), ())
    found: list[tuple[str, Future[str] | None]] = []
    taken = Gate()

    def take() -> None:
        now = monotonic()
        for wid, worker in list(core.workers.items()):
            channel = driver.channels.get(wid)
            seat = None if channel is None else channel.station.seat
            where = "" if seat is None else f" ({seat.where})"
            line = f"worker {wid}{where}: {describe(worker, driver.moved_at.get(wid), now)}"
            found.append((line, seat.call("show") if seat is not None and worker.items else None))
        taken.open()

    if engine._request(take):
        taken.wait(SNAPSHOT)
    asked = [future for _, future in found if future is not None]
    wait(asked, SHOWN)
    sheets = [Sheet(line, "" if future is None else _stack(future)) for line, future in list(found)]
    if not taken.opened:
        sheets.append(Sheet("procession's driver does not answer"))
    return laid_out(head(core, kind, engine._waiting, driver.broken), [*sheets, *callbacks_sheet(driver.callbacks)])


def _stack(future: Future[str]) -> str:
    if not future.done():
        return "no stack: its agent has not answered"
    error = future.exception()
    return future.result() if error is None else f"no stack: {error}"


__all__ = ["of_cluster"]
