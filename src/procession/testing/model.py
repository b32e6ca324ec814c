"""What a pool core moves and drives, in memory: tasks, and workers that follow the protocol step by step.

A worker here does what `worker/loop.py` does (the protocol is in core/README.md), at the grain at which a death, a
withdrawal or a late byte can fall between two of its steps:

    boot      run the initializer, say READY (or that it failed, and end)
    take      with no lease at hand, read the next frame; then read a token:
              of this lease    the next item is owned, and starts
              none, foreign    the rest was withdrawn: say ENDED; a foreign one is held for the lease that bears it
    publish   the outcome is where the parent will find it; after the last item of a lease, say ENDED
    die       at any moment; what is half written counts as not written

Reading a frame is not a step of its own: only the worker sees whether it has done so.
"""

from __future__ import annotations

from enum import IntEnum

from procession.core.policy import Profile
from procession.core.rules import Rules
from procession.core.task import Home, Task

STOP = -1
READY, FATAL, DONE, ENDED, FAILED = range(5)

Spec = tuple[int, ...]
"""The items of one task of a lease; calls have one. A first -1 says that it is a chunk."""
Lease = tuple[int, tuple[Spec, ...]]
"""Its byte, its tasks."""
Result = tuple[int, int, int]
"""(READY, 0, 0), (FATAL, 0, 0), (DONE or FAILED, item, first item of the chunk or -1), (ENDED, items run, 0)."""


class Guess(Profile):
    """An estimate that stands: measuring would only add states."""

    def __init__(self, mean_ns: float) -> None:
        super().__init__()
        self.mean_ns = mean_ns
        self.last = 4096

    def observe(self, items: int, busy_ns: int) -> None:
        """Nothing is learned."""


class Flop(int):
    """The outcome of an item that failed."""


class Key(Home):
    """A key's home, and which key it is: the first of its items. From each that works to `end` something lives."""

    __slots__ = ("end", "first")

    def __init__(self, first: int, end: int = 0) -> None:
        super().__init__()
        self.first = first
        self.end = end

    def lives(self, outcome: object) -> bool:
        """See `core.task.Home`."""
        return type(outcome) is int and outcome < self.end

    def copy(self) -> Key:
        """Another one, the same."""
        new = Key(self.first, self.end)
        new.wid, new.lost = self.wid, self.lost
        return new


class ModelTask:
    """A call, or a chunk with consecutive items."""

    __slots__ = (
        "cancelled",
        "chunk",
        "due",
        "final",
        "grain",
        "group",
        "home",
        "profile",
        "rules",
        "size",
        "start",
        "started",
        "tries",
        "wid",
    )

    def __init__(self, start: int, size: int, profile: Profile, *, chunk: bool = False, grain: int = 0) -> None:
        self.start = start
        self.size = size
        self.profile = profile
        self.chunk = chunk
        self.grain = grain
        self.group: object = start if chunk else None
        self.home: Key | None = None
        self.wid: int | None = None
        self.started: bool | None = None if chunk else False
        self.cancelled = False
        self.rules: Rules | None = None
        self.tries = 0
        self.final = False
        self.due: int | None = None

    @property
    def items(self) -> range:
        """Those without an outcome."""
        return range(self.start, self.start + self.size)

    def copy(self) -> ModelTask:
        """Another one, the same."""
        new = ModelTask.__new__(ModelTask)
        new.start, new.size, new.profile, new.chunk, new.grain = (
            self.start,
            self.size,
            self.profile,
            self.chunk,
            self.grain,
        )
        new.group, new.wid, new.started, new.cancelled = self.group, self.wid, self.started, self.cancelled
        new.rules, new.tries, new.due = self.rules, self.tries, self.due
        new.final, new.home = self.final, self.home
        return new

    def claim(self, wid: int) -> bool:
        """See `core.task.Task`."""
        if self.cancelled:
            return False
        self.wid = wid
        return True

    def release(self) -> None:
        """See `core.task.Task`."""
        self.wid = None

    def again(self, index: int) -> Task:
        """See `core.task.Task`."""
        new = self.copy() if self.chunk else self
        new.size, new.wid, new.tries, new.due = 1, None, self.tries + 1, None
        if self.chunk:
            new.start = index
        else:
            new.started = False
        return new

    def split(self, count: int) -> Task:
        """See `core.task.Task`."""
        assert self.chunk, "a call cannot be cut"
        assert 0 < count < self.size
        rest = self.copy()
        rest.start, rest.size = self.start + count, self.size - count
        self.size = count
        return rest

    def advance(self, count: int) -> int:
        """See `core.task.Task`."""
        first = self.start
        if self.chunk:
            self.start += count
        self.size -= count
        return first

    def spec(self) -> Spec:
        """What is sent of it."""
        return (-1, *self.items) if self.chunk else (self.start,)


