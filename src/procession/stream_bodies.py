"""The items of a stream as an engine takes them: bodies, plain or encoded, cut into chunks of a run."""

from __future__ import annotations

from _pickle import PicklingError
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from procession.starts import Known, StreamChunk, failed
from procession.stream_bounds import Bounded, Bounds
from procession.transport.aside import private
from procession.types import Raised

if TYPE_CHECKING:
    from procession.backends.base import Engine, Function


class StreamRun:
    """A stream as the engine sees it (`backends.base.Run`): one for whole bodies, one for encoded ones."""

    __slots__ = ("cancelled", "course", "function", "rules", "whole")

    def __init__(self, course: Bodies, function: Function, whole: bool) -> None:
        self.course = course
        self.function = function
        self.whole = whole
        self.rules = course.rules
        self.cancelled = False

    def items_done(self, start: int, outcomes: list[Any]) -> None:
        """See `Run.items_done`."""
        if not self.cancelled:
            self.course.arrived(start, outcomes)

    def items_dropped(self, start: int, count: int) -> None:
        """See `Run.items_dropped`. Not asked for by this stream: somebody shut the pool down with cancel."""
        if not self.cancelled:
            self.course.lost += count
            self.course.arrived(start, [Raised(CancelledError()) for _ in range(count)])


class Bodies(Bounded):
    """See the module; where the items come from is `stream_course.Course`'s."""

    def __init__(self, engine: Engine, function: Function, single: bool, bounds: Bounds, ordered: bool) -> None:
        super().__init__(engine, function, bounds, ordered)
        self.single = single  # an item is the one argument; else a tuple of them
        self.seeded = function.hides  # it takes each item's place as its last argument
        self.cancelled = False
        self.lost = 0  # items that never ran, since their pool was shut down
        self.args: dict[int, tuple[Any, ...]] | None = None  # kept where somebody may ask for them
        self.runs: dict[bool, StreamRun] = {}

    def _chunks(self, first: int, items: list[Any] | range) -> list[Any]:
        """`items`, from index `first` on, as things to be started."""
        if self.args is not None:
            self.args.update(zip(range(first, first + len(items)), self._calls(items), strict=True))
        if self.single and not self.seeded and self.engine.plain(items):
            return self._cut(self.run(True), first, items)
        encode, function, run = self.engine.encode, self.function, self.run(False)
        again = self.rules is not None and self.rules.retries > 0
        starts: list[Any] = []
        bodies: list[Any] = []
        for index, args in enumerate(self._calls(items), first):
            try:
                body = encode(function, (*args, index) if self.seeded else args, {})
                bodies.append(private(body) if again else body)
            except PicklingError as error:
                starts += self._cut(run, index - len(bodies), bodies)
                bodies = []
                starts.append(failed(index, error))
                self.knows = True
        return [*starts, *self._cut(run, first + len(items) - len(bodies), bodies)]

    def _cut(self, run: StreamRun, first: int, bodies: list[Any] | range) -> list[Any]:
        """`bodies`, from index `first` on, as one chunk, or as several where it is decided when each may start."""
        size = len(bodies) if self.ledger is None else self.ledger.piece()
        if self.gate is not None:
            size = 1
        places = range(0, len(bodies), size or 1)
        cut = [StreamChunk(run, first + at, bodies, at, min(size, len(bodies) - at), self.grain) for at in places]
        if self.gate is not None:
            for chunk in cut:
                self.gate.mark(chunk)
        return cut

    def _calls(self, items: list[Any] | range) -> Iterator[tuple[Any, ...]]:
        """The arguments of each item's call."""
        return zip(items, strict=True) if self.single else iter(items)  # type: ignore[arg-type]  # tuples

    def in_place_of(self, start: Any) -> Known:
        """See `Handover.in_place_of`."""
        if start.__class__ is not Known:
            self.lost += start.size
        return super().in_place_of(start)

    def run(self, whole: bool) -> StreamRun:
        """The run of whole or of encoded bodies."""
        run = self.runs.get(whole)
        if run is None:
            run = self.runs[whole] = StreamRun(self, self.function, whole)
            run.cancelled = self.cancelled
        return run
