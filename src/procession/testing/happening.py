"""What may happen in the model, one action at a time, and the laws that are checked when it has."""

from __future__ import annotations

from typing import cast

from procession.core import events
from procession.core.pool import PoolCore
from procession.core.rules import Cause
from procession.core.state import PoolState
from procession.core.task import Task
from procession.testing.driving import Fate, Ledger
from procession.testing.explorer import Action
from procession.testing.lane import Mail
from procession.testing.model import DONE, FAILED, Guess, Key, ModelTask, Phase
from procession.testing.scenario import Scenario
from procession.testing.timing import Timing


class Happening(Timing):
    """The world of one scenario, and what each action does to it."""

    def __init__(self, scenario: Scenario) -> None:
        core = PoolCore(scenario.workers, max_tasks_per_child=scenario.quota)
        super().__init__(core, Ledger(scenario.items, scenario.retries))
        self.scenario = scenario
        self.lengths = scenario.keys
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
        self.timeouts, self.errors, self.lates = scenario.timeouts, scenario.errors, scenario.lates
        self.dues, self.heavies, self.sizes = scenario.dues, scenario.heavies, scenario.sizes
        self.made = 0

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
                    self.check_alone(wid, item)
            case ("publish", int(wid)):
                self.processes[wid].publish()
            case ("fail", int(wid)):
                self.errors -= 1
                self.processes[wid].publish(FAILED)
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
            case ("overdue", int(wid)):
                self.overdue(wid)
            case ("due", int(wid)):
                self.dues -= 1
                self.tell(events.Due(wid))
            case ("heavy", int(wid)):
                self.heavy(wid)
            case ("resize",):
                count, *rest = self.sizes
                self.sizes = tuple(rest)
                self.tell(events.Resized(count))
            case ("patience over", int(wid)):
                self.patience_over(wid)
            case ("alarm",):
                self.alarm()
            case ("mail",):
                event = self.mail.pop(0)
                if isinstance(event, events.CancelAsked):
                    (self.asking,) = event.tasks  # type: ignore[assignment]
                self.note_unwanted(event)
                self.tell(event)
            case ("submit", str(kind), int(count)):
                self.submit(kind, count)
            case ("next", *keys):
                self.hand_in([self.next_call(int(first)) for first in keys])
            case (str(ending),):
                self.endings += (ending,)
                self.ledger.killed |= ending == "kill"
                self.tell(events.KillAsked() if ending == "kill" else events.ShutdownAsked(ending == "cancel"))

    def submit(self, kind: str, count: int) -> None:
        """The next line of the user's program."""
        self.at += 1
        first = self.handed_over
        self.handed_over += count
        if kind in ("key", "turns"):
            self.keys[first] = Key(first, first + count - 1 if kind == "turns" else 0)
            self.latest[first] = first - 1
            self.hand_in([self.next_call(first)])
        elif kind in ("calls", "lone"):
            calls = [self.ruled(ModelTask(first + each, 1, self.profile)) for each in range(count)]
            self.calls += calls
            if kind == "calls" or not self.hand_over(calls[0]):
                self.hand_in(list(calls))
        else:
            grain = count if kind == "grain" else 0
            self.hand_in([self.ruled(ModelTask(first, count, self.profile, chunk=True, grain=grain))])

    def next_call(self, first: int) -> ModelTask:
        """Of a key."""
        self.latest[first] += 1
        call = self.ruled(ModelTask(self.latest[first], 1, self.profile))
        call.home = self.keys[first]
        self.calls.append(call)
        return call

    def ruled(self, task: ModelTask) -> ModelTask:
        """Under the rules of the scenario."""
        task.rules = self.scenario.rules(self.made)
        self.made += 1
        return task

    def hand_in(self, tasks: list[ModelTask]) -> None:
        """Through the driver."""
        ruled = any(task.rules is not None or task.home is not None for task in tasks)
        self.now += ruled
        self.tell(events.Submitted(tasks, ruled, self.now))

    # -- cancels ----------------------------------------------------------------------------------------------------

    def cancel(self, item: int) -> None:
        """As `CallFuture.cancel`: at once while it waits, else the driver is asked."""
        self.cancels -= 1
        (call,) = [call for call in self.calls if call.start == item and self.wanted(call)]
        if call.wid is None and not call.tries:
            call.cancelled = True
            self.ledger.seal(item, Fate.CANCELLED)
        else:
            self.mail.append(events.CancelAsked([call], self.scenario.kills))

    def note_unwanted(self, event: Mail) -> None:
        """From here on they are to end, even if they run."""
        if isinstance(event, events.LentTasks) or not event.kill:
            return
        for task in self.everywhere():
            if task.group == event.group if isinstance(event, events.GroupCancelled) else task in event.tasks:
                for item in task.items:
                    self.ledger.unwanted[item] = True

    def close(self, first: int) -> None:
        """As closing the iterator of a map: from now on its tasks refuse to be claimed."""
        self.cancels -= 1
        for task in self.everywhere():
            if task.group == first:
                task.cancelled = True
        self.mail.append(events.GroupCancelled(first, self.scenario.kills))

    def hear(self, wid: int, count: int) -> None:
        """Take `count` results, outcomes of one kind if more than one."""
        self.sent.clear()
        self.withdrawn = 0
        self.take(wid, count)
        self.perform()

    # -- laws ----------------------------------------------------------------------------------------------------

    def after_driving(self) -> None:
        """The driver has done all it was told."""
        if self.paused is not None:
            return
        asked, self.asking = self.asking, None
        if asked is not None:
            self.answer_cancel(asked)
        self.check_work_conserving()
        self.check_refused()
        self.check_width()
        assert self.closed <= 1, "Closed came twice"
        assert not self.closed or not self.processes, "Closed, and a worker is left"

    def answer_cancel(self, asked: ModelTask) -> None:
        """Whoever has asked for this cancel hears what came of it."""
        if not self.wanted(asked):
            return
        if asked.wid is None and not asked.started:  # it came back before it was asked for, or is to run again
            asked.cancelled = True
            self.ledger.seal(asked.start, Fate.CANCELLED)
        elif self.scenario.kills:
            worker = None if asked.wid is None else self.core.workers.get(asked.wid)
            doomed = worker is not None and worker.sentence is not None and worker.sentence.cause is Cause.CANCEL
            outcomes = [result for p in self.processes.values() for result in p.results if result[0] in (DONE, FAILED)]
            through = any(result[1] == asked.start for result in outcomes)
            dead = worker is not None and self.processes[worker.wid].phase is Phase.DEAD
            assert doomed or through or dead, f"item {asked.start} was to be ended, and nobody is at it"
        else:
            too_late = asked.started or self.ledger.started[asked.start]
            owned = any(process.owned() == asked.start for process in self.processes.values())
            assert too_late or owned, f"a cancel of item {asked.start} was refused while it waited"

    def check_width(self) -> None:
        """No more run something than there are to be workers, but for those that are on their way out."""
        if not self.scenario.sizes:
            at_it = [each for each in self.processes.values() if each.owned() is not None and not each.condemned]
            alive = sum(each.phase is not Phase.DEAD for each in at_it)
            assert alive <= self.scenario.workers, f"{alive} workers run something"

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
            if self.ledger.fates[item] is Fate.OPEN and not self.ledger.started[item] and not self.is_kept(item):
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
        found: list[Task] = [*self.core.line, *[task for _, _, task in self.core.delayed]]
        found += [task for tasks in self.core.bereaved.values() for task in tasks]
        for worker in self.core.workers.values():
            found += worker.inflight
        return cast("list[ModelTask]", found)
