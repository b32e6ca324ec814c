"""seeing.pace: rates and the time that is left, as functions of numbers."""

from __future__ import annotations

import itertools

import pytest

from procession.seeing.pace import FAINT, FEW, HORIZON, SLACK, Pace, clock, speed, time_left


def seen(*samples: tuple[float, int]) -> Pace:
    pace = Pace(0.0)
    for now, done in samples:
        pace.saw(now, done)
    return pace


def steady(rate: float, seconds: float, step: float = 0.1) -> Pace:
    """A count that has grown evenly for so long."""
    return seen(*[(n * step, int(n * step * rate + 1e-9)) for n in range(1, round(seconds / step) + 1)])


# ---------------------------------------------------------------------------------------------------------------- rates


def test_no_rate_before_anything_is_completed() -> None:
    assert seen().rate is None
    assert seen((1.0, 0), (2.0, 0)).rate is None


def test_the_first_one_counts_with_the_wait_for_it() -> None:
    assert seen((2.0, 0), (4.0, 2)).rate == pytest.approx(0.5)
    assert seen((4.0, 2)).rate == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("rate", "step"), [(0.01, 1.0), (0.3, 0.1), (7.0, 0.1), (1000.0, 0.1), (1e6, 0.5), (20.0, 5.0)]
)
def test_an_even_rate_is_found(rate: float, step: float) -> None:
    assert steady(rate, max(60.0, 20 / rate), step).rate == pytest.approx(rate, rel=0.12)


@pytest.mark.parametrize("step", [0.1, 1.0, 3.0])
def test_how_often_one_looks_changes_little(step: float) -> None:
    """Half of a change of the rate is seen after some seconds, however often it is looked at."""
    pace = steady(10.0, 60.0, step)
    done = pace.done
    for n in range(1, round(HORIZON / step) + 1):
        pace.saw(60.0 + n * step, done + int(100 * n * step))
    assert 50 < (pace.rate or 0) < 85


def test_the_rate_falls_when_nothing_comes_and_then_is_no_evidence() -> None:
    pace = steady(10.0, 60.0)
    before = pace.rate
    assert before is not None
    pace.saw(60.0 + HORIZON, pace.done)
    assert before / 4 < (pace.rate or 0) < before / 1.5
    assert pace.steady == pace.rate
    for n in range(1, 200):
        pace.saw(70.0 + n, pace.done)
    assert pace.rate is not None
    assert pace.rate < FAINT
    assert pace.steady is None
    assert time_left(10_000, pace) is None


