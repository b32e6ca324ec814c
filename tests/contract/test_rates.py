"""`rate=` of SpinOff, imap, aimap and Stage: how often something starts, whoever runs the work.

What can be said for certain of a time that somebody else measures: the start number k, counted from 0, is not before k
periods from the beginning. Each test says so of all starts, and of the rest by order and by counts.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from procession import Pipeline, Pool, SpinOff, Stage, TaskTimeout
from procession.backends.base import Capabilities

from . import work
from .conftest import PATIENCE, MakePool

RATE = 100.0


def stamp(path: str, x: Any) -> Any:
    work.note(path, f"{time.monotonic()} {x}")
    return x


def stamp_and_fail(path: str, x: int) -> int:
    stamp(path, x)
    if x % 2:
        raise ValueError(x)
    return x


class Clock:
    """When what started, and that it was not too soon."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.began = time.monotonic()

    def starts(self) -> list[tuple[float, str]]:
        lines = Path(self.path).read_text().splitlines()
        pairs = [line.split(maxsplit=1) for line in lines]
        return sorted((float(at), what) for at, what in pairs)

    def check(self, count: int, rate: float = RATE) -> list[str]:
        """Returns what started, in that order."""
        starts = self.starts()
        assert len(starts) == count
        for number, (at, _) in enumerate(starts):
            assert at - self.began >= number / rate, f"start {number} came after {at - self.began:.4f} s"
        return [what for _, what in starts]


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "starts")


# ------------------------------------------------------------------------------------------------------------ SpinOff


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"workers": 4},
        {"workers": 3, "ordered": False},
        {"workers": 2, "key": lambda x: x % 3},
        {"workers": 2, "key": lambda x: x % 3, "sticky": True},
        {"workers": 2, "buffer_bytes": 100},
        {"iterate": True, "maxsize": 0},
    ],
)
def test_items_start_at_the_rate(spins: Any, clock: Clock, words: dict[str, Any]) -> None:
    with spins(partial(stamp, clock.path), rate=RATE, **words) as spin:
        spin.put_many(range(12))
    got = list(spin)
    assert sorted(got) == list(range(12))
    assert got == list(range(12)) or not words.get("ordered", True)
    clock.check(12)


def test_with_batches_it_is_their_calls_that_count(spins: Any, clock: Clock) -> None:
    def many(items: list[int]) -> list[int]:
        stamp(clock.path, len(items))
        return items

    with spins(many, rate=RATE, batch=5, workers=2) as spin:
        spin.put_many(range(32))
    assert list(spin) == list(range(32))
    assert sorted(clock.check(7)) == ["2", "5", "5", "5", "5", "5", "5"]


def test_a_camera_drops_the_oldest_and_the_newest_is_next(spins: Any, clock: Clock) -> None:
    """One token in a hundred seconds: what comes in between waits here, not with the worker."""
    spin = spins(partial(stamp, clock.path), rate=0.01, maxsize=3, overflow="drop_oldest")
    first = spin.put(0)
    assert first.result(PATIENCE) == 0
    futures = [spin.put(x) for x in range(1, 100)]
    assert [future.cancelled() for future in futures] == [True] * 97 + [False] * 2
    assert spin.stats().dropped == 97
    assert not any(future.running() for future in futures)
    assert futures[-1].cancel(), "it has not started"


def test_further_runs_take_tokens_too(spins: Any, clock: Clock) -> None:
    spin = spins(partial(stamp_and_fail, clock.path), rate=RATE, workers=2, retries=2, on_error="return")
    with spin:
        spin.put_many(range(6))
    assert [x if isinstance(x, int) else str(x) for x in spin] == [0, "1", 2, "3", 4, "5"]
    clock.check(3 + 3 * 3)


def test_who_waits_to_run_again_keeps_no_others(spins: Any, clock: Clock, backend: str) -> None:
    if backend == "inline":
        pytest.skip("the thread that runs it waits")
    words: dict[str, Any] = {"retries": 1, "backoff": PATIENCE, "on_error": "return"}
    spin = spins(partial(stamp_and_fail, clock.path), rate=RATE, **words)
    futures = spin.put_many([1, 2, 4, 6])
    assert [future.result(PATIENCE) for future in futures[1:]] == [2, 4, 6]
    assert not futures[0].done()
    assert futures[0].cancel()


def test_what_waits_too_long_for_its_token(spins: Any, clock: Clock) -> None:
    spin = spins(partial(stamp, clock.path), rate=0.01, queue_timeout=PATIENCE)
    assert spin.put(0).result(PATIENCE) == 0
    spin = spins(partial(stamp, clock.path), rate=0.01, queue_timeout=0.1, on_error="return")
    spin.put(1)
    late = spin.put(2)
    with pytest.raises(TaskTimeout, match="waited for") as caught:
        late.result(PATIENCE)
    assert caught.value.where == "queued"


def test_what_waits_for_its_token_can_be_cancelled(spins: Any, clock: Clock) -> None:
    spin = spins(partial(stamp, clock.path), rate=RATE)
    futures = spin.put_many(range(6))
    cancelled = [future.cancel() for future in futures[3:5]]
    spin.close()
    kept = [0, 1, 2, *(x for x, gone in zip((3, 4), cancelled, strict=True) if not gone), 5]
    assert list(spin) == kept
    clock.check(len(kept))


