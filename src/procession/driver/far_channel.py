"""The driver's end of one worker on a cluster: what it is sent, what it has said, and what it has not been sent yet.

Laws
1. One call with leases is out at a time. What the core sends meanwhile waits here, and is the parent's: a withdrawal
   brings it back whole. So no lease waits in the cluster behind another one of the same worker.
2. While a withdrawal is on its way nothing is sent: its answer counts what was read back there, and what waits here.
3. A lease that is brought back before it was sent is told as left behind in its turn: when the worker is ready, and
   nothing is out.
4. Outcomes are taken in the order in which the worker gave them, which is that of the reports (`Station`).
5. Nothing here waits. What the cluster answers comes by `Station.came`, on the driver's thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from procession.backends.cluster import Seat
from procession.backends.heard import Heard, Hears
from procession.core.task import Task
from procession.driver.agent_wire import BEGAN, FAILED, GONE, PAGE, SAID, End, Entry, Report, unpickled
from procession.transport import frames
from procession.transport.codec import Codec

if TYPE_CHECKING:
    from collections.abc import Sequence


class FarHears(Hears, Protocol):
    """Who is told what there is to be told of a worker on a cluster."""

    parcels: dict[int, Any]
    """What is shared: by its number, what the cluster has of it, which is bytes where it arrives."""

    def printed(self, station: Station, entry: Entry) -> None:
        """Something was printed, or noted."""

    def withdrawn(self, wid: int, count: int, left: int) -> None:
        """So many items have come back; `left`: so many leases were left behind with that."""

    def looked_at(self, wid: int, moved: bool) -> None:
        """All that it had published has been told."""

    def gone(self, channel: FarChannel, end: End | None, why: str) -> None:
        """It is gone, and everything that is known of it was told. `end`: what is known of its end; `why`: if its agent
        is gone as well, what the cluster says of that."""

    def not_started(self, channel: FarChannel, error: BaseException, again: bool) -> None:
        """There is no such worker."""

    def boards_of(self, station: Station) -> bytes:
        """What the station's workers do not know yet of levels and filters; empty if nothing."""
        ...


class Station:
    """One seat of a cluster, with a worker or without, and the order of its reports."""

    def __init__(
        self,
        seat: Seat,
        post: Callable[[Callable[[], object]], object],
        lost: Callable[[Station], object],
        stray: Callable[[Station, Report], object],
    ) -> None:
        """`post` has something done by the driver's thread; there `lost` is told that the agent is, and `stray` what it
        says when there is no worker."""
        self.seat = seat
        self._post = post
        self._lost = lost
        self._stray = stray
        self.channel: FarChannel | None = None
        self.lost: BaseException | None = None
        self.boards: Any = None  # what its workers have been told of levels
        self.heard_at = 0.0  # when its agent has last said something, by the monotonic clock; 0: never
        self._expected = 1
        self._early: dict[int, tuple[Report, Callable[[Report], object] | None]] = {}

    def ask(self, name: str, *args: Any, then: Callable[[Report], object] | None = None) -> None:
        """Call the agent; its report is taken in its turn, and `then` called with it."""
        self.await_(self.seat.call(name, *args), then)

    def await_(self, future: Future[Any], then: Callable[[Report], object] | None = None) -> None:
        """The same, of a call that was made."""
        future.add_done_callback(lambda done: self._post(partial(self._came, done, then)))

    def listen(self) -> None:
        """Hear of what no other call tells, from now on; by the driver's thread."""
        self.ask("news", then=lambda _report: self.listen())

    def _came(self, done: Future[Any], then: Callable[[Report], object] | None) -> None:
        """On the driver's thread."""
        if self.lost is not None:
            return
        error = RuntimeError("the call was cancelled") if done.cancelled() else done.exception()
        if error is not None:
            self.lost = error
            self._lost(self)
            return
        self.heard_at = monotonic()
        report: Report = done.result()
        if not report.number:
            if then is not None:
                then(report)
            return
        self._early[report.number] = report, then
        while self._expected in self._early:
            report, then = self._early.pop(self._expected)
            self._expected += 1
            if self.channel is not None:
                self.channel.take(report)
            else:
                self._stray(self, report)
            if then is not None:
                then(report)


