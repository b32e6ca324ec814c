"""What waits, in the order in which it will be handed out: a lane for each priority, and ageing between them.

A lane is first in, first out; what comes back to it goes to its front. A lane's rank is the time at which its first
task came, less AGE_NS for each point of its priority, and the lane of the lowest rank is in front. So a point of
priority is worth AGE_NS of waiting, whoever comes later: nothing waits for ever.

Tasks that only one worker may run (homes.py) are bound to it: they wait in a queue of that worker's, first in, first
out, whatever their priorities.

Until a task with a priority comes there is one lane, and no task is stamped with a time; who waits then counts as
having come just now. Stamping ends when nothing waits. What comes back bears the time of the task before which it is
put: it was there earlier, but by how much decides nothing within a lane.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from operator import not_
from typing import Any

from procession.core.queue import TaskQueue
from procession.core.rules import SECOND
from procession.core.task import Task, count_items, kinds_of

AGE_NS = SECOND
"""Waiting that is worth one point of priority."""


class Lane:
    """The waiting tasks of one priority, and, while times are kept, when each of them came."""

    __slots__ = ("priority", "stamps", "tasks")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.tasks = TaskQueue()
        self.stamps: deque[int] = deque()

    def settle(self, now: int) -> None:
        """Tasks were put to its front."""
        stamps = self.stamps
        stamps.extendleft([stamps[0] if stamps else now] * (len(self.tasks) - len(stamps)))

    def forget(self) -> None:
        """Tasks were taken from its front."""
        while len(self.stamps) > len(self.tasks):
            self.stamps.popleft()

    @property
    def rank(self) -> tuple[int, int]:
        """The lowest is served first."""
        return (self.stamps[0] - self.priority * AGE_NS, -self.priority)


class Line:
    """All lanes, and what is bound. `front` is the lane to be served, empty only when all are.

    `items` counts what the lanes hold: what anybody could take.
    """

    __slots__ = ("bound", "front", "items", "lanes", "stamped")

    def __init__(self) -> None:
        self.items = 0
        self.stamped = False  # tasks bear the times at which they came
        plain = Lane(0)
        self.lanes = {0: plain}
        self.front = plain.tasks
        self.bound: dict[int, deque[Task]] = {}  # by worker; one item a task, and no queue is empty

    def __iter__(self) -> Iterator[Task]:
        for lane in self.lanes.values():
            yield from lane.tasks
        for queue in self.bound.values():
            yield from queue

    @property
    def waiting(self) -> int:
        """Items that wait, for anybody or for one worker. Any thread may ask."""
        return self.items + sum(map(len, list(self.bound.values())))

    def extend(self, tasks: Sequence[Task], now: int, prioritized: bool) -> None:
        """At the end, in this order; `prioritized`: some of them have a priority."""
        if not prioritized and not self.stamped:
            self.items += self.front.add(tasks)
            return
        self.items += count_items(tasks)
        for task in tasks:
            lane = self._lane(task, now)
            lane.tasks.append(task)
            lane.stamps.append(now)
        self.choose()

    def put_back(self, tasks: Sequence[Task], now: int) -> None:
        """At the front, in this order."""
        self.items += count_items(tasks)
        if not self.stamped and not any(rules.priority for rules in kinds_of(tasks)):
            self.front.extendleft(reversed(tasks))
            return
        for task in reversed(tasks):
            lane = self._lane(task, now)
            lane.tasks.appendleft(task)
            lane.settle(now)
        self.choose()

    def choose(self) -> None:
        """Which lane is to be served: called when tasks have come, or were taken from the front lane."""
        if not self.stamped:
            return
        for lane in list(self.lanes.values()):
            lane.forget()
            if not lane.tasks and lane.priority:
                del self.lanes[lane.priority]
        lanes = [lane for lane in self.lanes.values() if lane.tasks] or [self.lanes[0]]
        self.front = min(lanes, key=lambda lane: lane.rank).tasks if len(lanes) > 1 else lanes[0].tasks
        self.stamped = any(lane.tasks for lane in self.lanes.values())

    def take_all(self) -> list[Task]:
        """Everything."""
        return self.remove(lambda _task: True)

    def remove(self, unwanted: Callable[[Task], object]) -> list[Task]:
        """Take out the tasks of which this is true."""
        gone: list[Task] = []
        for lane in self.lanes.values():
            wanted = [not unwanted(task) for task in lane.tasks]
            gone += compress(lane.tasks, map(not_, wanted))
            _keep(lane.tasks, wanted)
            _keep(lane.stamps, wanted)
        self.items -= count_items(gone)
        self.choose()
        for wid, queue in list(self.bound.items()):
            wanted = [not unwanted(task) for task in queue]
            gone += compress(queue, map(not_, wanted))
            _keep(queue, wanted)
            if not queue:
                del self.bound[wid]
        return gone

    def check(self) -> None:
        """It agrees with itself."""
        assert self.items == count_items(task for lane in self.lanes.values() for task in lane.tasks), "items"
        assert all(self.bound.values()), "an empty queue of bound tasks"
        assert self.front or not self.items, "the front lane is empty, and something waits"
        if not self.stamped:
            assert len(self.lanes) == 1, "lanes, and no stamps"
            assert not self.lanes[0].stamps, "stamps that nobody looks after"
            assert self.front is self.lanes[0].tasks
            return
        for lane in self.lanes.values():
            assert len(lane.stamps) == len(lane.tasks), "stamps"
            assert lane.tasks or not lane.priority, "an empty lane"
            if lane.tasks:
                front = next(each for each in self.lanes.values() if each.tasks is self.front)
                assert front.rank <= lane.rank, "another lane is to be served first"

    def _lane(self, task: Task, now: int) -> Lane:
        if not self.stamped:
            self.stamped = True
            self.lanes[0].settle(now)
        priority = 0 if task.rules is None else task.rules.priority
        lane = self.lanes.get(priority)
        if lane is None:
            lane = self.lanes[priority] = Lane(priority)
        return lane


def _keep(row: TaskQueue | deque[Any], wanted: list[bool]) -> None:
    kept = list(compress(row, wanted))
    row.clear()
    row.extend(kept)
