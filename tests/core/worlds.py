"""What is asked of every world that the explorer walks: test_explorer.py and test_far_explorer.py."""

from __future__ import annotations

import copy

from procession.testing.explorer import Report, Violation, explore
from procession.testing.world import World


def found_in(world: World, name: str) -> Report | str:
    """What was found, or the story of a violation."""
    try:
        return explore(world, name)
    except Violation as violation:
        return str(violation)


def copies_share_nothing(world: World, part: str) -> None:
    """A field that a copy forgets shows here, as one of the world's or of its `part`."""
    seen = 0
    while actions := world.actions():
        deep = copy.deepcopy(world)
        mine = world.copy()
        assert vars(mine).keys() == vars(world).keys()
        assert vars(getattr(mine, part)).keys() == vars(getattr(world, part)).keys()
        assert mine.key() == world.key() == deep.key()
        action = actions[seen % len(actions)]
        mine.act(action)
        assert world.key() == deep.key(), "the copy shares something"
        assert world.actions() == actions
        world.act(action)
        assert mine.key() == world.key()
        seen += 1
    assert seen > 15
