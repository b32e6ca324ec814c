"""Faults in what is done for far workers, seeded one at a time, and what the explorer says of each.

They are seeded into the driver's half (`FarChannel`, `FarDriver`), the core, and the model of the agent. Each is found
as things are, mostly by `PoolCore.check`, and with `check` silent, by the laws that the model itself keeps.
"""

from __future__ import annotations

from typing import Any

import pytest

from procession.core import commands, events, losing, pool, supervising
from procession.core.pool import PoolCore
from procession.core.rules import Cause
from procession.core.worker import Worker
from procession.driver.agent_wire import Report
from procession.driver.far_channel import FarChannel
from procession.testing.far_driver import ModelDriver
from procession.testing.far_model import LOOKED, Call, FarProcess
from procession.testing.far_world import FarWorld
from procession.testing.scenario import Scenario
from procession.testing.world import World
from tests.core.test_seeded_faults import Fault, Patch, find, with_process

CALLS = Scenario("calls", 2, (("calls", 3),))
CRASH = Scenario("crash", 2, (("calls", 3),), crashes=1)
CANCEL = Scenario("cancel", 1, (("calls", 2),), cancels=1)
LOSS = Scenario("loss", 1, (("calls", 2),), losses=1)
CANCEL_LOSS = Scenario("cancel, loss", 1, (("calls", 2),), cancels=1, losses=1, kills=True)
AGAIN_LOSS = Scenario("again, loss", 1, (("calls", 1),), ("kill",), errors=1, retries=1, cancels=1, kills=True)
KEYS_LOSS = Scenario("keys, loss", 1, (("key", 2), ("key", 2)), cancels=1, losses=1)
CANCELS = Scenario("cancels", 1, (("calls", 1), ("calls", 2)), cancels=2)
LATE = Scenario("late", 1, (("calls", 2),), cancels=1, crashes=1, late_calls=True)
OVERDUE = Scenario("overdue", 1, (("calls", 2),), timeouts=1)
GRACE = Scenario("grace", 1, (("calls", 1), ("calls", 1)), timeouts=1, grace=True)


# ------------------------------------------------------------------------------------------------- the driver's channel


def sent_while_a_withdrawal_is_out(patch: Patch) -> type[World]:
    """The outbox is sent when the lease that is out has ended, whatever else is on its way."""
    original = FarChannel.fly

    def fly(self: FarChannel) -> None:
        withdrawing, self._withdrawing = self._withdrawing, False
        original(self)
        self._withdrawing = withdrawing

    patch.setattr(FarChannel, "fly", fly)
    return FarWorld


def outbox_not_counted(patch: Patch) -> type[World]:
    """What was sent meanwhile is not counted, and goes to the worker."""

    def brought_back(self: FarChannel, count: int) -> None:
        self._far.withdrawn(self.wid, count, self.take_left())

    patch.setattr(FarChannel, "_brought_back", brought_back)
    return FarWorld


def overtaken_lease_not_counted(patch: Patch) -> type[World]:
    """A lease that comes without tokens is not counted among what came back."""

    def _was_withdrawn(self: FarChannel, report: Report) -> None:
        if self._withdrawing and self.station.channel is self:
            self._withdrawing = False
            self._flying = 0
            self._brought_back(report.back)
            self.fly()

    patch.setattr(FarChannel, "_was_withdrawn", _was_withdrawn)
    return FarWorld


def overtaken_lease_counted_twice(patch: Patch) -> type[World]:
    """As it was at first: counted again by the next withdrawal, or the worker's end, while it is on its way."""

    def _was_withdrawn(self: FarChannel, report: Report) -> None:
        if self._withdrawing and self.station.channel is self:
            self._withdrawing = False
            self._brought_back(report.back + self.unsent)
            self.fly()

    patch.setattr(FarChannel, "_was_withdrawn", _was_withdrawn)
    return FarWorld


def withdrawn_from_who_is_gone(patch: Patch) -> type[World]:
    """As it was at first: when the time is told before the end of a worker, what was not sent comes back from it."""
    _to_who_is_gone(patch, "withdraw")
    return FarWorld


def sent_to_who_is_gone(patch: Patch) -> type[World]:
    """As it was at first: and what is free by that is sent there."""
    _to_who_is_gone(patch, "withdraw")
    _to_who_is_gone(patch, "fly")
    return FarWorld


def _to_who_is_gone(patch: Patch, name: str) -> None:
    original = getattr(FarChannel, name)

    def done(self: FarChannel) -> None:
        before, self.station.channel = self.station.channel, self
        original(self)
        self.station.channel = before

    patch.setattr(FarChannel, name, done)