def test_cancelling_all_does_not_wait_for_tokens(spins: Any, clock: Clock) -> None:
    spin = spins(partial(stamp, clock.path), rate=0.01)
    futures = spin.put_many(range(5))
    assert futures[0].result(PATIENCE) == 0
    spin.cancel()
    assert spin.join(PATIENCE)
    assert all(future.cancelled() for future in futures[1:])


def test_flush_and_close_wait_for_tokens(spins: Any, clock: Clock) -> None:
    spin = spins(partial(stamp, clock.path), rate=RATE)
    futures = spin.put_many(range(5))
    assert spin.flush(PATIENCE)
    assert all(future.done() for future in futures)
    spin.put_many(range(5, 8))
    spin.close()
    assert list(spin) == list(range(8))
    clock.check(8)


def test_what_cannot_be_sent_takes_no_token(spins: Any, clock: Clock, capabilities: Capabilities) -> None:
    if not capabilities.pickles:
        pytest.skip("nothing is sent")
    spin = spins(partial(stamp, clock.path), rate=0.01, on_error="return")
    futures = spin.put_many([threading.Lock(), 1])
    assert "cannot be pickled" in str(futures[0].exception(PATIENCE))
    assert futures[1].result(PATIENCE) == 1


def test_a_death_and_its_further_run(spins: Any, clock: Clock, capabilities: Capabilities) -> None:
    if not capabilities.can_kill:
        pytest.skip("its workers do not die")

    def die_once(x: int) -> int:
        stamp(clock.path, x)
        if x == 1 and len(clock.starts()) == 2:
            import os

            os.kill(os.getpid(), 9)
        return x

    with spins(die_once, rate=20.0, retries=1) as spin:
        spin.put_many(range(4))
    assert list(spin) == [0, 1, 2, 3]
    assert sorted(clock.check(5, 20.0)) == ["0", "1", "1", "2", "3"]


def test_a_high_rate_does_not_stand_in_the_way(spins: Any) -> None:
    with spins(abs, rate=1e6, workers=2) as spin:
        spin.put_many(range(500))
    assert list(spin) == list(range(500))


# ---------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"ordered": False},
        {"window": 3},
        {"live": True},
        {"key": lambda x: x % 2},
        {"key": lambda x: x % 2, "sticky": True},
        {"buffer_bytes": 100},
        {"buffer_bytes": 100, "spill": True},
        {"chunksize": 5},
    ],
)
def test_imap(make_pool: MakePool, clock: Clock, words: dict[str, Any]) -> None:
    pool = make_pool(2, setup=dict)
    clock.began = time.monotonic()
    got = list(pool.imap(partial(stamp, clock.path), range(12), rate=RATE, **words))
    assert sorted(got) == list(range(12))
    assert got == list(range(12)) or not words.get("ordered", True)
    clock.check(12)


def test_imap_unordered_and_two_sources(make_pool: MakePool, clock: Clock) -> None:
    pool = make_pool(2)

    def add(x: int, y: int) -> int:
        return int(stamp(clock.path, x + y))

    assert sorted(pool.imap_unordered(add, range(6), range(6), rate=RATE)) == [0, 2, 4, 6, 8, 10]
    clock.check(6)


def test_imap_that_fails_and_runs_again(make_pool: MakePool, clock: Clock) -> None:
    pool = make_pool(2)
    view = pool.options(retries=1)
    got = list(view.imap(partial(stamp_and_fail, clock.path), range(6), rate=RATE, on_error="skip"))
    assert got == [0, 2, 4]
    clock.check(9)


@pytest.mark.parametrize("words", [{}, {"ordered": False}, {"key": lambda x: x % 2}, {"buffer_bytes": 100}])
def test_an_item_of_an_imap_that_waits_too_long_for_its_token(make_pool: MakePool, clock: Clock, words: Any) -> None:
    pool = make_pool(2)
    view = pool.options(queue_timeout=1.0)
    stream = view.imap(partial(stamp, clock.path), range(3), rate=0.01, on_error="return", window=3, **words)
    got = list(stream)
    late = [each for each in got if isinstance(each, TaskTimeout)]
    assert len(late) >= 2
    assert all(each.where == "queued" and "waited for" in str(each) for each in late)
    if words.get("ordered", True):
        assert [each.index for each in got[1:]] == [1, 2]


def test_an_imap_that_is_closed_starts_nothing_more(make_pool: MakePool, clock: Clock) -> None:
    pool = make_pool(2)
    with pool.imap(partial(stamp, clock.path), range(100), rate=0.01) as stream:
        assert next(stream) == 0
    assert list(stream) == []
    gate = stream._outlet.course.gate
    assert gate is not None
    assert gate.join(PATIENCE)
    clock.check(1)


