"""`procession.observe`: have a function, or a logger, told what pools, workers and tasks of this process do.

Laws
1. It listens as seeing/hub.py has it: work waits for nothing, and all calls come from one thread of the observer's own,
   in the order in which it was told of one pool. What comes faster than it is taken is dropped and counted, and the
   observer is told how much.
2. What the function raises, whatever it is, ends the observing: it is logged once, and nothing else notices.
3. `close` has all told that had happened before. It may be called by anybody; by the function itself it ends at once,
   and what waits is dropped. The interpreter's end calls it, and waits no longer than LAST.
4. A forked child has no observers.
"""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, get_args, overload

from procession import tapping
from procession.backends.saying import say
from procession.events import Event, EventsDropped, TaskEnded
from procession.happenings import Missed, Ran, Rows, Streamed
from procession.seeing.hub import Listener, Stuck, hub
from procession.seeing.logged import log
from procession.seeing.telling import Telling

if TYPE_CHECKING:
    from types import TracebackType

LAST = 5.0
"""Seconds that the interpreter's end waits for what is still to be told."""
MOST = 200_000
"""Ends of tasks that may wait to be told, about."""
MOST_ERRORS = 10_000
"""Of these, so many exceptions are kept, about."""
E = TypeVar("E", bound=Event)
F = TypeVar("F", bound=Event)
OF_TASKS = frozenset((Ran, Rows, Missed, Streamed))
KINDS: tuple[type, ...] = get_args(Event)


@overload
def observe(fn: Callable[[E], object], *, events: type[E] | Iterable[type[E]]) -> Observer: ...
@overload  # of two different ones mypy finds what is common, which is no event
def observe(fn: Callable[[E | F], object], *, events: tuple[type[E], type[F]]) -> Observer: ...
@overload
def observe(
    fn: Callable[[Event], object] | logging.Logger | logging.LoggerAdapter[Any],
    *,
    events: type[Event] | Iterable[type[Event]] | None = None,
) -> Observer: ...
def observe(
    fn: Callable[[Any], object] | logging.Logger | logging.LoggerAdapter[Any],
    *,
    events: Any = None,
) -> Observer:
    """Call `fn` with each event of all pools of this process from now on, until the observer returned is closed.

    fn: a function of one event (the classes are in `procession.events`; `match` takes them apart); or a logger, which
        gets a record of each: failed tasks and lost workers at WARNING, pools at INFO, the rest at DEBUG, the event as
        `record.event`.
    events: one of those classes, or several: only of such it is told. None: of all.

    Tasks are told when they have ended, some 50 ms later, and many at once; pools and workers that there are already
    are told first. All calls come from one thread; those of one worker in order, its start before its tasks, and its
    end behind them. The work waits for none of them: if more than some 200,000 ends of tasks wait, what comes then is
    dropped, counted, and told as `EventsDropped`; of more than 10,000 errors that wait, the further ones are told by
    the name of their class alone. What `fn` raises is logged (logger "procession"), and ends the observing; so does
    leaving a million events of pools and workers untaken.

    While somebody observes tasks, work costs what a trace costs (docs/seeing.md); of pools and workers alone, next to
    nothing. Workers that exist already are observed
    from their next batch of tasks on. A forked child has no observers.

    Raises TypeError when `fn` cannot be called with one argument, or is a coroutine function, and for `events` that are
    none.
    """
    observer = Observer(_told(fn), fn, _kinds(events))
    observer._start()
    return observer


def _told(fn: Any) -> Callable[[Event], object]:
    if isinstance(fn, logging.Logger | logging.LoggerAdapter):
        return partial(log, fn)
    if not callable(fn):
        raise TypeError(f"fn must be a function of one event, or a logger; got {fn!r}")
    called = fn
    while isinstance(called, partial):
        called = called.func
    if inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(getattr(called, "__call__", None)):  # noqa: B004
        raise TypeError(
            f"fn must be a plain function, since a thread calls it; got the coroutine function {fn!r}. "
            "Have a plain one call loop.call_soon_threadsafe"
        )
    if not _takes_one(fn):
        raise TypeError(f"fn must take one argument, the event; got {fn!r}")
    told: Callable[[Event], object] = fn
    return told


