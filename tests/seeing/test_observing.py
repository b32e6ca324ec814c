"""procession.observe: each end of a task once, on every backend, and no harm by whoever observes."""

import functools
import gc
import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import procession
from procession import Pool, SpinOff, Stage, tapping, trace
from procession.driver.supervisor import Supervisor
from procession.events import (
    Event,
    EventsDropped,
    PoolClosed,
    PoolOpened,
    StreamInfo,
    TaskEnded,
    WorkerEnded,
    WorkerStarted,
)
from procession.observing import Observer
from procession.seeing import hub
from tests.contract.conftest import Gate, MakePool
from tests.contract.work import fail_on_three, pass_gate, square
from tests.logs import all_said
from tests.seeing.test_tracing import die_once, fail_once

PATIENCE = 30.0


class Ear:
    """Keeps what it is told, and by which threads."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.threads: set[int] = set()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())

    def tasks(self, function: str = "") -> list[TaskEnded]:
        """That have ended; of one function, if that is said."""
        return [each for each in self.events if isinstance(each, TaskEnded) and function in ("", each.function)]


class Slow:
    """A function of events that stays in its first call until it is let go."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.inside, self.go = threading.Event(), threading.Event()

    def __call__(self, event: Event) -> None:
        self.told.append(event)
        self.inside.set()
        assert self.go.wait(PATIENCE)


# ----------------------------------------------------------------------------------------------------- what is told


def test_every_way_in_is_told(backend: str, make_pool: MakePool) -> None:
    ear = Ear()
    with procession.observe(ear) as observer:
        with make_pool() as pool:
            assert list(pool.map(square, range(300))) == [x * x for x in range(300)]
            assert list(pool.imap(square, [3, 4], window=2)) == [9, 16]
            calls = [pool.submit(square, x) for x in range(20)]
            assert [call.result() for call in calls] == [x * x for x in range(20)]
            assert [pool.submit(square, 7).result() for _ in range(30)] == [49] * 30
        with SpinOff(square, backend=backend) as spin:  # type: ignore[arg-type]
            spin.put_many(range(20))
        assert list(spin) == [x * x for x in range(20)]
        with procession.Pipeline(Stage(square, backend=backend, name="twice")) as pipe:  # type: ignore[arg-type]
            assert list(pipe.run(range(5))) == [x * x for x in range(5)]
    assert observer.dropped == 0
    found = Counter((each.stream.kind if each.stream else "call", each.outcome) for each in ear.tasks())
    kinds = {"map": 300, "imap": 2, "call": 50, "SpinOff": 20, "pipeline": 5}
    assert found == {(kind, "ok"): number for kind, number in kinds.items()}
    places = {(each.stream.number, each.index) for each in ear.tasks() if each.stream is not None}
    assert len(places) == 327
    assert {each.pool.backend for each in ear.tasks()} == {backend}
    assert all(each.seconds is not None and each.waited is not None and each.waited >= 0 for each in ear.tasks())
    assert len(ear.threads) == 1
    pools = {(each.pool.kind, each.pool.name) for each in ear.events if isinstance(each, PoolOpened)}
    assert pools == {("Pool", ""), ("SpinOff", "square"), ("stage", "twice")}


def test_a_pool_opens_first_and_closes_last(backend: str, make_pool: MakePool) -> None:
    ear = Ear()
    with procession.observe(ear), make_pool() as pool:
        assert list(pool.map(square, range(10))) == [x * x for x in range(10)]
    kinds = [type(each) for each in ear.events]
    assert kinds[0] is PoolOpened
    assert kinds[-1] is PoolClosed
    assert Counter(kinds)[WorkerStarted] == Counter(kinds)[WorkerEnded] >= 1
    started: set[int] = set()
    for each in ear.events:
        match each:
            case WorkerStarted(worker=worker):
                started.add(worker)
            case WorkerEnded(worker=worker, reason=reason):
                assert reason == ""
                started.remove(worker)
            case TaskEnded(worker=worker):
                assert worker in started
    assert not started


def test_a_pool_that_nobody_has_used_is_not_told(make_pool: MakePool) -> None:
    ear = Ear()
    with procession.observe(ear), SpinOff(square, backend="inline"):
        pass
    assert not ear.events


