"""A short run of the chaos in the default tests; `make soak` is the long one."""

import random
import signal
import sys
import weakref

import pytest

from tests.soak.chaos import Chaos
from tests.soak.load import strikes


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


def test_a_strike_that_reaches_nobody_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: kept.append(told.exc_type.__name__))

    def strike(_: object) -> None:
        signal.raise_signal(signal.SIGPROF)

    with strikes():
        watch = weakref.ref(Thing(), strike)
        assert watch() is None
        watch = weakref.ref(Thing(), lambda _: 1 // 0)
    assert kept == ["ZeroDivisionError"]


class Thing:
    """It can be watched."""
