"""The express lane on shared memory: what `lane.py` does for pipes and a page, with the callers' part in C.

A caller hands its call over, and looks for its outcome, each in one step of C (`_native/parent.c`: send_call,
wait_call, look), so nothing here can be half done: neither a signal handler nor another thread sees the middle. What
remains is the driver's part: to hear of the calls, and to have their leases add up.

The worker takes each call for a lease of its own. The core is told of calls as they are noticed, many at once, and each
time that is one lease (`events.LentTasks`). The tally puts the ends of the former together to ends of the latter.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from procession.backends.channel_fast import FastChannel
from procession.backends.tasks import CallFuture
from procession.core.task import Task
from procession.driver.inbox import Inbox
from procession.driver.lane import cheap

if TYPE_CHECKING:
    from procession.driver.lane import KeepsLanes


class Tally:
    """Leases of a worker that are open as the core knows them, in order, by how many leases of the worker's each is."""

    __slots__ = ("_busy_ns", "_items", "_left", "ordinary")

    def __init__(self) -> None:
        self.ordinary = 0  # leases from before it was lent, which are alike for both
        self._left: deque[int] = deque()
        self._items = self._busy_ns = 0  # of the first one, so far

    def lent(self, open_leases: int) -> None:
        """It is lent, and so many are open as the core knows them."""
        self._left.extend((1,) * (open_leases - len(self._left)))
        self.ordinary = len(self._left)

    def opened(self, calls: int) -> None:
        """The core was told of so many calls at once."""
        self._left.append(calls)

    def ended(self, leases: int, items: int, busy_ns: int) -> list[tuple[int, int]]:
        """The worker left so many behind, which ran so many items in that time: those that ended for the core."""
        done: list[tuple[int, int]] = []
        while leases:
            if not self._left:  # it is lent no more, and these came after that
                done.append((items, busy_ns))
                break
            part = min(leases, self._left[0])
            its_items, its_ns = items * part // leases, busy_ns * part // leases
            leases, items, busy_ns = leases - part, items - its_items, busy_ns - its_ns
            self._items += its_items
            self._busy_ns += its_ns
            self._left[0] -= part
            if not self._left[0]:
                self._left.popleft()
                self.ordinary = max(0, self.ordinary - 1)
                done.append((self._items, self._busy_ns))
                self._items = self._busy_ns = 0
        return done


class FastLane:
    """One lending of one worker."""

    in_progress = False  # a caller is never in the middle of anything

    def __init__(self, channel: FastChannel, inbox: Inbox, door: Any, open_leases: int) -> None:
        self.channel = channel
        self.ring = channel.ring
        self.hot = False
        self.wants_cooling = False
        self.used = self.seen_waits = self.idle_ticks = 0
        self._inbox = inbox
        self._door = door
        if channel.tally is None:
            channel.tally = Tally()
        self._tally: Tally = channel.tally
        self._tally.lent(open_leases)
        self._waited = self.ring.waits
        self.ring.cooler = self.cool
        self.ring.lend()
        if door is not None:
            door.lane = self.ring

    @property
    def waits(self) -> int:
        """How often a caller has come to wait here."""
        waits: int = self.ring.waits - self._waited
        return waits

    # -- callers -------------------------------------------------------------------------------------------------

    def send(self, future: CallFuture[Any]) -> bool:
        """Hand over a call that did not come through the door, its arguments pickled, say."""
        function: Any = future.function
        if future.rules is not None or not cheap(function.profile) or not self.ring.hand(future, function.id):
            return False
        if not self.hot and self._inbox.asleep:
            self._inbox.ring()
        return True

    def cool(self) -> None:
        """Somebody waits for a call of this lane in a way that needs the driver."""
        if self.hot:
            self.wants_cooling = True
            self._inbox.ring()

    # -- the driver ----------------------------------------------------------------------------------------------

    def take_calls(self) -> list[Task]:
        """What callers have handed over since the last time; the core is told of it as of one lease."""
        calls: list[Task] = self.ring.take_sent()
        if calls:
            self._tally.opened(len(calls))
            self.channel.merges = not self._tally.ordinary
        return calls

    def heat(self, keeper: KeepsLanes) -> None:
        """The driver looks every TICK from now on."""
        self.ring.hot = True
        self.ring.wants(False)

    def calm(self, keeper: KeepsLanes) -> None:
        """It waits for the worker's bell again; whoever wishes for it looks once more."""
        self.ring.hot = False
        self.ring.wants(True)
        keeper.receive(self.channel)

    def settle(self, number: int) -> None:
        """Nothing rests on lease numbers here."""

    def close(self) -> None:
        """No caller hands anything over any more."""
        if self._door is not None:
            self._door.lane = None
        self.ring.recall()
        self.channel.merges = False

    def wake(self) -> None:
        """Callers are woken by the worker itself."""

    def dispose(self) -> None:
        """There is nothing to give back."""
