"""`max_workers="auto"` on loads that nobody has thought of: what holds for all of them.

What is said of whole loads is said of those that are drawn here, which are always the same ones: of a climber one finds
a load in the end at which it does a little worse.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.core import events
from procession.core.auto import SETTLE_NS, TICK_NS, AutoWidth
from procession.core.rules import SECOND
from tests.core.machine import Item, Machine, fixed

LONG = 10_000.0
"""ms."""

NS = st.one_of(st.just(0), st.integers(0, TICK_NS), st.integers(0, 1000 * SECOND))


@st.composite
def anything(draw: st.DrawFn) -> tuple[int, events.Measured, int, bool]:
    """How much later, what was measured, by how many fewer were allowed, and whether they could not be started."""
    passed = draw(st.one_of(st.just(TICK_NS), st.integers(0, 3 * TICK_NS), st.just(1000 * SECOND)))
    numbers: list[Any] = [draw(st.integers(0, 40)), draw(st.integers(0, 1000)), draw(st.integers(0, 100_000))]
    seen = events.Measured(0, *numbers, draw(NS), draw(NS), draw(NS), draw(st.none() | st.integers(0, 50)))
    return passed, seen, draw(st.sampled_from([0, 0, 0, 1, 5])), draw(st.booleans())


@settings(max_examples=200, deadline=None)
@given(
    start=st.integers(1, 16),
    cap=st.integers(1, 64),
    locked=st.booleans(),
    told=st.lists(anything(), min_size=1, max_size=60),
)
def test_whatever_is_measured(
    start: int, cap: int, locked: bool, told: list[tuple[int, events.Measured, int, bool]]
) -> None:
    auto = AutoWidth(start, cap, locked=locked)
    now, changed = SECOND, 0
    for passed, seen, fewer, narrowed in told:
        now += passed
        seen.now = now
        before = auto.width
        allowed = max(1, before - fewer)
        after = auto.next(seen, allowed, narrowed and allowed < before)
        assert after == auto.width
        assert min(start, cap) <= after <= cap
        assert after <= 2 * before
        assert auto.why
        assert auto.lately.on_cpu >= 0
        assert auto.lately.in_line >= 0
        if after > before:
            assert seen.waiting
            assert now - changed >= SETTLE_NS or now - changed >= 4 * TICK_NS or not changed
            assert not narrowed or allowed == before
        changed = now if after != before else changed


STRETCH = st.tuples(st.sampled_from(["cpu", "wait", "lock"]), st.integers(4, 400).map(float))


@st.composite
def load(draw: st.DrawFn) -> tuple[int, bool, bool, list[Item]]:
    """CPUs, an interpreter's lock, does the system hide who is in line, and items of one kind, some 10 s of them."""
    cpus = draw(st.sampled_from([1, 2, 4]))
    item: Item = list(draw(st.lists(STRETCH, min_size=1, max_size=3)))
    takes = sum(ms for _, ms in item)
    return cpus, draw(st.booleans()), draw(st.booleans()), [item] * int(cpus * LONG / takes)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(load())
def test_whatever_runs(what: tuple[int, bool, bool, list[Item]]) -> None:
    """It ends; it takes little longer than with as many workers as there are CPUs; what is steady is let be."""
    cpus, gil, blind, items = what
    it = Machine(AutoWidth(cpus, 32, locked=gil), cpus, gil=gil, blind=blind)
    took = it.run(items)
    assert it.done == len(items)
    widths = [width for _, width in it.widths]
    assert all(cpus <= width <= 32 for width in widths)
    assert took <= 1.1 * fixed(cpus, cpus, items, gil=gil) + 500
    changes = [now for (_, before), (now, after) in pairwise(it.widths) if before != after]
    late = [now for now in changes if now > it.widths[0][0] + 5000]
    assert len(late) <= 2 + took / 1000


@settings(max_examples=6, deadline=None, derandomize=True)
@given(cpu=st.integers(6, 60), wait=st.integers(6, 400), cpus=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99))
def test_what_waits_ends_nearly_as_soon_as_with_the_best(cpu: int, wait: int, cpus: int, seed: int) -> None:
    rng = Random(seed)
    items: list[Item] = [
        [("cpu", rng.uniform(0.5, 1.5) * cpu), ("wait", rng.uniform(0.5, 1.5) * wait)]
        for _ in range(int(cpus * 8_000 / cpu))
    ]
    it = Machine(AutoWidth(cpus, 32), cpus)
    took = it.run(items)
    best = min(fixed(cpus, width, items) for width in (cpus, 4 * cpus, 32))
    assert took <= 1.5 * best + 500, it.whys


@pytest.mark.parametrize("seed", range(3))
def test_half_a_minute_of_one_kind_changes_little(seed: int) -> None:
    rng = Random(seed)
    items: list[Item] = [[("cpu", rng.uniform(5, 15)), ("wait", rng.uniform(20, 60))] for _ in range(30_000 * 2 // 10)]
    it = Machine(AutoWidth(2, 32), 2)
    it.run(items, until=30_000)
    changes = [now for (_, before), (now, after) in pairwise(it.widths) if before != after]
    assert sum(now > it.widths[0][0] + 5000 for now in changes) <= 8, it.whys
