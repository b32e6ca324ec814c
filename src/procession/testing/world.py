"""A pool in memory: a real `PoolCore`, a driver that performs its commands, workers that die, a user who cancels.

Laws that are checked here, beside `PoolCore.check` after every step (numbers are those of core/README.md):

    each item starts at most once, each is answered exactly once, with its own outcome                          (1)
    what was cancelled, or refused, has never started and never will                                        (1, 4)
    what was told to be running is not cancelled by anything short of a kill                                    (4)
    a worker that dies costs the one item that it owned, and nothing when it owned none                      (4, 5)
    a cancel that is refused was too late: the task had started, or was told to be running                      (4)
    no token lies with one worker while another idles, or could be started                                      (3)
    withdrawals end                                                                                             (3)
    what was handed over is answered without the user doing anything more; when the pool is shut down, Closed comes
    once, everything is answered, no worker is left                                                          (1, 6)
"""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from hashlib import blake2b
from typing import Self

from procession.core import events
from procession.core.worker import State
from procession.testing import snapshot
from procession.testing.driving import Fate
from procession.testing.explorer import Action
from procession.testing.happening import Happening
from procession.testing.model import DONE, FAILED, ModelTask, Phase


class World(Happening):
    """One state of it all: what can happen next, how it is copied, when it is the same as another."""

    # -- the explorer's contract ---------------------------------------------------------------------------------

    def copy(self) -> Self:
        """See `explorer.Model`."""
        new = type(self).__new__(type(self))
        memo: dict[int, ModelTask] = {}
        self.copy_onto(new, memo)
        new.scenario, new.profile, new.at, new.handed_over = self.scenario, self.profile, self.at, self.handed_over
        new.endings = self.endings
        new.calls = snapshot.copy_tasks([call for call in self.calls if self.wanted(call)], memo)
        new.mail = [
            events.CancelAsked(snapshot.copy_tasks(each.tasks, memo), each.kill)
            if isinstance(each, events.CancelAsked)
            else events.LentTasks(each.wid, snapshot.copy_tasks(each.tasks, memo))
            if isinstance(each, events.LentTasks)
            else each
            for each in self.mail
        ]
        new.lends = self.lends
        new.asking = None if self.asking is None else snapshot.copy_tasks([self.asking], memo)[0]
        new.cancels, new.crashes, new.failed_starts, new.unfit = (
            self.cancels,
            self.crashes,
            self.failed_starts,
            self.unfit,
        )
        new.timeouts, new.errors, new.lates, new.made = self.timeouts, self.errors, self.lates, self.made
        new.dues, new.heavies, new.sizes = self.dues, self.heavies, self.sizes
        self.copy_keys(new, memo.values())
        return new

    def key(self) -> bytes:
        """See `explorer.Model`; digested, as a hundred numbers a state would fill the memory."""
        names: snapshot.Names = {}
        core = self.core
        endings = tuple([self.scenario.endings.index(each) for each in self.endings])
        user = (self.at, endings, self.cancels, self.crashes, self.failed_starts, self.unfit, self.spawn_fails)
        left: snapshot.Key = (
            self.timeouts,
            self.errors,
            self.lates,
            self.dues,
            self.heavies,
            len(self.sizes),
            *self.user_key(),
        )
        parts: list[object] = [user, left, self.closed, self.paused is not None, self.looking, snapshot.core_key(core)]
        parts.append(snapshot.line_key(core, names))
        ranks = {}
        for rank, (known, wid) in enumerate(self.order()):
            ranks[wid] = rank
            worker, process = core.workers.get(wid), self.processes.get(wid)
            newest = 0 if worker is None else worker.next_number
            parts.append((known, snapshot.worker_key(worker, names)))
            parts += [snapshot.tasks_key(each.get(wid, ()), names) for each in (core.line.bound, core.bereaved)]
            parts.append(snapshot.process_key(process, newest, self.modulus, names))
            parts.append(self.beside_key(wid, names))
        parts.append(
            (
                tuple([ranks[wid] for wid in self.withdrawals]),
                tuple([ranks.get(wid, -1) for wid in self.looks]),
                tuple(sorted([ranks[wid] for wid in self.sent])),
                tuple(sorted(snapshot.heirs(core, ranks))),
                self.keys_key(ranks),
            )
        )
        parts += self.mail_key(ranks, names)
        out = -1 if self.out is None else names.get(self.out, -2)
        parts.append((-1 if self.lane is None else ranks[self.lane], out, self.recall, self.lends))
        if self.asking is not None:
            parts.append(snapshot.tasks_key([self.asking], names))
        ledger = self.ledger
        parts.append(
            tuple(
                [
                    (int(ledger.fates[item]), ledger.started[item], ledger.runs[item], ledger.unwanted[item])
                    for item in names
                    if item >= 0
                ]
            )
        )
        return blake2b(marshal.dumps(parts, 2), digest_size=16).digest()

    def order(self) -> list[tuple[snapshot.Key, int]]:
        """See `snapshot.order`."""
        return snapshot.order(self.core, self.processes)

    def mail_key(self, ranks: dict[int, int], names: snapshot.Names) -> list[object]:
        """What was left for the driver."""
        parts: list[object] = []
        for each in self.mail:
            if isinstance(each, events.CancelAsked):
                asked = each.tasks[0]
                parts.append(
                    (snapshot.tasks_key([asked], names), -1 if asked.wid is None else ranks.get(asked.wid, -2))
                )
            elif isinstance(each, events.LentTasks):
                parts.append(snapshot.tasks_key(each.tasks, names))
            else:
                parts.append(self.group_key(each.group, names))
        return parts

    def user_key(self) -> snapshot.Key:
        """What else may go wrong."""
        return ()

    def beside_key(self, wid: int, names: snapshot.Names) -> snapshot.Key:
        """What lies between the driver and this worker, beside pipes."""
        return ()

    def group_key(self, group: object, names: snapshot.Names) -> snapshot.Key:
        """Which items a group has, where they are held."""
        return tuple(sorted(name for item, name in names.items() if self.group_of(item) == group))

    def group_of(self, item: int) -> int | None:
        """The first item of the chunk that an item belongs to."""
        first = 0
        for kind, count in self.scenario.program:
            if first <= item < first + count:
                return None if kind in ("calls", "key", "turns") else first
            first += count
        return None

    def narrate(self, action: Action) -> str:
        """See `explorer.Model`."""
        self.said = [" ".join(map(str, action))]
        try:
            self.act(action)
        except Exception as error:
            self.said.append(f"    !! {error}")
        said, self.said = self.said, None
        return "\n".join(said)

    # -- what can happen -----------------------------------------------------------------------------------------

    def actions(self) -> Sequence[Action]:
        """See `explorer.Model`."""
        if self.paused is not None:
            return [("perform",), *(self.steps_of(self.paused) if self.paused in self.processes else [])]
        lane_must, lane_may = self.lane_actions()
        must = [*lane_must, *self.musts()]
        if not must:
            self.check_quiet()
        return [*must, *lane_may, *self.user(), *self.accidents()]

    def musts(self) -> list[Action]:
        """What happens by itself, sooner or later."""
        found: list[Action] = []
        noted = bool(self.notes())
        for wid, process in self.processes.items():
            if process.phase is not Phase.DEAD:
                found += self.steps_of(wid)
                if process.condemned:
                    found.append(("die", wid))
            if process.results and not (wid == self.lane and noted):
                found.append(("hear", wid, 1))
                together = self.together(wid)
                if together > 1:
                    found.append(("hear", wid, together))
            elif process.phase is Phase.DEAD and wid != self.lane:
                found.append(("reap", wid))
        if self.mail and self.lane is None:
            found.append(("mail",))
        for wid in self.core.watched:
            sentence = self.core.workers[wid].sentence
            if sentence is not None and sentence.until is not None:
                found.append(("patience over", wid))
        if self.core.delayed:
            found.append(("alarm",))
        return [*found, *self.next_ones()]

    def steps_of(self, wid: int) -> list[Action]:
        """What a process does next, if it does not die."""
        process = self.processes[wid]
        if process.phase is Phase.BOOTING:
            return [("boot", wid)]
        if process.running is not None:
            return [("publish", wid), *([("fail", wid)] if self.errors else [])]
        return [("take", wid)] if process.can_take() else []

    def user(self) -> list[Action]:
        """What the user may do; nothing has to wait for it."""
        found: list[Action] = []
        if self.at < len(self.scenario.program):
            found.append(("submit", *self.scenario.program[self.at]))
        elif not self.closed and self.lane is None and not any(map(self.is_kept, range(self.handed_over))):
            found += [(ending,) for ending in self.scenario.endings if ending not in self.endings]
        if self.cancels:
            asked = [task for each in self.mail if isinstance(each, events.CancelAsked) for task in each.tasks]
            found += [
                ("cancel", call.start)
                for call in self.calls
                if self.wanted(call) and not call.started and call not in asked
            ]
            found += [("close", first) for first in self.open_groups()]
        if self.sizes:
            found.append(("resize",))
        return found

    def accidents(self) -> list[Action]:
        """What may go wrong."""
        found: list[Action] = []
        for wid, process in self.processes.items():
            if process.phase is Phase.DEAD:
                continue
            if self.crashes and not process.condemned:
                found.append(("crash", wid))
            if process.phase is Phase.BOOTING and self.failed_starts:
                found.append(("start fails", wid))
            if process.phase is Phase.BOOTING and self.unfit:
                found.append(("unfit", wid))
        if self.timeouts and not self.paused:
            found += [("overdue", wid) for wid in self.core.watched if self.may_be_overdue(wid)]
        if self.dues:
            found += [("due", wid) for wid, worker in self.core.workers.items() if worker.usable and not worker.due]
        if self.heavies and not self.paused:
            found += [("heavy", wid) for wid in self.processes if self.may_be_heavy(wid)]
        if self.lates and not self.core.delayed and self.core.alarm() is not None:
            found.append(("alarm",))
        if self.failed_starts and not self.spawn_fails and not self.closed:
            found.append(("next spawn fails",))
        return found

    def may_be_overdue(self, wid: int) -> bool:
        """It would still be at something after all that it has published."""
        return self.core.workers[wid].sentence is None and self.at_something(wid)

    def may_be_heavy(self, wid: int) -> bool:
        """The same, and it may be under sentence already."""
        return self.core.workers[wid].state is State.BUSY and self.at_something(wid)

    def at_something(self, wid: int) -> bool:
        published = sum(result[0] in (DONE, FAILED) for result in self.processes[wid].results)
        return self.core.workers[wid].items > published

    def open_groups(self) -> list[int]:
        """First items of chunks that were handed over, not closed, and not through."""
        found, first = [], 0
        for kind, count in self.scenario.program[: self.at]:
            waits = any(fate is Fate.OPEN for fate in self.ledger.fates[first : first + count])
            if kind not in ("calls", "key", "turns") and waits and first not in self.closed_groups():
                found.append(first)
            first += count
        return found

    def closed_groups(self) -> set[object]:
        """Those that refuse to be claimed."""
        return {task.group for task in self.everywhere() if task.cancelled and task.chunk}

    def together(self, wid: int) -> int:
        """How many of the results at hand the parent may take as one event."""
        results = self.processes[wid].results
        count = 0
        while count < len(results) and results[count][0] in (DONE, FAILED) and results[count][2] == results[0][2]:
            count += 1
        return count
