"""What a trace has of all that a program does: each task once for each of its runs, on every backend."""

import asyncio
import gc
import logging
import os
import signal
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import procession
from procession import Pool, SpinOff, Stage, tapping
from procession.backends import tasks
from procession.backends.saying import said
from procession.core import commands, events
from procession.driver.tracking import Tracker
from procession.seeing import hub
from procession.seeing.recording import CANCELLED, DIED, ERROR, OK, RUNNING, TIMEOUT, Recording
from procession.seeing.tracing import trace
from tests.contract.conftest import Gate, MakePool
from tests.contract.work import capture, fail_on_three, pass_gate, square


def rows(recording: Recording, function: str = "") -> Iterator[dict[str, Any]]:
    """As dictionaries, the function by its name; of one function, if that is said."""
    for at in range(len(recording)):
        row: dict[str, Any] = {name: column[at] for name, column in recording.columns.items()}
        row["function"] = recording.functions[row["function"]]
        row["row"] = at
        if function in ("", row["function"]):
            yield row


def keeps_the_laws(recording: Recording, alone: bool = True) -> None:
    """Those of recording.py; what is not known is 0. Not `alone`: others may have listened before (law 2 of hub.py)."""
    assert {len(column) for column in recording.columns.values()} == {len(recording)}
    runs: dict[int, list[tuple[int, int]]] = {}
    for row in rows(recording):
        if row["outcome"] not in (OK, ERROR) or not row["started"]:
            continue
        known = [row[name] for name in ("queued", "sent", "started", "ended", "done") if row[name]]
        assert known == sorted(known), row
        assert row["started"] <= row["ended"], row
        assert recording.since <= row["ended" if alone else "done"], row  # it may have run already when this began
        assert row["ended"] <= recording.until, row
        assert row["load"] + row["dump"] <= row["ended"] - row["started"], row
        runs.setdefault(row["worker"], []).append((row["started"], row["ended"]))
    for each in runs.values():
        each.sort()
        assert all(ended <= started for (_, ended), (started, _) in pairwise(each))


def die_once(path: str) -> str:
    """At the first run this ends its worker."""
    if not os.path.exists(path):
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "lived"


def fail_once(path: str) -> str:
    if not os.path.exists(path):
        Path(path).touch()
        raise OSError("not yet")
    return "well"


def nap(event: str) -> None:
    """Until there is such a file, which never comes."""
    with open(event, "rb", 0) as never:
        never.read(1)


# ---------------------------------------------------------------------------------------------------- each task once


def test_every_way_in_leads_into_the_recording(backend: str, make_pool: MakePool) -> None:
    with trace(None) as traced:
        pool = make_pool()
        assert list(pool.map(square, range(500))) == [x * x for x in range(500)]
        assert list(pool.imap(square, [[2], 3, 4][1:], window=2)) == [9, 16]
        calls = [pool.submit(square, x) for x in range(30)]
        assert [call.result() for call in calls] == [x * x for x in range(30)]
        assert [pool.submit(square, 7).result() for _ in range(40)] == [49] * 40  # by the express lane, in the end
        with SpinOff(square, backend=backend) as spin:  # type: ignore[arg-type]
            spin.put_many(range(20))
        assert list(spin) == [x * x for x in range(20)]
    recording = traced.recording
    keeps_the_laws(recording)
    assert recording.lost == 0
    by_stream = Counter((recording.streams[row["stream"]].kind, row["outcome"]) for row in rows(recording))
    assert by_stream == {("map", OK): 500, ("imap", OK): 2, ("call", OK): 70, ("SpinOff", OK): 20}
    for number, stream in enumerate(recording.streams):
        indices = sorted(row["index"] for row in rows(recording) if row["stream"] == number)
        assert indices == ([-1] * 70 if stream.kind == "call" else list(range(len(indices))))
    assert all(row["started"] and row["queued"] for row in rows(recording))
    assert {recording.pools[worker.pool].backend for worker in recording.workers} == {backend}
    assert len(recording.pools) == 2


