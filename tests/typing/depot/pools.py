"""Pools: calls, maps, streams, views."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import assert_type

from depot.work import Parcel, Scale, label, larger, load, numbers, pack, price, route
from procession import Captured, CpuBudget, Failure, Journal, Pool, cpu_budget, shared_pool, state
from procession.pool import PoolStats
from procession.pool_face import CapturingView, PoolView
from procession.stream_generator import GeneratorStream
from procession.stream_stats import StreamStats
from procession.streams import Stream
from procession.streams_async import AsyncStream


class Bar:
    """What is like tqdm's."""

    def __init__(self, total: float | None = None) -> None:
        self.total = total
        self.n = 0.0

    def update(self, n: float | None = 1) -> None:
        self.n += n or 0

    def close(self) -> None:
        self.total = self.n


def calls(pool: Pool) -> None:
    assert_type(pool.submit(label, 1, prefix="Q"), Future[str])
    assert_type(pool.submit(pack, 1, weight=2.0).result(), Parcel)
    assert_type(pool.submit(Scale().weigh, Parcel(1)).result(), float)
    assert_type(pool.submit(partial(price, town="Bonn"), 3).result(), float)
    assert_type(pool.submit(lambda: 3).result(), int)
    assert_type(pool.stats(), PoolStats)
    assert_type(pool.stats().busy, int)
    assert_type(pool.dump(), str)
    assert_type(pool.share(Scale()), Scale)
    executor: Executor = pool
    assert_type(executor.submit(label, 1), Future[str])


def maps(pool: Pool, columns: list[list[int]]) -> None:
    assert_type(pool.map(label, [1, 2]), Iterator[str])
    assert_type(pool.map(price, range(3), "abc", chunksize=2, timeout=1), Iterator[float])
    assert_type(pool.map(route, range(3), "abc", [True], buffersize=4), Iterator[list[str]])
    assert_type(pool.map(lambda x: x * 2, [1, 2]), Iterator[int])
    assert_type(pool.map(lambda x, y: (x, y), [1], "a"), Iterator[tuple[int, str]])
    assert_type(pool.map(Scale().weigh, [Parcel(1)]), Iterator[float])
    assert_type(pool.map(partial(price, 1), ["Bonn"]), Iterator[float])
    assert_type(pool.map(Parcel, [1]), Iterator[Parcel])
    assert_type(pool.map(larger, *columns), Iterator[int])


def streams(pool: Pool, failures: list[Failure]) -> None:
    assert_type(pool.imap(label, range(3), window=3, key=lambda n: n % 2, sticky=True), Stream[str])
    assert_type(pool.imap(price, range(3), "abc", seed=3, rate=2.5, spill=True, buffer_bytes=3), Stream[float])
    assert_type(pool.imap(label, [1], on_error="skip", progress=True), Stream[str])
    assert_type(pool.imap(label, [1], journal="run.db", item_id=str), Stream[str])
    assert_type(pool.imap(label, [1], journal=Journal(Path("run.db"), version=2, sync=False)), Stream[str])
    assert_type(pool.imap(label, [1], progress=Bar), Stream[str])
    assert_type(pool.imap(label, [1], progress=partial(Bar, total=3)), Stream[str])
    assert_type(pool.imap(label, [1], progress=Bar()), Stream[str])
    assert_type(pool.imap(label, [1], progress=lambda done, total: print(done, total)), Stream[str])
    assert_type(pool.imap(label, [1], on_error=failures.append, live=True), Stream[str])
    assert_type(pool.imap(label, [1], on_error="return", ordered=False), Stream[str | BaseException])
    assert_type(pool.imap_unordered(route, [1], ["a"], [True]), Stream[list[str]])
    assert_type(pool.imap_unordered(label, [1], on_error="return"), Stream[str | BaseException])
    for each in pool.imap(label, [1], on_error="return"):
        if isinstance(each, BaseException):
            assert_type(each, BaseException)
        else:
            assert_type(each, str)
    with pool.imap(pack, [1]) as stream:
        assert_type(next(stream), Parcel)
        assert_type(stream.stats(), StreamStats)
    wider: Stream[object] = pool.imap(label, [1])
    wider.close()
    with pool.stream(numbers, 3) as generated:
        assert_type(generated, GeneratorStream[int])
        assert_type(list(generated), list[int])
    for failure in failures:
        assert_type(failure.index, int)
        assert_type(failure.error, BaseException)
        assert_type(failure.attempts, int)
        assert_type(failure.stage, str | None)


def views(pool: Pool) -> None:
    careful = pool.options(timeout=3, retries=2, retry_on=(OSError, ValueError), backoff=lambda n: n / 2)
    assert_type(careful, PoolView)
    assert_type(careful.options(name="x", priority=3, seed=1), PoolView)
    assert_type(careful.submit(label, 1), Future[str])
    assert_type(careful.map(price, [1], ["a"]), Iterator[float])
    assert_type(careful.imap(label, [1], on_error="return"), Stream[str | BaseException])
    assert_type(careful.stats(), PoolStats)
    assert_type(careful.dump(), str)
    with careful as same:
        assert_type(same.submit(label, 1).result(), str)


async def captured(pool: Pool) -> None:
    view = pool.options(capture=True, name="x")
    assert_type(view, CapturingView)
    assert_type(view.submit(label, 1, prefix="Q").result(), Captured[str])
    assert_type(view.submit(label, 1).result().value, str)
    assert_type(await view.acall(label, 1), Captured[str])
    assert_type(view.map(price, [1], ["a"]), Iterator[Captured[float]])
    assert_type(view.options(timeout=1).imap(label, [1]), Stream[Captured[str]])
    assert_type(view.imap_unordered(label, [1], on_error="return"), Stream[Captured[str] | BaseException])
    assert_type(view.aimap(label, [1]), AsyncStream[Captured[str]])
    assert_type(view.options(capture=False), PoolView)
    assert_type(view.stats(), PoolStats)
    executor: Executor = view
    executor.shutdown()


async def coroutines(pool: Pool, source: AsyncIterator[int]) -> None:
    assert_type(await pool.acall(label, 1, prefix="Q"), str)
    assert_type(pool.aimap(label, source, window=3), AsyncStream[str])
    assert_type([each async for each in pool.aimap(price, source, ["a"])], list[float])
    async for each in pool.options(retries=1).aimap(label, [1], on_error="return"):
        assert_type(each, str | BaseException)
    async with pool as same:
        assert_type(await same.acall(pack, 1), Parcel)


def made() -> Iterator[Pool]:
    yield Pool()
    yield Pool(4, initializer=print, initargs=("hello",), max_tasks_per_child=3, preload=["json"])
    yield Pool(backend="inline", pickle=True)
    yield Pool("auto", max_workers_cap=8)
    yield Pool(backend="threads", thread_name_prefix="depot", max_pending=3, overflow="drop_oldest")
    yield Pool(setup=load, max_memory_per_child=(1, 2), max_age_per_child=3, stall_after=2.5)
    yield Pool(dashboard=True)
    yield Pool(backend="threads", dashboard=8080)
    with Pool() as pool:
        assert_type(pool.submit(label, 1).result(), str)
    with shared_pool(3, backend="threads") as shared:
        assert_type(shared.map(label, [1]), Iterator[str])
    budget = cpu_budget()
    assert_type(budget, CpuBudget)
    assert_type(budget.cpus, int)
    scale: Scale = state()
    scale.weigh(Parcel(1))
