"""streams_async.aimap: sync and async sources, and who pulls them."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from procession.driver.threads import ThreadEngine
from procession.streams import Words
from procession.streams_async import AsyncStream, aimap
from tests.flow.fakes import CommandEngine


def double(x: int) -> int:
    return 2 * x


def start(engine: Any, fn: Any, *iterables: Any, **words: Any) -> AsyncStream:
    return aimap(engine, engine.function(fn), iterables, Words(**words))


async def collect(results: AsyncStream) -> list[Any]:
    return [result async for result in results]


class Source:
    """An async generator that counts and says whether it was closed."""

    def __init__(self, end: int | None = None, error: Exception | None = None) -> None:
        self.pulled = 0
        self.closed = False
        self.end = end
        self.error = error
        self.tasks: set[Any] = set()

    async def __aiter__(self) -> AsyncIterator[int]:
        try:
            while self.pulled != self.end:
                await asyncio.sleep(0)
                self.tasks.add(asyncio.current_task())
                self.pulled += 1
                yield self.pulled - 1
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


class Generator(Source):
    """The same, as an async generator itself, which is closed with the stream."""

    def items(self) -> AsyncIterator[int]:
        return self.__aiter__()  # type: ignore[return-value]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("make", [lambda: range(500), lambda: Source(500), lambda: iter(range(500))])
def test_results_in_order(threads: ThreadEngine, make: Any, live: bool) -> None:
    async def main() -> list[int]:
        return await collect(start(threads, double, make(), live=live))

    assert asyncio.run(main()) == [2 * x for x in range(500)]


@pytest.mark.parametrize("live", [False, True])
def test_sync_and_async_sources_side_by_side(threads: ThreadEngine, live: bool) -> None:
    async def main() -> list[int]:
        return await collect(start(threads, pow, Source(9), [2, 3, 2], live=live))

    assert asyncio.run(main()) == [0, 1, 4]


@pytest.mark.parametrize("live", [False, True])
def test_an_endless_async_source_is_bounded_and_closed(threads: ThreadEngine, live: bool) -> None:
    async def main() -> None:
        source = Generator()
        async with start(threads, double, source.items(), window=5, live=live) as results:
            for x in range(50):
                assert await anext(results) == 2 * x
                assert source.pulled <= x + 1 + 5
        assert source.closed
        assert [each async for each in results] == []

    asyncio.run(main())


def test_an_async_source_is_awaited_in_the_task_that_takes(threads: ThreadEngine) -> None:
    async def main() -> None:
        source = Source(20)
        await collect(start(threads, double, source))
        assert source.tasks == {asyncio.current_task()}
        other = Source(20)
        await collect(start(threads, double, other, live=True))
        assert asyncio.current_task() not in other.tasks

    asyncio.run(main())


@pytest.mark.parametrize("live", [False, True])
def test_an_error_of_the_source_comes_at_its_place(threads: ThreadEngine, live: bool) -> None:
    async def main() -> list[int]:
        got: list[int] = []
        with pytest.raises(LookupError):
            async for each in start(threads, double, Source(3, LookupError()), live=live):
                got.append(each)
        return got

    assert asyncio.run(main()) == [0, 2, 4]


def test_a_failure_ends_the_stream_and_closes_the_source(threads: ThreadEngine) -> None:
    async def main() -> None:
        source = Generator()
        results = start(threads, lambda x: 1 // (x - 2), source.items(), window=3)
        assert [await anext(results), await anext(results)] == [-1, -1]
        with pytest.raises(ZeroDivisionError):
            await anext(results)
        assert source.closed
        assert await collect(results) == []

    asyncio.run(main())


def test_on_error_words(threads: ThreadEngine) -> None:
    async def main() -> None:
        assert await collect(start(threads, lambda x: 1 // x, Source(3), on_error="skip")) == [1, 0]
        failures: list[Any] = []
        assert await collect(start(threads, lambda x: 1 // x, Source(3), on_error=failures.append)) == [1, 0]
        assert [failure.args for failure in failures] == [(0,)]

    asyncio.run(main())


def test_waiting_does_not_block_the_loop(threads: ThreadEngine) -> None:
    gate = threading.Event()

    async def main() -> list[bool]:
        async def open_gate() -> None:
            gate.set()

        results = start(threads, lambda x: gate.wait(30), [1])
        opener = asyncio.create_task(open_gate())
        got = await collect(results)
        await opener
        return got

    assert asyncio.run(main()) == [True]


def test_a_taker_that_is_cancelled_between_two_sources_keeps_them_in_step(threads: ThreadEngine) -> None:
    class Numbers:
        """An async iterator, which a cancel does not end as it ends a generator."""

        def __init__(self) -> None:
            self.n = 0
            self.waits = asyncio.Event()
            self.go = asyncio.Event()

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> int:
            if self.n == 2:
                self.waits.set()
                await self.go.wait()
            self.n += 1
            return self.n

    async def main() -> list[Any]:
        first, second = Numbers(), Numbers()
        first.go.set()
        results = start(threads, lambda *pair: pair, first, second, window=1)
        got = [await anext(results), await anext(results)]
        taker = asyncio.ensure_future(anext(results))
        await second.waits.wait()
        taker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taker
        second.go.set()
        got += [await anext(results), await anext(results)]
        await results.aclose()
        return got

    assert asyncio.run(main()) == [(n, n) for n in range(1, 5)]


def test_a_taker_that_is_cancelled_loses_no_result(threads: ThreadEngine) -> None:
    async def main() -> list[int]:
        gate = threading.Event()
        results = start(threads, lambda x: gate.wait(30) and x, range(1, 4))
        taker = asyncio.create_task(anext(results))
        await asyncio.sleep(0)
        taker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taker
        gate.set()
        return await collect(results)

    assert asyncio.run(main()) == [1, 2, 3]


def test_several_takers(threads: ThreadEngine) -> None:
    async def main() -> list[int]:
        results = start(threads, double, Source(300), window=10)
        got = await asyncio.gather(*(collect(results) for _ in range(3)))
        return sorted(x for each in got for x in each)

    assert asyncio.run(main()) == [2 * x for x in range(300)]


def test_dropped_unused_it_warns() -> None:
    engine = CommandEngine()

    async def main() -> None:
        results = start(engine, double, [1, 2])
        with pytest.warns(RuntimeWarning, match="never iterated"):
            del results
        assert engine.todo == []

    asyncio.run(main())
    gc.collect()


def test_bad_words() -> None:
    engine = CommandEngine()
    with pytest.raises(ValueError, match="window"):
        start(engine, double, Source(), window=0)
    with pytest.raises(TypeError, match="iterable"):
        start(engine, double)


def test_a_live_stream_that_is_closed_before_its_source_was_begun(threads: ThreadEngine) -> None:
    """The task that pulls is cancelled before it runs, and what it would have run was never made."""

    async def main() -> None:
        await start(threads, double, Source(9), live=True).aclose()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()
    assert not [each for each in said if "never awaited" in str(each.message)]
