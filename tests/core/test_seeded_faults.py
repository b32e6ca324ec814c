"""Faults, seeded one at a time into the core, the driver or the worker, and what the explorer says of each.

Each is found twice: as things are, mostly by `PoolCore.check`, and with `check` silent, by the laws that the model
itself keeps. The story found is a shortest one; `pytest -s` shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from procession.core import assign, commands, ending, events, invariants, lending, losing, pool, worker
from procession.core.pool import PoolCore
from procession.core.task import Task
from procession.core.worker import State, Worker
from procession.testing.explorer import Action, Violation, explore
from procession.testing.model import DONE, ModelTask, Phase, Process
from procession.testing.scenario import Scenario
from procession.testing.world import World

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Fault:
    """Something wrong, and what is said of it."""

    seed: Callable[[Patch], type[World]]
    scenario: Scenario
    said: str
    laws_said: str = ""
    """With `check` silent; empty: the same."""
    steps: int = 30
    """The story is no longer."""


CALLS = Scenario("calls", 2, (("calls", 3),))
CRASH = Scenario("crash", 2, (("calls", 3),), crashes=1)
CANCEL = Scenario("cancel", 2, (("calls", 3),), cancels=1)
CHUNK = Scenario("chunk", 1, (("chunk", 3),), crashes=1)
ONE = Scenario("one", 1, (("calls", 1), ("calls", 3)), cancels=1)
TWO = Scenario("two", 1, (("calls", 1), ("calls", 3)), cancels=2)
CLOSE = Scenario("close", 2, (("chunk", 2), ("calls", 3)), cancels=1)
LENT_BESIDE = Scenario("lent, and calls", 2, (("calls", 1), ("lone", 1), ("calls", 2)), lends=1)
LENT = Scenario("lent", 1, (("calls", 1), ("lone", 1), ("lone", 1)), lends=1)
DISCARD = Scenario("discard", 2, (("calls", 3),), ("cancel",))

# ---------------------------------------------------------------------------------------------------------- the worker


def with_process(process: type[Process], world: type[World] = World) -> type[World]:
    """A world whose workers are such."""

    class Other(world):  # type: ignore[valid-type, misc]
        def new_process(self) -> Process:
            return process()

    return Other


def no_memory_of_foreign_tokens(patch: Patch) -> type[World]:
    """A token of a later lease is read, and thrown away."""

    class Forgets(Process):
        def take_token(self, mark: int) -> bool:
            taken = super().take_token(mark)
            self.held = None
            return taken

    return with_process(Forgets)


def results_kept_until_the_lease_ends(patch: Patch) -> type[World]:
    """Token k+1 is taken before result k is where the parent will find it (law 5)."""

    class Keeps(Process):
        kept: tuple[Any, ...] = ()

        def copy(self) -> Process:
            new = super().copy()
            assert isinstance(new, Keeps)
            new.kept = self.kept
            return new

        def publish(self) -> None:
            assert self.running is not None
            assert self.current is not None
            self.kept += ((DONE, *self.running),)
            self.running = None
            self.done += 1
            if not self.current[1]:
                self._leave()

        def _leave(self) -> None:
            self.results += self.kept
            self.kept = ()
            super()._leave()

    return with_process(Keeps)


def silent_about_withdrawn_leases(patch: Patch) -> type[World]:
    """A lease of which nothing ran is left without a word: its number is never free again."""

    class Silent(Process):
        def _leave(self) -> None:
            if self.done:
                super()._leave()
            self.current = None

    patch.setattr(worker, "MAX_OPEN_LEASES", 1)
    patch.setattr(invariants, "MAX_OPEN_LEASES", 1)
    return with_process(Silent)


# ---------------------------------------------------------------------------------------------------------- the driver


def lost_before_tokens_are_read(patch: Patch) -> type[World]:
    class Other(World):
        def lose(self, wid: int) -> None:
            self.processes[wid].tokens = ()
            super().lose(wid)

    return Other


def lost_before_results_are_read(patch: Patch) -> type[World]:
    class Other(World):
        def musts(self) -> list[Action]:
            early: list[Action] = [
                ("reap", wid)
                for wid, process in self.processes.items()
                if process.phase is Phase.DEAD and process.results
            ]
            return [*super().musts(), *early]

    return Other


def withdrawn_before_all_was_sent(patch: Patch) -> type[World]:
    """Tokens are counted while what the core has decided to send is still to be issued."""

    class Other(World):
        def step(self, event: events.Event) -> None:
            super().step(event)
            if self.todo and isinstance(self.todo[-1], commands.Withdraw):
                self.read_tokens_back(self.todo.pop().wid)  # type: ignore[union-attr]

    return Other


def data_before_tokens(patch: Patch) -> type[World]:
    """A worker that waits for work looks for its token between the two writes."""

    class Other(World):
        def send(self, process: Process, number: int, tasks: list[ModelTask], tokens: int) -> None:
            before = process.tokens
            super().send(process, number, tasks, tokens)
            if process.can_take() and process.current is None and not before:
                after, process.tokens = process.tokens, before
                process.take()
                process.tokens = after

    return Other


def lease_numbers_met_again(patch: Patch) -> type[World]:
    """Numbers modulo 2, and any number of open leases."""

    class Other(World):
        modulus = 2

    return Other


def recalled_before_notes_are_read(patch: Patch) -> type[World]:
    class Other(World):
        def perform_last(self) -> bool:
            if not self.recall or self.lane is None:
                return super().perform_last()
            wid, self.lane, self.recall = self.lane, None, False
            self.step(events.Recalled(wid))
            return True

    return Other


def outcomes_before_notes(patch: Patch) -> type[World]:
    """The driver hears what the lent worker says without asking first what callers gave it."""

    class Other(World):
        def musts(self) -> list[Action]:
            deaf: list[Action] = [
                ("hear", wid, 1) for wid, process in self.processes.items() if process.results and wid == self.lane
            ]
            found = super().musts()
            return [*found, *[action for action in deaf if action not in found]]

    return Other


# ------------------------------------------------------------------------------------------------------------ the core


def tail_from_the_head(patch: Patch) -> type[World]:
    def take_back(self: Worker, count: int) -> list[Task]:
        whole = self.inflight.take(len(self.inflight))
        self.inflight.extend([*whole[len(whole) - count :], *whole[: len(whole) - count]])
        return original(self, count)

    original = Worker.take_back
    patch.setattr(Worker, "take_back", take_back)
    return World


def not_released(patch: Patch) -> type[World]:
    """What came back still says that a worker has it: its cancel asks that worker, for ever."""
    patch.setattr(ModelTask, "release", lambda self: None)
    return World


def stopped_while_busy(patch: Patch) -> type[World]:
    def finish(core: PoolCore) -> None:
        in_flight, core.in_flight = core.in_flight, 0
        original(core)
        core.in_flight = in_flight

    original = ending.finish_if_empty
    patch.setattr(ending, "finish_if_empty", finish)
    return World


def discarded_and_leased_again(patch: Patch) -> type[World]:
    """What came back after a shutdown with cancel goes to a worker again. (Its law: what is cancelled is cancelled.)"""

    def put_back(core: PoolCore, tasks: Sequence[Task]) -> None:
        core.line.put_back(tasks, core.now)

    patch.setattr(ending, "put_back", put_back)
    return World


def running_and_refused(patch: Patch) -> type[World]:
    """A shutdown with cancel forgets that a task was told to be running."""

    def put_back(core: PoolCore, tasks: Sequence[Task]) -> None:
        if core.discarding:
            ending.refuse(core, tasks)
        else:
            original(core, tasks)

    original = ending.put_back
    patch.setattr(ending, "put_back", put_back)
    return World


def stealing_without_loose(patch: Patch) -> type[World]:
    """Whoever has two items is asked, though it was asked before and had nothing."""

    def index(self: PoolCore, each: Worker) -> None:
        original(self, each)
        if each.state is State.BUSY and each.items > 1:
            self.stealable[each.wid] = None

    original = PoolCore.index
    patch.setattr(PoolCore, "index", index)
    patch.setattr(PoolCore, "withdraw", lambda self, each: self.withdrawing.__setitem__(each.wid, None))
    return World


def stealing_from_start_to_start(patch: Patch) -> type[World]:
    """As it was at first: an item that waits for one worker's start is moved to another's."""

    def steal(core: PoolCore) -> None:
        if core.hungry or core.width < core.max_workers:
            core.withdraw(core.workers[next(iter(core.stealable))])

    patch.setattr(assign, "_steal", steal)
    return World


def nothing_stolen(patch: Patch) -> type[World]:
    patch.setattr(assign, "_steal", lambda core: None)
    return World


def cancel_of_what_is_gone(patch: Patch) -> type[World]:
    """As it was at first: whoever last had the task is asked, without looking whether it still is there."""

    def cancel_asked(self: PoolCore, event: events.CancelAsked) -> None:
        for task in event.tasks:
            if task.wid is not None:
                self.workers[task.wid].unwanted[id(task)] = task
                self.withdrawing[task.wid] = None

    patch.setitem(pool._HANDLERS, events.CancelAsked, cancel_asked)
    return World


def cancel_forgotten(patch: Patch) -> type[World]:
    """The task comes back, and runs all the same."""

    def take_back(self: PoolCore, each: Worker, count: int) -> None:
        each.unwanted.clear()
        original(self, each, count)

    original = PoolCore.take_back
    patch.setattr(PoolCore, "take_back", take_back)
    return World


def a_dead_workers_item_runs_again(patch: Patch) -> type[World]:
    def lost(core: PoolCore, event: events.Lost) -> None:
        dead = core.workers[event.wid]
        dead.loose = dead.items
        original(core, events.Lost(event.wid, dead.items, event.exitcode))

    original = losing.lost
    patch.setitem(pool._HANDLERS, events.Lost, lost)
    return World


def nothing_is_stolen_for_a_lent_worker(patch: Patch) -> type[World]:
    """That it idles is heard when no task waits, but one lies behind another worker's."""

    def idles(core: PoolCore) -> bool:
        return bool(core.line.items) and lending.idles(core)

    patch.setattr(assign, "lending", SimpleNamespace(idles=idles, recall=lending.recall))
    return World


