"""What stands in the line of a flow: calls and chunks that may be posted anew, and what has its outcome already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from procession.backends import tasks
from procession.backends.base import Run
from procession.backends.tasks import CallFuture, ChunkTask
from procession.core.policy import Profile
from procession.core.rules import Rules
from procession.core.task import Task
from procession.types import Raised

if TYPE_CHECKING:
    from _contextvars import Context


class Start(Task, Protocol):
    """A task that a pump may have to post again."""

    @property
    def index(self) -> int:
        """The place of its first item in the flow."""
        ...

    def renewed(self) -> Task | None:
        """After an interrupted post: None when it has arrived for certain, else what is to be posted in its place."""
        ...


class Known:
    """Items that never start: when it would be their turn to, they have these outcomes.

    Their arguments could not be encoded, or a journal has known them.
    """

    __slots__ = ("index", "outcomes", "size", "told")

    def __init__(self, index: int, outcomes: list[Any]) -> None:
        self.index = index
        self.outcomes = outcomes
        self.size = len(outcomes)
        self.told = False


def failed(index: int, error: BaseException) -> Known:
    """An item that fails when its turn to start comes."""
    return Known(index, [Raised(error)])


class NoRun:
    """Where a chunk belongs that was posted by an interrupted pump and replaced by another."""

    function: Any = None
    whole = True
    cancelled = True
    rules: Rules | None = None

    def items_done(self, start: int, outcomes: list[Any]) -> None:
        """Nobody waits for them."""

    def items_dropped(self, start: int, count: int) -> None:
        """As it should be."""


class StreamChunk(ChunkTask):
    """A chunk that can be posted anew."""

    __slots__ = ("claimed", "owner", "since")

    def __init__(self, run: Run, start: int, bodies: Sequence[Any], low: int, size: int, grain: int = 0) -> None:
        super().__init__(run, start, bodies, low, size, grain)
        self.claimed = False
        self.owner = run
        self.since = 0  # when it was taken in, in ns, where somebody asks

    @property
    def index(self) -> int:
        """See `Start`."""
        return self.start

    @property
    def profile(self) -> Profile:
        """See `core.task.Task`; it stays what it was when the chunk was abandoned."""
        return self.owner.function.profile

    def claim(self, wid: int) -> bool:
        """See `core.task.Task`."""
        self.claimed = True
        return super().claim(wid)

    def renewed(self) -> StreamChunk | None:
        """See `Start.renewed`: one that no worker has claimed is abandoned, wherever it is, for a fresh one."""
        fresh = StreamChunk(self.owner, self.start, self.bodies, self.low, self.size, self.grain)
        fresh.home = self.home
        with tasks.LOCK:  # as is whoever claims
            if self.claimed:
                return None
            self.run = _NOWHERE
        return fresh


class SinkFuture(CallFuture[Any]):
    """A call of a flow; told apart from others by its index."""

    place: int | None = None
    """Under a seed, and where an on_error callable may ask for it: see worker/chance.py."""
    context: Context | None = None
    """In which it was put, where an on_error callable may ask for it."""

    def renewed(self) -> SinkFuture | None:
        """See `Start.renewed`."""
        return None if self.wid is not None or self.done() else self


_NOWHERE = NoRun()