def _takes_one(fn: Callable[..., object]) -> bool:
    """Where nothing is known, it is tried."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True


def _kinds(chosen: Any) -> tuple[type, ...]:
    if chosen is None:
        return KINDS
    kinds = (chosen,) if isinstance(chosen, type) or not isinstance(chosen, Iterable) else tuple(chosen)
    wrong = [each for each in kinds if each not in KINDS]
    if wrong or not kinds:
        names = ", ".join(kind.__name__ for kind in KINDS)
        got = repr(wrong[0]) if wrong else "none"
        raise TypeError(f"events must be one or several classes of procession.events ({names}); got {got}")
    return kinds


class Observer(Listener):
    """Who observes; made by `procession.observe`. As a context manager it is closed at the end of the block."""

    name = "procession-observer"
    most_runs = MOST
    most_errors = MOST_ERRORS

    def __init__(self, call: Callable[[Event], object], fn: object, kinds: tuple[type, ...]) -> None:
        super().__init__()
        self._call = call
        self._fn = fn
        self._kinds = kinds
        self.wants_tasks = TaskEnded in kinds
        self._telling = Telling(time.time_ns() - time.perf_counter_ns())
        self._told = 0  # of what was dropped
        self._leaving = False
        self._pid = os.getpid()
        self._error: BaseException | None = None

    @property
    def error(self) -> BaseException | None:
        """What `fn` has raised, and thereby ended the observing."""
        return self._error

    @property
    def active(self) -> bool:
        """Whether it is told of what happens now."""
        return self._pid == os.getpid() and not self._over.is_set()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that has happened before was told, or so many seconds; whether it was.

        In `fn` itself nothing can be waited for: False. So it is when `fn` has raised.
        """
        return self._pid != os.getpid() or self.catch_up(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Tell what has happened before, and nothing more; may be called again.

        timeout: seconds; what is then still to be told is dropped, and counted. None: wait for all of it. When `fn`
            itself calls this, it waits for nothing, and that event was the last.
        """
        if self._pid != os.getpid():
            return
        atexit.unregister(self._at_exit)
        self.end(timeout)
        self._leaving = True

    def __enter__(self) -> Observer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<procession observer {self._fn!r}, {'active' if self.active else 'closed'}, {self.dropped} dropped>"

    def _start(self) -> None:
        atexit.register(self._at_exit)
        try:
            self.begin()
        except BaseException:
            atexit.unregister(self._at_exit)
            raise

    def _at_exit(self) -> None:
        self.close(LAST)

    # -- its thread ----------------------------------------------------------------------------------------------------

    def _hear(self, happening: tuple[Any, ...]) -> None:
        if self.wants_tasks or happening.__class__ not in OF_TASKS:
            super()._hear(happening)

    def take(self, happening: tuple[Any, ...]) -> None:
        """See `Listener`."""
        kinds, call = self._kinds, self._call
        for event in self._telling.events(happening):
            if self._leaving:
                self._dropped += event.__class__ is TaskEnded
            elif event.__class__ in kinds:
                call(event)

    def tick(self) -> None:
        """See `Listener`."""
        tapping.unbind()
        self._telling.forget(lambda: (told.number for told, _ in hub.streams()))
        new = self.dropped - self._told
        if new and EventsDropped in self._kinds and not self._leaving:
            self._told += new
            self._call(self._telling.dropped(new, time.perf_counter_ns()))

    def broke(self, error: BaseException) -> None:
        """See `Listener`."""
        self._error = error
        atexit.unregister(self._at_exit)
        why = "takes nothing" if isinstance(error, Stuck) else "has raised"
        say(logging.ERROR, "the observer %r %s, and is told nothing more", self._fn, why, error=error)
