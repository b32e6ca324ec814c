"""submit, results, exceptions, callbacks, cancel, wait and as_completed."""

import gc
import threading
import traceback
import weakref
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, as_completed, wait
from typing import Any

import pytest

from procession import Pool, options
from procession.backends.base import Capabilities
from tests.failures.kit import wait_until
from tests.logs import all_said

from . import work
from .conftest import PATIENCE, Gate


def test_there_is_a_case_for_every_backend() -> None:
    from .conftest import BACKENDS, NEAR

    names = {each if isinstance(each, str) else each.values[0] for each in BACKENDS}
    assert names - {NEAR} == set(options.BACKENDS)


def test_a_result(pool: Pool) -> None:
    assert isinstance(pool, Executor)
    future = pool.submit(work.square, 9)
    assert isinstance(future, Future)
    assert future.result(PATIENCE) == 81
    assert future.done()
    assert not future.running()
    assert not future.cancelled()
    assert future.exception() is None


def test_builtins_classes_methods_and_lambdas(pool: Pool) -> None:
    assert pool.submit(pow, 2, 8).result(PATIENCE) == 256
    assert pool.submit(dict, a=1).result(PATIENCE) == {"a": 1}
    assert pool.submit("x".join, ["a", "b"]).result(PATIENCE) == "axb"
    assert pool.submit(lambda x: x + 1, 1).result(PATIENCE) == 2


def test_arguments_arrive_as_they_were_given(pool: Pool) -> None:
    assert pool.submit(work.add, 2, y=8).result(PATIENCE) == 10
    assert pool.submit(work.capture, 1, self=2, fn=3).result(PATIENCE) == ((1,), {"self": 2, "fn": 3})
    assert pool.submit(work.capture).result(PATIENCE) == ((), {})
    assert pool.submit(work.capture, (1, 2), [3]).result(PATIENCE) == (((1, 2), [3]), {})
    with pytest.raises(TypeError):
        pool.submit(fn=work.capture, arg=1)  # type: ignore[call-arg]


def test_an_exception_comes_with_its_traceback(pool: Pool) -> None:
    future = pool.submit(work.fail, "why not")
    with pytest.raises(ValueError, match="why not") as caught:
        future.result(PATIENCE)
    assert type(caught.value) is ValueError
    shown = "".join(traceback.format_exception(caught.value))
    assert "raise ValueError(text)" in shown  # the line of the task itself, wherever it ran
    assert future.exception() is caught.value


def test_a_remote_traceback_is_the_cause(pool: Pool, capabilities: Capabilities) -> None:
    if not (capabilities.pickles and capabilities.owns_workers):
        pytest.skip("the exception was raised in this process and has its own traceback")
    error = pool.submit(work.fail, "far away").exception(PATIENCE)
    assert error is not None
    assert "raise ValueError(text)" in str(error.__cause__)


def test_system_exit_in_a_task_is_its_outcome(pool: Pool) -> None:
    future = pool.submit(work.leave, 3)
    with pytest.raises(SystemExit) as caught:
        future.result(PATIENCE)
    assert caught.value.code == 3
    assert pool.submit(work.square, 2).result(PATIENCE) == 4


def test_ten_thousand_calls_each_have_their_own_result(pool: Pool) -> None:
    futures = [pool.submit(work.square, n) for n in range(10_000)]
    assert [future.result(PATIENCE) for future in futures] == [n * n for n in range(10_000)]


def test_submit_takes_only_what_can_be_called(pool: Pool) -> None:
    with pytest.raises(TypeError, match="fn must be callable, not int"):
        pool.submit(5)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- callbacks


def test_a_callback_is_called_with_the_future(pool: Pool) -> None:
    called: list[Future[int]] = []
    done = threading.Event()

    def callback(future: Future[int]) -> None:
        called.append(future)
        done.set()

    future = pool.submit(work.square, 3)
    future.add_done_callback(callback)
    assert done.wait(PATIENCE)
    assert called == [future]


@pytest.mark.usefixtures("side_by_side")
def test_callbacks_run_on_one_thread_that_shutdown_drains(pool: Pool, gate: Gate) -> None:
    threads: list[threading.Thread] = []
    futures = [pool.submit(work.pass_gate, *gate.paths) for _ in range(4)]
    for future in futures:
        future.add_done_callback(lambda _: threads.append(threading.current_thread()))
    gate.open(4)
    pool.shutdown(wait=True)
    assert len(threads) == 4
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()
    assert not threads[0].is_alive()


