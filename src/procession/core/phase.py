"""What was measured of a pool, of late and while it had one width, and for how long what has failed is let be: for
auto.py, which compares it with what was before."""

from __future__ import annotations

from procession.core.rules import SECOND

ENOUGH = 8
"""Items that tell how fast they end; and four for each worker, since they may end together."""
RECENT_NS = 2 * SECOND
LONG_NS = 10 * SECOND
"""What is older than the one, if it was enough, or the other, does not count any more: things change."""
HALF_LIFE_NS = SECOND // 2
"""What was measured so long ago counts half."""
HOLD_NS = 5 * SECOND
MOST_HOLD_NS = 60 * SECOND
"""For how long what has failed is not tried again: at first, and at most."""


class Lately:
    """What workers that run something took of the CPUs; it fades. Others may look meanwhile."""

    __slots__ = ("_cpu", "_ns", "_queued")

    def __init__(self) -> None:
        self._ns = self._cpu = self._queued = 0.0

    def add(self, passed: int, run_ns: int, cpu_ns: int, queued_ns: int) -> None:
        """`passed`: since the last time."""
        fade = 0.5 ** (passed / HALF_LIFE_NS)
        self._cpu = self._cpu * fade + cpu_ns
        self._queued = self._queued * fade + queued_ns
        self._ns = self._ns * fade + run_ns

    @property
    def on_cpu(self) -> float:
        """The part of its time that a worker is on a CPU; more than 1 with several threads."""
        ns = self._ns
        return self._cpu / ns if ns else 0.0

    @property
    def in_line(self) -> float:
        """The part of its time that it could go on, and has no CPU."""
        ns = self._ns
        return self._queued / ns if ns else 0.0

    @property
    def wanted(self) -> float:
        """Both."""
        return self.on_cpu + self.in_line


class Phase:
    """What was measured while so many workers ran: of late, and for long enough to tell something."""

    __slots__ = ("_old", "cpu_ns", "done", "lag_ns", "ns", "wanted_ns", "width")

    def __init__(self, width: int, lag_ns: float = 0.0) -> None:
        self.width = width
        self.lag_ns = lag_ns  # for so long what ends has begun before it
        self.ns = self.done = self.cpu_ns = self.wanted_ns = 0
        self._old = (0, 0, 0, 0)

    def add(self, ns: int, done: int, cpu_ns: int, queued_ns: int) -> None:
        if self.lag_ns > 0:
            self.lag_ns -= ns
            return
        self.ns += ns
        self.done += done
        self.cpu_ns += cpu_ns
        self.wanted_ns += cpu_ns + queued_ns
        old = self._old
        fresh = (self.ns - old[0], self.done - old[1], self.cpu_ns - old[2], self.wanted_ns - old[3])
        if fresh[0] >= RECENT_NS and (self._enough(fresh[1]) or fresh[0] >= LONG_NS):
            self.ns, self.done, self.cpu_ns, self.wanted_ns = self._old = fresh

    @property
    def tells(self) -> bool:
        """Enough items have ended to say how fast they do."""
        return self.ns > 0 and self._enough(self.done)

    def _enough(self, done: int) -> bool:
        return done >= max(ENOUGH, 4 * self.width)

    @property
    def rate(self) -> float:
        """Items in a second."""
        return self.done * SECOND / self.ns

    @property
    def lasts_ns(self) -> float:
        """How long an item takes."""
        return self.width * self.ns / self.done

    @property
    def load(self) -> float:
        """CPUs taken."""
        return self.cpu_ns / self.ns if self.ns else 0.0

    @property
    def wanted(self) -> float:
        """CPUs taken, or stood in line for."""
        return self.wanted_ns / self.ns if self.ns else 0.0


class Hold:
    """What has failed is not tried again before `until`; each time it takes twice as long."""

    __slots__ = ("_ns", "until")

    def __init__(self) -> None:
        self.until = 0
        self._ns = HOLD_NS

    def fail(self, now: int) -> None:
        self.until = now + self._ns
        self._ns = min(2 * self._ns, MOST_HOLD_NS)

    def succeed(self) -> None:
        """The next failure is the first again."""
        self._ns = HOLD_NS
