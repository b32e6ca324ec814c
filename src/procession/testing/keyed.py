"""Keys in the model: calls that follow one another, and the worker that they keep to.

As a keyed flow does it: the next call of a key is handed over when the one before it has its answer. The laws:

    of one key one call at a time runs
    once an outcome of it was heard of a worker, its calls are sent there and nowhere else, as long as that stays: until
    it leaves, is told to end or to die, is lost, or has used up its quota. From then on they may go anywhere
    a worker in which something lives neither leaves nor is told to end while the pool is open, and is given something
    beyond its quota. Once it is told to die, or lost, what would need that is sent nowhere, but as a further run
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from procession.core import commands, events
from procession.core.pool import PoolCore
from procession.core.state import PoolState
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
        self.living: dict[int, int] = {}  # the worker in which something lives, of each of which something does
        self.bereft: set[int] = set()  # those of which something was lost with its worker
        self.mourned: set[int] = set()  # items that fail for that, as is about to be performed

    def copy_keys(self, new: Keyed, tasks: Iterable[ModelTask]) -> None:
        """Give `new` a copy of all this; `tasks`, all of its own, have homes of this one still."""
        new.keys = {first: key.copy() for first, key in self.keys.items()}
        new.latest, new.homes, new.lengths = self.latest.copy(), self.homes.copy(), self.lengths
        new.living = self.living.copy()
        new.bereft, new.mourned = self.bereft.copy(), self.mourned.copy()
        for task in tasks:
            if task.home is not None:
                task.home = new.keys[task.home.first]
        for worker in new.core.workers.values():
            worker.pins = {new.keys[key.first]: None for key in cast("dict[Key, None]", worker.pins)}

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
                    ranks[self.living[first]] if first in self.living else -1,
                    first in self.bereft,
                    -1 if key.lost is None else ranks.get(key.lost, -2),
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
            self.note(event)
        before = len(self.todo)
        super().step(event)
        workers, pinned = self.core.workers, set(self.living.values())
        self.homes = {
            first: wid for first, wid in self.homes.items() if wid in workers and _stays(workers[wid], wid in pinned)
        }
        for first, wid in list(self.living.items()):
            if wid not in workers or not workers[wid].usable:
                del self.living[first]
                self.bereft.add(first)
            else:
                assert not workers[wid].leaving, f"worker {wid} leaves, and something lives there"
        for command in list(self.todo)[before:]:
            if isinstance(command, (commands.FailItem, commands.TryAgain)):
                self.ends(command)
            elif isinstance(command, commands.Send):
                self.check_sent(command)
            elif isinstance(command, commands.Stop):
                assert self.core.state is not PoolState.OPEN or command.wid not in pinned, "told to end with what lives"

    def ends(self, command: commands.FailItem | commands.TryAgain) -> None:
        """A run has failed; a further one needs nothing that was lost."""
        item = command.start if isinstance(command, commands.FailItem) else cast(ModelTask, command.task).start
        first = self.key_of(item)
        if first in self.bereft and not self.ledger.started[item]:
            self.mourned.add(item)
        if isinstance(command, commands.TryAgain) or command.again is not None:
            self.bereft.discard(cast(int, first))

    def note(self, event: events.CallsDone) -> None:
        """What outcomes say of homes, and of what lives there."""
        for outcome in event.outcomes:
            first = self.key_of(outcome)
            if first is None:
                continue
            self.homes[first] = event.wid
            self.living.pop(first, None)
            if self.keys[first].lives(outcome):
                self.living[first] = event.wid

    def is_bereft(self, item: int) -> bool:
        """See `Driving`."""
        mourned = item in self.mourned
        self.mourned.discard(item)
        return mourned

    def check_sent(self, command: commands.Send) -> None:
        """Each goes home, if it has one."""
        for task in command.tasks:
            assert isinstance(task, ModelTask)
            first = self.key_of(task.start)
            assert first not in self.bereft, f"item {task.start} is sent, and what it needs is lost"
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


def _stays(worker: Worker, pinned: bool) -> bool:
    usable = worker.state in (State.IDLE, State.BUSY) and worker.principal is None
    return usable and not worker.leaving and (worker.quota is None or worker.quota > 0 or pinned)


def _is_home(worker: Worker, task: ModelTask) -> bool:
    return task.home is not None and task.home.wid == worker.wid
