"""Initializer, setup, state and teardown; workers that cannot start; stats; names; nested pools."""

import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from procession import Pool, WorkerStartError
from procession.backends.base import Capabilities
from procession.futures import BrokenExecutor
from tests.logs import all_said

from . import work
from .conftest import PATIENCE, Gate, MakePool


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


@pytest.mark.usefixtures("side_by_side")
def test_the_initializer_runs_once_in_each_worker(make_pool: MakePool, gate: Gate, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pool = make_pool(2, initializer=work.initialize, initargs=(str(trace), "set"))
    futures = [pool.submit(work.pass_gate, *gate.paths) for _ in range(2)]
    gate.arrived(2)
    gate.open(2)
    for future in futures:
        future.result(PATIENCE)
    assert [pool.submit(work.initialized_value).result(PATIENCE) for _ in range(5)] == ["set"] * 5
    assert lines(trace) == ["initializer"] * 2


def test_setup_is_entered_read_and_left(make_pool: MakePool, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pool = make_pool(1, setup=Setup(str(trace)))
    assert pool.submit(work.read_state).result(PATIENCE).startswith("resource ")
    assert set(pool.map(work.read_state, range(20))) == {pool.submit(work.read_state).result(PATIENCE)}
    assert lines(trace) == ["enter"]
    pool.shutdown(wait=True)
    assert lines(trace) == ["enter", "exit"]


class Setup:
    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self) -> work.Resource:
        return work.Resource(self.path)


def test_what_setup_returns_is_the_state(make_pool: MakePool) -> None:
    pool = make_pool(1, setup=dict)
    assert pool.submit(work.read_state).result(PATIENCE) == {}


def test_there_is_no_state_without_setup(pool: Pool) -> None:
    with pytest.raises(RuntimeError, match="setup="):
        pool.submit(work.read_state).result(PATIENCE)


@pytest.mark.parametrize("word", ["initializer", "setup"])
def test_a_worker_that_cannot_start_breaks_the_pool(
    make_pool: MakePool, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    words: dict[str, Any] = {word: work.refuse_to_start}
    pool = make_pool(1, **words)
    with pytest.raises(WorkerStartError, match="not today") as caught:
        pool.submit(work.square, 2).result(PATIENCE)
    assert isinstance(caught.value, BrokenExecutor)
    assert "not today" in str(caught.value.__cause__)
    with pytest.raises(WorkerStartError, match="not today"):
        pool.submit(work.square, 2)
    with pytest.raises(WorkerStartError, match="not today"):
        pool.map(work.square, [1, 2])
    assert pool._broken
    pool.shutdown(wait=True)
    with pytest.raises(BrokenExecutor):  # as in the stdlib, that it is broken comes before that it was shut down
        pool.submit(work.square, 2)


def test_the_failure_of_an_initializer_is_logged_as_the_stdlib_does(
    make_pool: MakePool, capabilities: Capabilities, caplog: pytest.LogCaptureFixture
) -> None:
    if capabilities.pickles and capabilities.owns_workers:
        pytest.skip("it is logged in the worker, where the initializer ran")
    pool = make_pool(1, initializer=work.refuse_to_start)
    with pytest.raises(WorkerStartError):
        pool.submit(work.square, 2).result(PATIENCE)
    all_said()
    (record,) = [each for each in caplog.records if each.name == "concurrent.futures"]
    assert record.levelno == logging.CRITICAL
    assert record.message == "Exception in initializer:"


@pytest.mark.usefixtures("side_by_side")
def test_workers_are_started_on_demand(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(4)
    assert pool.stats().workers == 0
    for n in range(3):
        pool.submit(work.square, n).result(PATIENCE)
    assert pool.stats().workers == 1
    futures = [pool.submit(work.pass_gate, *gate.paths) for _ in range(3)]
    gate.arrived(3)
    assert pool.stats().workers == 3
    gate.open(3)
    for future in futures:
        future.result(PATIENCE)


@pytest.mark.usefixtures("side_by_side")
def test_stats_count_what_is_where(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(2)
    futures = [pool.submit(work.pass_gate, *gate.paths) for _ in range(5)]
    gate.arrived(2)
    stats = pool.stats()
    assert (stats.max_workers, stats.workers, stats.pending + stats.in_flight) == (2, 2, 5)
    assert stats.in_flight >= 2
    with pytest.raises(AttributeError):
        stats.workers = 3  # type: ignore[misc]
    gate.open(5)
    for future in futures:
        future.result(PATIENCE)
    pool.shutdown(wait=True)
    stats = pool.stats()
    assert (stats.workers, stats.pending, stats.in_flight, stats.done, stats.failed) == (0, 0, 0, 5, 0)


def test_where_tasks_run(pool: Pool, capabilities: Capabilities) -> None:
    here = os.getpid(), threading.get_ident()
    there = pool.submit(work.where).result(PATIENCE)
    assert (there[0] == here[0]) == (not capabilities.can_kill)
    assert (there == here) == capabilities.in_caller


@pytest.mark.usefixtures("another_program")
def test_a_task_may_have_a_pool_of_its_own(pool: Pool, backend: str) -> None:
    assert pool.submit(work.nested, backend, 5).result(PATIENCE) == [0, 1, 4, 9, 16]


def test_a_pool_does_not_travel(pool: Pool) -> None:
    import pickle

    with pytest.raises(TypeError, match="a pool cannot be pickled"):
        pickle.dumps(pool)


def test_a_worker_is_replaced_after_so_many_tasks(make_pool: MakePool, backend: str) -> None:
    if backend in ("inline", "threads"):
        with pytest.raises(TypeError, match=r'max_tasks_per_child is an option of backend="processes"'):
            make_pool(1, max_tasks_per_child=3)
        return
    pool = make_pool(1, max_tasks_per_child=3)
    pids = [pool.submit(os.getpid).result(PATIENCE) for _ in range(7)]
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]
