"""What takes too long, or too much memory, in the model, and what was to wait for its time; how a worker is heard."""

from __future__ import annotations

from procession.core import events
from procession.core.rules import LOOKS
from procession.testing.keyed import Keyed
from procession.testing.model import DONE, ENDED, FAILED, READY, Flop
from procession.testing.scenario import TIMEOUT


class Timing(Keyed):
    """A driver that keeps time, and looks at what workers take."""

    timeouts: int
    heavies: int
    lates: int

    def pass_time(self, by: int) -> None:
        """The clock is told, as before all that wants it; nothing may be due yet that was not before."""
        self.now += by
        self.step(events.Clock(self.now))

    def overdue(self, wid: int) -> None:
        """What runs there has been looked at for as long as it may run; in between it goes on, or this was no use.

        Looks in between at which something had come are not told apart: they begin the measuring anew.
        """
        self.timeouts -= 1
        self.sent.clear()
        self.withdrawn = 0
        self.hear_all(wid)
        for _ in range(LOOKS):
            self.pass_time(TIMEOUT // LOOKS * 2)
            if self.core.workers[wid].sentence is None:
                self.step(events.Looked(wid))
        self.sent.add(wid)  # it goes on while this is decided
        self.perform()

    def heavy(self, wid: int) -> None:
        """All that it has published is told, then what it takes is found to be too much; it goes on meanwhile."""
        self.heavies -= 1
        self.sent.clear()
        self.withdrawn = 0
        self.hear_all(wid)
        self.step(events.Heavy(wid))
        self.sent.add(wid)
        self.perform()

    def patience_over(self, wid: int) -> None:
        """Its grace is over."""
        sentence = self.core.workers[wid].sentence
        assert sentence is not None
        assert sentence.until is not None
        self.pass_time(max(0, sentence.until - self.now))
        self.hear_all(wid)
        self.step(events.Looked(wid))
        self.perform()

    def alarm(self) -> None:
        """The time has come that the core asked to be told."""
        due = self.core.alarm()
        assert due is not None
        self.lates -= bool(self.core.sweeps)
        self.sent.clear()
        self.withdrawn = 0
        self.pass_time(max(0, due - self.now))
        self.perform()

    def take(self, wid: int, count: int) -> None:
        """Tell the core of so many results of a worker."""
        process = self.processes[wid]
        heard, process.results = process.results[:count], process.results[count:]
        kind, value, chunk = heard[0]
        if kind == READY:
            self.step(events.WorkerReady(wid))
        elif kind == ENDED:
            self.step(events.LeaseEnded(wid, value, value * 1000))
        elif kind in (DONE, FAILED):
            outcomes = [item if kind == DONE else Flop(item) for kind, item, _ in heard]
            failed = [place for place, (kind, _, _) in enumerate(heard) if kind == FAILED]
            self.step((events.CallsDone if chunk < 0 else events.ItemsDone)(wid, outcomes, failed))
        else:
            self.step(events.StartFailed(wid, "initializer", fatal=True))

    def hear_all(self, wid: int) -> None:
        """See `Driving`."""
        process = self.processes.get(wid)
        while process is not None and process.results:
            self.take(wid, 1)
