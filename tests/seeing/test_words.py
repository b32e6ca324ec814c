"""`progress=` of every word that has it, on backends: what is counted, told and closed, and when."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest
from tqdm import tqdm

from procession import Pipeline, Pool, SpinOff, Stage
from procession.seeing import choosing, painter
from procession.seeing.lines import Sight, whole
from tests import warm
from tests.seeing.fakes import FakeDisplay, FakeTqdm

kept_zygote = warm.keep()

Told = list[tuple[int, int | None]]


def double(n: int) -> int:
    return 2 * n


def odd_fails(n: int) -> int:
    if n % 2:
        raise ValueError(n)
    return n


def dies(n: int) -> int:
    if n == 3:
        os._exit(1)
    return n


def sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


class FakeBars(FakeDisplay):
    """A display that has the latest numbers of each bar, by its label."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, Sight] = {}
        self.first = threading.Event()

    def paint(self, live: list[painter.Bar], over: list[painter.Bar], now: float) -> None:
        self.last.update({each._label: each.sight for each in live + over})
        super().paint(live, over, now)
        self.first.set()


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> FakeBars:
    """Where bars are drawn in this test."""
    display = FakeBars()
    monkeypatch.setattr(choosing, "current", lambda: display)
    return display


@pytest.fixture(params=["processes", "threads", "inline"], scope="module")
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    workers = 1 if request.param == "inline" else 2
    words: dict[str, Any] = {}
    if request.param == "processes":
        words["max_tasks_per_child"] = 1_000_000  # such a pool lends no worker, which takes descriptors meanwhile
    with Pool(workers, backend=request.param, **words) as made:
        while made.stats().workers < workers:  # what starts later would seem to be left by a test
            list(made.map(sleeps, [0.05] * 4, chunksize=1))
        yield made


Run = Callable[[Pool, Any], list[int]]


def run_map(pool: Pool, progress: Any) -> list[int]:
    return list(pool.options(progress=progress).map(double, range(50)))


def run_map_buffered(pool: Pool, progress: Any) -> list[int]:
    return list(pool.options(progress=progress).map(double, range(50), buffersize=7))


def run_imap(pool: Pool, progress: Any) -> list[int]:
    return list(pool.imap(double, range(50), progress=progress))


def run_imap_of_a_generator(pool: Pool, progress: Any) -> list[int]:
    return list(pool.imap(double, (n for n in range(50)), progress=progress, live=True))


def run_imap_keyed(pool: Pool, progress: Any) -> list[int]:
    return list(pool.imap(double, range(50), progress=progress, key=lambda n: n % 3))


def run_imap_unordered(pool: Pool, progress: Any) -> list[int]:
    return sorted(pool.imap_unordered(double, range(50), progress=progress))


def run_options(pool: Pool, progress: Any) -> list[int]:
    return list(pool.options(progress=progress).imap(double, range(50)))


def run_aimap(pool: Pool, progress: Any) -> list[int]:
    async def main() -> list[int]:
        return [x async for x in pool.aimap(double, range(50), progress=progress)]

    return asyncio.run(main())


def run_aimap_of_an_async_source(pool: Pool, progress: Any) -> list[int]:
    async def source() -> AsyncIterator[int]:
        for n in range(50):
            yield n

    async def main() -> list[int]:
        return [x async for x in pool.aimap(double, source(), progress=progress)]

    return asyncio.run(main())


def run_stream(pool: Pool, progress: Any) -> list[int]:
    return list(pool.options(progress=progress).stream(range, 0, 100, 2))


RUNS: list[Run] = [
    *(run_map, run_map_buffered, run_imap, run_imap_of_a_generator, run_imap_keyed, run_imap_unordered),
    *(run_options, run_aimap, run_aimap_of_an_async_source, run_stream),
]


