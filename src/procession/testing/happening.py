"""What may happen in the model, one action at a time, and the laws that are checked when it has."""

from __future__ import annotations

from procession.core import events
from procession.core.pool import PoolCore
from procession.core.state import PoolState
from procession.testing.driving import Fate, Ledger
from procession.testing.explorer import Action
from procession.testing.lane import Lending, Mail
from procession.testing.model import DONE, ENDED, READY, Guess, ModelTask, Phase
from procession.testing.scenario import Scenario


class Happening(Lending):
    """The world of one scenario, and what each action does to it."""

    def __init__(self, scenario: Scenario) -> None:
        core = PoolCore(scenario.workers, max_tasks_per_child=scenario.quota)
        super().__init__(core, Ledger(scenario.items))
        self.scenario = scenario
        self.profile = Guess(scenario.mean_ns)
        self.at = 0  # in the program
        self.handed_over = 0  # items
        self.endings: tuple[str, ...] = ()
        self.calls: list[ModelTask] = []  # those handed over that have no answer
        self.mail: list[Mail] = []
        self.asking: ModelTask | None = None  # whose cancel is being answered
        self.lends = scenario.lends
        self.cancels, self.crashes = scenario.cancels, scenario.crashes
        self.failed_starts, self.unfit = scenario.failed_starts, scenario.unfit

    # -- letting it happen ---------------------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        """See `explorer.Model`."""
        match action:
            case ("boot", int(wid)):
                self.processes[wid].boot(True)
            case ("unfit", int(wid)):
                self.unfit -= 1
                self.processes[wid].boot(False)
            case ("take", int(wid)):
                item = self.processes[wid].take()
                if item is not None:
                    self.ledger.start(item)
            case ("publish", int(wid)):
                self.processes[wid].publish()
            case ("die", int(wid)):
                self.processes[wid].phase = Phase.DEAD
            case ("crash", int(wid)):
                self.crashes -= 1
                self.processes[wid].phase = Phase.DEAD
            case ("next spawn fails",):
                self.failed_starts -= 1
                self.spawn_fails = True
            case ("cancel", int(item)):
                self.cancel(item)
            case ("close", int(first)):
                self.close(first)
            case _:
                if not self.mind_lane(action):
                    self.drive(action)
                self.after_driving()

    def drive(self, action: Action) -> None:
        """What the core hears of."""
        match action:
            case ("hear", int(wid), int(count)):
                self.hear(wid, count)
            case ("reap", int(wid)):
                self.lose(wid)
            case ("start fails", int(wid)):
                self.failed_starts -= 1
                del self.processes[wid]
                self.tell(events.StartFailed(wid, "no process", fatal=False))
            case ("perform",):
                self.perform()
            case ("mail",):
                event = self.mail.pop(0)
                if isinstance(event, events.CancelAsked):
                    (self.asking,) = event.tasks  # type: ignore[assignment]
                self.tell(event)
            case ("submit", str(kind), int(count)):
                self.submit(kind, count)
            case (str(ending),):
                self.endings += (ending,)
                self.ledger.killed |= ending == "kill"
                self.tell(events.KillAsked() if ending == "kill" else events.ShutdownAsked(ending == "cancel"))

    def submit(self, kind: str, count: int) -> None:
        """The next line of the user's program."""
        self.at += 1
        first = self.handed_over
        self.handed_over += count
        if kind in ("calls", "lone"):
            calls = [ModelTask(first + each, 1, self.profile) for each in range(count)]
            self.calls += calls
            if kind == "calls" or not self.hand_over(calls[0]):
                self.tell(events.Submitted(list(calls)))
        else:
            grain = count if kind == "grain" else 0
            self.tell(events.Submitted([ModelTask(first, count, self.profile, chunk=True, grain=grain)]))

    def cancel(self, item: int) -> None:
        """As `CallFuture.cancel`: at once while it waits, else the driver is asked."""
        self.cancels -= 1
        (call,) = [call for call in self.calls if call.start == item and self.wanted(call)]
        if call.wid is None:
            call.cancelled = True
            self.ledger.seal(item, Fate.CANCELLED)
        else:
            self.mail.append(events.CancelAsked([call]))

    def close(self, first: int) -> None:
        """As closing the iterator of a map: from now on its tasks refuse to be claimed."""
        self.cancels -= 1
        for task in self.everywhere():
            if task.group == first:
                task.cancelled = True
        self.mail.append(events.GroupCancelled(first))

    def hear(self, wid: int, count: int) -> None:
        """Take `count` results, outcomes of one kind if more than one."""
        process = self.processes[wid]
        heard, process.results = process.results[:count], process.results[count:]
        kind, value, chunk = heard[0]
        if kind == READY:
            self.tell(events.WorkerReady(wid))
        elif kind == ENDED:
            self.tell(events.LeaseEnded(wid, value, value * 1000))
        elif kind == DONE:
            outcomes = [item for _, item, _ in heard]
            self.tell(events.CallsDone(wid, outcomes) if chunk < 0 else events.ItemsDone(wid, outcomes))
        else:
            self.tell(events.StartFailed(wid, "initializer", fatal=True))

    # -- laws ----------------------------------------------------------------------------------------------------

    def after_driving(self) -> None:
        """The driver has done all it was told."""
        if self.paused:
            return
        asked, self.asking = self.asking, None
        if asked is not None and self.wanted(asked):
            if asked.wid is None and not asked.started:  # it came back before it was asked for
                asked.cancelled = True
                self.ledger.seal(asked.start, Fate.CANCELLED)
            else:
                too_late = asked.started or self.ledger.started[asked.start]
                owned = any(process.owned() == asked.start for process in self.processes.values())
                assert too_late or owned, f"a cancel of item {asked.start} was refused while it waited"
        self.check_work_conserving()
        self.check_refused()
        assert self.closed <= 1, "Closed came twice"
        assert not self.closed or not self.processes, "Closed, and a worker is left"

    def check_refused(self) -> None:
        """When the pool is broken, killed or shut down with cancel, only what runs, or was said to, is still open."""
        state = self.core.state
        if state is PoolState.OPEN or (state is PoolState.DRAINING and not self.core.discarding):
            return
        known = {process.owned() for process in self.processes.values()}
        if state is PoolState.DRAINING:
            known |= {item for task in self.everywhere() if task.started for item in task.items}
            known |= {worker.inflight[0].start for worker in self.core.workers.values() if worker.items == 1}  # type: ignore[attr-defined]
        for item in range(self.handed_over):
            if self.ledger.fates[item] is Fate.OPEN and not self.ledger.started[item]:
                assert item in known, f"item {item} still waits, and the pool is {state.name}"

    def check_quiet(self) -> None:
        """Nothing happens by itself any more: is all done that was asked for?"""
        waiting = [item for item in range(self.handed_over) if self.ledger.fates[item] is Fate.OPEN]
        assert not waiting, f"nothing happens any more, and items {waiting} have no answer"
        if self.endings:
            assert self.closed == 1, "nothing happens any more, and the pool was not closed"
            assert self.core.state is PoolState.CLOSED

    def wanted(self, call: ModelTask) -> bool:
        """Somebody still waits for it."""
        return call.size > 0 and self.ledger.fates[call.start] is Fate.OPEN

    def everywhere(self) -> list[ModelTask]:
        """All tasks that the core holds."""
        found = [*self.core.pending]
        for worker in self.core.workers.values():
            found += worker.inflight
        return found  # type: ignore[return-value]