def test_a_pipeline_has_its_stages(backend: str) -> None:
    with trace(None) as traced:
        pipe = procession.Pipeline(
            Stage(square, backend=backend),  # type: ignore[arg-type]
            Stage(str, workers=2, backend=backend),  # type: ignore[arg-type]
        )
        assert list(pipe.run(range(12))) == [str(x * x) for x in range(12)]
    recording = traced.recording
    keeps_the_laws(recording)
    for name in ("square", "str"):
        assert sorted(row["index"] for row in rows(recording, name)) == list(range(12))
    assert {stream.kind for stream in recording.streams[1:]} == {"pipeline"}


def test_what_a_task_raises_is_told(pool: Pool) -> None:
    with trace(None) as traced:
        assert isinstance(pool.submit(fail_on_three, 3).exception(), ValueError)
        assert list(pool.imap(fail_on_three, range(6), on_error="skip")) == [0, 1, 2, 4, 5]
    recording = traced.recording
    failed = [row for row in rows(recording, "fail_on_three") if row["outcome"] == ERROR]
    assert sorted(row["index"] for row in failed) == [-1, 3]
    for row in failed:
        told = recording.failures[row["row"]]
        assert (told.kind, told.message) == ("ValueError", "no 3")
        assert "in fail_on_three" in told.trace
    assert len(recording.failures) == 2
    keeps_the_laws(recording)


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_each_attempt_is_a_row(pool: Pool, tmp_path: Path) -> None:
    again = pool.options(retries=2)
    with trace(None) as traced:
        assert again.submit(fail_once, str(tmp_path / "a")).result() == "well"
        assert list(again.imap(fail_once, [str(tmp_path / "b")])) == ["well"]
    got = sorted((row["index"], row["attempt"], row["outcome"]) for row in rows(traced.recording, "fail_once"))
    assert got == [(-1, 1, ERROR), (-1, 2, OK), (0, 1, ERROR), (0, 2, OK)]
    keeps_the_laws(traced.recording)


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_what_has_run_is_not_told_as_cancelled_when_the_core_hears_of_it_too_late(pool: Pool) -> None:
    with trace(None) as traced:
        done: Any = pool.submit(square, 2)
        assert done.result() == 4
        engine: Any = pool._engine
        tracker = engine.tracker if hasattr(engine, "tracker") else engine._driver.tracker
        tracker._cancelled(commands.Drop([done]))  # as `sync` of locked.py has it when the call ends at that moment
    assert [row["outcome"] for row in rows(traced.recording, "square")] == [OK]


def test_a_further_attempt_waits_from_the_end_of_the_one_before(
    backend: str, make_pool: MakePool, tmp_path: Path
) -> None:
    """It is no wait for a worker from the beginning on."""
    pool = make_pool()
    again = pool.options(retries=2, backoff=0.01)
    with trace(None) as traced:
        assert again.submit(fail_once, str(tmp_path / "a")).result() == "well"
        assert list(again.imap(fail_once, [str(tmp_path / "b")])) == ["well"]
        if backend == "processes":
            died = pool.options(retries=2, retry_on=procession.WorkerDied, backoff=0.01)
            assert died.submit(die_once, str(tmp_path / "c")).result() == "lived"
    attempts: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in sorted(rows(traced.recording), key=lambda row: row["attempt"]):
        attempts.setdefault((row["function"], row["index"]), []).append(row)
    assert len(attempts) == (3 if backend == "processes" else 2)
    for first, second in attempts.values():
        assert first["queued"] <= first["started"] <= first["ended"] <= second["queued"] <= second["started"]
    keeps_the_laws(traced.recording)


