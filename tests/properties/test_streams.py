"""map, imap and aimap with random words over random items, some of which kill their worker: beside a sequential model.

On every backend; in pure Python as well, since the whole suite runs twice. How much was looked at is printed
(`pytest -s`); `-m soak` looks at much more.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from procession import Failure, Pool
from procession.weighing import weigh

from .deeds import SIZE, Deed, do, key_of
from .model import Walk, deeds, look_at_notes, outcome, sequential, told

EXAMPLES = {"inline": 30, "threads": 30, "processes": 15}


class Source:
    """Counts what is pulled, and notes when that is more than the window lets in."""

    def __init__(self, items: list[Deed], bound: int | None) -> None:
        self.items = items
        self.bound = bound
        self.pulled = self.left = 0
        self.most = 0
        self.closed = False

    def __iter__(self) -> Iterator[Deed]:
        try:
            for item in self.items:
                self.pulled += 1
                self.most = max(self.most, self.pulled - self.left)
                yield item
        finally:
            self.closed = True

    async def __aiter__(self) -> AsyncIterator[Deed]:
        try:
            for item in self.items:
                self.pulled += 1
                self.most = max(self.most, self.pulled - self.left)
                await asyncio.sleep(0)
                yield item
        finally:
            self.closed = True


class Taker:
    """What came out, one by one, and what on_error was told."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.out: list[int | str] = []
        self.failures: list[Failure] = []
        self.error: BaseException | None = None

    def took(self, value: Any) -> None:
        self.source.left += 1
        self.out.append(told(value))

    def failed(self, failure: Failure) -> None:
        self.source.left += 1
        self.failures.append(failure)


