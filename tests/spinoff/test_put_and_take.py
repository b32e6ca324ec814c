"""What goes into a SpinOff and how it comes out: order, failures, keys, the one outlet."""

from __future__ import annotations

import asyncio
import logging
import threading
from pickle import PicklingError
from typing import Any

import pytest

from procession.spinoff import SpinOff
from procession.types import Failure
from tests.flow.fakes import Unsendable


def double(x: int) -> int:
    return 2 * x


def no_fives(x: int) -> int:
    if x % 5 == 0:
        raise ValueError(x)
    return x


# ---------------------------------------------------------------------------------------- in order


def test_results_are_handed_over_in_the_order_of_the_puts(engines: list[Any]) -> None:
    spin = SpinOff(double, workers=3)
    futures = [spin.put(x) for x in range(4)]
    engines[0].run(2, 1)
    assert spin.ready() == []
    assert [future.done() for future in futures] == [False, True, True, False]
    engines[0].run(0)
    assert spin.ready() == [0, 2, 4]
    assert spin.ready() == []
    engines[0].run(3)
    spin.close()
    assert list(spin) == [6]


def test_unordered(engines: list[Any]) -> None:
    spin = SpinOff(double, workers=3, ordered=False)
    spin.put_many(range(3))
    engines[0].run(2, 0)
    assert spin.ready() == [4, 0]


@pytest.mark.parametrize("backend", ["threads", "inline"])
def test_leaving_the_block_drains_and_the_results_can_be_iterated_after_it(backend: str) -> None:
    with SpinOff(double, workers=2, backend=backend) as spin:
        for x in range(100):
            spin.put(x)
    assert list(spin) == [2 * x for x in range(100)]
    assert list(spin) == []


@pytest.mark.parametrize("backend", ["threads", "inline"])
def test_one_worker_runs_strictly_in_order(backend: str) -> None:
    ran: list[int] = []
    with SpinOff(ran.append, backend=backend, iterate=False) as spin:
        spin.put_many(range(500))
    assert ran == list(range(500))


def test_a_loop_that_takes_what_is_ready_loses_nothing() -> None:
    got: list[int] = []
    with SpinOff(double, workers=3, backend="threads", maxsize=0) as spin:
        for x in range(3000):
            spin.put(x)
            got.extend(spin.ready())
    got.extend(spin)
    assert got == [2 * x for x in range(3000)]


def test_put_returns_the_future_of_the_item(engines: list[Any]) -> None:
    spin = SpinOff(no_fives)
    four, five = spin.put_many([4, 5])
    engines[0].run()
    assert four.result() == 4
    with pytest.raises(ValueError, match="5"):
        five.result()


def test_an_item_that_cannot_be_sent_fails_alone_at_its_place(engines: list[Any]) -> None:
    spin = SpinOff(str.upper)
    futures = spin.put_many(["a", Unsendable(), "b"])
    engines[0].run("a", "b")
    assert spin.ready() == ["A"]
    with pytest.raises(PicklingError, match="cannot be sent"):
        spin.ready()
    assert spin.ready() == ["B"]
    assert isinstance(futures[1].exception(), PicklingError)


def test_setup_gives_the_function_its_state() -> None:
    class Model:
        entered = left = False

        def __enter__(self) -> str:
            Model.entered = True
            return "model"

        def __exit__(self, *exc_info: object) -> None:
            Model.left = True

    with SpinOff(lambda state, x: (state, x), setup=Model, backend="threads") as spin:
        assert spin.put(1).result() == ("model", 1)
        assert not Model.left
    assert Model.left


# ---------------------------------------------------------------------------------------- keys


def test_one_item_of_a_key_at_a_time_handed_over_in_order(engines: list[Any]) -> None:
    spin = SpinOff(double, workers=4, key=lambda x: x % 2)
    spin.put_many(range(6))
    assert engines[0].todo == [0, 1]
    engines[0].on_thread(1, 3, 5)
    assert spin.ready() == []
    engines[0].on_thread(0)
    assert spin.ready() == [0, 2]
    engines[0].on_thread(2, 4)
    assert spin.ready() == [4, 6, 8, 10]


def test_unordered_keeps_the_order_of_each_key(engines: list[Any]) -> None:
    spin = SpinOff(double, workers=4, key=lambda x: x % 2, ordered=False)
    spin.put_many(range(4))
    engines[0].run(1, 3, 0, 2)
    assert spin.ready() == [2, 6, 0, 4]


