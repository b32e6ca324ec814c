"""What a pool on a cluster shows to somebody who looks on: as shown.py, with what is known of workers elsewhere.

Laws
1. What is not known from here is shown as unknown: memory and CPU time of a worker are another machine's. Its pid and
   host are what its agent has said.
2. A worker is killed by its agent. One that waits for a place has no process.
3. An engine shows its own workers. Those that were made beside it for other resources show theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from procession.driver import shown
from procession.driver.far_dumping import note

if TYPE_CHECKING:
    from procession.driver.far_loop import FarDriver


def of_cluster(engine: Any, driver: Any, request: Callable[[Any], bool]) -> dict[str, Any]:
    """See `tapping.Tapped.show`."""
    found = shown.of_processes(engine, driver, request, _workers)
    return {**found, "resources": engine.beside.strip(" ()")} if found else found


def _workers(driver: FarDriver) -> list[shown.Seen]:
    now, rows = monotonic(), shown.workers(driver)
    for each in rows:
        channel = driver.channels.get(each.row["wid"])
        if channel is not None:
            each.row |= {"pid": channel.pid, "host": channel.host, "place": channel.station.seat.where}
        notes = [each.row["note"], note(channel, now).removeprefix(", ")]
        each.row["note"] = ", ".join(filter(None, notes))
    return rows


__all__ = ["of_cluster"]
