"""What a recording has of each stream: how wide it was, how it ended, and what it waited for meanwhile."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from procession import Pipeline, Pool, SpinOff, Stage
from procession.happenings import Stood
from procession.seeing import chrome
from procession.seeing.collector import Collector
from procession.seeing.hub import hub
from procession.seeing.recording import Recording, Stream
from procession.seeing.tracing import trace
from tests import warm
from tests.contract.work import fail_on_three, square

kept_zygote = warm.keep()

LEAST = 0.1
"""Seconds that something is waited for, in these tests."""


def counted(recording: Recording, name: str) -> float:
    """Seconds, of all pools."""
    return sum(found.values[-1] for (_, each), found in list(recording.counters.items()) if each == name)


def until(traced: trace, name: str) -> None:
    """Wait until so much has been recorded of it; each round is one of the recorder's."""
    for _ in range(800):
        traced.catch_up()
        if counted(traced.recording, name) >= LEAST:
            return
    raise AssertionError(f"{name} has not grown")


def only(traced: trace) -> Stream:
    [stream] = traced.recording.streams[1:]
    return stream


@pytest.fixture
def threads() -> Iterator[Pool]:
    with Pool(2, backend="threads") as pool:
        yield pool


# ------------------------------------------------------------------------------------------------------- how it ended


def finish(pool: Pool) -> None:
    assert list(pool.imap(square, range(5), window=3)) == [0, 1, 4, 9, 16]


def close(pool: Pool) -> None:
    stream = pool.imap(square, range(50), window=3)
    assert next(stream) == 0
    stream.close()


def drop(pool: Pool) -> None:
    stream = pool.imap(square, range(50), window=3)
    assert next(stream) == 0
    del stream
    gc.collect()


def fail(pool: Pool) -> None:
    with pytest.raises(ValueError, match="no 3"):
        list(pool.imap(fail_on_three, range(9), window=3))


def lose_the_source(pool: Pool) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("torn")

    with pytest.raises(OSError, match="torn"):
        list(pool.imap(square, source(), window=3))


@pytest.mark.parametrize(
    ("program", "end"),
    [(finish, "finished"), (close, "closed"), (drop, "dropped"), (fail, "raised"), (lose_the_source, "raised")],
)
def test_how_an_imap_ended(program: Callable[[Pool], None], end: str, threads: Pool) -> None:
    with trace(None) as traced:
        program(threads)
    stream = only(traced)
    assert (stream.kind, stream.window, stream.end) == ("imap", 3, end)
    assert traced.recording.since <= stream.began <= stream.ended <= traced.recording.until


def test_how_a_map_ended(pool: Pool) -> None:
    with trace(None) as traced:
        assert list(pool.map(square, range(4))) == [0, 1, 4, 9]
        results = pool.map(square, range(4))
        assert next(results) == 0
        results.close()
        with pytest.raises(ValueError, match="no 3"):
            list(pool.map(fail_on_three, range(6)))
        assert list(pool.map(square, range(9), buffersize=2))[-1] == 64
    told = [(stream.kind, stream.window, stream.end) for stream in traced.recording.streams[1:]]
    assert told == [("map", 0, "finished"), ("map", 0, "closed"), ("map", 0, "raised"), ("map", 3, "finished")]


def test_a_stream_that_goes_on_has_no_end(threads: Pool) -> None:
    with trace(None) as traced:
        stream = threads.imap(square, range(50), window=3)
        assert next(stream) == 0
    with stream:
        assert (only(traced).ended, only(traced).end) == (0, "")


def test_an_automatic_window_is_told_at_its_widest(threads: Pool) -> None:
    with trace(None) as traced:
        assert len(list(threads.imap(square, range(5000)))) == 5000
    assert only(traced).window > 16