def test_cancelling_a_held_back_item_lets_its_successor_run_in_turn(engines: list[Any]) -> None:
    spin = SpinOff(double, key=lambda x: "one")
    futures = spin.put_many(range(3))
    assert futures[1].cancel()
    engines[0].run(0)
    assert engines[0].todo == [2]
    engines[0].run(2)
    assert spin.ready() == [0, 4]


def test_the_error_of_a_key_is_raised_by_put() -> None:
    spin = SpinOff(double, key=lambda x: {}[x])
    with pytest.raises(KeyError):
        spin.put(1)
    unhashable = SpinOff(double, key=lambda x: [x])
    with pytest.raises(TypeError, match="unhashable"):
        unhashable.put(1)
    assert spin.stats().put == unhashable.stats().put == 0


# ---------------------------------------------------------------------------------------- on_error


def test_raise_raises_at_its_place_and_the_next_goes_on(engines: list[Any]) -> None:
    spin = SpinOff(no_fives)
    spin.put_many([4, 5, 6])
    engines[0].run()
    assert next(spin) == 4
    with pytest.raises(ValueError, match="5"):
        next(spin)
    assert next(spin) == 6


def test_ready_returns_what_is_before_a_failure_then_raises_it_then_goes_on(engines: list[Any]) -> None:
    spin = SpinOff(no_fives)
    spin.put_many([3, 4, 5, 6, 10])
    engines[0].run()
    assert spin.ready() == [3, 4]
    with pytest.raises(ValueError, match="5"):
        spin.ready()
    assert spin.ready() == [6]
    with pytest.raises(ValueError, match="10"):
        spin.ready()
    assert spin.ready() == []


@pytest.mark.parametrize("take", [lambda spin: spin.ready(), lambda spin: list(spin)])
def test_return_and_skip_and_a_callable(engines: list[Any], take: Any) -> None:
    failures: list[Failure] = []
    for on_error in ("return", "skip", failures.append):
        spin = SpinOff(no_fives, on_error=on_error)
        spin.put_many([4, 5, 6])
        spin.close()
        engines[-1].run()
        got = [each if isinstance(each, int) else type(each) for each in take(spin)]
        assert got == ([4, ValueError, 6] if on_error == "return" else [4, 6])
    (failure,) = failures
    assert (failure.index, failure.args, type(failure.error)) == (1, (5,), ValueError)


def test_a_callable_that_raises_in_ready_costs_no_result(engines: list[Any]) -> None:
    def on_error(failure: Failure) -> None:
        raise LookupError

    spin = SpinOff(no_fives, on_error=on_error)
    spin.put_many([4, 5, 6])
    engines[0].run()
    with pytest.raises(LookupError):
        spin.ready()
    assert spin.ready() == [4, 6]


# ---------------------------------------------------------------------------------------- other outlets


def test_iterate_false_keeps_nothing_and_refuses_iteration(engines: list[Any]) -> None:
    spin = SpinOff(double, iterate=False, maxsize=2)
    for x in range(10):
        spin.put(x)
        engines[0].run()
    assert spin.stats().waiting == 0
    for take in (iter, next, aiter, lambda spin: spin.ready()):
        with pytest.raises(TypeError, match="iterate=False"):
            take(spin)


def test_iterate_false_logs_failures(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "procession"):
        with SpinOff(no_fives, iterate=False, backend="threads", name="mine") as spin:
            spin.put_many([4, 5])
    (record,) = caplog.records
    assert record.name == "procession"
    assert "mine" in record.getMessage()
    assert record.exc_info is not None


def test_what_is_owed_for_the_last_item_comes_before_the_end() -> None:
    """The program closes while a worker answers the last item: whoever sees the end first waits for the other."""
    told: list[int] = []
    for _ in range(200):
        with SpinOff(
            no_fives, iterate=False, backend="threads", on_error=lambda failure: told.append(failure.index)
        ) as spin:
            spin.put_many([4, 5])
    assert told == [1] * 200


