"""core.pace beside a bucket of tokens that fills as time goes by: every short story, and longer ones by Hypothesis."""

from __future__ import annotations

import itertools
from fractions import Fraction
from time import monotonic_ns

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession.core.pace import TOGETHER, Pace
from procession.core.rules import SECOND, Rules
from procession.pacing import make_pace, paced


class Bucket:
    """The textbook's: `level` tokens at `now`; those that are promised make it negative."""

    def __init__(self, period: int, burst: int) -> None:
        self.period, self.burst = period, burst
        self.level = Fraction(burst)
        self.now = 0

    def pass_to(self, now: int) -> None:
        if now > self.now:
            self.level = min(Fraction(self.burst), self.level + Fraction(now - self.now, self.period))
            self.now = now

    def wait(self) -> Fraction:
        """Until there is a token."""
        return max(Fraction(0), (1 - self.level) * self.period)


def made(period: int, burst: int) -> Pace:
    pace = Pace(SECOND / period)
    assert 0 <= pace.period - period <= 1, "a nanosecond too long, by the rounding of the rate"
    pace.period, pace.burst = period, burst
    return pace


def play(period: int, burst: int, story: list[tuple[int, str]]) -> list[int]:
    """Steps of time, and what is asked for after each; returns the instants of the tokens that were given."""
    pace, bucket, now, given_at = made(period, burst), Bucket(period, burst), 0, []
    for step, what in story:
        now += step
        bucket.pass_to(now)
        assert pace.at(now) == now + bucket.wait(), "law 3: the first instant"
        if what == "grab":
            assert pace.grab(now) == (bucket.wait() == 0)
            if bucket.wait() == 0:
                bucket.level -= 1
                given_at.append(now)
        elif what == "again":
            expected = now + bucket.wait()
            bucket.level -= 1
            assert now + pace.again(now, 0) == expected
            given_at.append(int(expected))
    return given_at


def check_spans(given_at: list[int], period: int, burst: int) -> None:
    """Law 1: every span that begins and ends with a token."""
    assert given_at == sorted(given_at)
    for first, last in itertools.combinations(range(len(given_at)), 2):
        tokens, span = last - first + 1, given_at[last] - given_at[first]
        assert tokens <= burst + Fraction(span, period), given_at


@pytest.mark.parametrize("burst", [1, 2, 3])
def test_every_story_of_three_steps(burst: int) -> None:
    count = 0
    steps = [(step, what) for step in (0, 3, 4, 9) for what in ("grab", "again", "look")]
    for story in itertools.product(steps, repeat=3):
        check_spans(play(4, burst, list(story)), 4, burst)
        count += 1
    assert count == 12**3


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 50),
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 120), st.sampled_from(["grab", "again", "look"])), max_size=60),
)
def test_longer_stories(period: int, burst: int, story: list[tuple[int, str]]) -> None:
    check_spans(play(period, burst, story), period, burst)


@given(st.floats(1e-6, 1e9))
def test_the_period_is_never_too_short_and_bursts_are_small(rate: float) -> None:
    pace = Pace(rate)
    assert Fraction(pace.period) * Fraction(rate) >= SECOND - 1 or pace.period == 1
    assert Fraction(pace.period - 1) * Fraction(rate) <= SECOND
    assert pace.burst == max(1, int(rate / TOGETHER))


@pytest.mark.parametrize("rate", [0.5, 1, 3, 10, 100, 1000, 12345.6])
def test_who_waits_until_there_is_a_token_gets_them_at_the_rate(rate: float) -> None:
    """No standstill, and nothing is lost to the rounding of waits."""
    pace = Pace(rate)
    now = 5 * SECOND
    for _ in range(1000):
        now = pace.at(now)
        assert pace.grab(now)
        assert pace.at(now) - now <= pace.period
    took = now - 5 * SECOND
    assert took == (1000 - pace.burst) * pace.period


