"""Windows, keys, bytes, spilling, failures and cancels of a flow all together, beside a sequential program.

The oracle is in flow_model.py: small flows in full, larger ones by Hypothesis. That it finds what it is for is shown in
test_flow_faults.py. `pytest -s` prints how much was looked at; `-m soak` looks at much more.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from .flow_model import FAIL, LARGER, SMALL, Event, Rig, Setup, explore

# ------------------------------------------------------------------------------------------------------- small, in full


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("setup", SMALL, ids=lambda setup: setup.name)
def test_every_sequence_of_events_of_a_small_flow(setup: Setup, ordered: bool) -> None:
    states, steps = explore(setup, ordered)
    print(f"\n{setup.name}, ordered={ordered}: {states} states, {steps} steps")
    assert states > 200


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("setup", LARGER, ids=lambda setup: setup.name)
def test_every_sequence_of_events_of_a_larger_flow(setup: Setup, ordered: bool) -> None:
    states, steps = explore(setup, ordered)
    print(f"\n{setup.name}, ordered={ordered}: {states} states, {steps} steps")


# ---------------------------------------------------------------------------------------------------- larger, at random


class Random(RuleBasedStateMachine):
    """Whatever may happen, in any order."""

    counts: ClassVar[Counter[str]] = Counter()
    rig: Rig

    @initialize(
        window=st.integers(1, 8),
        ordered=st.booleans(),
        keys=st.sampled_from(["", "a", "ab", "abcd"]),
        limit=st.sampled_from([0, 1, 3, 6, 12]),
        spill=st.booleans(),
        workers=st.integers(1, 3),
        chunk=st.integers(1, 3),
    )
    def begin(self, window: int, ordered: bool, keys: str, limit: int, spill: bool, workers: int, chunk: int) -> None:
        alone = 1 if keys else chunk
        setup = Setup("random", 200, window, keys, limit, spill and limit > 0, workers, chunk=alone, drops=alone == 1)
        self.rig = Rig(setup, ordered)
        self.counts["examples"] += 1

    def step(self, *event: Any) -> None:
        self.counts["steps"] += 1
        self.counts[event[0]] += 1
        self.rig.step(event)

    def key(self, data: st.DataObject) -> str | None:
        keys = self.rig.setup.keys
        return data.draw(st.sampled_from(keys)) if keys else None

    @precondition(lambda self: not self.rig.flow.closed and self.rig.flow.room > 0 and len(self.rig.items) < 200)
    @rule(data=st.data())
    def admit(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(1, self.rig.flow.room))):
            count = data.draw(st.integers(1, min(self.rig.setup.chunk, max(1, self.rig.flow.room))))
            self.step("admit", self.key(data), count)
            if self.rig.flow.room <= 0:
                break

    @rule(data=st.data(), times=st.integers(3, 10))
    def work(self, data: st.DataObject, times: int) -> None:
        """What a stream does all day."""
        for _ in range(times):
            rig = self.rig
            able = {"done": rig.of("out"), "take": rig.flow.ready, "write": rig.errands}
            names = [name for name, what in able.items() if what]
            name = data.draw(st.sampled_from(names)) if names else None
            if name == "done":
                self.step(*self.done(data))
            elif name == "write":
                self.step("write", *self.meanwhile(data))
            elif name:
                self.step(name)

    def done(self, data: st.DataObject) -> Event:
        """Of one item, or of several neighbours."""
        out = self.rig.of("out")
        start = data.draw(st.sampled_from(out))
        most = next(n for n in range(1, 5) if start + n not in out or n == self.rig.setup.chunk)
        weight = st.sampled_from([1, 1, 1, 2, 5, FAIL])
        return ("done", start, tuple(data.draw(st.lists(weight, min_size=1, max_size=most))))

    def meanwhile(self, data: st.DataObject) -> list[Event]:
        """What happens while something is written."""
        rig = self.rig
        others: list[Event] = [("take",)]
        if rig.setup.drops:
            others += [("drop_ready",), *(("drop", index) for index in rig.of("out")[:2])]
        if out := rig.of("out"):
            others.append(("done", out[0], (1,)))
        return [data.draw(st.sampled_from(others))] if data.draw(st.booleans()) else []

    @rule(data=st.data())
    def meddle(self, data: st.DataObject) -> None:
        """What it does rarely."""
        rig = self.rig
        name = data.draw(st.sampled_from(["drop", "drop_ready", "take_some", "untake", "unsent", "window", "close"]))
        open_ones = rig.of("held", "waits", "out")
        if name == "drop" and open_ones and rig.setup.drops:
            self.step("drop", data.draw(st.sampled_from(open_ones)))
        elif name == "drop_ready" and rig.setup.drops:
            self.step("drop_ready")
        elif name == "take_some":
            self.step("take_some", data.draw(st.integers(0, 4)))
        elif name == "untake":
            self.step("untake", data.draw(st.booleans()))
        elif name == "unsent" and rig.flow.room > 0 and not rig.flow.closed:
            self.step("admit", self.key(data), 1, False)
        elif name == "window":
            self.step("window", data.draw(st.integers(1, 9)))
        elif name == "close" and len(rig.items) > 20:
            self.step("close")

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.counts["items"] += len(self.rig.items)
            self.rig.drain()


def at_random(examples: int, steps: int) -> None:
    Random.counts.clear()
    words = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    run_state_machine_as_test(Random, settings=words)
    print("\n" + ", ".join(f"{count} {name}" for name, count in Random.counts.most_common()))
    assert Random.counts["steps"] > examples


def test_random_interleavings() -> None:
    at_random(50, 40)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_random_interleavings() -> None:
    at_random(4000, 100)
