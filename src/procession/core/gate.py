"""What of a line may start now, how many of it together, and when to look again: batches and a pace.

Who asks tells how it stands: how many wait, since when the first does, how many calls are out. Nothing is remembered
here but the tokens of the pace. A *call* is one item, or several that start together.

Laws (`tests/core/test_gate.py` walks them)
1. A call starts only while fewer are out than there are workers (and runs that wait for their time, which no worker
   has; where a pool finds its width by itself, twice as many as workers: else it would never see that items wait). So
   what starts is not put into a line behind others, where its token would say nothing; and what waits for a worker
   stays here, where it can be taken out, and where others may still come to join it.
2. A batch starts when it is full; when its first has waited `max_wait`; or when no other comes to join it: nothing is
   taken in any more, somebody waits for all that is here to end (`flush`), or there is no room for more and nothing is
   out that would make some. It is full with `batch`, or with as many as may start now (`room`), if that is less.
3. Each call takes a token of the pace, and starts at none without.
4. `alarm` is when time alone will let something start: nothing starts before it unless something else happens, and at
   that instant something does. None: it is for others to do something first.
5. So no line stands still but for `room`, for those who may still come, or behind calls that are out.

The stages of a pipeline have lines of their own (journey_stage.py), with the same `together`.
"""

from __future__ import annotations

from procession.core.flow import UNBOUNDED
from procession.core.pace import Pace
from procession.record import record


@record
class Standing:
    """How it stands with a line."""

    waiting: int
    """Items in it."""
    since: int = 0
    """When the first of them came."""
    out: int = 0
    """Calls that have started and have no outcome."""
    room: int = UNBOUNDED
    """Items that may start now, as far as others than this gate are concerned."""
    last: bool = False
    """No other comes to join what waits."""


def together(waiting: int, most: int, room: int, ripe: bool) -> int:
    """How many start together: up to `most`, if all these may start; fewer only if they are `ripe`."""
    count = min(waiting, most)
    if count <= 0 or room < count or (count < most and not ripe):
        return 0
    return count


class Gate:
    """See the module. Not thread-safe."""

    __slots__ = ("batch", "max_wait", "pace", "workers")

    def __init__(self, workers: int, batch: int = 1, max_wait: int | None = None, pace: Pace | None = None) -> None:
        self.workers = workers
        self.batch = batch
        self.max_wait = max_wait
        self.pace = pace

    def startable(self, line: Standing, now: int) -> int:
        """How many of the line start now, as one call."""
        waited = self.max_wait is not None and now >= line.since + self.max_wait
        count = self._gathered(line, now, line.last or waited)
        if count and self.pace is not None and self.pace.at(now) > now:
            return 0
        return count

    def start(self, now: int) -> bool:
        """A call starts; False if somebody else who has this pace has taken the token meanwhile."""
        return self.pace is None or self.pace.grab(now)

    def alarm(self, line: Standing, now: int) -> int | None:
        """When time alone lets something start; see law 4."""
        if not self._gathered(line, now, line.last):
            if self.max_wait is None or not self._gathered(line, now, True):
                return None
            now = max(now, line.since + self.max_wait)
        return now if self.pace is None else self.pace.at(now)

    def _gathered(self, line: Standing, now: int, ripe: bool) -> int:
        """How many could start together, with a token; those are `ripe` that need not wait to be more."""
        resting = 0 if self.pace is None else self.pace.resting(now)
        if line.out >= self.workers + resting:
            return 0
        return together(line.waiting, min(self.batch, line.room), line.room, ripe)
