"""What is made for tests keeps the laws that a real recording keeps."""

from itertools import pairwise

import pytest

from procession.seeing.recording import CANCELLED, DIED, ERROR, OK, OUTCOMES, RUNNING, Recording
from tests.seeing.made import NONE, made, repeated


def laws(recording: Recording) -> None:
    """Those of recording.py, row by row."""
    columns = recording.columns
    assert {len(column) for column in columns.values()} == {len(recording)}
    by_worker: dict[int, list[tuple[int, int]]] = {}
    for row in range(len(recording)):
        at = {name: column[row] for name, column in columns.items()}
        if at["outcome"] not in (OK, ERROR):
            continue
        assert 0 < at["queued"] <= at["sent"] <= at["started"] <= at["ended"] <= at["done"]
        assert at["load"] + at["dump"] <= at["ended"] - at["started"]
        assert recording.since <= at["queued"]
        assert at["done"] <= recording.until
        by_worker.setdefault(at["worker"], []).append((at["started"], at["ended"]))
    for runs in by_worker.values():
        runs.sort()
        assert all(ended <= started for (_, ended), (started, _) in pairwise(runs))


@pytest.mark.parametrize(
    ("tasks", "workers", "pools"), [(0, 1, 1), (1, 1, 1), (2, 4, 1), (400, 4, 1), (1500, 7, 3), (900, 64, 2)]
)
@pytest.mark.parametrize("seed", range(3))
def test_the_laws_hold(tasks: int, workers: int, pools: int, seed: int) -> None:
    recording = made(tasks, workers, pools, seed=seed)
    laws(recording)
    assert len(recording) >= tasks
    assert len(recording.pools) == pools


def test_the_same_seed_makes_the_same() -> None:
    assert vars(made(300, seed=5)) == vars(made(300, seed=5))
    assert vars(made(300, seed=5)) != vars(made(300, seed=6))


def test_all_that_can_happen_happens() -> None:
    recording = made(6000, 8, 2)
    assert set(recording.outcome) == set(range(len(OUTCOMES))) - {RUNNING}
    assert max(recording.attempt) == 3
    failed = {row for row, outcome in enumerate(recording.outcome) if outcome not in (OK, CANCELLED)}
    assert set(recording.failures) == failed
    assert any(worker.end for worker in recording.workers)
    assert DIED in recording.outcome


def test_without_faults_nothing_goes_wrong() -> None:
    recording = made(500, 4, faults=NONE)
    assert set(recording.outcome) == {OK}
    assert len(recording) == 500
    assert recording.failures == {}
    assert len(recording.workers) == 4


def test_what_is_repeated_keeps_the_laws() -> None:
    once = made(300, 3, seed=4, faults=NONE)
    laws(recording := repeated(made(300, 3, seed=4, faults=NONE), 3))
    assert len(recording) == 3 * len(once)
    for key, samples in recording.counters.items():
        assert list(samples.times) == sorted(samples.times)
        assert len(samples.times) == len(samples.values) == 3 * len(once.counters[key].times)
