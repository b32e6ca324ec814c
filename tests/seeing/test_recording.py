"""A recording: its columns stay of one length, and what does not fit is counted."""

import pickle
from itertools import pairwise

import pytest

from procession.seeing import recording
from procession.seeing.recording import COLUMNS, Recording


def test_a_row_has_a_place_in_every_column() -> None:
    made = Recording()
    assert made.add(worker=2, started=5, ended=9) == 0
    assert made.add(outcome=recording.CANCELLED) == 1
    assert len(made) == 2
    assert {len(column) for column in made.columns.values()} == {2}
    assert list(made.worker) == [2, -1]
    assert list(made.index) == [-1, -1]
    assert list(made.attempt) == [1, 1]
    assert list(made.ended) == [9, 0]


def test_what_does_not_fit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST", 2)
    made = Recording()
    assert [made.add() for _ in range(4)] == [0, 1, -1, -1]
    assert (len(made), made.lost) == (2, 2)


def test_samples_are_kept_by_pool_and_name() -> None:
    made = Recording()
    for now in range(3):
        made.sample(0, "queued", now, now * 2)
    made.sample(-1, "memory", 7, 1.5)
    assert list(made.counters[0, "queued"].values) == [0.0, 2.0, 4.0]
    assert list(made.counters[-1, "memory"].times) == [7]


def test_samples_of_a_long_time_become_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST_SAMPLES", 64)
    made, most = Recording(), 0
    for now in range(10_000):
        made.sample(0, "queued", now, now * 2)
        most = max(most, len(made.counters[0, "queued"].times))
    samples = made.counters[0, "queued"]
    assert most == 64
    assert len(samples.times) > 16
    assert [value / 2 for value in samples.values] == list(samples.times) == sorted(samples.times)
    assert samples.times[0] == 0
    gaps = [after - before for before, after in pairwise(samples.times)]
    assert max(gaps) < 10_000 / 8
    assert samples.times[-1] > 10_000 - max(gaps) - 1


def test_it_has_its_columns_and_nothing_else_by_name() -> None:
    made = Recording()
    for name in COLUMNS:
        assert len(getattr(made, name)) == 0
    with pytest.raises(AttributeError, match="no 'colour'"):
        _ = made.colour
    assert len(pickle.loads(pickle.dumps(made))) == 0
