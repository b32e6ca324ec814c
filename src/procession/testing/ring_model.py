"""One worker, the driver of its parent and a caller around `_native/ring.h`: every interleaving, on a weak memory.

What the threads do is in `ring_programs`, the memory in `ring_memory`, kernel and book in `ring_ground`. What must
hold; letters are those of the README beside ring.h:

    an item is run once at most, and never after it was taken back                                              (C)
    outcomes come in order, each once; items = outcomes + taken back + at most one at a death                   (C5)
    who takes back and then looks has the outcomes of all that was taken but one                                (C5)
    nobody reads what is not written whole, or writes over what is being read                                   (R)
    nobody sleeps for ever while what it waits for is there: a state in which nothing can happen is an end only if all
    items are accounted for and nobody waits                                                                    (B)
    an item heeds what was asked of it, not what was asked of another                                           (A)
"""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Self

from procession.testing.explorer import Action
from procession.testing.ring_ground import CALLER, DRIVER, EAGER, SLEEPS, THREADS, WORKER, Ground, Law, must
from procession.testing.ring_programs import OUTS, TASKS, WORDS, Op
from procession.testing.ring_scenario import END, Cast, Scenario, Stage


class Ring(Ground):
    """One state of it all: what can happen next, how it is copied, when it is the same as another."""

    eager = EAGER
    broken = False
    """A law is: nothing follows."""

    def __init__(self, scenario: Scenario, cast: Cast | None = None) -> None:
        super().__init__(Stage(scenario, cast or Cast()))

    # -- the explorer's contract ---------------------------------------------------------------------------------

    def actions(self) -> Sequence[Action]:
        """See `explorer.Model`."""
        found: list[Action] = []
        for thread, place in enumerate(self.threads):
            if place == END or self.asleep[thread]:
                continue
            op = self.stage.courses[thread].ops[place]
            found += [(THREADS[thread], choice) for choice in self.choices(thread, op)]
        if not found:
            self.check_end()
        if self.spurious:
            found += [("spurious", thread) for thread in (WORKER, CALLER) if self.asleep[thread]]
        if self.buried and self.asleep[CALLER]:
            found.append(("limit", CALLER))
        if self.kills and self.alive:
            found.append(("kill",))
        return found

    def choices(self, thread: int, op: Op) -> Sequence[int]:
        """Which of the ways that this operation may go are open, the newest value first."""
        kind, memory, bound = op[0], self.memory, self.stage.scenario
        if kind == "load":
            return range(len(memory.seen(thread, op[1], self.stage.orders[op[2]])))
        if kind == "cas":
            seen = memory.seen(thread, op[1], self.stage.orders[op[3]])
            return [0, *[back for back in range(1, len(seen)) if seen[-1 - back][0] != op[4]]]
        if kind == "wait":
            return range(len(memory.words[op[1]]) - memory.futex_floor(thread, op[1]))
        if kind == "lock":
            return (0,) if self.locked == END else ()
        if kind == "poll":
            return range(len(self.events(op)))
        if kind == "put":
            return (0,) if len(self.result_pipe) < bound.pipe_room else ()
        if kind == "pull":
            return (0,) if self.task_pipe else ()
        if kind == "come":
            return (0,) if self.issued > op[1] or self.buried else ()
        return (0,)

    def copy(self) -> Self:
        """See `explorer.Model`."""
        new = type(self).__new__(type(self))
        vars(new).update(vars(self))
        new.memory, new.threads, new.asleep = self.memory.copy(), self.threads[:], self.asleep[:]
        new.rings, new.written, new.read = self.rings.copy(), self.written.copy(), self.read.copy()
        return new

    def act(self, action: Action) -> None:
        """See `explorer.Model`."""
        self.perform(action)
        while (follows := self.follows()) is not None:
            self.perform(follows)
        self.settle()

    def key(self) -> bytes:
        """See `explorer.Model`; digested, as the views of a state would fill the memory."""
        parts: tuple[Any, ...] = (
            *(self.memory.key(), tuple(self.threads), tuple(self.asleep), self.rings[TASKS], self.rings[OUTS]),
            *(self.written[TASKS], self.written[OUTS], self.read[TASKS], self.read[OUTS]),
            *(self.result_pipe, self.task_pipe, self.backlog, self.inbox, self.locked, self.head, self.at, self.hand),
            *(
                self.told,
                self.issued,
                tuple(sorted(self.ran)),
                self.asked_of,
                self.alive,
                self.buried,
                self.kills,
                self.spurious,
            ),
        )
        return blake2b(marshal.dumps(parts, 2), digest_size=16).digest()

    def narrate(self, action: Action) -> str:
        """See `explorer.Model`."""
        said = [self.tell(action)]
        while not self.broken and (follows := self.follows()) is not None:
            said.append(self.tell(follows))
        self.settle()
        return "; ".join(said)

    def tell(self, action: Action) -> str:
        """`perform`, and say what happened."""
        who = action[0]
        said = " ".join(map(str, action))
        if who in THREADS:
            thread = THREADS.index(str(who))
            said = f"{who}: {told(self.stage.courses[thread].ops[self.threads[thread]])}"
        try:
            result = self.perform(action)
        except Exception as error:
            self.broken = True
            return f"{said}: {type(error).__name__}: {error}"
        return said if result is None else f"{said} -> {'asleep' if result is SLEEPS else result}"

    # -- what happens --------------------------------------------------------------------------------------------

    def follows(self) -> Action | None:
        """What happens at once, and alone, if there is such a thing."""
        for thread, place in enumerate(self.threads):
            if place != END and not self.asleep[thread] and self.stage.courses[thread].ops[place][0] in self.eager:
                return (THREADS[thread], 0)
        return None

    def perform(self, action: Action) -> Any:
        """Let it happen; returns the result of the operation."""
        who = action[0]
        if who == "kill":
            return self.kill()
        if who in ("spurious", "limit"):
            self.spurious -= who == "spurious"
            return self.wake(int(action[1]))
        thread = THREADS.index(str(who))
        course = self.stage.courses[thread]
        place = self.threads[thread]
        op = course.ops[place]
        result = getattr(self, f"do_{op[0]}")(thread, op, int(action[1]))
        if result is not SLEEPS:
            self.threads[thread] = course.then(place, result)
        return result

    def settle(self) -> None:
        """Forget what makes no difference any more."""
        self.memory.settle([thread for thread, place in enumerate(self.threads) if place != END], self.rules)

    def kill(self) -> None:
        """The worker dies where it is. What it has executed becomes visible; who hears of its death has seen it."""
        self.kills -= 1
        self.alive = False
        self.threads[WORKER], self.asleep[WORKER] = END, 0

    def check_end(self) -> None:
        """Nothing can happen any more: everything has, or somebody sleeps through something."""
        waits = [THREADS[each] for each in (WORKER, DRIVER, CALLER) if self.asleep[each]]
        where = f"nothing can happen any more; asleep: {waits}, in hand: {self.hand}"
        must(
            self.threads[CALLER] == END or self.buried,
            f"{where}; the caller has not got item {self.stage.scenario.waits}",
        )
        if not self.alive:
            must(self.buried, f"{where}; the dead worker was not counted")
            return
        must(self.at == len(self.stage.steps) and self.issued == self.stage.items, f"{where}; not all was issued")
        must(not self.hand and not self.backlog and not self.task_pipe, where)
        must(not self.result_pipe and not self.inbox, f"{where}; something lies in the pipe")
        must(self.asleep[WORKER], f"{where}; the worker is stuck")


def told(op: Op) -> str:
    """An operation in words."""
    kind, *rest = op
    if kind in ("load", "store", "swap", "add", "cas"):
        return f"{kind} {WORDS[rest[0]]} {' '.join(map(str, rest[1:]))}"
    if kind in ("wait", "wake"):
        return f"{kind} on {WORDS[rest[0]].partition('.')[0]} {' '.join(map(str, rest[1:]))}"
    return " ".join(map(str, [kind, *rest]))


__all__ = ["Law", "Ring"]
