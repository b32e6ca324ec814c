"""Faults in how running items are ended and run again, seeded one at a time, and what the explorer says of each."""

from __future__ import annotations

import pytest

from procession.core import commands, ending, retrying, supervising
from procession.core.pool import PoolCore
from procession.core.rules import Cause
from procession.core.task import Task
from procession.core.worker import Sentence, Signal, Worker
from procession.testing.explorer import explore
from procession.testing.scenario import Scenario
from procession.testing.world import World
from tests.core.test_seeded_faults import Fault, Patch, find

LATE = Scenario("late", 1, (("calls", 2),), timeouts=1)
ENDED = Scenario("ended", 1, (("calls", 2),), cancels=1, kills=True)
AGAIN = Scenario("again", 1, (("calls", 1),), errors=2, retries=1)
UNWANTED = Scenario("unwanted", 1, (("calls", 2),), errors=1, retries=1, cancels=1, kills=True)
LATER = Scenario("later", 1, (("calls", 1),), ("cancel",), errors=1, retries=1, delay=True)


def _kill(core: PoolCore, worker: Worker, cause: Cause) -> None:
    sentence = worker.sentence = Sentence(worker.finished, cause, 0)
    sentence.executed = True
    core.forget(worker)
    worker.signal(Signal.KILL)
    core.out.append(commands.Kill(worker.wid, cause))


def killed_at_once(patch: Patch) -> type[World]:
    """Without taking back what it has not started: it goes on to that before the signal comes."""

    def condemn(core: PoolCore, worker: Worker, mark: int, cause: Cause, grace_ns: int) -> None:
        if worker.usable:
            _kill(core, worker, cause)

    patch.setattr(supervising, "condemn", condemn)
    return World


def killed_without_a_look(patch: Patch) -> type[World]:
    """What it had taken meanwhile was not the item that was meant."""

    def withdrawn(core: PoolCore, worker: Worker, sentence: Sentence) -> None:
        if worker.items:
            _kill(core, worker, sentence.cause)
        else:
            worker.sentence = None

    patch.setattr(supervising, "withdrawn", withdrawn)
    return World


def sentence_never_void(patch: Patch) -> type[World]:
    """A worker whose item got done in the last moment is never given anything again."""
    patch.setattr(supervising, "progressed", lambda worker, sentence: None)
    patch.setattr(supervising, "_void", lambda core, worker: None)
    return World


def tries_not_counted(patch: Patch) -> type[World]:
    patch.setattr(retrying, "_may", lambda core, task: task.rules is not None)
    return World


def run_again_though_cancelled(patch: Patch) -> type[World]:
    def may(core: PoolCore, task: Task) -> bool:
        return task.rules is not None and task.tries < task.rules.retries

    patch.setattr(retrying, "_may", may)
    return World


def forgotten_in_between(patch: Patch) -> type[World]:
    """A shutdown with cancel does not think of who waits for his next run."""

    def give_up(core: PoolCore) -> None:
        core.delayed = []

    patch.setattr(ending, "_give_up", give_up)
    return World


FAULTS = {
    "killed at once": Fault(killed_at_once, LATE, "killed for item|dies of it"),
    "killed without a look": Fault(killed_without_a_look, LATE, "killed for item|dies of it"),
    "a sentence that is never void": Fault(sentence_never_void, LATE, "is through, and the worker", "no answer"),
    "tries that are not counted": Fault(tries_not_counted, AGAIN, "has run 2 times, and is to run again"),
    "run again though cancelled": Fault(run_again_though_cancelled, UNWANTED, "was to be ended"),
    "forgotten in between": Fault(forgotten_in_between, LATER, "still waits|no answer"),
}


@pytest.mark.parametrize("silent", [False, True], ids=["check", "laws alone"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_the_explorer_finds_it(fault: Fault, silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    find(fault, silent, monkeypatch)


@pytest.mark.parametrize("scenario", [LATE, ENDED, AGAIN, UNWANTED, LATER], ids=lambda scenario: scenario.name)
def test_without_a_fault_nothing_is_found(scenario: Scenario) -> None:
    explore(World(scenario), limit=60_000)
