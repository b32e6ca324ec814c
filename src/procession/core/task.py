"""What the core moves about: tasks, which are runs of one or more items.

A *call* (one submitted function call) has one item. A *chunk* has many: it is one record in the parent however many
items it holds, and it is cut where a lease, a withdrawal or a death cuts it. The core never looks inside an item.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Protocol

from procession.core.policy import Profile
from procession.core.rules import Rules

_RULES: attrgetter[Any] = attrgetter("rules")


class Home:
    """Where the tasks of one key run, all of which share it; see homes.py."""

    __slots__ = ("lost", "wid")

    def __init__(self) -> None:
        self.wid: int | None = None
        self.lost: int | None = None  # the worker with which went what lived there for this key

    def lives(self, _outcome: object) -> bool:
        """After this outcome something lives in the worker, without which the next task of the key cannot run."""
        return False


class Task(Protocol):
    """A run of items that somebody handed over and waits for.

    Invariants (checked by `PoolCore.check`):
    * a task is in exactly one place: pending, in flight on one worker, or answered;
    * `size` counts the items that have no outcome yet; a task of size 0 is nowhere;
    * a task with a home has one item.
    """

    wid: int | None
    """The worker that holds its lease."""
    tries: int
    """Runs that have failed before this one."""
    final: bool
    """Whatever its rules say, it has no further run: somebody has cancelled it."""
    due: int | None
    """When it will have waited too long for its first run; None: never, or it has had that."""

    @property
    def size(self) -> int:
        """Items without an outcome."""
        ...

    @property
    def grain(self) -> int:
        """Items a lease takes: 0 = as the policy measures, n = n (the caller's chunksize), fewer where workers idle."""
        ...

    @property
    def profile(self) -> Profile:
        """The measured cost of one item; shared by all tasks of one function."""
        ...

    @property
    def rules(self) -> Rules | None:
        """What was asked for it; None: nothing."""
        ...

    @property
    def home(self) -> Home | None:
        """Where the tasks of its key run; None: it has no key that would say."""
        ...

    @property
    def group(self) -> object:
        """What it is cancelled together with, or None."""
        ...

    @property
    def started(self) -> bool | None:
        """True: the user was told that it runs, so it may no longer be cancelled, only run (elsewhere, if need be).

        None: nobody can be told (a chunk).
        """
        ...

    def claim(self, wid: int) -> bool:
        """Lease it to worker `wid`; False when it was cancelled meanwhile, and then it is nobody's."""
        ...

    def release(self) -> None:
        """It came back unstarted: a cancel may take it again."""
        ...

    def again(self, index: int) -> Task:
        """Its item `index`, which has just failed: a task of its own, to be run once more, with one try more."""
        ...

    def split(self, count: int) -> Task:
        """Keep the first `count` items (0 < count < size) and return the rest as a task of its own."""
        ...

    def advance(self, count: int) -> int:
        """The first `count` items have their outcomes; returns the index of the first of them."""
        ...


def kinds_of(tasks: Iterable[Task]) -> list[Rules]:
    """The different rules that these tasks have; in C, as there may be thousands of tasks."""
    found = list(map(_RULES, tasks))
    return [rules for rules in dict(zip(map(id, found), found, strict=True)).values() if rules is not None]


def count_items(tasks: Iterable[Task]) -> int:
    """The items of some tasks."""
    return sum([task.size for task in tasks])