@pytest.mark.parametrize(("how", "end"), [("close", "finished"), ("cancel", "cancelled"), ("drop", "dropped")])
def test_how_a_spinoff_ended(how: str, end: str) -> None:
    with trace(None) as traced:
        spin = SpinOff(square, backend="threads", maxsize=7)
        spin.put(3)
        if how == "drop":
            join = spin._core.engine.shutdown
            del spin
            gc.collect()
            join(wait=True, cancel=False)
        else:
            getattr(spin, how)()
            spin.join()
    assert (only(traced).kind, only(traced).window, only(traced).end) == ("SpinOff", 7, end)


@pytest.mark.parametrize("end", ["finished", "closed", "raised", "dropped"])
def test_how_a_pipeline_ended(end: str) -> None:
    first = fail_on_three if end == "raised" else square
    with trace(None) as traced, Pipeline(Stage(first, backend="threads"), Stage(str, backend="threads")) as pipe:
        stream: Any = pipe.run(range(9))
        if end == "raised":
            with pytest.raises(ValueError, match="no 3"):
                list(stream)
        elif end == "finished":
            assert len(list(stream)) == 9
        else:
            assert next(stream) == "0"
        if end == "closed":
            stream.close()
        del stream
        gc.collect()
    assert (only(traced).kind, only(traced).end) == ("pipeline", end)
    assert only(traced).window >= 9


# ---------------------------------------------------------------------------------------------- what it waited for


def test_a_slow_source_is_no_slow_taker(threads: Pool) -> None:
    with trace(None) as traced:

        def source() -> Iterator[int]:
            yield 1
            until(traced, "source")
            yield 2

        assert list(threads.imap(square, source())) == [1, 4]
    stream = only(traced)
    assert stream.source >= LEAST * 1e9
    assert stream.source > 10 * stream.headed
    assert stream.source + stream.untaken <= stream.open <= stream.ended - stream.began


def test_a_slow_taker_is_no_slow_source(threads: Pool) -> None:
    with trace(None) as traced:
        for value in threads.imap(square, range(20), window=2):
            if value == 1:
                until(traced, "untaken")
    assert only(traced).untaken >= LEAST * 1e9


def test_a_slow_item_in_front(threads: Pool) -> None:
    go = threading.Event()

    def behind(n: int) -> int:
        if n == 0:
            assert go.wait(60)
        return n

    with trace(None) as traced:
        watcher = threading.Thread(target=lambda: (until(traced, "headed"), go.set()))
        watcher.start()
        assert list(threads.imap(behind, range(20), window=4)) == [*range(20)]
        watcher.join()
    assert only(traced).headed >= LEAST * 1e9


def test_live_the_source_is_asked_beside_the_taker(threads: Pool) -> None:
    with trace(None) as traced:

        def source() -> Iterator[int]:
            yield 1
            until(traced, "source")
            yield from range(2, 40)

        for value in threads.imap(square, source(), window=4, live=True):
            if value == 4:
                until(traced, "untaken")
    assert only(traced).source >= LEAST * 1e9
    assert only(traced).untaken >= LEAST * 1e9


def test_what_an_aimap_waits_for() -> None:
    async def program(traced: trace) -> None:
        async def source() -> AsyncIterator[int]:
            yield 1
            await asyncio.to_thread(until, traced, "source")
            for n in range(2, 20):
                yield n

        with Pool(2, backend="threads") as pool:
            async for value in pool.aimap(square, source(), window=4):
                if value == 4:
                    await asyncio.to_thread(until, traced, "untaken")

    with trace(None) as traced:
        asyncio.run(program(traced))
    assert only(traced).end == "finished"


def test_what_waits_for_its_key(threads: Pool) -> None:
    go = threading.Event()
    with trace(None) as traced:
        watcher = threading.Thread(target=lambda: (until(traced, "keyed"), go.set()))
        watcher.start()
        assert list(threads.imap(lambda _n: go.wait(60), range(5), key=lambda _n: "one")) == [True] * 5
        watcher.join()