def end_of_a_withdrawn_lease_forgotten(patch: Patch) -> type[World]:
    """A lease that was brought back from the outbox is never told as left behind: its number is not free again."""
    original = FarChannel.take_left

    def take_left(self: FarChannel) -> int:
        original(self)
        return 0

    patch.setattr(FarChannel, "take_left", take_left)
    return FarWorld


def end_of_a_withdrawn_lease_too_early(patch: Patch) -> type[World]:
    """It is told before the worker is ready."""

    def take_left(self: FarChannel) -> int:
        left, self._left = self._left, 0
        return left

    patch.setattr(FarChannel, "take_left", take_left)
    return FarWorld


def looked_at_once(patch: Patch) -> type[World]:
    """What has been heard is taken for all that was published."""

    def look(self: FarChannel) -> None:
        self._far.looked_at(self.wid, False)

    patch.setattr(FarChannel, "look", look)
    return FarWorld


def looked_before_what_was_published(patch: Patch) -> type[World]:
    """The answer to a look comes before the reports that were made before it."""

    class Overtakes(FarProcess):
        def answer(self, kind: int, number: int = 0) -> None:
            super().answer(kind, number)
            if kind == LOOKED:
                self.results = (self.results[-1], *self.results[:-1])

    return with_process(Overtakes, FarWorld)


# --------------------------------------------------------------------------------------------------------- the driver


def cancel_answered_at_once(patch: Patch) -> type[World]:
    """Before it is known what has come back."""

    def take_request(self: Any, entry: Any) -> None:
        event, answer = entry
        self.step(event)
        answer()

    patch.setattr(ModelDriver, "take_request", take_request)
    return FarWorld


def unseen_lease_counted_with_a_lost_agent(patch: Patch) -> type[World]:
    """As it was at first: a lease that nobody has seen come is taken not to have come. It may have."""

    def unowned(self: Any, channel: FarChannel) -> int:
        return channel.take_outbox() + channel.unsent + (0 if channel.end is None else channel.end.unowned)

    patch.setattr(ModelDriver, "unowned", unowned)
    return FarWorld


def overtaken_lease_lost_with_its_worker(patch: Patch) -> type[World]:
    """A worker has died before a lease came; that is not counted among what it never took."""

    def unowned(self: Any, channel: FarChannel) -> int:
        return channel.take_outbox() + (0 if channel.end is None else channel.end.unowned)

    patch.setattr(ModelDriver, "unowned", unowned)
    return FarWorld


def outbox_lost_with_the_agent(patch: Patch) -> type[World]:
    """What was never sent fails with what was."""

    def unowned(self: Any, channel: FarChannel) -> int:
        channel.take_outbox()
        return 0 if channel.end is None else channel.end.unowned + channel.unsent

    patch.setattr(ModelDriver, "unowned", unowned)
    return FarWorld


# ---------------------------------------------------------------------------------------------------------- the agent


def tokens_with_an_overtaken_lease(patch: Patch) -> type[World]:
    """The agent has forgotten that it was withdrawn before it came."""

    class Forgets(FarProcess):
        def take_call(self, call: Call) -> None:
            super().take_call(call)
            self.revoked = 0

    return with_process(Forgets, FarWorld)


def late_withdrawal_hits_the_next_worker(patch: Patch) -> type[World]:
    """One that was asked of an earlier worker of the seat reads back the tokens of the present one, for nobody."""

    class Other(FarWorld):
        def comes(self, wid: int, call: tuple[object, ...]) -> None:
            if call[0] == "withdraw" and call[1] != wid:
                self.processes[wid].tokens = ()
            super().comes(wid, call)

    return Other


def late_answer_told_of_the_next_worker(patch: Patch) -> type[World]:
    """The answer of a withdrawal from an earlier worker of the seat is told of the present one."""

    class Other(FarWorld):
        def comes(self, wid: int, call: tuple[object, ...]) -> None:
            if call[0] == "withdraw" and call[1] != wid:
                self.step(events.Withdrawn(wid, self.core.workers[wid].loose))
            super().comes(wid, call)

    return Other


def asked_whatever_runs(patch: Patch) -> type[World]:
    """As it was at first: what is asked to end is not named, and a later one may hear it."""

    class Deaf(FarProcess):
        def take_call(self, call: Call) -> None:
            if call[0] == "ask":
                call = (*call[:2], self.come, *call[3:])
            super().take_call(call)

    return with_process(Deaf, FarWorld)


# ----------------------------------------------------------------------------------------------------------- the core