class Phase(IntEnum):
    """Where the process is."""

    BOOTING = 0
    RUNS = 1
    DEAD = 2


class Process:
    """One worker process and the three pipes that join it to the parent."""

    __slots__ = ("blamed", "condemned", "current", "done", "frames", "held", "phase", "results", "running", "tokens")

    def __init__(self) -> None:
        self.phase = Phase.BOOTING
        self.condemned = False  # a signal that kills is on its way
        self.blamed: int | None = None  # the item for which that was sent
        self.frames: tuple[Lease | None, ...] = ()  # None: STOP
        self.tokens: tuple[int, ...] = ()
        self.results: tuple[Result, ...] = ()
        self.current: tuple[int, tuple[tuple[int, int], ...]] | None = None  # byte, (item, first of chunk) still to run
        self.done = 0  # items of the current lease
        self.held: int | None = None  # a token of a lease that has not come yet
        self.running: tuple[int, int] | None = None

    def copy(self) -> Process:
        """Another one, the same."""
        new = type(self).__new__(type(self))
        new.phase, new.condemned, new.frames, new.tokens = self.phase, self.condemned, self.frames, self.tokens
        new.results, new.current, new.done = self.results, self.current, self.done
        new.held, new.running, new.blamed = self.held, self.running, self.blamed
        return new

    # -- its steps -----------------------------------------------------------------------------------------------

    def boot(self, ok: bool) -> None:
        """Run the initializer."""
        self.results += ((READY if ok else FATAL, 0, 0),)
        self.phase = Phase.RUNS if ok else Phase.DEAD

    def can_take(self) -> bool:
        """It would not block."""
        return self.phase is Phase.RUNS and self.running is None and (self.current is not None or bool(self.frames))

    def take(self) -> int | None:
        """Read on; returns the item that starts now, if one does."""
        if self.current is None and not self._next_frame():
            return None
        assert self.current is not None
        mark, rest = self.current
        if not self.take_token(mark):
            self._leave()
            return None
        self.running = rest[0]
        self.current = (mark, rest[1:])
        return self.running[0]

    def take_token(self, mark: int) -> bool:
        """Read one token; whether it bears this number."""
        token = self.held
        if token is None:
            if not self.tokens:
                return False
            token, self.tokens = self.tokens[0], self.tokens[1:]
        self.held = None if token == mark else token
        return token == mark

    def _next_frame(self) -> bool:
        frame, self.frames = self.frames[0], self.frames[1:]
        if frame is None:
            self.phase = Phase.DEAD
            return False
        mark, specs = frame
        items: list[tuple[int, int]] = []
        for spec in specs:
            items += [(item, spec[1]) for item in spec[1:]] if spec[0] == -1 else [(spec[0], -1)]
        self.current = (mark, tuple(items))
        self.done = 0
        return True

    def publish(self, kind: int = DONE) -> None:
        """What it runs is done, and the parent will find out."""
        assert self.running is not None
        assert self.current is not None
        self.results += ((kind, *self.running),)
        self.running = None
        self.done += 1
        if not self.current[1]:
            self._leave()

    def _leave(self) -> None:
        self.results += ((ENDED, self.done, 0),)
        self.current = None
        self.done = 0

    def owned(self) -> int | None:
        """The item whose token it has and whose outcome it has not published."""
        if self.running is not None:
            return self.running[0]
        if self.held is not None:
            for frame in self.frames:
                if frame is not None and frame[0] == self.held:
                    spec = frame[1][0]
                    return spec[1] if spec[0] == -1 else spec[0]
        return None
