"""The time of a further run comes while a worker's death is looked into: it may be leased to the dead one."""

import os
from time import monotonic_ns
from typing import Any

import pytest

from procession import Pool, WorkerDied
from procession.backends.channel_fast import channel_class
from procession.driver import keeping
from tests.failures import tasks
from tests.failures.conftest import notes
from tests.failures.kit import Notes

HOUR = 3600 * 10**9

__all__ = ["notes"]


@pytest.mark.parametrize("step", ["drain_dead", "withdraw"])
def test_the_time_of_a_further_run_comes_with_a_death(step: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock leaps behind the reading of what the worker left, or behind the counting of what it had not taken."""
    late, dying = 0, False
    kind: Any = channel_class()
    original = getattr(kind, step)

    def leaping(channel: Any) -> Any:
        nonlocal late
        found = original(channel)
        late = HOUR if dying else 0
        return found

    monkeypatch.setattr(kind, step, leaping)
    monkeypatch.setattr(keeping, "monotonic_ns", lambda: monotonic_ns() + late)
    with Pool(1) as pool:
        waits = pool.options(retries=1, backoff=1800).submit(tasks.fail_first_times, notes.path, 1)
        assert pool.submit(abs, -1).result(60) == 1  # so the first run has failed
        dying = True
        assert isinstance(pool.submit(os._exit, 3).exception(60), WorkerDied)
        assert waits.result(60) == 2
        assert pool.stats().died == 1
