"""What a CallFuture keeps, in C: still a Future, part of a cycle if need be; and what stands before its methods."""

from __future__ import annotations

import gc
import inspect
import pickle
import weakref
from concurrent.futures import Future
from typing import Any

import pytest

from procession import Pool, pool_face
from procession._native import native
from procession.backends import tasks
from procession.backends.storage import Storage, settle, settle_plainly
from procession.backends.tasks import CallFuture
from procession.types import Raised
from tests.native.kit import Function


class Owner:
    """Stands for an engine, where nobody asks it for anything."""


class Node:
    """Something that the collector knows."""


def made(owner: object = None) -> CallFuture[Any]:
    """A future as `submit` makes it."""
    fn = len
    entry = Function()
    entry.ref, entry.needs = weakref.ref(fn), None  # type: ignore[attr-defined]
    door = native.Door(owner)
    queue = native.TaskQueue()
    door.let_in({id(fn): entry}, CallFuture, queue, [print], -1)

    class Face:
        _door = door
        submit = native.Quick("submit", None)

    future: CallFuture[Any] = Face().submit(fn, "text")
    assert queue.popleft() is future
    return future


def test_it_is_a_future_with_a_storage() -> None:
    future = made()
    assert isinstance(future, Future)
    assert isinstance(future, Storage)
    assert future.body == ("text",)
    assert not vars(future), "nothing is kept in a dict"


def test_a_fresh_one_is_as_the_plain_one() -> None:
    fresh = made()
    for name in ("_state", "_result", "_exception", "_cond", "_doomed", "sink", "_lane", "wid", "started", "rules"):
        expected = getattr(tasks.Storage, name, None) if native is None else getattr(_plain(), name)
        assert getattr(fresh, name) == expected, name


def _plain() -> type:
    from procession.backends.storage import PlainStorage

    return PlainStorage


def test_it_is_tracked_as_soon_as_it_could_be_part_of_a_cycle() -> None:
    future = made()
    assert not gc.is_tracked(future)
    settle([future], [12])
    assert not gc.is_tracked(future), "a number refers to nothing"
    other = made()
    settle([other], [[12]])
    assert gc.is_tracked(other)
    third = made()
    third.add_done_callback(print)
    assert gc.is_tracked(third)
    fourth = made()
    settle([fourth], [Raised(ValueError())])
    assert gc.is_tracked(fourth)


@pytest.mark.parametrize("how", ["result", "error", "callback", "attribute"])
def test_a_cycle_through_it_is_collected(how: str) -> None:
    future, node = made(), Node()
    gone = weakref.ref(node)
    if how == "result":
        settle([future], [node])
    elif how == "error":
        error = ValueError()
        error.node = node  # type: ignore[attr-defined]
        settle([future], [Raised(error)])
        del error
    elif how == "callback":
        future.add_done_callback(lambda _, node=node: node)
    else:
        future.mine = node  # type: ignore[attr-defined]
    node.future = future  # type: ignore[attr-defined]
    del future, node
    gc.collect()
    assert gone() is None


def test_settling_is_what_it_is_in_python() -> None:
    """Done and doomed ones are left alone; those that somebody waits for are returned, and their state left."""

    def scene() -> list[CallFuture[Any]]:
        futures = [CallFuture(Function(), (number,)) for number in range(5)]
        settle_plainly(futures[:1], ["before"])
        futures[1]._doomed = True
        futures[2].add_done_callback(lambda _: None)
        futures[3].sink = object()  # type: ignore[assignment]
        return futures

    told = []
    for way in (settle, settle_plainly):
        futures = scene()
        watched = way(futures, [0, 1, 2, 3, Raised(ValueError("4"))])
        told.append(
            [
                [futures.index(each) for each in watched],
                [(each._state, each._result, repr(each._exception), each.body) for each in futures],
            ]
        )
    assert told[0] == told[1]
    assert told[0][0] == [2, 3]


def test_settling_wants_two_lists_of_one_length() -> None:
    with pytest.raises(TypeError, match="two lists"):
        native.resolve([made()], [])
    with pytest.raises(TypeError, match="futures, not int"):
        native.resolve([1], [2])


# ------------------------------------------------------------------------------------------------------------- methods


def test_the_methods_are_what_they_stand_before() -> None:
    assert Pool.submit.__name__ == "submit"
    assert Pool.submit.__doc__ == pool_face.PoolFace.submit.__doc__
    assert "returns its Future" in (Pool.submit.__doc__ or "")
    assert list(inspect.signature(Pool.submit).parameters) == ["self", "fn", "args", "kwargs"]
    assert list(inspect.signature(CallFuture.result).parameters) == ["self", "timeout"]
    assert pickle.loads(pickle.dumps(Pool)) is Pool


def test_a_bound_method_is_one() -> None:
    future = CallFuture(Function(), ())
    settle([future], [5])
    result = future.result
    assert result() == 5
    assert result(timeout=1) == 5
    assert result(1) == 5
    assert CallFuture.result(future) == 5
    with pytest.raises(TypeError):
        result(1, 2)
    with pytest.raises(TypeError):
        CallFuture.result()  # type: ignore[call-arg]


def test_there_are_no_other_short_ways() -> None:
    with pytest.raises(ValueError, match="no short way for"):
        native.Quick("cancel", len)


def test_a_subclass_of_a_pool_may_have_its_own_submit() -> None:
    class Counting(Pool):
        count = 0

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return super().submit(fn, *args, **kwargs)

    with Counting(1) as pool:
        assert [pool.submit(abs, -number).result() for number in range(5)] == list(range(5))
        assert pool.count == 5


def test_a_door_wants_the_right_things() -> None:
    door = native.Door(None)
    with pytest.raises(TypeError, match="must derive from Storage"):
        door.let_in({}, Future, native.TaskQueue(), [], -1)
    with pytest.raises(TypeError, match="ParentRing"):
        door.lane = 5
    assert not door.open
