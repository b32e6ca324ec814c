"""What an engine that runs inline tells a tap: its own methods are shadowed while somebody taps."""

from __future__ import annotations

import os
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from procession import happenings, tapping
from procession.backends.whose import Sheaf, index_of, stream_of
from procession.happenings import Began, Opened
from procession.types import Raised

if TYPE_CHECKING:
    from procession.tapping import Tap


class TappedInline:
    """The part of `InlineEngine` that is tapped. Its one worker, number 0, is whoever hands something over."""

    number = 0
    role: tuple[str, str] = ("Pool", "")
    _closed: bool

    sheaf: Sheaf | None = None

    def enroll(self) -> None:
        """It has been made."""
        self.number = tapping.register(self)
        if tapping.tap is not None:
            self.tell(tapping.tap)

    def tell(self, tap: Tap | None) -> None:
        """See `tapping.Tapped`."""
        for name in ("_run_call", "_run_item"):
            vars(self).pop(name, None)
        if self.sheaf is not None:
            self.sheaf.flush()
            self.sheaf = None
        if tap is None or self._closed:
            return
        run_call: Any = getattr(self, "_run_call")  # noqa: B009  # of the class beside this
        run_item: Any = getattr(self, "_run_item")  # noqa: B009
        from procession.backends import stamps  # noqa: F401

        now = perf_counter_ns()
        tap.push(Opened(self.number, "inline", 1, now))
        tap.push(Began(self.number, 0, os.getpid(), now))
        self.sheaf = Sheaf(tap, self.number, 0)
        add = self.sheaf.add

        def call_and_tell(future: Any, failure: Any) -> None:
            words = future.function.name, stream_of(future), index_of(future), 1, future.born, perf_counter_ns()
            try:
                run_call(future, failure)
            finally:
                error = future._exception
                add((*words, perf_counter_ns(), happenings.OK if error is None else happenings.ERROR, error))

        def item_and_tell(run: Any, function: Any, chunk: Any, at: int) -> Any:
            stream = getattr(getattr(run, "course", None), "stream_number", 0)
            words = function.name, stream, chunk.start - chunk.low + at, 1, chunk.born, perf_counter_ns()
            outcome = run_item(run, function, chunk, at)
            error = outcome.error if outcome.__class__ is Raised else None
            add((*words, perf_counter_ns(), happenings.OK if error is None else happenings.ERROR, error))
            return outcome

        vars(self).update(_run_call=call_and_tell, _run_item=item_and_tell)

    def sample(self) -> dict[str, Any]:
        """See `tapping.Tapped`."""
        if (sheaf := self.sheaf) is not None:
            sheaf.flush()
        return {"running": float(self.stats().in_flight)}

    def show(self) -> dict[str, Any]:
        """See `tapping.Tapped`."""
        now = self.stats()
        return {"backend": "inline", "width": 1, "running": now.in_flight, "done": now.done, "failed": now.failed}

    def bid(self, what: str, number: int) -> str:
        """See `tapping.Tapped`."""
        return f"cannot {what}: inline, tasks run in the thread that hands them over, which is the program's own"

    if TYPE_CHECKING:

        def dump(self) -> str: ...

        def stats(self) -> Any: ...


__all__ = ["TappedInline"]