def test_an_endless_imap_that_nobody_holds(make_pool: MakePool, clock: Clock) -> None:
    pool = make_pool(2)
    stream = pool.imap(partial(stamp, clock.path), iter(int, 1), rate=RATE)
    gate = stream._outlet.course.gate
    assert gate is not None
    assert next(stream) == 0
    del stream
    assert gate.join(PATIENCE)


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_aimap(make_pool: MakePool, clock: Clock, kind: str, live: bool) -> None:
    pool = make_pool(2)

    async def numbers() -> AsyncIterator[int]:
        for x in range(8):
            yield x

    async def main() -> list[int]:
        source: Any = range(8) if kind == "sync" else numbers()
        return [x async for x in pool.aimap(partial(stamp, clock.path), source, rate=RATE, live=live)]

    assert asyncio.run(main()) == list(range(8))
    clock.check(8)


def test_a_pool_that_was_shut_down_says_so_at_the_call(make_pool: MakePool) -> None:
    pool = make_pool(2)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.imap(abs, range(3), rate=1)


def test_an_unpicklable_item_of_a_stream(make_pool: MakePool, clock: Clock, capabilities: Capabilities) -> None:
    if not capabilities.pickles:
        pytest.skip("nothing is sent")
    pool = make_pool(2)
    items = [0, threading.Lock(), 2]
    got = list(pool.imap(partial(stamp, clock.path), items, rate=RATE, on_error="return"))
    assert [got[0], got[2]] == [0, 2]
    assert "cannot be pickled" in str(got[1])


# --------------------------------------------------------------------------------------------------------- pipelines


def test_a_stage(backend: Any, clock: Clock) -> None:
    pipe = Pipeline(Stage(partial(stamp, clock.path), rate=RATE, workers=3, backend=backend), abs)
    assert list(pipe.run(range(12))) == list(range(12))
    clock.check(12)


def test_a_stage_with_batches_and_further_runs(backend: Any, clock: Clock) -> None:
    def many(items: list[int]) -> list[int]:
        stamp(clock.path, items[0])
        if len(clock.starts()) == 1:
            raise ConnectionError
        return items

    stage = Stage(many, rate=RATE, batch=4, retries=1, backend=backend)
    assert list(Pipeline(stage).run(range(12))) == list(range(12))
    clock.check(4)


def test_a_kept_pipeline_keeps_its_pace_from_run_to_run(backend: Any, clock: Clock) -> None:
    with Pipeline(Stage(partial(stamp, clock.path), rate=RATE, backend=backend)) as pipe:
        for _ in range(4):
            assert list(pipe.run(range(3))) == [0, 1, 2]
    clock.check(12)


def test_one_that_is_closed_does_not_wait_for_tokens(backend: Any, clock: Clock) -> None:
    with Pipeline(Stage(partial(stamp, clock.path), rate=0.01, backend=backend)).run(range(5)) as outputs:
        assert next(outputs) == 0
    clock.check(1)


# -------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("rate", "kind", "text"),
    [
        (0, ValueError, "rate must be between 1e-06 and 1e"),
        (-1.0, ValueError, "starts per second"),
        (float("nan"), ValueError, "rate must be"),
        (float("inf"), ValueError, "rate must be"),
        ("10", TypeError, "rate must be a number of starts per second or None"),
        (True, TypeError, "rate must be"),
    ],
)
def test_rates_that_make_no_sense(rate: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        SpinOff(abs, rate=rate)
    with pytest.raises(kind, match=text):
        Stage(abs, rate=rate)
    with Pool(1, backend="inline") as pool:
        for call in (pool.imap, pool.imap_unordered, pool.aimap):
            with pytest.raises(kind, match=text):
                call(abs, [1], rate=rate)


def test_words_that_others_say() -> None:
    with pytest.raises(TypeError, match="use rate"):
        SpinOff(abs, rate_limit=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="use rate"):
        Stage(abs, rate_limit=1)  # type: ignore[arg-type]
    with Pool(1, backend="inline") as pool, pytest.raises(TypeError, match="use rate"):
        pool.imap(abs, [1], rate_limit=1)  # type: ignore[arg-type]


def test_a_source_that_is_pulled_while_its_stream_is_closed() -> None:
    """What comes of it then is let go, and the thread that starts its items ends."""
    keyed, go_on, runs, end = (threading.Event() for _ in range(4))

    def key(x: int) -> int:
        if x == 1:
            keyed.set()
            assert go_on.wait(PATIENCE)
        return x

    def run(x: int) -> int:
        runs.set()
        assert end.wait(PATIENCE)
        return x

    with Pool(backend="inline") as pool:
        before = set(threading.enumerate())
        stream = pool.imap(run, [0, 1], live=True, key=key, rate=1000.0, window=5)
        taker = threading.Thread(target=list, args=(stream,))
        taker.start()
        assert runs.wait(PATIENCE), "the first item runs, in the thread that would start the others"
        assert keyed.wait(PATIENCE), "the second one is asked for its key"
        stream.close()
        go_on.set()
        others = set(threading.enumerate()) - before
        for each in others:
            if each.name == "procession-source":
                each.join(PATIENCE)
        end.set()
        for each in others:
            each.join(PATIENCE)
            assert not each.is_alive(), each.name
