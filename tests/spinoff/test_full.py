"""A full SpinOff: who waits, what is dropped, when waiting would be for ever."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from procession import spinoff_room
from procession.errors import Full
from procession.spinoff import SpinOff


def double(x: int) -> int:
    return 2 * x


def doubles(items: list[int]) -> list[int]:
    return [2 * x for x in items]


def filled(engines: list[Any], **words: Any) -> SpinOff[int]:
    spin = SpinOff(double, maxsize=3, **words)
    spin.put_many(range(3))
    return spin


async def waits(spin: SpinOff[int]) -> None:
    """Until somebody waits for room; there is no event for that."""
    while not spin._core.room.sleepers:  # noqa: ASYNC110
        await asyncio.sleep(0)


def in_thread(target: Any) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    return thread


# ---------------------------------------------------------------------------------------- block


def test_put_waits_until_a_result_is_taken(engines: list[Any]) -> None:
    spin = filled(engines)
    engines[0].run(0)
    assert next(spin) == 0  # now this thread is one that takes
    spin.put(3)
    done: list[Any] = []
    putter = in_thread(lambda: done.append(spin.put(4)))
    spin._core.settling.sleep(lambda: spin._core.room.sleepers)
    engines[0].run(1)
    assert not done
    assert spin.ready() == [2]
    putter.join()
    assert len(done) == 1
    assert spin.stats().put == 5


def test_put_waits_for_room_made_by_finishing_where_nothing_is_iterated(engines: list[Any]) -> None:
    spin = filled(engines, iterate=False)
    putter = in_thread(lambda: spin.put(3))
    spin._core.settling.sleep(lambda: spin._core.room.sleepers)
    engines[0].run(1)
    putter.join()
    assert engines[0].todo == [0, 2, 3]


def test_full_at_the_timeout_while_work_is_running(engines: list[Any]) -> None:
    spin = filled(engines)
    with pytest.raises(Full, match="time"):
        spin.put(3, timeout=0)
    with pytest.raises(Full):
        spin.put(3, timeout=0.001)
    assert spin.stats().put == 3


def test_full_at_once_when_results_fill_it_and_nobody_ever_took_one(engines: list[Any]) -> None:
    spin = filled(engines)
    engines[0].run()
    with pytest.raises(Full, match=r"3 results wait and nobody takes them.*ready\(\).*on_result=.*iterate=False"):
        spin.put(3)


def test_full_as_soon_as_the_last_of_them_has_finished(engines: list[Any]) -> None:
    spin = filled(engines)
    errors: list[BaseException] = []

    def put() -> None:
        try:
            spin.put(3)
        except Full as error:
            errors.append(error)

    putter = in_thread(put)
    spin._core.settling.sleep(lambda: spin._core.room.sleepers)
    engines[0].run()
    putter.join()
    assert len(errors) == 1


def test_a_thread_that_has_taken_and_is_gone_does_not_count(engines: list[Any]) -> None:
    spin = filled(engines)
    engines[0].run(0)
    in_thread(lambda: spin.ready()).join()
    spin.put(3)
    engines[0].run()
    with pytest.raises(Full, match="nobody takes"):
        spin.put(4)


def test_one_who_waits_for_a_result_counts() -> None:
    got: list[int] = []
    spin = SpinOff(double, maxsize=1, backend="threads")
    taker = in_thread(lambda: got.extend(spin))
    spin._core.settling.sleep(lambda: spin._core.bell.sleepers)
    for x in range(50):
        spin.put(x)
    spin.close()
    taker.join()
    assert got == [2 * x for x in range(50)]
    assert spin.join()


def test_when_only_the_putter_itself_takes_it_does_not_wait_for_ever(
    engines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spinoff_room, "SELF_WAIT", 0.01)
    spin = filled(engines)
    engines[0].run(0)
    assert spin.ready() == [0]
    spin.put(3)
    engines[0].run()
    with pytest.raises(Full, match="only the thread that puts"):
        spin.put(4)


@pytest.mark.parametrize("words", [{}, {"batch": 1}, {"rate": 1e6}])
def test_on_result_that_puts_does_not_wait_for_itself(words: dict[str, Any]) -> None:
    """It is what makes room, and would wait for that."""
    fulls: list[Full] = []

    def more(x: int) -> None:
        if x == 2:
            spin.put(5)
            try:
                spin.put(6)
                spin.put(7)
            except Full as error:
                fulls.append(error)

    fn: Any = doubles if "batch" in words else double
    spin: SpinOff[int] = SpinOff(fn, on_result=more, maxsize=2, backend="threads", **words)
    spin.put(1)
    assert spin.flush(20)
    spin._core.settling.sleep(lambda: fulls)
    spin.close()
    assert spin.join(20)
    assert "on_result= is handed nothing" in str(fulls[0])
    assert spin.stats().put == 3


def test_close_ends_the_wait(engines: list[Any]) -> None:
    spin = filled(engines)
    errors: list[BaseException] = []

    def put() -> None:
        try:
            spin.put(3)
        except RuntimeError as error:
            errors.append(error)

    putter = in_thread(put)
    spin._core.settling.sleep(lambda: spin._core.room.sleepers)
    spin.close()
    putter.join()
    assert "close()" in str(errors[0])


def test_maxsize_0_is_no_bound(engines: list[Any]) -> None:
    spin = SpinOff(double, maxsize=0)
    spin.put_many(range(5000))
    assert spin.stats().put == 5000


def test_put_many_waits_like_put() -> None:
    spin = SpinOff(double, maxsize=5, backend="threads", workers=2)
    got: list[int] = []
    taker = in_thread(lambda: got.extend(spin))
    spin._core.settling.sleep(lambda: spin._core.bell.sleepers)
    assert len(spin.put_many(range(200))) == 200
    spin.close()
    taker.join()
    assert got == [2 * x for x in range(200)]


# ---------------------------------------------------------------------------------------- on event loops


def test_from_an_event_loop_put_does_not_wait_and_aput_does(engines: list[Any]) -> None:
    async def main() -> None:
        spin = filled(engines)
        with pytest.raises(Full, match="aput"):
            spin.put(3)
        waiting = asyncio.create_task(spin.aput(3))
        await waits(spin)
        engines[0].run(0)
        assert spin.ready() == [0]
        await waiting
        assert engines[0].todo == [1, 2, 3]

    asyncio.run(main())


def test_an_aput_that_is_cancelled_puts_nothing(engines: list[Any]) -> None:
    async def main() -> None:
        spin = filled(engines)
        waiting = asyncio.create_task(spin.aput(3))
        await waits(spin)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not spin._core.room.sleepers
        assert spin.stats().put == 3

    asyncio.run(main())


def test_aput_into_a_closed_one_raises(engines: list[Any]) -> None:
    async def main() -> None:
        spin = filled(engines)
        waiting = asyncio.create_task(spin.aput(3))
        await waits(spin)
        spin.close()
        with pytest.raises(RuntimeError, match="close"):
            await waiting

    asyncio.run(main())


# ---------------------------------------------------------------------------------------- other overflows


def test_raise(engines: list[Any]) -> None:
    spin = filled(engines, overflow="raise")
    with pytest.raises(Full, match="3 items"):
        spin.put(3)
    assert spin.stats().dropped == 0


def test_drop_newest_returns_a_cancelled_future(engines: list[Any]) -> None:
    spin = filled(engines, overflow="drop_newest")
    assert spin.put(3).cancelled()
    assert spin.stats().dropped == 1
    engines[0].run()
    assert spin.ready() == [0, 2, 4]


def test_drop_oldest_drops_the_oldest_that_has_not_started(engines: list[Any]) -> None:
    spin = SpinOff(double, maxsize=3, overflow="drop_oldest")
    futures = spin.put_many(range(3))
    engines[0].receive()
    for task, _ in engines[0].waiting[:1]:
        task.mark_running()
    new = spin.put(3)
    assert [future.cancelled() for future in futures] == [False, True, False]
    engines[0].run()
    assert spin.ready() == [0, 4, 6]
    assert not new.cancelled()
    assert spin.stats().dropped == 1
    assert spin.stats().cancelled == 0


def test_drop_oldest_drops_the_oldest_result_when_everything_has_started(engines: list[Any]) -> None:
    spin = SpinOff(double, maxsize=3, overflow="drop_oldest")
    futures = spin.put_many(range(3))
    engines[0].receive()
    for task, _ in engines[0].waiting:
        task.mark_running()
    engines[0].run(1, 2)
    spin.put(3)
    assert [future.cancelled() for future in futures] == [False, False, False]
    engines[0].run()
    assert spin.ready() == [0, 4, 6]
    assert spin.stats().dropped == 1


def test_drop_oldest_drops_the_new_item_when_all_the_others_run(engines: list[Any]) -> None:
    spin = SpinOff(double, maxsize=2, overflow="drop_oldest")
    spin.put_many(range(2))
    engines[0].receive()
    for task, _ in engines[0].waiting:
        task.mark_running()
    assert spin.put(2).cancelled()
    assert spin.stats().dropped == 1
    engines[0].run()
    assert spin.ready() == [0, 2]


def test_drop_oldest_unordered(engines: list[Any]) -> None:
    spin = SpinOff(double, maxsize=2, overflow="drop_oldest", ordered=False)
    spin.put_many(range(2))
    engines[0].run(1, 0)
    spin.put(2)
    engines[0].run()
    assert spin.ready() == [0, 4]


def test_drop_oldest_never_waits_on_threads() -> None:
    gate = threading.Event()
    started = threading.Event()

    def wait(x: int) -> int:
        started.set()
        gate.wait(30)
        return x

    with SpinOff(wait, maxsize=4, overflow="drop_oldest", backend="threads") as spin:
        spin.put(0)
        assert started.wait(10)
        futures = [spin.put(x) for x in range(1, 50)]
        gate.set()
    assert list(spin) == [0, 47, 48, 49]
    assert sum(future.cancelled() for future in futures) == spin.stats().dropped == 46


def test_bounded_memory_under_a_fast_producer() -> None:
    with SpinOff(double, maxsize=10, overflow="drop_oldest", backend="threads", workers=2) as spin:
        for x in range(2000):
            spin.put(x)
            assert len(spin._core.open) <= 10
            assert spin.stats().put - spin.stats().taken - spin.stats().dropped <= 10
    got = list(spin)
    assert got == sorted(got)
    assert got[-1] == 2 * 1999
    assert len(got) + spin.stats().dropped == 2000
