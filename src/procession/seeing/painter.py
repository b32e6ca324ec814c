"""Who looks at the progress of all streams of this process: one thread, for as long as there is something to look at.

Laws
1. The thread begins with the first watcher and ends with the last. Whoever adds or ends one takes no lock: he appends
   to a queue, and starts the thread by one call of C unless somebody holds the `pen`, who looks at the queue once more
   after he has laid it down. So signals and finalizers may strike anywhere.
2. It looks every `TICK` seconds, and paints only what has changed, or once a second. It measures what that costs of a
   CPU, and stays within one part in `SHARE`: what is slow to paint is painted less often.
3. It alone draws, so no signal strikes in the middle of that. Who ends a bar waits until its last line is drawn, but
   no longer than `PATIENCE`: a terminal may have been stopped.
4. It keeps no stream alive. A stream that is gone, or in which all is completed, is shown as it was, and left.
5. An error of a display, of a bar that is not ours, or of the looking itself, ends that, and is said once.
6. At the end of the interpreter all that is left is shown for the last time. A forked child has none of it.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from _queue import Empty, SimpleQueue
from _thread import allocate_lock, get_ident, start_new_thread
from abc import ABC, abstractmethod
from contextlib import suppress
from time import monotonic, thread_time

from procession.seeing.lines import Piece, Sight, compose, compose_stage
from procession.seeing.pace import Pace

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from _thread import LockType as Lock
    from collections.abc import Callable
    from typing import Any

    from procession.seeing.display import Display
    from procession.seeing.sources import Say, Source, Teller, Tqdm


TICK = 0.1
"""Seconds between two looks, at least."""
SECOND = 1.0
"""Seconds between two paintings in which nothing has changed but the time."""
SHARE = 100
"""Of so many seconds at most one is spent on looking and painting."""
LONGEST = 5.0
"""Seconds between two looks, at most."""
PATIENCE = 1.0
"""Seconds that who ends a bar waits for its last line."""


class Watcher(ABC):
    """What looks at one stream."""

    def __init__(self, source: Source, say: Say) -> None:
        self._source = weakref.ref(source)
        self._say = say
        self.gone = False
        """It is looked at no more; set by the painter's thread."""
        self.ending = False
        """Somebody has ended it."""

    @property
    def source(self) -> Source | None:
        """The stream, if there is one."""
        return self._source()

    def freeze(self) -> None:  # noqa: B027  # there may be none
        """What the numbers are now is the last."""

    @abstractmethod
    def look(self, now: float) -> bool:
        """Look; False when there is nothing more to look at."""

    def fail(self, error: BaseException) -> None:
        """`look` has raised."""
        self._say(logging.ERROR, "the progress of a stream cannot be told any more", error=error)


class Flag(Watcher):
    """Has a callable called by whoever takes."""

    def __init__(self, source: Source, told: Teller, say: Say) -> None:
        super().__init__(source, say)
        self._told = weakref.ref(told)

    def look(self, now: float) -> bool:
        """See `Watcher`."""
        source, told = self.source, self._told()
        if source is None or told is None or told.over:
            return False
        if told.lags:
            source.keen = True
            source.call_taker()
            return True
        return not source.count()[2]


class Frozen(Watcher):
    """What keeps the latest numbers."""

    def __init__(self, source: Source, say: Say) -> None:
        super().__init__(source, say)
        self.sight = source.sight()
        self._last: Sight | None = None

    def freeze(self) -> None:
        """See `Watcher`."""
        source = self.source
        if source is not None and self._last is None:
            self._last = source.sight()

    def _see(self) -> bool:
        """Take the numbers, and whether more may come."""
        source = self.source
        self.sight = self._last or (self.sight if source is None else source.sight())
        return not (self.ending or self._last or self.sight.ended or source is None)


class Foreign(Frozen):
    """A bar like tqdm's: told by the painter's thread, and closed by it."""

    def __init__(self, source: Source, bar: Tqdm, say: Say) -> None:
        super().__init__(source, say)
        self._bar: Any = bar
        self._told = self._errors = 0
        self._sized()

    def _sized(self) -> None:
        total = self.sight.total
        if total is not None and self._bar.total != total:
            self._bar.total = total

    def look(self, now: float) -> bool:
        """See `Watcher`."""
        more = self._see()
        bar, sight = self._bar, self.sight
        self._sized()
        if sight.errors != self._errors and hasattr(bar, "set_postfix"):
            self._errors = sight.errors
            bar.set_postfix({"errors": sight.errors}, refresh=False)
        if (came := sight.done - self._told) > 0:
            self._told = sight.done
            bar.update(came)
        if not more:
            bar.close()
        return more

    def fail(self, error: BaseException) -> None:
        """See `Watcher`."""
        self._say(logging.ERROR, "progress=%r has raised, and is not told any more", self._bar, error=error)


