"""How results leave a stream: one by one, with failures at their places."""

from __future__ import annotations

from typing import Any, NoReturn

from procession.core.flow import NOTHING
from procession.on_error import OnError, no_end
from procession.spilling import Spilled
from procession.stream_course import Course
from procession.types import Failure, Raised


class Outlet:
    """What a taker gets for an outcome, on any thread or event loop: the four forms of on_error.

    An interrupted taker leaves what it did not return: an outcome is put back, and a failure that ends the stream is
    kept until it is raised.
    """

    __slots__ = ("_last", "_on_error", "course", "latest", "touched")

    def __init__(self, course: Course, on_error: OnError) -> None:
        self.course = course
        self.touched = False  # somebody has asked for a result, or closed it
        self.latest = -1  # the index of the item whose outcome was taken last
        self._on_error: OnError = on_error
        self._last: BaseException | None = None  # a failure that ends it, and has not been raised yet

    def next(self) -> Any:
        """The next value; NOTHING when there is none yet. Raises what comes at this place; StopIteration at the end."""
        self.touched = True
        course = self.course
        if self._last is not None:
            self._end()
        flow = course.flow
        outcome: Any = NOTHING
        value: Any = NOTHING
        record = None
        try:
            while True:
                if flow.admitted - flow.handed <= course.low and not flow.closed:  # `due`, without the call
                    course.fill()
                with course.lock:
                    outcome = flow.take()
                    index = self.latest = flow.place - 1
                if course.keen:
                    course.meter.report()
                if outcome is NOTHING:
                    if flow.ended:
                        self._end()
                    return NOTHING
                if course.room.sleepers and flow.room >= course.measure():
                    course.room.ring()
                value = outcome
                if course.ledger is not None or course.lazy:
                    value = self._weighed(outcome, index)
                if value.__class__ is not Raised:
                    if course.args is not None:
                        course.args.pop(index, None)
                    return value
                if (on_error := course.decide(value.error, self._on_error)) == "return":
                    return value.error
                if on_error == "raise":
                    value = no_end(value.error, "a task")
                    self._last = value
                    outcome = value = NOTHING  # in one step with that: it is kept, and not put back
                    self._end()
                record = None if on_error == "skip" else self._record(value, index)
                outcome = value = NOTHING  # from here on it has been told
                if record is not None:
                    on_error(record)  # type: ignore[operator]
                    course.args.pop(index, None)  # type: ignore[union-attr]
        except BaseException:
            if outcome is not NOTHING:
                with course.lock:
                    flow.untake(outcome)
            raise
        finally:
            outcome = value = record = None  # no cycle through the frame

    def _weighed(self, outcome: Any, index: int) -> Any:
        """What was taken, read back if it lies in a file. The ledger lets go of it; what waits for room may start."""
        course = self.course
        value = outcome
        if outcome.__class__ is Spilled:
            value = outcome.load()
        elif course.lazy:
            value = course.load(outcome)
        if course.ledger is not None:
            with course.lock:
                course.ledger.left(index)
            if course.flow.starts:
                course.pump()
        return value

    def _record(self, failure: Raised, index: int) -> Failure:
        course = self.course
        args = () if course.args is None else course.args.get(index, ())
        return Failure(index, args, failure.error, failure.attempts, None, course.rerun, index)

    def _end(self) -> NoReturn:
        """Nothing more comes: the failure that has ended it, or its source's error, once; then StopIteration."""
        course = self.course
        course.meter.freeze()  # while it is known whether its source has failed
        if self._last is None and not course.cancelled:
            self._last, course.error = course.error, None
        error = self._last
        course.over("finished" if error is None else "raised")
        course.meter.close()
        if course.spill is not None:
            course.spill.close()
        if error is None:
            raise StopIteration
        self._shut()
        self._last = None  # in one step with what follows
        try:
            raise error
        finally:
            del error

    def _shut(self) -> None:
        """Cancel what waits, and close the source."""
        self.course.cancel()
        self.course.close_source()

    def close(self) -> None:
        """Cancel what waits, close the source, end the iteration."""
        self.touched = True
        self._last = None
        self.course.over("closed")
        self._shut()
        self.course.meter.close()

    def drop(self) -> None:
        """`close`, by a finalizer, in whatever thread that runs."""
        self.course.meter.drop()
        self.touched = True
        self._last = None
        self.course.over("dropped")
        self._shut()
