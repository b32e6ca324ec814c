"""A core on a stage: events by short names, `check()` after each, commands as they come."""

from __future__ import annotations

from typing import Any

from procession.core import events
from procession.core.commands import Command
from procession.core.policy import Profile
from procession.core.pool import PoolCore
from procession.core.worker import Worker
from procession.testing.model import ModelTask


class Stage:
    """One pool; `profile` is what all its tasks are thought to cost."""

    def __init__(self, workers: int = 2, *, quota: int | None = None, mean_ns: float = -1.0) -> None:
        self.core = PoolCore(workers, max_tasks_per_child=quota)
        self.profile = Profile()
        if mean_ns >= 0:
            self.profile.observe(4096, int(4096 * mean_ns))
        self.made = 0

    def step(self, event: events.Event) -> list[Command]:
        """Tell the core, and look at it."""
        found = self.core.step(event)
        self.core.check()
        return found

    # -- tasks ---------------------------------------------------------------------------------------------------

    def calls(self, count: int, profile: Profile | None = None) -> list[ModelTask]:
        """New calls."""
        first, self.made = self.made, self.made + count
        return [ModelTask(first + each, 1, profile or self.profile) for each in range(count)]

    def chunk(self, size: int, grain: int = 0) -> ModelTask:
        """A new chunk."""
        first, self.made = self.made, self.made + size
        return ModelTask(first, size, self.profile, chunk=True, grain=grain)

    def submit(self, *tasks: ModelTask) -> list[Command]:
        """Hand them over, together."""
        return self.step(events.Submitted(list(tasks)))

    # -- workers -------------------------------------------------------------------------------------------------

    def worker(self, wid: int = 0) -> Worker:
        """Its record."""
        return self.core.workers[wid]

    def ready(self, wid: int = 0) -> list[Command]:
        """It has started."""
        return self.step(events.WorkerReady(wid))

    def done(self, wid: int = 0, count: int = 1) -> list[Command]:
        """It has answered its oldest calls."""
        return self.step(events.CallsDone(wid, ["answer"] * count))

    def left(self, wid: int = 0, items: int = 1, busy_ns: int = 1000) -> list[Command]:
        """It has left a lease behind."""
        return self.step(events.LeaseEnded(wid, items, busy_ns))

    def withdrawn(self, wid: int, count: int) -> list[Command]:
        """Tokens were read back."""
        return self.step(events.Withdrawn(wid, count))

    def lost(self, wid: int = 0, unowned: int = 0, exitcode: int | None = -9) -> list[Command]:
        """It is gone."""
        return self.step(events.Lost(wid, unowned, exitcode))

    def idle(self, workers: int) -> None:
        """Start so many workers and have each run one call, so that they idle, the last one started last."""
        self.submit(*self.calls(workers))
        for wid in range(workers):
            self.ready(wid)
        for wid in range(workers):
            self.done(wid)
            self.left(wid, busy_ns=int(self.profile.mean_ns) if self.profile.mean_ns > 0 else 1000)


def names(found: list[Command]) -> list[str]:
    """What kinds of commands they are."""
    return [type(command).__name__ for command in found]


def only(found: list[Command], kind: type[Any]) -> list[Any]:
    """Those of one kind."""
    return [command for command in found if isinstance(command, kind)]
