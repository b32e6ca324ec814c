"""What an engine that runs inline tells a tap: its own methods are shadowed while somebody taps.

Laws
1. Each thread that hands something over is a worker of its own: what two of them run at once lies side by side. What a
   task hands over itself, to the same pool, runs within it.
2. A run has ended when its function has: callbacks of its future, or the pause before a further attempt, are not in it.
"""

from __future__ import annotations

import os
import threading
from itertools import count
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from procession import happenings, tapping
from procession.backends.whose import Sheaf, index_of, stream_of, stream_of_run
from procession.errors import TaskTimeout
from procession.happenings import Began, Closed, Opened
from procession.types import Raised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from procession.tapping import Push, Tap


class TappedInline:
    """The part of `InlineEngine` that is tapped. Its workers are the threads that hand something over."""

    number = 0
    role: tuple[str, str] = ("Pool", "")
    telling: Telling | None = None
    _closed: bool

    def enroll(self) -> None:
        """It has been made."""
        self.number = tapping.register(self)
        if tapping.tap is not None:
            self.tell(tapping.tap)

    def tell(self, tap: Tap | None) -> None:
        """See `tapping.Tapped`."""
        for name in ("_run_call", "_run_item"):
            vars(self).pop(name, None)
        vars(self._calls).pop("invoke", None)
        self.unbind()
        self.telling = None
        if tap is None or self._closed:
            return
        from procession.backends import stamps  # noqa: F401

        self.telling = now = Telling(self, tap)
        vars(self).update(_run_call=now.call, _run_item=now.item)
        vars(self._calls)["invoke"] = now.invoke

    def part(self, push: Push) -> None:
        """See `tapping.Tapped`; what runs here is told when it has ended."""
        self.unbind()

    def tell_end(self) -> None:
        """It has come to its end."""
        if (telling := self.telling) is not None:
            self.unbind()
            telling.close()

    def unbind(self) -> None:
        """See `tapping.Tapped`."""
        if (telling := self.telling) is not None:
            for sheaf in list(telling.sheaves.values()):
                sheaf.flush()

    def catch_up(self, patience: float | None) -> bool:  # there is nothing to wait for
        """See `tapping.Tapped`."""
        self.unbind()
        return True

    def sample(self) -> dict[str, Any]:
        """See `tapping.Tapped`."""
        return {"running": float(self.stats().in_flight)}

    def show(self) -> dict[str, Any]:
        """See `tapping.Tapped`."""
        now = self.stats()
        return {"backend": "inline", "width": 1, "running": now.in_flight, "done": now.done, "failed": now.failed}

    def bid(self, what: str, number: int) -> str:
        """See `tapping.Tapped`."""
        return f"cannot {what}: inline, tasks run in the thread that hands them over, which is the program's own"

    if TYPE_CHECKING:
        _calls: Any

        def dump(self) -> str: ...

        def stats(self) -> Any: ...


class Telling:
    """What shadows the engine's methods."""

    def __init__(self, engine: Any, tap: Tap) -> None:
        self._tap = tap
        self._engine = engine
        self._run_call, self._run_item, self._invoke = engine._run_call, engine._run_item, engine._calls.invoke
        self._runs: dict[int, list[Run] | None] = {}
        """By thread: how often the function of the item that it is at has run for it."""
        self.sheaves: dict[int, Sheaf] = {}
        """By thread."""
        self._wids = count()

    def close(self) -> None:
        """All is over; of an engine that has run something."""
        if self.sheaves:
            self._tap.push(Closed(self._engine.number, perf_counter_ns()))

    def call(self, future: Any, failure: Any) -> None:
        """`_run_call`, told."""

        def run() -> BaseException | None:
            self._run_call(future, failure)
            error: BaseException | None = future._exception
            return error

        self._tell(future.function.name, stream_of(future), index_of(future), future.born, run)

    def item(self, run: Any, function: Any, chunk: Any, at: int) -> Any:
        """`_run_item`, told."""
        outcome: Any = None

        def run_it() -> BaseException | None:
            nonlocal outcome
            outcome = self._run_item(run, function, chunk, at)
            return outcome.error if outcome.__class__ is Raised else None

        self._tell(function.name, stream_of_run(run), chunk.start - chunk.low + at, chunk.born, run_it)
        return outcome

    def invoke(self, *words: Any, **how: Any) -> Any:
        """`InlineCalls.invoke`, noted."""
        own, began = self._runs.get(threading.get_ident()), perf_counter_ns()
        outcome = self._invoke(*words, **how)
        if own is not None:
            own.append((began, perf_counter_ns(), outcome.error if outcome.__class__ is Raised else None))
        return outcome

    def _tell(
        self, function: str, stream: int, index: int, queued: int, run: Callable[[], BaseException | None]
    ) -> None:
        me, own = threading.get_ident(), list[Run]()
        outer, self._runs[me] = self._runs.get(me), own
        error: BaseException | None = None
        try:
            error = run()
        except BaseException as struck:
            error = struck
            raise
        finally:
            self._runs[me] = outer
            add = self._sheaf(me).add
            for attempt, (began, ended, came, why) in enumerate(told(own, error), 1):
                add((function, stream, index, attempt, queued, began, ended, came, why))
                queued = ended  # the next one
            own.clear()
            error = why = None  # what holds its own frames stays until a collection

    def _sheaf(self, thread: int) -> Sheaf:
        if (found := self.sheaves.get(thread)) is None:
            wid, number, now = next(self._wids), self._engine.number, perf_counter_ns()
            if not wid:
                self._tap.push(Opened(number, "inline", 1, now, self._engine.role))
            found = self.sheaves[thread] = Sheaf(self._tap, number, wid)
            self._tap.push(Began(number, wid, os.getpid(), now))
        return found


Run = tuple[int, int, "BaseException | None"]
"""When it began, when it ended, what it raised."""


def told(own: list[Run], error: BaseException | None) -> Iterator[tuple[int, int, int, BaseException | None]]:
    """What these runs of one item came to, of which `error` is what remains; what was late is known by what follows."""
    if not own:
        now = perf_counter_ns()
        own = [(now, now, error)]
    for began, ended, raised in own[:-1]:
        yield began, ended, happenings.TIMEOUT if raised is None else happenings.ERROR, raised
    began, ended, raised = own[-1]
    came = happenings.OK if error is None else happenings.ERROR
    if error is not None and error is not raised and isinstance(error, TaskTimeout):
        came = happenings.TIMEOUT
    yield began, ended, came, error


__all__ = ["TappedInline"]
