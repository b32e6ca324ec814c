"""Keys in the model: calls that follow one another, and the worker that they keep to.

As a keyed flow does it: the next call of a key is handed over when the one before it has its answer. The laws:

    of one key one call at a time runs
    once an outcome of it was heard of a worker, its calls are sent there and nowhere else, as long as that stays: until
    it leaves, is told to end or to die, is lost, or has used up its quota. From then on they may go anywhere
"""

from __future__ import annotations

from collections.abc import Iterable

from procession.core import commands, events
from procession.core.pool import PoolCore
from procession.core.worker import State, Worker
from procession.testing.driving import Fate, Ledger
from procession.testing.explorer import Action
from procession.testing.lane import Lending
from procession.testing.model import Key, ModelTask, Phase
from procession.testing.snapshot import Key as Name


class Keyed(Lending):
    """Driving, by one who knows which call is of which key."""

    def __init__(self, core: PoolCore, ledger: Ledger) -> None:
        super().__init__(core, ledger)
        self.keys: dict[int, Key] = {}  # by the first item of each
        self.latest: dict[int, int] = {}  # the item of each that was handed over last
        self.homes: dict[int, int] = {}  # the worker that an outcome of each was heard of, while it stays
        self.lengths: dict[int, int] = {}

    def copy_keys(self, new: Keyed, tasks: Iterable[ModelTask]) -> None:
        """Give `new` a copy of all this; `tasks`, all of its own, have homes of this one still."""
        new.keys = {first: key.copy() for first, key in self.keys.items()}
        new.latest, new.homes, new.lengths = self.latest.copy(), self.homes.copy(), self.lengths
        for task in tasks:
            if task.home is not None:
                task.home = new.keys[task.home.first]

    def keys_key(self, ranks: dict[int, int]) -> Name:
        """See `World.key`; keys and the items that are to come have names of their own."""
        return tuple(
            [
                (
                    first,
                    self.latest[first],
                    self.ledger.fates[self.latest[first]].value,
                    -1 if key.wid is None else ranks.get(key.wid, -1),
                    ranks[self.homes[first]] if first in self.homes else -1,
                )
                for first, key in self.keys.items()
            ]
        )

    def next_ones(self) -> list[Action]:
        """Calls whose turn it is to be handed over, one by one or together."""
        due = [first for first in self.latest if self.is_due(first)]
        found: list[Action] = [("next", first) for first in due]
        return found if len(due) < 2 else [*found, ("next", *due)]

    def is_due(self, first: int) -> bool:
        """The latest of this key has its answer, and was not the last."""
        latest = self.latest[first]
        return self.ledger.fates[latest] is not Fate.OPEN and latest + 1 < first + self.lengths[first]

    def is_kept(self, item: int) -> bool:
        """It waits for its predecessor, and nobody knows of it yet."""
        first = self.key_of(item)
        return first is not None and item > self.latest[first]

    def key_of(self, item: int) -> int | None:
        """The first item of its key."""
        return next((first for first in self.keys if first <= item < first + self.lengths[first]), None)

    # -- laws ----------------------------------------------------------------------------------------------------

    def step(self, event: events.Event) -> None:
        """See `Driving`."""
        if not self.keys:
            super().step(event)
            return
        if isinstance(event, events.CallsDone):
            self.homes.update({first: event.wid for item in event.outcomes if (first := self.key_of(item)) is not None})
        before = len(self.todo)
        super().step(event)
        workers = self.core.workers
        self.homes = {first: wid for first, wid in self.homes.items() if wid in workers and _stays(workers[wid])}
        for command in list(self.todo)[before:]:
            if isinstance(command, commands.Send):
                self.check_sent(command)

    def check_sent(self, command: commands.Send) -> None:
        """Each goes home, if it has one."""
        for task in command.tasks:
            assert isinstance(task, ModelTask)
            first = self.key_of(task.start)
            home = command.wid if first is None else self.homes.get(first, command.wid)
            assert home == command.wid, f"item {task.start} is sent to worker {command.wid}, its home is {home}"

    def check_alone(self, wid: int, item: int) -> None:
        """What has just started is the only one of its key that runs."""
        first = self.key_of(item)
        for other, process in self.processes.items():
            if first is not None and other != wid and process.phase is not Phase.DEAD and process.running is not None:
                assert self.key_of(process.running[0]) != first, f"item {item} starts while another of its key runs"

    def keeps_all(self, worker: Worker) -> bool:
        """See `Driving`."""
        return all(isinstance(task, ModelTask) and _is_home(worker, task) for task in worker.inflight)


def _stays(worker: Worker) -> bool:
    usable = worker.state in (State.IDLE, State.BUSY) and worker.principal is None
    return usable and not worker.leaving and worker.quota != 0


def _is_home(worker: Worker, task: ModelTask) -> bool:
    return task.home is not None and task.home.wid == worker.wid
