"""What is told of pools, and to whom."""

import logging
from typing import assert_never, assert_type

from procession import Pool, observe
from procession.events import (
    Event,
    EventsDropped,
    PoolClosed,
    PoolOpened,
    TaskEnded,
    TaskError,
    WorkerEnded,
    WorkerStarted,
)


def tell(event: Event) -> str:
    match event:
        case PoolOpened(pool=pool) | PoolClosed(pool=pool):
            return pool.name
        case WorkerStarted(worker=worker) | WorkerEnded(worker=worker):
            return str(worker)
        case EventsDropped(count=count):
            return str(count)
        case TaskEnded():
            assert_type(event.error, TaskError | None)
            assert_type(event.seconds, float | None)
            return event.function
        case _:
            assert_never(event)


def failed(event: TaskEnded) -> None:
    if event.outcome == "timeout":
        print(event.index)


def lost(event: WorkerEnded | TaskEnded) -> None:
    print(event.worker)


def watch() -> None:
    observer = observe(tell)
    observe(failed, events=TaskEnded)
    observe(lost, events=(WorkerEnded, TaskEnded))
    observe(logging.getLogger("tasks"), events=[PoolOpened])
    with observe(tell) as same, Pool():
        assert_type(same.dropped, int)
        assert_type(same.flush(1.0), bool)
    assert_type(observer.error, BaseException | None)
    observer.close(timeout=3)
