"""shutdown in all its ways, the with block, and max_pending."""

import asyncio
import gc
import logging
import os
import signal
import threading
from concurrent.futures import CancelledError, wait
from pathlib import Path

import pytest

from procession import Full, Pool
from procession.backends.base import Capabilities

from . import work
from .conftest import PATIENCE, Gate, MakePool


def test_shutdown_waits_for_what_was_submitted(pool: Pool) -> None:
    futures = [pool.submit(work.square, n) for n in range(500)]
    pool.shutdown()
    assert [future.result(0) for future in futures] == [n * n for n in range(500)]
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(work.square, 1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.map(work.square, [1])


def test_a_pool_that_did_nothing_ends_at_once(make_pool: MakePool) -> None:
    for wait_for_it in (True, False):
        pool = make_pool()
        pool.shutdown(wait=wait_for_it)
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(work.square, 1)


@pytest.mark.usefixtures("side_by_side")
def test_shutdown_without_waiting_lets_the_work_be_done(pool: Pool, gate: Gate) -> None:
    futures = [pool.submit(work.pass_gate, *gate.paths, n) for n in range(6)]
    pool.shutdown(wait=False)
    gate.open(6)
    assert [future.result(PATIENCE) for future in futures] == list(range(6))


@pytest.mark.usefixtures("side_by_side")
def test_shutdown_with_cancel(pool: Pool, gate: Gate) -> None:
    running = [pool.submit(work.pass_gate, *gate.paths, n) for n in range(2)]
    gate.arrived(2)
    waiting = [pool.submit(work.pass_gate, *gate.paths) for _ in range(50)]
    pool.shutdown(wait=False, cancel_futures=True)
    wait(waiting, PATIENCE)
    assert all(future.cancelled() for future in waiting)
    gate.open(2)
    pool.shutdown(wait=True)
    assert [future.result(0) for future in running] == [0, 1]
    assert gate.nobody_arrives()


def test_shutdown_twice_and_from_two_threads(pool: Pool) -> None:
    futures = [pool.submit(work.square, n) for n in range(200)]
    others = [threading.Thread(target=pool.shutdown) for _ in range(2)]
    for other in others:
        other.start()
    pool.shutdown()
    for other in others:
        other.join(PATIENCE)
        assert not other.is_alive()
    pool.shutdown()
    assert all(future.done() for future in futures)


def test_shutdown_from_a_callback_returns(pool: Pool) -> None:
    returned = threading.Event()

    def callback(_: object) -> None:
        pool.shutdown(wait=True)
        returned.set()

    pool.submit(work.square, 3).add_done_callback(callback)
    assert returned.wait(PATIENCE)


@pytest.mark.usefixtures("side_by_side")
def test_shutdown_from_a_signal_handler_returns(pool: Pool, gate: Gate) -> None:
    """The handler runs while the main thread waits for a result, which comes."""
    future = pool.submit(work.pass_gate, *gate.paths, "through")
    gate.arrived()
    before = signal.signal(signal.SIGUSR1, lambda *_: (gate.open(), pool.shutdown()))
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        assert future.result(PATIENCE) == "through"
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(work.square, 3)


def test_a_dropped_pool_finishes_its_work(backend: str, tmp_path: Path) -> None:
    path = str(tmp_path / "done")
    pool = Pool(2, backend=backend)  # type: ignore[arg-type]
    futures = [pool.submit(work.note_and_return, path, n) for n in range(100)]
    del pool
    gc.collect()
    assert sorted(future.result(PATIENCE) for future in futures) == list(range(100))
    assert sorted(map(int, open(path))) == list(range(100))  # noqa: SIM115


@pytest.mark.usefixtures("side_by_side")
def test_kill_workers_ends_it(make_pool: MakePool, capabilities: Capabilities, gate: Gate) -> None:
    pool = make_pool(1)
    running = pool.submit(work.pass_gate, *gate.paths)
    gate.arrived()
    waiting = [pool.submit(work.square, n) for n in range(10)]
    pool.kill_workers()
    wait(waiting, PATIENCE)
    assert all(future.cancelled() for future in waiting)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(work.square, 1)
    if capabilities.can_kill:
        assert running.exception(PATIENCE) is not None
    else:
        gate.open()
        assert running.result(PATIENCE) is None


# ------------------------------------------------------------------------------------------------------- with block


def test_leaving_the_block_waits(make_pool: MakePool) -> None:
    with make_pool() as pool:
        futures = [pool.submit(work.square, n) for n in range(100)]
    assert [future.result(0) for future in futures] == [n * n for n in range(100)]


@pytest.mark.usefixtures("side_by_side")
def test_an_exception_in_the_block_cancels_what_has_not_started(
    make_pool: MakePool, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "procession")
    with pytest.raises(KeyError), make_pool(1) as pool:
        futures = [pool.submit(work.pass_gate, *gate.paths, n) for n in range(20)]
        futures[-1].add_done_callback(lambda _: gate.open())
        gate.arrived()
        raise KeyError("out")
    assert futures[0].result(0) == 0
    for future in futures[1:]:
        with pytest.raises(CancelledError):
            future.result(0)
    (record,) = [each for each in caplog.records if each.name == "procession"]
    assert "KeyError" in record.getMessage()
    assert "19 items" in record.getMessage()


@pytest.mark.parametrize("end", [SystemExit, GeneratorExit])
def test_an_orderly_exit_drains(make_pool: MakePool, end: type[BaseException]) -> None:
    with pytest.raises(end), make_pool(1) as pool:
        futures = [pool.submit(work.square, n) for n in range(100)]
        raise end
    assert [future.result(0) for future in futures] == [n * n for n in range(100)]


@pytest.mark.usefixtures("side_by_side")
def test_ctrl_c_in_the_block_does_not_wait(make_pool: MakePool, gate: Gate) -> None:
    with pytest.raises(KeyboardInterrupt), make_pool(1) as pool:
        pool.submit(work.pass_gate, *gate.paths)
        gate.arrived()
        waiting = [pool.submit(work.square, n) for n in range(10)]
        raise KeyboardInterrupt
    assert gate.nobody_arrives()
    wait(waiting, PATIENCE)
    assert all(future.cancelled() for future in waiting)


def test_a_view_is_the_pool(make_pool: MakePool) -> None:
    pool = make_pool()
    with pool.options(name="squares").options(progress=False) as view:
        assert view.submit(work.square, 3).result(PATIENCE) == 9
        assert list(view.map(work.square, [1, 2])) == [1, 4]
        assert list(view.imap(work.square, [1, 2])) == [1, 4]
        assert view.stats().done == 5
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(work.square, 3)


# ------------------------------------------------------------------------------------------------------ max_pending


@pytest.mark.usefixtures("side_by_side")
def test_block_waits_for_room(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(1, max_pending=2)
    futures = [pool.submit(work.pass_gate, *gate.paths, n) for n in range(2)]
    gate.arrived()
    threading.Timer(0.05, gate.open).start()
    futures.append(pool.submit(work.pass_gate, *gate.paths, 2))  # returns when the first is through
    assert futures[0].result(PATIENCE) == 0
    gate.open(2)
    assert [future.result(PATIENCE) for future in futures] == [0, 1, 2]


def test_ten_thousand_pass_through_a_narrow_door(make_pool: MakePool) -> None:
    pool = make_pool(2, max_pending=7)
    futures = [pool.submit(work.square, n) for n in range(2_000)]
    assert [future.result(PATIENCE) for future in futures] == [n * n for n in range(2_000)]


@pytest.mark.usefixtures("side_by_side")
def test_raise(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(1, max_pending=2, overflow="raise")
    futures = [pool.submit(work.pass_gate, *gate.paths, n) for n in range(2)]
    with pytest.raises(Full, match="2 calls are pending"):
        pool.submit(work.square, 1)
    gate.open(2)
    wait(futures, PATIENCE)
    assert pool.submit(work.square, 1).result(PATIENCE) == 1


@pytest.mark.usefixtures("side_by_side")
def test_drop_newest(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(1, max_pending=2, overflow="drop_newest")
    futures = [pool.submit(work.pass_gate, *gate.paths, n) for n in range(2)]
    dropped = pool.submit(work.square, 1)
    assert dropped.cancelled()
    assert pool.stats().dropped == 1
    gate.open(2)
    assert [future.result(PATIENCE) for future in futures] == [0, 1]


@pytest.mark.usefixtures("side_by_side")
def test_drop_oldest(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(1, max_pending=3, overflow="drop_oldest")
    futures = [pool.submit(work.pass_gate, *gate.paths, n) for n in range(3)]
    gate.arrived()
    futures.append(pool.submit(work.pass_gate, *gate.paths, 3))
    assert [future.cancelled() for future in futures] == [False, True, False, False]
    assert pool.stats().dropped == 1
    gate.open(3)
    assert [future.result(PATIENCE) for future in futures if not future.cancelled()] == [0, 2, 3]


@pytest.mark.usefixtures("side_by_side")
def test_drop_oldest_drops_the_new_one_when_all_have_started(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(2, max_pending=2, overflow="drop_oldest")
    futures = [pool.submit(work.pass_gate, *gate.paths, n) for n in range(2)]
    gate.arrived(2)
    assert pool.submit(work.square, 1).cancelled()
    gate.open(2)
    assert [future.result(PATIENCE) for future in futures] == [0, 1]


@pytest.mark.usefixtures("side_by_side")
def test_an_event_loop_is_not_blocked(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(1, max_pending=1)

    async def main() -> list[object]:
        first = pool.submit(work.pass_gate, *gate.paths, "first")
        with pytest.raises(Full, match="acall"):
            pool.submit(work.square, 1)
        calls = [asyncio.ensure_future(pool.acall(work.square, n)) for n in range(3)]
        await asyncio.sleep(0)
        gate.open()
        return [await asyncio.wrap_future(first), *await asyncio.gather(*calls)]

    assert asyncio.run(main()) == ["first", 0, 1, 4]


@pytest.mark.usefixtures("side_by_side")
def test_a_callback_is_not_blocked(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(1, max_pending=2)
    raised: list[BaseException] = []
    done = threading.Event()

    def callback(_: object) -> None:
        try:
            pool.submit(work.pass_gate, *gate.paths)
            pool.submit(work.pass_gate, *gate.paths)
        except Full as error:
            raised.append(error)
        done.set()

    first = pool.submit(work.pass_gate, *gate.paths)
    pool.submit(work.pass_gate, *gate.paths)
    first.add_done_callback(callback)
    gate.open()
    assert done.wait(PATIENCE)
    assert len(raised) == 1
    gate.open(5)
