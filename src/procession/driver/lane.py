"""The express lane: a lone call goes from the caller's thread to a worker and back without waking the driver's.

A round trip through the driver wakes four threads or processes one after another, two of which only pass things on. In
the rhythm of `pool.submit(f, x).result()` the caller can do it alone, with the worker that the core has lent
(`core/lending.py`):

    submit   claims the lease number, leaves a note for the driver, writes the token and the frame
    result   waits until the worker's page shows the outcome, and takes it from there

Nothing of this is needed for the call to be right. The note makes the driver know of the call before it can see its
outcome; the outcome comes to the driver through the pipe as always; the driver resolves what the caller has not. So a
caller that is interrupted anywhere, that never asks, or that is slow, loses nothing but speed.

How a call is handed over once, and never half, though signal handlers may raise between any two steps of the caller:

1. The number is claimed by removing it from `_numbers`, and the note is left, in one call of C code that keeps the GIL
   (`deque.extend` over a zip of a map): to all other threads the two are one step. A number that another thread has
   claimed is not there any more: ValueError, and nothing has happened.
2. This step, the writing of the token, the mark that it is written, and the writing of the frame, are one chain in C
   (`deque(map(call, ...), 0)`): no signal handler of Python runs between them. Other threads may see the middle.
3. The token cannot fail to be written: the pipe is nearly empty, and its reading end is open here. If the frame cannot,
   the worker is dead; its death brings the token back, and the call runs elsewhere.

How the lane is closed (`close`): `_open` is emptied; a caller that got its answer renews the number only by copying
what is in `_open` (one step in C), so that from then on no number appears. Then the number is taken away. If it is
not there, some caller has it, and has left its note: step 1. The driver reads its notes and tells the core `Recalled`.

A worker that dies while a caller is in the middle of step 2: `in_progress` says so, and the driver waits for the end of
that chain, which nothing can hold up, before it counts tokens and closes descriptors.

While callers use it (`hot`), the driver does not watch the worker's results but looks every `TICK`; a caller that waits
in any other way than by `result()` says so (`cool`).
"""

from __future__ import annotations

import errno
import marshal
import os
import select
from _pickle import dumps
from collections import deque
from collections.abc import Callable
from concurrent.futures._base import FINISHED, PENDING, RUNNING
from functools import partial
from operator import call
from time import monotonic
from typing import Any, Protocol

from procession.backends import forksafe, tasks
from procession.backends.channel import Channel
from procession.backends.tasks import CallFuture
from procession.core.policy import Profile
from procession.core.worker import MAX_OPEN_LEASES
from procession.driver.inbox import Inbox
from procession.transport import frames, page

TICK = 0.001
"""Seconds between two looks of the driver at a hot lane."""
COOL_TICKS = 3
"""Looks without a new call after which the lane is not hot any more."""
PATIENCE = 0.02
"""Seconds that a caller waits here; a longer call is worth waking the driver for."""
MAX_FRAME = 2048
"""Bytes: a frame that a pipe takes whole or not at all."""
AHEAD = MAX_OPEN_LEASES // 2
"""Calls that callers may be ahead of the driver."""
LONE = 2
"""Calls that came alone, one after another, before a worker is lent; twice as many after each lending in vain."""
MAX_LONE = 1024
WORTH = 8
"""Calls that a lending should have brought."""
DEAR_NS = 5_000_000
"""Calls that take longer gain nothing."""
CLOSED = (errno.EBADF, errno.EINVAL)
"""What a caller hears whose lane was closed between two instructions of his `poll`: its number is nobody's, or another
file's by then."""


class KeepsLanes(Protocol):
    """What a lane asks of the driver."""

    def watch_results(self, channel: Channel) -> None:
        """Read what the worker says when it says it."""

    def unwatch(self, fd: int) -> None:
        """No longer."""

    def receive(self, channel: Channel) -> None:
        """There is something to read from this worker, or may be."""


class Note:
    """A caller has handed `future` to the lane's worker."""

    __slots__ = ("future", "lane")

    def __init__(self, lane: Lane, future: CallFuture[Any]) -> None:
        self.lane = lane
        self.future = future


