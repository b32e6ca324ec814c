"""What is behind `Pool.stream`: the turns of one generator, posted as tasks; what it yields, kept for who takes it.

Laws (core/turns.py has those of the turns; core/homes.py those of where they run)
1. `turns` is changed under `lock` only, which is reentrant, since a signal handler or a finalizer may come back in. No
   code of a user runs under it, not even what goes with a value that is let go of, and nobody who holds it takes
   another lock of ours.
2. One turn at a time is posted, by one thread at a time (`pump`). A turn that a raising signal has struck on its way
   stays in `_unposted`, and the next pump posts it again: what is posted twice runs once (`CallFuture.claim`). It is
   there before it counts as being out, and counts so before it is posted.
3. Values are told by the engine's thread (threads: by the worker that drives), before the outcome of their turn is.
4. A stream is of the process that has made it: in a forked child it is refused, and closing it does nothing.
5. A further run begins the generator anew. It is arranged by the core, as for any task, and the turn learns in `again`
   what it is to be then. Runs are counted for the stream, not for the turn.
"""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from procession.backends.base import Engine
from procession.backends.roles import Attempts
from procession.backends.saying import say
from procession.backends.scripts import Scene, time_of
from procession.core.flow import NOTHING
from procession.core.rules import SECOND, Rules
from procession.core.task import Home, Task
from procession.core.turns import ENDED, FIRST, MOST, Kind, Turn, Turns
from procession.driver import lifecycle
from procession.on_error import no_end
from procession.starts import SinkFuture
from procession.stream_bounds import AUTO_BYTES, SAMPLED
from procession.types import Raised
from procession.waiting import Bell
from procession.weighing import weigh
from procession.worker.turns import CLOSED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STOP_NS = 2 * SECOND
"""A generator that runs when nobody wants it any more has so long to come to its next yield, and to end."""


class Seat(Home):
    """The worker in which a generator lives."""

    __slots__ = ()

    def lives(self, outcome: object) -> bool:
        """See `core.task.Home`."""
        return outcome.__class__ is int and outcome != ENDED


class TurnFuture(SinkFuture):
    """One turn."""

    course: TurnCourse
    turn: Turn

    def again(self, index: int) -> Task:
        """See `core.task.Task`: the next run of the generator."""
        super().again(index)
        self.turn = self.course.turns.again()
        self.function, self.body = self.course.script.call(self.turn)
        return self

    def shown(self) -> tuple[Any, bool]:
        """What messages tell the arguments of; whether that carries its function."""
        return self.course.script.shown(), True


def make_rules(rules: Rules, can_kill: bool) -> dict[Kind, Rules]:
    """A first turn may wait too long to begin, later ones not; the last one has no further run.

    Where workers can be killed, that has as long as one that is closed while it runs.
    """
    stop_ns = rules.grace_ns or STOP_NS
    begin = rules.but(stop_ns=stop_ns)
    end = begin.but(queue_ns=None, retries=0, again_after=frozenset())
    if can_kill:
        end = end.but(timeout_ns=stop_ns, grace_ns=0)
    return {Kind.BEGIN: begin, Kind.GO_ON: begin.but(queue_ns=None), Kind.END: end}


