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
"""Items of a put_many that are posted together, and that one commit of a journal has at most."""


def put_made(
    core: SpinCore, future: SinkFuture, error: BaseException | None, lane: Hashable, deadline: float | None = None
) -> Future[Any]:
    """What `SpinCore.make` has made, as `SpinOff.put` has it."""
    while not core.admit(future, error, lane):
        if spinoff_room.make_room(core, future, deadline):
            return future
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
        tell_of_what_was_put(raised, futures)
        raise
    finally:
        core.pump()
    return futures


def tell_of_what_was_put(raised: BaseException, futures: list[Future[Any]]) -> None:
    """An error of put_many says how much was put before it; a Full has that."""
    if isinstance(raised, Full):
        raised.taken = tuple(futures)
    raised.add_note(f"of the items of this put_many {len(futures)} were put before")
