"""The inline engine: at once, in the caller; copied on demand."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any

import pytest

from procession import Pool
from procession.backends.base import WorkerConfig
from procession.backends.inline import InlineEngine
from procession.backends.tasks import CallFuture
from procession.errors import PicklingError, RemoteError, WorkerStartError
from procession.streams import Words, imap, map_
from procession.worker import state


def call(engine: InlineEngine, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> CallFuture[Any]:
    function = engine.function(fn)
    future: CallFuture[Any] = CallFuture(function, engine.encode(function, args, kwargs))
    engine.post([future])
    return future


@pytest.fixture(params=[False, True], ids=["shared", "copied"])
def engine(request: pytest.FixtureRequest) -> InlineEngine:
    return InlineEngine(pickle=request.param)


def test_a_call_has_run_when_post_returns_in_the_callers_thread(engine: InlineEngine) -> None:
    assert call(engine, threading.get_ident).result(0) == threading.get_ident()
    assert call(engine, pow, 2, 5, mod=7).result(0) == 4


@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit])
def test_what_a_task_raises_is_its_outcome(engine: InlineEngine, error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("no")

    future = call(engine, fail)
    assert isinstance(future.exception(0), error)
    assert call(engine, abs, -1).result(0) == 1


def test_a_keyboard_interrupt_is_the_callers_as_well(engine: InlineEngine) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    function = engine.function(interrupt)
    future: CallFuture[Any] = CallFuture(function, engine.encode(function, (), {}))
    after: CallFuture[Any] = CallFuture(engine.function(abs), engine.encode(function, (-1,), {}))
    with pytest.raises(KeyboardInterrupt):
        engine.post([future, after])
    assert isinstance(future.exception(0), KeyboardInterrupt)
    assert not after.done(), "what had not begun is not taken, and may be posted again"
    engine.post([after])
    assert after.result(0) == 1


def test_a_task_may_submit(engine: InlineEngine) -> None:
    def outer(x: int) -> int:
        return call(engine, abs, x).result(0) + 1

    def sent(x: int) -> int:
        return call(InlineEngine(), abs, x).result(0) + 1

    assert call(engine, sent if engine.capabilities.pickles else outer, -3).result(0) == 4


@pytest.mark.parametrize("kind", ["closure", "method", "partial"])
def test_a_function_that_could_not_be_sent_is_refused_as_processes_would(kind: str) -> None:
    lock = threading.Lock()

    class Locked:
        def __init__(self) -> None:
            self.lock = lock

        def method(self) -> None: ...

    functions: dict[str, Callable[[], object]] = {
        "closure": lambda: lock,
        "method": Locked().method,
        "partial": functools.partial(id, lock),
    }
    with Pool(backend="inline", pickle=True) as inline, Pool(1) as processes:
        errors = [pool.submit(functions[kind]).exception() for pool in (inline, processes)]
    assert [type(each) for each in errors] == [PicklingError] * 2
    assert all("_thread.lock" in str(each) for each in errors)


def test_callbacks_and_cancelled_calls(engine: InlineEngine) -> None:
    function = engine.function(abs)
    future: CallFuture[Any] = CallFuture(function, engine.encode(function, (-1,), {}))
    seen: list[Any] = []
    future.add_done_callback(lambda each: seen.append(each.result()))
    cancelled: CallFuture[Any] = CallFuture(function, engine.encode(function, (-1,), {}))
    assert cancelled.cancel()
    engine.post([cancelled, future])
    assert seen == [1]
    assert cancelled.cancelled()


def test_map_and_imap(engine: InlineEngine) -> None:
    assert list(map_(engine, engine.function(divmod), [range(5), [2] * 5])) == [divmod(x, 2) for x in range(5)]
    with imap(engine, engine.function(abs), [range(-5, 0)], Words()) as results:
        assert list(results) == [5, 4, 3, 2, 1]


def test_an_interrupt_in_a_chunk_keeps_what_was_done() -> None:
    def fn(x: int) -> int:
        if x == 2:
            raise KeyboardInterrupt
        return x

    engine = InlineEngine()
    with pytest.raises(KeyboardInterrupt):
        map_(engine, engine.function(fn), [range(5)])


def test_a_failing_item_does_not_end_its_chunk() -> None:
    engine = InlineEngine()
    results = list(imap(engine, engine.function(lambda x: 1 // x), [[1, 0, 1]], Words(on_error="return", window=3)))
    assert [type(each) for each in results] == [int, ZeroDivisionError, int]


# ---------------------------------------------------------------------------------------- setup, teardown, end


class Model:
    log: list[str]

    def __init__(self) -> None:
        self.log = Model.log
        self.log.append("setup")

    def __enter__(self) -> str:
        self.log.append("enter")
        return "model"

    def __exit__(self, *exc_info: object) -> None:
        self.log.append("exit")


def test_initializer_and_setup_run_once_before_the_first_task_and_teardown_at_the_end() -> None:
    log = Model.log = []
    engine = InlineEngine(WorkerConfig(log.append, ("initializer",), Model))
    assert log == []
    assert call(engine, state.state).result(0) == "model"
    assert call(engine, state.state).result(0) == "model"
    with_state = engine.function(lambda own, x: (own, x), with_state=True)
    future: CallFuture[Any] = CallFuture(with_state, engine.encode(with_state, (1,), {}))
    engine.post([future])
    assert future.result(0) == ("model", 1)
    engine.shutdown(wait=True, cancel=False)
    engine.shutdown(wait=True, cancel=False)
    assert log == ["initializer", "setup", "enter", "exit"]
    with pytest.raises(RuntimeError, match="no state here"):
        state.state()


def test_what_was_never_used_has_no_teardown() -> None:
    log = Model.log = []
    InlineEngine(WorkerConfig(setup=Model)).shutdown(wait=True, cancel=False)
    assert log == []


def test_two_engines_have_their_own_states() -> None:
    inner = InlineEngine(WorkerConfig(setup=lambda: "inner"))
    outer = InlineEngine(WorkerConfig(setup=lambda: "outer"))

    def nested() -> list[Any]:
        return [state.state(), call(inner, state.state).result(0), state.state()]

    assert call(outer, nested).result(0) == ["outer", "inner", "outer"]


@pytest.mark.parametrize("words", [{"initializer": lambda: 1 // 0}, {"setup": lambda: 1 // 0}])
def test_a_failing_start_breaks_it(words: dict[str, Any]) -> None:
    engine = InlineEngine(WorkerConfig(**words))
    error = call(engine, abs, 1).exception(0)
    assert isinstance(error, WorkerStartError)
    assert isinstance(error.__cause__, ZeroDivisionError)
    with pytest.raises(BrokenExecutor):
        call(engine, abs, 1)


def test_nothing_after_the_shutdown(engine: InlineEngine) -> None:
    engine.shutdown(wait=False, cancel=False)
    with pytest.raises(RuntimeError, match="after shutdown"):
        call(engine, abs, 1)


def test_a_task_may_shut_it_down_and_shutdown_waits_for_other_threads(engine: InlineEngine) -> None:
    if engine.capabilities.pickles:
        engine = InlineEngine()
    running, go_on = threading.Event(), threading.Event()

    def slow() -> bool:
        running.set()
        return go_on.wait(30)

    runner = threading.Thread(target=call, args=(engine, slow))
    runner.start()
    assert running.wait(10)
    ended = threading.Thread(target=engine.shutdown, args=(True, False))
    ended.start()
    assert ended.is_alive()
    go_on.set()
    ended.join(30)
    runner.join(30)
    assert not ended.is_alive()
    other = InlineEngine()
    assert call(other, other.shutdown, True, False).exception(0) is None


def test_teardown_errors_are_kept() -> None:
    class Broken(Model):
        def __exit__(self, *exc_info: object) -> None:
            raise LookupError

    Model.log = []
    engine = InlineEngine(WorkerConfig(setup=Broken))
    call(engine, abs, 1)
    engine.shutdown(wait=True, cancel=False)
    assert [type(error) for error in engine.teardown_errors] == [LookupError]


def test_stats(engine: InlineEngine) -> None:
    assert engine.stats().workers == 0
    call(engine, abs, 1)
    assert (engine.stats().workers, engine.stats().done) == (1, 1)


# ---------------------------------------------------------------------------------------- pickle=True


class Unbuildable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one)


def test_arguments_and_results_are_copies() -> None:
    engine = InlineEngine(pickle=True)
    given: list[int] = []

    def grow(values: list[int]) -> list[int]:
        values.append(1)
        return values

    got = call(engine, grow, given).result(0)
    assert got == [1]
    assert given == []
    assert call(InlineEngine(), grow, given).result(0) is given


def test_what_cannot_be_pickled_fails_as_on_processes() -> None:
    engine = InlineEngine(pickle=True)
    lock = threading.Lock()
    with pytest.raises(PicklingError, match="lock"):
        call(engine, id, lock)
    assert isinstance(call(engine, threading.Lock).exception(0), PicklingError)
    assert call(engine, lambda f: f(2), lambda x: x + 1).result(0) == 3


def test_errors_are_copied_too() -> None:
    engine = InlineEngine(pickle=True)

    def fail() -> None:
        raise Unbuildable(1, 2)

    error = call(engine, fail).exception(0)
    assert isinstance(error, (RemoteError, Unbuildable))
    assert "1" in str(error)