def test_a_callback_that_raises_is_logged_and_harms_nothing(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    later = threading.Event()

    def callback(_: Any) -> None:
        raise RuntimeError("in a callback")

    future = pool.submit(work.square, 3)
    future.add_done_callback(callback)
    future.add_done_callback(lambda _: later.set())
    assert later.wait(PATIENCE)
    assert future.result(PATIENCE) == 9
    all_said()
    assert "exception calling callback" in caplog.text


def test_a_callback_may_submit_and_wait(pool: Pool) -> None:
    inner: list[int] = []
    done = threading.Event()

    def callback(_: Any) -> None:
        inner.append(pool.submit(work.square, 4).result(PATIENCE))
        done.set()

    pool.submit(work.square, 3).add_done_callback(callback)
    assert done.wait(PATIENCE)
    assert inner == [16]


# ---------------------------------------------------------------------------------------------------------- cancel


@pytest.mark.usefixtures("side_by_side")
def test_what_waits_can_be_cancelled_and_then_never_runs(pool: Pool, gate: Gate) -> None:
    running = [pool.submit(work.pass_gate, *gate.paths) for _ in range(2)]
    gate.arrived(2)
    waiting = [pool.submit(work.pass_gate, *gate.paths) for _ in range(50)]
    assert all(future.cancel() for future in waiting)
    assert all(future.cancelled() and future.done() for future in waiting)
    with pytest.raises(CancelledError):
        waiting[0].result()
    wait_until(lambda: all(future.running() for future in running), "their pool hears that they run")
    gate.open(2)
    assert [future.result(PATIENCE) for future in running] == [None, None]
    assert not any(future.cancel() for future in running)
    pool.shutdown(wait=True)
    assert gate.nobody_arrives()


@pytest.mark.usefixtures("side_by_side")
def test_every_cancel_is_truthful(pool: Pool, tmp_path: Any) -> None:
    """True means that it is cancelled and will not run, or where it can be killed, not go on; False that it ran."""
    path = str(tmp_path / "ran")
    work.note(path, "-1")
    futures = [pool.submit(work.note_and_return, path, n) for n in range(2_000)]
    cancelled = {n for n, future in reversed(list(enumerate(futures))) if future.cancel()}
    pool.shutdown(wait=True)
    ran = {int(line) for line in open(path)} - {-1}  # noqa: SIM115
    if not pool._engine.capabilities.can_kill:
        assert ran.isdisjoint(cancelled)
    assert ran | cancelled == set(range(2_000))
    assert all(future.cancelled() == (n in cancelled) for n, future in enumerate(futures))


def test_done_is_not_cancelled(pool: Pool) -> None:
    future = pool.submit(work.square, 3)
    future.result(PATIENCE)
    assert not future.cancel()


@pytest.mark.usefixtures("side_by_side")
def test_a_cancelled_future_calls_its_callbacks(pool: Pool, gate: Gate) -> None:
    blockers = [pool.submit(work.pass_gate, *gate.paths) for _ in range(2)]
    gate.arrived(2)
    called = threading.Event()
    future = pool.submit(work.square, 3)
    future.add_done_callback(lambda _: called.set())
    assert future.cancel()
    assert called.wait(PATIENCE)
    gate.open(2)
    wait(blockers, PATIENCE)


# --------------------------------------------------------------------------------- what the standard library offers


def test_wait_and_as_completed(pool: Pool) -> None:
    futures = {pool.submit(work.square, n): n for n in range(200)}
    assert {future.result() for future in as_completed(futures, PATIENCE)} == {n * n for n in range(200)}
    done, not_done = wait(futures, PATIENCE)
    assert (len(done), len(not_done)) == (200, 0)


@pytest.mark.usefixtures("side_by_side")
def test_wait_for_the_first(pool: Pool, gate: Gate) -> None:
    blocked = pool.submit(work.pass_gate, *gate.paths)
    quick = pool.submit(work.square, 3)
    done, not_done = wait([blocked, quick], PATIENCE, return_when=FIRST_COMPLETED)
    assert done == {quick}
    assert not_done == {blocked}
    with pytest.raises(TimeoutError):
        blocked.result(0)
    gate.open()


@pytest.mark.usefixtures("side_by_side")
def test_as_many_run_at_once_as_there_are_workers(make_pool: Any, gate: Gate) -> None:
    """A task never waits behind a running one while a worker idles: all four must be running to go on."""
    pool = make_pool(4)
    pool.submit(work.square, 1).result(PATIENCE)
    for _ in range(3):
        list(pool.map(work.square, range(500)))  # the costs of functions are known, and cheap ones travel together
        futures = [pool.submit(work.pass_gate, *gate.paths, n) for n in range(4)]
        gate.arrived(4)
        gate.open(4)
        assert [future.result(PATIENCE) for future in futures] == [0, 1, 2, 3]


@pytest.mark.usefixtures("side_by_side")
def test_a_quick_call_is_answered_though_its_successor_is_slow(make_pool: Any, gate: Gate) -> None:
    pool = make_pool(1)
    for n in range(300):
        pool.submit(work.capture, n)  # known to be cheap: calls travel together
    quick = pool.submit(work.capture, 1)
    slow = pool.submit(work.pass_gate, *gate.paths)
    gate.arrived()
    assert quick.result(PATIENCE) == ((1,), {})
    gate.open()
    slow.result(PATIENCE)


def test_what_a_call_referred_to_is_let_go(pool: Pool) -> None:
    class Thing:
        def method(self) -> None:
            pass

    thing = Thing()
    gone = threading.Event()
    weakref.finalize(thing, gone.set).atexit = False
    pool.submit(thing.method).result(PATIENCE)
    del thing
    gc.collect()
    assert gone.wait(PATIENCE)