def running_while_it_is_asked_back(patch: Patch) -> type[World]:
    """As it was at first: the next in hand is told to be running, and comes back cancelled."""

    def mark_head(self: PoolCore, worker: Worker, wanted: bool = True) -> None:
        if worker.items and worker.state.name == "BUSY" and worker.inflight[0].started is False:
            self.out.append(commands.MarkRunning(worker.inflight[0]))

    patch.setattr(PoolCore, "mark_head", mark_head)
    return FarWorld


def one_cause_for_all(patch: Patch) -> type[World]:
    """As it was at first: who was to be ended decides for the first of those that are lost with it."""

    def cause_of_loss(worker: Worker) -> Cause:
        return Cause.CANCEL if worker.mortal_runs() else Cause.DIED

    patch.setattr(supervising, "cause_of_loss", cause_of_loss)
    return FarWorld


def only_one_is_lost(patch: Patch) -> type[World]:
    """What was in the hands of a worker whose agent is lost is first in the line again, but for one: it runs twice."""
    original = losing.lost

    def lost(core: PoolCore, event: events.Lost) -> None:
        worker = core.workers[event.wid]
        worker.loose = worker.items
        original(core, events.Lost(event.wid, max(event.unowned, worker.items - 1), event.exitcode))

    patch.setitem(pool._HANDLERS, events.Lost, lost)
    return FarWorld


FAULTS = {
    "channel: sent while a withdrawal is out": Fault(
        sent_while_a_withdrawal_is_out, CANCELS, "has started, and is answered CANCELLED"
    ),
    "channel: the outbox is not counted": Fault(outbox_not_counted, CANCEL, "was refused while it waited"),
    "channel: an overtaken lease is not counted": Fault(
        overtaken_lease_not_counted, CANCEL, "was refused while it waited"
    ),
    "channel: an overtaken lease is counted twice": Fault(overtaken_lease_counted_twice, CRASH, "3 tokens came back"),
    "channel: withdrawn from who is gone": Fault(
        withdrawn_from_who_is_gone, AGAIN_LOSS, "was to be ended, and nobody is at it"
    ),
    "channel: sent to who is gone": Fault(sent_to_who_is_gone, KEYS_LOSS, "fails with a worker that owned None"),
    "channel: the end of a withdrawn lease is forgotten": Fault(
        end_of_a_withdrawn_lease_forgotten, CALLS, "is still open"
    ),
    "channel: the end of a withdrawn lease is told too early": Fault(
        end_of_a_withdrawn_lease_too_early, CALLS, "ended a lease that it never had"
    ),
    "channel: looked at once": Fault(looked_at_once, OVERDUE, "nobody has looked whether it runs"),
    "reports: looked before what was published": Fault(
        looked_before_what_was_published, OVERDUE, "nobody has looked whether it runs"
    ),
    "driver: a cancel is answered at once": Fault(cancel_answered_at_once, CANCEL, "was refused while it waited"),
    "driver: an unseen lease is counted": Fault(
        unseen_lease_counted_with_a_lost_agent, LOSS, "was lost, and is not answered"
    ),
    "driver: an overtaken lease is lost with its worker": Fault(
        overtaken_lease_lost_with_its_worker, CRASH, "fails with a worker that owned None"
    ),
    "driver: the outbox is lost with the agent": Fault(
        outbox_lost_with_the_agent, LOSS, "fails with a worker that owned None"
    ),
    "driver: a late answer is told of the next worker": Fault(
        late_answer_told_of_the_next_worker, LATE, "starts a second time"
    ),
    "agent: tokens with an overtaken lease": Fault(
        tokens_with_an_overtaken_lease, CANCEL, "has started, and is answered CANCELLED"
    ),
    "agent: a late withdrawal hits the next worker": Fault(
        late_withdrawal_hits_the_next_worker, LATE, "items in hand, but no lease", "have no answer"
    ),
    "agent: asked whatever runs": Fault(asked_whatever_runs, GRACE, "is asked to end, and"),
    "core: running while it is asked back": Fault(
        running_while_it_is_asked_back, CANCEL, "told to be running, then cancelled"
    ),
    "core: one cause for all": Fault(one_cause_for_all, CANCEL_LOSS, "cancelled, and nobody wanted that"),
    "core: only one is lost": Fault(only_one_is_lost, LOSS, "was lost, and is not answered"),
}


@pytest.mark.parametrize("silent", [False, True], ids=["check", "laws alone"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_the_explorer_finds_it(fault: Fault, silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    find(fault, silent, monkeypatch, limit=20_000)
