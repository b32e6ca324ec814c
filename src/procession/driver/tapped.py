"""The parts of engines that a tap (`tapping.py`) asks for; what they need is loaded when somebody taps."""

from __future__ import annotations

import os
import threading

from procession import tapping
from procession.driver import lifecycle

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

    from procession.backends.base import EngineStats
    from procession.driver.thread_tracking import ThreadTracker
    from procession.tapping import Push, Tap


class Enrolled:
    """An engine that taps know."""

    number = 0
    _enrolled_by = 0
    role: tuple[str, str] = ("Pool", "")

    def enroll(self) -> None:
        """It has been made."""
        self._enrolled_by = os.getpid()
        self.number = tapping.register(self)  # type: ignore[arg-type]  # see `Tapped`
        if tapping.tasks_wanted():
            self.stamp()

    def theirs(self) -> bool:
        """Is this a forked child, where nobody drives it? It may be told of that before it knows itself."""
        return self._enrolled_by != os.getpid()

    def unbind(self) -> None:
        """See `tapping.Tapped`."""

    def catch_up(self, patience: float | None) -> bool:  # there is nothing to wait for
        """See `tapping.Tapped`."""
        self.unbind()
        return True

    def stamp(self) -> None:
        """Tasks are to know when they are made."""
        from procession.backends import stamps  # noqa: F401

    def sample(self) -> dict[str, Any]:
        """See `tapping.Tapped`."""
        if self.theirs() or not self._at_work():
            return {}
        now = self.alone()
        return {"queued": now.pending, "running": now.in_flight, "workers": now.workers, **self._taken()}

    def alone(self) -> EngineStats:
        """How it is, without engines beside it."""
        return self.stats()

    def show(self) -> dict[str, Any]:
        """See `tapping.Tapped`."""
        return {} if self.theirs() else self._shown()

    def bid(self, what: str, number: int) -> str:
        """See `tapping.Tapped`."""
        return str(lifecycle.foreign()) if self.theirs() else self._bidden(what, number)

    if TYPE_CHECKING:

        def stats(self) -> EngineStats: ...

        def _at_work(self) -> bool:
            """Has it begun, and not ended?"""
            ...

        def _taken(self) -> dict[str, Any]:
            """What its workers take of memory and CPU."""
            ...

        def _shown(self) -> dict[str, Any]:
            """`show`, in the process that drives it."""
            ...

        def _bidden(self, what: str, number: int) -> str:
            """`bid`, the same."""
            ...


class TappedProcesses(Enrolled):
    """The part of an engine of processes."""

    codec: Any

    def tell(self, tap: Tap | None) -> None:
        """See `tapping.Tapped`."""
        self._have(lambda: self.track(tap))

    def part(self, push: Push) -> None:
        """See `tapping.Tapped`."""
        self._have(lambda: self._driver.part(push))

    def catch_up(self, patience: float | None) -> bool:
        """See `tapping.Tapped`: a lone call is answered before the driver hears of it."""
        return self._have(lambda: self._driver.catch_up(), patience)

    def _have(self, done: Callable[[], object], *patience: float | None) -> bool:
        """Done by the driver, when this returns, or so many seconds (see `ask`) are over; whether it is."""
        if self._driver is None or self.theirs():
            return True
        if threading.current_thread() is self._thread:
            done()
            return True
        from procession.driver.noting import ask

        return ask(self._request, done, *patience)

    def track(self, tap: Tap | None) -> None:
        """On the driver's thread, or before that is started."""
        self.note_encoding(tap)
        self._driver.track(tap, self.number, self.role)

    def note_encoding(self, tap: Tap | None) -> None:
        """Whether what is found when arguments are encoded is noted from now on."""
        codec = self.codec
        encode = codec.encode
        if tap is not None and tap.tasks:
            from procession.driver.noting import noting

            self.stamp()
            encode = noting(encode, codec.supply.arena)
        vars(self)["encode"] = encode

    def _at_work(self) -> bool:
        return self._driver is not None and not self._driver.closed

    def _taken(self) -> dict[str, Any]:
        from procession.driver.noting import of_processes

        driver = self._driver
        return {} if driver is None else of_processes(driver.pids)

    def _shown(self) -> dict[str, Any]:
        from procession.driver import shown

        return shown.of_processes(self, self._driver, self._request)

    def _bidden(self, what: str, number: int) -> str:
        from procession.driver import shown

        return shown.bid_processes(self, self._driver, self._request, what, number)

    if TYPE_CHECKING:
        _driver: Any
        _thread: Any

        def _request(self, entry: Any) -> bool: ...


class TappedThreads(Enrolled):
    """The part of an engine of threads."""

    tracker: ThreadTracker | None = None
    closed: bool
    _driver: threading.Thread | None

    def tell(self, tap: Tap | None) -> None:
        """See `tapping.Tapped`."""
        self._have(lambda: self.track(tap))

    def part(self, push: Push) -> None:
        """See `tapping.Tapped`."""
        self._have(lambda: self._part(push))

    def _part(self, push: Push) -> None:
        if self.tracker is not None:
            self.tracker.flush()
            self.tracker.tell_running(push)

    def _have(self, done: Callable[[], object]) -> None:
        """Done where the core may be stepped, when this returns; or soon, if that must not be waited for."""
        if self._driver is None or self.theirs():
            return
        if self._must_not_wait():
            self._request((None, done))
        else:
            from procession.driver.noting import ask

            ask(lambda what: self._request((None, what)), done)

    def unbind(self) -> None:
        """See `tapping.Tapped`."""
        if (tracker := self.tracker) is not None and not self.theirs():
            tracker.flush()

    def begin_telling(self) -> None:
        """The driver's thread has begun."""
        if tapping.tap is not None:
            with self.locked():
                self.track(tapping.tap)

    def track(self, tap: Tap | None) -> None:
        """Where the core may be stepped."""
        if self.tracker is not None:
            self.tracker.leave()
            self.tracker = None
        if tap is not None and not self.closed:
            from procession.driver.thread_tracking import ThreadTracker

            if tap.tasks:
                self.stamp()
            self.tracker = ThreadTracker(self, tap, self.number, self.role)

    def _at_work(self) -> bool:
        return not self.closed

    def _taken(self) -> dict[str, Any]:
        from procession.driver.noting import of_threads

        return of_threads(self.numbers_of_workers())

    def _shown(self) -> dict[str, Any]:
        from procession.driver import shown

        return shown.of_threads(self)

    def _bidden(self, what: str, number: int) -> str:
        from procession.driver import shown

        return shown.bid_threads(self, what, number)

    if TYPE_CHECKING:

        def _request(self, entry: Any) -> bool: ...

        def _must_not_wait(self) -> bool: ...

        def locked(self) -> AbstractContextManager[None]: ...

        def numbers_of_workers(self) -> dict[int, int]: ...


__all__ = ["TappedProcesses", "TappedThreads"]
