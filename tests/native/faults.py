"""Faults, each a routine of the protocol written as somebody might write it, and the bound in which that is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from procession.testing.ring_ground import CALLER, WORKER
from procession.testing.ring_model import Ring
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
    Caller,
    Driver,
    Part,
    Routine,
    Worker,
    end_of,
    size_of,
)
from procession.testing.ring_scenario import Cast, Scenario

ONE = Scenario("one", ("s",))
TWO = Scenario("two", ("ss",))
LARGE = Scenario("large", ("l",))
AROUND = Scenario("around", ("ss", "ss"), task_room=3, out_room=1)
BACK = Scenario("back", ("ss", "withdraw"))
AGAIN = Scenario("again", ("s", "withdraw", "s"))
WAIT = Scenario("wait", ("s",), waits=0)
WAIT_BACK = Scenario("wait and take back", ("ss", "withdraw"), waits=0)
ROOM = Scenario("room", ("ss",), out_room=1)
PIPE = Scenario("pipe", ("p",))
PIPES = Scenario("pipes", ("pp",), pipe_room=1)
PIPE_WAIT = Scenario("pipe and caller", ("ps",), waits=0)
BULK = Scenario("bulk", ("b",), pipe_room=1)
ASKS = Scenario("asks", ("?s", "withdraw", "ask", "?s"))
LEASES = Scenario("leases", ("s", "s"))
FULL = Scenario("full", ("s", "s"), task_room=2)
KILL = Scenario("kill", ("ss",), kills=1)


@dataclass(frozen=True)
class Fault:
    """What is wrong, where it is found, and what is said of it."""

    scenario: Scenario
    said: str
    cast: Cast = field(default_factory=Cast)
    ring: type[Ring] = Ring


# --------------------------------------------------------------------------------------------------------- R: the rings


class PublishesOutcomeTooSoon(Worker):
    """Of an outcome of two cells the second is written after it was published."""

    def outcome(self, at: int, out: int, record: Any, number: int) -> Routine:
        item, size = record[2] + number, size_of(record[1][number])
        yield ("write", OUTS, out, (item, size, False))
        yield ("store", TASK_HEAD, "task_head.done", end_of(at, record))
        yield from self.say(out + size)
        yield ("write", OUTS, out + 1, (item, size, False))
        return ("idle", end_of(at, record), out + size)


class PublishesTaskTooSoon(Driver):
    def publish(self, tail: int, step: Any, first: int) -> Part:
        yield ("store", TASK_TAIL, "task_tail.publish", tail + 1 + len(step[1]))
        yield from self.write_record(tail, step, first)
        yield from self.ring(TASK_BELL)


class HeadBeforeTaskIsRead(Worker):
    """The parent may write over what is still to be read."""

    def item(self, at: int, out: int, record: Any, number: int) -> Routine:
        if number == 0:
            yield ("store", TASK_HEAD, "task_head.done", end_of(at, record))
        return (yield from super().item(at, out, record, number))


def head_before_outcomes_are_read(self: Any, head: int, tail: int) -> Part:
    if head != tail:
        yield ("store", OUT_HEAD, "out_head.done", tail)
        yield from self.ring(ROOM_BELL)
    while head < tail:
        item, size, _ = yield ("read", OUTS, head)
        head += size
        yield ("passed", head)
        yield ("resolve", item)


class HeadBeforeOutcomesAreRead(Driver):
    take_outcomes = head_before_outcomes_are_read


class HeadAfterTheLastOutcome(Worker):
    """The driver hears of the outcome, and finds as little room for tasks as before; nobody tells it later."""

    def outcome(self, at: int, out: int, record: Any, number: int) -> Routine:
        yield ("write", OUTS, out, (record[2], 1, False))
        yield from self.say(out + 1)
        yield ("store", TASK_HEAD, "task_head.done", at + 2)
        return ("idle", at + 2, out + 1)


class SilentWhenFull(Worker):
    """R3 wakes nobody, so nobody reads, so there will be no room."""

    def room(self, at: int, out: int, record: Any, number: int) -> Routine:
        need = out + size_of(record[1][number]) - self.out_room
        enough = (yield ("load", OUT_HEAD, "out_head.room")) >= need
        return ("outcome" if enough else "crowded", at, out, record, number)


class SilentWhenTakenBack(Worker):
    """The last outcome before the rest was taken back was published by R3, and stays unheard of."""

    def abandoned(self, at: int, out: int, record: Any, number: int) -> Routine:
        yield ("forget", TASKS, end_of(at, record))
        yield ("store", TASK_HEAD, "task_head.done", end_of(at, record))
        return ("idle", end_of(at, record), out)


# --------------------------------------------------------------------------------------------------------- C: the claim


class IssuesTooLate(Driver):
    """The worker sees a record whose numbers are not issued, and takes it for one that was taken back."""

    def lease(self, tail: int, step: Any) -> Routine:
        yield ("load", TASK_HEAD, "task_head.room")
        word = yield ("load", CLAIM, "claim.first")
        yield ("issued", len(step[1]))
        yield from self.publish(tail, step, word[1])
        yield from self.issue(len(step[1]))
        return ("watch", tail + 1 + len(step[1]), None)


class TakesWithoutComparing(Worker):
    def take(self, number: int) -> Part:
        word = yield ("load", CLAIM, "claim.place")
        if word[0] != number or word[1] == number:
            return False
        yield ("store", CLAIM, "claim.take", ((number + 1) % self.modulus, word[1]))
        return True


class TakesBackWithoutComparing(Driver):
    def take_back(self) -> Part:
        word = yield ("load", CLAIM, "claim.withdraw.first")
        yield ("store", CLAIM, "claim.withdraw", (word[1], word[1]))
        yield ("withdrawn", (word[1] - word[0]) % self.modulus)


class TakesBeforeItPublishes(Worker):
    """All outcomes of a record are published together at its end: law 5 is broken."""

    def outcome(self, at: int, out: int, record: Any, number: int) -> Routine:
        if number + 1 < len(record[1]):
            return ("item", at, out, record, number + 1)
            yield
        for item in range(len(record[1])):
            yield ("write", OUTS, out + item, (record[2] + item, 1, False))
        yield ("store", TASK_HEAD, "task_head.done", end_of(at, record))
        yield from self.say(out + len(record[1]))
        return ("idle", end_of(at, record), out + len(record[1]))


class LooksBeforeItTakesBack(Driver):
    """Between the look and the taking back the worker may get on."""

    def withdraw(self, tail: int, held: Any) -> Routine:
        head = yield ("lock",)
        last = yield ("load", OUT_TAIL, "out_tail.read")
        yield from self.take_back()
        yield from self.take_outcomes(head, last)
        yield ("counted",)
        yield ("unlock",)
        return ("watch", tail, held)


class NumbersUsedAgain(Driver):
    """Taking back lowers `end`: the next lease has the numbers of what was taken back."""

    def take_back(self) -> Part:
        word = yield ("load", CLAIM, "claim.withdraw.first")
        while word[0] != word[1]:
            failed = yield ("cas", CLAIM, "claim.withdraw", "claim.failed", word, (word[0], word[0]))
            if failed is None:
                yield ("withdrawn", (word[1] - word[0]) % self.modulus)
                return
            word = failed


class HeedsWhateverIsAsked(Worker):
    """A flag instead of a number."""

    def asked(self, at: int, out: int, record: Any, number: int) -> Routine:
        if (yield ("load", ASKED, "asked.look")) is not None:
            yield ("heed", record[2] + number)
        return ("room", at, out, record, number)


# --------------------------------------------------------------------------------------------------------- B: the bells


class LooksBeforeItEnters(Worker):
    def sleep(self, at: int, out: int) -> Routine:
        there = (yield ("load", TASK_TAIL, "task_tail.look")) != at
        seen = yield from self.enter(TASK_BELL)
        if not there:
            yield ("wait", TASK_BELL, seen)
        return ("awake", at, out)


class SleepsWithoutLooking(Worker):
    def sleep(self, at: int, out: int) -> Routine:
        seen = yield from self.enter(TASK_BELL)
        yield ("wait", TASK_BELL, seen)
        return ("awake", at, out)


class RemembersAfterLooking(Worker):
    """`rings` is read when the look has been: a ring in between is not noticed."""

    def sleep(self, at: int, out: int) -> Routine:
        yield ("add", TASK_BELL + 1, "bell.enter", 1)
        if (yield ("load", TASK_TAIL, "task_tail.look")) == at:
            seen = yield ("load", TASK_BELL, "bell.rings")
            yield ("wait", TASK_BELL, seen)
        return ("awake", at, out)


class WakesWithoutRinging(Driver):
    """The word on which the other is about to sleep stays as it was."""

    def ring(self, bell: int) -> Part:
        if (yield ("load", bell + 1, "bell.waiting")):
            yield ("wake", bell)


class RingsBeforeItPublishes(Driver):
    def publish(self, tail: int, step: Any, first: int) -> Part:
        yield from self.write_record(tail, step, first)
        yield from self.ring(TASK_BELL)
        yield ("store", TASK_TAIL, "task_tail.publish", tail + 1 + len(step[1]))


class SharesTheWorkersBell(Caller):
    caller_bell = TASK_BELL


class RingsTheSharedBell(Worker):
    def say(self, out: int) -> Part:
        yield ("store", OUT_TAIL, "out_tail.end", out)
        yield from self.ring(TASK_BELL)
        if (yield ("load", WANTS, "wants.look")) and (yield ("swap", WANTS, "wants.take", 0)):
            yield ("put", "!")


class OneWord(Ring):
    """All may load everything: with a bell for two the table of who loads what does not hold."""

    loaded = (tuple(range(len(WORDS))),) * 3
    changed = loaded


class OneWordAndOneWake(OneWord):
    """futex_wake(word, 1), and it finds the caller first."""

    def do_wake(self, thread: int, op: Any, choice: int) -> None:
        self.memory.woken(thread, op[1])
        for sleeper in (CALLER, WORKER):
            if self.asleep[sleeper] == op[1]:
                self.wake(sleeper)
                return


SHARED_BELL = Cast(worker=RingsTheSharedBell, caller=SharesTheWorkersBell)


class DriverWantsTooLate(Driver):
    def frame(self, tail: int, held: Any) -> Routine:
        head = yield ("lock",)
        wanted = yield ("drain",)
        last = yield ("load", OUT_TAIL, "out_tail.look")
        yield from self.take_outcomes(head, last)
        if wanted:
            yield ("store", WANTS, "wants.set", 1)
        yield ("unlock",)
        return ("watch", tail, held)


class ForgetsWhatIsHeld(Driver):
    """The word is met while outcomes are read for another reason; what it says too, that there is room, is lost."""

    def withdraw(self, tail: int, held: Any) -> Routine:
        after = yield from super().withdraw(tail, held)
        return after if held is None else ("watch", tail, held)


class WantsNothingAtFirst(Ring):
    """`driver_wants` is still 0 when the worker starts."""

    def __init__(self, scenario: Scenario, cast: Cast | None = None) -> None:
        super().__init__(scenario, cast)
        self.memory.words[WANTS] = ((0, 0),)


class WordBeforeWantsIsTaken(Worker):
    """The frame is written first, then `driver_wants` cleared: it may clear what the driver has set for it."""

    def say(self, out: int) -> Part:
        yield ("store", OUT_TAIL, "out_tail.end", out)
        yield from self.ring(CALLER_BELL)
        if (yield ("load", WANTS, "wants.look")):
            yield ("put", "!")
            yield ("store", WANTS, "wants.take", 0)


class ResolvesLater(Driver):
    """The head is moved under the lock, the future resolved after it: between the two a caller sees neither."""

    def resolve(self, item: int) -> Part:
        yield ("unlock",)
        yield ("lock",)
        yield ("resolve", item)


class ResolvesLaterAndRings(ResolvesLater):
    """Who resolves rings for callers: no fault, what else may be done."""

    def resolve(self, item: int) -> Part:
        yield from super().resolve(item)
        yield from self.ring(CALLER_BELL)


# ------------------------------------------------------------------------------------------------------------ the pipes


class PipedTooSoon(Worker):
    def outcome(self, at: int, out: int, record: Any, number: int) -> Routine:
        yield ("write", OUTS, out, (record[2], 1, True))
        yield ("store", OUT_TAIL, "out_tail.publish", out + 1)
        yield ("put", record[2])
        yield ("put", record[2])
        yield ("store", TASK_HEAD, "task_head.done", at + 2)
        yield from self.say(out + 1)
        return ("idle", at + 2, out + 1)


class SwallowsTheWord(Driver):
    """Who reads a large outcome from the pipe gets the word for the driver along with it, and throws it away."""

    def look_into_pipe(self, tail: int) -> Part:
        yield ("drain",)
        return tail


class CallerSwallowsTheWord(Caller):
    look_into_pipe = SwallowsTheWord.look_into_pipe


class CallerActsOnTheWord(Caller):
    """It does what the driver would have done, and does not know of the lease that waits for room."""

    look_into_pipe = Driver.look_into_pipe


class PipeIsReadOutsideOfTheLock(Driver):
    """What the driver has read from the pipe is for a while where no caller finds it."""

    def frame(self, tail: int, held: Any) -> Routine:
        wanted = yield ("carry",)
        head = yield ("lock",)
        yield ("carried",)
        if wanted:
            yield ("store", WANTS, "wants.set", 1)
        last = yield ("load", OUT_TAIL, "out_tail.look")
        yield from self.take_outcomes(head, last)
        yield ("unlock",)
        return ("watch", tail, held)


class Carries(Ring):
    """The driver has what it has read in its own hands, before it is in the common inbox."""

    hands: tuple[Any, ...] = ()

    def do_carry(self, thread: int, op: Any, choice: int) -> bool:
        before = self.inbox
        word = self.do_drain(thread, op, choice)
        self.hands, self.inbox = self.inbox[len(before) :], before
        return word

    def do_carried(self, thread: int, op: Any, choice: int) -> None:
        self.inbox, self.hands = self.inbox + self.hands, ()

    def key(self) -> bytes:
        return super().key() + repr(self.hands).encode()


class PipeBeforeRecord(Driver):
    """A large argument is written to the pipe, whole, and then its record is published: nobody reads the pipe yet."""

    def lease(self, tail: int, step: Any) -> Routine:
        if BULKY not in step[1]:
            return (yield from super().lease(tail, step))
        yield ("backlog", step[2])
        return ("filling", tail, step)

    def filling(self, tail: int, step: Any) -> Routine:
        for _ in range(2):
            while (yield ("poll", True)) != "send":
                pass
            yield ("send",)
        first = yield from self.issue(1)
        yield ("issued", 1)
        yield from self.write_record(tail, step, first)
        yield ("store", TASK_TAIL, "task_tail.publish", tail + 2)
        yield from self.ring(TASK_BELL)
        return ("watch", tail + 2, None)


FAULTS: Mapping[str, Fault] = {
    "R1: an outcome is published before it is whole": Fault(LARGE, "is read and may", Cast(PublishesOutcomeTooSoon)),
    "R1: a task is published before it is whole": Fault(ONE, "is read and may", Cast(driver=PublishesTaskTooSoon)),
    "R3: the head is stored before the task is read": Fault(AROUND, "written over", Cast(HeadBeforeTaskIsRead)),
    "R5: the head is stored before outcomes are read": Fault(
        AROUND, "written over", Cast(driver=HeadBeforeOutcomesAreRead)
    ),
    "R2: the task's head after the last outcome": Fault(FULL, "not all was issued", Cast(HeadAfterTheLastOutcome)),
    "R3: no word before it sleeps for room": Fault(ROOM, "nothing can happen", Cast(SilentWhenFull)),
    "R4: no word when the rest was taken back": Fault(BACK, "nothing can happen", Cast(SilentWhenTakenBack)),
    "C1: issued after it was published": Fault(ONE, "nothing can happen", Cast(driver=IssuesTooLate)),
    "C2: taken without comparing": Fault(BACK, "taken back", Cast(TakesWithoutComparing)),
    "C3: taken back without comparing": Fault(BACK, "taken back", Cast(driver=TakesBackWithoutComparing)),
    "C4: numbers used again": Fault(AGAIN, "a second time|taken back|nothing can", Cast(driver=NumbersUsedAgain)),
    "C4: numbers wrap while they are in use": Fault(Scenario("wrap", ("ss",), modulus=2), "nothing can happen", Cast()),
    "C5: taken before the last outcome is published": Fault(BACK, "law 5", Cast(TakesBeforeItPublishes)),
    "C5: the same, at a death": Fault(KILL, "law 5", Cast(TakesBeforeItPublishes)),
    "C5: looked before it took back": Fault(BACK, "law 5", Cast(driver=LooksBeforeItTakesBack)),
    "A: a flag instead of a number": Fault(ASKS, "as it was asked", Cast(HeedsWhateverIsAsked)),
    "B1: waiting is set after the look": Fault(ONE, "nothing can happen", Cast(LooksBeforeItEnters)),
    "B1: no look": Fault(ONE, "nothing can happen", Cast(SleepsWithoutLooking)),
    "B1: rings is remembered after the look": Fault(ONE, "nothing can happen", Cast(RemembersAfterLooking)),
    "B3: a wake without a ring": Fault(ONE, "nothing can happen", Cast(driver=WakesWithoutRinging)),
    "B3: rung before it is so": Fault(ONE, "nothing can happen", Cast(driver=RingsBeforeItPublishes)),
    "B5: one word for two kinds, and a wake for one": Fault(WAIT, "nothing can happen", SHARED_BELL, OneWordAndOneWake),
    "R6: the driver wants after its look": Fault(LEASES, "nothing can happen", Cast(driver=DriverWantsTooLate)),
    "R6: the word, and what is held is not tried": Fault(
        Scenario("held", ("p", "s", "withdraw"), task_room=2), "not all was issued", Cast(driver=ForgetsWhatIsHeld)
    ),
    "R6: driver_wants is 0 at first": Fault(ONE, "nothing can happen", ring=WantsNothingAtFirst),
    "R4: the word before driver_wants is taken": Fault(LEASES, "nothing can happen", Cast(WordBeforeWantsIsTaken)),
    "B: resolved after the lock, without a ring": Fault(WAIT, "nothing can happen", Cast(driver=ResolvesLater)),
    "PIPED is published before the pipe has it": Fault(PIPE, "not whole", Cast(PipedTooSoon)),
    "PIPED: the driver swallows its word": Fault(PIPES, "nothing can happen", Cast(driver=SwallowsTheWord)),
    "PIPED: a caller swallows the driver's word": Fault(
        PIPE_WAIT, "nothing can happen", Cast(caller=CallerSwallowsTheWord)
    ),
    "PIPED: a caller acts on the driver's word": Fault(
        Scenario("full pipe and caller", ("p", "s"), waits=0, task_room=2),
        "not all was issued",
        Cast(caller=CallerActsOnTheWord),
    ),
    "PIPED: the pipe is read outside of the lock": Fault(
        PIPE_WAIT, "not whole", Cast(driver=PipeIsReadOutsideOfTheLock), Carries
    ),
    "PIPED: a large argument before its record": Fault(BULK, "nothing can happen", Cast(driver=PipeBeforeRecord)),
}