def test_inline_each_attempt_is_a_row_too(tmp_path: Path) -> None:
    seen: list[int] = []

    def late(_x: int) -> int:
        seen.append(1)
        while len(seen) < 2 and not procession.cancelled():
            pass
        return len(seen)

    with trace(None) as traced, Pool(backend="inline") as pool:
        again = pool.options(retries=2)
        assert again.submit(fail_once, str(tmp_path / "a")).result() == "well"
        assert list(again.imap(fail_once, [str(tmp_path / "b")])) == ["well"]
        hurried = pool.options(retries=50, timeout=0.05, retry_on=procession.TaskTimeout)
        assert hurried.submit(late, 1).result() >= 2
    got = sorted((row["index"], row["attempt"], row["outcome"]) for row in rows(traced.recording, "fail_once"))
    assert got == [(-1, 1, ERROR), (-1, 2, OK), (0, 1, ERROR), (0, 2, OK)]
    came = [row["outcome"] for row in rows(traced.recording) if row["function"].endswith("late")]
    assert came == [TIMEOUT] * (len(seen) - 1) + [OK]
    keeps_the_laws(traced.recording)


def test_an_error_holds_what_its_frames_have_no_longer_than_it_would() -> None:
    class Large:
        pass

    left: list[weakref.ref[Large]] = []

    def fail(_x: int) -> None:
        large = Large()
        left.append(weakref.ref(large))
        raise KeyError(large)

    def live() -> list[bool]:
        with Pool(1, backend="threads") as pool, pytest.raises(KeyError):
            list(pool.map(fail, [1]))
        return [each() is not None for each in left]

    gc.collect()
    gc.disable()
    try:
        (untraced,) = live()
        with trace(None):
            live()
        traced = left[1]() is not None
    finally:
        gc.enable()
    assert traced <= untraced


def test_inline_each_thread_is_a_worker() -> None:
    both = threading.Barrier(2)
    with trace(None) as traced, Pool(backend="inline") as pool:
        others = [threading.Thread(target=lambda: pool.submit(both.wait, 30).result()) for _ in range(2)]
        for each in others:
            each.start()
        for each in others:
            each.join()
    assert len(traced.recording.workers) == 2
    assert sorted(traced.recording.worker) == [0, 1]
    keeps_the_laws(traced.recording)


def test_inline_a_run_ends_before_its_callbacks_and_may_lie_within_another() -> None:
    when: list[int] = []

    def outer(pool: Pool) -> int:
        return pool.submit(square, 3).result()

    with trace(None) as traced, Pool(backend="inline") as pool:
        future = pool.submit(outer, pool)
        assert future.result() == 9
        with pool.options() as view:
            view.submit(square, 4).add_done_callback(lambda _: when.append(time.perf_counter_ns()))
    inner, around, last = sorted(rows(traced.recording), key=lambda row: row["ended"])
    assert around["started"] <= inner["started"] <= inner["ended"] <= around["ended"] <= last["started"]
    assert last["ended"] <= when[0]


def test_a_worker_that_dies_leaves_its_run(tmp_path: Path) -> None:
    with trace(None) as traced, Pool(1) as pool:
        assert pool.submit(square, 2).result() == 4
        view = pool.options(retries=1)
        assert view.submit(die_once, str(tmp_path / "a")).result() == "lived"
        assert list(view.imap(die_once, [str(tmp_path / "b")])) == ["lived"]
    recording = traced.recording
    got = sorted((row["index"], row["attempt"], row["outcome"]) for row in rows(recording, "die_once"))
    assert got == [(-1, 1, DIED), (-1, 2, OK), (0, 1, DIED), (0, 2, OK)]
    for row in rows(recording, "die_once"):
        assert 0 < row["queued"] <= row["started"] <= row["ended"] <= row["done"]
        if row["outcome"] == DIED:
            assert recording.workers[row["worker"]].end == f"signal {signal.SIGKILL:d}"
            assert "signal 9" in recording.failures[row["row"]].message
    assert [worker.end for worker in recording.workers].count("") == 1
    keeps_the_laws(recording)


