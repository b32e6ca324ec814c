"""How results leave a SpinOff: one by one, or all that are ready, with failures at their places."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from procession.core.flow import NOTHING
from procession.handover import SinkFuture
from procession.on_error import at_its_place
from procession.spinoff_core import SpinCore, failure_of


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
        try:
            while True:
                with core.lock:
                    future = flow.take()
                if future is NOTHING:
                    if flow.ended:
                        raise StopIteration
                    return NOTHING
                self._taken()
                core.let_go((future,))
                if future._exception is None:
                    return future._result
                failed, future = future, NOTHING
                value = self._failed(failed)
                if value is not NOTHING:
                    return value
        except BaseException:
            if future is not NOTHING:
                with core.lock:
                    flow.untake(future)
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
        whole: Sequence[SinkFuture] = ()
        try:
            with core.lock:
                got = flow.take_all()
            if core.ledger is not None:
                whole = list(got)
            if not got:
                return []
            self._taken()
            values = [future._result for future in got if future._exception is None]
            if len(values) == len(got):
                core.let_go(whole)
                return values
            values = []
            self._sift(got, values)
        except BaseException:
            self._put_back(got, whole)
            raise
        self._put_back(got, whole)
        return values

    def _sift(self, got: deque[SinkFuture], values: list[Any]) -> None:
        """Move from `got` to `values` as far as it goes: to the end, or to a failure that has to be raised."""
        on_error = self._core.words.on_error
        back: list[SinkFuture] = []
        try:
            while got:
                future = got[0]
                error = future._exception
                if error is None:
                    values.append(future._result)
                elif on_error == "return":
                    values.append(error)
                elif on_error == "raise" and values:
                    return
                else:
                    del got[0]
                    self._failed(future)
                    continue
                back.append(future)
                del got[0]
        except BaseException:
            got.extendleft(reversed(back))
            raise

    def _put_back(self, got: deque[SinkFuture], whole: Sequence[SinkFuture]) -> None:
        """What is left in `got` is next again; then what else there was in `whole` is let go of.

        Not before: where nothing waits to be taken, nothing weighs anything.
        """
        kept = {future.index for future in got} if whole else ()
        if got:
            with self._core.lock:
                for future in reversed(got):
                    self._core.flow.untake(future)
            got.clear()
        if whole:
            self._core.let_go([future for future in whole if future.index not in kept])

    def _failed(self, future: SinkFuture) -> Any:
        """A failure at its place: a value, NOTHING to go on, or raised."""
        error = future._exception
        assert error is not None
        try:
            return at_its_place(self._core.words.on_error, error, lambda: failure_of(future))
        finally:
            del error  # no cycle through the frame

    def _taken(self) -> None:
        """Something has left: there is room, and somebody takes."""
        core = self._core
        me = threading.current_thread()
        if me not in core.takers:
            core.takers[me] = None
        if core.room.sleepers:
            core.room.ring()
