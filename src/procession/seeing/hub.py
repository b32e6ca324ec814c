"""The tap of this process, to which any number of listeners may listen: a trace, an observer, somebody who looks on.

Laws
1. The first listener opens the tap, the last one closes it (`tapping.turn`): while nobody listens nobody pays; and
   while all who listen want to know of pools and workers alone, tasks on processes and threads cost nothing.
2. Each listener is told what there is when it joins (engines, workers, streams), and from then on all that happens, in
   the order in which it is told of one engine. If others listened before, that may be a run which ended a moment before
   it joined. What runs when it leaves it alone is told as running; for the others nothing changes.
3. Who tells waits for nobody: `hear` of each listener is an append to a deque (`Listener`). It is bounded by
   happenings, by the runs that they tell of, and by the errors of these, about; what does not fit is dropped, and
   counted. Pools and workers are not dropped: a listener that leaves a million of these untaken hears nothing more.
4. A forked child has no listeners.
5. Who is struck by a signal while it joins has not joined; and while it leaves, it has left a moment later: the
   listener's own thread does what is left of that.
"""

from __future__ import annotations

import os
import threading
from _weakref import ref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

from procession import tapping
from procession.happenings import Began, Closed, Gone, Missed, Opened, Ran, Rows, Streamed

if TYPE_CHECKING:
    from procession.happenings import Why

Hear = Callable[[tuple[Any, ...]], object]
MOST = 100_000
"""Happenings that may wait for a listener; each is one run at least, and often thousands."""
MOST_RARE = 1_000_000
"""If so much waits, be it of pools and workers, nobody will ever take it."""
MOST_DROPS = 1000
"""Numbers of dropped runs that are not added up yet."""
MOST_RUNS = 2_000_000
"""Runs that may wait, about."""