def test_who_comes_later_is_told_what_there_is(backend: str, make_pool: MakePool) -> None:
    pool, ear = make_pool(), Ear()
    assert list(pool.map(square, range(4))) == [0, 1, 4, 9]
    with procession.observe(ear) as observer:
        assert list(pool.map(square, range(4))) == [0, 1, 4, 9]
        assert observer.flush(PATIENCE)
        assert isinstance(ear.events[0], PoolOpened)
        assert len(ear.tasks()) == 4
        assert not [each for each in ear.events if isinstance(each, PoolClosed)]


def test_what_runs_when_another_one_leaves_is_told_all_the_same(backend: str, make_pool: MakePool, gate: Gate) -> None:
    pool, ear, taken = make_pool(1), Ear(), list[Any]()
    with procession.observe(ear, events=TaskEnded):
        work = threading.Thread(target=lambda: taken.extend(pool.map(pass_gate, *zip(*[gate.paths] * 4, strict=True))))
        work.start()
        for _ in range(4):
            gate.arrived()
            with procession.observe(Ear()), trace(None):
                pass
            gate.open()
        work.join()
    assert len(taken) == 4
    assert [(each.index, each.outcome, each.worker) for each in ear.tasks()] == [(at, "ok", 0) for at in range(4)]
    assert all(each.seconds for each in ear.tasks())
    assert [each.sent_ns is None for each in ear.tasks()] == [backend != "processes"] * 4


def test_flush_waits_until_all_is_told(backend: str, make_pool: MakePool) -> None:
    pool, ear = make_pool(), Ear()
    with procession.observe(ear) as observer:
        for number in range(1, 4):
            assert pool.submit(square, number).result() == number * number
            assert observer.flush(PATIENCE)
            assert len(ear.tasks()) == number


def test_flush_waits_for_calls_that_were_answered_before_the_pool_heard_of_it(
    backend: str, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lone call's caller has its answer from the worker itself."""
    monkeypatch.setattr(Observer, "every", 0.0005)
    pool, ear = make_pool(1), Ear()
    with procession.observe(ear) as observer:
        for number in range(1, 201):
            assert pool.submit(square, number).result() == number * number
            assert observer.flush(PATIENCE)
            assert len(ear.tasks()) == number


def test_what_a_task_raises_is_told_with_its_stack(pool: Pool) -> None:
    ear = Ear()
    with procession.observe(ear):
        raised = pool.submit(fail_on_three, 3).exception()
    (event,) = ear.tasks("fail_on_three")
    assert event.outcome == "error"
    assert event.error is not None
    assert (event.error.kind, event.error.message) == ("ValueError", "no 3")
    assert "in fail_on_three" in event.error.traceback
    assert event.error.exception is raised


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_each_attempt_is_told(pool: Pool, tmp_path: Path) -> None:
    ear = Ear()
    with procession.observe(ear):
        assert pool.options(retries=2).submit(fail_once, str(tmp_path / "a")).result() == "well"
    assert [(each.attempt, each.outcome) for each in ear.tasks("fail_once")] == [(1, "error"), (2, "ok")]


def test_a_worker_that_is_lost_is_told(tmp_path: Path) -> None:
    ear = Ear()
    with procession.observe(ear), Pool(1) as pool:
        assert pool.options(retries=1).submit(die_once, str(tmp_path / "a")).result() == "lived"
    assert [(each.attempt, each.outcome) for each in ear.tasks()] == [(1, "died"), (2, "ok")]
    lost = [each for each in ear.events if isinstance(each, WorkerEnded) and each.reason]
    assert ear.events.index(ear.tasks()[0]) < ear.events.index(lost[0])
    assert [each.reason for each in lost] == ["signal 9"]
    assert lost[0].pid in {each.pid for each in ear.events if isinstance(each, WorkerStarted)}


def test_a_worker_is_told_before_its_tasks_whoever_hears_of_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Supervisor, "numbers_of_workers", lambda _self: {})  # the zygote is late
    first, second = Ear(), Ear()
    with Pool(1) as pool:
        with procession.observe(first):
            pid = pool.submit(os.getpid).result()
        with procession.observe(second):
            pool.submit(os.getpid).result()
    for ear in first, second:
        assert [type(each) for each in ear.events[:3]] == [PoolOpened, WorkerStarted, TaskEnded]
        assert [each.pid for each in ear.events if isinstance(each, WorkerStarted)] == [pid]


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_what_is_cancelled_is_told_as_that(make_pool: MakePool, gate: Gate) -> None:
    pool, ear = make_pool(max_workers=1), Ear()
    with procession.observe(ear):
        first = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        waiting = pool.submit(square, 2)
        assert waiting.cancel()
        gate.open()
        first.result()
    (event,) = ear.tasks("square")
    assert (event.outcome, event.worker, event.seconds, event.error) == ("cancelled", None, None, None)