def test_stop_iteration_of_an_item_is_no_end() -> None:
    with SpinOff(next, backend="threads") as spin:
        spin.put_many([iter("a"), iter(""), iter("b")])
    assert next(spin) == "a"
    with pytest.raises(RuntimeError, match="a task raised StopIteration"):
        next(spin)
    assert list(spin) == ["b"]
    with SpinOff(next, backend="threads") as spin:
        spin.put_many([iter(""), iter("b")])
    with pytest.raises(RuntimeError, match="a task raised StopIteration"):
        spin.ready()
    assert spin.ready() == ["b"]


def test_iterate_false_and_on_error(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[Failure] = []
    with SpinOff(no_fives, iterate=False, backend="threads", on_error=failures.append) as spin:
        spin.put_many([4, 5])
    assert [failure.args for failure in failures] == [(5,)]
    with SpinOff(no_fives, iterate=False, backend="threads", on_error="skip") as spin:
        spin.put_many([4, 5])
    assert not caplog.records


def test_on_result_is_called_in_order_on_one_thread_and_its_errors_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    got: list[int] = []
    seen: set[threading.Thread] = set()

    def on_result(result: int) -> None:
        seen.add(threading.current_thread())
        got.append(result)
        if result == 4:
            raise LookupError

    with SpinOff(double, workers=3, backend="threads", on_result=on_result) as spin:
        spin.put_many(range(200))
        with pytest.raises(TypeError):
            iter(spin)
    assert got == [2 * x for x in range(200)]
    assert len(seen) == 1
    assert threading.current_thread() not in seen
    assert ["on_result" in record.getMessage() for record in caplog.records] == [True]


def test_on_result_and_failures(caplog: pytest.LogCaptureFixture) -> None:
    got: list[Any] = []
    with SpinOff(no_fives, backend="threads", on_result=got.append, on_error="return") as spin:
        spin.put_many([4, 5, 6])
    assert [type(each) for each in got] == [int, ValueError, int]
    assert not caplog.records
    with SpinOff(no_fives, backend="threads", on_result=got.append) as spin:
        spin.put_many([4, 5, 6])
    assert got[3:] == [4, 6]
    assert len(caplog.records) == 1


def test_on_result_may_put_and_close() -> None:
    def on_result(result: int) -> None:
        if result < 100:
            spin.put(result)
        else:
            spin.close()

    spin = SpinOff(double, backend="threads", on_result=on_result)
    spin.put(1)
    done = threading.Event()
    threading.Thread(target=lambda: (spin._core.settling.sleep(lambda: spin.stats().closed), done.set())).start()
    assert done.wait(30)
    assert spin.join()


# ---------------------------------------------------------------------------------------- async


def test_async_for_and_aput() -> None:
    async def main() -> list[int]:
        got: list[int] = []
        async with SpinOff(double, workers=2, backend="threads", maxsize=4) as spin:

            async def feed() -> None:
                for x in range(200):
                    await spin.aput(x)
                spin.close()

            feeder = asyncio.create_task(feed())
            async for result in spin:
                got.append(result)
            await feeder
        return got

    assert asyncio.run(main()) == [2 * x for x in range(200)]


def test_async_for_after_the_block_and_failures() -> None:
    async def main() -> list[Any]:
        async with SpinOff(no_fives, backend="threads") as spin:
            spin.put_many([4, 5, 6])
        got: list[Any] = []
        while True:
            try:
                got.append(await anext(spin))
            except ValueError as error:
                got.append(type(error))
            except StopAsyncIteration:
                return got

    assert asyncio.run(main()) == [4, ValueError, 6]


# ---------------------------------------------------------------------------------------- progress


def test_progress_counts_what_has_finished() -> None:
    told: list[tuple[int, int | None]] = []
    with SpinOff(double, backend="threads", progress=lambda *each: told.append(each)) as spin:
        spin.put_many(range(5))
        spin.flush()
    assert told[-1][0] == 5
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_several_putters_and_takers() -> None:
    spin = SpinOff(double, workers=3, backend="threads", maxsize=50)
    got: list[list[int]] = [[], []]
    takers = [threading.Thread(target=lambda each=each: each.extend(spin)) for each in got]
    putters = [threading.Thread(target=lambda: [spin.put(x) for x in range(500)]) for _ in range(3)]
    for thread in (*takers, *putters):
        thread.start()
    for thread in putters:
        thread.join()
    spin.close()
    for thread in takers:
        thread.join()
    assert sorted(got[0] + got[1]) == sorted(3 * [2 * x for x in range(500)])
    assert spin.join()