class Hub:
    """See the module; there is one."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._forget)

    def _begin(self) -> None:
        self._hearers: tuple[Hear, ...] = ()
        self._idle: list[Hear] = []  # of these, who do not want tasks
        self.tasks = True
        self._lock = threading.RLock()
        self._known: dict[tuple[int, int], Opened | Began] = {}
        """Engines (their worker is -1) and workers; in one, so that `list` finds no worker without its engine."""
        self._streams: dict[int, tuple[Any, Streamed]] = {}
        self._numbers = count(1)

    def join(
        self, hear: Hear, ahead: Callable[[Sequence[tuple[Any, ...]]], object] | None = None, tasks: bool = True
    ) -> None:
        """Tell this one, too. `ahead` is given what there is: that belongs in front of all that `hear` has been given
        by then, since engines and workers may come and go meanwhile. `tasks`: whether it wants to know of them."""
        with self._lock:
            if not tasks:
                self._idle.append(hear)
            if not self._hearers:
                self._clear()  # of what was told when the last one had left
                self._hearers, self.tasks = (hear,), tasks
                tapping.turn(self)
                return
            tapping.unbind()  # to the others
            self._hearers = (*self._hearers, hear)
            if tasks and not self.tasks:
                self.tasks = True
                tapping.turn(self)
            if ahead is not None:
                streams = [told for _, told in list(self._streams.values())]
                ahead([*self._known.values(), *streams])

    def leave(self, hear: Hear) -> None:
        """Tell it no more; it has been told all that was over, and what runs."""
        with self._lock:
            if hear not in self._hearers:
                return
            rest = tuple(each for each in self._hearers if each != hear)
            if not rest:
                tapping.turn(None)
                self._clear()
            elif self.tasks and all(each in self._idle for each in rest):
                self.tasks = False
                tapping.turn(self)
            else:
                for engine in tapping.engines():
                    engine.part(hear)
            self._hearers = rest
            if hear in self._idle:
                self._idle.remove(hear)

    def _clear(self) -> None:
        self._known.clear()
        self._streams.clear()

    def push(self, happening: tuple[Any, ...]) -> None:
        """See `tapping.Tap`."""
        kind = happening.__class__
        if kind is not Ran and kind is not Rows:
            self._remember(happening)
        for hear in self._hearers:
            hear(happening)

    def _remember(self, told: Any) -> None:
        if isinstance(told, Opened):
            self._known[told.engine, -1] = told
        elif isinstance(told, Began):
            self._known[told.engine, told.wid] = told
        elif isinstance(told, Gone):
            self._known.pop((told.engine, told.wid), None)
        elif isinstance(told, Closed):
            for each in reversed([key for key in list(self._known) if key[0] == told.engine]):  # the engine last
                self._known.pop(each, None)

    def watch(self, stream: object, kind: str, name: str) -> int:
        """See `tapping.Tap`."""
        engine = -1 if (its := getattr(stream, "engine", None)) is None else its.number
        told = Streamed(next(self._numbers), kind, name, engine)
        forget = partial(self._streams.pop, told.number)  # C alone: nothing strikes it, and no name need be there
        self._streams[told.number] = ref(stream, forget), told
        for hear in self._hearers:
            hear(told)
        return told.number

    def streams(self) -> Iterator[tuple[Streamed, Any]]:
        """Those that live, and what was told of each."""
        for found, told in list(self._streams.values()):
            if (stream := found()) is not None:
                yield told, stream

    def _forget(self) -> None:
        """In a forked child, which has none of the threads that listen."""
        self._begin()  # the lock may have been anybody's
        tapping.turn(None)


class Stuck(RuntimeError):
    """A listener takes nothing any more."""


class Listener(ABC):
    """Who listens on a thread of its own: `take` is given what has happened, some time later, and `tick` called often.

    An error in either ends the listening: `broke` is called with it.
    """

    name = "procession-listener"
    every = 0.05
    """Seconds between two ticks."""
    wants_tasks = True
    most_runs = MOST_RUNS
    most_errors = MOST_RUNS
    """Of what waits, so many errors are kept as they are; of further ones the name of the class."""

    def __init__(self) -> None:
        self._heard: deque[tuple[Any, ...]] = deque()
        self._errors = 0
        """Errors in `_heard`, about, as `_waiting`."""
        self._waiting = 0
        """Runs in `_heard`, about: of two threads that tell at once one may not count. Right again when it is empty."""
        self._drops: deque[int] = deque()
        self._dropped = 0
        self._over = threading.Event()
        self._lost: list[threading.Event] = []
        """Of those who wait in `catch_up`: what happened before was not taken."""
        self._stuck = threading.Lock()  # acquired once, by whoever finds that nothing is taken
        self._ended = False
        """Nothing is taken any more; what is heard now is dropped by whoever sees this."""
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    @property
    def dropped(self) -> int:
        """Runs that were not told, since too many waited."""
        return self._dropped + sum(self._drops.copy())

    def begin(self) -> None:
        """Listen from now on. Raises what starting a thread raises; then nobody listens."""
        try:
            hub.join(self._hear, lambda known: self._heard.extendleft(reversed(known)), self.wants_tasks)
            self._thread.start()
        except BaseException:
            self._over.set()
            hub.leave(self._hear)
            raise

    def end(self, timeout: float | None = None) -> None:
        """Listen no more; all that was heard has been taken when this returns, unless a `take` calls it, or that takes
        more than `timeout` seconds."""
        try:
            hub.leave(self._hear)
        finally:
            self._over.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def catch_up(self, patience: float | None = 5.0) -> bool:
        """Wait until all that has happened before was taken, or so many seconds; whether it was."""
        if threading.current_thread() is self._thread:
            return False
        until = None if patience is None else monotonic() + patience
        told = tapping.catch_up(patience)
        caught = threading.Event()
        self._heard.append((caught,))
        if self._ended:
            self._lose()  # its thread may have done that before
        return caught.wait(None if until is None else until - monotonic()) and told and caught not in self._lost

    @abstractmethod
    def take(self, happening: tuple[Any, ...]) -> None:
        """This has happened."""

    def tick(self) -> None:  # noqa: B027  # there may be nothing to do
        """Some time has gone by."""

    @abstractmethod
    def broke(self, error: BaseException) -> None:
        """It raised this, or is `Stuck` (then a thread calls that tells), and is told nothing more."""

    def _hear(self, happening: tuple[Any, ...]) -> None:
        runs = runs_of(happening)
        if not runs:
            self._hear_rare(happening)
        elif len(self._heard) >= MOST or (self._waiting and self._waiting + runs > self.most_runs):
            self._drops.append(runs)
            if len(self._drops) > MOST_DROPS:
                self._drops.append(_sum(self._drops))
        else:
            if errors := errors_of(happening):
                if self._errors + errors > self.most_errors:
                    happening, errors = without_errors(happening), 0
                self._errors += errors
            self._waiting += runs
            self._heard.append(happening)

    def _hear_rare(self, happening: tuple[Any, ...]) -> None:
        """Of pools and workers there are few, and what runs refers to them; streams may be as many as calls."""
        if len(self._heard) < MOST or (happening.__class__ is not Streamed and not self._over.is_set()):
            self._heard.append(happening)
        if len(self._heard) >= MOST_RARE and not self._over.is_set() and self._stuck.acquire(blocking=False):
            self._break(Stuck(f"{len(self._heard):,} pools and workers wait to be told, and it takes none"))

    def _break(self, error: BaseException) -> None:
        """It is over, for this reason; who sees the one finds out the other."""
        try:
            self.broke(error)
        finally:
            self._over.set()

    def _run(self) -> None:
        try:
            while not self._over.wait(self.every):
                self._empty()
                self.tick()
            hub.leave(self._hear)
            self._empty()
            self.tick()
        except BaseException as error:  # also what an error's own `__str__` raises
            hub.leave(self._hear)
            self._break(error)
        finally:
            self._ended = True
            self._lose()

    def _empty(self) -> None:
        heard, drops = self._heard, self._drops
        for _ in range(len(heard)):
            happening = heard.popleft()
            if happening.__class__ is tuple:  # of `catch_up`
                happening[0].set()
                continue
            self._waiting -= runs_of(happening)
            self._errors -= errors_of(happening)
            self.take(happening)
        self._dropped += _sum(drops)
        if not heard:
            self._waiting = self._errors = 0

    def _lose(self) -> None:
        """What was heard is not taken any more: it is dropped."""
        while self._heard:
            happening = self._heard.popleft()
            if happening.__class__ is tuple:
                self._lost.append(happening[0])
                happening[0].set()
            else:
                self._dropped += runs_of(happening)


def runs_of(happening: Any) -> int:
    """How many it tells of."""
    kind = happening.__class__
    if kind is Ran or kind is Missed:
        return int(happening.items)
    return len(happening.rows) if kind is Rows else 0


def errors_of(happening: Any) -> int:
    """How many exceptions it holds, with all that they refer to."""
    kind = happening.__class__
    if kind is Ran:
        return len(happening.failed)
    return len([True for row in happening.rows if row[8] is not None]) if kind is Rows else 0


def without_errors(happening: Any) -> Any:
    """The same, which holds none."""
    if happening.__class__ is Ran:
        return happening._replace(failed=[(at, outcome, _bare(why)) for at, outcome, why in happening.failed])
    return happening._replace(rows=[(*row[:8], _bare(row[8])) for row in happening.rows])


def _bare(why: Why) -> Why:
    return (type(why).__name__, "", "") if isinstance(why, BaseException) else why


def _sum(counts: deque[int]) -> int:
    """Of what is in there, which is taken out; others may do the same meanwhile."""
    found = 0
    with suppress(IndexError):
        for _ in range(len(counts)):
            found += counts.popleft()
    return found


hub = Hub()

__all__ = ["Hub", "Listener", "hub", "runs_of"]
