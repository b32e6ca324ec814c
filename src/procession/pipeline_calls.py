"""What of a pipeline is with the engines: starts as futures, and what has become of them.

Only the conductor comes here (pipeline_run.py), but for `settled`.
"""

from __future__ import annotations

from _pickle import PicklingError
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import CancelledError
from threading import RLock
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, cast

from procession import tapping, together
from procession.core.task import Home
from procession.errors import RemoteError
from procession.pipeline_passing import arguments, out_of_reach, outcomes
from procession.starts import SinkFuture
from procession.types import Raised

if TYPE_CHECKING:
    from procession.backends.roles import Attempts
    from procession.core.journey import Journey
    from procession.core.journey_node import Node, Start
    from procession.happenings import Stood
    from procession.pipeline_clocks import PipelineClocks
    from procession.pipeline_stage import Work

_NO_WORDS: dict[str, Any] = {}

PATIENCE = 0.1
"""Seconds that who looks on waits for the lock."""


class Calls:
    """See the module. `ring`: there is something to hear."""

    clocks: PipelineClocks | None = None  # where somebody wants to know what its stages wait for

    def __init__(self, works: Sequence[Work], journey: Journey, lock: RLock, ring: Callable[[], object]) -> None:
        self.arrived: deque[SinkFuture] = deque()
        self.draining = False  # no item begins any more; set by anybody
        self.withdrawn = False  # and those that had been sent, and had not begun, have been cancelled
        self.functions = [work.function for work in works]  # or these under a seed
        self._works = works
        self._journey = journey
        self._lock = lock
        self._ring = ring
        self._out: dict[SinkFuture, Start] = {}
        self._earlier: dict[Node, tuple[int, Attempts]] = {}  # of what is to start again alone: the runs it has had
        self._homes: dict[tuple[int, Hashable], Home] = {}  # of stages with sticky keys: where the items of a key run
        names = " > ".join(function.name for function in self.functions)
        self.stream_number = tapping.enter(self, "pipeline", names)

    def stood(self, now: int) -> Stood | None:
        """See `tapping.Streaming`."""
        return None if self.clocks is None else self.clocks.stood(now)

    def finished_untaken(self) -> int:
        """See `tapping.Tap.watch`."""
        return len(self._journey.ready)

    def seen(self) -> dict[str, Any]:
        """See `tapping.Streaming`."""
        journey, found = self._journey, dict[str, Any]()
        if self._lock.acquire(timeout=PATIENCE):
            try:
                counts = journey.stats()
            finally:
                self._lock.release()
            found = {"unfinished": counts.admitted - counts.returned}
            if counts.head is not None:
                found |= {"head": counts.head.index, "head_at": self._works[counts.head.stage].stage.name}
        engines = [work.engine.number for work in self._works]
        return {"engines": engines, "taken": journey.handed, "ready": len(journey.ready), **found}

    def settled(self, futures: list[SinkFuture]) -> None:
        """See `tasks.Sink`: by an engine's thread, or by who cancels."""
        self.arrived.extend(futures)
        self._ring()

    def hear(self, *, opens: bool) -> list[tuple[Start, list[Any]]]:
        """Outcomes that have come. `opens`: somebody may ask for what is sealed."""
        heard: list[tuple[Start, list[Any]]] = []
        arrived = self.arrived
        if self.draining and not self.withdrawn:
            self.withdrawn = True
            for each, its in reversed(list(self._out.items())):
                if its.stage == 0:
                    each.cancel_unstarted()
        while arrived:
            future = arrived.popleft()
            start = self._out.pop(future, None)
            if start is None:
                continue
            work = self._works[start.stage]
            if out_of_reach(work, future._exception) and not self._journey.cancelled:
                refused = self.send(work, [start])
                heard += [(start, [Raised(error)] * start.size) for start, error in refused]
            elif not self._run_alone(work, start, future):
                heard.append((start, outcomes(self._works, start, future, opens=opens)))
        return heard

    def _run_alone(self, work: Work, start: Start, future: SinkFuture) -> bool:
        """Whether the inputs of a batch are to run again one by one, since nobody knows which of them has ended it."""
        error, rules = future._exception, work.stage.rules
        if error is None or start.size == 1:
            return False
        together.note_company(future, error, start.size)
        if rules is None or not together.may_run_alone(future, error, rules, work.engine):
            return False
        tries = future.tries + 1
        now = monotonic_ns()
        delay = rules.delay_ns(tries, now)
        with self._lock:
            if self._journey.cancelled:
                return False
            for node in start.nodes:
                self._earlier[node] = tries, together.attempts_after(future, error, rules)
            self._journey.again(start, delay, now)
        return True

    def answered(self, start: Start) -> None:
        """It has its outcome."""
        if self._earlier and start.size == 1:
            self._earlier.pop(start.nodes[0], None)

    def send(self, work: Work, starts: list[Start]) -> list[tuple[Start, BaseException]]:
        """Post these; returns those that could not be, and why."""
        if self.draining and starts and starts[0].stage == 0:
            return [(start, CancelledError()) for start in starts]
        refused: list[tuple[Start, BaseException]] = []
        futures: list[SinkFuture] = []
        for start in starts:
            function = self.functions[start.stage]
            try:
                body = work.engine.encode(function, arguments(work, start, function.hides), _NO_WORDS)
            except (PicklingError, RemoteError) as error:
                refused.append((start, error))
                continue
            future = SinkFuture(function, body)
            future.sink = self
            future.index = start.nodes[0].item.index
            future._owner = cast("Any", work.engine) if hasattr(work.engine, "cancel_leased") else None
            if start.size == 1 and (earlier := self._earlier.get(start.nodes[0])) is not None:
                future.tries, future.attempts = earlier
            rules = work.rules if start.size == 1 else work.rules_of_several
            if rules is not None:
                future.obey(rules)
            if work.stage.sticky and (lane := start.nodes[0].lane) is not None:
                future.home = self._homes.setdefault((start.stage, lane.key), Home())
            self._out[future] = start
            futures.append(future)
        try:
            if futures:
                work.engine.post(futures)
        except RuntimeError as error:
            refused += [(self._out.pop(future), error) for future in futures if future in self._out]
        return refused

    def cancel(self) -> None:
        """End all that is out: the latest first, so that what waits does not start when what runs has ended."""
        for future in reversed(list(self._out)):
            future.cancel()
