"""The thread engine: direct calls and the core, who is woken, names, what is kept, what finalizers may do."""

import gc
import itertools
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

import procession
from procession import Pool
from procession.driver.threads import ThreadEngine
from tests.failures.kit import wait_until

PATIENCE = 60.0


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(2, backend="threads") as made:
        yield made


def engine_of(pool: Pool) -> ThreadEngine:
    engine: Any = pool._engine
    assert isinstance(engine, ThreadEngine)
    return engine


class Blocker:
    """A task that says that it runs, and waits."""

    def __init__(self) -> None:
        self.runs = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> str:
        self.runs.set()
        assert self.go.wait(PATIENCE)
        return "done"


def test_a_lone_call_goes_past_the_core(pool: Pool) -> None:
    pool.submit(abs, -1).result(PATIENCE)
    core = engine_of(pool).core
    steps: list[object] = []
    step = core.step
    core.step = lambda event: steps.append(event) or step(event)  # type: ignore[method-assign,func-returns-value]
    past, until = 0, time.monotonic() + PATIENCE
    while past < 20:  # whether a worker is asleep already when the next call comes is up to the scheduler
        assert time.monotonic() < until
        before = len(steps)
        assert pool.submit(abs, -1).result(PATIENCE) == 1
        past += len(steps) == before
    assert pool.stats().in_flight == 0


def test_a_lone_call_is_counted(pool: Pool) -> None:
    """The core does not know of it; who looks at the numbers does."""
    pool.submit(abs, -1).result(PATIENCE)
    blocker = Blocker()
    pool.submit(blocker)
    assert blocker.runs.wait(PATIENCE)
    assert (pool.stats().in_flight, pool.stats().busy) == (1, 1)
    blocker.go.set()


def test_the_core_is_told_of_a_direct_call_before_it_decides(pool: Pool) -> None:
    """While one worker runs a call that the core has not seen, the next calls go elsewhere, and all is accounted."""
    pool.submit(abs, -1).result(PATIENCE)
    first, second = Blocker(), Blocker()
    one = pool.submit(first)
    assert first.runs.wait(PATIENCE)
    two = pool.submit(second)
    assert second.runs.wait(PATIENCE)
    waiting = [pool.submit(abs, -n) for n in range(10)]
    engine = engine_of(pool)
    engine.started_threads()  # all that was posted has been read
    assert (pool.stats().busy, pool.stats().idle) == (2, 0)
    assert pool.stats().pending + pool.stats().in_flight == 12
    engine.core.check()
    first.go.set()
    assert one.result(PATIENCE) == "done"
    assert [future.result(PATIENCE) for future in waiting] == list(range(10))
    second.go.set()
    assert two.result(PATIENCE) == "done"


def test_running_is_true_while_it_runs_and_only_then(pool: Pool) -> None:
    blocker = Blocker()
    future = pool.submit(blocker)
    assert blocker.runs.wait(PATIENCE)
    assert future.running()
    assert not future.cancel()
    blocker.go.set()
    future.result(PATIENCE)
    assert not future.running()


def test_the_core_keeps_its_invariants_under_load() -> None:
    with Pool(4, backend="threads") as pool:
        engine = engine_of(pool)
        core, step = engine.core, engine.core.step

        def checked(event: Any) -> Any:
            commands = step(event)
            core.check()
            return commands

        core.step = checked  # type: ignore[method-assign]
        for _ in range(20):
            futures = [pool.submit(divmod, n, 7) for n in range(100)]
            cancelled = [future.cancel() for future in futures[::3]]
            items = list(pool.map(abs, range(300)))
            assert items == list(range(300))
            assert all(future.cancelled() == was for future, was in zip(futures[::3], cancelled, strict=True))
            assert all(future.result(PATIENCE) == divmod(n, 7) for n, future in enumerate(futures) if n % 3)


def test_many_threads_submit_at_once(pool: Pool) -> None:
    totals: list[int] = []

    def submit() -> None:
        futures = [pool.submit(abs, -n) for n in range(2_000)]
        totals.append(sum(future.result(PATIENCE) for future in futures))

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert totals == [sum(range(2_000))] * 6


def test_names_and_daemons(pool: Pool) -> None:
    blockers = [Blocker(), Blocker()]
    for blocker in blockers:
        pool.submit(blocker)
        assert blocker.runs.wait(PATIENCE)
    threads = sorted(pool._threads, key=lambda thread: thread.name)
    prefix = threads[0].name.rpartition("_")[0]
    assert [thread.name for thread in threads] == [f"{prefix}_0", f"{prefix}_1"]
    assert all(thread.daemon for thread in threads)
    assert pool._executor_manager_thread is not None
    for blocker in blockers:
        blocker.go.set()


def test_a_kept_future_keeps_neither_function_nor_arguments(pool: Pool) -> None:
    class Thing:
        def method(self, other: "Thing") -> None:
            pass

    one, other = Thing(), Thing()
    refs = [weakref.ref(one), weakref.ref(other)]
    future = pool.submit(one.method, other)
    future.result(PATIENCE)
    del one, other
    wait_until(lambda: (gc.collect(), not any(ref() for ref in refs))[1], "the worker has left it behind")
    assert future.done()