FAULTS = {
    "worker: no memory of foreign tokens": Fault(no_memory_of_foreign_tokens, CANCEL, "no lease", "no answer"),
    "worker: results kept until the lease ends": Fault(results_kept_until_the_lease_ends, CHUNK, "that owned None"),
    "worker: silent about withdrawn leases": Fault(silent_about_withdrawn_leases, ONE, "no answer"),
    "driver: Lost before tokens are read": Fault(lost_before_tokens_are_read, CRASH, "that owned None"),
    "driver: Lost before results are read": Fault(lost_before_results_are_read, CRASH, "that owned None"),
    "driver: withdrawn before all was sent": Fault(
        withdrawn_before_all_was_sent, CLOSE, "tokens lie with worker 1 while another idles"
    ),
    "driver: data before tokens": Fault(data_before_tokens, CALLS, "no lease", "no answer"),
    "driver: lease numbers met again": Fault(lease_numbers_met_again, TWO, "starts, and it was CANCELLED before"),
    "driver: recalled before notes are read": Fault(recalled_before_notes_are_read, LENT, "it is not lent"),
    "driver: outcomes before notes": Fault(outcomes_before_notes, LENT, "outcomes for 0 tasks in hand"),
    "core: the tail counted from the head": Fault(tail_from_the_head, CALLS, "starts a second time"),
    "core: nothing is stolen for a lent worker": Fault(
        nothing_is_stolen_for_a_lent_worker,
        LENT_BESIDE,
        "a tail lies with one worker while the lent one idles",
        "tokens lie with worker 1 while another idles",
    ),
    "core: not released": Fault(not_released, TWO, "what waits is leased", "refused while it waited"),
    "core: stopped while busy": Fault(stopped_while_busy, CALLS, "STOP cannot happen in BUSY"),
    "core: discarded and leased again": Fault(
        discarded_and_leased_again,
        DISCARD,
        "cancelled by shutdown, and it still waits",
        "still waits, and the pool is DRAINING",
    ),
    "core: running and refused": Fault(running_and_refused, DISCARD, "told to be running"),
    "core: stealing without loose": Fault(stealing_without_loose, CALLS, "stealable", "withdrawals that never end"),
    "core: stealing from start to start": Fault(stealing_from_start_to_start, CRASH, "withdrawals that never end"),
    "core: nothing stolen": Fault(
        nothing_stolen,
        CALLS,
        "a tail lies with one worker while another idles",
        "tokens lie with worker 1 while another idles",
    ),
    "core: cancel of what is gone": Fault(cancel_of_what_is_gone, CANCEL, "told to be running, then cancelled"),
    "core: cancel forgotten": Fault(cancel_forgotten, CANCEL, "refused while it waited"),
    "core: a dead worker's item runs again": Fault(
        a_dead_workers_item_runs_again, CRASH, "owned by a dead worker and is not answered"
    ),
}


