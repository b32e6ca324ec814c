"""What a tap is told of a task: its function, its stream and its place there, and since when it is known."""

from __future__ import annotations

from collections import deque
from threading import RLock
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from procession.backends.tasks import ChunkTask
from procession.happenings import Rows

if TYPE_CHECKING:
    from procession.tapping import Tap

MOST = 1000
"""Rows of a worker that may lie bound, with their errors: then it tells them itself."""


def born(task: Any) -> int:
    """When it was handed over, if that is known."""
    found: int = task.born
    return found


def reborn(task: Any) -> None:
    """Its next run is waited for from now on."""
    task.born = perf_counter_ns()


def stream_of(call: Any) -> int:
    """The number of the stream that a call is of."""
    sink = call.sink
    return 0 if sink is None else getattr(sink, "stream_number", 0)


def stream_of_run(run: Any) -> int:
    """The number of the stream that a run's items are of."""
    number: int = getattr(getattr(run, "course", None), "stream_number", 0)
    return number


def index_of(task: Any) -> int:
    """Its place in its stream, or that of its first item; -1: it is of none."""
    if isinstance(task, ChunkTask):
        return task.start
    return getattr(task, "index", -1) if stream_of(task) else -1


def whose(task: Any) -> tuple[str, int, int]:
    """Function, stream, and the first item's place there."""
    if isinstance(task, ChunkTask):
        return task.run.function.name, stream_of_run(task.run), task.start
    return task.function.name, stream_of(task), index_of(task)


class Sheaf:
    """Rows of one worker (`happenings.Rows`), bound together before they are told: by whoever
    flushes, in one piece, or by the worker itself when they are many.

    Who has flushed knows that all that was added before has been told, whoever flushed it.
    """

    __slots__ = ("_engine", "_lock", "_rows", "_tap", "_wid")

    def __init__(self, tap: Tap, engine: int, wid: int) -> None:
        self._tap = tap
        self._engine = engine
        self._wid = wid
        self._rows: deque[tuple[Any, ...]] = deque()
        self._lock = RLock()  # a signal handler may flush what is just being flushed

    def add(self, row: tuple[Any, ...]) -> None:
        """Its worker, and nobody else."""
        self._rows.append(row)
        if len(self._rows) >= MOST:
            self.flush()

    def flush(self) -> None:
        """Anybody."""
        with self._lock:
            if rows := self._taken():
                self._tap.push(Rows(self._engine, self._wid, rows))

    def _taken(self) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        try:
            for _ in range(len(self._rows)):
                rows.append(self._rows.popleft())
        except IndexError:
            pass  # a signal handler has had them meanwhile
        return rows


__all__ = ["Sheaf", "born", "index_of", "reborn", "stream_of", "stream_of_run", "whose"]
