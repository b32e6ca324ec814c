"""One run of a pipeline: a thread that steps the journey, hands starts to the stages' engines and hears their outcomes.

Laws
1. The journey (core/journey.py) is stepped under `lock`, by the conductor's thread alone, which no signal strikes; but
   takers take, and whoever closes cancels. No code of a user runs under the lock.
2. Keys are asked for, and arguments are pickled, by the conductor: not by an engine's thread, which others wait for,
   and not by the taker's, which would not be there while it is busy with a result.
3. Each start is answered once: by the outcome of its future, by why that could not be sent, or by that its inputs are
   to start again, each alone (together.py).
4. The source is pulled by takers, or by a thread of its own (`live`), never while the lock is held. What was pulled is
   in `pulled` in one step of the interpreter, and leaves it when the journey has it.
5. Once closed nothing starts; what runs is cancelled; the conductor ends, and with it the engines, if they are its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Sequence
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from procession.backends.joinable import JoinableThread
from procession.backends.saying import say
from procession.core.journey import Journey
from procession.core.journey_node import Node, Start
from procession.core.rules import SECOND
from procession.pipeline_bounds import Keeper
from procession.pipeline_calls import Calls
from procession.pipeline_source import Source
from procession.pipeline_stage import Work
from procession.pipeline_stats import Account
from procession.seeing.progress import OFF, Meter
from procession.types import Raised
from procession.waiting import Bell

if TYPE_CHECKING:
    from _contextvars import Context

    from procession.seeing.lines import Sight
    from procession.seeing.sources import Progress
    from procession.watching import Crew

_NO_WORDS: dict[str, Any] = {}


class Conductor:
    """See the module. `own`: the engines end with the run."""

    def __init__(self, works: Sequence[Work], source: Source, keeper: Keeper, *, ordered: bool, own: bool) -> None:
        self.works = works
        self.own = own
        self.lock = threading.RLock()
        plans = [work.stage.plan(ordered, work.pace) for work in works]
        self.journey = Journey(plans, keeper.window, ordered=ordered)
        self.keeper = keeper
        self.account = Account(works, monotonic_ns())
        self.source = source
        self.args: dict[Node, Any] | None = None  # what was given to the stage that failed, where somebody may ask
        self.bell = Bell()  # for takers
        self.over = False  # the conductor has ended, or is about to
        self._work = Bell()  # for the conductor
        self._poked = False
        self._handed = 0  # when it looked
        self._calls = Calls(works, self.journey, self.lock, self._work.ring)
        if number := self._calls.stream_number:
            from procession.pipeline_clocks import clocked

            self._calls.clocks = clocked(number, self)
        self._closing = False
        self._cancelled = False  # what was out has been cancelled
        self.seeded: int | None = None
        self.context: Context | None = None  # in which it was begun, where somebody may ask
        self.meter: Meter = OFF
        self.total: int | None = None  # so many items there will be, where that is known
        self.keen = False  # see `seeing.sources.Source`
        self._crew: Crew | None = None
        self._pid = os.getpid()
        self.thread = JoinableThread(self._serve, "procession-pipeline")

    # -- who waits for what ------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether there is something to take, or nothing will come any more."""
        return bool(self.journey.ready) or self.ended

    @property
    def ended(self) -> bool:
        """Everything was handed over, or is not wanted."""
        journey = self.journey
        return journey.ended or journey.cancelled or (self.over and not journey.ready)

    @property
    def wanted(self) -> int:
        """How many items may be pulled."""
        source = self.source
        with self.lock:  # what was pulled and is being admitted would count nowhere
            return 0 if source.exhausted else self.journey.room - len(source.pulled)

    def due(self) -> bool:
        """Whether it is a taker's turn to pull."""
        return not self.source.live and not self.source.busy and self.wanted > 0

    def stirred(self) -> bool:
        """Whether a sleeping taker should look."""
        return self.ready or self.due() or self.keen

    def poke(self) -> None:
        """Have the conductor look."""
        self._poked = True
        self._work.ring()

    def refuse_foreign(self) -> None:
        """RuntimeError in a forked child, which has no conductor."""
        if self._pid != os.getpid():
            raise RuntimeError("this pipeline belongs to the parent process, which forked: make a new one here")

    # -- pulling -----------------------------------------------------------------------------------------------------

    def pull(self) -> None:
        """Take some items from the source, in the taker's thread; one taker at a time."""
        source, mine = self.source, False
        try:
            with self.lock:
                if source.busy:
                    return
                source.busy = mine = True
            if (clocks := self._calls.clocks) is not None:
                clocks.begin("source")
            source.take_some(self.wanted)
        finally:
            if mine:
                source.busy = False
                if self._calls.clocks is not None:
                    self._calls.clocks.end("source")
            self.poke()
        if self.over or self._closing:
            source.close()

    # -- the conductor -----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        paces = [work.pace for work in self.works if work.pace is not None]
        for pace in paces:
            pace.rested[self.poke] = None
        try:
            while not self.over:
                with self.lock:  # takers may close it meanwhile
                    alarm = self.keeper.alarm(self.journey)
                self._work.sleep(self._called, None if alarm is None else alarm / SECOND)
                self._step()
        except BaseException as error:  # a bug of ours hangs nobody
            self.source.fail(error)
            self._finish()
            raise
        finally:
            for pace in paces:
                pace.rested.pop(self.poke, None)
            self.bell.ring()

    def _called(self) -> bool:
        """Asked when it is rung, and once a second: whoever was to ring may have been struck."""
        journey, source = self.journey, self.source
        if self._poked or self._calls.arrived or source.pulled or journey.handed != self._handed:
            return True
        return (source.exhausted and not journey.closed) or (self._closing and not journey.cancelled)

    def _step(self) -> None:
        self._poked = False
        self._handed = self.journey.handed
        now = monotonic_ns()
        heard = self._calls.hear(opens=self.args is not None)
        with self.lock:
            if self._closing:
                self.journey.cancel()
            self.keeper.hold(self.journey)
            self._tell(heard, now)
            self._admit(now)
            self.journey.clock(now)
        while True:
            with self.lock:
                self.keeper.adapt(self.journey, self.account, now)
            if not self._ask_keys(now) and not self._post(now):
                break
        with self.lock:
            self.account.look(self.journey, now)
            done = self.journey.ended
        if self.journey.cancelled and not self._cancelled:
            self._cancelled = True
            self._calls.cancel()
        if done:
            self._finish()
        if self.bell.sleepers and self.stirred():
            self.bell.ring()
        if self.source.room.sleepers and (self.wanted > 0 or self.over):
            self.source.room.ring()

    def _tell(self, heard: Sequence[tuple[Start, list[Any]]], now: int) -> None:
        for start, found in heard:
            if self.args is not None:
                failed = [n for n, outcome in enumerate(found) if outcome.__class__ is Raised]
                self.args.update((start.nodes[n], start.nodes[n].value) for n in failed)
            self._calls.answered(start)
            self.journey.done(start, found, now)

    def _admit(self, now: int) -> None:
        exhausted = self.source.exhausted  # before what it has left in `pulled` is looked at
        pulled = self.source.pulled
        if pulled and not self.journey.closed:
            self.journey.admit([pulled.popleft() for _ in range(len(pulled))], now)
        if exhausted and not self.journey.closed:
            self.journey.close()

    def _ask_keys(self, now: int) -> bool:
        """Tell the journey the keys that it asks for; whether there were any."""
        with self.lock:
            nodes = self.journey.unkeyed()
        for node in nodes:
            function = self.works[node.stage].stage.key
            assert function is not None
            key: Hashable = None
            try:
                key = function(node.value)
                hash(key)
            except Exception as error:
                key = Raised(error)
                if self.args is not None:
                    self.args[node] = node.value
            with self.lock:
                self.journey.keyed(node, key, now)
        return bool(nodes)

    def _post(self, now: int) -> bool:
        """Hand over what is to start; whether there was something that could not be, and so more may start now."""
        failed = False
        for number, work in enumerate(self.works):
            with self.lock:
                starts = self.journey.starts(number)
                batch = [starts.popleft() for _ in range(len(starts))]
            if batch:
                refused = self._calls.send(work, batch)
                with self.lock:
                    self._tell([(start, [Raised(error)] * start.size) for start, error in refused], now)
                failed = failed or bool(refused)
        return failed

    def surround(self, seed: int | None) -> None:
        """The stages run in the caller's surroundings, and draw their random numbers by this; before the first item."""
        self.seeded = seed
        self._calls.functions = [work.surrounded(seed) for work in self.works]

    # -- progress ----------------------------------------------------------------------------------------------------

    def watch(self, progress: Progress, total: int | None, waits: bool = True) -> None:
        """Show it from now on, if that is wanted."""
        if progress is False:
            return
        from procession.seeing.progress import begin
        from procession.watching import Crew

        self.total = total
        self._crew = Crew(self.works)
        try:
            self.meter = begin(progress, self, "pipeline", say, waits=waits)
        except BaseException:  # the making of a bar of another kind
            self._finish()
            raise

    def count(self) -> tuple[int, int | None, bool]:
        """See `seeing.sources.Source`: an item is completed when all that became of it was handed over."""
        journey = self.journey
        done, admitted, closed = journey.returned, journey.admitted, journey.closed and not journey.cancelled
        return done, admitted if closed else self.total, closed and done == admitted

    def sight(self) -> Sight:
        """See `seeing.sources.Source`."""
        assert self._crew is not None
        return self._crew.sight(self.count(), self.journey.stations)

    def call_taker(self) -> None:
        """See `seeing.sources.Source`."""
        self.bell.ring()

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Nothing more starts, what runs is cancelled, nothing is handed over. Any thread; may be called again.

        By the conductor's own (a key function, or the collector in the middle of a step) it is only noted.
        """
        self.meter.freeze()
        self._closing = True
        if threading.get_ident() != self.thread.ident:
            with self.lock:
                self.journey.cancel()
        self.source.close()
        self.poke()
        self.bell.ring()
        self.source.room.ring()

    def ends(self, how: str) -> None:
        """See `handover.Handover.over`."""
        if self._calls.clocks is not None:
            self._calls.clocks.over(how)

    def abandon(self) -> None:
        """Nobody has the stream any more; in a forked child it was never ours."""
        if self._pid == os.getpid():
            self.close()

    def _finish(self) -> None:
        """Nothing is out and nothing comes."""
        self.over = True
        if self.own:
            for work in self.works:
                work.engine.shutdown(wait=False, cancel=False)
        self.source.room.ring()


def drain(conductor: Conductor) -> None:
    """Nothing more is pulled or begun; what has begun goes through all stages, and then it ends. Any thread."""
    conductor._calls.draining = True
    conductor.source.end()
    conductor.source.room.ring()
    conductor.poke()