DEAR = (
    "driver: withdrawn before all was sent",
    "worker: no memory of foreign tokens",
    "core: stealing from start to start",
)
"""Walks of seconds, of which the soak makes the second one."""


def walks() -> Iterator[Any]:
    """Each fault, with `check` and without."""
    for name, fault in FAULTS.items():
        yield pytest.param(fault, False, id=f"{name}-check")
        yield pytest.param(fault, True, id=f"{name}-laws alone", marks=[pytest.mark.soak] if name in DEAR else [])


@pytest.mark.parametrize(("fault", "silent"), list(walks()))
def test_the_explorer_finds_it(fault: Fault, silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    find(fault, silent, monkeypatch)


def find(fault: Fault, silent: bool, monkeypatch: pytest.MonkeyPatch, limit: int = 60_000) -> None:
    """Walk with this fault, so many states at most; what the explorer says of it is what it should say. `silent`:
    without `check`."""
    world = fault.seed(monkeypatch)
    if silent:
        monkeypatch.setattr(PoolCore, "check", lambda self: None)
    with pytest.raises(Violation, match=fault.laws_said if silent and fault.laws_said else fault.said) as caught:
        explore(world(fault.scenario), limit=limit)
    print(f"\n{caught.value}")
    assert len(caught.value.actions) <= fault.steps


@pytest.mark.parametrize("most", [1, 2])
def test_numbers_may_wrap_as_long_as_open_leases_are_fewer(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why MAX_OPEN_LEASES: with at most two open leases, numbers modulo 2 are told apart."""
    monkeypatch.setattr(worker, "MAX_OPEN_LEASES", most)
    monkeypatch.setattr(invariants, "MAX_OPEN_LEASES", most)
    explore(lease_numbers_met_again(monkeypatch)(TWO))