def test_what_takes_too_long_is_told(backend: str, make_pool: MakePool, tmp_path: Path) -> None:
    if backend == "inline":
        pytest.skip("nothing can be ended there")
    never = tmp_path / "never"
    os.mkfifo(never)
    keep = os.open(never, os.O_RDWR)
    try:
        pool = make_pool(1)
        with trace(None) as traced:
            with pytest.raises(procession.TaskTimeout):
                pool.options(timeout=0.05).submit(nap, str(never)).result()
        (row,) = rows(traced.recording, "nap")
        assert row["outcome"] == TIMEOUT
        assert 0 < row["started"] < row["ended"]
        told = traced.recording.failures[row["row"]]
        assert told.kind == "TaskTimeout"
        assert "in nap" in told.trace
    finally:
        os.write(keep, b"!")
        os.close(keep)


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_what_is_cancelled_before_it_ran_is_told(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(1)
    with trace(None) as traced:
        runs = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        waits = [pool.submit(square, x) for x in range(3)]
        assert waits[1].cancel()
        gate.open()
        runs.result()
        assert waits[2].result() == 4
    got = sorted(row["outcome"] for row in rows(traced.recording, "square"))
    assert got == [OK, OK, CANCELLED]
    (cancelled,) = [row for row in rows(traced.recording) if row["outcome"] == CANCELLED]
    assert (cancelled["worker"], cancelled["started"]) == (-1, 0)
    keeps_the_laws(traced.recording)


def test_a_running_call_that_is_cancelled_is_told(gate: Gate) -> None:
    with trace(None) as traced, Pool(1) as pool:
        runs = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        assert runs.cancel()
    (row,) = rows(traced.recording)
    assert row["outcome"] == CANCELLED
    assert 0 < row["started"] < row["ended"]


# ------------------------------------------------------------------------------------------------ beginning and end


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_what_runs_when_it_ends_is_told_as_running(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(2)
    with trace(None) as traced:
        runs = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
    gate.open()
    runs.result()
    (row,) = rows(traced.recording)
    assert row["outcome"] == RUNNING
    assert traced.recording.since < row["started"] < row["ended"] <= traced.recording.until


def test_only_the_block_is_recorded(backend: str, pool: Pool) -> None:
    assert list(pool.map(square, range(100))) == [x * x for x in range(100)]
    with trace(None) as first:
        assert pool.submit(square, 3).result() == 9
    assert pool.submit(square, 4).result() == 16
    with trace(None) as second:
        assert list(pool.map(square, range(50))) == [x * x for x in range(50)]
    assert pool.submit(square, 5).result() == 25
    assert len(first.recording) == 1
    assert len(second.recording) == 50
    for traced in (first, second):
        keeps_the_laws(traced.recording)
        assert all(row["started"] for row in rows(traced.recording))
        assert [each.backend for each in traced.recording.pools] == [backend]


def test_nothing_is_left_behind(pool: Pool) -> None:
    engine: Any = pool._engine
    assert pool.submit(square, 3).result() == 9
    before = {name for name in vars(engine) if name != "encode"}
    with trace(None):
        assert tapping.tap is not None
        assert pool.submit(square, 3).result() == 9
    assert tapping.tap is None
    assert {name for name in vars(engine) if name != "encode"} <= before | {"tracker", "telling"}
    core = getattr(engine, "core", None)
    assert core is None or "step" not in vars(core)
    assert core is None or not hasattr(engine, "codec") or engine.encode == engine.codec.encode
    future: Any = pool.submit(square, 3)
    assert future.result() == 9
    assert future.born == 0
    assert tasks.CallFuture.__init__.__module__ == tasks.__name__


def test_one_at_a_time() -> None:
    with trace(None) as first, pytest.raises(RuntimeError, match="one at a time"), trace(None):
        pass
    with pytest.raises(RuntimeError, match="once"), first:
        pass
    with pytest.raises(RuntimeError, match="before the block"):
        _ = trace(None).recording


@pytest.mark.parametrize(("name", "text"), [("run.txt", "must end with"), ("no/run.json", "a folder that exists")])
def test_a_path_that_will_not_do_is_refused_at_once(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        trace(tmp_path / name)


def test_the_file_is_written_though_the_block_raises(tmp_path: Path) -> None:
    from procession.seeing import chrome

    path = tmp_path / "run.json"
    with pytest.raises(KeyError), trace(path) as traced, Pool(1, backend="inline") as pool:
        pool.submit(square, 3)
        raise KeyError("of the program")
    again = chrome.read(path)
    assert len(again) == 1
    assert again.columns == traced.recording.columns


def test_a_page_may_be_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    with trace(path), Pool(1, backend="threads") as pool:
        assert pool.submit(square, 3).result() == 9
    page = path.read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "square" in page


def test_a_forked_child_taps_nothing() -> None:
    with trace(None):
        pid = os.fork()
        if not pid:
            os._exit(0 if tapping.tap is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# --------------------------------------------------------------------------------------------------- what is measured


def test_more_attempts_than_can_be_told_count_as_the_most() -> None:
    from procession import happenings
    from procession.seeing.collector import Collector

    made = Collector()
    made.take(happenings.Opened(0, "threads", 1, 1, ("Pool", "")))
    made.take(happenings.Rows(0, 0, [("f", 0, -1, tries, 1, 2, 3, OK, None) for tries in (1, 65_535, 65_536)]))
    made.take(happenings.Ran(0, 0, 1, "f", 0, -1, 70_000, 1, (), (), None, 9, ()))
    made.take(happenings.Ran(0, 0, 2, "f", 0, -1, [3, 70_000], 1, (), (), None, 9, ()))
    made.take(happenings.Missed(0, 1, "f", 0, -1, 70_000, 1, 9, CANCELLED, None))
    assert list(made.recording.attempt) == [1, 65_535, 65_535, 65_535, 3, 65_535, 65_535]


@pytest.mark.parametrize("backend", ["processes"])
def test_bytes_are_those_of_one_body_whatever_others_encode_meanwhile(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from procession.transport import aside

    pack = aside._pack

    def pack_and_more(*words: Any) -> Any:
        aside.moved[0] += 1 << 30  # as another thread does
        return pack(*words)

    monkeypatch.setattr(aside, "_pack", pack_and_more)
    with trace(None) as traced:
        pool = make_pool(1)
        found = [pool.submit(len, b"x" * (1 << 20)).result(), pool.submit(len, ["a" * 10, "b" * 200_000]).result()]
    assert found == [1 << 20, 2]
    first, second = traced.recording.bytes_in
    assert 1 << 20 <= first < (1 << 20) + 500
    assert 200_000 < second < 200_500


@pytest.mark.parametrize("backend", ["processes"])
def test_a_body_of_which_nothing_can_be_noted_goes_its_way(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from procession.driver import noting

    def full(*_words: object) -> int:
        raise MemoryError

    monkeypatch.setattr(noting, "_print", full)
    with trace(None) as traced:
        pool = make_pool(1)
        assert pool.submit(len, b"x" * (1 << 20)).result() == 1 << 20
    assert list(traced.recording.bytes_in) == [0]


@pytest.mark.parametrize("backend", ["processes"])
def test_bytes_and_encoding_are_told(make_pool: MakePool) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000.0)
    with trace(None) as traced:
        pool = make_pool(1)
        for _ in range(4):
            assert pool.submit(capture, array).result()[0][0].nbytes == array.nbytes
        assert pool.submit(sum, [1, 2, 3]).result() == 6
    for row in rows(traced.recording, "capture"):
        assert array.nbytes <= row["bytes_in"] <= array.nbytes + 1000
        assert array.nbytes <= row["bytes_out"] <= array.nbytes + 1000
        assert row["pickle"] > 0
        assert row["load"] > 0
        assert row["dump"] > 0
    (small,) = rows(traced.recording, "sum")
    assert 0 < small["bytes_in"] < 200
    function = traced.recording.functions.index("capture")
    times, size = traced.recording.repeats[function]
    assert times == 2
    assert 2 * array.nbytes <= size <= 2 * array.nbytes + 2000
    keeps_the_laws(traced.recording)


def test_what_differs_a_little_is_not_the_same_again() -> None:
    numpy = pytest.importorskip("numpy")
    with trace(None) as traced, Pool(1) as pool:
        for n in range(6):
            array = numpy.zeros(200_000)
            array[100_003 + n] = 1.0
            assert pool.submit(numpy.sum, array).result() == 1.0
    assert traced.recording.repeats == {}


@pytest.mark.parametrize("way", ["map", "imap", "submit", "acall"])
def test_the_first_arguments_of_a_fresh_pool_are_noted(way: str) -> None:
    with trace(None) as traced, Pool(1) as pool:
        if way == "submit":
            assert pool.submit(sum, [1, 2]).result() == 3
        elif way == "acall":
            assert asyncio.run(pool.acall(sum, [1, 2])) == 3
        else:
            assert list(getattr(pool, way)(sum, [[1, 2]] * 3)) == [3] * 3
    for row in rows(traced.recording, "sum"):
        assert 0 < row["bytes_in"] < 200
        assert row["pickle"] > 0


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_what_is_sampled(make_pool: MakePool, gate: Gate) -> None:
    with trace(None) as traced:
        pool = make_pool(1)
        runs = [pool.submit(pass_gate, *gate.paths) for _ in range(4)]
        gate.arrived()
        counters = traced.recording.counters
        while not ((0, "running") in counters and max(counters[0, "running"].values) > 0):
            pass  # the trace's thread looks twenty times a second
        gate.open(4)
        gate.arrived(3)
        assert [each.result() for each in runs] == [None] * 4
    assert {name for pool, name in counters if pool == -1} >= {"memory", "cpu", "main cpu"}
    assert max(counters[0, "workers"].values) == 1
    assert max(counters[0, "cpu"].values) >= 0
    for samples in counters.values():
        assert list(samples.times) == sorted(samples.times)
        assert len(samples.times) == len(samples.values)


# ------------------------------------------------------------------------------------------- it never breaks the work


def test_it_is_looked_less_often_where_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    from procession.seeing import tracing

    class Clock:
        """Looking takes a millisecond of CPU; so much has gone by between two of them."""

        now, cpu, apart = 0, 0, 5_000_000

        def perf_counter_ns(self) -> int:
            return self.now

        def thread_time_ns(self) -> int:
            return self.cpu

    clock, recorder, looks = Clock(), tracing.Recorder(), []

    def look() -> None:
        looks.append(clock.now)
        clock.cpu += 1_000_000
        clock.now += 1_000_000

    monkeypatch.setattr(tracing, "time", clock)
    monkeypatch.setattr(recorder, "_look", look)
    for _ in range(100):
        recorder.tick()
        clock.now += clock.apart
    assert len(looks) * 20 <= clock.now / 1_000_000 + 20
    assert len(looks) > 10
    recorder._again = clock.now + 1
    recorder._over.set()
    recorder.tick()
    assert looks[-1] == clock.now - 1_000_000, "the last look is taken"


def test_what_is_written_down_takes_no_memory_when_nobody_listens_any_more() -> None:
    def taken(pool: Any) -> int:
        [channel] = pool._engine._driver.channels.values()
        return os.fstat(channel._page_fd).st_blocks * 512

    with Pool(1) as pool:
        assert pool.submit(square, 2).result() == 4
        before = taken(pool)
        for _ in range(2):
            with trace(None) as traced:
                assert len(list(pool.map(square, range(5000)))) == 5000
                assert taken(pool) >= before + 5000 * 32
            assert taken(pool) < before + 5000 * 32 // 2
            assert sum(map(bool, traced.recording.started)) == 5000


def test_what_is_bound_is_told_though_it_is_not_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    with trace(None) as traced, Pool(backend="inline") as pool:
        recorder = traced._recorder
        assert recorder is not None
        monkeypatch.setattr(recorder, "_look", lambda: None)
        recorder._again = time.perf_counter_ns() + 10**15
        assert pool.submit(square, 2).result() == 4
        for _ in range(3):  # rounds of its thread; `catch_up` would tell what is bound by itself
            passed = threading.Event()
            recorder._heard.append((passed,))
            assert passed.wait(30)
        assert len(traced.recording) == 1


def odd(*_words: object) -> None:
    raise ZeroDivisionError("a fault that was put here")


@contextmanager
def broken(backend: str, make_pool: MakePool, caplog: pytest.LogCaptureFixture) -> Iterator[tuple[trace, Pool, Any]]:
    """A pool that is traced, and its tracker, which is broken inside: that is logged, and the core steps without it."""
    if backend == "inline":
        pytest.skip("nothing is decided there")
    with caplog.at_level(logging.ERROR, "procession"), trace(None) as traced:
        pool = make_pool(1)
        assert pool.submit(square, 2).result() == 4
        engine: Any = pool._engine
        tracker = engine._driver.tracker if backend == "processes" else engine.tracker
        assert tracker is not None
        yield traced, pool, tracker
    said()
    assert "cannot be traced any further" in caplog.text
    assert "step" not in vars(engine.core)


def test_an_error_of_ours_ends_the_telling_alone(
    backend: str, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with broken(backend, make_pool, caplog) as (traced, pool, tracker):
        monkeypatch.setattr(Tracker, "_missed", odd)
        monkeypatch.setitem(tracker.hears, events.LeaseEnded, odd)
        assert list(pool.map(square, range(50))) == [x * x for x in range(50)]
        assert pool.submit(square, 3).result() == 9
    assert len(traced.recording) >= 1


def test_a_tap_that_breaks_harms_no_step(
    backend: str, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with broken(backend, make_pool, caplog) as (_, pool, tracker):
        monkeypatch.setattr(type(tracker), "leave", odd)
        for each in (events.CallsDone, events.LeaseEnded):
            monkeypatch.setitem(tracker.hears, each, odd)
        assert list(pool.map(square, range(50))) == [x * x for x in range(50)]
        assert [pool.submit(square, x).result() for x in range(9)] == [x * x for x in range(9)]
        monkeypatch.undo()


def test_what_nobody_takes_in_time_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST", 3)
    monkeypatch.setattr(hub.Listener, "every", 60.0)
    with trace(None) as traced, Pool(1, backend="inline") as pool:
        recorder = traced._recorder
        assert recorder is not None
        for _ in range(5):
            pool.submit(square, 2)
            pool._engine.unbind()  # type: ignore[attr-defined]
    recording = traced.recording
    assert len(recording) + recording.lost == 5
    assert recording.lost > 0


def test_rows_beyond_the_most_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from procession.seeing import recording

    monkeypatch.setattr(recording, "MOST", 100)
    with trace(None) as traced, Pool(1, backend="threads") as pool:
        list(pool.map(square, range(250)))
    assert len(traced.recording) + traced.recording.lost == 250
    assert len(traced.recording) <= 100


class Sly(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def slyly(_x: int) -> None:
    raise Sly


def test_errors_that_cannot_be_shown_do_no_harm() -> None:
    with trace(None) as traced, Pool(1, backend="threads") as pool:
        assert isinstance(pool.submit(slyly, 1).exception(), Sly)
    (told,) = traced.recording.failures.values()
    assert told.kind == "Sly"
    assert "cannot be made" in told.message
