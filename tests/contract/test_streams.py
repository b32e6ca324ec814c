"""map, imap, aimap and acall, as far as they depend on who runs the work; their own semantics are in tests/flow."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator

import pytest

from procession import Failure, Pool
from procession.futures import Future

from . import work
from .conftest import PATIENCE, Gate, MakePool


def test_map_is_in_order(pool: Pool) -> None:
    assert list(pool.map(work.square, range(1000))) == [n * n for n in range(1000)]
    assert list(pool.map(pow, range(10), range(10))) == list(map(pow, range(10), range(10)))
    assert list(pool.map(pow, range(10), range(10), chunksize=3)) == list(map(pow, range(10), range(10)))
    assert list(pool.map(work.square, [])) == []
    assert list(pool.map(work.square, range(50), buffersize=4)) == [n * n for n in range(50)]


BEYOND = 1 << 63
"""No number of C holds this."""


@pytest.mark.parametrize("chunksize", [None, 7])
@pytest.mark.parametrize(
    "numbers",
    [
        range(0),
        range(5, 5, -1),
        range(100, -100, -3),
        range(-BEYOND, BEYOND, BEYOND // 8 + 1),
        range(BEYOND - 20, BEYOND),
        range(BEYOND - 20, BEYOND + 20),
        range(-20 - BEYOND, 20 - BEYOND, 3),
        range(0, 60 * BEYOND, BEYOND),
        range((1 << 60) - 10, (1 << 60) + 10),
        range(20_000),
    ],
    ids=str,
)
def test_map_of_a_range(pool: Pool, numbers: range, chunksize: int | None) -> None:
    """A range is not made a list anywhere on its way: its numbers are, one by one, where they are wanted."""
    assert list(pool.map(work.add, numbers, chunksize=chunksize)) == [n + 1 for n in numbers]
    assert list(pool.map(work.add, numbers, numbers[::-1])) == [
        a + b for a, b in zip(numbers, numbers[::-1], strict=True)
    ]


def test_map_yields_what_came_before_the_failure(pool: Pool) -> None:
    results = pool.map(work.fail_on_three, range(10), chunksize=5)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="no 3"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.usefixtures("side_by_side")
def test_map_times_out(pool: Pool, gate: Gate) -> None:
    results = pool.map(work.pass_gate, [gate.paths[0]], [gate.paths[1]], timeout=0)
    with pytest.raises(TimeoutError):
        next(results)
    gate.open()


def test_imap_takes_an_endless_source(pool: Pool) -> None:
    with pool.imap(work.square, itertools.count()) as results:
        assert list(itertools.islice(results, 2000)) == [n * n for n in range(2000)]


def test_imap_unordered_hands_over_everything(pool: Pool) -> None:
    assert sorted(pool.imap_unordered(work.square, range(500))) == [n * n for n in range(500)]


def test_the_four_forms_of_on_error(pool: Pool) -> None:
    with pytest.raises(ValueError, match="no 3"):
        list(pool.imap(work.fail_on_three, range(6)))
    returned = list(pool.imap(work.fail_on_three, range(6), on_error="return"))
    assert [str(each) for each in returned] == ["0", "1", "2", "no 3", "4", "5"]
    assert list(pool.imap(work.fail_on_three, range(6), on_error="skip")) == [0, 1, 2, 4, 5]
    failures: list[Failure] = []
    assert list(pool.imap(work.fail_on_three, range(6), on_error=failures.append)) == [0, 1, 2, 4, 5]
    assert [(each.index, each.args) for each in failures] == [(3, (3,))]


def test_an_error_is_not_taken_for_the_end(pool: Pool) -> None:
    """Raised by an iterator, StopIteration of a task would cut the results off, and nobody would see it."""
    taken = []
    with pytest.raises(RuntimeError, match="a task raised StopIteration") as caught:
        for value in pool.imap(work.stops_at_three, range(6)):
            taken.append(value)
    assert taken == [0, 1, 2]
    assert isinstance(caught.value.__cause__, StopIteration)
    returned = list(pool.imap(work.stops_at_three, range(6), on_error="return"))
    assert [type(each) for each in returned] == [int, int, int, StopIteration, int, int]


@pytest.mark.usefixtures("side_by_side")
def test_finished_items_come_out_though_their_neighbour_is_stuck(make_pool: MakePool, gate: Gate) -> None:
    """A chunk that holds a slow item gives what it has finished, and what has not started goes elsewhere."""
    pool = make_pool(2)
    results = pool.imap(wait_at_four, [(n, gate.paths) for n in range(8)], chunksize=8)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    gate.arrived()
    gate.open()
    assert list(results) == [4, 5, 6, 7]


def wait_at_four(item: tuple[int, tuple[str, str]]) -> int:
    n, paths = item
    if n == 4:
        work.pass_gate(*paths)
    return n


@pytest.mark.usefixtures("side_by_side")
def test_a_live_source_may_wait(pool: Pool) -> None:
    more = threading.Event()

    def source() -> itertools.chain[int]:
        yield 1  # type: ignore[misc]
        assert more.wait(PATIENCE)
        yield 2

    results = pool.imap(work.square, source(), live=True)  # type: ignore[arg-type]
    assert next(results) == 1
    more.set()
    assert list(results) == [4]


def test_a_stream_keeps_its_pool(make_pool: MakePool, backend: str) -> None:
    results = Pool(2, backend=backend).imap(work.square, range(3000), window=4)  # type: ignore[arg-type]
    assert list(results) == [n * n for n in range(3000)]


# --------------------------------------------------------------------------------------------------------- asyncio


def test_acall(pool: Pool) -> None:
    async def main() -> None:
        assert await pool.acall(work.capture, 1, self=2) == ((1,), {"self": 2})
        with pytest.raises(ValueError, match="why"):
            await pool.acall(work.fail, "why")
        assert await asyncio.gather(*(pool.acall(work.square, n) for n in range(50))) == [n * n for n in range(50)]

    asyncio.run(main())


@pytest.mark.usefixtures("side_by_side")
def test_cancelling_acall_cancels_what_has_not_started(pool: Pool, gate: Gate) -> None:
    running = [pool.submit(work.pass_gate, *gate.paths) for _ in range(2)]
    gate.arrived(2)

    async def main() -> None:
        task = asyncio.ensure_future(pool.acall(work.pass_gate, *gate.paths))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    gate.open(2)
    for future in running:
        future.result(PATIENCE)
    pool.shutdown(wait=True)
    assert gate.nobody_arrives()


def test_aimap(pool: Pool) -> None:
    async def numbers() -> AsyncIterator[int]:
        for n in range(20):
            yield n
            await asyncio.sleep(0)

    async def main() -> None:
        assert [y async for y in pool.aimap(work.square, range(20))] == [n * n for n in range(20)]
        assert [y async for y in pool.aimap(work.square, numbers())] == [n * n for n in range(20)]

    asyncio.run(main())


def test_async_with(make_pool: MakePool) -> None:
    async def main() -> None:
        async with make_pool() as pool:
            future = pool.submit(work.square, 3)
        assert future.result(0) == 9
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(work.square, 3)

    asyncio.run(main())


@pytest.mark.usefixtures("side_by_side")
def test_an_exception_in_async_with_cancels_what_waits(make_pool: MakePool, gate: Gate) -> None:
    async def main() -> None:
        async with make_pool(1) as pool:
            futures.extend(pool.submit(work.pass_gate, *gate.paths) for _ in range(3))
            futures[2].add_done_callback(lambda _: gate.open(3))
            gate.arrived()
            raise KeyError("out")

    futures: list[Future[None]] = []
    with pytest.raises(KeyError):
        asyncio.run(main())
    assert futures[0].result(0) is None
    assert futures[1].cancelled()
    assert futures[2].cancelled()