class TurnCourse:
    """One generator, its turns and its values."""

    def __init__(
        self,
        engine: Engine,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        name: str,
        rules: Rules | None,
        around: Any = None,
    ) -> None:
        self._pid = os.getpid()
        self._caller = caller = engine.capabilities.in_caller
        self.engine = engine
        self.name = name
        self.turns = Turns(1 if caller else FIRST, 1 if caller else MOST)
        self.lock = threading.RLock()
        self.bell = Bell()
        self.unwanted = False
        self.weight = 0  # of a value, about
        self._weighed_in = 0  # the turn of which one was weighed last
        self._rules = rules if rules is not None else Rules()
        self._rules_of = make_rules(self._rules, engine.capabilities.can_kill)
        time_ns = time_of(self._rules.timeout_ns)
        self.script = engine.script(Scene(fn, args, kwargs, name, time_ns, self.again, around))
        self._seat = Seat()
        self._unposted: TurnFuture | None = None
        self._poster = 0  # the thread that pumps, or 0
        self._tries = 0
        self._attempts: Attempts | None = None
        self.script.attach(self)

    @property
    def again(self) -> bool:
        """There may be further runs."""
        return self._rules.retries > 0

    # -- values: what `backends.scripts.Outlet` asks for -----------------------------------------------------------

    @property
    def arrived(self) -> int:
        """So many values have come."""
        return self.turns.arrived

    def came(self, place: int, value: Any) -> None:
        """The generator has yielded this."""
        turns = self.turns
        with self.lock:
            if value.__class__ is Raised:
                news = turns.spoil(place, value.error)
            else:
                news = turns.arrive(place, value)
        if not news:
            return
        arrived = turns.arrived
        if arrived < SAMPLED or not arrived % SAMPLED or self._weighed_in != turns.turns:
            self._weighed_in = turns.turns  # the first of each turn: they may be large from now on, and slow
            self.weight = max(weigh(value), self.weight // 2)
            turns.limit = AUTO_BYTES // self.weight if self.weight else turns.most
        if turns.spoiled:
            self.stop()
        if self.bell.sleepers:
            self.bell.ring()

    # -- turns -----------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Post the turn that is wanted, if one is, unless somebody is at it, who then looks again."""
        me, mine = threading.get_ident(), False
        try:
            while True:
                with self.lock:
                    if not mine and self._poster:
                        return
                    mine, self._poster = True, me
                    future = self._doubtful() or self._next()
                    if future is None:
                        mine, self._poster = False, 0
                        return
                    self._unposted = future
                    self.turns.goes_out(future.turn)
                self._post(future)
        finally:
            if mine:
                self._poster = 0

    def _doubtful(self) -> TurnFuture | None:
        """The turn of which it is not known whether it was posted, unless it has arrived for certain."""
        future = self._unposted
        if future is not None and (future.tries > self._tries or future.renewed() is None):
            future = self._unposted = None
        return future

    def _next(self) -> TurnFuture | None:
        """The turn that is wanted, as a task. Under the lock."""
        turn = self.turns.wanted()
        if turn is None:
            return None
        function, body = self.script.call(turn)
        future = TurnFuture(function, body)
        future.course, future.turn, future.sink = self, turn, self
        future.home, rules = self._seat, self._rules_of[turn.kind]
        if self._caller and self._tries:
            rules = rules.but(retries=max(0, rules.retries - self._tries))  # there a task's runs are counted from 0
        future.rules, future.tries, future.attempts = rules, self._tries, self._attempts
        if turn.kind is not Kind.END:
            future.group = self  # what a cancel ends
        return future

    def _post(self, future: TurnFuture) -> None:
        try:
            self.engine.post([future])
        except Exception as error:
            if self.engine.takes_work:
                raise  # a signal handler has raised it
            with self.lock:
                self.turns.failed(error)
            self._finish()
        if self._unposted is future:
            self._unposted = None
        if self.unwanted and future.group is self:  # it was closed meanwhile, and its cancel came before this
            self.engine.cancel_group(self, True)

    def settled(self, futures: list[TurnFuture]) -> None:
        """See `roles.Sink`."""
        for future in futures:
            self._tries, self._attempts = future.tries + (self._tries if self._caller else 0), future.attempts
            error = CancelledError() if future.cancelled() else future._exception
            with self.lock:
                if error is None:
                    self.turns.answered(future._result)
                elif isinstance(error, CancelledError):
                    self.turns.dropped(error)
                else:
                    self.turns.failed(error)
            if error is not None and self.unwanted:
                self._say(error)
        if not self.again:
            self.script.begun()
        if self.turns.over:
            self._finish()
        self.bell.ring()
        if self.turns.due:
            self.pump()

    def _say(self, error: BaseException) -> None:
        """Nobody takes any more who could be told. What it has raised by itself nobody wants to know."""
        if CLOSED in getattr(error, "__notes__", ()):
            say(logging.ERROR, "the generator of %s raised as its stream was closed", self.name, error=error)

    def _finish(self) -> None:
        self.script.over()
        self.bell.ring()

    # -- taking ----------------------------------------------------------------------------------------------------

    def take(self) -> Any:
        """The next value; NOTHING when there is none yet. Raises the error that it ends with; StopIteration.

        Where the taker drives the generator itself it does so when nothing is there: no value waits for its successor.
        """
        self.refuse_foreign()
        turns = self.turns
        value: Any = NOTHING
        try:
            with self.lock:
                value = turns.take()
            if (turns.due or self._unposted is not None) and not (self._caller and value is not NOTHING):
                self.pump()
            if value is not NOTHING or not turns.ended:
                return value
        except BaseException:
            if value is not NOTHING:
                with self.lock:
                    turns.untake(value)
            raise
        error = turns.take_error()
        if error is None:
            raise StopIteration
        try:
            raise no_end(error, self.name)
        finally:
            del error  # no cycle through the frame

    def refuse_foreign(self) -> None:
        """Raise RuntimeError in a forked child, where nobody is who could say more of a worker's generator."""
        if self._pid != os.getpid() and not self._caller:
            raise lifecycle.foreign()

    def stirred(self) -> bool:
        """Whether a taker should look; what was left undone is done on the way."""
        if self._unposted is not None or self.turns.due:
            self.pump()
        return bool(self.turns.ready) or self.turns.ended

    # -- ending ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Nobody takes any more: the generator is ended where it lives. Any thread; may be called again."""
        if self._pid != os.getpid() and not self._caller:
            return  # it is the parent's, and our lock may have been somebody's who is not here
        dropped = self.turns.ready  # kept until the lock is free: what goes with a value is code of a user
        with self.lock:
            if self.turns.closed and self.turns.over:
                return
            self.turns.close()
        del dropped
        self.stop()
        if self.turns.over:
            self._finish()
        self.bell.ring()

    def drop(self) -> None:
        """The same, by a finalizer."""
        self.close()

    def stop(self) -> None:
        """Have what runs end, and then, or now, the generator."""
        self.unwanted = True
        if self.turns.out:
            self.engine.cancel_group(self, True)
        self.pump()


def start(course: TurnCourse) -> None:
    """Post the first turn. Raises what the engine says when it takes none."""
    course.pump()
    if course.turns.over and not course.engine.takes_work and (error := course.turns.take_error()) is not None:
        raise error


__all__ = ["Seat", "TurnCourse", "TurnFuture", "start"]
