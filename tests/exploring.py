"""Every sequence of events of something small, beside its model: what test_flow_together and test_journey walk by."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Protocol, TypeVar


class Found(AssertionError):
    """Something that must not be, with the events that led there."""


class Rig(Protocol):
    """What is walked. Each step checks it against its model."""

    def story(self) -> Hashable:
        """All that decides how it goes on."""
        ...

    def step(self, event: Any) -> object:
        """One event."""
        ...

    def drain(self) -> object:
        """Go on to the end."""
        ...


R = TypeVar("R", bound=Rig)


def every_sequence(
    replay: Callable[[Sequence[Any]], R], choices: Callable[[R], Iterable[Any]], name: str
) -> tuple[int, int]:
    """Walk them; returns the number of states and of steps. `replay`: a rig to which these events have happened."""
    seen, todo, steps = {replay(()).story()}, deque[tuple[Any, ...]]([()]), 0
    while todo:
        events = todo.popleft()
        here = replay(events)
        possible = [*choices(here)]
        for event in possible:
            after = here if event is possible[-1] else replay(events)
            steps += 1
            try:
                after.step(event)
                if (key := after.story()) not in seen:
                    seen.add(key)
                    todo.append((*events, event))
                    after.drain()
            except Exception as error:
                raise Found(f"{name}: {error!r} after {[*events, event]}") from error
    return len(seen), steps
