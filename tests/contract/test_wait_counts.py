"""The stdlib's `wait` and `as_completed` count what they are told: of each future that they saw undone, once."""

from concurrent.futures import as_completed, wait

from tests.contract import work
from tests.contract.conftest import MakePool


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
