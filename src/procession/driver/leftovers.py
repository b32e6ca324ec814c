"""The last words of an engine: whatever is left when its driver has ended is answered."""

from __future__ import annotations

from itertools import chain
from typing import Any

from procession.backends import tasks
from procession.backends.gate import Gate
from procession.backends.tasks import CallFuture, ChunkTask
from procession.core.pool import PoolCore
from procession.core.task import Task
from procession.driver.inbox import Inbox
from procession.driver.lane import Note
from procession.errors import ProcessionError
from procession.types import Raised


def collapse(core: PoolCore, error: BaseException) -> ProcessionError:
    """The driver has failed, which is a bug of ours, or has lost its cluster: every task is told so."""
    if isinstance(error, ProcessionError):
        story = error
    else:
        story = ProcessionError(f"procession's driver has failed: {type(error).__name__}: {error}")
        story.__cause__ = error
    lost: list[Task] = [*core.line, *[task for _, _, task in core.delayed]]
    lost += chain.from_iterable(core.bereaved.values())
    for worker in core.workers.values():
        lost.extend(worker.inflight)
    for task in lost:
        answer(task, story)
    return story


def sweep(inbox: Inbox, broken: BaseException | None) -> None:
    """What has reached the inbox after the end gets its answer; any thread may do this, several at once."""
    while inbox.entries:
        try:
            entry = inbox.entries.popleft()
        except IndexError:
            return
        _answer_entry(entry, broken or RuntimeError("cannot schedule new futures after shutdown"))


def _answer_entry(entry: Any, error: BaseException) -> None:
    if isinstance(entry, Gate):
        entry.open()
    elif callable(entry):
        entry()
    elif isinstance(entry, CallFuture):
        answer(entry, error)
    elif isinstance(entry, list):
        for task in entry:
            answer(task, error)
    elif isinstance(entry, tuple) and isinstance(entry[0], Note):
        answer(entry[0].future, error)
    elif isinstance(entry, tuple):
        entry[1]()


def answer(task: Task, error: BaseException) -> None:
    """Fail what is left of `task`."""
    if isinstance(task, CallFuture):
        if not task.done():
            for future in tasks.resolve([task], [Raised(error)]):
                tasks.run_callbacks(future)
    elif isinstance(task, ChunkTask):
        task.run.items_done(task.start, [Raised(error) for _ in range(task.size)])
