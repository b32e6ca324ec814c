"""The judgement: each way of comparing, on both sides of its bound, and whom it compares with."""

import pytest

from benchmarks.measures import MEASURES
from benchmarks.peers import PEERS
from benchmarks.results import Results, Verdict, rivals
from benchmarks.targets import ACCELERATED, EVERY_PEER, FOUNDATION, OURS, PURE, TARGETS, Target
from tests.benchmarks.made import bad, outcome, results

RATE = Target("submit_result", "rate", "times", 20.0, "ppe")
TIME = Target("roundtrip", "hot_p50", "times", 20.0, "ppe")
WITHIN = Target("roundtrip", "hot_p50", "within", 1.5, "raw-pipe")
PLUS = Target("idle", "pss", "plus", 5.0, "ppe-forkserver")
VALUE = Target("reference", "overhead", "value", 150.0)


def judged(target: Target, *pairs: tuple[float, float], peer: str = OURS) -> Verdict:
    """The verdict when each repetition found (ours, theirs)."""
    found = [outcome(target.measure, peer, r, **{target.metric: ours}) for r, (ours, _) in enumerate(pairs)]
    if target.against:
        found += [outcome(target.measure, target.against, r, **{target.metric: x}) for r, (_, x) in enumerate(pairs)]
    return Results(found).verdict(target, "import")


@pytest.mark.parametrize(
    ("target", "pair", "found", "reached"),
    [
        (RATE, (2_000.0, 100.0), 20.0, True),
        (RATE, (1_999.0, 100.0), 19.99, False),
        (TIME, (5.0, 100.0), 20.0, True),
        (TIME, (5.1, 100.0), 100 / 5.1, False),
        (WITHIN, (15.0, 10.0), 1.5, True),
        (WITHIN, (15.1, 10.0), 1.51, False),
        (PLUS, (45.0, 40.0), 5.0, True),
        (PLUS, (45.5, 40.0), 5.5, False),
        (VALUE, (150.0, 0.0), 150.0, True),
        (VALUE, (151.0, 0.0), 151.0, False),
    ],
)
def test_each_way_of_comparing(target: Target, pair: tuple[float, float], found: float, reached: bool) -> None:
    verdict = judged(target, pair)
    assert verdict.found == pytest.approx(found)
    assert verdict.reached is reached


def test_ratios_are_formed_within_a_repetition() -> None:
    """The machine was ten times as slow in the second one: both sides were, and no ratio shows it."""
    assert judged(TIME, (5.0, 100.0), (50.0, 1_000.0), (4.0, 80.0)).found == pytest.approx(20.0)


def test_a_repetition_that_one_side_lacks_does_not_count() -> None:
    found = results(
        outcome("roundtrip", OURS, 0, hot_p50=1.0),
        outcome("roundtrip", OURS, 1, hot_p50=5.0),
        outcome("roundtrip", "ppe", 1, hot_p50=100.0),
    )
    assert found.verdict(TIME, "import").found == pytest.approx(20.0)


def test_every_peer_means_the_nearest_and_no_control_and_not_ourselves() -> None:
    target = Target("roundtrip", "hot_p50", "times", 1.0, EVERY_PEER)
    times = {OURS: 10.0, PURE: 1.0, "raw-pipe": 2.0, "ppe": 100.0, "loky": 50.0}
    verdict = results(*(outcome("roundtrip", peer, hot_p50=t) for peer, t in times.items())).verdict(target, "import")
    assert verdict.found == pytest.approx(5.0)
    assert verdict.rival == "loky (nearest of 2)"


def test_what_is_a_control_in_one_measure_may_be_a_rival_in_another() -> None:
    assert "hand-written" not in rivals("map_mixed")
    assert "hand-written" in rivals("spinoff_small")


def test_a_rival_is_taken_at_its_best_chunk_size_or_as_it_comes() -> None:
    target = Target("map_mixed", "seconds", "times", 1.0, EVERY_PEER, theirs="best_seconds")
    ours = outcome("map_mixed", OURS, seconds=1.0)
    chunked = outcome("map_mixed", "ppe", seconds=3.0, best_seconds=0.8)
    without = outcome("map_mixed", "joblib", seconds=2.0)
    assert results(ours, chunked, without).verdict(target, "import").found == pytest.approx(0.8)
    assert results(ours, without).verdict(target, "import").found == pytest.approx(2.0)


def test_nothing_measured_is_neither_reached_nor_not() -> None:
    for target in (RATE, WITHIN, PLUS, VALUE):
        verdict = results(outcome(target.measure, "ppe", rate=1.0, hot_p50=1.0)).verdict(target, "import")
        assert verdict.found is None
        assert verdict.reached is None


def test_what_the_library_lacks_is_said() -> None:
    target = next(each for each in TARGETS if each.measure == "array_arena")
    verdict = results(bad("array_arena", OURS, "not available", "no empty")).verdict(target, "import")
    assert (verdict.reached, verdict.lack) == (None, "no empty")


def test_each_mode_is_judged_by_its_own_figures() -> None:
    accelerated, pure = (
        next(each for each in group if each.measure == "submit_wait") for group in (ACCELERATED, FOUNDATION)
    )
    found = results(
        outcome("submit_wait", OURS, rate=600.0),
        outcome("submit_wait", PURE, rate=79.0),
        outcome("submit_wait", "ppe", rate=10.0),
    )
    assert found.verdict(accelerated, "import").reached is True
    assert found.verdict(pure, "import").reached is False


@pytest.mark.parametrize("target", TARGETS, ids=lambda each: f"{each.peer}-{each.measure}-{each.metric}-{each.how}")
def test_a_target_names_what_there_is(target: Target) -> None:
    measure = MEASURES[target.measure]
    assert {target.metric, target.theirs or target.metric} <= {metric.key for metric in measure.metrics}
    assert measure.takes(PEERS[target.peer])
    assert bool(target.against) == (target.how != "value")
    if target.against not in ("", EVERY_PEER):
        assert measure.takes(PEERS[target.against])


def test_only_the_kinds_that_a_measure_runs_are_judged() -> None:
    found = results(outcome("map_mixed", OURS, seconds=1.0), outcome("submit_wait", OURS, rate=1.0))
    judged_kinds = {(each.target.measure, each.kind) for each in found.verdicts(["import", "main"])}
    assert judged_kinds == {("map_mixed", "import"), ("submit_wait", "import"), ("submit_wait", "main")}
