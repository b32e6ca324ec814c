"""Tasks that know when they were made, while there is a tap (tapping.py). Loaded by the first engine that sees one."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

from procession import tapping
from procession._native import native
from procession.backends.base import Function
from procession.backends.tasks import CallFuture, ChunkTask


def stamp(on: bool) -> None:
    """Tasks that are made from now on know when that was, and what was noted of their arguments; or they do not."""
    if native is not None:
        native.stamp(on)
    calls, chunks = _INITS if not on else (_call_with_stamp, _chunk_with_stamp)
    CallFuture.__init__, ChunkTask.__init__ = calls, chunks  # type: ignore[method-assign, assignment]


_INITS: Any = CallFuture.__init__, ChunkTask.__init__


def _call_with_stamp(self: CallFuture[Any], function: Function, body: Any) -> None:
    _INITS[0](self, function, body)
    self.born = perf_counter_ns()
    if (note := getattr(body, "note", None)) is not None:
        self.note = note


def _chunk_with_stamp(self: ChunkTask, *words: Any) -> None:
    _INITS[1](self, *words)
    self.born = perf_counter_ns()


tapping.switches.append(stamp)
stamp(tapping.tasks_wanted())