class FarChannel(Heard):
    """Worker `wid`, in the seat of `station`."""

    pid = 0
    """On the machine `host`; 0: it is not known yet to have been started."""
    host = ""

    def __init__(self, wid: int, codec: Codec, hears: FarHears, station: Station) -> None:
        super().__init__(wid, codec, hears)
        self._far = hears
        self.station = station
        station.channel = self
        self.heard_of = self.is_ready = False
        self.why = ""  # as the cluster says it, if its agent is gone
        self.end: End | None = None
        self.outbox: deque[tuple[int, Sequence[Task], int]] = deque()
        self.answers: list[Callable[[], object]] = []  # called when what is being withdrawn has come back
        self.words: list[bytes] = []  # what goes with the next lease
        self._left = 0  # leases that were brought back before they were sent, and are to be told of
        self._calls = self._come = 0  # calls with leases: made, and seen to have come
        self._flying = 0  # items of the call that is out
        self._out = False
        self._withdrawing = self._looking = False
        self._moved = False  # since it was last looked at

    # -- to the worker -----------------------------------------------------------------------------------------------

    def begun(self, _report: Report) -> None:
        """Its agent has been told to start it."""
        self.heard_of = True

    def send(self, number: int, tasks: Iterable[Task], tokens: int) -> bool:
        """See `Channel.send`."""
        self.outbox.append((number, list(tasks), tokens))
        self.fly()
        return True

    def fly(self) -> None:
        """Send what waits here, if nothing is in the way."""
        if not self.outbox or self._out or self._withdrawing or not self.is_ready:
            return
        if self.station.channel is not self:
            return  # it is gone, which is about to be told: what is sent meanwhile was never sent
        marks: list[bytes] = []
        data: list[Any] = self.words
        leases = len(self.outbox)
        self.words, self._flying = [], 0
        for number, parcel in self._far.parcels.items():
            if number not in self.known:
                self.known.add(number)
                data.append(parcel)
        for number, tasks, tokens in self.outbox:
            mark = number & 0xFF
            marks.append(bytes((mark,)) * tokens)
            data += self.lease_frames(mark, tasks)
            self._flying += tokens
        self.outbox.clear()
        self._calls += 1
        self._out = True
        station = self.station
        if boards := self._far.boards_of(station):
            station.ask("heed", boards)
        station.await_(station.seat.lease(self.wid, self._calls, b"".join(marks), leases, *data), self._landed)

    def _landed(self, _report: Report) -> None:
        if self.station.channel is not self:
            return
        self._out = False
        self._flying = 0
        self.tell_left()
        self.fly()

    def forget(self, entries: Iterable[int]) -> bool:
        """See `Channel.forget`: said with the next lease, behind what may still name them."""
        if gone := self.forgetting(entries):
            self.words.append(gone)
        return True

    def stop(self) -> bool:
        """Teardown, then exit."""
        self.station.ask("stop", self.wid)
        return True

    def ask(self) -> None:
        """See `Channel.ask`."""
        self.station.ask("ask", self.wid, self._calls)

    def withdraw(self) -> None:
        """Bring back what it has not taken; the answer is `FarHears.withdrawn`."""
        if self._withdrawing or self.station.channel is not self:
            return  # what is gone brings back all that it can when that is told
        if not self._out:
            self._brought_back(0)
            return
        self._withdrawing = True
        self.station.ask("withdraw", self.wid, self._calls, then=self._was_withdrawn)

    def _was_withdrawn(self, report: Report) -> None:
        if self._withdrawing and self.station.channel is self:
            self._withdrawing = False
            back = report.back + self.unsent
            self._flying = 0  # whether it has come or not: no more of it comes back
            self._brought_back(back)
            self.fly()

    def _brought_back(self, count: int) -> None:
        count += self.take_outbox()
        self._far.withdrawn(self.wid, count, self.take_left())

    def take_outbox(self) -> int:
        """Nobody will send what waits here; returns how many items that are."""
        count = sum(tokens for _, _, tokens in self.outbox)
        self._left += len(self.outbox)
        self.outbox.clear()
        return count

    def take_left(self) -> int:
        """So many leases may be told as left behind now."""
        if not self.is_ready or self._out:
            return 0
        left, self._left = self._left, 0
        return left

    def tell_left(self) -> None:
        """Law 3."""
        for _ in range(self.take_left()):
            self._far.lease_ended(self.wid, 0, 0)

    def look(self) -> None:
        """Tell all that it has published; the answer is `FarHears.looked_at`."""
        if self._looking:
            return
        self._looking = True
        self.station.ask("look", then=self._was_looked)

    def _was_looked(self, _report: Report) -> None:
        if not self._looking:
            return  # it is gone
        self._looking = False
        moved, self._moved = self._moved, False
        self._far.looked_at(self.wid, moved)

    # -- from the worker ---------------------------------------------------------------------------------------------

    def take(self, report: Report) -> None:
        """What it says, in its order."""
        self._come = report.come
        for entry in report.entries:
            match entry:
                case (kind, frame, payload) if kind == SAID:
                    self._moved = True
                    self.tell(frame, payload)
                    if frame == frames.READY:
                        self.is_ready = True
                        self.tell_left()
                        self.fly()
                case (kind, pid, host) if kind == BEGAN:
                    self.pid, self.host = pid, host
                case (kind, generation, mode, skipped, packed) if kind == PAGE:
                    self._take_page(generation, mode, packed[self._peeked - skipped :])
                case (kind, end) if kind == GONE:
                    self.end = End(*end)
                    self._leave()
                    self._far.gone(self, self.end, "")
                case (kind, error, again, end) if kind == FAILED:
                    self.end = End(*end)
                    self._leave()
                    self._far.not_started(self, unpickled(error), again)
                case _:
                    self._far.printed(self.station, entry)

    def _take_page(self, generation: int, mode: int, packed: list[Any]) -> None:
        if generation == self._generation + 1 and packed:
            self._peeked += len(packed)
            self.hand_over(mode, [self.unpack(*each) for each in packed])

    def agent_lost(self, why: str) -> None:
        """The process of its agent is gone: nothing more can be known of it."""
        self._leave()
        self._far.gone(self, None, why)

    def _leave(self) -> None:
        self.station.channel = None
        self._withdrawing = self._looking = False

    @property
    def unsent(self) -> int:
        """Items of the call that is out, if it had not come when the agent last spoke; for who has just heard that."""
        return self._flying if self._out and self._come < self._calls else 0

    def _show(self) -> None:
        """See `Heard`: what was printed comes in the same report, before."""

    # -- as `Channel` has it, for those who drive both -----------------------------------------------------------------

    def peek(self, found: Callable[[], object] | None = None) -> None:
        """Nothing is seen from here."""

    def times(self, first: int, count: int) -> Any:
        """See `Timed`: the clock there is another. Raises OSError."""
        raise OSError("nothing is known of when a worker on a cluster runs what")

    def drop_times(self) -> None:
        """It writes none down."""

    def time(self, on: bool) -> None:
        """It writes none down: its clock is another."""


__all__ = ["FarChannel", "FarHears", "Station"]
