"""The queue of tasks: the deque and the one in C do the same, whatever is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from procession._native import native
from procession.backends.tasks import CallFuture
from procession.core.queue import PlainQueue
from tests.native.kit import Function, chunk

KINDS: list[Any] = [PlainQueue] if native is None else [PlainQueue, native.TaskQueue]
FUNCTIONS = [Function(1), Function(2)]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def queue(request: pytest.FixtureRequest) -> Any:
    return request.param()


def call(function: Function, number: int = 0) -> CallFuture[Any]:
    return CallFuture(function, (number,))


def test_it_begins_with_what_it_is_given(queue: Any) -> None:
    assert list(type(queue)([1, 2, 3])) == [1, 2, 3]
    assert not queue
    assert len(queue) == 0


def test_what_an_empty_one_says(queue: Any) -> None:
    for taken in (queue.pop, queue.popleft, lambda: queue[0], lambda: queue[-1], lambda: queue.take(1)):
        with pytest.raises(IndexError):
            taken()


def test_add_counts_items(queue: Any) -> None:
    assert queue.add([call(FUNCTIONS[0]), chunk(FUNCTIONS[0], [1, 2, 3]), call(FUNCTIONS[1])]) == 5
    assert queue.add([]) == 0
    assert len(queue) == 3


def test_calls_of_one_kind_are_claimed_up_to_the_limit(queue: Any) -> None:
    mine, other = FUNCTIONS
    tasks = [call(mine), call(mine), call(mine), call(other), call(mine)]
    queue.extend(tasks)
    assert queue.take_calls(4, mine.profile, 2) == (tasks[:2], [])
    assert [task.wid for task in tasks] == [4, 4, None, None, None]
    assert queue.take_calls(4, mine.profile, 9) == ([tasks[2]], [])
    assert queue.take_calls(4, mine.profile, 9) == ([], [])
    assert list(queue) == tasks[3:]


def test_calls_that_refuse_are_taken_out_and_told(queue: Any) -> None:
    mine = FUNCTIONS[0]
    tasks = [call(mine, number) for number in range(6)]
    tasks[0].cancel()
    tasks[2]._doomed = True
    tasks[3].wid = 5  # it is in the line twice
    tasks[4].mark_running()  # it was told to be running, and came back
    queue.extend(tasks)
    assert queue.take_calls(1, mine.profile, 9) == ([tasks[1], tasks[4], tasks[5]], [tasks[0], tasks[2], tasks[3]])
    assert not queue


def test_chunks_are_left_to_who_can_cut_them(queue: Any) -> None:
    mine = FUNCTIONS[0]
    whole = chunk(mine, [1, 2])
    queue.extend([whole, call(mine)])
    assert queue.take_calls(1, mine.profile, 9) == ([], [])
    assert whole.wid is None


@pytest.mark.skipif(native is None, reason="the inbox takes runs by itself in pure Python")
def test_a_run_of_futures_ends_at_what_is_none() -> None:
    queue = native.TaskQueue()
    tasks = [call(FUNCTIONS[0]), call(FUNCTIONS[1])]
    queue.extend([*tasks, "request", tasks[0]])
    assert queue.take_run() == tasks
    assert queue.take_run() == []
    assert queue.popleft() == "request"
    assert queue.take_run() == [tasks[0]]


class Both(RuleBasedStateMachine):
    """One of each kind; a list says what is in them."""

    def __init__(self) -> None:
        super().__init__()
        self.plain: Any = PlainQueue()
        self.other: Any = native.TaskQueue()
        self.next = 0

    def both(self, action: Callable[[Any], Any]) -> None:
        told = []
        for queue in (self.plain, self.other):
            try:
                told.append(action(queue))
            except IndexError:
                told.append(IndexError)
        assert told[0] == told[1]

    def fresh(self, count: int) -> list[int]:
        self.next += count
        return list(range(self.next - count, self.next))

    @rule(count=st.integers(0, 200))
    def extend(self, count: int) -> None:
        items = self.fresh(count)
        self.both(lambda queue: queue.extend(items))

    @rule(count=st.integers(0, 70))
    def extendleft(self, count: int) -> None:
        items = self.fresh(count)
        self.both(lambda queue: queue.extendleft(iter(items)))

    @rule()
    def append(self) -> None:
        (item,) = self.fresh(1)
        self.both(lambda queue: queue.append(item))

    @rule()
    def appendleft(self) -> None:
        (item,) = self.fresh(1)
        self.both(lambda queue: queue.appendleft(item))

    @rule(count=st.integers(1, 40))
    def popleft(self, count: int) -> None:
        for _ in range(count):
            self.both(lambda queue: queue.popleft())

    @rule(count=st.integers(1, 40))
    def pop(self, count: int) -> None:
        for _ in range(count):
            self.both(lambda queue: queue.pop())

    @rule(share=st.floats(0, 1))
    def take(self, share: float) -> None:
        count = int(share * len(self.plain))
        self.both(lambda queue: queue.take(count))

    @rule()
    def clear(self) -> None:
        self.both(lambda queue: queue.clear())

    @invariant()
    def alike(self) -> None:
        self.both(list)
        self.both(len)
        self.both(bool)
        self.both(lambda queue: queue[0])
        self.both(lambda queue: queue[-1])
        self.both(lambda queue: queue[len(queue) // 2])
        self.both(lambda queue: self.next - 1 in queue)


Both.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
if native is not None:  # else there is nothing to compare with
    TestBoth = Both.TestCase
