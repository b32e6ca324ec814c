"""Events (`procession.events`) as records of logging: the event itself is `record.event`."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from procession.events import (
    Event,
    EventsDropped,
    PoolClosed,
    PoolInfo,
    PoolOpened,
    TaskEnded,
    WorkerEnded,
    WorkerStarted,
)


def log(logger: logging.Logger | logging.LoggerAdapter[Any], event: Event) -> None:
    """What failed or was lost at WARNING, pools at INFO, the rest at DEBUG."""
    level = level_of(event)
    if not logger.isEnabledFor(level):
        return
    text, args = words(event)
    how: MutableMapping[str, Any] = {"extra": {"event": event}, "exc_info": _raised(event)}
    while isinstance(logger, logging.LoggerAdapter):  # which may replace what is extra by its own
        text, how = logger.process(text, how)
        how["extra"] = {**(how.get("extra") or {}), "event": event}
        logger = logger.logger
    logger.log(level, text, *args, **how)


def level_of(event: Event) -> int:
    """See `log`."""
    match event:
        case PoolOpened() | PoolClosed():
            return logging.INFO
        case TaskEnded(outcome="ok" | "cancelled") | WorkerStarted() | WorkerEnded(reason=""):
            return logging.DEBUG
        case _:
            return logging.WARNING


def words(event: Event) -> tuple[str, tuple[object, ...]]:
    """A sentence, and what is to be put into it."""
    match event:
        case PoolOpened(pool=pool):
            return "%s opened: %s, up to %d workers", (name(pool), pool.backend, pool.max_workers)
        case PoolClosed(pool=pool):
            return "%s closed", (name(pool),)
        case WorkerStarted(pool=pool, worker=worker, pid=pid):
            return "%s: worker %d started, pid %d", (name(pool), worker, pid)
        case WorkerEnded(pool=pool, worker=worker, pid=pid, reason=""):
            return "%s: worker %d ended, pid %d", (name(pool), worker, pid)
        case WorkerEnded(pool=pool, worker=worker, pid=pid, reason=reason):
            return "%s: worker %d was lost, pid %d: %s", (name(pool), worker, pid, reason)
        case EventsDropped(count=count):
            return "%d ends of tasks were not told: they came too fast", (count,)
        case TaskEnded():
            return _task(event)


def _task(event: TaskEnded) -> tuple[str, tuple[object, ...]]:
    text = "%s: %s"
    args: list[object] = [name(event.pool), event.function]
    if event.index is not None:
        text += ", item %d"
        args.append(event.index)
    if event.attempt > 1:
        text += ", attempt %d"
        args.append(event.attempt)
    text += ": %s"
    args.append(event.outcome)
    if event.seconds is not None:
        text += " after %.6g s"
        args.append(event.seconds)
    if event.error is not None:
        text += ": %s: %s"
        args += [event.error.kind, event.error.message]
    return text, tuple(args)


def name(pool: PoolInfo) -> str:
    """ "pool 3", "SpinOff 4 (resize)"."""
    return f"{pool.kind.lower() if pool.kind == 'Pool' else pool.kind} {pool.number}" + (
        f" ({pool.name})" if pool.name else ""
    )


def _raised(event: Event) -> Any:
    if isinstance(event, TaskEnded) and event.error is not None and (it := event.error.exception) is not None:
        return type(it), it, it.__traceback__
    return None


__all__ = ["level_of", "log", "name", "words"]
