"""A live source that says how many items it has at hand: so many are pulled at once, and none that is waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from procession import Pipeline, Pool, Stage


class Wire:
    """Gives items in bursts; what comes after a burst is waited for."""

    def __init__(self, bursts: list[list[int]]) -> None:
        self.bursts = bursts
        self.more = threading.Semaphore(1)
        self.burst: Iterator[int] = iter(())
        self.asked: list[int] = []

    def __iter__(self) -> Wire:
        return self

    def at_hand(self) -> int:
        left = self.burst.__length_hint__()  # type: ignore[attr-defined]
        self.asked.append(left)
        return int(left)

    def __next__(self) -> int:
        for item in self.burst:
            return item
        if not self.bursts:
            raise StopIteration
        assert self.more.acquire(timeout=30)
        self.burst = iter(self.bursts.pop(0))
        return next(self)


def run(kind: str, source: Any) -> Iterator[int]:
    if kind == "pipeline":
        with Pipeline(Stage(abs, backend="threads"), window=100) as pipeline:
            yield from pipeline.run(source, live=True)
    else:
        with Pool(2, backend="threads") as pool:
            yield from pool.imap(abs, source, live=True, window=100)


@pytest.mark.parametrize("kind", ["imap", "pipeline"])
def test_what_is_at_hand_is_pulled_at_once_and_nothing_waits_for_what_is_not(kind: str) -> None:
    wire = Wire([[*range(0, -50, -1)], [-50], [*range(-51, -90, -1)]])
    results = run(kind, wire)
    assert [next(results) for _ in range(50)] == [*range(50)]  # the source waits for its second burst
    wire.more.release()
    assert next(results) == 50
    wire.more.release()
    assert list(results) == [*range(51, 90)]
    assert 0 < len(wire.asked) <= 20  # and not one pull for each of the 90


@pytest.mark.parametrize("kind", ["imap", "pipeline"])
def test_a_window_bounds_what_is_at_hand(kind: str) -> None:
    """However much it has, no more is taken than may be inside."""
    wire = Wire([[*range(1000)]])
    results = run(kind, wire)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert wire.burst.__length_hint__() >= 1000 - 3 - 101  # type: ignore[attr-defined]
    assert list(results) == [*range(3, 1000)]