def test_what_waits_for_its_time(threads: Pool) -> None:
    with trace(None) as traced:
        assert list(threads.imap(square, range(6), rate=20)) == [0, 1, 4, 9, 16, 25]
    assert counted(traced.recording, "paced") >= LEAST
    assert counted(traced.recording, "keyed") == counted(traced.recording, "gathered") == 0


def test_what_waits_for_its_batch() -> None:
    with trace(None) as traced, SpinOff(list, backend="threads", batch=3) as spin:
        spin.put(1)
        until(traced, "gathered")


def test_a_full_spinoff() -> None:
    with trace(None) as traced, SpinOff(square, backend="threads", maxsize=2) as spin:

        def take() -> None:
            until(traced, "untaken")
            assert [next(spin) for _ in range(4)] == [0, 1, 4, 9]

        taker = threading.Thread(target=take)
        spin.put_many(range(2))
        spin._core.takers[taker] = None  # it has taken before
        taker.start()
        spin.put_many(range(2, 4))
        taker.join()
        until(traced, "source")
    assert only(traced).untaken >= LEAST * 1e9
    assert only(traced).source >= LEAST * 1e9


def test_a_stage_whose_rate_holds_it_back() -> None:
    with trace(None) as traced, Pipeline(Stage(square, backend="threads", rate=20)) as pipe:
        assert len(list(pipe.run(range(6)))) == 6
    assert counted(traced.recording, "paced") >= LEAST


def test_a_pipeline_of_which_nobody_takes() -> None:
    with trace(None) as traced, Pipeline(Stage(square, backend="threads"), window=4) as pipe:
        for value in pipe.run(range(20)):
            if value == 1:
                until(traced, "untaken")
    assert only(traced).window == 4


# -------------------------------------------------------------------------------------------- what is not paid for


def test_without_a_tap_a_stream_has_no_clocks(threads: Pool) -> None:
    stream = threads.imap(square, range(4))
    assert stream._outlet.course.clocks is None
    assert stream._outlet.course.stood(0) is None
    assert type(stream._outlet.course.bell).__name__ == "Bell"
    assert list(stream) == [0, 1, 4, 9]


def test_who_joins_later_is_told_nothing_of_what_was_before(threads: Pool) -> None:
    heard: list[Any] = []
    hub.join(heard.append)
    try:
        with threads.imap(square, range(40), window=4) as stream:
            assert next(stream) == 0
            with trace(None) as traced:
                traced.catch_up()
                assert list(stream)[-1] == 39 * 39
        told = only(traced)
        assert told.end == "finished"
        assert told.began < traced.recording.since
        [stood] = [each for each in heard if isinstance(each, Stood)]
        length = (traced.recording.until - traced.recording.since) / 1e9
        assert counted(traced.recording, "open") <= length
        assert stood.ended == told.ended
    finally:
        hub.leave(heard.append)


def test_what_a_stream_says_twice_counts_once() -> None:
    collector = Collector()
    collector.take(Stood(7, 1, 2, "finished", 3, {0: {"open": 5}}))  # nobody has told of it
    assert collector.recording.streams == [Stream("call", "")]


def test_the_file_keeps_it(threads: Pool, tmp_path: Any) -> None:
    with trace(tmp_path / "run.json") as traced:
        finish(threads)
    read = chrome.read(tmp_path / "run.json")
    assert read.streams == traced.recording.streams
    assert only(traced).end == "finished"
    assert read.counters.keys() == traced.recording.counters.keys()


def test_a_file_from_before_is_read(threads: Pool, tmp_path: Any) -> None:
    """Of its streams there was the kind and the name."""
    with trace(tmp_path / "run.json") as traced:
        finish(threads)
    traced.recording.streams[1] = Stream("imap", "square")
    chrome.write(traced.recording, tmp_path / "run.json")
    text = (tmp_path / "run.json").read_text()
    old = text.replace('["imap","square",0,0,0,"",0,0,0,0]', '["imap","square"]')
    assert old != text
    (tmp_path / "run.json").write_text(old)
    assert chrome.read(tmp_path / "run.json").streams[1] == Stream("imap", "square")