def test_what_is_rare_is_remembered_longer() -> None:
    """One item a minute: the rate between two of them is neither nothing nor that of the last second."""
    pace = seen(*[(n / 1.0, n // 60) for n in range(1, 601)])
    rates = []
    for n in range(601, 661):
        pace.saw(float(n), n // 60)
        rates.append(pace.rate or 0.0)
    assert min(rates) > 0.8 / 60
    assert max(rates) < 1.2 / 60


def test_a_count_and_a_clock_that_go_back_are_borne() -> None:
    pace = seen((1.0, 5), (2.0, 4), (1.5, 6))
    assert pace.done == 6
    assert pace.rate is not None
    assert pace.rate > 0


def test_quiet_and_elapsed() -> None:
    pace = seen((1.0, 0), (2.0, 3), (5.0, 3))
    assert (pace.elapsed, pace.quiet) == (5.0, 3.0)


# ------------------------------------------------------------------------------------------------------------ time left


def test_nothing_is_said_without_evidence() -> None:
    assert time_left(10, seen()) is None
    assert time_left(10, seen((5.0, 0))) is None
    assert time_left(None, steady(10, 10)) is None
    assert time_left(10, seen((5.0, 0)), cost=None, workers=4, running=4) is None
    assert time_left(10, seen((5.0, 0)), cost=1.0, workers=0) is None


def test_nothing_is_left_at_the_end() -> None:
    assert time_left(3, seen((1.0, 3))) == 0.0
    assert time_left(0, seen()) == 0.0
    assert time_left(2, seen((1.0, 3))) == 0.0


@pytest.mark.parametrize(
    ("total", "workers", "running", "quiet", "expected"),
    [
        (8, 4, 4, 0.0, 20.0),  # two rounds of ten seconds
        (8, 4, 4, 3.0, 17.0),  # three seconds of the first are over
        (9, 4, 4, 3.0, 27.0),  # the ninth needs a third round
        (8, 4, 0, 3.0, 20.0),  # the workers are starting: nothing is over
        (1, 4, 1, 9.0, 1.0),
        (1, 4, 1, 10.0, None),  # it ought to be there
        (1, 4, 1, 15.0, None),
        (8, 4, 4, 12.0, 10.0),  # late, but that may be
        (8, 4, 4, 20.0 + SLACK + 0.1, None),  # no cost to believe in
        (8, 4, 0, 500.0, 20.0),
    ],
)
def test_before_anything_is_completed_the_measured_cost_tells(
    total: int, workers: int, running: int, quiet: float, expected: float | None
) -> None:
    pace = seen((quiet, 0))
    found = time_left(total, pace, cost=10.0, workers=workers, running=running)
    assert found == (None if expected is None else pytest.approx(expected))


def test_the_first_round_does_not_mislead() -> None:
    """Four of four workers are through at ten seconds, all in one look: a rate would change each second."""
    pace = seen((10.0, 4))
    assert time_left(40, pace, cost=10.0, workers=4, running=4) == pytest.approx(90.0)
    pace.saw(15.0, 4)
    assert time_left(40, pace, cost=10.0, workers=4, running=4) == pytest.approx(85.0)


def test_when_enough_is_completed_the_rate_tells() -> None:
    pace = seen(*[(10.0 * n, 4 * n) for n in range(1, 6)])
    assert pace.done >= FEW * 4
    assert time_left(40, pace, cost=1.0, workers=4, running=4) == pytest.approx(20 / (pace.rate or 0))


def test_without_a_cost_a_rate_needs_a_round_of_the_workers() -> None:
    assert time_left(40, seen((10.0, 1)), workers=4, running=4) is None
    assert time_left(40, seen((10.0, 4)), workers=4, running=4) == pytest.approx(90.0)
    assert time_left(40, seen((10.0, 1)), cost=0.1, workers=4, running=4) == pytest.approx(1.0)
    assert time_left(40, seen((10.0, 1), (15.0, 1)), cost=0.1, workers=4, running=4) is None


def test_every_answer_makes_sense() -> None:
    """All of a grid: None, or a number that is not negative, nor more than an eternity; and 0 only at the end."""
    numbers = itertools.product(
        (None, 0, 1, 5, 10**9),
        (0, 1, 4, 63),
        (0, 1, 4),
        (None, 1e-7, 0.5, 3600.0),
        (0.0, 0.1, 30.0, 1e5),
        (0, 1, 3, 1000),
    )
    for total, workers, running, cost, quiet, done in numbers:
        pace = seen((1.0, done), (1.0 + quiet, done))
        found = time_left(total, pace, cost=cost, workers=workers, running=min(running, workers))
        if found is None:
            continue
        assert total is not None
        assert (found == 0.0) == (done >= total), (total, workers, running, cost, quiet, done)
        assert 0.0 <= found < 1e16


# ----------------------------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (7.9, "0:07"),
        (60, "1:00"),
        (754, "12:34"),
        (3600, "1:00:00"),
        (3723, "1:02:03"),
        (273_900, "3d 04:05"),
    ],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.0, "0/s"),
        (1 / 300, "5:00 each"),
        (0.04, "25.0 s each"),
        (0.5, "2.0 s each"),
        (1.0, "1.0/s"),
        (99.94, "99.9/s"),
        (99.96, "100/s"),
        (9_999.4, "9,999/s"),
        (9_999.6, "10.0k/s"),
        (123_456.0, "123.5k/s"),
        (2_500_000.0, "2.5M/s"),
    ],
)
def test_speed(rate: float, text: str) -> None:
    assert speed(rate) == text