def words_of(data: st.DataObject) -> dict[str, Any]:
    draw = data.draw
    words: dict[str, Any] = {
        "ordered": draw(st.booleans()),
        "window": draw(st.sampled_from([None, 1, 2, 5, 30])),
        "on_error": draw(st.sampled_from(["raise", "return", "return", "skip", "call"])),
        "live": draw(st.booleans()),
        "chunksize": draw(st.sampled_from([None, None, 1, 3])),
    }
    if draw(st.booleans()):
        words["buffer_bytes"] = draw(st.sampled_from([1, 2 * SIZE + 200, 10 * SIZE]))
        words["spill"] = draw(st.booleans())
    if draw(st.booleans()):
        words["key"] = key_of
        words["sticky"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        words["rate"] = 3000.0
    return words


def check(data: st.DataObject, counts: Counter[str], pool: Pool) -> None:
    """One stream."""
    processes = pool._engine.capabilities.can_kill
    items = data.draw(deeds(processes, 25))
    retries = data.draw(st.sampled_from([0, 0, 2]))
    view = pool.options(retries=retries) if retries else pool
    way = data.draw(st.sampled_from(["imap", "imap", "imap_unordered", "map", "aimap", "aimap of async"]))
    stop = data.draw(st.sampled_from([None, None, None, 0, 3]))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # what was closed may run on threads still
        function = partial(do, folder)
        if way == "map":
            check_map(data, view, function, items, outcomes_of(items, processes, retries), stop)
        else:
            check_imap(data, view, function, items, retries, way, stop)
        counts["runs"] += look_at_notes(Path(folder), items, 1 + retries)
    counts["items"] += len(items)
    counts[way] += 1


def outcomes_of(items: list[Deed], processes: bool, retries: int, keyed: bool = False) -> list[int | str]:
    return [outcome(deed, processes, retries, keyed) for deed in items]


def check_map(
    data: st.DataObject, pool: Pool, function: Any, items: list[Deed], outcomes: list[int | str], stop: int | None
) -> None:
    """Everything before the first failure, then that."""
    buffersize = data.draw(st.sampled_from([None, 1, 4]))
    source = Source(items, None)
    taker = Taker(source)
    results = pool.map(function, source, buffersize=buffersize, chunksize=data.draw(st.sampled_from([None, 1, 3])))
    while stop is None or len(taker.out) < stop:
        try:
            taker.took(next(results))
        except StopIteration:
            break
        except Exception as error:
            taker.took(error)
            assert list(results) == []
            break
    expected = sequential(outcomes, "raise", ends=True)
    assert taker.out == expected[:stop]
    assert buffersize is None or source.most <= buffersize + 1
    results.close()  # type: ignore[attr-defined]
    assert source.pulled <= len(items)


def check_imap(
    data: st.DataObject, pool: Pool, function: Any, items: list[Deed], retries: int, way: str, stop: int | None
) -> None:
    words = words_of(data)
    if way == "imap_unordered":
        del words["ordered"]
    source = Source(items, words["window"])
    taker = Taker(source)
    on_error = words["on_error"]
    words["on_error"] = taker.failed if on_error == "call" else on_error
    if way.startswith("aimap"):
        stats = asyncio.run(take_async(pool, function, source, taker, words, way, stop))
    else:
        stats = take(getattr(pool, way)(function, source, **words), taker, stop)
    capabilities, keyed = pool._engine.capabilities, "key" in words
    outcomes = outcomes_of(items, capabilities.can_kill, retries, keyed)
    look_at_outputs(taker, items, outcomes, on_error, words.get("ordered", way != "imap_unordered"), keyed, stop)
    slack = words["live"] or way == "aimap of async"  # pulled by others while the taker has not told that it has taken
    if words["window"] is not None and on_error != "skip":
        assert source.most <= words["window"] + slack, "more was pulled than the window lets in"
    if items and all(deed.kind == "large" for deed in items) and "buffer_bytes" in words and stats is not None:
        weight, workers = weigh(bytes(SIZE)), pool._engine.max_workers
        if not capabilities.in_caller:
            assert stats.most_bytes <= max(words["buffer_bytes"], workers * weight), "more bytes than may wait"
        assert (stats.buffered_bytes, stats.spilled) == (0, 0)
    if keyed and stop is None and on_error != "raise":
        look_at_notes(Path(function.args[0]), items, 1 + retries, keyed=True)


def take(stream: Any, taker: Taker, stop: int | None) -> Any:
    """Until its end, or a few; returns the stats, where they still tell something."""
    while stop is None or len(taker.out) < stop:
        try:
            taker.took(next(stream))
        except StopIteration:
            return stream.stats()
        except Exception as error:
            taker.error = error
            taker.took(error)
            break
    stream.close()
    assert list(stream) == []
    return None


async def take_async(
    pool: Pool, function: Any, source: Source, taker: Taker, words: dict[str, Any], way: str, stop: int | None
) -> Any:
    stream = pool.aimap(function, source if way == "aimap of async" else iter(source), **words)
    while stop is None or len(taker.out) < stop:
        try:
            taker.took(await anext(stream))
        except StopAsyncIteration:
            return stream.stats()
        except Exception as error:
            taker.error = error
            taker.took(error)
            break
    await stream.aclose()
    assert [each async for each in stream] == []
    return None


def look_at_outputs(
    taker: Taker,
    items: list[Deed],
    outcomes: list[int | str],
    on_error: str,
    ordered: bool,
    keyed: bool,
    stop: int | None,
) -> None:
    """Equality is the oracle; where the order is not promised, of each key."""
    ends = on_error == "raise"
    bad = [each for each in outcomes if isinstance(each, str)]
    told_of = [told(failure.error) for failure in taker.failures]
    whole = stop is None and not (ends and bad)
    if ordered:
        expected = sequential(outcomes, on_error, ends)
        assert taker.out == expected[:stop]
        assert told_of == [] or told_of == bad[: len(told_of)]
    elif whole:
        assert Counter(taker.out) == Counter(sequential(outcomes, on_error))
    else:
        assert not Counter(taker.out) - Counter(outcomes)
        assert not ends or not any(isinstance(each, str) for each in taker.out[:-1])
        assert stop is not None or isinstance(taker.out[-1], str)
    if on_error == "call" and stop is None:
        assert Counter(told_of) == Counter(bad)
        for failure in taker.failures:
            assert outcomes[failure.index] == told(failure.error)
            assert failure.args == (items[failure.index],)
    if keyed and not ordered:
        key = {deed.number: deed.key for deed in items}
        for mine in set(key.values()):
            numbers = [each for each in taker.out if isinstance(each, int) and key[each] == mine]
            assert numbers == sorted(numbers), "not in the order of its key"


@pytest.mark.parametrize("backend", EXAMPLES)
def test_streams(backend: str) -> None:
    explore(backend, EXAMPLES[backend])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("backend", EXAMPLES)
def test_many_streams(backend: str) -> None:
    explore(backend, 80 * EXAMPLES[backend])


def explore(backend: str, examples: int) -> None:
    with Pool(1, backend=backend) as one, Pool(3, backend=backend) as three:  # type: ignore[arg-type]
        Walk()(backend, examples, lambda data, counts: check(data, counts, data.draw(st.sampled_from([one, three]))))
        for pool in (one, three):
            assert list(pool.map(abs, range(20))) == list(range(20))
