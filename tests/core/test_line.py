"""Lanes by priority, and ageing between them."""

from __future__ import annotations

import random
from collections.abc import Iterable

from procession.core.line import AGE_NS, Line
from procession.core.rules import Rules
from procession.core.task import Task
from procession.testing.model import Guess, ModelTask

PROFILE = Guess(1000.0)


def call(number: int, priority: int = 0) -> ModelTask:
    task = ModelTask(number, 1, PROFILE)
    task.rules = Rules(priority=priority) if priority else None
    return task


def take(line: Line, count: int = 1) -> list[int]:
    found = []
    for _ in range(count):
        task = line.front.popleft()
        line.items -= task.size
        line.choose()
        line.check()
        found.append(task.start)  # type: ignore[attr-defined]
    return found


def extend(line: Line, tasks: Iterable[Task], now: int = 0) -> None:
    listed = list(tasks)
    line.extend(listed, now, any(task.rules is not None for task in listed))
    line.check()


def test_without_priorities_it_is_a_queue() -> None:
    line = Line()
    extend(line, map(call, range(5)))
    assert take(line, 2) == [0, 1]
    line.put_back([call(0), call(1)], 0)
    line.check()
    assert take(line, 5) == [0, 1, 2, 3, 4]
    assert not line.items


def test_higher_first_and_first_in_first_out_within() -> None:
    line = Line()
    extend(line, [call(0), call(1, 5), call(2, -5), call(3, 5), call(4)])
    assert take(line, 5) == [1, 3, 0, 4, 2]
    assert len(line.lanes) == 1


def test_a_point_is_worth_a_second() -> None:
    line = Line()
    extend(line, [call(0), call(9, 1)])
    extend(line, [call(1, 10)], now=10 * AGE_NS + 1)
    assert take(line, 2) == [9, 0], "they have waited for longer than ten points are worth"
    extend(line, [call(2)], now=10 * AGE_NS + 1)
    assert take(line, 2) == [1, 2]


def test_nothing_waits_for_ever() -> None:
    line = Line()
    extend(line, [call(-1)])
    served = []
    for second in range(100):
        extend(line, [call(second, 20)], now=second * AGE_NS)
        served += take(line)
    assert served.index(-1) == 21


def test_what_comes_back_is_first_in_its_lane() -> None:
    line = Line()
    extend(line, [call(0), call(1, 3), call(2, 3)])
    assert take(line) == [1]
    line.put_back([call(1, 3)], 0)
    line.check()
    assert take(line, 3) == [1, 2, 0]
    line.put_back([call(7, 2)], 0)
    line.check()
    assert take(line) == [7]


def test_removing() -> None:
    line = Line()
    extend(line, [call(n, n % 3) for n in range(9)])
    gone = line.remove(lambda task: task.start % 2)  # type: ignore[attr-defined]
    line.check()
    assert sorted(task.start for task in gone) == [1, 3, 5, 7]  # type: ignore[attr-defined]
    assert take(line, 5) == [2, 8, 4, 0, 6]


def test_it_agrees_with_a_sort() -> None:
    """Whatever comes, goes and comes back: the next one is the lowest of arrival less priority, oldest first."""
    rng = random.Random(3)
    for _ in range(200):
        line, waiting, now = Line(), dict[int, tuple[int, int, int]](), 0
        for number in range(rng.randrange(1, 60)):
            if waiting and rng.random() < 0.4:
                (served,) = take(line)
                assert served == min(waiting, key=lambda each: waiting[each])
                del waiting[served]
            now += rng.choice([0, 1, AGE_NS // 2, 3 * AGE_NS])
            priority = rng.choice([0, 0, 1, 2, -1]) if waiting else 1  # from the first on, all are stamped
            extend(line, [call(number, priority)], now=now)
            waiting[number] = (now - priority * AGE_NS, -priority, number)
        assert take(line, len(waiting)) == sorted(waiting, key=lambda each: waiting[each])
