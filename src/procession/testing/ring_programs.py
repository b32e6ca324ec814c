"""What the worker, the driver and a caller do with the ring, one memory operation at a time: `_native/ring.h`, again.

A routine is a generator. It yields an operation, is given the result, and returns the routine that comes next with its
arguments; all that it knows is in its arguments and in the results so far, so a thread in the middle of one is the
routine's name, its arguments and these results. The names of routines and of memory orders are those of ring.h and its
README.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from procession.testing.ring_memory import ACQ_REL, ACQUIRE, RELAXED, RELEASE, SEQ_CST

Op = tuple[Any, ...]
"""What is done, and to what."""
Next = tuple[Any, ...]
"""The routine that follows, and its arguments."""
Routine = Generator[Op, Any, Next]
Part = Generator[Op, Any, Any]

CLAIM, TASK_TAIL, TASK_HEAD, OUT_TAIL, OUT_HEAD, WANTS, ASKED = range(7)
TASK_BELL, ROOM_BELL, CALLER_BELL = 7, 9, 11
"""A bell has two words: rings, and waiting."""
WORDS = (
    *("claim", "task_tail", "task_head", "out_tail", "out_head", "driver_wants", "asked"),
    *("task_bell.rings", "task_bell.waiting", "room_bell.rings", "room_bell.waiting"),
    *("caller_bell.rings", "caller_bell.waiting"),
)
TASKS, OUTS = 13, 15
"""A ring has two counts: of the cells written, and of those read."""

ORDERS = {
    "claim.first": RELAXED, "claim.issue": ACQ_REL, "claim.take": ACQ_REL, "claim.withdraw": ACQ_REL,
    "claim.failed": ACQUIRE, "claim.withdraw.first": ACQUIRE, "claim.place": ACQUIRE,
    "asked.ask": RELEASE, "asked.look": ACQUIRE,
    "task_tail.publish": SEQ_CST, "task_tail.read": ACQUIRE, "task_tail.look": SEQ_CST,
    "task_head.done": RELEASE, "task_head.room": ACQUIRE,
    "out_tail.publish": RELEASE, "out_tail.end": SEQ_CST, "out_tail.read": ACQUIRE, "out_tail.look": SEQ_CST,
    "out_head.done": SEQ_CST, "out_head.room": ACQUIRE, "out_head.look": SEQ_CST,
    "wants.set": SEQ_CST, "wants.look": SEQ_CST, "wants.take": SEQ_CST,
    "bell.enter": SEQ_CST, "bell.rings": SEQ_CST, "bell.leave": SEQ_CST, "bell.waiting": SEQ_CST, "bell.ring": SEQ_CST,
}  # fmt: skip
"""Each access of ring.h by a name, and its order."""

SMALL, LARGE, PIPED, BULKY = "slpb"
"""Items: an outcome of one cell, of two, one that goes through the pipe; an argument that goes through the pipe."""


def size_of(item: str) -> int:
    """Cells of its outcome."""
    return 2 if item == LARGE else 1


def end_of(at: int, record: Any) -> int:
    """Where the record at `at` of the task ring ends: it has a cell for its head, and one for each item."""
    return at + 1 + len(record[1])


class Bells:
    """Steps B."""

    def enter(self, bell: int) -> Part:
        """B1, the half before the last look; returns what `rings` was."""
        yield ("add", bell + 1, "bell.enter", 1)
        return (yield ("load", bell, "bell.rings"))

    def leave(self, bell: int) -> Part:
        """The end of B1, or of B2."""
        yield ("add", bell + 1, "bell.leave", -1)

    def ring(self, bell: int) -> Part:
        """B3."""
        if (yield ("load", bell + 1, "bell.waiting")):
            yield ("add", bell, "bell.ring", 1)
            yield ("wake", bell)


class Worker(Bells):
    """What runs in the child. `at` and `out`: how far it has read tasks, and written outcomes."""

    bells = (TASK_BELL, ROOM_BELL)
    """What it sleeps on, for tasks and for room."""

    def __init__(self, out_room: int, modulus: int) -> None:
        self.out_room, self.modulus = out_room, modulus

    def idle(self, at: int, out: int) -> Routine:
        """R2: is there a record? Its head is read here, the cells of items when they run."""
        if (yield ("load", TASK_TAIL, "task_tail.read")) == at:
            return ("sleep", at, out)
        record = yield ("read", TASKS, at)
        return ("item", at, out, record, 0)

    def sleep(self, at: int, out: int) -> Routine:
        """B1 and B2, for tasks."""
        bell = self.bells[0]
        seen = yield from self.enter(bell)
        if (yield ("load", TASK_TAIL, "task_tail.look")) == at:
            yield ("wait", bell, seen)
        return ("awake", at, out)

    def awake(self, at: int, out: int) -> Routine:
        """The end of B1, or of B2."""
        yield from self.leave(self.bells[0])
        return ("idle", at, out)

    def item(self, at: int, out: int, record: Any, number: int) -> Routine:
        """Take item `number` of the record, and run it. What was sent through the pipe is read, taken or not."""
        first, items, name, asks = record
        taken = yield from self.take((first + number) % self.modulus)
        if items[number] == BULKY:
            yield ("pull", name + number)
            yield ("pull", name + number)
        if not taken:
            return ("abandoned", at, out, record, number)
        yield ("read", TASKS, at + 1 + number)
        yield ("run", name + number)
        if asks:
            return ("asked", at, out, record, number)
        return ("room", at, out, record, number)

    def take(self, number: int) -> Part:
        """C2."""
        word = yield ("load", CLAIM, "claim.first")
        while word[0] == number and word[1] != number:
            more = ((number + 1) % self.modulus, word[1])
            word = yield ("cas", CLAIM, "claim.take", "claim.failed", word, more)
            if word is None:
                return True
        return False

    def asked(self, at: int, out: int, record: Any, number: int) -> Routine:
        """A, in the middle of a run: is this item to end?"""
        asked = yield ("load", ASKED, "asked.look")
        place = yield ("load", CLAIM, "claim.place")
        if asked == place[0]:
            yield ("heed", record[2] + number)
        return ("room", at, out, record, number)

    def room(self, at: int, out: int, record: Any, number: int) -> Routine:
        """Before R1: may the outcome be written? Who has to sleep until it may says first what it has published."""
        need = out + size_of(record[1][number]) - self.out_room
        if (yield ("load", OUT_HEAD, "out_head.room")) >= need:
            return ("outcome", at, out, record, number)
        yield from self.say(out)
        return ("crowded", at, out, record, number)

    def crowded(self, at: int, out: int, record: Any, number: int) -> Routine:
        """B1 and B2, for room."""
        need = out + size_of(record[1][number]) - self.out_room
        bell = self.bells[1]
        seen = yield from self.enter(bell)
        if (yield ("load", OUT_HEAD, "out_head.look")) < need:
            yield ("wait", bell, seen)
        return ("roomy", at, out, record, number)

    def roomy(self, at: int, out: int, record: Any, number: int) -> Routine:
        """The end of B1, or of B2; then it looks again."""
        yield from self.leave(self.bells[1])
        need = out + size_of(record[1][number]) - self.out_room
        if (yield ("load", OUT_HEAD, "out_head.room")) >= need:
            return ("outcome", at, out, record, number)
        return ("crowded", at, out, record, number)

    def outcome(self, at: int, out: int, record: Any, number: int) -> Routine:
        """R1, R3 and R4: write it, publish it, and go on with the record."""
        items, item = record[1], record[2] + number
        size = size_of(items[number])
        if items[number] == PIPED:
            yield ("put", item)
            yield ("put", item)
        done = 0
        while done < size:
            yield ("write", OUTS, out + done, (item, size, items[number] == PIPED))
            done += 1
        if number + 1 < len(items):
            yield ("store", OUT_TAIL, "out_tail.publish", out + size)
            return ("item", at, out + size, record, number + 1)
        yield ("store", TASK_HEAD, "task_head.done", end_of(at, record))
        yield from self.say(out + size)
        return ("idle", end_of(at, record), out + size)

    def abandoned(self, at: int, out: int, record: Any, number: int) -> Routine:
        """The rest of the record was taken back: nothing of it is read, and what was published is told now."""
        for rest in range(number + 1, len(record[1])):
            if record[1][rest] == BULKY:
                yield ("pull", record[2] + rest)
                yield ("pull", record[2] + rest)
        yield ("forget", TASKS, end_of(at, record))
        yield ("store", TASK_HEAD, "task_head.done", end_of(at, record))
        yield from self.say(out)
        return ("idle", end_of(at, record), out)

    def say(self, out: int) -> Part:
        """R4: publish, ring for callers, tell the driver."""
        yield ("store", OUT_TAIL, "out_tail.end", out)
        yield from self.ring(CALLER_BELL)
        if (yield ("load", WANTS, "wants.look")) and (yield ("swap", WANTS, "wants.take", 0)):
            yield ("put", "!")


class Parent(Bells):
    """What all threads of the parent do. The lock is Python's: one of them at a time reads outcomes and resolves."""

    caller_bell = CALLER_BELL

    def __init__(self, task_room: int, modulus: int) -> None:
        self.task_room, self.modulus = task_room, modulus

    def take_outcomes(self, head: int, tail: int) -> Part:
        """Under the lock: R2 and R5, for outcomes."""
        at = head
        while at < tail:
            item, size, piped = yield ("read", OUTS, at)
            done = 1
            while done < size:
                yield ("read", OUTS, at + done)
                done += 1
            if piped:
                tail = yield from self.look_into_pipe(tail)
                yield ("whole", item)
            at += size
            yield ("passed", at)
            yield from self.resolve(item)
        if at != head:
            yield ("store", OUT_HEAD, "out_head.done", at)
            yield from self.ring(ROOM_BELL)

    def resolve(self, item: int) -> Part:
        """What it is, now its future knows."""
        yield ("resolve", item)

    def look_into_pipe(self, tail: int) -> Part:
        """Under the lock: read the result pipe, for a large outcome. What was meant for the driver may come along."""
        raise NotImplementedError


