"""What may happen in a model with far workers, one action at a time, and how the driver performs what the core says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from procession.backends.cluster import SeatLost
from procession.core import commands, events
from procession.core.rules import LOOKS
from procession.core.worker import State
from procession.testing.driving import FOREVER
from procession.testing.explorer import Action
from procession.testing.far_driver import Answer, ModelDriver, items_of
from procession.testing.far_model import LANDED, NOT_STARTED, FarProcess, Way
from procession.testing.model import ENDED, FAILED, FATAL, ModelTask, Phase, Process, Result
from procession.testing.scenario import TIMEOUT, Scenario
from procession.testing.world import World

SLOW = ("withdraw", "look")


class FarHappening(World):
    """The world of one scenario, and what each action does to it."""

    processes: dict[int, FarProcess]  # type: ignore[assignment]  # those that are there, and those that are to be

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.core.far = True
        self.driver = ModelDriver()
        self.losses = scenario.losses
        self.lost_items: frozenset[int] = frozenset()  # those that may fail with the worker whose loss is being told
        self.performing = False

    def way(self, wid: int) -> Way:
        """To this worker's agent."""
        way: Any = self.driver.channels[wid].station
        found: Way = way
        return found

    # -- letting it happen ---------------------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        """See `World`."""
        self.driver.join(self)  # type: ignore[arg-type]  # with what far_world.py adds
        self.happen(action)
        self.driver.join(None)

    def happen(self, action: Action) -> None:
        """See `act`."""
        match action:
            case ("comes", int(wid), int(at)):
                way = self.way(wid)
                call, way.calls = way.calls[at], way.calls[:at] + way.calls[at + 1 :]
                self.comes(wid, call)
            case ("land", int(wid)):
                self.processes[wid].land(False)
            case ("reap", int(wid)):
                self.processes[wid].end()
            case ("start fails", int(wid)):
                self.failed_starts -= 1
                self.processes[wid].end(NOT_STARTED)
            case ("agent lost", int(wid)):
                self.losses -= 1
                self.way(wid).gone, self.way(wid).calls = True, ()
                process = self.processes[wid]
                process.phase, process.ended, process.waiting = Phase.DEAD, True, False
            case ("place lost", int(at)):
                self.losses -= 1
                self.driver._free[at].gone = True
            case (("boot" | "unfit" | "take" | "publish" | "fail"), int(wid)):
                process = self.processes[wid]
                before = process.results
                super().act(action)
                process.published(before)
                if process.waiting and not process.leases and not any(call[0] in SLOW for call in self.way(wid).calls):
                    process.land(True)  # what comes later is answered later
            case _:
                super().act(action)

    def comes(self, wid: int, call: tuple[object, ...]) -> None:
        """To the agent of this worker; perhaps for its predecessor, and then it does nothing there."""
        if call[1] == wid:
            self.processes[wid].take_call(call)
            if call[0] == "start" and not self.scenario.slow_starts:
                self.hear(wid, 1)

    def drive(self, action: Action) -> None:
        """See `Happening`."""
        match action:
            case ("loss", int(wid)):
                way = self.way(wid)
                worker, sent = self.core.workers[wid], self.driver.channels[wid].outbox
                kept = {item for _, tasks, _ in sent for item in items_of(tasks)}
                self.lost_items = frozenset(items_of(list(worker.inflight)) - kept)
                self.processes[wid].results = ()
                way.lost = SeatLost("lost")
                self.driver.seat_lost(way)
                self.lost_items = frozenset()
            case ("loss of place", int(at)):
                self.driver.seat_lost(self.driver._free[at])
            case ("forsaken", int(wid)):
                self.driver.forsaken = tuple([each for each in self.driver.forsaken if each != wid])
                self.driver.not_started(self.driver.channels[wid], SeatLost("not waited for"), True)
            case ("mail",):
                event = self.mail.pop(0)
                self.note_unwanted(event)
                self.withdrawn = 0
                if isinstance(event, events.CancelAsked):
                    (task,) = event.tasks
                    assert isinstance(task, ModelTask)
                    self.driver.take_request((event, Answer(self.driver, task)))
                else:
                    self.tell(event)
            case _:
                super().drive(action)

    def perform(self) -> None:
        """See `Performer.perform`."""
        if self.performing:
            return
        self.performing = True
        while True:
            if self.todo:
                self.do(self.todo.popleft())
            elif self.looks:
                self.driver.look(self.looks.popitem()[0])
            elif self.withdrawals:
                self.driver.withdraw(self.withdrawals.popitem()[0])
            else:
                break
        self.performing = False

    def step(self, event: events.Event) -> None:
        """See `Performer.step`."""
        self.withdrawn += isinstance(event, events.Withdrawn)
        assert self.withdrawn < FOREVER, "withdrawals that never end"
        super().step(event)
        self.perform()

    def tell_core(self, event: events.Event) -> None:
        """What comes of it is performed later."""
        performing, self.performing = self.performing, True
        self.step(event)
        self.performing = performing

    # -- what the driver does ------------------------------------------------------------------------------------

    def spawn(self, wid: int) -> None:
        """See `Driving`."""
        super().spawn(wid)
        if wid in self.processes:
            self.driver.spawn(wid)

    def new_process(self) -> Process:
        """See `Driving`."""
        return FarProcess()

    def hand_over_lease(self, wid: int, number: int, tasks: list[ModelTask], tokens: int) -> None:
        """See `Driving`."""
        channel = self.driver.channels.get(wid)
        if channel is not None:
            channel.send(number, tasks, tokens)

    def stop(self, command: commands.Stop) -> None:
        """See `Driving`."""
        self.driver.stop(command)
        self.mind_forsaken(command.wid)

    def kill(self, command: commands.Kill) -> None:
        """See `Driving`."""
        self.driver.kill(command)
        self.mind_forsaken(command.wid)

    def mind_forsaken(self, wid: int) -> None:
        """Whoever is not waited for is gone with its place."""
        if wid in self.driver.forsaken:
            self.processes[wid].wipe()
            self.way(wid).calls = ()

    def ask(self, command: commands.Ask) -> None:
        """See `Driving`."""
        channel = self.driver.channels.get(command.wid)
        if channel is not None:
            before = channel.station.calls  # type: ignore[attr-defined]
            channel.ask()
            made = channel.station.calls[len(before) :]  # type: ignore[attr-defined]
            item: int = command.task.start  # type: ignore[attr-defined]
            self.way(command.wid).calls = (*before, *[(*call, item) for call in made])

    def hear(self, wid: int, count: int) -> None:
        """See `Happening`."""
        self.withdrawn = 0
        process = self.processes[wid]
        heard, process.results = process.results[:count], process.results[count:]
        process.since = min(process.since, process.unheard)
        come = next((come for kind, _, come in process.results if kind > FAILED), process.come)
        self.driver.channels[wid].hear(heard, heard[0][2] if heard[0][0] > FAILED else come)
        if heard[0][0] == ENDED and process.results and process.results[0][:2] == (LANDED, True):
            self.hear(wid, 1)

    def hear_results(self, wid: int, results: Sequence[Result]) -> None:
        """Published by it."""
        if results[0][0] == FATAL:
            self.driver.start_errors[wid] = ValueError("initializer")
            return
        process = self.processes[wid]
        rest, process.results = process.results, tuple(results)
        self.take(wid, len(results))
        process.results = rest

    def overdue(self, wid: int) -> None:
        """It is looked at, and what the driver hears of that is that it has been at it for too long."""
        self.timeouts -= 1
        self.processes[wid].overlong = True
        self.driver.look(wid)

    def patience_over(self, wid: int) -> None:
        """See `Timing`; the look takes its time."""
        sentence = self.core.workers[wid].sentence
        assert sentence is not None
        assert sentence.until is not None
        self.pass_time(max(0, sentence.until - self.now))
        self.driver.look(wid)

    def looked_late(self, wid: int, moved: bool) -> None:
        """All that it had published when it was looked at has been heard."""
        process = self.processes[wid]
        overlong, process.overlong = process.overlong, False
        self.step(events.Looked(wid, moved))
        for _ in range(LOOKS if overlong else 0):
            worker = self.core.workers[wid]
            if worker.sentence is None and worker.state is State.BUSY:
                self.pass_time(TIMEOUT // LOOKS * 2)
                self.step(events.Looked(wid))