def test_after_a_rest_the_burst_is_there_and_no_more() -> None:
    for rest in (1, 10, 1000):
        pace = made(10, 3)
        for _ in range(3):
            assert pace.grab(0)
        assert not pace.grab(9)
        now = 30 + rest * 10
        assert [pace.grab(now) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_goes_back_gives_nothing_twice() -> None:
    pace = made(10, 1)
    assert pace.grab(100)
    assert not pace.grab(95)
    assert pace.at(95) == 110


# --------------------------------------------------------------------------------------------------------- further runs


def test_a_further_run_takes_the_next_token_and_rests_until_it_starts() -> None:
    pace = made(10, 1)
    assert pace.grab(0)
    assert pace.again(2, 0) == 8
    assert pace.resting(2) == 1
    assert pace.at(2) == 20
    assert pace.again(3, 100) == 100  # its own wait is longer, and keeps nobody meanwhile
    assert pace.at(3) == 20
    assert pace.resting(9) == 2
    assert pace.resting(10) == 1
    assert pace.resting(103) == 0


def test_what_failed_together_does_not_come_back_together() -> None:
    pace = made(10, 1)
    assert [pace.again(0, 100) for _ in range(4)] == [100, 110, 120, 130]
    assert [pace.grab(now) for now in (0, 9, 10, 90)] == [True, False, True, True]
    assert pace.at(91) == 140, "no token is left before those that are promised"


class Named:
    """A pace, all instants that it has named, and what it could have named: by looking at them all."""

    def __init__(self, period: int, burst: int) -> None:
        self.period, self.burst = period, burst
        self.pace = made(period, burst)
        self.instants: list[int] = []

    def fits(self, at: int) -> bool:
        full = -(10**9)
        for each in sorted([*self.instants, at]):
            if each < full - (self.burst - 1) * self.period:
                return False
            full = max(full, each) + self.period
        return True

    def act(self, now: int, delay: int | None) -> None:
        if delay is not None:
            wait = self.pace.again(now, delay)
            assert wait >= delay
            self.add(now + wait)
        at = self.pace.at(now)
        assert self.fits(at)
        if self.burst == 1:
            assert not any(self.fits(each) for each in range(now, at)), "law 3: the first instant"
        assert self.pace.grab(now) == (at == now)
        if at == now:
            self.add(at)

    def add(self, at: int) -> None:
        assert self.fits(at), (self.instants, at)
        self.instants.append(at)


STEPS = [(step, delay) for step in (0, 3, 7) for delay in (None, 0, 2, 9, 30)]


@pytest.mark.parametrize("burst", [1, 2, 3])
def test_every_story_of_promised_tokens(burst: int) -> None:
    for story in itertools.product(STEPS, repeat=3):
        named, now = Named(4, burst), 100
        for step, delay in story:
            now += step
            named.act(now, delay)


@settings(max_examples=500, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 40), st.none() | st.integers(0, 150)), max_size=40),
)
def test_longer_stories_of_promised_tokens(period: int, burst: int, story: list[tuple[int, int | None]]) -> None:
    named, now = Named(period, burst), 1000
    for step, delay in story:
        now += step
        named.act(now, delay)


def test_many_that_wait_long_cost_little_and_keep_nobody() -> None:
    """A quarter of a million that failed together: they are one span, and what starts by itself goes on."""
    pace = made(10, 1)
    for _ in range(250_000):
        pace.again(0, 10**9)
    assert len(pace._spans) == 1
    assert [pace.grab(now) for now in (0, 10, 10**9 - 10)] == [True] * 3
    assert pace.at(10**9) == 10**9 + 250_000 * 10
    assert pace.resting(10**9 + 249_999 * 10) == 0


def test_one_that_need_not_wait_does_not_rest() -> None:
    pace = made(10, 1)
    assert pace.again(50, 0) == 0
    assert pace.resting(50) == 0


def test_a_further_run_waits_from_the_instant_that_its_engine_goes_by() -> None:
    """That lies a little back, by as much as the engine has had to do since: so much too early it would have run."""
    pace = make_pace(100.0)
    rules = paced(Rules(retries=1), pace)
    assert pace is not None
    assert rules is not None
    now = monotonic_ns() - SECOND
    assert pace.grab(now)
    assert [rules.delay_ns(tries, now) for tries in (1, 2, 3)] == [pace.period, 2 * pace.period, 3 * pace.period]
