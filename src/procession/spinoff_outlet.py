"""How results leave a SpinOff: one by one, or all that are ready, with failures at their places."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

from procession.core.flow import NOTHING
from procession.on_error import at_its_place
from procession.spinoff_core import SpinCore, failure_of
from procession.starts import SinkFuture


class SpinOutlet:
    """What a taker gets, on any thread or event loop. An interrupted taker leaves what it did not return."""

    __slots__ = ("_core",)

    def __init__(self, core: SpinCore) -> None:
        self._core = core

    def next(self) -> Any:
        """The next result; NOTHING when it is not there yet. Raises the item's failure; StopIteration at the end."""
        core = self._core
        flow = core.flow
        future: Any = NOTHING
        failed: Any = NOTHING
        try:
            while True:
                with core.lock:
                    future = flow.take()
                if future is NOTHING:
                    if flow.ended:
                        raise StopIteration
                    return NOTHING
                self._taken()
                self._gone((future,))
                if future._exception is None:
                    return future._result
                failed, future = future, NOTHING
                value = self._failed(failed)
                if value is not NOTHING:
                    return value
                failed = NOTHING
        except BaseException as error:
            if (
                failed is not NOTHING
                and core.words.on_error in ("raise", "return")
                and error is not failed._exception
                and error.__cause__ is not failed._exception  # see `on_error.no_end`
            ):
                future = failed  # it has not come out
            if future is not NOTHING:
                self._back([future])
            raise

    def ready(self) -> list[Any]:
        """All that is ready; see `SpinOff.ready`."""
        core = self._core
        flow = core.flow
        if not flow.ready:
            if flow.starts:
                core.pump()
            return []
        got: deque[SinkFuture] = deque()
        told: list[SinkFuture] = []  # failures that have been told of
        rest: list[SinkFuture] = []  # from the failure on that is to be raised by the next call, until it is put back
        tail: tuple[SinkFuture, ...] = ()  # the same, for good
        try:
            with core.lock:
                got = flow.take_all()
            if not got:
                return []
            self._taken()
            values = [future._result for future in got if future._exception is None]
            if len(values) < len(got):
                values, rest = self._sift(got, told)
                tail = tuple(rest)
                with core.lock:
                    flow.untake_all(rest)
            # Not before: where nothing waits to be taken, nothing weighs anything.
            self._gone(islice(got, len(got) - len(tail)))
            if told and core.words.on_error == "raise":
                self._failed(told[0])
            return values
        except BaseException as error:
            if told and core.words.on_error == "raise":
                if error is told[0]._exception or error.__cause__ is told[0]._exception:
                    raise  # all else was done before
                del told[0]
            away = set(map(id, told if rest else (*told, *tail)))
            self._back([future for future in got if id(future) not in away])
            self._gone(told)
            raise

    def _sift(self, got: deque[SinkFuture], told: list[SinkFuture]) -> tuple[list[Any], list[SinkFuture]]:
        """The values, as far as it goes, and what is left: from a failure on that has to be raised.

        If that is the first, it is told of by the caller, and not left.
        """
        on_error = self._core.words.on_error
        values: list[Any] = []
        for at, future in enumerate(got):
            error = future._exception
            if error is None:
                values.append(future._result)
            elif on_error == "return":
                values.append(error)
            elif on_error == "raise":
                if not values:
                    told += (future,)
                return values, list(islice(got, at + len(told), None))
            else:
                told += (future,)
                self._failed(future)
        return values, []

    def _failed(self, future: SinkFuture) -> Any:
        """A failure at its place: a value, NOTHING to go on, or raised."""
        error = future._exception
        assert error is not None
        try:
            return at_its_place(self._core.words.on_error, error, lambda: failure_of(self._core, future))
        finally:
            del error  # no cycle through the frame

    def _gone(self, futures: Iterable[SinkFuture]) -> None:
        """These are handed over."""
        self._core.let_go(futures)

    def _back(self, futures: list[SinkFuture]) -> None:
        """These have not come out: they are the next again."""
        with self._core.lock:
            self._core.flow.untake_all(futures)

    def _taken(self) -> None:
        """Something has left: there is room, and somebody takes."""
        core = self._core
        me = threading.current_thread()
        if me not in core.takers:
            core.takers[me] = None
        if core.room.sleepers:
            core.room.ring()
