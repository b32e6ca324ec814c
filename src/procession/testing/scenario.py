"""The bounds of a walk: what the user does, and what may go wrong how often."""

from __future__ import annotations

from dataclasses import dataclass

CHEAP, DEAR, UNKNOWN = 1_000.0, 1e9, -1.0
"""What an item is thought to cost, in nanoseconds: leases of many, of one without a successor, of one."""


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
    failed_starts: int = 0
    """Processes that cannot be started."""
    unfit: int = 0
    """Initializers that raise."""

    @property
    def items(self) -> int:
        """How many there are in all."""
        return sum(count for _, count in self.program)
