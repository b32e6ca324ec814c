"""`key=` with `sticky=True`: a key's items go to one worker while it lives, whoever runs the work."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any

import pytest

import procession
from procession import Pool, SpinOff, TaskTimeout, WorkerDied
from procession.backends.base import Capabilities

from . import work
from .conftest import PATIENCE, Gate, MakePool

Item = tuple[str, int]
Visit = tuple[str, int, tuple[int, int], int]
"""An item's key and number, where it ran, and how many of its key that worker had run by then."""


def key_of(item: Item) -> str:
    return item[0]


def visit(item: Item) -> Visit:
    return visit_with(procession.state(), item)


def visit_with(state: dict[str, int], item: Item) -> Visit:
    key, n = item
    state[key] = state.get(key, 0) + 1
    return key, n, work.where(), state[key]


def items_of(keys: int, each: int) -> list[Item]:
    return [(f"key {key}", n) for n in range(each) for key in range(keys)]


def check_each_key(visits: Iterable[Visit], *, moves: bool = False) -> dict[str, list[Visit]]:
    """In order for each key, and in one place; if it `moves`, it has no state there, and stays from then on."""
    by_key: dict[str, list[Visit]] = {}
    for each in visits:
        by_key.setdefault(each[0], []).append(each)
    for found in by_key.values():
        numbers = [n for _, n, _, _ in found]
        assert numbers == sorted(numbers)
        places = [where for _, _, where, _ in found]
        assert moves or len({*places}) == 1, f"{found[0][0]} was in {len({*places})} places"
        former: tuple[tuple[int, int], int] | None = None
        for _, n, where, count in found:
            expected = former[1] + 1 if former is not None and former[0] == where else 1
            assert count == expected, f"item {n}: the {count}. there, and not the {expected}."
            former = where, count
    return by_key


@pytest.fixture
def pool(make_pool: MakePool) -> Pool:
    return make_pool(2, setup=dict)


@pytest.fixture
def mortal(capabilities: Capabilities) -> None:
    """For tests in which workers die."""
    if not capabilities.can_kill:
        pytest.skip("its workers do not die")


# --------------------------------------------------------------------------------------------------------- one worker


@pytest.mark.parametrize("ordered", [True, False])
def test_the_state_of_a_key_lives_in_one_worker(pool: Pool, ordered: bool) -> None:
    items = items_of(13, 60)
    visits = list(pool.imap(visit, items, key=key_of, sticky=True, ordered=ordered))
    assert len(visits) == len(items)
    assert not ordered or [each[:2] for each in visits] == items
    check_each_key(visits)


def test_imap_unordered(pool: Pool) -> None:
    visits = list(pool.imap_unordered(visit, iter(items_of(5, 40)), key=key_of, sticky=True, window=12, live=True))
    assert len(check_each_key(visits)) == 5
    assert len(visits) == 200


def test_two_streams_and_calls_at_once(pool: Pool) -> None:
    """Each stream has homes of its own, though its keys are called the same."""
    items = items_of(6, 40)
    x, y = (pool.imap(visit_in, [name] * len(items), items, key=second_key, sticky=True) for name in "xy")
    visits: list[Visit] = []
    for one, two in zip(x, y, strict=True):
        assert pool.submit(work.square, 3).result(PATIENCE) == 9
        visits += one, two
    assert len(check_each_key(visits)) == 12


def visit_in(stream: str, item: Item) -> Visit:
    return visit((f"{stream} {item[0]}", item[1]))


def second_key(_: str, item: Item) -> str:
    return item[0]


@pytest.mark.parametrize("ordered", [True, False])
def test_aimap(pool: Pool, ordered: bool) -> None:
    async def source() -> AsyncIterator[Item]:
        for item in items_of(5, 30):
            yield item

    async def main(items: Any) -> list[Visit]:
        return [each async for each in pool.aimap(visit, items, key=key_of, sticky=True, ordered=ordered)]

    for items in (source(), items_of(5, 30)):
        visits = asyncio.run(main(items))
        assert len(visits) == 150
        by_key: dict[str, set[tuple[int, int]]] = {}
        for key, _, where, _ in visits:
            by_key.setdefault(key, set()).add(where)
        assert all(len(places) == 1 for places in by_key.values())


