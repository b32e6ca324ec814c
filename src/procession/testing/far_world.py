"""A pool on a cluster, in memory: a real core, the real half of the driver, agents and workers of a model.

As world.py, with all its laws, and an agent between the driver and each worker (far_model.py). What may happen besides:

    a call comes to an agent; a lease has landed; an agent hears of its worker's end
    an agent is lost, and its worker with it, while whatever it had said may or may not be heard any more
    a worker that was told to stop before its agent had been heard of is not waited for

What is less than near (core/README.md, "Far workers"): with an agent several items may be lost, those that had been
sent there and had not come back, whether they had started, or were through, or not. Each of them fails, or runs again
if its rules say so; nothing else does. And law 3 counts what was handed to a worker wherever it is: where it waits to
be sent, on its way, in its pipe.
"""

from __future__ import annotations

from procession.core import events
from procession.core.worker import State
from procession.driver.far_channel import FarChannel
from procession.testing import snapshot
from procession.testing.driving import Driving, Fate
from procession.testing.explorer import Action
from procession.testing.far_driver import lying
from procession.testing.far_happening import FarHappening
from procession.testing.far_model import FarProcess
from procession.testing.model import FAILED, ModelTask, Phase


class FarWorld(FarHappening):
    """One state of it all."""

    def copy_onto(self, new: Driving, memo: dict[int, ModelTask]) -> None:
        """See `Driving`."""
        super().copy_onto(new, memo)
        assert isinstance(new, FarWorld)
        new.driver = self.driver.copy(memo)
        new.losses, new.lost_items, new.performing = self.losses, frozenset(), False

    # -- the same states -----------------------------------------------------------------------------------------

    def order(self) -> list[tuple[snapshot.Key, int]]:
        """See `World`."""
        return snapshot.order(self.core, self.processes, self.plain_key)

    def plain_key(self, wid: int) -> snapshot.Key:
        """What can be said of it without naming anything."""
        process, channel = self.processes.get(wid), self.driver.channels.get(wid)
        if process is None or channel is None:
            return ()
        way = self.way(wid)
        return (
            *(process.there, process.ended, process.waiting, process.leases, process.overlong, process.since),
            *(way.gone, wid in self.driver.forsaken, channel.is_ready, channel._out, channel._withdrawing),
            *(channel._looking, len(channel.outbox), channel._left, len(channel.answers)),
            tuple(sorted([call[0] for call in way.calls])),
        )

    def beside_key(self, wid: int, names: snapshot.Names) -> snapshot.Key:
        """See `World`."""
        process, channel = self.processes.get(wid), self.driver.channels.get(wid)
        if process is None or channel is None:
            return ()
        worker = self.core.workers.get(wid)
        newest = 0 if worker is None else worker.next_number
        calls: list[snapshot.Key] = []
        for name, to, *rest in sorted(self.way(wid).calls, key=lambda call: (call[0], call[1] == wid)):
            if name == "lease":
                number, marks, leases, *data = rest
                sent = [
                    ((newest - mark) % self.modulus, [[n if n < 0 else names.setdefault(n, len(names)) for n in spec]])
                    for mark, specs in data
                    for spec in specs
                ]
                calls.append((name, to == wid, number > process.revoked, len(marks), leases, sent))
            else:
                number = channel._calls - rest[0] if name in ("withdraw", "ask") else 0
                calls.append((name, to == wid, number, *[names.get(item, -1) for item in rest[1:] if name == "ask"]))
        comes = tuple([channel._calls - come for kind, _, come in process.results if kind > FAILED])
        lag = channel._calls - process.come
        return (
            self.plain_key(wid),
            tuple(calls),
            comes,
            lag,
            channel.key(newest, names),
            wid in self.driver.start_errors,
        )

    def user_key(self) -> snapshot.Key:
        """See `World`."""
        return (self.losses, self.driver.free_key())

    # -- what can happen -----------------------------------------------------------------------------------------

    def musts(self) -> list[Action]:
        """See `World`."""
        found: list[Action] = []
        for wid, process in self.processes.items():
            way = self.way(wid)
            if wid in self.driver.forsaken:
                found.append(("forsaken", wid))
                continue
            if way.gone:
                found.append(("loss", wid))
            else:
                found += self.agents(wid, process)
            if process.results:
                found.append(("hear", wid, 1))
                together = self.together(wid)
                if together > 1:
                    found.append(("hear", wid, together))
        found += [("loss of place", at) for at, way in enumerate(self.driver._free) if way.gone]
        if self.mail:
            found.append(("mail",))
        for wid in self.core.watched:
            sentence = self.core.workers[wid].sentence
            if sentence is not None and sentence.until is not None and not self.driver.channels[wid]._looking:
                found.append(("patience over", wid))
        if self.core.delayed:
            found.append(("alarm",))
        return [*found, *self.next_ones()]

    def agents(self, wid: int, process: FarProcess) -> list[Action]:
        """What an agent and its worker do."""
        calls = self.way(wid).calls
        found: list[Action] = [
            ("comes", wid, at) for at, call in enumerate(calls) if process.there or call[0] == "start"
        ]
        if not process.there or process.ended:
            return found
        if process.phase is Phase.DEAD:
            return [*found, ("reap", wid)]
        found += self.steps_of(wid)
        if process.waiting and not process.leases:
            found.append(("land", wid))
        if process.condemned:
            found.append(("die", wid))
        return found

    def accidents(self) -> list[Action]:
        """See `World`."""
        found = [action for action in super().accidents() if self.may_happen(action)]
        if self.losses:
            found += [("agent lost", wid) for wid in self.processes if not self.way(wid).gone]
            found += [("place lost", at) for at, way in enumerate(self.driver._free) if not way.gone]
        return found

    def may_happen(self, action: Action) -> bool:
        """It is there, and lives."""
        if action[0] not in ("crash", "start fails", "unfit", "overdue"):
            return True
        process = self.processes[int(action[1])]
        return not process.overlong if action[0] == "overdue" else process.there and not process.ended

    # -- laws ----------------------------------------------------------------------------------------------------

    def is_gone(self, channel: FarChannel, event: events.Lost) -> None:
        """Its end is told: with its agent everything that it had may be lost, else what it had in its hands."""
        process = self.processes.pop(event.wid)
        if channel.end is not None:
            owned = process.owned()
            self.lost_items = frozenset(() if owned is None else (owned,))
            blamed = process.blamed
            assert blamed is None or owned in (None, blamed), f"killed for {blamed}, and item {owned} dies of it"
        elif process.blamed is not None:
            assert self.lost_items <= {process.blamed}, f"killed for {process.blamed}, lost with it: {self.lost_items}"
        lost = self.lost_items
        if not self.scenario.late_calls:
            way = self.way(event.wid)  # perhaps that of its successor as well, whose calls stay
            way.calls = tuple([call for call in way.calls if call[1] != event.wid])
        self.step(event)
        for item in lost:
            again = not self.ledger.started[item]
            assert again or self.ledger.fates[item] is not Fate.OPEN, f"item {item} was lost, and is not answered"
        self.lost_items = frozenset()

    def blame(self, wid: int) -> None:
        """See `Driving`; and what was through when it was looked at is not what it dies for."""
        super().blame(wid)
        process = self.processes[wid]
        assert process.since >= process.unheard, (
            f"killed for item {process.blamed}, and nobody has looked whether it runs"
        )

    def dies_with_it(self, item: int) -> bool:
        """See `Driving`."""
        return item in self.lost_items

    def lie_with(self, wid: int) -> int:
        """See `Driving`."""
        return lying(self.driver.channels[wid], self.processes[wid])

    def check_work_conserving(self) -> None:
        """See `Driving`; while an answer is on its way, something lies."""
        if not self.core.withdrawing:
            super().check_work_conserving()

    def check_quiet(self) -> None:
        """See `Happening`; and no lease is still open."""
        super().check_quiet()
        still = [wid for wid, worker in self.core.workers.items() if worker.open_leases]
        assert not still, f"nothing happens any more, and a lease of workers {still} is still open"

    def check_refused(self) -> None:
        """See `Happening`; likewise."""
        if not self.core.withdrawing:
            super().check_refused()

    def check_width(self) -> None:
        """See `Happening`; a signal to die may still be on its way."""
        if not self.scenario.sizes:
            doomed = {wid for wid, worker in self.core.workers.items() if worker.state is State.DYING}
            at_it = [wid for wid, each in self.processes.items() if each.owned() is not None and wid not in doomed]
            alive = sum(self.processes[wid].phase is not Phase.DEAD for wid in at_it)
            assert alive <= self.scenario.workers, f"{alive} workers run something"
