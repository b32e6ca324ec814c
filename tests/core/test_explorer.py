"""Every interleaving of small pools, walked. That the walk finds what it is for is shown in test_seeded_faults.py.

The bounds are `procession.testing.scenario.BOUNDS`; the soak walks DEEP_BOUNDS as well. `pytest -s` prints the counts.
Who walks: tests/walking.py.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import pytest

from procession.testing.explorer import Action, Report, Violation, explore
from procession.testing.scenario import BOUNDS, DEEP_BOUNDS, Scenario
from procession.testing.world import World
from tests.core.worlds import copies_share_nothing, found_in


def walk(scenario: Scenario) -> Report | str:
    """See `found_in`."""
    return found_in(World(scenario), scenario.name)


@pytest.mark.parametrize("scenario", BOUNDS, ids=lambda scenario: scenario.name)
def test_nothing_that_can_happen_breaks_a_law(scenario: Scenario, walked: Mapping[Scenario, Report | str]) -> None:
    report = walked[scenario]
    print(f"\n{report}")
    assert isinstance(report, Report), report
    assert report.states > 1000
    assert report.ends > 0


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scenario", DEEP_BOUNDS, ids=lambda scenario: scenario.name)
def test_deep(scenario: Scenario, walked: Mapping[Scenario, Report | str]) -> None:
    print(f"\n{walked[scenario]}")
    assert isinstance(walked[scenario], Report), walked[scenario]


# ----------------------------------------------------------------------------------------------- the explorer itself


class Counter:
    """The smallest model: a number that may be counted up and, if it was told so, down again."""

    def __init__(self, at: int = 0, *, down: bool = False, most: int = 3) -> None:
        self.at, self.down, self.most = at, down, most

    def actions(self) -> Sequence[Action]:
        return [*([("up",)] if self.at < self.most else []), *([("down",)] if self.down and self.at == 2 else [])]

    def copy(self) -> Counter:
        return copy.copy(self)

    def act(self, action: Action) -> None:
        self.at += 1 if action == ("up",) else -1
        assert self.at < 5, "too high"

    def key(self) -> int:
        return self.at

    def narrate(self, action: Action) -> str:
        self.at += 1 if action == ("up",) else -1
        return f"{action[0]} to {self.at}"


def test_a_walk_counts_states_transitions_and_ends() -> None:
    report = explore(Counter(), "counter")
    assert (report.states, report.transitions, report.ends, report.depth) == (4, 3, 1, 3)
    assert str(report).startswith("counter: 4 states, 3 transitions, 1 ends, depth 3")


def test_a_cycle_is_a_violation() -> None:
    with pytest.raises(Violation, match="go on for ever") as caught:
        explore(Counter(down=True))
    assert caught.value.actions[0] == ("up",)


def test_the_first_story_found_is_the_shortest() -> None:
    with pytest.raises(Violation, match="too high") as caught:
        explore(Counter(most=9))
    assert caught.value.story == [f"up to {n}" for n in range(1, 6)]


def test_a_walk_that_is_too_wide_says_so() -> None:
    with pytest.raises(Violation, match="more than 2 states"):
        explore(Counter(), limit=2)


def test_a_copy_of_the_world_is_the_same_and_shares_nothing() -> None:
    """`snapshot` copies by hand, for speed; a field that it forgets shows here."""
    program = (("calls", 2), ("key", 2), ("chunk", 3))
    copies_share_nothing(World(Scenario("x", 2, program, crashes=1, cancels=2)), "core")
