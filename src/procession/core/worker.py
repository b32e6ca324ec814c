"""One worker as the core sees it: a state from a table (state.py), and the FIFO of what it has in hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from procession.core.policy import MAX_LEASE, Profile
from procession.core.queue import TaskQueue
from procession.core.rules import Cause
from procession.core.state import TRANSITIONS, CoreError
from procession.core.state import Signal as Signal
from procession.core.state import State as State
from procession.core.task import Home, Task


class Sentence:
    """One running item is to end: the `mark`-th that this worker would answer, if it is still at it when looked at."""

    __slots__ = ("cause", "executed", "grace_ns", "mark", "until")

    def __init__(self, mark: int, cause: Cause, grace_ns: int) -> None:
        self.mark = mark  # outcomes that were, or will have been, heard before it
        self.cause = cause
        self.grace_ns = grace_ns
        self.until: int | None = None  # it was asked to end by itself, and has until then
        self.executed = False  # the worker was told to die for it


MAX_OPEN_LEASES = 200
"""Leases a worker has not left behind. Their numbers travel modulo 256 and must not be mistaken for one another."""


class Worker:
    """A worker's record. `items` = the outcomes it owes = the sum of the sizes of `inflight`."""

    __slots__ = (
        "due",
        "finished",
        "heir",
        "inflight",
        "items",
        "lease_items",
        "leaving",
        "lent",
        "look_ns",
        "looked_at",
        "loose",
        "mark",
        "mortal",
        "next_number",
        "open_leases",
        "pinned",
        "pins",
        "principal",
        "quota",
        "ran_ns",
        "renewed",
        "sentence",
        "state",
        "story",
        "tied",
        "unwanted",
        "wid",
    )

    def __init__(self, wid: int, quota: int | None) -> None:
        self.wid = wid
        self.state = State.STARTING
        self.inflight = TaskQueue()
        self.items = 0
        self.loose = 0  # items whose tokens may still be in the pipe
        self.quota = quota  # items it may still be leased before it is replaced; None = no limit
        self.heir: int | None = None  # who takes its place, see recycling.py
        self.principal: int | None = None  # whose place it takes
        self.due = False  # it is too old, or too heavy
        self.renewed = False  # it was given an heir because its quota ends
        self.leaving = False  # it is given nothing more, and is stopped when it is through
        self.tied = False  # its latest lease was of what is bound to it, see homes.py
        self.pinned = False  # it has, or has had, pins
        self.pins: dict[Home, None] = {}  # something lives here for the tasks of these keys, see homes.py
        self.next_number = 0
        self.lent = False  # callers may hand it single calls, see lending.py
        self.open_leases: deque[tuple[tuple[Profile, ...], int, float]] = deque()
        self.lease_items = 0  # items in the latest lease
        self.unwanted: dict[int, object] = {}  # by id: tasks and groups in hand that are cancelled if they come back
        self.mortal: set[int] = set()  # those of `unwanted` that are to end even if they have started
        self.finished = 0  # outcomes heard of it
        self.look_ns = 0  # time between two looks at what it runs; 0: nobody need look
        self.mark = -1  # `finished` at the last look, if it was running something then
        self.looked_at = 0
        self.ran_ns = 0  # what it runs has been seen running for so long
        self.sentence: Sentence | None = None
        self.story: deque[tuple[Signal, State, int]] = deque(maxlen=12)

    def signal(self, signal: Signal) -> None:
        """Move along the table; a missing cell is a bug and tells the worker's story."""
        state = TRANSITIONS.get((self.state, signal))
        if state is None:
            raise self.error(f"{signal.name} cannot happen in {self.state.name}")
        self.state = state
        self.story.append((signal, state, self.items))

    def error(self, what: str) -> CoreError:
        """What went wrong, with the latest signals, the state after each and the items then in hand."""
        story = " > ".join(f"{signal.name}:{state.name}/{items}" for signal, state, items in self.story)
        return CoreError(f"worker {self.wid}: {what} (before: {story or 'nothing'})")

    @property
    def usable(self) -> bool:
        """Counts towards the width of the pool."""
        return self.principal is None and self.state in (State.STARTING, State.IDLE, State.BUSY)

    @property
    def stays(self) -> bool:
        """It may be given something yet, if not now; so it may be a home."""
        return self.usable and not self.leaving and not self.spent

    @property
    def spent(self) -> bool:
        """It has run all that it may in its life, and nothing lives here."""
        return self.quota is not None and self.quota <= 0 and not self.pins

    @property
    def through(self) -> bool:
        """When it has nothing in hand it is to be stopped."""
        return (self.spent or self.leaving) and not self.lent

    @property
    def hungry(self) -> bool:
        """Ready, has nothing in hand and may be given something."""
        return self.state is State.IDLE and self.may_lease()

    @property
    def waking(self) -> bool:
        """Will be hungry when it is ready."""
        return self.state is State.STARTING and self.items == 0 and self.may_lease()

    @property
    def thirsty(self) -> bool:
        """Runs its last items and would wait for the parent when they are done."""
        dry = self.state is State.BUSY and self.items <= max(1, self.lease_items // 2)
        return dry and not self.tied and self.may_lease()

    @property
    def stealable(self) -> int:
        """Items in hand that a withdrawal might bring back; 0 after one, until the next lease."""
        if self.state is State.BUSY:  # calls of a lent worker are told late: they have been started long ago
            return 0 if self.lent or self.tied else min(self.loose, self.items - 1)
        return self.loose if self.state is State.STARTING else 0

    @property
    def holding(self) -> bool:
        """It may have finished something of a lease that it still runs."""
        return self.state is State.BUSY and self.items > 1 and not self.lent

    @property
    def watched(self) -> bool:
        """What it runs is to be looked at every `look_ns`."""
        return self.look_ns > 0 and self.state is State.BUSY

    def mortal_runs(self) -> bool:
        """Asked once, with all tokens read back: is the last item in hand, the only one that can run, to end?"""
        runs = self.items > 0 and self.is_mortal(self.inflight[-1])
        self.mortal = set()
        return runs

    def is_mortal(self, task: Task) -> bool:
        """It is to end even if it has started."""
        return id(task) in self.mortal or (task.group is not None and id(task.group) in self.mortal)

    def may_lease(self) -> bool:
        """It is ours to give to, is not about to be replaced, and lease numbers are free."""
        ours = not self.lent and not self.leaving and self.principal is None
        return ours and not self.spent and self.sentence is None and len(self.open_leases) < MAX_OPEN_LEASES

    @property
    def allowance(self) -> int:
        """So many items may be leased to it."""
        return MAX_LEASE if self.quota is None or self.pins else self.quota

    def lease(self, tasks: Sequence[Task], items: int, profiles: tuple[Profile, ...], expected_ns: float) -> int:
        """Put `tasks` (`items` items in all) in hand; returns the number that their tokens bear."""
        if not self.items:
            self.mark = -1
        self.inflight.extend(tasks)
        self.items += items
        self.loose += items
        self.lease_items = items
        self.tied = False
        if self.quota is not None:
            self.quota -= items
        self.open_leases.append((profiles, items, expected_ns))
        number = self.next_number
        self.next_number += 1
        self.signal(Signal.LEASED)
        return number

    def end_lease(self) -> tuple[tuple[Profile, ...], int, float]:
        """It has left its oldest lease behind; returns what was known of it when it was made."""
        if not self.open_leases or self.state is State.STARTING:
            raise self.error("it ended a lease that it never had")
        return self.open_leases.popleft()

    def finish_calls(self, count: int) -> list[Task]:
        """The oldest `count` tasks, calls all, have been answered."""
        inflight = self.inflight
        if not 0 < count <= len(inflight):
            raise self.error(f"{count} outcomes for {len(inflight)} tasks in hand")
        tasks = inflight.take(count)
        self._finished(count)
        return tasks

    def finish_items(self, count: int) -> tuple[Task, int]:
        """The oldest `count` items of the oldest task have been answered; returns it and the first one's index."""
        size = self.inflight[0].size if self.inflight else 0
        if not 0 < count <= size:
            raise self.error(f"{count} outcomes for a task with {size} items")
        task = self.inflight[0]
        start = task.advance(count)
        if count == size:
            self.inflight.popleft()
        self._finished(count)
        return task, start

    def _finished(self, count: int) -> None:
        self.items -= count
        self.finished += count
        self.loose = min(self.loose, self.items)
        if self.items == 0:
            self.look_ns = 0
            self.signal(Signal.EMPTIED)

    def take_back(self, count: int) -> list[Task]:
        """The last `count` items are the parent's again; returns them as tasks, in order."""
        if not 0 <= count <= self.loose:
            raise self.error(f"{count} tokens came back, {self.loose} may have been in the pipe")
        back: deque[Task] = deque()
        left = count
        while left:
            task = self.inflight[-1]
            if task.size > left:
                task = task.split(task.size - left)
            else:
                self.inflight.pop()
            left -= task.size
            task.release()
            back.appendleft(task)
        self.items -= count
        self.loose = 0
        if self.quota is not None:
            self.quota += count
        if count and self.items == 0:
            self.look_ns = 0
            self.signal(Signal.EMPTIED)
        return list(back)