@pytest.mark.parametrize("run", RUNS)
def test_of_a_pool(pool: Pool, run: Run, bars: FakeBars) -> None:
    told: Told = []
    like_tqdm = FakeTqdm()
    assert run(pool, lambda *each: told.append(each)) == list(range(0, 100, 2))
    assert told[-1] == (50, 50)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    run(pool, like_tqdm)
    painter.end(None, wait=True)
    assert (like_tqdm.n, like_tqdm.total, like_tqdm.closes, like_tqdm.postfix) == (50, 50, 1, {})
    run(pool, True)
    painter.end(None, wait=True)
    (sight,) = bars.last.values()
    assert (sight.done, sight.total, sight.ended, sight.errors) == (50, 50, True, 0)
    assert sight.width == (1 if pool.stats().backend == "inline" else 2)
    assert len(bars.over) == 1


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        *(("processes", {}), ("threads", {}), ("inline", {})),
        *(("threads", {"on_result": id}), ("threads", {"iterate": False}), ("threads", {"batch": 4})),
    ],
    ids=str,
)
def test_of_a_spinoff(backend: Any, words: dict[str, Any], bars: FakeBars) -> None:
    told: Told = []
    fn: Any = (lambda ns: ns) if "batch" in words else double
    with SpinOff(fn, backend=backend, progress=lambda *each: told.append(each), **words) as spin:
        spin.put_many(range(20))
    assert told[-1] == (20, 20)
    like_tqdm = FakeTqdm()
    with SpinOff(fn, backend=backend, progress=like_tqdm, **words) as spin:
        spin.put_many(range(20))
    assert (like_tqdm.n, like_tqdm.total, like_tqdm.closes) == (20, 20, 1)
    with SpinOff(fn, backend=backend, progress=True, name="spin", **words) as spin:
        spin.put_many(range(20))
    sight = bars.last["spin"]
    assert (sight.done, sight.total, sight.ended) == (20, 20, True)


def test_what_never_ran_is_not_completed(bars: FakeBars) -> None:
    """Neither where its pool is shut down, nor where its source fails, nor in a SpinOff that drops."""
    hold = threading.Event()

    def held(n: int) -> int:
        hold.wait(30)
        return n

    with Pool(1, backend="threads") as pool:
        mapped = pool.options(progress=True, name="mapped").map(held, range(50))
        stream = pool.options(name="stream").imap(held, range(50), progress=True)
        pool.shutdown(wait=False, cancel_futures=True)
        hold.set()
        with pytest.raises((CancelledError, RuntimeError)):
            list(mapped)
        with pytest.raises((CancelledError, RuntimeError)):
            list(stream)
    with Pool(1, backend="threads") as pool:
        source_fails(pool, True)
    with SpinOff(double, backend="inline", maxsize=2, overflow="drop_newest", progress=True, name="drops") as spin:
        for n in range(10):
            spin.put(n)
    painter.end(None, wait=True)
    for name in ("mapped", "stream"):
        sight = bars.last[name]
        assert sight.done < 50
        assert sight.total == 50
        assert not whole(sight)
    assert (bars.last["double"].done, bars.last["double"].total) == (1, None)
    assert not whole(bars.last["double"])
    assert (bars.last["drops"].done, bars.last["drops"].dropped) == (2, 8)


def test_nothing_is_a_last_number_too(pool: Pool) -> None:
    told: Told = []
    assert list(pool.imap(double, iter(()), progress=lambda *each: told.append(each))) == []
    assert told == [(0, 0)]


def test_a_slow_on_result_does_not_have_reports_pile_up() -> None:
    """They come after it, on the same thread; so there is one that waits, however long that takes."""
    inside, go_on, told = threading.Event(), threading.Event(), []

    def slow(_: int) -> None:
        inside.set()
        assert go_on.wait(30)

    words: Any = {"on_result": slow, "progress": lambda *each: told.append(each)}
    with SpinOff(double, backend="threads", **words) as spin:
        spin.put_many(range(5))
        assert inside.wait(30)
        source: Any = spin._core
        for _ in range(100):
            source.call_taker()
        waiting = [*source.errands._queue]
        go_on.set()
        assert 1 <= waiting.count(source._report) <= 2  # the painter may be half way, too
    assert told[-1] == (5, 5)


