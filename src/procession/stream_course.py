"""What is behind a map or an imap: items pulled from a source, sent as chunks of a run, and handed over.

Laws
1. One thread pulls at a time, and no lock is held while the source or a user's key function runs.
2. Items go from the source to `pulled` inside one C call, and leave `pulled` in the step that admits them: a raising
   signal loses none of them.
3. An error of the source ends the stream behind the items that came before it; only what is no `Exception` (Ctrl-C)
   comes out at once, where it strikes.
4. Once cancelled, nothing more is pulled or started, and outcomes are let go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from procession.backends.base import Engine, Function
from procession.core.flow import NOTHING, UNBOUNDED, FlowCore
from procession.core.flow_cancelled import CancelledFlow
from procession.core.gate import Gate
from procession.gatekeeper import Gatekeeper
from procession.pacing import SharedPace, paced
from procession.seeing.progress import OFF, Meter
from procession.starts import StreamChunk, failed
from procession.stream_bodies import Bodies
from procession.stream_bounds import NO_BOUNDS, Bounds
from procession.stream_pulling import close_if_ours

if TYPE_CHECKING:
    from procession.on_error import OnError
    from procession.seeing.sources import Progress

BLOCK = 1024
"""Items pulled at once at most."""
QUICK_NS = 200_000
"""A block that took less is followed by a larger one; after one that took more, items are pulled one by one."""
NARROW = 1 << 60
"""Numbers beyond it are handed over one by one."""
PATIENCE_NS = 2_000_000
"""When something is ready, pulling goes on no longer than this."""


class Course(Bodies):
    """One stream's source, flow and runs."""

    lazy = False  # outcomes are to be loaded

    def __init__(
        self,
        engine: Engine,
        function: Function,
        iterables: Sequence[Any],
        *,
        bounds: Bounds = NO_BOUNDS,
        ordered: bool = True,
        key: Callable[..., Hashable] | None = None,
    ) -> None:
        super().__init__(engine, function, len(iterables) == 1, bounds, ordered)
        self.numbers = iterables[0] if self.single and _is_narrow(iterables[0]) else None
        self.sources = [iter(iterable) for iterable in iterables]
        self.source: Iterator[Any] = self.sources[0] if self.single else zip(*self.sources, strict=False)
        self.key = key
        self.pulled: deque[Any] = deque()
        self.error: BaseException | None = None
        self.refusal: BaseException | None = None
        self.kills = False  # a cancel ends what runs, too
        self._quiet = False  # a cancel has been carried out
        self.meter: Meter = OFF
        self.keen = False  # a taker is to call the meter's `report`
        self.errors = 0  # that are known, where progress is shown
        self.recalled = 0  # items whose outcome a journal had
        self._block = 1
        self._puller = False

    def watch(self, progress: Progress, total: int | None, waits: bool = True) -> None:
        """Show its progress: this one has none, see watching.py."""

    # -- taking in -------------------------------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether a taker that pulls should pull now, or finish what an interrupted one has left."""
        flow = self.flow
        return not flow.closed and flow.admitted - flow.handed <= self.low

    def stirred(self) -> bool:
        """See `Handover.stirred`; it may be the sleeper's turn to pull, or to report progress."""
        return super().stirred() or (self.due and not self._puller) or self.keen

    def keep(self, rate: float) -> None:
        """Items start one by one, so many a second; before any is pulled. Raises what the engine would, if it ended."""
        if not self.engine.takes_work:
            self.engine.post(())
        pace = SharedPace(rate)
        self.rules = paced(self.rules, pace)
        queue_ns = None if self.rules is None else self.rules.queue_ns
        self.gate = Gatekeeper(self, Gate(self.engine.max_workers, pace=pace), self.function.name, queue_ns)

    def next_run(self, lazy: bool) -> list[Any] | None:
        """Some outcomes whose turn it is, the last one first; `lazy`: just one, since it makes room for another."""
        with self.lock:
            if lazy:
                outcome = self.flow.take()
                return None if outcome is NOTHING else [outcome]
            run = self.flow.take_run()
        if run is not None:
            run.reverse()
        return run

    def take_all(self) -> None:
        """Pull all there is, now, in this thread, as one block."""
        self.flow.window = UNBOUNDED
        if self.clocks is not None:
            self.clocks.begin("source")
        items = self.numbers if self.numbers is not None else list(self.source)
        self.exhausted = True
        self._send(self.flow, items)
        self.end_input()

    def fill(self, at_once: bool = False) -> None:
        """Pull into what room there is, unless another thread is pulling. `at_once`: results that wait may wait."""
        mine = False
        try:
            with self.lock:
                if self._puller:
                    return
                self._puller = mine = True
            if self.clocks is not None:
                self.clocks.begin("source")
            began = perf_counter_ns()
            while self._more() and (at_once or not self.flow.ready or perf_counter_ns() - began < PATIENCE_NS):
                pass
        finally:
            if mine:
                self._puller = False
                if self.clocks is not None:
                    self.clocks.end("source")
        if self.cancelled:
            self.close_source()

    def _more(self) -> bool:
        """One block; False when there is no room or nothing left."""
        self.advance()
        if self.exhausted:
            return False
        flow = self.flow
        least = self.measure()
        self.low = flow.window - least
        room = flow.room
        if room < least:
            return False
        began = perf_counter_ns()
        count = min(room - room % least, self._block * least if self.grain else self._block)
        self.pull(count)
        quick = perf_counter_ns() - began < QUICK_NS
        self._block = min(self._block * 2, BLOCK) if quick else 1
        self.advance()
        return True

    def pull(self, count: int) -> None:
        """Take up to `count` items from the source."""
        try:
            self.pulled.extend(islice(self.source, count))
        except Exception as error:
            if len(self.pulled) >= count:
                raise  # the source gave all that was asked for: this is a signal handler's
            self.error = error
            self.exhausted = True
        else:
            if len(self.pulled) < count:
                self.exhausted = True

    def advance(self) -> None:
        """Admit and send what was pulled; at the end of the input, say so."""
        flow = self.flow  # looked up before `cancelled`: after a cancel there is another, which stays empty
        while self.pulled and not self.cancelled and not flow.closed:
            if self.key is None:
                self._send(flow, list(self.pulled))
            else:
                self._send_keyed(flow, self.pulled[0], self.key)
        if self.flow.starts:
            self.pump()
        if self.exhausted and not self.flow.closed:
            self.end_input()

    def _send(self, flow: FlowCore, items: list[Any] | range) -> None:
        starts = self._chunks(flow.admitted, items)
        none: deque[Any] = deque()
        with self.lock:
            flow.admit(len(items))
            self.pulled = none
            flow.starts += starts
        self.pump()

    def _send_keyed(self, flow: FlowCore, item: Any, key: Callable[..., Hashable]) -> None:
        index = flow.admitted
        lane: Hashable = None
        try:
            lane = key(item) if self.single else key(*item)
            hash(lane)
            (start,) = self._chunks(index, [item])
        except Exception as error:
            lane, start = object(), failed(index, error)
            self.knows = True
            if self.args is not None:
                self.args[index] = (item,) if self.single else item
        with self.lock:
            if isinstance(start, StreamChunk):
                self.give_home(start, lane)
            flow.admit_keyed(lane, start)
            del self.pulled[0]

    # -- going out, where a journal has a say (stream_journal.py) ----------------------------------------------------

    def load(self, outcome: Any) -> Any:
        """What was taken, of one that is `lazy`: it may lie in a file."""
        return outcome

    def decide(self, error: BaseException, on_error: OnError) -> OnError:
        """What becomes of an item with this error."""
        return on_error

    # -- ending ----------------------------------------------------------------------------------------------------

    def refused(self, posted: list[Any], error: BaseException) -> None:
        """See `Handover.refused`: the stream ends with this error where these items would have been."""
        with self.lock:
            for chunk in posted:
                for index in range(chunk.start, chunk.start + chunk.size):
                    self.flow.drop(index)
        self.refusal = error
        self.error = self.error or error
        self.exhausted = True
        self.end_input()

    def raise_if_refused(self) -> None:
        """At the call, the engine's refusal is the caller's."""
        if self.refusal is not None:
            raise self.refusal

    def drain(self) -> None:
        """Nothing more is pulled or started. What runs finishes and comes out, and then the stream ends. Any thread.

        What was pulled and had not started is cancelled, each item at its place, as one that fails.
        """
        if self.engine.foreign or self.flow.ended or self.cancelled:
            return
        self.knows = self.draining = self.exhausted = True
        self.end_input()
        self.pump()

    def pump(self) -> None:
        """See `Handover.pump`. Whoever was posting when it began to drain has that taken back."""
        super().pump()
        if self.draining:
            for run in list(self.runs.values()):
                self.engine.cancel_group(run)

    def cancel(self) -> None:
        """Nothing of it is to start any more, and nothing is handed over. Any thread; may be called again.

        What runs is ended, too, if it is an imap's.
        """
        if self._quiet or self.engine.foreign or (self.flow.ended and not self.cancelled):
            return
        self.cancelled = self.exhausted = True
        for run in list(self.runs.values()):
            run.cancelled = True
        for run in list(self.runs.values()):
            self.engine.cancel_group(run, self.kills)
        self.flow = CancelledFlow()  # what the old one holds is let go
        self._quiet = True
        if self.gate is not None:
            self.gate.call()
        if self.spill is not None:
            self.spill.close()
        if self.ledger is not None:
            with self.lock:
                self.ledger.clear()
        self.bell.ring()
        self.room.ring()

    def close_source(self) -> None:
        """Close it if it is a generator or a stream of ours; by the thread that pulls."""
        if self._puller or self.engine.foreign:
            return  # whoever pulls does it; and what a forked child has of it is not its own
        for source in self.sources:
            close_if_ours(source)


def _is_narrow(items: Any) -> bool:
    """A range that may travel as two numbers: whatever is reckoned with them, 64 bits hold it."""
    return items.__class__ is range and all(-NARROW < each < NARROW for each in (items.start, items.stop, items.step))