class Bar(Frozen):
    """A line of ours."""

    def __init__(self, source: Source, label: str, display: Display, say: Say) -> None:
        super().__init__(source, say)
        self._label = label
        self.display = display
        self._pace = Pace(monotonic())
        self._shown: Sight | None = None
        self._since = self._pace.began

    def look(self, now: float) -> bool:
        """See `Watcher`."""
        more = self._see()
        self._pace.saw(now, self.sight.done)
        return more

    def stale(self, now: float) -> bool:
        """What is shown of it is not what is."""
        return self.sight != self._shown or now - self._since >= SECOND

    def lines(self, now: float, width: int, *, over: bool, ascii_only: bool) -> list[list[Piece]]:
        """How it is shown; the first line is its own, others are of its stages."""
        self._shown, self._since = self.sight, now
        found = [compose(self._label, self.sight, self._pace, width, over=over, ascii_only=ascii_only)]
        return found + [compose_stage(stage, width) for stage in self.sight.stages]

    def broken(self, error: BaseException) -> None:
        """It cannot be shown."""
        self._say(logging.WARNING, "the progress of streams cannot be shown any more", error=error)


class Painter:
    """See the module. `clock` and `cost` are what time it is, and how much of a CPU this thread has taken."""

    def __init__(self, clock: Callable[[], float] = monotonic, cost: Callable[[], float] = thread_time) -> None:
        self.watchers: list[Watcher] = []
        self.rest = TICK
        self._clock = clock
        self._cost = cost
        self._orders: SimpleQueue[tuple[Watcher | None, Lock | None]] = SimpleQueue()
        self._pen = allocate_lock()
        self._ident = 0
        self._spent = 0.0  # by the latest look: what is seldom slow, as a first one is, is not slow

    # -- any thread --------------------------------------------------------------------------------------------------

    def order(self, watcher: Watcher | None, gate: Lock | None = None) -> bool:
        """Add it, or if it is `ending`, end it (None: all), and release the gate; False where nobody will."""
        self._orders.put((watcher, gate))
        if self._pen.locked():
            return True
        try:
            start_new_thread(self._begin, ())
        except RuntimeError:  # the interpreter is going
            return False
        return True

    def end(self, watcher: Watcher | None, wait: bool) -> None:
        """It is looked at for the last time now (None: all are)."""
        if watcher is not None:
            if watcher.gone:
                return
            watcher.ending = True
        gate = allocate_lock()
        gate.acquire()
        if self.order(watcher, gate) and wait and get_ident() != self._ident:
            gate.acquire(timeout=PATIENCE)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._pen.acquire(blocking=False):
            try:
                threading.Thread(target=self._serve, name="procession-progress", daemon=True).start()
            except RuntimeError:
                self._pen.release()

    def _serve(self) -> None:
        try:
            self._ident = get_ident()
            due = self._clock() + TICK
            while self.watchers or not self._orders.empty():
                due = self._turn(due)
        finally:
            self._ident = 0
            self._pen.release()
        if not self._orders.empty():
            start_new_thread(self._begin, ())

    def _turn(self, due: float) -> float:
        """Sleep until something is to be done, and do it; returns when to look again."""
        gates: list[Lock] = []
        try:
            self._hear(self._orders.get(timeout=max(0.0, due - self._clock())), gates)
            while True:
                self._hear(self._orders.get_nowait(), gates)
        except Empty:
            pass
        now, began = self._clock(), self._cost()
        ends = any(each.ending for each in self.watchers)
        if ends or now >= due:
            self.look(now)
            before, self._spent = self._spent, self._cost() - began
            self.rest = min(max(TICK, SHARE * min(before, self._spent)), LONGEST)
            due = now + self.rest
        for gate in gates:
            gate.release()
        return due

    def _hear(self, order: tuple[Watcher | None, Lock | None], gates: list[Lock]) -> None:
        watcher, gate = order
        if gate is not None:
            gates.append(gate)
        if watcher is None:
            for each in self.watchers:
                each.freeze()
                each.ending = True
        elif watcher not in self.watchers and not watcher.gone:
            self.watchers.append(watcher)

    def look(self, now: float) -> None:
        """At all of them; and paint what has changed."""
        live: dict[Display, list[Bar]] = {}
        over: dict[Display, list[Bar]] = {}
        for each in list(self.watchers):
            try:
                more = each.look(now)
            except Exception as error:
                each.fail(error)
                self._let_go(each)
                continue
            if not more:
                self._let_go(each)
            if isinstance(each, Bar):
                (live if more else over).setdefault(each.display, []).append(each)
        for display in {**live, **over}:
            self._paint(display, live.get(display, []), over.get(display, []), now)

    def _paint(self, display: Display, live: list[Bar], over: list[Bar], now: float) -> None:
        if not over and not any(each.stale(now) for each in live):
            return
        try:
            display.paint(live, over, now)
        except Exception as error:
            for each in live:
                self._let_go(each)
            if not display.broken:
                display.broken = True
                (live + over)[0].broken(error)
            with suppress(Exception):  # it is what does not work
                display.leave()

    def _let_go(self, watcher: Watcher) -> None:
        watcher.gone = True
        self.watchers.remove(watcher)


_painter = Painter()
_hooked = False


def watch(watcher: Watcher) -> None:
    """Look at it from now on."""
    global _hooked
    if not _hooked:
        _hooked = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_in_child)
    _painter.order(watcher)


def end(watcher: Watcher, wait: bool) -> None:
    """Look at it for the last time, now."""
    _painter.end(watcher, wait)


def _at_exit() -> None:
    if _painter.watchers:
        _painter.end(None, True)


def _in_child() -> None:
    global _painter
    for each in _painter.watchers:
        each.gone = True
        if isinstance(each, Bar):
            each.display.forsake()
    _painter = Painter()