def test_only_such_as_are_asked_for() -> None:
    pools, tasks = Ear(), Ear()
    with (
        procession.observe(pools, events=(PoolOpened, PoolClosed)) as one,
        procession.observe(tasks, events=TaskEnded),
        Pool(1, backend="threads") as pool,
    ):
        assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]
        assert one.flush(PATIENCE)
    assert {type(each) for each in tasks.events} == {TaskEnded}
    assert [type(each) for each in pools.events] == [PoolOpened, PoolClosed]
    assert len(tasks.events) == 5
    stream = tasks.tasks()[0].stream
    assert isinstance(stream, StreamInfo)
    assert stream.kind == "map"


# ------------------------------------------------------------------------------------------------ whoever observes


def test_one_that_raises_is_told_no_more_and_nobody_else_notices(caplog: pytest.LogCaptureFixture) -> None:
    calls, good = count(), Ear()

    def bad(_event: Event) -> None:
        next(calls)
        raise SystemExit("a fault that was put here")

    with procession.observe(bad) as observer, procession.observe(good) as other, Pool(1, backend="threads") as pool:
        assert pool.submit(square, 2).result() == 4
        assert other.flush(PATIENCE)
        observer._thread.join(PATIENCE)
        assert isinstance(observer.error, SystemExit)
        assert not observer.active
        assert other.active
        assert pool.submit(square, 3).result() == 9
    assert next(calls) == 1
    assert len(good.tasks()) == 2
    all_said()
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "has raised, and is told nothing more" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is observer.error
    assert tapping.tap is None


def test_one_whose_own_text_cannot_be_made_is_switched_off_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    class Bad:
        def __call__(self, event: Event) -> None:
            raise ZeroDivisionError

        def __repr__(self) -> str:
            raise ZeroDivisionError

    with procession.observe(Bad()) as observer, Pool(1, backend="threads") as pool:
        assert pool.submit(square, 2).result() == 4
        observer._thread.join(PATIENCE)
        assert not observer.active
    all_said()
    assert tapping.tap is None


def test_what_comes_too_fast_is_dropped_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(Observer, "most_runs", 10)
    with procession.observe(slow) as observer, Pool(1, backend="threads") as pool:
        assert pool.submit(square, 2).result() == 4
        assert slow.inside.wait(PATIENCE)  # it is told that there is a pool
        for _ in range(30):
            assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]
            for engine in tapping.engines():
                engine.unbind()
        slow.go.set()
        assert observer.flush(PATIENCE)
        assert pool.submit(square, 2).result() == 4
        assert observer.flush(PATIENCE)
    told = sum(isinstance(each, TaskEnded) for each in slow.told)
    assert observer.dropped > 0
    assert told + observer.dropped == 152
    assert sum(each.count for each in slow.told if isinstance(each, EventsDropped)) == observer.dropped


def test_the_work_waits_for_nobody(backend: str, make_pool: MakePool) -> None:
    slow = Slow()
    pool = make_pool()
    with procession.observe(slow) as observer:
        assert list(pool.map(square, range(50))) == [x * x for x in range(50)]
        assert slow.inside.wait(PATIENCE)
        assert list(pool.map(square, range(50))) == [x * x for x in range(50)]
        assert pool.submit(square, 3).result() == 9
        assert not observer.flush(0.01)
        slow.go.set()
    assert sum(isinstance(each, TaskEnded) for each in slow.told) == 101


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_tasks_are_not_looked_at_while_nobody_wants_to_know_of_them(make_pool: MakePool) -> None:
    pools, tasks = Ear(), Ear()
    with procession.observe(pools, events=(PoolOpened, WorkerStarted, WorkerEnded, PoolClosed)) as one:
        pool = make_pool(1)
        assert pool.submit(square, 2).result() == 4
        assert one.flush(PATIENCE)
        assert not tapping.tasks_wanted()
        with procession.observe(tasks):
            assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]
        assert len(tasks.tasks()) == 5
        assert [type(each) for each in tasks.events[:2]] == [PoolOpened, WorkerStarted]
        with trace(None) as traced:
            assert pool.submit(square, 3).result() == 9
        assert len(traced.recording) == 1
        assert not tapping.tasks_wanted()
        pool.shutdown()
    assert [type(each) for each in pools.events] == [PoolOpened, WorkerStarted, WorkerEnded, PoolClosed]


