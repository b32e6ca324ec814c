"""Every interleaving of small pools whose workers are far, walked; faults that a walk finds are in test_far_faults.py.

The bounds are `procession.testing.far_bounds.FAR_BOUNDS`; the soak walks FAR_DEEP_BOUNDS as well.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping

import pytest

from procession.testing.explorer import Report, explore
from procession.testing.far_bounds import FAR_BOUNDS, FAR_DEEP_BOUNDS
from procession.testing.far_world import FarWorld
from procession.testing.scenario import Scenario
from tests.core.worlds import copies_share_nothing, found_in


def walk(scenario: Scenario) -> Report | str:
    """See `found_in`."""
    return found_in(FarWorld(scenario), scenario.name)


@pytest.mark.parametrize("scenario", FAR_BOUNDS, ids=lambda scenario: scenario.name)
def test_nothing_that_can_happen_breaks_a_law(scenario: Scenario, walked: Mapping[Scenario, Report | str]) -> None:
    report = walked[scenario]
    print(f"\n{report}")
    assert isinstance(report, Report), report
    assert report.states > 200
    assert report.ends > 0


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scenario", FAR_DEEP_BOUNDS, ids=lambda scenario: scenario.name)
def test_deep(scenario: Scenario, walked: Mapping[Scenario, Report | str]) -> None:
    print(f"\n{walked[scenario]}")
    assert isinstance(walked[scenario], Report), walked[scenario]


def test_a_copy_of_the_world_is_the_same_and_shares_nothing() -> None:
    """As test_explorer.py has it; with places that are lost, and answers that somebody waits for."""
    program = (("calls", 2), ("key", 2), ("chunk", 3))
    world = FarWorld(Scenario("x", 2, program, crashes=1, cancels=2, losses=1, slow_starts=True, late_calls=True))
    copies_share_nothing(world, "driver")


def test_states_are_in_no_cycles() -> None:
    """Walks are made without the collector of cycles: a million states would not fit into the memory."""
    gc.collect()
    gc.disable()
    try:
        report = explore(FarWorld(Scenario("x", 1, (("calls", 1),), cancels=1, crashes=1, losses=1)))
        assert gc.collect() < report.states < report.transitions
    finally:
        gc.enable()
