"""How many items travel together. Numbers only; what is measured arrives in events.

A lease should hold a few milliseconds of work: enough that handing it over costs nothing beside it, little enough that
a wrong guess is small (and a wrong guess is taken back anyway: the unstarted tail of a lease can be withdrawn at any
moment). Nothing here changes what a user can observe but speed.
"""

from __future__ import annotations

from collections.abc import Sequence

from procession._native import native

TARGET_NS = 3_000_000
"""Work in one lease, by measurement."""
FAR_TARGET_NS = 30_000_000
"""The same, where a round trip takes one to three milliseconds."""
MAX_LEASE = 4096 if native is None else 16_000
"""Items in one lease; two leases and their tokens must fit into one pipe (65,536 bytes), or on the fast lane one lease
of calls with a number each into a quarter of a ring."""
PREFETCH_BELOW_NS = 50_000_000
"""An item dearer than this gains nothing from having a successor wait beside it."""
GROWTH = 32
"""A lease is at most this many times the last one: one cold or lucky measurement must not decide alone."""


class Profile:
    """The running estimate of what one item of a function costs on a worker, in nanoseconds."""

    __slots__ = ("last", "mean_ns")
    target_ns = TARGET_NS

    def __init__(self) -> None:
        self.mean_ns: float = -1.0  # nothing measured yet
        self.last = 1

    def observe(self, items: int, busy_ns: int) -> None:
        """A lease of `items` items ran for `busy_ns`. New figures weigh half: costs drift, and cold starts lie."""
        if items <= 0:
            return
        cost = busy_ns / items if busy_ns > items else 1.0
        self.mean_ns = cost if self.mean_ns < 0 else (self.mean_ns + cost) / 2
        if items > self.last or busy_ns >= self.target_ns:
            self.last = items

    def scale(self, ratio: float) -> None:
        """A lease of several functions took `ratio` times what was expected; which of them did is unknown."""
        if self.mean_ns >= 0:
            self.mean_ns = max(1.0, self.mean_ns * (1 + ratio) / 2)

    def lease_items(self) -> int:
        """How many items make a lease of `target_ns`; 1 while nothing is known."""
        if self.mean_ns < 0:
            return 1
        return max(1, min(int(self.target_ns / self.mean_ns), self.last * GROWTH, MAX_LEASE))

    def worth_prefetching(self) -> bool:
        """Whether a successor should wait beside a running item, so that the worker never waits for the parent."""
        return 0 <= self.mean_ns < PREFETCH_BELOW_NS

    def cost_of(self, items: int) -> float:
        """Expected nanoseconds for `items` items; what was never measured counts as dear."""
        return items * (self.mean_ns if self.mean_ns >= 0 else float(PREFETCH_BELOW_NS))


class FarProfile(Profile):
    """That of workers on other machines, to whom handing something over costs milliseconds."""

    __slots__ = ()
    target_ns = FAR_TARGET_NS


def learn(done: int, busy_ns: int, profiles: Sequence[Profile], items: int, expected_ns: float) -> None:
    """A lease has ended of which `done` items took `busy_ns`; `items` were in it, expected to take `expected_ns`."""
    if len(profiles) == 1:
        profiles[0].observe(done, busy_ns)
    elif done:
        ratio = busy_ns / max(expected_ns * done / items, 1.0)
        for profile in profiles:
            profile.scale(ratio)
