"""The express lane in the model: a caller hands lone calls to the worker that the core has lent.

As `driver/lane.py` does it: the note is left before the token and the frame are written, one number is out at a time,
and the next may be used when the caller has seen the outcome, which may be before the driver has. The driver reads all
notes before it hears what the lent worker says, before it closes the lane, and before the worker is counted as lost;
and it closes the lane before it tells the core of anything but new tasks.
"""

from __future__ import annotations

from procession.core import commands, events, lending
from procession.core.state import PoolState
from procession.core.worker import State, Worker
from procession.testing.driving import Driving, Fate
from procession.testing.explorer import Action
from procession.testing.model import DONE, ModelTask

Mail = events.CancelAsked | events.GroupCancelled | events.LentTasks


class Lending(Driving):
    """Driving, with a lane."""

    mail: list[Mail]
    lends: int

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.lane: int | None = None  # the lent worker, while callers may use it
        self.number: int = 0  # the lease number that a caller uses next
        self.out: int | None = None  # the item that a caller has handed over and has not seen the outcome of
        self.recall = False

    def copy_onto(self, new: Driving, memo: dict[int, ModelTask]) -> None:
        """See `Driving`."""
        super().copy_onto(new, memo)
        assert isinstance(new, Lending)
        new.lane, new.number, new.out, new.recall = self.lane, self.number, self.out, self.recall

    # -- callers -------------------------------------------------------------------------------------------------

    def hand_over(self, call: ModelTask) -> bool:
        """A caller's lone call; False when it has to go through the driver."""
        if self.lane is None or self.out is not None:
            return False
        call.wid, call.started = self.lane, True
        self.mail.append(events.LentTasks(self.lane, [call]))
        self.send(self.processes[self.lane], self.number, [call], 1)
        self.number += 1
        self.out = call.start
        return True

    def seen(self) -> bool:
        """The caller could know the outcome of what it handed over."""
        if self.out is None or self.lane is None:
            return False
        results = self.processes[self.lane].results
        return self.ledger.fates[self.out] is Fate.DONE or any(r[0] == DONE and r[1] == self.out for r in results)

    # -- the driver ----------------------------------------------------------------------------------------------

    def notes(self) -> list[events.LentTasks]:
        """What the driver has not heard of."""
        return [each for each in self.mail if isinstance(each, events.LentTasks)]

    def lane_actions(self) -> tuple[list[Action], list[Action]]:
        """What has to happen, what may."""
        must: list[Action] = [("note",)] if self.notes() else []
        may: list[Action] = []
        if self.seen():
            may.append(("see",))
        if self.lane is not None and not must:
            needed = len(self.mail) > 0 or not self.core.workers[self.lane].usable
            (must if needed or self.processes[self.lane].phase == 2 else may).append(("recall",))
        core = self.core
        if self.lane is None and self.lends and core.state is PoolState.OPEN and not core.in_flight and not self.mail:
            may += [("lend", wid) for wid in core.hungry if not core.workers[wid].open_leases]
        return must, may

    def mind_lane(self, action: Action) -> bool:
        """Let it happen if it is of the lane."""
        match action:
            case ("note",):
                note = self.notes()[0]
                self.mail.remove(note)
                self.tell(note)
            case ("see",):
                self.out = None
            case ("recall",):
                self.recall = True
                self.sent.clear()
                self.withdrawn = 0
                self.perform()
            case ("lend", int(wid)):
                self.lends -= 1
                self.lane, self.number, self.out = wid, self.core.workers[wid].next_number, None
                self.tell(events.Lent(wid))
            case _:
                return False
        return True

    def do(self, command: commands.Command) -> None:
        """See `Driving`."""
        if isinstance(command, commands.Recall):
            self.recall = True
        super().do(command)

    def perform_last(self) -> bool:
        """Close the lane: no caller gets in any more, those who were are told of."""
        if not self.recall:
            return False
        notes = self.notes()
        if notes:
            self.mail.remove(notes[0])
            self.step(notes[0])
            return True
        wid, self.lane, self.out, self.recall = self.lane, None, None, False
        if wid is not None:
            self.step(events.Recalled(wid))
        return True

    # -- laws ----------------------------------------------------------------------------------------------------

    def keeps_all(self, worker: Worker) -> bool:
        """Nobody else may run what it has in hand."""
        return False

    def check_work_conserving(self) -> None:
        """Law 3: once everything is performed, no token lies with one worker while another idles or may be started."""
        core = self.core
        if not core.state.takes_back or core.discarding:
            return
        idle = any(worker.state is State.IDLE and worker.may_lease() for worker in core.workers.values())
        if not idle and not core.recalling:
            idle = lending.idles(core)
        if not idle and core.width >= core.max_workers:
            return
        for wid, worker in core.workers.items():
            if not worker.usable or self.keeps_all(worker):
                continue
            process = self.processes[wid]
            if not idle and worker.state is State.STARTING:
                continue  # what waits for one start would gain nothing by waiting for another
            started = process.running is not None or process.held is not None
            head = 0 if started or worker.state is State.STARTING else 1
            assert (lie := self.lie_with(wid)) <= head, f"{lie} tokens lie with worker {wid} while another idles"

    def lie_with(self, wid: int) -> int:
        """So many items were handed to it, and it has not taken them."""
        return len(self.processes[wid].tokens)