class Lane:
    """One lending of one worker. `send` and `wait` are the callers', all else is the driver's."""

    def __init__(self, inbox: Inbox, channel: Channel, number: int) -> None:
        self.channel = channel
        self.hot = False
        self.waits = 0  # how often a caller has come to wait here
        self.wants_cooling = False
        self.used = 0  # notes that the driver has read
        self.seen_waits = 0
        self.settled = number  # lease numbers below are through, as far as the driver knows
        self.idle_ticks = 0
        self._inbox = inbox
        self._first = number
        self._number = number
        self._numbers = deque((number,))
        self._open = deque((0,))
        self._written: deque[int] = deque(maxlen=MAX_OPEN_LEASES)
        self._generation = channel.page.upcoming() - number
        self._epoll = select.epoll()
        forksafe.own(self._epoll.fileno())
        self._epoll.register(channel.results_fd, select.EPOLLIN | select.EPOLLET)
        self._bell = forksafe.adopt(lambda: os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._epoll.register(self._bell, select.EPOLLIN | select.EPOLLET)

    def heat(self, keeper: KeepsLanes) -> None:
        """The driver looks every TICK from now on."""
        keeper.unwatch(self.channel.results_fd)

    def calm(self, keeper: KeepsLanes) -> None:
        """It waits for the worker's word again."""
        keeper.watch_results(self.channel)

    def settle(self, number: int) -> None:
        """Leases below are through."""
        self.settled = number

    # -- callers -------------------------------------------------------------------------------------------------

    def send(self, future: CallFuture[Any]) -> bool:
        """Hand `future` over, if that can be done here and now; False: it has to go the other way."""
        number = self._number
        function: Any = future.function
        if function.id not in self.channel.known or not cheap(function.profile) or number - self.settled > AHEAD:
            return False
        body = dumps([(function.id, [future.body], frames.CALLS)], 5)
        if len(body) > MAX_FRAME:
            return False
        mark = bytes((number & 0xFF,))
        frame = frames.HEADER.pack(len(body) + 1, frames.LEASE) + mark + body
        future.wid = self.channel.wid
        future.started = True
        future._state = RUNNING
        future._lane = self
        future._lane_number = number
        claim = zip((Note(self, future),), map(self._numbers.remove, (number,)), strict=False)
        chain: tuple[Callable[[], object], ...] = (
            partial(self._inbox.entries.extend, claim),
            partial(os.write, self.channel.tokens_write, mark),
            partial(self._written.append, number),
            partial(os.write, self.channel.tasks_fd, frame),
        )
        try:
            deque(map(call, chain), 0)
        except ValueError:  # another thread was faster
            future.wid, future.started, future._state, future._lane = None, False, PENDING, None
            return False
        except OSError:
            pass  # the worker is dead: its token comes back
        if not self.hot and self._inbox.asleep:
            self._inbox.ring()
        return True

    def wait(self, future: CallFuture[Any]) -> None:
        """Wait a while for the outcome of `future`, and give it to it; returns whether or not it has one."""
        self.waits += 1
        number = future._lane_number
        words = self.channel.page.words
        generation = self._generation + number
        try:
            until = monotonic() + PATIENCE
            while True:
                if future._state is FINISHED:
                    self._renew(number)
                    return
                if words[page.GENERATION] == generation and words[page.COUNT]:
                    self._take(future, number, words[page.ENDS])
                    return
                left = until - monotonic()
                if left <= 0:
                    return
                self._epoll.poll(left)  # may wake for what is past: look again
        except ValueError:
            pass  # the lane was closed: page and epoll are gone
        except OSError as error:
            if error.errno not in CLOSED:
                raise

    def _take(self, future: CallFuture[Any], number: int, word: int) -> None:
        if self.channel.page.words[page.SPOKE] or self.channel.page.showing:  # in this order
            return  # what was printed is shown first, by the driver
        kind = word & 3
        if kind == page.INTEGER:
            value = word >> page.VALUE_SHIFT
        elif kind == page.MARSHALLED:
            value = marshal.loads(bytes(self.channel.page.data[: word >> 2]))
        else:
            return  # rebuilding it may run the program's code, which the driver will do, once
        if self.channel.page.words[page.GENERATION] != self._generation + number:
            return  # the driver has given the worker something else meanwhile: these may have been other bytes
        with tasks.LOCK:
            if future._state is not FINISHED:
                if future._cond is not None:
                    return  # others wait as well: the driver wakes them
                future._result = value
                future._state = FINISHED
                future.body = None
        self._renew(number)

    def answered(self, future: CallFuture[Any]) -> None:
        """A caller has got its outcome from the driver."""
        future._lane = None
        self._renew(future._lane_number)

    def _renew(self, number: int) -> None:
        """The caller that used `number` has its answer, so the worker is idle: the next number may be used."""
        if number != self._number:
            return
        self._number = number + 1
        self._numbers.extend(map((number + 1).__add__, self._open))

    def cool(self) -> None:
        """Somebody waits for a call of this lane in a way that needs the driver."""
        self.wants_cooling = True
        self._inbox.ring()

    # -- the driver ----------------------------------------------------------------------------------------------

    @property
    def in_progress(self) -> bool:
        """A caller is in the middle of a chain; only once its notes have been read does this say anything."""
        return self.used > 0 and (not self._written or self._written[-1] != self._first + self.used - 1)

    def close(self) -> None:
        """No caller will hand over anything from here on that has not left its note by now."""
        self._open.clear()
        try:
            self._numbers.popleft()
        except IndexError:
            pass

    def wake(self) -> None:
        """The driver has read from the pipe, and so taken away what would have woken a caller."""
        os.eventfd_write(self._bell, 1)

    def dispose(self) -> None:
        """Give the descriptors back; a caller that still waits here takes that for the end of its patience."""
        self.wake()
        forksafe.close(self._bell)
        forksafe.disown(self._epoll.fileno())
        self._epoll.close()


def cheap(profile: Profile) -> bool:
    """A caller gains something by waiting for such a call itself."""
    return profile.mean_ns < DEAR_NS
