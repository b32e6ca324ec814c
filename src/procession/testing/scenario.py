"""The bounds of a walk: what the user does, and what may go wrong how often."""

from __future__ import annotations

from dataclasses import dataclass

CHEAP, DEAR, UNKNOWN = 1_000.0, 1e9, -1.0
"""What an item is thought to cost, in nanoseconds: leases of many, of one without a successor, of one."""
ENDINGS = ("shutdown", "cancel", "kill")


@dataclass(frozen=True)
class Scenario:
    """The bound of a walk: what the user does, and what may go wrong how often."""

    name: str
    workers: int
    program: tuple[tuple[str, int], ...]
    """("calls", n): n calls at once; ("chunk", n): one chunk of n items; ("grain", n): the same, in leases of n."""
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

    @property
    def items(self) -> int:
        """How many there are in all."""
        return sum(count for _, count in self.program)


BOUNDS = (
    Scenario("calls, a crash, a cancel", 2, (("calls", 3),), crashes=1, cancels=1),
    Scenario("a call and a chunk, a crash", 2, (("calls", 1), ("chunk", 3)), crashes=1),
    Scenario("a chunk of fixed grain, closed", 2, (("grain", 4),), cancels=1),
    Scenario("one worker, calls, a crash, a cancel", 1, (("calls", 1), ("calls", 4)), crashes=1, cancels=1),
    Scenario("one worker that will not start, all endings", 1, (("calls", 2),), ENDINGS, failed_starts=3, unfit=1),
    Scenario("bad starts, a bad initializer, a crash", 2, (("calls", 2),), failed_starts=1, unfit=1, crashes=1),
    Scenario("calls, shut down with cancel", 2, (("calls", 3),), ("shutdown", "cancel")),
    Scenario("calls, a crash, killed", 2, (("calls", 3),), ("kill",), crashes=1),
    Scenario("a worker an item, a cancel", 2, (("calls", 3),), quota=1, cancels=1),
    Scenario("lone calls to a lent worker, a crash", 2, (("calls", 1), ("lone", 1), ("lone", 1)), crashes=1, lends=1),
    Scenario("calls of unknown cost, a crash", 2, (("calls", 3),), crashes=1, mean_ns=UNKNOWN),
)
"""What is walked by default: some fifteen seconds."""

DEEP_BOUNDS = (
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
)
"""For a soak: minutes."""
