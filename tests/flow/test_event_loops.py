"""What coroutines await, under each library that runs them: asyncio, and trio; anyio runs the tests on both."""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from procession import Full, Pipeline, Pool, SpinOff, Stage
from procession.pool_face import PoolFace
from tests import warm

kept_zygote = warm.keep()

Main = Callable[[], Awaitable[Any]]
Run = Callable[[Main], Any]
PATIENCE = 30


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function to its end, or fails after a while."""

    def run(main: Main) -> Any:
        async def bounded() -> Any:
            with anyio.fail_after(PATIENCE):
                return await main()

        return anyio.run(bounded, backend=request.param)

    return run


@pytest.fixture(params=["threads", "processes"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(2, backend=request.param) as pool:
        yield pool


class Odd(BaseException):
    """What is no Exception."""


class Source:
    """Numbers, as many as asked for; then an error, if there is one. Tells when it is closed."""

    def __init__(self, end: float, error: BaseException | None = None) -> None:
        self.end, self.error, self.pulled, self.closed = end, error, 0, anyio.Event()

    async def items(self) -> AsyncIterator[int]:
        try:
            while self.pulled < self.end:
                await anyio.lowlevel.checkpoint()
                self.pulled += 1
                yield self.pulled - 1
            if self.error is not None:
                raise self.error
        finally:
            self.closed.set()


def test_acall(pool: PoolFace, run: Run) -> None:
    async def main() -> tuple[int, list[float]]:
        roots: list[float] = [0.0] * 20

        async def root(x: int) -> None:
            roots[x] = await pool.acall(math.sqrt, x)

        async with anyio.create_task_group() as group:
            for x in range(20):
                group.start_soon(root, x)
        with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
            await pool.acall(math.sqrt, -1)
        return await pool.acall(pow, 2, 10), roots

    assert run(main) == (1024, [math.sqrt(x) for x in range(20)])


def test_who_is_cancelled_cancels_the_call(run: Run) -> None:
    begun, go_on, ran = threading.Event(), threading.Event(), []

    async def main() -> None:
        async with Pool(1, backend="threads") as pool:
            running = pool.submit(lambda: (begun.set(), go_on.wait(PATIENCE)))
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(pool.acall, ran.append, 1)
                    await anyio.to_thread.run_sync(begun.wait)
                    scope.cancel()
            assert scope.cancelled_caught
            go_on.set()
            assert await pool.acall(len, ran) == 0
            assert running.done()

    run(main)


def test_a_call_that_somebody_else_cancels(run: Run) -> None:
    """The task that awaits it goes on, with an error of that name (asyncio: its own)."""
    begun, go_on = threading.Event(), threading.Event()

    async def main() -> str:
        with Pool(1, backend="threads") as pool:
            pool.submit(lambda: (begun.set(), go_on.wait(PATIENCE)))
            begun.wait()
            heard = []

            async def call() -> None:
                try:
                    await pool.acall(abs, -1)
                except CancelledError:
                    heard.append("concurrent.futures")
                except anyio.get_cancelled_exc_class():
                    heard.append("the library's own")

            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await anyio.wait_all_tasks_blocked()
                pool.shutdown(wait=False, cancel_futures=True)
                go_on.set()
            return heard[0]

    assert run(main) in ("concurrent.futures", "the library's own")


def test_leaving_a_pool_does_not_block_the_loop(run: Run) -> None:
    """What runs needs the loop to go on, and leaving waits for it: so the loop goes on."""
    go_on, done = threading.Event(), []

    async def open_it() -> None:
        await anyio.lowlevel.checkpoint()
        go_on.set()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            async with Pool(1, backend="threads") as pool:
                pool.submit(lambda: done.append(go_on.wait(PATIENCE)))
                group.start_soon(open_it)
            assert done == [True]

    run(main)


def test_leaving_a_pool_when_cancelled_waits_all_the_same(run: Run) -> None:
    begun, done = threading.Event(), []

    def work() -> None:
        begun.set()
        done.append(1)

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with Pool(1, backend="threads") as pool:
                pool.submit(work)
                begun.wait()
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert done == [1]
        with pytest.raises(RuntimeError):
            pool.submit(work)

    run(main)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_aimap(pool: Pool, run: Run, kind: str, live: bool) -> None:
    async def main() -> list[int]:
        source: Any = range(300) if kind == "sync" else Source(300).items()
        return [y async for y in pool.aimap(abs, source, live=live)]

    assert run(main) == list(range(300))


@pytest.mark.parametrize("live", [False, True])
def test_an_endless_source_is_bounded_and_closed(pool: Pool, run: Run, live: bool) -> None:
    async def main() -> None:
        source = Source(math.inf)
        async with pool.aimap(abs, source.items(), window=8, live=live) as results:
            for turn in range(30):
                assert await anext(results) == turn
                assert source.pulled <= turn + 1 + 8
        await source.closed.wait()

    run(main)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("error", [ValueError("broken"), Odd("no Exception")])
def test_an_error_of_the_source_comes_behind_its_items(pool: Pool, run: Run, live: bool, error: BaseException) -> None:
    async def main() -> list[int]:
        got = []
        with pytest.raises(type(error)):
            async for y in pool.aimap(abs, Source(20, error).items(), live=live):
                got.append(y)
        return got

    got = run(main)
    assert got == list(range(20)) or (isinstance(error, Odd) and not live)  # it strikes where the source is pulled


def test_a_taker_that_is_cancelled_while_it_waits(run: Run) -> None:
    go_on = threading.Event()

    async def main() -> None:
        with Pool(1, backend="threads") as pool:
            results = pool.aimap(lambda _: go_on.wait(PATIENCE), range(3))
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(anext, results)
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            assert scope.cancelled_caught
            go_on.set()
            assert [y async for y in results] == [True, True, True]

    run(main)


def test_a_stream_that_is_left_behind_when_the_loop_ends(run: Run) -> None:
    """Its workers wake nobody, and nothing breaks."""
    go_on, kept = threading.Event(), []

    async def main() -> None:
        results = pool.aimap(lambda _: go_on.wait(PATIENCE), range(3))
        kept.append(results)
        with anyio.move_on_after(0):
            await anext(results)

    with Pool(1, backend="threads") as pool:
        run(main)
        go_on.set()
    kept.clear()
    gc.collect()


def test_a_spin_off(run: Run) -> None:
    async def main() -> tuple[list[int], list[int]]:
        async with SpinOff(abs, backend="threads", maxsize=4) as spin:
            got: list[int] = []

            async def take() -> None:
                async for each in spin:
                    got.append(each)

            async with anyio.create_task_group() as group:
                group.start_soon(take)
                futures = [await spin.aput(-x) for x in range(100)]
                spin.close()
        return got, [future.result() for future in futures]

    assert run(main) == (list(range(100)), list(range(100)))


def test_a_full_spin_off_refuses_to_block_the_loop(run: Run) -> None:
    go_on = threading.Event()

    async def main() -> None:
        async with SpinOff(lambda _: go_on.wait(PATIENCE), backend="threads", maxsize=2) as spin:
            spin.put(0)
            spin.put(1)
            with pytest.raises(Full, match="aput"):
                spin.put(2)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(spin.aput, 2)
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            assert scope.cancelled_caught
            go_on.set()
            assert await anext(spin)
            await spin.aput(3)
            spin.close()
            assert [each async for each in spin] == [True, True]

    run(main)


def test_a_full_pool_refuses_to_block_the_loop_and_acall_awaits_room(run: Run) -> None:
    go_on = threading.Event()

    async def main() -> None:
        async with Pool(1, backend="threads", max_pending=1) as pool:
            first = pool.submit(go_on.wait, PATIENCE)
            with pytest.raises(Full, match="acall"):
                pool.submit(abs, 1)
            async with anyio.create_task_group() as group:
                group.start_soon(pool.acall, abs, 1)
                await anyio.wait_all_tasks_blocked()
                go_on.set()
            assert first.done()

    run(main)


@pytest.mark.parametrize("error", [ValueError("broken"), Odd("no Exception")])
def test_an_error_of_a_pipeline_s_source_comes_behind_its_items(run: Run, error: BaseException) -> None:
    async def main() -> list[int]:
        got = []
        with pytest.raises(type(error)):
            async for y in Pipeline(Stage(abs, backend="threads")).arun(Source(20, error).items()):
                got.append(y)
        return got

    assert run(main) == list(range(20))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_pipeline(run: Run, kind: str) -> None:
    async def main() -> list[int]:
        pipe = Pipeline(Stage(abs, backend="threads", workers=2), Stage(lambda x: 2 * x, backend="threads"))
        source: Any = range(-50, 0) if kind == "sync" else Source(50).items()
        return [y async for y in pipe.arun(source)]

    expected = [2 * abs(x) for x in range(-50, 0)] if kind == "sync" else [2 * x for x in range(50)]
    assert run(main) == expected


def test_a_pipeline_that_is_closed_closes_its_source(run: Run) -> None:
    async def main() -> None:
        source = Source(math.inf)
        async with Pipeline(Stage(abs, backend="threads")).arun(source.items()) as results:
            assert [await anext(results) for _ in range(5)] == list(range(5))
        await source.closed.wait()
        bound = source.pulled
        await anyio.lowlevel.checkpoint()
        assert source.pulled == bound

    run(main)
