"""The bounds of a walk over the ring, and how its threads are run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from procession.testing.ring_programs import ORDERS, Caller, Driver, Next, Op, Worker


@dataclass(frozen=True)
class Scenario:
    """The bound of a walk: what the parent does, how narrow everything is, what may go wrong how often."""

    name: str
    script: tuple[str, ...]
    """What the driver does when it likes: "withdraw", "ask", or a lease by its items, as in "ssl" (s: an outcome of one
    cell, l: of two, p: through the pipe, b: an argument through the pipe); "?s" is a lease whose items look if they are
    asked to end."""
    waits: int | None = None
    """The item that a caller waits for, if there is a caller."""
    early: bool = False
    """The caller may come before the item was issued."""
    task_room: int = 6
    out_room: int = 4
    """Cells of the rings."""
    pipe_room: int = 4
    """Writes that a pipe holds."""
    modulus: int = 16
    """Of the numbers of items."""
    kills: int = 0
    spurious: int = 0
    """Wake-ups for no reason."""


@dataclass(frozen=True)
class Cast:
    """Who plays, and how strong each access is: for what is seeded with faults."""

    worker: type[Worker] = Worker
    driver: type[Driver] = Driver
    caller: type[Caller] = Caller
    orders: Mapping[str, int] = field(default_factory=lambda: ORDERS)


END = -1


class Course:
    """A program, and the places in it where a thread can be, by number. Each is found once: then it is a look-up."""

    def __init__(self, program: object) -> None:
        self.program = program
        self.places: list[tuple[Next, tuple[Any, ...]]] = []
        self.ops: list[Op] = []
        self.numbers: dict[tuple[Next, tuple[Any, ...]], int] = {}
        self.after: dict[tuple[int, Any], int] = {}

    def at(self, routine: Next, results: tuple[Any, ...] = ()) -> int:
        """The place where this routine is after these results; END when there is none."""
        place = (routine, results)
        if place in self.numbers:
            return self.numbers[place]
        name, *arguments = routine
        if name == "end":
            return END
        steps = getattr(self.program, name)(*arguments)
        try:
            op = next(steps)
            for result in results:
                op = steps.send(result)
        except StopIteration as stop:
            return self.at(stop.value)
        self.numbers[place] = number = len(self.ops)
        self.places.append(place)
        self.ops.append(op)
        return number

    def then(self, number: int, result: Any) -> int:
        """The place after place `number`, if its operation had this result."""
        known = (number, result)
        if known not in self.after:
            routine, results = self.places[number]
            self.after[known] = self.at(routine, (*results, result))
        return self.after[known]


class Stage:
    """What is the same in all states of a walk."""

    def __init__(self, scenario: Scenario, cast: Cast) -> None:
        self.scenario, self.orders = scenario, cast.orders
        self.courses = (
            Course(cast.worker(scenario.out_room, scenario.modulus)),
            Course(cast.driver(scenario.task_room, scenario.modulus)),
            Course(cast.caller(scenario.task_room, scenario.modulus)),
        )
        self.steps: list[tuple[Any, ...]] = []
        names = 0
        for word in scenario.script:
            if word in ("withdraw", "ask"):
                self.steps.append((word,))
                continue
            items = word.removeprefix("?")
            self.steps.append(("lease", items, names, word != items))
            names += len(items)
        self.items = names
