"""Items of a SpinOff that have been made: they are taken in, or what `overflow` says is done."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from procession import spinoff_room
from procession.errors import Full
from procession.starts import SinkFuture

if TYPE_CHECKING:
    from procession.spinoff_core import SpinCore

BATCH = 256
"""Items of a put_many that are posted together."""


def put_made(
    core: SpinCore, future: SinkFuture, error: BaseException | None, lane: Hashable, deadline: float | None = None
) -> Future[Any]:
    """What `SpinCore.make` has made, as `SpinOff.put` has it."""
    while not core.admit(future, error, lane):
        if spinoff_room.overflow(core, future):
            return future
        if core.words.overflow == "block" and (reason := spinoff_room.await_room(core, deadline)) is not None:
            raise Full(reason)
    core.pump()
    return future


def put_many(core: SpinCore, items: Iterable[Any]) -> list[Future[Any]]:
    """See `SpinOff.put_many`."""
    futures: list[Future[Any]] = []
    try:
        for item in items:
            lane = None if core.key is None else core.lane(item)
            future, error = core.make(item)
            if core.admit(future, error, lane):
                futures.append(future)
                if len(core.flow.starts) >= BATCH:
                    core.pump()
            else:
                core.pump()
                futures.append(put_made(core, future, error, lane))
    except BaseException as raised:
        if isinstance(raised, Full):
            raised.taken = tuple(futures)
        raised.add_note(f"of the items of this put_many {len(futures)} were put before")
        raise
    finally:
        core.pump()
    return futures
