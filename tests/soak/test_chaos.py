"""A short run of the chaos in the default tests; `make soak` is the long one."""

import random

import pytest

from tests.soak.chaos import Chaos


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_some_seconds_of_chaos() -> None:
    chaos = Chaos(random.SystemRandom().randrange(1 << 32), 2.0)
    assert chaos.run(), "\n".join(chaos.breaches[:20])


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_minutes_of_chaos(seed: int) -> None:
    chaos = Chaos(seed, 120.0)
    assert chaos.run(), "\n".join(chaos.breaches[:20])
