"""Pipelines for coroutines: `arun`, over synchronous and asynchronous inputs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from procession import Pipeline, Stage

from . import work

BACKENDS = ("threads", "processes")


@pytest.fixture(params=BACKENDS)
def pipe(request: pytest.FixtureRequest) -> Pipeline:
    return Pipeline(
        Stage(work.add, workers=2, backend=request.param),
        Stage(work.fail_on_three, backend=request.param),
        Stage(work.spread, many=True, backend=request.param),
        window=6,
    )


def expected(count: int) -> list[int]:
    return [out for n in range(count) for out in work.spread(n + 1) if (n + 1) % 10 != 3]


class Source:
    """Counts what is pulled, and knows when it was closed."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count
        self.pulled = 0
        self.closed = False

    async def items(self) -> AsyncIterator[int]:
        try:
            for n in itertools.count() if self.count is None else range(self.count):
                await asyncio.sleep(0)
                self.pulled = n + 1
                yield n
        finally:
            self.closed = True


async def collect(outputs: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in outputs]


def test_over_either_kind_of_input(pipe: Pipeline) -> None:
    async def main() -> None:
        assert await collect(pipe.arun(range(50), on_error="skip")) == expected(50)
        assert await collect(pipe.arun(range(50), on_error="skip", live=True)) == expected(50)
        assert await collect(pipe.arun(Source(50).items(), on_error="skip")) == expected(50)
        assert await collect(pipe.arun([], on_error="skip")) == []
        assert await collect(pipe.arun(Source(0).items())) == []

    asyncio.run(main())


def test_the_loop_is_not_blocked(pipe: Pipeline) -> None:
    """Others run meanwhile."""

    async def main() -> int:
        turns = 0
        ended = False

        async def other() -> None:
            nonlocal turns
            while not ended:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        await collect(pipe.arun(range(30), on_error="skip"))
        ended = True
        await beside
        return turns

    assert asyncio.run(main()) > 10


def test_an_endless_input_is_bounded_and_closed(pipe: Pipeline) -> None:
    async def main() -> None:
        source = Source()
        async with pipe.arun(source.items(), on_error="skip") as outputs:
            got = [await anext(outputs) for _ in range(20)]
            assert got == expected(100)[:20]
            assert source.pulled <= 40 + 6
        assert source.closed
        assert await collect(outputs) == []

    asyncio.run(main())


def test_a_failure_ends_it_and_closes_the_input(pipe: Pipeline) -> None:
    async def main() -> None:
        source = Source()
        got = []
        with pytest.raises(LookupError, match="no 3"):
            async for each in pipe.arun(source.items()):
                got.append(each)
        assert got == expected(2)
        assert source.closed

    asyncio.run(main())


def test_the_input_fails(pipe: Pipeline) -> None:
    async def items() -> AsyncIterator[int]:
        yield 0
        yield 1
        raise LookupError("source")

    async def main() -> None:
        got = []
        with pytest.raises(LookupError, match="source"):
            async for each in pipe.arun(items()):
                got.append(each)
        assert got == expected(2)

    asyncio.run(main())


def test_cancelled_while_it_waits(pipe: Pipeline) -> None:
    """The taker's task is cancelled; what had come is still there for the next one."""

    async def main() -> None:
        go = asyncio.Event()

        async def items() -> AsyncIterator[int]:
            yield 0
            await go.wait()
            yield 1

        outputs = pipe.arun(items())
        assert await anext(outputs) == 10
        waiting = asyncio.ensure_future(anext(outputs))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        assert await collect(outputs) == [20, 21]

    asyncio.run(main())