def test_rows_of_threads_do_not_lie_there_for_one_who_takes_nothing() -> None:
    slow = Slow()
    with (
        procession.observe(slow),  # it does not take what threads have run
        procession.observe(Ear(), events=PoolClosed) as observer,
        Pool(1, backend="threads") as pool,
    ):
        assert pool.submit(square, 2).result() == 4
        assert slow.inside.wait(PATIENCE)
        assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]
        observer.tick()
        trackers: list[Any] = [getattr(each, "tracker", None) for each in tapping.engines()]
        assert not any(sheaf._rows for each in trackers if each for sheaf in each._sheaves.values())
        slow.go.set()


def test_one_that_leaves_all_untaken_is_told_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hub, "MOST", 10)
    monkeypatch.setattr(hub, "MOST_RARE", 10)
    monkeypatch.setattr(Observer, "every", 0.0005)
    slow = Slow()
    with procession.observe(slow) as observer:
        with Pool(1, backend="threads") as pool:
            assert pool.submit(square, 2).result() == 4
            assert slow.inside.wait(PATIENCE)
        while observer.active:  # each pool is some more
            with Pool(1, backend="threads") as pool:
                assert pool.submit(square, 2).result() == 4
        assert isinstance(observer.error, hub.Stuck)
        waiting = len(observer._heard)
        with Pool(1, backend="threads") as pool:
            assert pool.submit(square, 2).result() == 4
        assert len(observer._heard) <= waiting + 1  # the run
        slow.go.set()
    all_said()
    assert "takes nothing, and is told nothing more" in caplog.text


def test_closing_waits_as_long_as_is_said() -> None:
    slow = Slow()
    with Pool(1, backend="threads") as pool:
        observer = procession.observe(slow)
        assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]
        assert slow.inside.wait(PATIENCE)
        observer.close(timeout=0.01)
        assert not observer.active
        slow.go.set()
        observer._thread.join(PATIENCE)
    assert len(slow.told) == 1
    assert observer.dropped == 5
    observer.close()


def test_it_may_close_itself() -> None:
    told: list[Event] = []

    def once(event: Event) -> None:
        told.append(event)
        observer.close()

    observer = procession.observe(once, events=TaskEnded)
    with Pool(1, backend="threads") as pool:
        assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]
        observer._thread.join(PATIENCE)
    assert not observer._thread.is_alive()
    assert len(told) == 1
    assert tapping.tap is None


def test_it_may_hand_work_over_itself() -> None:
    seen: list[Any] = []
    with Pool(1, backend="threads") as pool, Pool(1, backend="threads") as other:

        def chains(event: Event) -> None:
            if isinstance(event, TaskEnded) and event.function == "square":
                seen.append(other.submit(str, event.outcome).result())

        with procession.observe(chains):
            assert pool.submit(square, 2).result() == 4
    assert seen == ["ok"]