def test_an_exception_refers_to_no_frame_of_ours(pool: Pool) -> None:
    future = pool.submit(divmod, 1, 0)
    error = future.exception(PATIENCE)
    assert error is not None
    assert error.__traceback__ is None  # divmod has no Python frame

    def fail() -> None:
        raise ValueError

    error = pool.submit(fail).exception(PATIENCE)
    assert error is not None
    assert error.__traceback__ is not None
    assert error.__traceback__.tb_frame.f_code is fail.__code__


def test_a_finalizer_may_do_what_it_likes(pool: Pool) -> None:
    """It runs wherever the collector strikes, in a thread that steps the core, too: nothing may wait for itself."""
    done: list[object] = []

    class Meddler:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            future = pool.submit(abs, -1)
            done.append(future.cancel() or future)

    before = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for n in range(300):
            Meddler()
            assert pool.submit(abs, -n).result(PATIENCE) == n
            if n % 10 == 0:
                assert list(pool.map(abs, range(20))) == list(range(20))
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert len(done) >= 300


def test_shutdown_by_a_finalizer_under_the_lock(pool: Pool) -> None:
    engine = engine_of(pool)
    pool.submit(abs, -1).result(PATIENCE)
    with engine.locked():
        pool.shutdown(wait=True)  # returns: this thread holds what the engine needs to end
    engine.join()
    assert engine.closed


def test_what_no_thread_could_be_started_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(1, backend="threads")

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(abs, -1)
    assert pool.submit(abs, -1).result(PATIENCE) == 1
    pool.shutdown()


def test_a_worker_that_cannot_be_started_breaks_the_pool_only_at_the_third_try() -> None:
    pool = Pool(1, backend="threads")
    engine = engine_of(pool)
    start, tries = threading.Thread.start, []

    def refuse_twice(self: threading.Thread) -> None:
        if self.name.startswith(engine.prefix) and len(tries) < 2:
            tries.append(self)
            raise RuntimeError("can't start new thread")
        start(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse_twice)
        assert pool.submit(abs, -1).result(PATIENCE) == 1
    assert len(tries) == 2
    pool.shutdown()


class Struck(BaseException):
    """What a signal handler raises."""


def struck_submit(pool: Pool, at: int) -> tuple[Future[None] | None, bool]:
    """A task, submitted and struck at this instruction of it: its future, if submit returned; and whether it was."""
    seen = 0

    def trace(frame: Any, event: str, _arg: Any) -> Any:
        nonlocal seen
        if not frame.f_code.co_filename.startswith(str(procession.__path__[0])):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            seen += 1
            if seen == at:
                raise Struck
        return trace

    gc.disable()  # what is collected here is another pool, and nothing can be raised there
    sys.settrace(trace)
    try:
        future = pool.submit(threading.Event().set)
    except Struck:
        future = None
    finally:
        sys.settrace(None)
        gc.enable()
    return future, seen >= at


def test_every_instruction_of_submit_may_be_struck() -> None:
    """An exception at each line event of submit in turn: what was posted runs, and the pool goes on."""
    with Pool(1, backend="threads") as pool:
        pool.submit(abs, -1).result(PATIENCE)
        for at in itertools.count():
            future, struck = struck_submit(pool, at)
            if future is None:
                assert pool.submit(abs, -2).result(PATIENCE) == 2
            else:
                assert future.result(PATIENCE) is None
                if not struck:
                    break
        assert at > 50
        engine_of(pool).started_threads()
        assert pool.stats().pending == 0


@pytest.mark.parametrize("end", [Pool.shutdown, Pool.kill_workers, partial(Pool.shutdown, cancel_futures=True)])
def test_every_instruction_of_the_first_submit_may_be_struck(end: Callable[[Pool], object]) -> None:
    """Whether the driver was about to begin, had begun, or never will: the pool ends all the same."""
    for at in range(1, 10_000):
        pool = Pool(1, backend="threads")
        future, struck = struck_submit(pool, at)
        end(pool)
        if future is not None:
            assert future.cancelled() or future.result(PATIENCE) is None
        assert pool.stats().workers == 0
        if not struck:
            break
    assert at > 100


def test_a_bug_of_ours_hangs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Should the core fail, every task is told so, and the pool ends."""
    pool = Pool(1, backend="threads")
    blocker = Blocker()
    running = pool.submit(blocker)
    assert blocker.runs.wait(PATIENCE)
    waiting = [pool.submit(abs, -n) for n in range(5)]
    engine = engine_of(pool)
    engine.started_threads()

    def fail(_event: object) -> Any:
        raise AssertionError("a law was broken")

    engine.core.step = fail  # type: ignore[method-assign]
    results = pool.map(abs, [1, 2])
    engine.cancel_group(None)  # something to step for
    for future in waiting:
        with pytest.raises(Exception, match="a law was broken"):
            future.result(PATIENCE)
    blocker.go.set()
    assert running.result(PATIENCE) == "done"
    with pytest.raises(Exception, match="a law was broken"):
        list(results)
    with pytest.raises(Exception, match="a law was broken"):
        pool.submit(abs, 1)
    pool.shutdown()
    assert "its pool is lost" in caplog.text