@pytest.mark.parametrize("ordered", [True, False])
def test_spinoff(backend: Any, ordered: bool) -> None:
    items = items_of(11, 60)
    with SpinOff(visit_with, workers=2, backend=backend, setup=dict, key=key_of, sticky=True, ordered=ordered) as spin:
        spin.put_many(items[:300])
        for item in items[300:]:
            spin.put(item)
    visits = list(spin)
    assert len(visits) == len(items)
    assert not ordered or [each[:2] for each in visits] == items
    check_each_key(visits)


def test_spinoff_that_threads_put_into(backend: Any) -> None:
    """With futures only, and each thread's keys its own."""

    def put(name: str) -> None:
        for n in range(60):
            futures.append(spin.put((f"{name} {n % 3}", n)))

    futures: list[Any] = []
    with SpinOff(visit_with, workers=2, backend=backend, setup=dict, key=key_of, sticky=True, iterate=False) as spin:
        threads = [threading.Thread(target=put, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    visits = sorted(future.result(0) for future in futures)
    if backend == "inline":  # there is one state; of two threads that put at once, one may run what the other has put
        visits = [(key, number, (where[0], 0), count) for key, number, where, count in visits]
    assert len(check_each_key(visits)) == 9


@pytest.mark.usefixtures("side_by_side")
def test_keys_that_run_side_by_side_have_different_homes(make_pool: MakePool, gate: Gate) -> None:
    pool = make_pool(3, setup=dict)
    items = [(name, n) for n in range(20) for name in "abc"]
    visits = pool.imap(partial(first_at_gate, gate.paths), items, key=key_of, sticky=True, live=True)
    gate.arrived(3)
    gate.open(3)
    by_key = check_each_key(visits)
    assert len({found[0][2] for found in by_key.values()}) == 3


def first_at_gate(paths: tuple[str, ...], item: Item) -> Visit:
    if item[1] == 0:
        work.pass_gate(*paths)
    return visit(item)


@pytest.mark.usefixtures("side_by_side")
def test_others_are_not_held_up(pool: Pool, gate: Gate) -> None:
    """While a key's worker is busy with another key, that key waits; calls, and keys at home elsewhere, go on."""
    stream = pool.imap_unordered(
        partial(gate_at_one, gate.paths), [("a", 0), ("b", 0), ("a", 1), *[("b", n) for n in range(1, 9)]],
        key=key_of, sticky=True, window=20, live=True,
    )  # fmt: skip
    gate.arrived(1)
    assert pool.submit(work.square, 3).result(PATIENCE) == 9
    gate.open(1)
    check_each_key(stream)


def gate_at_one(paths: tuple[str, ...], item: Item) -> Visit:
    if item == ("a", 1):
        work.pass_gate(*paths)
    return visit(item)


def test_a_further_run_is_at_home(pool: Pool) -> None:
    """Each item fails at its first try; that it was tried is known only where it was."""
    careful = pool.options(retries=1)
    items = items_of(4, 25)
    assert list(careful.imap(fail_where_it_is_new, items, key=key_of, sticky=True)) == items


def fail_where_it_is_new(item: Item) -> Item:
    tried: dict[Item, bool] = procession.state()
    if item[1] and not tried.setdefault(item, False):
        tried[item] = True
        raise LookupError(item)
    return item


@pytest.mark.parametrize("backoff", [None, 0.001])
def test_a_spinoffs_further_runs_are_at_home(backend: Any, backoff: float | None) -> None:
    items = items_of(4, 15)
    words: dict[str, Any] = {"workers": 2, "backend": backend, "setup": dict, "retries": 1, "backoff": backoff}
    with SpinOff(fail_at_new, key=key_of, sticky=True, **words) as spin:
        spin.put_many(items)
    assert list(spin) == items


def fail_at_new(_state: Any, item: Item) -> Item:
    return fail_where_it_is_new(item)


# ----------------------------------------------------------------------------------------------------- and no longer


@pytest.mark.usefixtures("mortal")
def test_when_a_worker_dies_its_keys_go_on_elsewhere(pool: Pool) -> None:
    """The item that it died with fails; the next of each key finds no state, and the key stays where that ran."""
    items = [("a" if n % 2 else "b", n) for n in range(60)]
    results = list(pool.imap(die_at_thirty, items, key=key_of, sticky=True, on_error="return"))
    assert [n for n, each in enumerate(results) if isinstance(each, WorkerDied)] == [30]
    by_key = check_each_key([each for each in results if not isinstance(each, WorkerDied)], moves=True)
    before, after = [{each[2] for each in by_key["b"] if (each[1] > 30) is late} for late in (False, True)]
    assert len(before) == len(after) == 1
    assert before.isdisjoint(after)


def die_at_thirty(item: Item) -> Visit:
    if item[1] == 30:
        os._exit(3)
    return visit(item)


@pytest.mark.usefixtures("mortal")
def test_a_further_run_after_a_death(pool: Pool, tmp_path: Any) -> None:
    careful = pool.options(retries=1)
    function = partial(die_once_at_thirty, str(tmp_path / "died"))
    visits = list(careful.imap(function, [("a", n) for n in range(60)], key=key_of, sticky=True))
    (found,) = check_each_key(visits, moves=True).values()
    assert [each[1] for each in found] == list(range(60))
    assert [each[3] for each in found] == [*range(1, 31), *range(1, 31)]


def die_once_at_thirty(path: str, item: Item) -> Visit:
    if item[1] == 30 and not os.path.exists(path):
        work.note(path, "died")
        os._exit(3)
    return visit(item)


@pytest.mark.usefixtures("mortal")
@pytest.mark.parametrize("ordered", [True, False])
def test_workers_that_are_replaced(make_pool: MakePool, ordered: bool) -> None:
    pool = make_pool(2, setup=dict, max_tasks_per_child=8)
    items = items_of(5, 12)
    visits = list(pool.imap(visit, items, key=key_of, sticky=True, ordered=ordered))
    assert len(visits) == 60
    check_each_key(visits, moves=True)
    most: dict[tuple[int, int], int] = {}
    for _, _, where, _ in visits:
        most[where] = most.get(where, 0) + 1
    assert max(most.values()) <= 8


@pytest.mark.usefixtures("side_by_side")
def test_a_timeout_ends_the_home(pool: Pool, capabilities: Capabilities, gate: Gate) -> None:
    """A process is killed, a thread is given up: the key goes on elsewhere either way."""
    hasty = pool.options(timeout=1.0)
    function = partial(gate_at_five, gate.paths)
    results = list(hasty.imap(function, [("a", n) for n in range(12)], key=key_of, sticky=True, on_error="return"))
    assert [n for n, each in enumerate(results) if isinstance(each, TaskTimeout)] == [5]
    (found,) = check_each_key([each for each in results if not isinstance(each, TaskTimeout)], moves=True).values()
    assert [each[3] for each in found] == [*range(1, 6), *range(1, 7)]
    gate.open(1)


def gate_at_five(paths: tuple[str, ...], item: Item) -> Visit:
    if item[1] == 5:
        work.pass_gate(*paths)
    return visit(item)


@pytest.mark.usefixtures("side_by_side")
def test_a_smaller_pool(make_pool: MakePool) -> None:
    pool = make_pool(3, setup=dict)
    stream = pool.imap(visit, items_of(6, 200), key=key_of, sticky=True, window=30)
    visits = [next(stream) for _ in range(100)]
    pool._engine.resize(1)
    visits += stream
    by_key = check_each_key(visits, moves=True)
    assert all(len({each[2] for each in found}) <= 2 for found in by_key.values())
    assert len({found[-1][2] for found in by_key.values()}) == 1


# ------------------------------------------------------------------------------------------------------------ cancels


@pytest.mark.usefixtures("side_by_side")
def test_cancel_of_one_item(backend: Any, gate: Gate) -> None:
    """The others of its key run in order, where it would have."""
    with SpinOff(
        partial(first_of_spinoff_at_gate, gate.paths), workers=2, backend=backend, setup=dict, key=key_of, sticky=True
    ) as spin:
        futures = spin.put_many([("a", n) for n in range(10)])
        gate.arrived(1)
        assert all(futures[n].cancel() for n in (1, 2, 5))
        gate.open(1)
    visits = list(spin)
    assert [each[1] for each in visits] == [0, 3, 4, 6, 7, 8, 9]
    check_each_key(visits)


def first_of_spinoff_at_gate(paths: tuple[str, ...], state: dict[str, int], item: Item) -> Visit:
    if item[1] == 0:
        work.pass_gate(*paths)
    return visit_with(state, item)


@pytest.mark.usefixtures("mortal")
def test_cancel_of_what_runs_ends_the_home(backend: Any, gate: Gate) -> None:
    with SpinOff(
        partial(third_at_gate, gate.paths), workers=2, backend=backend, setup=dict, key=key_of, sticky=True
    ) as spin:
        futures = spin.put_many([("a", n) for n in range(10)])
        gate.arrived(1)
        assert futures[3].cancel()
    visits = list(spin)
    assert [each[3] for each in visits] == [1, 2, 3, *range(1, 7)]
    check_each_key(visits, moves=True)


def third_at_gate(paths: tuple[str, ...], state: dict[str, int], item: Item) -> Visit:
    if item[1] == 3:
        work.pass_gate(*paths)
    return visit_with(state, item)


@pytest.mark.usefixtures("side_by_side")
def test_a_stream_that_is_closed_leaves_nothing_bound(pool: Pool) -> None:
    stream = pool.imap(visit, items_of(20, 500), key=key_of, sticky=True)
    for _ in range(50):
        next(stream)
    stream.close()
    deadline = time.monotonic() + PATIENCE
    while (now := pool.stats()).pending or now.in_flight:
        assert time.monotonic() < deadline, now
        time.sleep(0.001)
    assert list(pool.map(work.square, range(10))) == [n * n for n in range(10)]


# ------------------------------------------------------------------------------------------------------ the hot key


@pytest.mark.usefixtures("side_by_side")
@pytest.mark.parametrize("sticky", [True, False])
def test_stats_name_the_key_that_most_items_wait_for(pool: Pool, gate: Gate, sticky: bool) -> None:
    items = [("hot", 0), ("cold", 0), *[("hot", n) for n in range(1, 8)], ("cold", 1)]
    stream = pool.imap(
        partial(first_at_gate, gate.paths), items, key=key_of, sticky=sticky, window=len(items), live=True
    )
    gate.arrived(2)
    while stream.stats().pulled < len(items):
        time.sleep(0.001)
    assert (stream.stats().hot_key, stream.stats().hot_key_waiting) == ("hot", 7)
    gate.open(2)
    assert len(list(stream)) == len(items)
    assert (stream.stats().hot_key, stream.stats().hot_key_waiting) == (None, 0)


@pytest.mark.usefixtures("side_by_side")
def test_a_spinoffs_stats_name_it_too(backend: Any, gate: Gate) -> None:
    with SpinOff(partial(first_of_spinoff_at_gate, gate.paths), backend=backend, setup=dict, key=key_of) as spin:
        futures = spin.put_many([("hot", n) for n in range(5)])
        gate.arrived(1)
        assert (spin.stats().hot_key, spin.stats().hot_key_waiting) == ("hot", 4)
        futures[2].cancel()
        assert spin.stats().hot_key_waiting == 3, "what was cancelled waits for nothing"
        gate.open(1)
    assert (spin.stats().hot_key, spin.stats().hot_key_waiting) == (None, 0)


def test_without_keys_there_is_no_hot_one(pool: Pool) -> None:
    stream = pool.imap(work.square, range(3))
    assert (stream.stats().hot_key, stream.stats().hot_key_waiting) == (None, 0)
    stream.close()


# ------------------------------------------------------------------------------------------------------------ refusals


def test_without_a_key_it_is_refused(pool: Pool, backend: Any) -> None:
    for call in (pool.imap, pool.imap_unordered, pool.aimap):
        with pytest.raises(ValueError, match="sticky=True needs key="):
            call(work.square, range(3), sticky=True)
        with pytest.raises(TypeError, match="sticky must be True or False, not str"):
            call(work.square, range(3), key=str, sticky="yes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sticky=True needs key="):
        SpinOff(work.square, backend=backend, sticky=True)
    with pytest.raises(TypeError, match="sticky must be True or False, not int"):
        SpinOff(work.square, backend=backend, key=str, sticky=1)  # type: ignore[arg-type]


def test_keys_that_fail_fail_their_items(pool: Pool) -> None:
    """A key that cannot be had, or not be hashed, has no home."""
    results = list(pool.imap(work.add, range(6), key=bad_for_two, sticky=True, on_error="return"))
    assert isinstance(results[0], ZeroDivisionError)
    assert isinstance(results[2], TypeError)
    assert [results[n] for n in (1, 3, 4, 5)] == [2, 4, 5, 6]


def bad_for_two(n: int) -> Any:
    return [] if n == 2 else 4 // n
