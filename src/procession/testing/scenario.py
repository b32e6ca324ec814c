"""The bounds of a walk: what the user does, and what may go wrong how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from procession.core.rules import Cause, Rules, no_delay

CHEAP, DEAR, UNKNOWN = 1_000.0, 1e9, -1.0
"""What an item is thought to cost, in nanoseconds: leases of many, of one without a successor, of one."""
TIMEOUT = GRACE = 16_000_000
PATIENCE = 60_000_000_000
DELAY = 1_000_000_000
ENDINGS = ("shutdown", "cancel", "kill")


def delayed(tries: int, _now: int) -> int:
    """Each further run waits."""
    return DELAY


@dataclass(frozen=True)
class Scenario:
    """The bound of a walk: what the user does, and what may go wrong how often."""

    name: str
    workers: int
    program: tuple[tuple[str, int], ...]
    """("calls", n): n calls at once; ("chunk", n): one chunk of n items; ("grain", n): the same, in leases of n.

    ("key", n): n calls of one key, each handed over when the one before it has its answer. ("turns", n): the same, and
    after each that works but the last something lives in its worker, without which the next cannot run.
    """
    endings: tuple[str, ...] = ("shutdown",)
    """How the user may end it, each at most once, one at least: "shutdown", "cancel" (shutdown with cancel), "kill"."""
    mean_ns: float = CHEAP
    quota: int | None = None
    cancels: int = 0
    """Cancels of single calls, and of whole chunks."""
    crashes: int = 0
    """Workers that die by themselves, at any step."""
    lends: int = 0
    """How often an idle worker is lent to callers. In the program, ("lone", 1) is a call that may take its lane."""
    failed_starts: int = 0
    """Processes that cannot be started."""
    unfit: int = 0
    """Initializers that raise."""
    timeouts: int = 0
    """Items that are found to run for too long."""
    grace: bool = False
    """What is to end is asked first."""
    errors: int = 0
    """Items that fail, in the eyes of who would have them run again."""
    retries: int = 0
    """Further runs of an item, after a death, a timeout, an error."""
    delay: bool = False
    """They have to wait for their time."""
    lates: int = 0
    """How often the time for which an item may wait for its first run is over."""
    kills: bool = False
    """Cancels end what runs, too."""
    dues: int = 0
    """How often a worker is found to be too old, or too heavy."""
    heavies: int = 0
    """Items that are found to take more memory than any may."""
    sizes: tuple[int, ...] = ()
    """How many workers the user wants from then on, one after another."""
    losses: int = 0
    """Agents that are lost, with all that is known of their workers: where there are agents (far_world.py)."""
    late_calls: bool = False
    """What an agent was asked to do to a worker that is gone comes to it when it has the next. It is to do nothing:
    that is shown by a walk or two, and spared the others."""
    slow_starts: bool = False
    """That an agent has been told to start a worker is heard later: it matters for whom one stops before that."""
    ranks: tuple[int, ...] = ()
    """Priorities, in turn, of the tasks of the program; then time goes by between its lines."""

    @property
    def keys(self) -> dict[int, int]:
        """Of each key: the first of its items, and how many it has."""
        found, first = {}, 0
        for kind, count in self.program:
            if kind in ("key", "turns"):
                found[first] = count
            first += count
        return found

    def rules(self, number: int) -> Rules | None:
        """Of the task that is the `number`-th of the program."""
        priority = self.ranks[number % len(self.ranks)] if self.ranks else 0
        if not (self.timeouts or self.grace or self.retries or self.lates or priority):
            return None
        return Rules(
            timeout_ns=TIMEOUT if self.timeouts else None,
            queue_ns=PATIENCE if self.lates else None,
            grace_ns=GRACE if self.grace else 0,
            retries=self.retries,
            again_after=frozenset((Cause.DIED, Cause.TIMEOUT, Cause.MEMORY)) if self.retries else frozenset(),
            delay_ns=delayed if self.delay else no_delay,
            priority=priority,
        )

    @property
    def items(self) -> int:
        """How many there are in all."""
        return sum(count for _, count in self.program)


ENDING_ONE: dict[str, Any] = {"cancels": 1, "kills": True}
EVERYTHING: dict[str, Any] = {"timeouts": 1, "errors": 1, "retries": 1, "crashes": 1, **ENDING_ONE}
KEYS = (("key", 2), ("key", 2))
TWICE: dict[str, Any] = {"errors": 1, "retries": 1}
TOO_LONG: dict[str, Any] = {"timeouts": 1, "retries": 1, **ENDING_ONE}
RENEWING: dict[str, Any] = {"crashes": 1, "failed_starts": 1}

BOUNDS = (
    Scenario("calls, a crash, a cancel", 2, (("calls", 2),), crashes=1, cancels=1),
    Scenario("a call and a chunk, a crash", 2, (("calls", 1), ("chunk", 2)), crashes=1),
    Scenario("a chunk of fixed grain, closed", 2, (("grain", 3),), cancels=1),
    Scenario("one worker, calls, a crash, a cancel", 1, (("calls", 1), ("calls", 4)), crashes=1, cancels=1),
    Scenario("one worker that will not start, all endings", 1, (("calls", 2),), ENDINGS, failed_starts=3, unfit=1),
    Scenario("bad starts, a bad initializer, a crash", 2, (("calls", 2),), failed_starts=1, unfit=1, crashes=1),
    Scenario("calls, shut down with cancel", 2, (("calls", 3),), ("shutdown", "cancel")),
    Scenario("calls, a crash, killed", 2, (("calls", 2),), ("kill",), crashes=1),
    Scenario("a worker an item, a cancel", 2, (("calls", 2),), quota=1, cancels=1),
    Scenario("a lone call to a lent worker, a crash", 2, (("calls", 1), ("lone", 1)), crashes=1, lends=1),
    Scenario("a call to a lent worker, calls to the other", 2, (("calls", 1), ("lone", 1), ("calls", 2)), lends=1),
    Scenario("calls of unknown cost, a crash", 2, (("calls", 3),), crashes=1, mean_ns=UNKNOWN),
    Scenario("calls that may take too long", 2, (("calls", 2),), timeouts=1),
    Scenario("one worker, too long, a cancel that kills", 1, (("calls", 2),), timeouts=1, cancels=1, kills=True),
    Scenario("too long with a grace, closed for good", 1, (("chunk", 2),), timeouts=1, grace=True, **ENDING_ONE),
    Scenario("calls that run again, a crash, an error", 2, (("calls", 2),), crashes=1, errors=1, retries=1),
    Scenario("a chunk that runs again, a crash, two errors", 1, (("chunk", 3),), crashes=1, errors=2, retries=2),
    Scenario(
        "later again, shut down with cancel",
        1,
        (("calls", 2),),
        ("cancel",),
        errors=1,
        retries=1,
        delay=True,
        **ENDING_ONE,
    ),
    Scenario("calls that may wait too long, a cancel", 1, (("calls", 3),), lates=1, cancels=1),
    Scenario("priorities, a crash", 2, (("calls", 1), ("calls", 2)), ranks=(0, 5, 1), crashes=1),
    Scenario("too old, a crash, a start that fails", 1, (("calls", 2),), dues=1, crashes=1, failed_starts=1),
    Scenario("too old, two workers", 2, (("calls", 2),), dues=1),
    Scenario("too old, too heavy", 1, (("calls", 2),), dues=1, heavies=1),
    Scenario("two items a worker, with heirs, a crash", 1, (("calls", 4),), quota=2, crashes=1),
    Scenario("smaller, then larger, dear calls", 2, (("calls", 2),), mean_ns=DEAR, sizes=(1, 2)),
    Scenario("smaller, too old", 2, (("calls", 2),), sizes=(1,), dues=1),
    Scenario("all at once, a chunk", 1, (("chunk", 2),), **{**EVERYTHING, "errors": 0}),
    Scenario("keys, a crash", 2, (("key", 2), ("key", 1)), crashes=1),
    Scenario("one worker, keys, a cancel, a crash", 1, KEYS, cancels=1, crashes=1),
    Scenario("one worker, dear keys and a call, a crash", 1, (*KEYS, ("calls", 1)), mean_ns=DEAR, crashes=1),
    Scenario("keys, too old", 1, KEYS, dues=1),
    Scenario("a key, a lone call to a lent worker", 2, (("calls", 1), ("key", 2), ("lone", 1)), lends=1),
    Scenario("turns and a call, a crash", 2, (("turns", 3), ("calls", 1)), crashes=1),
    Scenario("one worker, turns that run again, a call, a crash", 1, (("turns", 2), ("calls", 1)), crashes=1, **TWICE),
    Scenario("one worker, turns, too old, a crash", 1, (("turns", 2),), dues=1, crashes=1),
    Scenario("turns and calls, an item a worker", 1, (("turns", 3), ("calls", 3)), quota=1),
    Scenario("turns and a call, smaller", 2, (("turns", 2), ("calls", 1)), sizes=(1,)),
    Scenario("turns, too long, a cancel that kills, cancelled", 1, (("turns", 2),), ("cancel",), **TOO_LONG),
)
"""What is walked by default: half a minute of one core. Ten are in DEEP_BOUNDS with an item or an event more."""

DEEP_BOUNDS = (
    Scenario("a call and a chunk of three, a crash", 2, (("calls", 1), ("chunk", 3)), crashes=1),
    Scenario("a chunk of four of fixed grain, closed", 2, (("grain", 4),), cancels=1),
    Scenario("three calls, a crash, killed", 2, (("calls", 3),), ("kill",), crashes=1),
    Scenario("lone calls to a lent worker, a crash", 2, (("calls", 1), ("lone", 1), ("lone", 1)), crashes=1, lends=1),
    Scenario("a chunk of three, too long with a grace", 1, (("chunk", 3),), timeouts=1, grace=True, **ENDING_ONE),
    Scenario("four of three priorities, a crash", 2, (("calls", 2), ("calls", 2)), ranks=(0, 5, 1), crashes=1),
    Scenario("keys of two, a crash", 2, KEYS, crashes=1),
    Scenario("one worker, turns, too old, a call, a crash", 1, (("turns", 2), ("calls", 1)), dues=1, crashes=1),
    Scenario("three calls, a crash, a cancel", 2, (("calls", 3),), crashes=1, cancels=1),
    Scenario(
        "too old, three calls, a crash, a start that fails", 1, (("calls", 3),), dues=1, crashes=1, failed_starts=1
    ),
    Scenario("too old twice, a crash, a bad start", 1, (("calls", 2),), dues=2, **RENEWING),
    Scenario("two workers, too old, a crash, a bad start, killed", 2, (("calls", 1),), ("kill",), dues=1, **RENEWING),
    Scenario("an item a worker, too old, a bad start", 2, (("calls", 2),), quota=1, dues=1, **RENEWING),
    Scenario("two items a worker, three calls, killed", 2, (("calls", 3),), ("kill",), quota=2, dues=1, **RENEWING),
    Scenario("too old, too heavy, too long, again", 1, (("calls", 1),), dues=1, heavies=1, **EVERYTHING),
    Scenario("too old, two workers, three calls, a crash", 2, (("calls", 3),), dues=1, crashes=1),
    Scenario("too old, too heavy, cancels that kill", 1, (("calls", 2),), dues=1, heavies=1, **ENDING_ONE),
    Scenario("a worker an item, three calls, a cancel", 2, (("calls", 3),), quota=1, cancels=1),
    Scenario("smaller, then larger, a crash", 2, (("calls", 3),), sizes=(1, 2), crashes=1),
    Scenario("smaller, too old, a cancel", 2, (("calls", 2),), sizes=(1,), dues=1, cancels=1),
    Scenario("later again, all endings", 1, (("calls", 2),), ENDINGS, errors=1, retries=1, delay=True, **ENDING_ONE),
    Scenario("two workers, calls that may take too long", 2, (("calls", 3),), timeouts=2),
    Scenario("two workers, too long with a grace", 2, (("calls", 2),), timeouts=1, grace=True, crashes=1, **ENDING_ONE),
    Scenario("two workers, a chunk that runs again", 2, (("chunk", 3),), crashes=1, errors=1, retries=1),
    Scenario("two workers, later again, killed", 2, (("calls", 2),), ("kill",), delay=True, **EVERYTHING),
    Scenario("all at once, two calls", 1, (("calls", 2),), quota=2, **EVERYTHING),
    Scenario("all at once, a chunk, a worker two items", 1, (("chunk", 2),), quota=2, **EVERYTHING),
    Scenario("two workers, all at once", 2, (("chunk", 2),), **EVERYTHING),
    Scenario("two workers, priorities, too late", 2, (("calls", 2), ("calls", 2)), ranks=(0, 5, 1), lates=1, cancels=1),
    Scenario("calls, two crashes, a cancel", 2, (("calls", 3),), crashes=2, cancels=1),
    Scenario("calls, a crash, two cancels", 2, (("calls", 3),), crashes=1, cancels=2),
    Scenario("calls, a crash, all endings", 2, (("calls", 3),), ENDINGS, crashes=1),
    Scenario("dear calls, a crash, a cancel, all endings", 2, (("calls", 3),), ENDINGS, DEAR, crashes=1, cancels=1),
    Scenario("calls, a cancel, a crash, shut down with cancel", 2, (("calls", 3),), ("cancel",), crashes=1, cancels=1),
    Scenario("three workers, three calls, a crash", 3, (("calls", 3),), crashes=1),
    Scenario("three workers, a call and three, a cancel", 3, (("calls", 1), ("calls", 3)), cancels=1),
    Scenario("a chunk of four, two crashes, closed, cancelled", 2, (("chunk", 4),), ("cancel",), crashes=2, cancels=1),
    Scenario("a chunk and two calls, a crash", 2, (("chunk", 3), ("calls", 2)), crashes=1),
    Scenario(
        "a chunk of fixed grain and a call, a crash, closed", 2, (("grain", 3), ("calls", 1)), crashes=1, cancels=1
    ),
    Scenario("one worker, five calls, two cancels, a crash", 1, (("calls", 1), ("calls", 4)), crashes=1, cancels=2),
    Scenario("two items a worker, four calls, a crash", 2, (("calls", 4),), quota=2, crashes=1),
    Scenario("lent twice, a crash, killed", 2, (("calls", 1), *(("lone", 1),) * 3), ("kill",), crashes=1, lends=2),
    Scenario("lent, calls, cancelled", 2, (("calls", 1), ("lone", 1), ("calls", 2)), ("cancel",), cancels=1, lends=1),
    Scenario("bad starts, all endings", 2, (("calls", 2),), ENDINGS, failed_starts=4, unfit=1),
    Scenario("keys, a cancel, shut down with cancel", 2, KEYS, ("cancel",), cancels=1),
    Scenario("keys, two crashes", 2, KEYS, crashes=2),
    Scenario("keys, two items a worker, a crash", 2, KEYS, quota=2, crashes=1),
    Scenario("keys, too long, a cancel that kills", 2, KEYS, timeouts=1, **ENDING_ONE),
    Scenario("a key and a call that run again, a crash", 2, (("key", 2), ("calls", 1)), crashes=1, errors=1, retries=1),
    Scenario("a key and a call, smaller, then larger", 2, (("key", 3), ("calls", 1)), sizes=(1, 2)),
    Scenario("turns and a call, smaller, then larger", 2, (("turns", 2), ("calls", 1)), sizes=(1, 2)),
    Scenario("two of turns that run again, a crash", 2, (("turns", 2), ("turns", 2)), crashes=1, **TWICE),
    Scenario("turns, two crashes, killed", 2, (("turns", 2), ("turns", 2)), ("kill",), crashes=2),
    Scenario("turns, too old, a crash, a bad start", 2, (("turns", 3), ("calls", 1)), dues=1, **RENEWING),
    Scenario("turns and a key, two items a worker, a crash", 2, (("turns", 3), ("key", 2)), quota=2, crashes=1),
    Scenario("turns, smaller, too old, a crash", 2, (("turns", 2), ("turns", 2)), sizes=(1,), dues=1, crashes=1),
    Scenario("turns and a lone call to a lent worker", 2, (("calls", 1), ("turns", 2), ("lone", 1)), lends=1),
    Scenario("turns, all at once", 1, (("turns", 2),), **EVERYTHING),
    Scenario(
        "turns, later again, all endings", 1, (("turns", 2),), ENDINGS, errors=1, retries=1, delay=True, crashes=1
    ),
)
"""For a soak: half an hour of one core."""
