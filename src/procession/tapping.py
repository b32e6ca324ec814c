"""Whether somebody wants to know of every task: the tap, and who is to be told when there is one.

While there is none, nobody pays: engines and streams ask for it where something begins, a worker or a stream, never for
a task.
"""

from __future__ import annotations

from _weakref import ref
from functools import partial
from itertools import count
from time import monotonic

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    Push = Callable[[tuple[Any, ...]], object]

    class Tap(Protocol):
        """Who wants to know. Called on the threads of engines and of the program: short, no raise."""

        tasks: bool
        """Whether it wants to know of tasks, and not of pools and workers alone. When that changes, it is turned to
        again."""

        def push(self, happening: tuple[Any, ...], /) -> object:
            """Take one of `happenings.py`."""
            ...

        def watch(self, stream: object, kind: str, name: str) -> int:
            """The number of this stream, which has `finished_untaken()` if it can say; not kept alive."""
            ...

    class Tapped(Protocol):
        """An engine."""

        number: int

        def tell(self, tap: Tap | None) -> None:
            """From now on, tell this one of everything, or nobody; returns when that is so, and when what there was
            to be told to the one before has been told."""
            ...

        def part(self, push: Push) -> None:
            """One of several stops to listen: tell the tap all that was over, and this one what runs, as running.
            For the others nothing changes."""
            ...

        def unbind(self) -> None:
            """Tell what has been run and lies bound in sheaves (backends/whose.py)."""
            ...

        def catch_up(self, patience: float | None) -> bool:
            """Tell all that has happened by now, also what a caller knows already and the engine does not. Waits for
            the engine so many seconds; whether it is done."""
            ...

        def sample(self) -> Mapping[str, Any]:
            """How it is now: see `seeing.recording.COUNTERS`. What is counted since a worker's start is given of each
            worker, by a number that is its own."""
            ...

        role: tuple[str, str]
        """For what it works, and that one's name: ("Pool", ""), ("SpinOff", "resize")."""

        def show(self) -> Mapping[str, Any]:
            """Its numbers and its workers, one by one (driver/shown.py). Waits a second for it, at most."""
            ...

        def dump(self) -> str:
            """See `backends.base.Engine.dump`."""
            ...

        def bid(self, what: str, number: int) -> str:
            """Do this for somebody who looks on: "resize" to so many, "drain" or "kill" the worker of that number.
            Why not, or "" when it is done."""
            ...

    class Streaming(Protocol):
        """A stream."""

        def seen(self) -> Mapping[str, Any]:
            """Its numbers now, see `seeing.attending.answers`."""
            ...

        def stood(self, now: int) -> Any:
            """How it stands (`happenings.Stood`), if there was a tap when it began; else None."""
            ...


tap: Tap | None = None
"""Who wants to know now."""

switches: list[Callable[[bool], object]] = []
"""Told whether tasks are wanted, before the engines are told of a tap."""

greet: Callable[[], object] | None = None
"""Called when the first engine of this process has begun and when the last that had is over, on a thread of theirs."""

farewells: list[Callable[[Any], object]] = []
"""Called with each engine that had begun and is over, on a thread of its."""

at_work: set[int] = set()
"""Engines that have begun and are not over, by `id`."""

_engines: dict[int, Any] = {}
_streams: dict[int, tuple[Any, str, str]] = {}
_numbers = count()


def tasks_wanted() -> bool:
    """Does somebody want to know of tasks?"""
    return tap is not None and tap.tasks


def register(engine: Tapped) -> int:
    """This engine is to be told of taps, as long as it lives; returns its number."""
    key = id(engine)
    _engines[key] = ref(engine, partial(_engines.pop, key))  # C alone: nothing strikes it, and no name need be there
    return next(_numbers)


def engines() -> list[Tapped]:
    """Those that live."""
    return [engine for each in list(_engines.values()) if (engine := each()) is not None]


def unbind() -> None:
    """Have all engines tell what has been run and lies bound in sheaves."""
    for engine in engines():
        engine.unbind()


def catch_up(patience: float | None) -> bool:
    """Have all engines tell what has happened by now, and wait for that so many seconds; whether it is done."""
    until = None if patience is None else monotonic() + patience
    done = [engine.catch_up(None if until is None else max(0.0, until - monotonic())) for engine in engines()]
    return all(done)


def begun(engine: object) -> None:
    """By a thread of the engine: there is work for it. May be called again."""
    if id(engine) not in at_work:
        at_work.add(id(engine))
        if greet is not None:
            greet()


def over(engine: object) -> None:
    """By a thread of the engine: it has come to its end, if it has begun."""
    if id(engine) in at_work:
        at_work.discard(id(engine))
        if greet is not None and not at_work:
            greet()
        for farewell in tuple(farewells):
            farewell(engine)


def enter(stream: Streaming, kind: str, name: str) -> int:
    """This stream begins. The number by which the tap knows it; 0 without one. It is not kept alive."""
    key = id(stream)
    _streams[key] = ref(stream, partial(_streams.pop, key)), kind, name
    return 0 if tap is None else tap.watch(stream, kind, name)


def streams() -> list[tuple[str, str, Streaming]]:
    """Those that live, with what they are and are called."""
    return [(kind, name, it) for each, kind, name in list(_streams.values()) if (it := each()) is not None]


def turn(to: Tap | None) -> None:
    """Tell all engines, those that there are and those to come, to tell `to`, or nobody."""
    global tap
    tap = to
    for switch in switches:
        switch(tasks_wanted())
    for engine in engines():
        engine.tell(to)