def test_of_a_pipeline(bars: FakeBars) -> None:
    async def arun(pipe: Pipeline[int, int]) -> list[int]:
        return [x async for x in pipe.arun(range(20), progress=True, on_error="skip")]

    told: Told = []
    like_tqdm = FakeTqdm()
    with Pipeline(Stage(double, backend="threads"), Stage(abs, workers=2, backend="threads")) as pipe:
        assert list(pipe.run(range(20), progress=lambda *each: told.append(each))) == list(range(0, 40, 2))
        list(pipe.run((n for n in range(20)), progress=like_tqdm))
    assert told[-1] == (20, 20)
    assert (like_tqdm.n, like_tqdm.total, like_tqdm.closes) == (20, 20, 1)
    failing: Pipeline[int, int] = Pipeline(Stage(odd_fails, backend="threads"), Stage(abs, backend="threads"))
    assert asyncio.run(arun(failing)) == list(range(0, 20, 2))
    painter.end(None, wait=True)
    sight = bars.last["pipeline"]
    assert (sight.done, sight.total, sight.errors, sight.ended, sight.width) == (20, 20, 10, True, 2)
    assert [(each.name, each.done, each.failed) for each in sight.stages] == [("odd_fails", 20, 10), ("abs", 10, 0)]


# ------------------------------------------------------------------------------------------------------ errors, deaths


def test_errors_are_counted_as_they_come_whoever_waits(bars: FakeBars) -> None:
    """The first item holds up the hand-over; that the others have failed is seen all the same."""
    gate = threading.Event()

    def work(n: int) -> int:
        if n == 0:
            assert gate.wait(30)
            return n
        raise ValueError(n)

    with Pool(2, backend="threads") as pool:
        stream = pool.options(name="work").imap(work, range(9), on_error="return", progress=True)
        deadline = time.monotonic() + 30
        while (last := bars.last.get("work")) is None or last.errors < 8:
            assert time.monotonic() < deadline
            bars.first.wait(0.05)
        assert last.done == 8
        gate.set()
        assert len(list(stream)) == 9
    assert bars.last["work"].errors == 8


def test_errors_of_a_pool(pool: Pool, bars: FakeBars) -> None:
    like_tqdm = FakeTqdm()
    assert list(pool.imap(odd_fails, range(10), on_error="skip", progress=True)) == [0, 2, 4, 6, 8]
    list(pool.imap(odd_fails, range(10), on_error="skip", progress=like_tqdm))
    unsendable: list[Any] = [0, threading.Lock(), 2]
    if pool.stats().backend == "processes":
        list(pool.options(name="unsendable").imap(double, unsendable, on_error="skip", progress=True))
    with pytest.raises(ValueError, match="1"):
        list(pool.options(progress=True, name="mapped").map(odd_fails, range(10)))
    painter.end(None, wait=True)
    assert (bars.last["odd_fails"].done, bars.last["odd_fails"].errors) == (10, 5)
    assert like_tqdm.postfix == {"errors": 5}
    assert bars.last["mapped"].errors == 1
    if pool.stats().backend == "processes":
        assert (bars.last["unsendable"].done, bars.last["unsendable"].errors) == (3, 1)


def test_deaths_and_retries_are_the_pools_since_it_began(bars: FakeBars) -> None:
    with Pool(1) as pool:
        view = pool.options(retries=1)
        for name in ("first", "second"):
            got = list(view.options(name=name).imap(dies, range(5), on_error="skip", progress=True))
            assert got == [0, 1, 2, 4]
    painter.end(None, wait=True)
    for sight in (bars.last["first"], bars.last["second"]):
        assert (sight.done, sight.errors, sight.died, sight.retries) == (5, 1, 2, 1)


# ----------------------------------------------------------------------------------------------------------- early ends


def break_off(pool: Pool, progress: Any) -> None:
    for _ in pool.imap(double, range(1000), progress=progress):
        break


def close(pool: Pool, progress: Any) -> None:
    with pool.imap(double, range(1000), progress=progress) as stream:
        next(stream)


def fail(pool: Pool, progress: Any) -> None:
    with pytest.raises(ValueError, match="1"):
        list(pool.imap(odd_fails, range(1000), progress=progress))


