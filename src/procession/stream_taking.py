"""Taking from a stream, or a run of a pipeline, with two things more than iterating tells: the place of what was taken,
and when nothing is ready, so that the taker may do something before it waits.

One thread takes. `drain` may be called by any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procession.core.flow import NOTHING

if TYPE_CHECKING:  # who takes from one kind need not load the other
    from procession.pipeline_stream import PipelineStream
    from procession.streams import Stream


class NotYet(Exception):
    """Nothing came in time."""


class Taker:
    """Takes the results of a stream one by one."""

    def __init__(self, stream: Stream[Any] | PipelineStream[Any]) -> None:
        self._stream = stream
        self._outlet = _outlet_of(stream)
        self._waker = self._outlet.conductor if hasattr(self._outlet, "conductor") else self._outlet.course

    def take(self, idle: Callable[[], object] | None = None, until: float | None = None) -> Any:
        """The next result; StopIteration at the end. `idle` is called when none is ready, before it is waited for.

        until: by `time.monotonic`; when there is none by then, NotYet is raised, and nothing is lost.

        Raises what the stream raises, and what its `on_error` does: the stream then goes on with the next `take`.
        """
        outlet, waker = self._outlet, self._waker
        waker.refuse_foreign()
        while (value := outlet.next()) is NOTHING:
            if idle is not None:
                idle()
            if not waker.bell.sleep(waker.stirred, until):
                raise NotYet
        return value

    @property
    def place(self) -> int:
        """The index of the item whose result was taken last."""
        return int(self._outlet.latest)


def drain(stream: Stream[Any] | PipelineStream[Any]) -> None:
    """Take nothing more in, and start nothing more; what runs comes out, and then the stream ends. Any thread.

    Items that were taken in and had not started fail with CancelledError; those that had go through all stages.
    """
    outlet = _outlet_of(stream)
    if hasattr(outlet, "conductor"):
        from procession import pipeline_run

        pipeline_run.drain(outlet.conductor)
    else:
        outlet.course.drain()


def _outlet_of(stream: Any) -> Any:
    return stream._exit if hasattr(stream, "_exit") else stream._outlet


__all__ = ["NotYet", "Taker", "drain"]
