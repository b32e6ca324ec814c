"""What `pool.share` gives: a handle that stands for an object, whose bytes travel to each worker once at most.

The object is pickled once, into the arena. A task that is given the handle gets the object: its worker loads it when it
meets it first, and keeps it as long as the handle lives. Its arrays look at the arena, which all workers share.

How a worker learns that the handle has gone: while it lives, the word of the object's first block in table 1 of the
parent's arena holds the object's number (arena.py). A worker looks there before it waits, at the latest IDLE seconds
after the end, and drops what is not shared any more.

A task keeps what it was given: the handle may go as soon as the task is submitted.
"""

from __future__ import annotations

from _pickle import loads

from procession.transport import aside, parts
from procession.transport.aside import known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Core:
    """The shared object as it travels."""

    __slots__ = ("call", "keep")

    def __init__(self, call: tuple[Any, ...], keep: list[Any]) -> None:
        self.call = call
        self.keep = keep


class Shared:
    """Stands for an object in the arguments of tasks, which get the object itself. Made by `pool.share`."""

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        object.__setattr__(self, "_core", core)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{name!r}: this is what pool.share() gives, which stands for an object in the arguments of tasks of a "
            "pool of processes; the object itself is only there, in the task"
        )

    def __copy__(self) -> Shared:
        return self

    def __deepcopy__(self, memo: object) -> Shared:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("what pool.share() gives can only be sent as an argument of a task")


def reduce(pickler: Any, handle: Shared) -> Any:
    """How a handle travels in the pickle of a task."""
    core: Core = handle._core
    pickler.aside.take(core)
    return core.call


parts.RARE[Shared] = reduce


def share(packed: aside.Body | bytes) -> Shared:
    """The handle of what was packed by force."""
    spec = getattr(packed, "spec", None)
    if spec is None:  # there is no room for it: it travels with each task
        return Shared(Core((loads, (bytes(packed),)), list(getattr(packed, "keep", ()))))
    assert isinstance(packed, aside.Body)
    key, _, stream, places, parts = spec
    number = next(aside.numbers)
    first = packed.keep[stream[0]]
    first.arena.mark_shared(first, number)
    return Shared(Core((arrived, (number, key, stream, places, parts)), packed.keep))


def arrived(number: int, key: int, stream: aside.Part, places: Any, parts: Any) -> Any:
    """The object; called by a pickle, in a worker."""
    found = known.get((key, number))
    if found is not None:
        return found[0]
    inlet = aside.inlet_of(key)
    home = places[stream[0]][0]
    if inlet.shared(home) != number:
        raise RuntimeError("what was shared is gone: nothing holds what pool.share() gave any more")
    views = [None if index == stream[0] else inlet.view(*place[:2]) for index, place in enumerate(places)]
    buffers = [views[block][start : start + size].toreadonly() for block, start, size in parts]
    made = loads(inlet.bytes(home, stream[2]), buffers=buffers)
    known[key, number] = made, inlet, home
    return made


def purge() -> None:
    """In a worker: drop what is not shared any more."""
    for name, (_, inlet, home) in list(known.items()):
        if inlet.shared(home) != name[1]:
            del known[name]


__all__ = ["Shared", "purge", "share"]