def test_nobody_observes_in_a_forked_child() -> None:
    ear = Ear()
    with procession.observe(ear) as observer:
        pid = os.fork()
        if not pid:
            right = not observer.active and tapping.tap is None and observer.flush(0)
            observer.close()
            with Pool(1, backend="inline") as pool:
                right = right and pool.submit(square, 2).result() == 4
            os._exit(0 if right and not ear.events else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert observer.active


def test_the_end_of_the_program_has_all_told() -> None:
    program = """
import os, procession
def tell(event):
    os.write(1, type(event).__name__.encode() + b"\\n")
procession.observe(tell)
pool = procession.Pool(1, backend="threads")
os.write(1, b"%d\\n" % pool.submit(abs, -3).result())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == ["3", "PoolClosed", "PoolOpened", "TaskEnded", "WorkerEnded", "WorkerStarted"]


def test_nobody_who_observes_is_left_when_one_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no)
    with pytest.raises(RuntimeError, match="new thread"):
        procession.observe(print)
    assert tapping.tap is None
    assert not hub.hub._hearers


def test_pools_that_have_ended_are_forgotten() -> None:
    with procession.observe(Ear()), procession.observe(Ear()):
        for _ in range(3):
            with Pool(1, backend="threads") as pool:
                assert list(pool.map(square, range(3))) == [0, 1, 4]
        assert not hub.hub._known
        gc.collect()  # streams are in cycles
        assert not hub.hub._streams


# ------------------------------------------------------------------------------------------------------- a logger


def test_a_logger_gets_records(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.observed")
    caplog.set_level(logging.DEBUG, logger.name)
    with procession.observe(logger), Pool(1, backend="threads") as pool:
        assert isinstance(pool.submit(fail_on_three, 3).exception(), ValueError)
        assert list(pool.map(square, [1])) == [1]
    records = [each for each in caplog.records if each.name == logger.name]
    said = [(each.levelname, each.getMessage()) for each in records]
    number = records[0].event.pool.number  # type: ignore[attr-defined]
    assert said[0] == ("INFO", f"pool {number} opened: threads, up to 1 workers")
    assert said[-1] == ("INFO", f"pool {number} closed")
    (failed,) = [each for each in records if each.levelname == "WARNING"]
    assert failed.getMessage().startswith(f"pool {number}: fail_on_three: error after ")
    assert failed.getMessage().endswith("ValueError: no 3")
    assert failed.exc_info is not None
    assert isinstance(failed.exc_info[1], ValueError)
    (well,) = [text for level, text in said if level == "DEBUG" and "square" in text]
    assert well.startswith(f"pool {number}: square, item 0: ok after ")


def test_an_adapter_is_a_logger_too(caplog: pytest.LogCaptureFixture) -> None:
    adapter = logging.LoggerAdapter(logging.getLogger("tests.adapted"), {"service": "x"})
    caplog.set_level(logging.INFO, "tests.adapted")
    with procession.observe(adapter), Pool(1, backend="threads") as pool:
        assert pool.submit(square, 2).result() == 4
    records: list[Any] = [each for each in caplog.records if each.name == "tests.adapted"]
    assert [(each.levelname, each.service, type(each.event)) for each in records] == [
        ("INFO", "x", PoolOpened),
        ("INFO", "x", PoolClosed),
    ]


# ------------------------------------------------------------------------------------------------------- bad input


async def waits(_event: Event) -> None: ...


class Waits:
    async def __call__(self, _event: Event) -> None: ...


@pytest.mark.parametrize("fn", [waits, functools.partial(waits), Waits()])
def test_a_coroutine_function_is_refused(fn: Callable[[Event], Any]) -> None:
    with pytest.raises(TypeError, match="plain function"):
        procession.observe(fn)


@pytest.mark.parametrize("fn", [lambda: None, lambda _event, _other: None, functools.partial(square, 1)])
def test_what_does_not_take_one_event_is_refused(fn: Any) -> None:
    with pytest.raises(TypeError, match="fn must take one argument, the event"):
        procession.observe(fn)
    assert tapping.tap is None


def test_what_says_nothing_of_its_arguments_is_tried() -> None:
    seen = dict[Any, Any]()
    with procession.observe(seen.get), Pool(1, backend="threads") as pool:
        assert pool.submit(square, 2).result() == 4


@pytest.mark.parametrize("fn", [None, "print", 3])
def test_what_cannot_be_called_is_refused(fn: Any) -> None:
    with pytest.raises(TypeError, match="fn must be a function of one event, or a logger"):
        procession.observe(fn)


@pytest.mark.parametrize("events", [(), "TaskEnded", int, (TaskEnded, int), 3, [None]])
def test_events_that_are_none_are_refused(events: Any) -> None:
    with pytest.raises(TypeError, match=r"classes of procession\.events .*PoolOpened.*; got"):
        procession.observe(print, events=events)
    assert tapping.tap is None
