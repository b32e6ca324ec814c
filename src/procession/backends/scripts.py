"""How a generator is driven on a backend: the calls that its turns are.

A *script* belongs to one stream (`stream_turns.py`), which asks it for the function and the body of each turn. In a
worker process the generator lives in a table (`worker/turns.py`), under the stream's number, and what it yields comes
through the result pipe. In this process it lives here, and what it yields is told at once, by whoever drives it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from threading import get_ident
from typing import Any, NamedTuple, Protocol

from procession.core.turns import Kind, Turn
from procession.record import record
from procession.transport.aside import Body, private

TIME_NS = 20_000_000
"""So long a turn goes on while it has credit; then others come first, if there are any."""
PART = 4
"""A turn takes no more than one part in so many of the timeout of its stream; so what takes longer is one `next`."""

_numbers = itertools.count(1)


class Outlet(Protocol):
    """Who is told what a generator yields."""

    unwanted: bool
    """Nobody takes any more."""

    @property
    def arrived(self) -> int:
        """So many values have come."""
        ...

    def came(self, place: int, value: Any) -> None:
        """The generator has yielded this, as its `place`-th value; short, and never raising."""
        ...


class Script(Protocol):
    """See the module."""

    def attach(self, outlet: Outlet) -> None:
        """This one is to be told what is yielded; before the first turn is posted."""
        ...

    def call(self, turn: Turn) -> tuple[Any, Any]:
        """The function of a turn, and its body. Runs no code of a user."""
        ...

    def shown(self) -> Any:
        """A body whose arguments are told in messages; it carries its function."""
        ...

    def begun(self) -> None:
        """No turn will have to begin it again."""
        ...

    def over(self) -> None:
        """No turn comes any more. Runs no code of a user: what lives still is closed as its worker ends."""
        ...


@record
class Scene:
    """What is to be driven."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    name: str
    """In messages."""
    time_ns: int
    """See `time_of`."""
    again: bool
    """There may be further runs."""
    around: Any = None
    """The context variables that it is to see, see `Engine.encode`."""


def time_of(timeout_ns: int | None) -> int:
    """How long a turn goes on."""
    return TIME_NS if timeout_ns is None else min(TIME_NS, timeout_ns // PART)


class RemoteScript:
    """For worker processes. Raises PicklingError, and what the engine says when it takes nothing."""

    def __init__(self, engine: Any, scene: Scene) -> None:
        from procession.worker import turns

        self._number = next(_numbers)
        self._time_ns = scene.time_ns
        self._functions = {
            kind: engine.function(each, scene.name)
            for kind, each in ((Kind.BEGIN, turns.begin), (Kind.GO_ON, turns.go_on), (Kind.END, turns.end))
        }
        call = engine.codec.encode_call(scene.fn, scene.args, scene.kwargs, around=scene.around)
        self._call: Any = private(call) if scene.again else call  # it owns what lies in the arena
        self._outlets: dict[int, Outlet] = engine.inbox.outlets

    def attach(self, outlet: Outlet) -> None:
        """See `Script`."""
        self._outlets[self._number] = outlet

    def call(self, turn: Turn) -> tuple[Any, Any]:
        """See `Script`."""
        body: tuple[Any, ...] = (self._number,)
        if turn.kind is Kind.BEGIN:
            body = (self._number, turn.first, turn.until, self._time_ns, bytes(self._call))
        elif turn.kind is Kind.GO_ON:
            body = (self._number, turn.until, self._time_ns)
        return self._functions[turn.kind], body

    def shown(self) -> Any:
        """See `Script`."""
        return self._call

    def begun(self) -> None:
        """See `Script`: what lies in the arena is free when the worker has let go of it."""
        if type(self._call) is Body:
            self._call = None

    def over(self) -> None:
        """See `Script`."""
        self._outlets.pop(self._number, None)
        self._call = None


class LocalScript:
    """For the threads of this process. `copier` makes arguments and values of their own, if there is one."""

    def __init__(self, engine: Any, scene: Scene, copier: Any = None) -> None:
        self._engine = engine
        self._fn = scene.fn
        if copier is not None:
            copier.check(scene.fn)
        self._function = engine.function(self._turn, scene.name)
        self._args: Any = engine.encode(self._function, scene.args, scene.kwargs)
        self._time_ns = scene.time_ns
        self._around = scene.around
        self._copier = copier
        self._plays: dict[LocalScript, Living] = engine.plays
        self._run = 0  # begun anew so often

    def attach(self, outlet: Outlet) -> None:
        """See `Script`."""
        self._outlet = outlet

    def call(self, turn: Turn) -> tuple[Any, Any]:
        """See `Script`."""
        if turn.kind is Kind.BEGIN:
            self._run += 1
        args = self._run, turn.kind is Kind.END, turn.until
        return self._function, self._engine.encode(self._function, args, {}, self._around)

    def shown(self) -> Any:
        """See `Script`."""
        return self._args

    def begun(self) -> None:
        """See `Script`: the generator has what it needs."""

    def over(self) -> None:
        """See `Script`. Who still drives it, as a thread that was given up, is of an earlier run from here on."""
        self._run += 1
        self._args = None

    def _turn(self, run: int, ends: bool, until: int) -> int:
        """One turn. On the inline backend a further run is the same call once more."""
        from procession.core.turns import ENDED
        from procession.worker.turns import Play

        known = self._plays.pop(self, None)
        play: Play | None = known.play if known is not None and known.run == run else None
        if ends:
            if play is not None:
                play.close()
            return ENDED
        if play is None:
            args, kwargs = self._args if self._copier is None else self._copier.thaw(self._args)
            play = Play(self._fn, args, kwargs, self._outlet.arrived)

        def publish(place: int, value: Any) -> None:
            if run == self._run:
                self._outlet.came(place, value if self._copier is None else self._copier.copy(value))
            if run != self._run or self._outlet.unwanted:
                raise CancelledError("nobody takes from this stream any more")

        came_to: int = play.turn(until, self._time_ns, publish)
        if came_to and run == self._run:
            self._plays[self] = Living(play, run, get_ident())
        return came_to


def is_turn(fn: Any) -> bool:
    """Whether this is ours, a turn of a generator: it stays in this process."""
    return isinstance(getattr(fn, "__self__", None), LocalScript)


class Living(NamedTuple):
    """A generator between two turns."""

    play: Any
    run: int
    thread: int
    """That drove it last."""


class LocalScripts:
    """An engine that drives generators in this process."""

    _copier: Any = None

    @property
    def plays(self) -> dict[LocalScript, Living]:
        """Those that live, as `worker.turns` has them in a worker process."""
        plays: dict[LocalScript, Living] = vars(self).setdefault("_plays", {})
        return plays

    def script(self, scene: Scene) -> Script:
        """See `Engine.script`."""
        return LocalScript(self, scene, self._copier)

    def end_plays(self, wanted: Callable[[int], bool]) -> BaseException | None:
        """Close those of which the thread is `wanted`, since that ends; returns the first error of these."""
        first: BaseException | None = None
        for script, living in list(self.plays.items()):
            if wanted(living.thread) and self.plays.pop(script, None) is not None:
                try:
                    living.play.close()
                except BaseException as error:
                    first = first or error
        return first


__all__ = ["Living", "LocalScript", "LocalScripts", "Outlet", "RemoteScript", "Scene", "Script", "is_turn", "time_of"]
