"""Bytes of results that are there and not handed over: what they add up to, and how many more items may start.

The window of a flow bounds items; a ledger, where a flow has one, bounds what finished ones weigh. Results of items
that run already cannot be refused, so what is bounded is the starting: there must be room for the results of all that
is out, as large as they have lately been.

Laws (`tests/flow/test_ledger.py` walks them)
1. `total` is the sum of the weights of what came, has not left and was not moved aside.
2. While every result weighs the same, `total` and the results of all that is out do not exceed `limit`, but for the
   first `first` items, which start before any weight is known, and for law 3.
   While it is `lifted`, nothing is bounded.
3. Whatever the limit: when nothing is out and nothing is ready, one item starts, the one that the order waits for. So a
   result heavier than the limit comes alone, and no flow stands still for its ledger.
4. As flow.py, law 6: a raising signal leaves `total` and `weights` in agreement, since no call comes between.

Not thread-safe: whoever shares a flow holds its lock.
"""

from __future__ import annotations

from typing import Any

_ALL = 1 << 62
FADE = 32
"""What is expected of a result shrinks by one part in so many with each that is lighter: by half in 22."""


class Ledger:
    """What the finished results of one flow weigh."""

    __slots__ = ("aside", "expected", "first", "lifted", "limit", "loose", "most", "total", "weights")

    def __init__(self, limit: int, first: int) -> None:
        self.limit = limit
        self.first = first
        self.lifted = 0  # so many want all to be done, whatever room it takes
        self.total = 0
        self.most = 0  # that `total` ever was
        self.expected = 0  # the weight of the largest result of late
        self.aside = 0  # results that were moved aside and have not left
        self.weights: dict[int, int] = {}
        self.loose: dict[int, tuple[int, list[Any], int]] = {}  # may be moved aside: start of the run, the run, place

    def allowance(self, out: int) -> int:
        """How many more items may start when `out` have started and have no outcome."""
        if self.lifted:
            return _ALL
        if not self.expected:
            return self.first - out
        return (self.limit - self.total) // self.expected - out

    def piece(self) -> int:
        """How many items may start together, at most: a part of what the limit allows for each worker."""
        return max(1, self.limit // (4 * self.first * self.expected)) if self.expected else 1

    def came(self, index: int, weight: int) -> None:
        """The result of item `index` is there."""
        weight = weight if weight > 0 else 1
        self.weights[index] = weight
        self.total += weight
        faded = self.expected - (self.expected + FADE - 1) // FADE
        self.expected = weight if weight > faded else faded
        if self.total > self.most:
            self.most = self.total

    def may_move(self, index: int, start: int, run: list[Any], at: int) -> None:
        """The result of item `index` is `run[at]`, of a run that began at item `start`."""
        self.loose[index] = (start, run, at)

    def left(self, index: int) -> None:
        """It was handed over, or dropped."""
        if index in self.weights:
            weight = self.weights[index]
            self.total -= weight
            self.aside -= not weight
            del self.weights[index]
        if index in self.loose:
            del self.loose[index]

    def latest(self) -> int | None:
        """The result that came last of those that may be moved: in an ordered flow most likely far from its turn."""
        return next(reversed(self.loose), None)

    def fixed(self, index: int) -> None:
        """It cannot be moved aside: its turn has come, or there is no way."""
        if index in self.loose:
            del self.loose[index]

    def clear(self) -> None:
        """No result waits: whatever an interrupted hand-over has left here, there is nothing."""
        self.weights, self.loose, self.total, self.aside = {}, {}, 0, 0

    def moved(self, index: int) -> None:
        """It was moved aside, and weighs nothing any more."""
        if self.weights.get(index):
            self.total -= self.weights[index]
            self.weights[index] = 0
            self.aside += 1
