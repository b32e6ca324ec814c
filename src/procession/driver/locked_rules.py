"""What a core that is stepped under a lock does for tasks with rules: time, asking, giving up threads, further runs."""

from __future__ import annotations

import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic_ns
from typing import Any, cast

from procession.backends.saying import say
from procession.backends.stacks import stack_of
from procession.backends.tasks import CallFuture, ChunkTask
from procession.backends.threads import ThreadWorker
from procession.captured import Captured
from procession.core import commands, events
from procession.core.rules import Cause
from procession.core.task import Task
from procession.driver.callbacks import Callbacks
from procession.driver.keeping import Keeper
from procession.driver.verdicts import Obituary, Verdicts

NEVER = 1 << 63


class LockedRules(Verdicts, ABC):
    """The part of `LockedCore` that tasks without rules do without."""

    workers: dict[int, ThreadWorker]
    bell: SimpleQueue[object]

    def __init__(self, callbacks: Callbacks) -> None:
        super().__init__(callbacks)
        self.looks: dict[int, None] = {}
        self.stacks: dict[int, str] = {}  # of workers whose item has run for too long
        self.written: dict[int, Captured[None]] = {}  # of these: by the item, if it is captured
        self.asked: dict[int, Cause] = {}  # workers whose item was asked to end, and why
        self.ruled = False  # among the tasks there may be some with rules
        self.keeper = Keeper(self)
        self.wakes_at = NEVER  # when the driver, which keeps time, means to wake

    @abstractmethod
    def step(self, event: events.Event) -> None:
        """Tell the core and do what it says."""

    @abstractmethod
    def harvest(self, worker: ThreadWorker) -> None:
        """Tell the core what the worker has finished since the last time."""

    def submitted(self, waiting: list[Task]) -> None:
        """These tasks have come."""
        self.step(events.Submitted(waiting, self.ruled, monotonic_ns() if self.ruled else 0))

    def call_keeper(self) -> None:
        """The driver is to wake earlier than it meant to, if something is wanted earlier now."""
        at = self.keeper.wanted_at()
        if at is not None and at < self.wakes_at:
            self.wakes_at = at
            self.bell.put(None)

    def look(self, wid: int) -> None:
        """Tell all that this worker has finished, and that this is all."""
        worker = self.workers.get(wid)
        if worker is not None:
            self.harvest(worker)
            self.keeper.looked(wid)

    # -- commands ----------------------------------------------------------------------------------------------------

    def rule_commands(self) -> dict[type, Callable[[Any], None]]:
        """Who performs what."""
        return {
            commands.Resolve: self._resolve,
            commands.ResolveItems: self.answer_items,
            commands.Look: self._look,
            commands.Ask: self._ask,
            commands.Abandon: self._abandon,
            commands.FailItem: self._fail_item,
            commands.TryAgain: self.try_again,
            commands.GiveUp: self.give_up,
            commands.Expire: self.expire,
        }

    def _resolve(self, command: commands.Resolve) -> None:
        self.done += len(command.outcomes)  # its worker has answered each already, except those with rules
        if self.core.ruled:
            self.annotate(command.tasks, command.outcomes)
            for task, outcome in zip(command.tasks, command.outcomes, strict=True):
                if task.rules is not None:
                    self.answer(cast("CallFuture[Any]", task), outcome)

    def _fail_item(self, command: commands.FailItem) -> None:
        stack, written = self.stacks.pop(command.wid, ""), self.written.pop(command.wid, None)
        self.fail_item(command, Obituary(None, None, stack, written=written))

    def _look(self, command: commands.Look) -> None:
        self.looks[command.wid] = None

    def _ask(self, command: commands.Ask) -> None:
        worker = self.workers.get(command.wid)
        if worker is not None:
            self.asked[command.wid] = command.cause
            self.ran_ns[command.wid] = self.core.workers[command.wid].ran_ns
            worker.ask(command.task.run if isinstance(command.task, ChunkTask) else None)

    def _abandon(self, command: commands.Abandon) -> None:
        """What it runs is answered right after this; it ends when that comes back."""
        worker = self.workers[command.wid]
        worker.abandoned = worker.stopping = worker.killed = True
        self.stacks[command.wid] = stack_of(worker.ident)
        written_by = getattr(sys.modules.get("procession.worker.capture_here"), "written_by", None)
        if written_by is not None and (written := written_by(worker.ident)) is not None:
            self.written[command.wid] = written
        self.ran_ns.setdefault(command.wid, self.core.workers[command.wid].ran_ns)
        say(logging.WARNING, "a thread has been given up:\n%s", self.stacks[command.wid])
