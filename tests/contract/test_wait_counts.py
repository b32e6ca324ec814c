"""The stdlib's `wait` and `as_completed` count what they are told: of each future that they saw undone, once."""

import threading
from concurrent.futures import as_completed, wait

import pytest

from tests.contract import work
from tests.contract.conftest import PATIENCE, Gate, MakePool


def test_wait_returns_when_all_are_done_and_not_before(make_pool: MakePool) -> None:
    """Outcomes arrive while `wait` is looking at a thousand futures, one after another."""
    with make_pool() as pool:
        for _ in range(8):
            futures = [pool.submit(work.square, n) for n in range(2000)]
            done, not_done = wait(futures, timeout=60)
            assert not not_done
            assert len(done) == 2000


def test_as_completed_gives_each_once(make_pool: MakePool) -> None:
    with make_pool() as pool:
        futures = [pool.submit(work.square, n) for n in range(2000)]
        assert sorted(future.result() for future in as_completed(futures, timeout=60)) == [n * n for n in range(2000)]


def test_a_cancel_is_counted_once(make_pool: MakePool) -> None:
    with make_pool() as pool:
        for _ in range(4):
            futures = [pool.submit(work.square, n) for n in range(1000)]
            cancelled = sum(future.cancel() for future in futures[::-3])
            done, not_done = wait(futures, timeout=60)
            assert not not_done
            assert sum(future.cancelled() for future in done) == cancelled


@pytest.mark.usefixtures("side_by_side")
def test_foreign_code_may_sleep_on_the_condition(make_pool: MakePool, gate: Gate) -> None:
    """It is what the stdlib's futures have: a Condition whose lock is reentrant, notified when the future is done."""
    with make_pool(1) as pool:
        future = pool.submit(work.pass_gate, *gate.paths, 7)
        gate.arrived()
        with future._condition, future._condition:
            assert not future._condition.wait(0.001)
            assert not future._condition.wait_for(future.done, 0.001)
            threading.Timer(0.02, gate.open).start()
            assert future._condition.wait_for(future.done, PATIENCE)
        assert future.result() == 7
        late = pool.submit(work.square, 3)
        assert late.result(PATIENCE) == 9
        with late._condition:
            assert late._condition.wait_for(late.done, PATIENCE)
            late._condition.notify_all()


@pytest.mark.usefixtures("side_by_side")
def test_done_and_waiting_ones_in_one_call(make_pool: MakePool, gate: Gate) -> None:
    with make_pool(1) as pool:
        done = [pool.submit(work.square, n) for n in range(100)]
        assert len(wait(done, PATIENCE).done) == 100
        held = pool.submit(work.pass_gate, *gate.paths, 7)
        gate.arrived()
        assert wait([*done, held], 0.01).not_done == {held}
        assert list(as_completed(done, PATIENCE))
        gate.open()
        assert wait([*done, held], PATIENCE).done == {*done, held}
        assert set(as_completed([*done, held], PATIENCE)) == {*done, held}