class Driver(Parent):
    """The thread that sleeps on descriptors. `tail`: how far it has written tasks; `held`: a lease without room."""

    def look_into_pipe(self, tail: int) -> Part:
        """R6, and the look after it."""
        if (yield ("drain",)):
            yield ("store", WANTS, "wants.set", 1)
            tail = yield ("load", OUT_TAIL, "out_tail.look")
        return tail

    def watch(self, tail: int, held: Any) -> Routine:
        """Sleep until the pipe can be read, the worker is dead, there is something to do, or to send."""
        event = yield ("poll", held is not None)
        if event == "step":
            step = yield ("step",)
            return ("lease", tail, step) if step[0] == "lease" else (step[0], tail, held)
        return (event, tail, held)

    def lease(self, tail: int, step: Any) -> Routine:
        """C1 and R1; with too little room it is held."""
        kinds = step[1]
        if self.task_room - (tail - (yield ("load", TASK_HEAD, "task_head.room"))) <= len(kinds):
            return ("watch", tail, step)
        first = yield from self.issue(len(kinds))
        yield ("issued", len(kinds))
        yield from self.publish(tail, step, first)
        return ("watch", tail + 1 + len(kinds), None)

    def issue(self, count: int) -> Part:
        """C1."""
        word = yield ("load", CLAIM, "claim.first")
        while True:
            more = (word[0], (word[1] + count) % self.modulus)
            failed = yield ("cas", CLAIM, "claim.issue", "claim.failed", word, more)
            if failed is None:
                return word[1]
            word = failed

    def publish(self, tail: int, step: Any, first: int) -> Part:
        """R1, for tasks."""
        yield from self.write_record(tail, step, first)
        yield ("store", TASK_TAIL, "task_tail.publish", tail + 1 + len(step[1]))
        yield from self.ring(TASK_BELL)
        for item, kind in enumerate(step[1], step[2]):
            if kind == BULKY:
                yield ("backlog", item)

    def write_record(self, tail: int, step: Any, first: int) -> Part:
        """The cells of a record: which number its first item has, what the items are, and their names in the model."""
        done = 0
        while done < 1 + len(step[1]):
            yield ("write", TASKS, tail + done, (first, *step[1:]))
            done += 1

    def send(self, tail: int, held: Any) -> Routine:
        """The task pipe can be written."""
        yield ("send",)
        return ("watch", tail, held)

    def frame(self, tail: int, held: Any) -> Routine:
        """Something is in the result pipe. R6, if it was the word that there are outcomes; and the look after it."""
        head = yield ("lock",)
        if (yield ("drain",)):
            yield ("store", WANTS, "wants.set", 1)
        last = yield ("load", OUT_TAIL, "out_tail.look")
        yield from self.take_outcomes(head, last)
        yield ("unlock",)
        return ("watch", tail, held) if held is None else ("lease", tail, held)

    def withdraw(self, tail: int, held: Any) -> Routine:
        """C3, and the look at what is there: at most one item is taken and without an outcome (law 5)."""
        head = yield ("lock",)
        yield from self.take_back()
        last = yield ("load", OUT_TAIL, "out_tail.read")
        yield from self.take_outcomes(head, last)
        yield ("counted",)
        yield ("unlock",)
        return ("watch", tail, held) if held is None else ("lease", tail, held)

    def take_back(self) -> Part:
        """C3."""
        word = yield ("load", CLAIM, "claim.withdraw.first")
        while word[0] != word[1]:
            failed = yield ("cas", CLAIM, "claim.withdraw", "claim.failed", word, (word[1], word[1]))
            if failed is None:
                yield ("withdrawn", (word[1] - word[0]) % self.modulus)
                return
            word = failed

    def ask(self, tail: int, held: Any) -> Routine:
        """A."""
        place = yield ("load", CLAIM, "claim.place")
        yield ("asks", place[0])
        yield ("store", ASKED, "asked.ask", place[0])
        return ("watch", tail, held)

    def dead(self, tail: int, held: Any) -> Routine:
        """The last rites: drain the pipe and the outcomes, take back, count."""
        head = yield ("lock",)
        yield from self.take_back()
        yield ("drain",)
        last = yield ("load", OUT_TAIL, "out_tail.read")
        yield from self.take_outcomes(head, last)
        yield ("counted",)
        yield ("buried",)
        yield ("unlock",)
        return ("end",)


