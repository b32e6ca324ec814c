"""Walks all that can happen: every state of a model that can be reached, each once, shortest stories first.

A model says which actions are possible, what a state looks like after one, and what must hold. The walk is breadth
first, so that the story of the first violation found is among the shortest there are. Three things are wrong:

* an action raises: a law of the model, an invariant, or an error of the code under test;
* a state without an action that must happen, although the model says that it has not ended (stuck);
* a cycle: something goes on without anything being achieved. Without cycles every way leads to an end, since there are
  finitely many states, and each end was checked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Generic, Protocol, Self, TypeVar

Action = tuple[str | int, ...]


class Model(Protocol):
    """One state of something that takes actions."""

    def actions(self) -> Sequence[Action]:
        """All that can happen next. Raises where something should be able to happen and cannot."""
        ...

    def copy(self) -> Self:
        """A state that shares nothing that changes."""
        ...

    def act(self, action: Action) -> None:
        """Let it happen, here. Raises when a law is broken by it."""
        ...

    def key(self) -> Hashable:
        """Equal for two states only where whatever can follow one can follow the other, up to names."""
        ...

    def narrate(self, action: Action) -> str:
        """`act`, and say in words what happened, an error included."""
        ...


M = TypeVar("M", bound=Model)


class Violation(AssertionError):
    """Something that must not happen can. `story` is the way there, an action a line; `cause` what was wrong."""

    def __init__(self, cause: BaseException | str, story: Sequence[str], actions: Sequence[Action]) -> None:
        self.cause = cause
        self.story = list(story)
        self.actions = list(actions)
        said = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
        lines = "\n".join(f"{number:3}. {line}" for number, line in enumerate(self.story, 1))
        super().__init__(f"{said}\nafter\n{lines}")


@dataclass
class Report:
    """What was walked."""

    name: str
    states: int = 0
    transitions: int = 0
    ends: int = 0
    depth: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.states:,} states, {self.transitions:,} transitions, {self.ends:,} ends, "
            f"depth {self.depth}, {self.seconds:.1f} s"
        )


@dataclass
class _Walk(Generic[M]):
    start: M
    report: Report
    limit: int
    numbers: dict[Hashable, int] = field(default_factory=dict)
    came: list[tuple[int, Action]] = field(default_factory=list)  # by number: the state before, and the action
    edges: list[list[int]] = field(default_factory=list)

    def meet(self, state: M, before: int, action: Action) -> tuple[int, bool]:
        """The number of this state, and whether it is new."""
        known = len(self.numbers)
        number = self.numbers.setdefault(state.key(), known)
        if number < known:
            return number, False
        if number > self.limit:
            said = f"more than {self.limit} states: the bound is too wide, or something grows"
            raise self.violation(said, before, action)
        self.came.append((before, action))
        self.edges.append([])
        return number, True

    def violation(self, cause: BaseException | str, number: int, action: Action | None = None) -> Violation:
        """With the way from the start to state `number`, and the action there."""
        way = [] if action is None else [action]
        while number > 0:
            number, came_by = self.came[number]
            way.append(came_by)
        way.reverse()
        state, story = self.start.copy(), list[str]()
        for step in way:
            story.append(state.narrate(step))
        return Violation(cause, story, way)


def explore(start: Model, name: str = "", limit: int = 2_000_000) -> Report:
    """Walk everything that can follow `start`.

    Raises:
        Violation: something that must not happen can, or there are more than `limit` states.
    """
    began = perf_counter()
    walk = _Walk(start.copy(), Report(name), limit)
    walk.meet(start, 0, ())
    todo: deque[tuple[Model, int, int]] = deque([(start, 0, 0)])
    while todo:
        state, number, depth = todo.popleft()
        try:
            actions = state.actions()
        except Exception as error:
            raise walk.violation(error, number) from error
        walk.report.depth = depth
        walk.report.ends += not actions
        for action in actions:
            after = state if action is actions[-1] else state.copy()
            try:
                after.act(action)
            except Exception as error:
                raise walk.violation(error, number, action) from error
            then, new = walk.meet(after, number, action)
            walk.edges[number].append(then)
            if new:
                todo.append((after, then, depth + 1))
        walk.report.transitions += len(actions)
    walk.report.states = len(walk.numbers)
    _refuse_cycles(walk)
    walk.report.seconds = perf_counter() - began
    return walk.report


def _refuse_cycles(walk: _Walk[M]) -> None:
    """Take away states that nothing else leads to, again and again; what is left lies on, or behind, a cycle."""
    waiting = [0] * len(walk.edges)
    for targets in walk.edges:
        for target in targets:
            waiting[target] += 1
    free = [number for number, count in enumerate(waiting) if not count]
    left = len(waiting)
    while free:
        left -= 1
        for target in walk.edges[free.pop()]:
            waiting[target] -= 1
            if not waiting[target]:
                free.append(target)
    if left:
        raise walk.violation(
            "this can go on for ever without anything being achieved", _on_a_cycle(walk.edges, waiting)
        )


def _on_a_cycle(edges: list[list[int]], waiting: list[int]) -> int:
    """Going backwards among states that all have somebody before them, one is met again."""
    before = {
        target: number
        for number, targets in enumerate(edges)
        if waiting[number]
        for target in targets
        if waiting[target]
    }
    at, seen = next(iter(before)), set[int]()
    while at not in seen:
        seen.add(at)
        at = before[at]
    return at


def replay(start: M, actions: Sequence[Action]) -> tuple[M, list[str]]:
    """Let `actions` happen, one after another; returns the state after them and the story."""
    state, story = start.copy(), list[str]()
    for action in actions:
        story.append(state.narrate(action))
    return state, story
