"""The short way into a SpinOff: what takes it and what does not are one stream, in order, within the same bounds."""

from __future__ import annotations

import random
import threading

import pytest

from procession import Full, SpinOff
from procession._native import native
from procession.core.flow import FlowCore
from procession.spinoff_core import SpinCore
from procession.starts import SinkFuture


def same(item: object) -> object:
    return item


def failing(item: object) -> object:
    if isinstance(item, int) and item % 7 == 3:
        raise ValueError(item)
    return item


def test_items_of_all_kinds_keep_their_order() -> None:
    rng = random.Random(5)
    kinds = (int, float, str, lambda n: [n], lambda n: (n, "x"), lambda n: b"%d" % n, lambda n: "x" * 70_000 + str(n))
    items = [rng.choice(kinds)(n) for n in range(600)]
    with SpinOff(same) as spin:
        got = []
        for item in items:
            spin.put(item)
            got += spin.ready()
    assert got + list(spin) == items


def test_failures_are_at_their_places() -> None:
    with SpinOff(failing, on_error="return") as spin:
        for n in range(200):
            spin.put(n)
    assert [repr(each) for each in spin] == [repr(ValueError(n)) if n % 7 == 3 else repr(n) for n in range(200)]


def test_the_bound_holds_for_the_short_way() -> None:
    with SpinOff(same, maxsize=5, overflow="raise") as spin:
        for n in range(5):
            spin.put(n)
        with pytest.raises(Full):
            spin.put(5)
        assert next(spin) == 0
        spin.put(5)
        assert spin.stats().put == 6
    assert list(spin) == [1, 2, 3, 4, 5]


def test_futures_of_the_short_way_are_like_others() -> None:
    with SpinOff(same, iterate=False) as spin:
        spin.put([0]).result(30)
        future = spin.put(7)
        heard = threading.Event()
        future.add_done_callback(lambda _: heard.set())
        assert future.result(30) == 7
        assert heard.wait(30)
        with pytest.raises(TypeError):
            spin.ready()


def test_nothing_takes_the_short_way_after_the_end() -> None:
    spin = SpinOff(same)
    spin.put(1).result(30)
    spin.close()
    with pytest.raises(RuntimeError, match="after close"):
        spin.put(2)
    assert spin.join(30)
    with pytest.raises(RuntimeError, match="after close"):
        spin.put(2)
    assert list(spin) == [1]


def test_threads_that_put_at_once_lose_nothing() -> None:
    with SpinOff(same, maxsize=0) as spin:

        def put(first: int) -> None:
            for n in range(first, first + 2000):
                spin.put(n if n % 3 else [n])

        threads = [threading.Thread(target=put, args=(5000 * each,)) for each in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    got = [each[0] if isinstance(each, list) else each for each in spin]
    assert sorted(got) == sorted(5000 * each + n for each in range(3) for n in range(2000))
    for each in range(3):
        mine = [n for n in got if n // 5000 == each]
        assert mine == sorted(mine), "each thread's items are in its order"


@pytest.mark.skipif(native is None, reason="there is no short way in pure Python")
def test_who_needs_more_has_no_short_way() -> None:
    def funnel(**words: object) -> object:
        spin = SpinOff(same, **words)  # type: ignore[arg-type]
        try:
            return spin._funnel
        finally:
            spin.close()

    assert funnel() is not None
    assert funnel(iterate=False) is not None
    assert funnel(key=lambda item: item) is None
    assert funnel(retries=1) is None
    assert funnel(on_error=print) is None
    assert funnel(backend="threads") is None


@pytest.mark.skipif(native is None, reason="there is no short way in pure Python")
def test_a_run_is_one_only_if_its_items_are_neighbours_that_ended_well() -> None:
    def future(index: int, done: bool = True) -> SinkFuture:
        made = SinkFuture(None, None)  # type: ignore[arg-type]
        made.index = index
        if done:
            native.resolve([made], [index])
        return made

    run = [future(4), future(5), future(6)]
    known = {each.index: each for each in run}
    assert native.run_of(run, known) == 4
    assert native.run_of(run, {**known, 5: future(5)}) is None
    assert native.run_of([run[0], run[2]], known) is None
    assert native.run_of([run[0], future(5, done=False)], known) is None
    assert native.run_of([], known) is None
    native.forget(run[:2], known)
    assert known == {6: run[2]}


@pytest.mark.skipif(native is None, reason="there is no short way in pure Python")
def test_a_funnel_wants_a_flow() -> None:
    door = native.Door(None)
    with pytest.raises(AttributeError, match="window"):
        native.Funnel(object(), {}, threading.RLock(), None, SinkFuture, None, None, door, True)
    with pytest.raises(TypeError, match="Storage"):
        native.Funnel(FlowCore(), {}, threading.RLock(), None, SpinCore, None, None, door, True)


def test_what_is_ready_is_seen_where_no_order_is_kept() -> None:
    """Outcomes wait somewhere else there."""
    with SpinOff(same, workers=2, ordered=False) as spin:
        spin.put_many([1, [2], 3])
        assert spin.flush(30)
        assert sorted(spin.ready(), key=str) == [1, 3, [2]]
        assert spin.ready() == []
