"""A lent worker's callers, in C: one call at a time goes straight to the worker, and its outcome straight back."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures import as_completed, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from procession import Pool, WorkerDied
from procession.backends.tasks import CallFuture
from procession.driver.lane_fast import Tally
from tests.failures import tasks
from tests.native.kit import VALUE, Ends, Function, calls


def lent() -> Ends:
    """Rings whose worker knows function 1 and is lent."""
    ends = Ends()
    ends.known.add(1)
    ends.parent.lend()
    return ends


def hand(ends: Ends, body: Any) -> CallFuture[Any] | None:
    (future,) = calls(Function(), body)
    return future if ends.parent.hand(future, 1) else None


def test_a_call_is_handed_over_and_its_outcome_fetched() -> None:
    with lent() as ends:
        future = hand(ends, (3,))
        assert future is not None
        assert future.running()
        assert future.wid == 7
        ends.serve(lambda x: x * x)
        assert future.result() == 9
        assert future._lane is None
        assert ends.parent.take_sent() == [future]
        assert ends.parent.take_sent() == []
        assert ends.taken(merged=True)[0] == (0, [9], False), "the driver hears of it all the same"


def test_one_call_is_out_at_a_time() -> None:
    with lent() as ends:
        first = hand(ends, (1,))
        assert hand(ends, (2,)) is None
        ends.serve(lambda x: x)
        second = hand(ends, (2,))
        assert second is not None, "the outcome of the first was there, so it was given that"
        assert first is not None
        assert first.done()
        assert first.result() == 1


def test_many_rounds_go_round_the_rings() -> None:
    with lent() as ends:
        for number in range(60_000):
            future = hand(ends, (number,))
            assert future is not None
            ends.serve(lambda x: x)
            assert future.result() == number
            if number % 5000 == 4999:
                assert len(ends.parent.take_sent()) == 5000
                assert sum(len(each[1]) for each in ends.taken(merged=True) if each[0] == 0) == 5000


def test_what_is_to_be_decoded_is_left_to_the_driver() -> None:
    """Decoding may run code of the program: once, and where no signal handler interrupts it."""
    with lent() as ends:
        first = hand(ends, b"body")
        ends.serve(print, lambda body: {body})
        assert first is not None
        ends.parent.wait(first)
        assert not first.done()
        assert hand(ends, (2,)) is None, "nobody looks past it"
        assert ends.taken(merged=True)[0] == (0, [(VALUE, b"{b'body'}")], True)
        assert hand(ends, (2,)) is not None, "the driver has taken it"


def test_what_was_printed_is_shown_first() -> None:
    with lent() as ends:

        def speak(x: int) -> int:
            ends.worker.speak()
            return x

        future = hand(ends, (1,))
        ends.serve(speak)
        assert future is not None
        ends.parent.wait(future)
        assert not future.done()
        assert ends.parent.will_show()
        ends.parent.wait(future)
        assert not future.done(), "it is being shown, not yet shown"
        ends.parent.showing = False
        assert not ends.parent.will_show()
        ends.parent.wait(future)
        assert future.done()


def test_nests_are_fetched_too() -> None:
    with lent() as ends:
        future = hand(ends, (1,))
        ends.serve(lambda x: {"a": [x, (2.5, None)], "b": {}})
        assert future is not None
        assert future.result() == {"a": [1, (2.5, None)], "b": {}}


def test_who_waits_in_another_way_is_left_to_the_driver() -> None:
    cooled: list[int] = []
    with lent() as ends:
        ends.parent.cooler = lambda: cooled.append(1)
        future = hand(ends, (1,))
        assert future is not None
        future.add_done_callback(print)
        assert cooled
        ends.serve(lambda x: x)
        ends.parent.wait(future)
        assert not future.done()
        assert hand(ends, (2,)) is not None, "the worker is free all the same"


def test_arrays_are_fetched_too_and_the_driver_makes_none_of_them_again() -> None:
    with lent() as ends:
        future = hand(ends, (3,))
        assert future is not None
        ends.serve(np.ones)
        ends.parent.wait(future)
        assert future.done()
        assert future.result().tolist() == [1, 1, 1]
        assert ends.taken(merged=True)[0] == (0, [None], False)


def test_an_array_is_left_to_the_driver_where_somebody_waits_in_another_way() -> None:
    with lent() as ends:
        future = hand(ends, (3,))
        assert future is not None
        future.add_done_callback(print)
        ends.serve(np.ones)
        ends.parent.wait(future)
        assert not future.done()
        assert hand(ends, (2,)) is None, "nobody looks past it"
        ((_, (array,), packed), _) = ends.taken(merged=True)
        assert (array.tolist(), packed) == ([1, 1, 1], False)
        assert hand(ends, (2,)) is not None, "the driver has taken it"


def test_an_array_whose_memory_is_not_mapped_is_left_to_the_driver() -> None:
    memory = np.zeros(1 << 20, "B")
    slots = memory[:1024].view("q")

    def place(raw: memoryview) -> int:
        memory[1 << 17 : (1 << 17) + raw.nbytes] = raw
        return 1 << 17

    with lent() as ends:
        ends.place = place
        far = hand(ends, (10_000,))
        assert far is not None
        ends.serve(np.ones)
        ends.parent.wait(far)
        assert not far.done()
        ((_, ((kind, data),), packed), _) = ends.taken(merged=True)
        assert (kind, packed, ends.parent.array(data)) == (-1, True, None)
        ends.parent.results(memory, memory.ctypes.data, 1 << 16)
        array = ends.parent.array(data)
        assert array.sum() == 10_000
        assert np.shares_memory(array, memory)
        assert slots.sum() == 0
        del array
        assert slots.tolist()[:3] == [0, 1, 0], "the block is the second one"
        near = hand(ends, (10_000,))
        assert near is not None
        ends.serve(np.ones)
        ends.parent.wait(near)
        assert near.result()[-1] == 1
        part = near.result()[5:7]
        ends.parent.take_sent()
        ends.taken(merged=True)
        del near
        assert slots[1] == 1
        del part
        assert slots[1] == 2


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="there the collector waits until no C is at work")
def test_a_call_that_comes_while_the_driver_makes_an_outcome_gets_its_own() -> None:
    """Making a nest may run the collector, that a finalizer, and that may call."""
    got: list[Any] = []

    class Trap:
        """Has itself collected again until its call was handed over."""

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            if got:
                return
            second = hand(ends, (2,))
            if second is None:
                Trap()
                return
            ends.serve(lambda x: x)
            ends.parent.will_show()
            ends.parent.showing = False
            ends.parent.wait(second)
            got.append(second.result(0))

    threshold = gc.get_threshold()
    with lent() as ends:
        first = hand(ends, (1,))
        assert first is not None
        ends.serve(lambda _: [[n] for n in range(20)])
        ends.worker.speak()  # so nobody but the driver gives the first its outcome
        gc.collect()
        gc.disable()
        Trap()
        gc.set_threshold(1, 1, 1)
        gc.enable()
        told = ends.parent.take(True)
        gc.set_threshold(*threshold)
        assert got == [2]
        assert told[0] == (0, [[[n] for n in range(20)]], False)


def test_a_recalled_worker_takes_nothing_more() -> None:
    with lent() as ends:
        future = hand(ends, (1,))
        ends.parent.recall()
        assert hand(ends, (2,)) is None
        assert ends.parent.take_sent() == [future]
        ends.serve(lambda x: x)
        ends.parent.wait(future)
        assert future is not None
        assert not future.done(), "the driver gives it its outcome now"


def test_a_function_that_the_worker_lacks_goes_by_the_driver() -> None:
    with lent() as ends:
        (future,) = calls(Function(2), (1,))
        assert not ends.parent.hand(future, 2)
        assert not ends.parent.hand(future, 0)


def test_a_body_that_does_not_fit_goes_by_the_driver() -> None:
    with lent() as ends:
        assert hand(ends, (b"x" * 10_000_000,)) is None
        assert hand(ends, (b"x",)) is not None


def test_a_waiter_is_woken_by_the_outcome() -> None:
    with lent() as ends:
        future = hand(ends, (1,))
        assert future is not None
        got: list[int] = []
        waiter = threading.Thread(target=lambda: got.append(future.result(30)))
        waiter.start()
        ends.serve(lambda x: x)
        waiter.join(30)
        assert got == [1]


def test_a_channel_that_is_closed_lets_its_waiters_go() -> None:
    ends = lent()
    future = hand(ends, (1,))
    waiter = threading.Thread(target=ends.parent.wait, args=(future,))
    waiter.start()
    ends.close()
    waiter.join(30)
    assert not waiter.is_alive()


# ------------------------------------------------------------------------------------------------------------ the tally


def test_leases_of_the_worker_add_up_to_those_of_the_core() -> None:
    tally = Tally()
    tally.lent(2)
    assert tally.ordinary == 2
    assert tally.ended(1, 5, 50) == [(5, 50)]
    tally.opened(3)
    assert tally.ended(1, 4, 40) == [(4, 40)]
    assert tally.ordinary == 0
    tally.opened(2)
    assert tally.ended(2, 2, 20) == []
    assert tally.ended(3, 3, 30) == [(3, 30), (2, 20)]
    assert tally.ended(1, 9, 90) == [(9, 90)], "what comes after a lending is told as it is"
    tally.opened(1)
    tally.lent(3)
    assert tally.ended(1, 1, 1) + tally.ended(1, 1, 1) + tally.ended(1, 1, 1) == [(1, 1)] * 3


# ---------------------------------------------------------------------------------------------------------- with a pool


def lane_of(pool: Pool) -> Any:
    """What its driver has lent, after some lone calls."""
    for number in range(200):
        assert pool.submit(abs, -number).result() == number
        if pool._engine._driver.lane is not None:
            return pool._engine._driver.lane
    raise AssertionError("no worker was lent")


def test_lone_calls_are_lent_a_worker() -> None:
    with Pool(2) as pool:
        lane_of(pool)
        for number in range(3000):
            assert pool.submit(abs, -number).result(timeout=30) == number
        for number in range(500):
            assert pool.submit(sorted, [number, 1]).result() == sorted([number, 1])
        with pytest.raises(TypeError):
            pool.submit(abs, "x").result()
    assert pool.stats().failed == 0
    assert pool.stats().done >= 3500


def test_every_way_to_wait_works_on_a_lent_worker() -> None:
    with Pool(2) as pool:
        lane_of(pool)
        for number in range(300):
            future = pool.submit(abs, -number)
            way = number % 5
            if way == 0:
                assert wait([future], timeout=30).done == {future}
            elif way == 1:
                assert list(as_completed([future], timeout=30)) == [future]
            elif way == 2:
                heard = threading.Event()
                future.add_done_callback(lambda _, heard=heard: heard.set())
                assert heard.wait(30)
            elif way == 3:
                assert future.exception(30) is None
            assert future.result(30) == number


def test_a_limit_is_kept_by_who_waits_for_a_lent_worker(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with Pool(1) as pool:
        lane_of(pool)
        future = pool.submit(tasks.await_file, str(gate))
        with pytest.raises(FutureTimeout):
            future.result(0.01)
        with pytest.raises(FutureTimeout):
            future.result(timeout=0)
        gate.touch()
        assert future.result(30) is None


def test_a_lent_worker_that_dies_costs_the_call_it_runs() -> None:
    with Pool(1) as pool:
        lane_of(pool)
        with pytest.raises(WorkerDied):
            pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()
        assert pool.submit(abs, -1).result() == 1


def test_a_call_on_a_lent_worker_can_be_cancelled() -> None:
    with Pool(1) as pool:
        lane_of(pool)
        future = pool.submit(time.sleep, 60)
        assert future.cancel()
        assert future.cancelled()
        assert pool.submit(abs, -1).result() == 1


def test_threads_that_call_at_once_share_the_pool() -> None:
    wrong: list[object] = []

    def calls_of(first: int) -> None:
        for number in range(first, first + 400):
            try:
                if pool.submit(abs, -number).result(30) != number:
                    wrong.append(number)
            except BaseException as error:
                wrong.append(error)

    with Pool(2) as pool:
        lane_of(pool)
        threads = [threading.Thread(target=calls_of, args=(1000 * each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_burst_after_lone_calls_uses_all_workers(tmp_path: Path) -> None:
    with Pool(2) as pool:
        lane_of(pool)
        met = [pool.submit(tasks.barrier, str(tmp_path / "met"), 2) for _ in range(2)]
        assert [future.result(90) for future in met] == [True, True]
