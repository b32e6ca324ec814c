"""The FIFO that tasks wait in, and are kept in while a worker has them: a deque, and the loops over many calls.

`TaskQueue` is what the rest of the core uses. With the fast lane it is the same in C (`_native/queue.c`), which may
take fewer calls at once than it could: whoever asks goes on by himself. One suite runs on both
(tests/native/test_queue.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from procession._native import native
from procession.core.policy import Profile
from procession.core.task import Task, count_items


class PlainQueue(deque[Task]):
    """Tasks, the oldest first."""

    __slots__ = ()

    def add(self, tasks: Sequence[Task]) -> int:
        """`extend`; returns how many items these tasks have."""
        self.extend(tasks)
        return count_items(tasks)

    def take(self, count: int) -> list[Task]:
        """Take out the oldest `count`; there are so many."""
        if count == len(self):
            taken = list(self)
            self.clear()
            return taken
        popleft = self.popleft
        return [popleft() for _ in range(count)]

    def take_calls(self, wid: int, profile: Profile, limit: int) -> tuple[list[Task], list[Task]]:
        """Claim for worker `wid` the first tasks, `limit` at most, as long as they are of one item each, of this
        profile, and leased as policy says (`grain` 0). Returns those, and those between them that did not let
        themselves be claimed; all of them are taken out.
        """
        taken: list[Task] = []
        refused: list[Task] = []
        while self and len(taken) < limit:
            task = self[0]
            if task.profile is not profile or task.size != 1 or task.grain:
                break
            (taken if task.claim(wid) else refused).append(self.popleft())
        return taken, refused


if TYPE_CHECKING:

    class TaskQueue(PlainQueue):
        """See the module."""

        def __init__(self, tasks: Iterable[Any] = ()) -> None: ...

else:
    TaskQueue = PlainQueue if native is None else native.TaskQueue

__all__ = ["PlainQueue", "TaskQueue"]