class Caller(Parent):
    """A thread that waits for the outcome of one item itself."""

    def look_into_pipe(self, tail: int) -> Part:
        """The driver's word is handed on: only the driver knows what it has to do beside reading outcomes."""
        if (yield ("drain",)):
            yield ("hand_on",)
        return tail

    def come(self, item: int) -> Routine:
        """It comes when the item is with the worker."""
        yield ("come", item)
        return ("want", item)

    def want(self, item: int) -> Routine:
        """Is it there, or can it be had?"""
        head = yield ("lock",)
        if (yield ("resolved", item)):
            yield ("unlock",)
            return ("end",)
        tail = yield ("load", OUT_TAIL, "out_tail.read")
        yield from self.take_outcomes(head, tail)
        yield ("unlock",)
        return ("sleep", item) if tail == head else ("want", item)

    def sleep(self, item: int) -> Routine:
        """B1 and B2. The last look is under the lock: what another reads there is resolved by then, or still there."""
        seen = yield from self.enter(self.caller_bell)
        head = yield ("lock",)
        there = (yield ("resolved", item)) or (yield ("load", OUT_TAIL, "out_tail.look")) != head
        yield ("unlock",)
        if not there:
            yield ("wait", self.caller_bell, seen)
        return ("awake", item)

    def awake(self, item: int) -> Routine:
        """The end of B1, or of B2."""
        yield from self.leave(self.caller_bell)
        return ("want", item)
