"""The driver's half of the model: it steps a real core and performs its commands on model workers.

As a driver must: commands in the order given, withdrawals when nothing else is left to perform, each answered at once.
Where tokens were issued to a worker in the same go, it may run before they are read back: the walk stops there
(`paused`), lets the worker take steps, and goes on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from enum import IntEnum
from typing import Self

from procession.core import commands, events
from procession.core.pool import PoolCore
from procession.core.rules import Cause
from procession.testing import snapshot
from procession.testing.model import ModelTask, Process

FOREVER = 12
"""Withdrawals after one event, in a pool of two or three workers, that will not end."""


class Fate(IntEnum):
    """What became of an item."""

    OPEN = 0
    DONE = 1
    DIED = 2
    CANCELLED = 3
    REFUSED = 4
    TIMED_OUT = 5
    KILLED = 6
    EXPIRED = 7
    GAVE_UP = 8
    TOO_HEAVY = 9


ENDS = {Cause.DIED: Fate.DIED, Cause.TIMEOUT: Fate.TIMED_OUT, Cause.CANCEL: Fate.KILLED, Cause.MEMORY: Fate.TOO_HEAVY}


class Ledger:
    """What each item has been through, and law 1."""

    __slots__ = ("fates", "killed", "retries", "runs", "started", "unwanted")

    def __init__(self, items: int, retries: int = 0) -> None:
        self.fates = [Fate.OPEN] * items
        self.started = [False] * items
        self.runs = [0] * items  # that have failed and are followed by another
        self.retries = retries
        self.unwanted = [False] * items  # to be ended, running or not
        self.killed = False

    def copy(self) -> Self:
        """Another one, the same."""
        new = type(self).__new__(type(self))
        new.fates, new.started, new.killed = self.fates[:], self.started[:], self.killed
        new.runs, new.retries, new.unwanted = self.runs[:], self.retries, self.unwanted[:]
        return new

    def again(self, item: int) -> None:
        """Its run has failed, and it will have another."""
        assert self.fates[item] is Fate.OPEN, f"item {item} is to run again, and it was {self.fates[item].name} before"
        assert not self.unwanted[item], f"item {item} is to run again, and was to be ended"
        assert self.runs[item] < self.retries, f"item {item} has run {self.retries + 1} times, and is to run again"
        self.started[item] = False
        self.runs[item] += 1

    def start(self, item: int) -> None:
        """A worker starts it."""
        assert not self.started[item], f"item {item} starts a second time"
        assert self.fates[item] is Fate.OPEN, f"item {item} starts, and it was {self.fates[item].name} before"
        self.started[item] = True

    def seal(self, item: int, fate: Fate) -> None:
        """It is answered."""
        before = self.fates[item]
        assert before is Fate.OPEN, f"item {item} is answered twice: {before.name}, then {fate.name}"
        if fate in (Fate.CANCELLED, Fate.REFUSED, Fate.EXPIRED, Fate.GAVE_UP):
            assert not self.started[item], f"item {item} has started, and is answered {fate.name}"
            assert fate is Fate.CANCELLED or (self.runs[item] > 0) is (fate is Fate.GAVE_UP), (
                f"item {item} has had {self.runs[item]} runs, and is answered {fate.name}"
            )
        else:
            owned = fate is not Fate.DONE  # and not necessarily started
            assert self.started[item] or owned, f"item {item} never started, and is answered {fate.name}"
        self.fates[item] = fate


class Driving(ABC):
    """A core, its workers' processes, and the hand that moves them."""

    modulus = 256
    """Lease numbers travel modulo this."""

    def __init__(self, core: PoolCore, ledger: Ledger) -> None:
        self.core = core
        self.ledger = ledger
        self.processes: dict[int, Process] = {}
        self.todo: deque[commands.Command] = deque()
        self.withdrawals: dict[int, None] = {}
        self.sent: set[int] = set()  # workers that were sent something since the last event from outside
        self.paused: int | None = None  # the worker that may go on before this is performed further
        self.looks: dict[int, None] = {}
        self.looking = False  # that worker has had its pause before it is looked at
        self.now = 0
        self.withdrawn = 0
        self.spawn_fails = False  # the next one, at once
        self.owned: int | None = None  # by the worker whose loss is being told
        self.closed = 0
        self.said: list[str] | None = None

    def copy_onto(self, new: Driving, memo: dict[int, ModelTask]) -> None:
        """Give `new` a copy of all this."""
        assert not self.todo
        new.core = snapshot.copy_core(self.core, memo)
        new.ledger = self.ledger.copy()
        new.processes = {wid: process.copy() for wid, process in self.processes.items()}
        new.todo = deque()
        new.withdrawals, new.sent, new.paused = self.withdrawals.copy(), self.sent.copy(), self.paused
        new.looks, new.looking, new.now = self.looks.copy(), self.looking, self.now
        new.withdrawn, new.spawn_fails, new.owned, new.closed = self.withdrawn, self.spawn_fails, None, self.closed
        new.said = None

    # -- the step ------------------------------------------------------------------------------------------------

    def tell(self, event: events.Event) -> None:
        """An event from outside, and all that follows from it, up to a pause."""
        self.sent.clear()
        self.withdrawn = 0
        self.step(event)
        self.perform()

    def step(self, event: events.Event) -> None:
        """Tell the core."""
        if self.said is not None:
            self.said.append(f"    {told(event)}")
        found = self.core.step(event)
        self.core.check()
        self.todo.extend(found)

    def perform(self) -> None:
        """Do what the core said, until all is done or a worker may come between."""
        self.paused = None
        while self.todo or self.looks or self.withdrawals or self.perform_last():
            if self.todo:
                self.do(self.todo.popleft())
            elif self.looks:
                wid = next(iter(self.looks))
                self.looking = not self.looking
                if self.looking:
                    self.paused = wid
                    return
                del self.looks[wid]
                self.look(wid)
            elif self.withdrawals:
                wid = next(iter(self.withdrawals))
                if wid in self.sent:
                    self.sent.discard(wid)
                    self.paused = wid
                    return
                del self.withdrawals[wid]
                self.read_tokens_back(wid)
        self.sent.clear()

    def perform_last(self) -> bool:
        """When there is nothing else to perform; whether there was something."""
        return False

    def do(self, command: commands.Command) -> None:
        """One command."""
        if self.said is not None:
            self.said.append(f"        {told(command)}")
        match command:
            case commands.Spawn(wid):
                self.spawn(wid)
            case commands.Send(wid, number, tasks, tokens):
                assert tokens == sum(task.size for task in tasks), "tokens and items differ in number"
                self.hand_over_lease(wid, number, tasks, tokens)  # type: ignore[arg-type]
            case commands.Withdraw(wid):
                self.withdrawals[wid] = None
            case commands.Stop():
                self.stop(command)
            case commands.Look(wid):
                self.looks[wid] = None
            case commands.Kill(wid, cause):
                if wid in self.processes:
                    if cause is not None:
                        self.blame(wid)
                    self.kill(command)
            case commands.Closed():
                self.closed += 1
            case commands.Ask(wid, task, _):
                owned = self.processes[wid].owned()
                assert self.ledger.started[task.start] or owned == task.start, "asked to end, and it does not run"  # type: ignore[attr-defined]
                self.ask(command)
            case commands.Broken() | commands.Narrowed() | commands.Recall():
                pass
            case _:
                self.answer(command)

    def spawn(self, wid: int) -> None:
        """Start a process, or fail to."""
        if self.spawn_fails:
            self.spawn_fails = False
            self.step(events.StartFailed(wid, "no process", fatal=False))
        else:
            self.processes[wid] = self.new_process()

    def new_process(self) -> Process:
        """What is started."""
        return Process()

    def stop(self, command: commands.Stop) -> None:
        """It is to end when it is through."""
        self.processes[command.wid].frames += (None,)

    def kill(self, command: commands.Kill) -> None:
        """It is to die."""
        self.processes[command.wid].condemned = True

    def ask(self, command: commands.Ask) -> None:  # noqa: B027  # near, there is nothing to be done
        """What it runs is to end by itself."""

    def hand_over_lease(self, wid: int, number: int, tasks: list[ModelTask], tokens: int) -> None:
        """To a worker that may be gone."""
        if wid in self.processes:
            self.send(self.processes[wid], number, tasks, tokens)
            self.sent.add(wid)

    def send(self, process: Process, number: int, tasks: list[ModelTask], tokens: int) -> None:
        """Tokens first, then the data."""
        mark = number % self.modulus
        process.tokens += (mark,) * tokens
        process.frames += ((mark, tuple([task.spec() for task in tasks])),)

    def read_tokens_back(self, wid: int) -> None:
        """Whoever reads a token owns its item: these are the parent's again."""
        self.withdrawn += 1
        assert self.withdrawn < FOREVER, "withdrawals that never end"
        process = self.processes.get(wid)
        if process is not None:
            count, process.tokens = len(process.tokens), ()
            self.step(events.Withdrawn(wid, count))

    def look(self, wid: int) -> None:
        """Tell all that it has published, and that this is all."""
        self.hear_all(wid)
        if wid in self.core.workers:
            self.step(events.Looked(wid))

    @abstractmethod
    def hear_all(self, wid: int) -> None:
        """Tell all that it has published."""

    def blame(self, wid: int) -> None:
        """It is killed for one item: that must be the one that it runs, or has just run."""
        head: object = self.core.workers[wid].inflight[0]
        assert isinstance(head, ModelTask)
        owned = self.processes[wid].owned()
        assert owned in (None, head.start), f"killed for item {head.start} while it owns {owned}"
        begun = self.ledger.started[head.start] or owned is not None
        assert begun, f"killed for item {head.start}, which has not started"
        self.processes[wid].blamed = head.start

    def lose(self, wid: int) -> None:
        """The reaper has told: its results have been read; count its tokens, then tell the core."""
        process = self.processes.pop(wid)
        self.owned = process.owned()
        assert process.blamed is None or self.owned in (None, process.blamed), (
            f"killed for item {process.blamed}, and item {self.owned} dies of it"
        )
        item = self.owned
        self.tell(events.Lost(wid, len(process.tokens), None))
        self.owned = None
        fates = self.ledger.fates
        again = item is not None and not self.ledger.started[item]
        assert item is None or again or fates[item] is not Fate.OPEN, (
            f"item {item} was owned by a dead worker and is not answered"
        )

    # -- answers -------------------------------------------------------------------------------------------------

    def answer(self, command: commands.Command) -> None:
        """Commands that answer tasks, or tell of them."""
        seal = self.ledger.seal
        match command:
            case commands.MarkRunning(task):
                if self.ledger.fates[task.start] is Fate.OPEN:  # type: ignore[attr-defined]
                    task.started = True  # type: ignore[misc]
            case commands.Resolve(tasks, outcomes):
                assert [task.start for task in tasks] == outcomes, "somebody else's outcome"  # type: ignore[attr-defined]
                for task in tasks:
                    seal(task.start, Fate.DONE)  # type: ignore[attr-defined]
            case commands.ResolveItems(_, start, outcomes):
                assert outcomes == list(range(start, start + len(outcomes))), "somebody else's outcome"
                for item in outcomes:
                    seal(item, Fate.DONE)
            case commands.FailItem(_, start, _, _, cause, again):
                dies = self.dies_with_it(start) or self.is_bereft(start)
                assert dies, f"item {start} fails with a worker that owned {self.owned}"
                assert cause is not Cause.CANCEL or self.ledger.unwanted[start], "cancelled, and nobody wanted that"
                assert cause is Cause.CANCEL or not self.ledger.unwanted[start], "its cancel was forgotten"
                if again is None:
                    seal(start, ENDS[cause])
                else:
                    assert again.start == start, "something else is to run again"  # type: ignore[attr-defined]
                    self.again(again)
            case commands.TryAgain(task, outcome):
                assert outcome == task.start, "somebody else's outcome"  # type: ignore[attr-defined]
                self.again(task)
            case commands.GiveUp(tasks):
                for task in tasks:
                    self.seal_all(task, Fate.GAVE_UP)
            case commands.Expire(tasks):
                for task in tasks:
                    self.seal_all(task, Fate.EXPIRED)
            case commands.Cancel(tasks):
                for task in tasks:
                    wanted = not (self.ledger.killed or self.ledger.unwanted[task.start])  # type: ignore[attr-defined]
                    assert not task.started or not wanted, "told to be running, then cancelled"
                    self.seal_all(task, Fate.CANCELLED)
            case commands.FailAll(tasks):
                for task in tasks:
                    self.seal_all(task, Fate.REFUSED)
            case commands.Drop(tasks):
                for task in tasks:
                    assert task.cancelled, "dropped, and nobody had cancelled it"  # type: ignore[attr-defined]
                    self.seal_all(task, Fate.CANCELLED)

    def again(self, task: object) -> None:
        """It will have another run; not one that was cancelled."""
        assert isinstance(task, ModelTask)
        self.ledger.again(task.start)

    def seal_all(self, task: object, fate: Fate) -> None:
        """All that is left of it; a call that was cancelled while it waited has its answer."""
        assert isinstance(task, ModelTask)
        if task.cancelled and not task.chunk:
            assert self.ledger.fates[task.start] is Fate.CANCELLED
            return
        for item in task.items:
            self.ledger.seal(item, fate)

    # -- laws ----------------------------------------------------------------------------------------------------

    def dies_with_it(self, item: int) -> bool:
        """It fails with the worker whose loss is being told."""
        return item == self.owned

    def is_bereft(self, item: int) -> bool:
        """It has not started, and needs what was lost with a worker."""
        return False


def told(what: object) -> str:
    """An event or a command in a line of a story."""
    parts = []
    for name in type(what).__match_args__:  # type: ignore[attr-defined]
        value = getattr(what, name)
        if name == "tasks":
            value = [f"{task.start}+{task.size}" if task.chunk else task.start for task in value]
        elif name == "task":
            value = value.start
        elif name in ("cause", "again"):
            value = getattr(value, "name" if name == "cause" else "start", value)
        if name not in ("reason", "exitcode", "busy_ns", "outcomes") or (name == "outcomes" and value):
            parts.append(f"{name}={value}")
    return f"{type(what).__name__}({', '.join(parts)})"