def fail_in_map(pool: Pool, progress: Any) -> None:
    with pytest.raises(ValueError, match="1"):
        list(pool.options(progress=progress).map(odd_fails, range(1000)))


def time_out(pool: Pool, progress: Any) -> None:
    with pytest.raises(TimeoutError):
        list(pool.options(progress=progress).map(sleeps, [0.3], timeout=0.0))


def source_fails(pool: Pool, progress: Any) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise LookupError("the source")

    with pytest.raises(LookupError, match="the source"):
        list(pool.imap(double, source(), progress=progress))


def close_async(pool: Pool, progress: Any) -> None:
    async def main() -> None:
        async with pool.aimap(double, range(1000), progress=progress) as stream:
            await anext(stream)

    asyncio.run(main())


def drop_a_generator(pool: Pool, progress: Any) -> None:
    stream = pool.options(progress=progress).stream(range, 10**9)
    next(stream)


def drop_a_pipeline(_: Pool, progress: Any) -> None:
    for _ in Pipeline(Stage(double, backend="threads")).run(range(1000), progress=progress):
        break


def cancel_a_spinoff(_: Pool, progress: Any) -> None:
    with SpinOff(double, backend="threads", progress=progress) as spin:
        spin.put(1)
        spin.cancel()


ENDS = [
    *(break_off, close, fail, fail_in_map, time_out, source_fails, close_async),
    *(drop_a_generator, drop_a_pipeline, cancel_a_spinoff),
]


@pytest.mark.parametrize("end", ENDS)
def test_it_is_closed_when_it_ends_early(end: Callable[[Pool, Any], None], bars: FakeBars) -> None:
    """No watcher is left, though nobody has ended them all: the stream did."""
    like_tqdm = FakeTqdm()
    with Pool(1, backend="threads") as pool:
        end(pool, like_tqdm)
        end(pool, True)
        deadline = time.monotonic() + 30
        while painter._painter.watchers or not painter._painter._orders.empty():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert like_tqdm.closes == 1
    assert len(bars.over) == 1


def test_a_map_that_nobody_iterates_has_a_bar_that_ends(bars: FakeBars) -> None:
    with Pool(1, backend="threads") as pool:
        mapped = pool.options(progress=True, name="mapped").map(double, range(10))
    deadline = time.monotonic() + 30
    while not bars.over:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert bars.last["mapped"].ended
    assert list(mapped) == list(range(0, 20, 2))


def test_interrupted_while_it_waits_it_leaves_its_bar(bars: FakeBars, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool(1, backend="threads") as pool:
        stream = pool.imap(sleeps, [0.01] * 3, progress=True)
        course = stream._outlet.course
        monkeypatch.setattr(course, "stirred", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            while True:
                next(stream)
        assert len(bars.over) == 1
        monkeypatch.undo()
        list(stream)


# ---------------------------------------------------------------------------------------------------------- real tqdm


@pytest.mark.parametrize("kind", ["class", "partial", "made"])
def test_tqdm(kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # it has a thread of its own otherwise, which stays
    made = tqdm(desc="made")
    progress: Any = {"class": tqdm, "partial": functools.partial(tqdm, desc="partly"), "made": made}[kind]
    with Pool(1, backend="threads") as pool:
        assert len(list(pool.imap(odd_fails, range(20), on_error="skip", progress=progress))) == 10
    if kind == "made":
        assert (made.n, made.total, made.disable) == (20, 20, True)  # a closed one is disabled
    made.close()
    err = capfd.readouterr().err
    assert "20/20" in err
    assert "errors=10" in err
    assert ("partly" in err) == (kind == "partial")


# -------------------------------------------------------------------------------------------------------------- quiet


def test_without_a_terminal_nothing_is_shown_and_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    with Pool(1, backend="threads") as pool:
        assert len(list(pool.imap(double, range(10), progress=True))) == 10
        assert not painter._painter.watchers
        assert not painter._painter._pen.locked()
    assert capfd.readouterr().err == ""
