"""What the operations of `ring_programs` do: to the memory, to the kernel, and to the book in which items are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from procession.testing.ring_memory import SEQ_CST, Memory, Rules, field_of, fields
from procession.testing.ring_programs import (
    ASKED,
    BULKY,
    CALLER_BELL,
    CLAIM,
    OUT_HEAD,
    OUT_TAIL,
    OUTS,
    ROOM_BELL,
    TASK_BELL,
    TASK_HEAD,
    TASK_TAIL,
    TASKS,
    WANTS,
    WORDS,
    Op,
)
from procession.testing.ring_scenario import END, Stage

WORKER, DRIVER, CALLER = range(3)
THREADS = ("worker", "driver", "caller")
WAKE_FRAME = "!"
CHUNKS = 2
"""Writes that something takes which goes through a pipe."""

LOADED = (
    (CLAIM, TASK_TAIL, OUT_HEAD, WANTS, ASKED, TASK_BELL, ROOM_BELL, CALLER_BELL + 1),
    (CLAIM, TASK_HEAD, OUT_TAIL, TASK_BELL + 1, ROOM_BELL + 1, CALLER_BELL + 1),
    (OUT_TAIL, ROOM_BELL + 1, CALLER_BELL, CALLER_BELL + 1),
)
"""By thread, the words that it loads."""
CHANGED = (
    (CLAIM, WANTS, TASK_BELL + 1, ROOM_BELL + 1, CALLER_BELL),
    (CLAIM, TASK_BELL, ROOM_BELL, CALLER_BELL),
    (ROOM_BELL, CALLER_BELL, CALLER_BELL + 1),
)
"""By thread, the words of which it replaces the newest value by another."""


def rules(loaded: Sequence[Sequence[int]], changed: Sequence[Sequence[int]], orders: Mapping[str, int]) -> Rules:
    """What need not be kept of views, given who loads what."""
    every = range(len(WORDS))
    strict = [WANTS] * (orders["wants.look"] == SEQ_CST)
    if orders["bell.waiting"] == SEQ_CST:
        strict += [TASK_BELL + 1, ROOM_BELL + 1, CALLER_BELL + 1]
    return Rules(
        blind=tuple([fields([word for word in every if word not in each]) for each in loaded]),
        readers=tuple([tuple([t for t in range(3) if word in loaded[t] or word in changed[t]]) for word in every]),
        lockers=(DRIVER, CALLER),
        strict=fields(strict),
    )


Cell = tuple[int, Any]
SLEEPS = object()
"""The result of an operation that has none yet."""


class Law(AssertionError):
    """Something that must hold does not."""


def must(holds: object, said: str) -> None:
    """Raise `Law` unless it holds. Not an assert: the model is to find the same under -O."""
    if not holds:
        raise Law(said)


class Ground:
    """The state of it all. Each `do_` takes the thread, the operation and which of its choices is made."""

    loaded: Sequence[Sequence[int]] = LOADED
    changed: Sequence[Sequence[int]] = CHANGED

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        bound = stage.scenario
        initial: list[Any] = [0] * len(WORDS)
        initial[CLAIM], initial[ASKED], initial[WANTS] = (0, 0), None, 1
        self.memory = Memory(initial, len(THREADS))
        self.rules = rules(self.loaded, self.changed, stage.orders)
        first = (("idle", 0, 0), ("watch", 0, None), ("want" if bound.early else "come", bound.waits))
        starts = [course.at(place) for course, place in zip(stage.courses, first, strict=True)]
        self.threads: list[int] = [*starts[:CALLER], END if bound.waits is None else starts[CALLER]]
        self.asleep: list[int] = [0, 0, 0]  # the bell, or 0
        self.rings: dict[int, tuple[Cell, ...]] = {TASKS: (), OUTS: ()}  # the newest cells
        self.written, self.read = {TASKS: 0, OUTS: 0}, {TASKS: 0, OUTS: 0}
        self.result_pipe: tuple[Any, ...] = ()
        self.task_pipe: tuple[Any, ...] = ()
        self.backlog: tuple[Any, ...] = ()  # what the driver has still to write to the task pipe
        self.inbox: tuple[Any, ...] = ()  # what was read from the result pipe, and is not used yet
        self.told = False  # another thread has woken the driver
        self.locked = END  # who holds the parent's lock
        self.head = 0  # how far outcomes have been read: the parent's own note, under the lock
        self.at = 0  # in the script
        self.hand: tuple[int, ...] = ()  # items that the worker is thought to have, in order
        self.issued = 0
        self.ran: frozenset[int] = frozenset()  # of those in the hand
        self.asked_of: int | None = None
        self.alive, self.buried = True, False
        self.kills, self.spurious = bound.kills, bound.spurious

    # -- words ---------------------------------------------------------------------------------------------------

    def do_load(self, thread: int, op: Op, choice: int) -> Any:
        return self.memory.read(thread, op[1], self.stage.orders[op[2]], choice)

    def do_store(self, thread: int, op: Op, choice: int) -> None:
        self.memory.write(thread, op[1], self.stage.orders[op[2]], op[3])

    def do_swap(self, thread: int, op: Op, choice: int) -> Any:
        return self.memory.change(thread, op[1], self.stage.orders[op[2]], op[3])

    def do_add(self, thread: int, op: Op, choice: int) -> None:
        value = self.memory.words[op[1]][-1][0] + op[3]
        self.memory.change(thread, op[1], self.stage.orders[op[2]], value)

    def do_cas(self, thread: int, op: Op, choice: int) -> Any:
        """None: it was replaced; else what was found, which may be older than the newest."""
        _, word, changes, fails, old, new = op
        if choice == 0 and self.memory.words[word][-1][0] == old:
            self.memory.change(thread, word, self.stage.orders[changes], new)
            return None
        return self.memory.read(thread, word, self.stage.orders[fails], choice)

    # -- cells ---------------------------------------------------------------------------------------------------

    def room_of(self, ring: int) -> int:
        return self.stage.scenario.task_room if ring == TASKS else self.stage.scenario.out_room

    def do_write(self, thread: int, op: Op, choice: int) -> None:
        _, ring, index, content = op
        room = self.room_of(ring)
        must(index == self.written[ring], "cells are written in order")
        known = field_of(self.memory.views[thread], ring + 1)
        must(index - room < known, f"cell {index} is written over one that may not have been read")
        self.rings[ring] = (*self.rings[ring], (index, content))[-room:]
        self.written[ring] = index + 1
        self.memory.know(thread, ring, index + 1)

    def do_read(self, thread: int, op: Op, choice: int) -> Any:
        _, ring, index = op
        there = [content for at, content in self.rings[ring] if at == index]
        known = field_of(self.memory.views[thread], ring)
        must(index == self.read[ring], "cells are read in order, and once")
        must(there and index < known, f"cell {index} is read and may not be what it is to be")
        self._have_read(thread, ring, index + 1)
        return there[0]

    def do_forget(self, thread: int, op: Op, choice: int) -> None:
        self._have_read(thread, op[1], op[2])

    def _have_read(self, thread: int, ring: int, count: int) -> None:
        self.read[ring] = max(self.read[ring], count)
        self.memory.know(thread, ring + 1, count)

    # -- the kernel ----------------------------------------------------------------------------------------------

    def do_wait(self, thread: int, op: Op, choice: int) -> Any:
        """The look and the falling asleep are one step. What it sees is at least what the last wake saw."""
        _, bell, seen = op
        if self.memory.read(thread, bell, 0, choice) != seen:
            return None
        self.asleep[thread] = bell
        return SLEEPS

    def do_wake(self, thread: int, op: Op, choice: int) -> None:
        bell = op[1]
        self.memory.woken(thread, bell)
        for other, on in enumerate(self.asleep):
            if on == bell:
                self.wake(other)

    def wake(self, thread: int) -> None:
        """It returns from its wait."""
        self.asleep[thread] = 0
        self.threads[thread] = self.stage.courses[thread].then(self.threads[thread], None)

    def do_put(self, thread: int, op: Op, choice: int) -> None:
        self.result_pipe += (op[1],)

    def do_pull(self, thread: int, op: Op, choice: int) -> None:
        must(self.task_pipe[0] == op[1], f"the argument of item {op[1]} is read from the pipe, and another comes")
        self.task_pipe = self.task_pipe[1:]

    def do_backlog(self, thread: int, op: Op, choice: int) -> None:
        self.backlog += (op[1],) * CHUNKS

    def do_send(self, thread: int, op: Op, choice: int) -> None:
        self.task_pipe, self.backlog = (*self.task_pipe, self.backlog[0]), self.backlog[1:]

    def do_drain(self, thread: int, op: Op, choice: int) -> bool:
        """Read all that is in the result pipe. Was there a word for the driver?"""
        self.inbox += tuple(each for each in self.result_pipe if each != WAKE_FRAME)
        word = WAKE_FRAME in self.result_pipe
        self.result_pipe = ()
        if thread == DRIVER:
            word, self.told = word or self.told, False
        return word

    def do_hand_on(self, thread: int, op: Op, choice: int) -> None:
        self.told = True

    def do_poll(self, thread: int, op: Op, choice: int) -> str:
        event = self.events(op)[choice]
        if event == "dead":
            self.memory.join(thread, self.memory.views[WORKER])
        return event

    def events(self, op: Op) -> list[str]:
        """What the driver's epoll may tell. While a lease is held, no other follows; to take back is possible."""
        steps = self.stage.steps[self.at : self.at + 1] if self.alive else []
        return [
            *(["frame"] if self.result_pipe or self.told else []),
            *(["step"] if steps and not (op[1] and steps[0][0] == "lease") else []),
            *(["send"] if self.backlog and len(self.task_pipe) < self.stage.scenario.pipe_room and self.alive else []),
            *([] if self.alive else ["dead"]),
        ]

    def do_lock(self, thread: int, op: Op, choice: int) -> int:
        self.locked = thread
        self.memory.join(thread, self.memory.lock)
        return self.head

    def do_unlock(self, thread: int, op: Op, choice: int) -> None:
        self.locked = END
        self.memory.lock = self.memory.views[thread]

    # -- the book ------------------------------------------------------------------------------------------------

    def do_step(self, thread: int, op: Op, choice: int) -> Any:
        self.at += 1
        return self.stage.steps[self.at - 1]

    def do_come(self, thread: int, op: Op, choice: int) -> None:
        """Nothing changes: it was enabled."""

    def do_issued(self, thread: int, op: Op, choice: int) -> None:
        self.hand += tuple(range(self.issued, self.issued + op[1]))
        self.issued += op[1]

    def do_run(self, thread: int, op: Op, choice: int) -> None:
        must(op[1] in self.hand, f"item {op[1]} starts, and it was taken back, or answered, before")
        must(op[1] not in self.ran, f"item {op[1]} starts a second time")
        self.ran |= {op[1]}

    def do_passed(self, thread: int, op: Op, choice: int) -> None:
        self.head = op[1]

    def do_resolve(self, thread: int, op: Op, choice: int) -> None:
        must(self.hand and self.hand[0] == op[1], f"an outcome of item {op[1]}; expected is one of {self.hand[:1]}")
        must(op[1] in self.ran, f"an outcome of item {op[1]}, which has not run")
        self.hand, self.ran = self.hand[1:], self.ran - {op[1]}

    def do_whole(self, thread: int, op: Op, choice: int) -> None:
        must(self.inbox[:CHUNKS] == (op[1],) * CHUNKS, f"the outcome of item {op[1]} is not whole in the pipe")
        self.inbox = self.inbox[CHUNKS:]

    def do_resolved(self, thread: int, op: Op, choice: int) -> bool:
        return self.buried or (op[1] < self.issued and op[1] not in self.hand)

    def do_withdrawn(self, thread: int, op: Op, choice: int) -> None:
        kept, gone = self.hand[: len(self.hand) - op[1]], self.hand[len(self.hand) - op[1] :]
        must(len(gone) == op[1], "more was taken back than was issued")
        must(not self.ran & set(gone), f"of {gone} all was taken back, and some has run")
        self.hand = kept

    def do_counted(self, thread: int, op: Op, choice: int) -> None:
        must(len(self.hand) <= 1, f"{self.hand} are taken and without an outcome, and one at most should be (law 5)")

    def do_buried(self, thread: int, op: Op, choice: int) -> None:
        self.buried, self.hand, self.inbox = True, (), ()

    def do_asks(self, thread: int, op: Op, choice: int) -> None:
        """What runs when nothing is left to be taken is what is asked."""
        self.asked_of = self.hand[0] if self.hand else None

    def do_heed(self, thread: int, op: Op, choice: int) -> None:
        must(op[1] == self.asked_of, f"item {op[1]} ends as it was asked to, and {self.asked_of} was asked")


EAGER = frozenset(
    (
        *("write", "read", "forget", "unlock", "backlog", "step", "issued", "run", "passed", "resolve", "whole"),
        *("resolved", "withdrawn", "counted", "buried", "asks", "heed"),
    )
)
"""Operations that nobody can tell from having happened a little sooner: they happen at once, beside nothing else.

Accesses of bytes are among them: what is no race changes nothing that another thread may see before the store that
publishes it, and what is a race is one in whatever order the two come.
"""

__all__ = ["BULKY", "CALLER", "DRIVER", "EAGER", "SLEEPS", "THREADS", "WORKER", "Ground", "Law", "must"]
