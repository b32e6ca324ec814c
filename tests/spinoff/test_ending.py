"""How a SpinOff ends: closed, joined, cancelled, left by an exception, dropped."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from typing import Any

import pytest

from procession.spinoff import SpinOff


def double(x: int) -> int:
    return 2 * x


def test_close_returns_at_once_and_the_rest_runs(engines: list[Any]) -> None:
    spin = SpinOff(double)
    spin.put_many(range(3))
    spin.close()
    spin.close()
    with pytest.raises(RuntimeError, match=r"close\(\)"):
        spin.put(3)
    assert engines[0].shutdowns == [], "what waits must still be posted and run"
    engines[0].run()
    assert engines[0].shutdowns == [(False, False)]
    assert list(spin) == [0, 2, 4]


def test_items_held_back_by_their_key_run_after_close(engines: list[Any]) -> None:
    spin = SpinOff(double, key=lambda x: "one")
    spin.put_many(range(3))
    spin.close()
    engines[0].run()
    assert list(spin) == [0, 2, 4]


def test_join_needs_close_or_cancel(engines: list[Any]) -> None:
    spin = SpinOff(double)
    with pytest.raises(RuntimeError, match="close"):
        spin.join()


def test_join_waits_and_gives_up_at_its_timeout(engines: list[Any]) -> None:
    spin = SpinOff(double)
    spin.put(1)
    spin.close()
    assert spin.join(timeout=0) is False
    assert spin.join(timeout=0.001) is False
    engines[0].run()
    assert spin.join(timeout=10) is True
    assert spin.join() is True


def test_flush_waits_for_what_has_been_put_so_far(engines: list[Any]) -> None:
    spin = SpinOff(double)
    spin.put_many(range(2))
    assert spin.flush(timeout=0) is False
    engines[0].run()
    assert spin.flush(timeout=0) is True
    assert spin.ready() == [0, 2]


def test_flush_on_threads() -> None:
    with SpinOff(double, backend="threads", workers=2) as spin:
        for _ in range(50):
            spin.put_many(range(3))
            assert spin.flush()
            assert spin.ready() == [0, 2, 4]


def test_cancel_drops_what_has_not_started_and_ends(engines: list[Any]) -> None:
    spin = SpinOff(double)
    futures = spin.put_many(range(3))
    engines[0].receive()
    engines[0].waiting[0][0].mark_running()
    spin.cancel()
    assert [future.cancelled() for future in futures] == [False, True, True]
    engines[0].run()
    assert list(spin) == [0]
    assert spin.join()
    assert spin.stats().cancelled == 2
    assert spin.stats().dropped == 0


def test_a_future_that_its_user_cancels_is_not_iterated(engines: list[Any]) -> None:
    spin = SpinOff(double)
    futures = spin.put_many(range(4))
    assert futures[1].cancel()
    assert futures[3].cancel()
    engines[0].run()
    spin.close()
    assert list(spin) == [0, 4]


def test_an_exception_cancels_counts_joins_and_comes_out(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    started = threading.Event()

    def wait(x: int) -> int:
        started.set()
        gate.wait(30)
        return x

    with caplog.at_level(logging.WARNING, "procession"):
        with pytest.raises(LookupError):
            with SpinOff(wait, backend="threads") as spin:
                futures = spin.put_many(range(10))
                started.wait(10)
                threading.Timer(0.01, gate.set).start()
                raise LookupError
    assert futures[0].result() == 0
    assert all(future.cancelled() for future in futures[1:])
    assert "9 items" in caplog.text


@pytest.mark.parametrize("leaving", [SystemExit, GeneratorExit])
def test_system_exit_drains(leaving: type[BaseException]) -> None:
    with pytest.raises(leaving):
        with SpinOff(double, backend="threads") as spin:
            futures = spin.put_many(range(100))
            raise leaving
    assert [future.result() for future in futures] == [2 * x for x in range(100)]


def test_keyboard_interrupt_kills(engines: list[Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        with SpinOff(double) as spin:
            futures = spin.put_many(range(3))
            raise KeyboardInterrupt
    assert engines[0].killed == [9]
    assert all(future.cancelled() for future in futures)


@pytest.mark.parametrize("backend", ["threads", "inline"])
def test_teardown_errors_come_out_of_the_block_and_of_join(backend: str) -> None:
    class Broken:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *exc_info: object) -> None:
            raise LookupError("teardown")

    def identity(state: object, x: int) -> int:
        return x

    with pytest.raises(LookupError, match="teardown"):
        with SpinOff(identity, backend=backend, setup=Broken) as spin:
            spin.put(1)
    assert list(spin) == [1]
    assert spin.join()
    spin = SpinOff(identity, backend=backend, setup=Broken)
    spin.put(1)
    spin.close()
    with pytest.raises(LookupError, match="teardown"):
        spin.join(timeout=30)


def test_item_errors_do_not_come_out_of_the_block() -> None:
    with SpinOff(lambda x: 1 // x, backend="threads") as spin:
        spin.put(0)
    with pytest.raises(ZeroDivisionError):
        next(spin)


@pytest.mark.parametrize("backend", ["threads", "inline"])
def test_a_setup_that_fails_is_told_by_every_item(backend: str) -> None:
    def setup() -> None:
        raise LookupError("no model")

    with SpinOff(lambda state, x: x, backend=backend, setup=setup) as spin:
        future = spin.put(1)
        error = future.exception()
        assert "no model" in str(error)
    with pytest.raises(type(error)):
        next(spin)


def test_dropped_without_close_it_finishes_and_leaves_nothing() -> None:
    spin = SpinOff(double, backend="threads", workers=2)
    futures = spin.put_many(range(100))
    gone = weakref.ref(spin)
    del spin
    gc.collect()
    assert gone() is None
    assert [future.result() for future in futures] == [2 * x for x in range(100)]


def test_dropped_with_a_thread_for_its_results() -> None:
    got: list[int] = []
    done = threading.Event()
    spin = SpinOff(double, backend="threads", on_result=lambda x: (got.append(x), x == 198 and done.set()))
    spin.put_many(range(100))
    del spin
    assert done.wait(30)
    assert got == [2 * x for x in range(100)]


def test_many_one_after_another_leave_nothing() -> None:
    for _ in range(50):
        with SpinOff(double, backend="threads") as spin:
            spin.put(1)
        assert list(spin) == [2]


def test_async_with_waits_without_blocking_the_loop() -> None:
    gate = threading.Event()

    async def main() -> list[int]:
        async def open_later() -> None:
            gate.set()

        async with SpinOff(lambda x: gate.wait(30) and x, backend="threads") as spin:
            spin.put(1)
            opener = asyncio.create_task(open_later())
        await opener
        return list(spin)

    assert asyncio.run(main()) == [1]


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        ({"workers": 0}, ValueError, "workers"),
        ({"workers": 1.5}, TypeError, "workers"),
        ({"maxsize": -1}, ValueError, "maxsize"),
        ({"maxsize": None}, TypeError, "maxsize"),
        ({"overflow": "drop"}, ValueError, "drop_oldest"),
        ({"on_error": "ignore"}, ValueError, "on_error"),
        ({"on_result": 3}, TypeError, "on_result"),
        ({"key": 3}, TypeError, "key"),
        ({"setup": 3}, TypeError, "setup"),
        ({"initializer": 3}, TypeError, "initializer"),
        ({"initargs": "abc"}, TypeError, "initargs"),
        ({"progress": 3}, ValueError, "progress"),
        ({"max_workers": 3}, TypeError, "use workers"),
        ({"n_jobs": 3}, TypeError, "use workers"),
        ({"window": 3}, TypeError, "use maxsize"),
        ({"nonsense": 3}, TypeError, "nonsense"),
    ],
)
def test_bad_words_are_refused_and_named(words: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        SpinOff(double, **words)


def test_fn_must_be_callable() -> None:
    with pytest.raises(TypeError, match="fn"):
        SpinOff(3)  # type: ignore[arg-type]
