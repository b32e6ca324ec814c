"""The context variables of whoever handed a task over, as the task sees them.

Laws
1. A task sees the variables as they were at the call that handed it over; one of a stream, of a pipeline, or of a batch
   as they were when that was begun (`asyncio.create_task` does so). Further runs see the same.
2. What a task sets is seen by itself and by what it calls; by no other task, and not by who handed it over: each run
   has a copy. A generator has one for all its turns.
3. What an initializer or a setup has set in its worker is seen by the tasks of that worker, below what they were given.
4. In this process (threads, inline) a task has the very objects. In a worker process it has what could be pickled
   (transport/contexts.py), anew for each run unless it is immutable.
5. In a worker process no module is imported for the sake of a variable: those of a module that is not there are set
   when it has been imported, also in the middle of a run.
6. Nothing here fails a task: what cannot be rebuilt is left out, and logged once a variable.

Who calls `enter` in a worker process has made a copy of the worker's context for this run: `loop.Batch.run`, in C
`run_items`, for generators `turns`; on the inline backend with pickle=True its engine.
"""

from __future__ import annotations

import sys
from _contextvars import Context, ContextVar
from _pickle import loads

from procession.transport import variables
from procession.worker.imports import when_imported

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    Entry = tuple[str, str, tuple[variables.Place, ...], Any, Any]
    """A variable's uid, name, places, default; and its value, (it,) or a pickle."""

KEPT = 256
KEPT_BYTES = 4_000_000
"""Surroundings that a worker keeps at hand, and bytes of them. The latest one is kept whatever its size: each item of a
stream comes with the same."""


class Surrounded:
    """A function whose calls run in these surroundings. `func`: see `backends.functions.kind_of`."""

    def __init__(self, func: Callable[..., Any], packed: bytes) -> None:
        self.func = func
        self.packed = packed

    def __reduce__(self) -> tuple[Any, ...]:
        return Surrounded, (self.func, self.packed)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's."""
        enter(self.packed)
        return self.func(*args, **kwargs)


# ------------------------------------------------------------------------------------------------- in a worker process

_here: ContextVar[_Around | None] = ContextVar("procession.surroundings", default=None)
_known: dict[bytes, _Around] = {}
_known_bytes = 0
_hooked: set[str] = set()
_told: set[str] = set()


def enter(packed: bytes) -> None:
    """From here on, in the present context, variables are as these say. Raises nothing."""
    global _known_bytes
    around = _known.get(packed)
    if around is None:
        _known_bytes += len(packed)
        if len(_known) >= KEPT or _known_bytes > KEPT_BYTES:
            _known.clear()
            _known_bytes = len(packed)
        around = _known[packed] = _Around(packed)
    for variable, value in around.fixed:
        variable.set(value)
    if around.more:
        around.set_more()


class _Around:
    """What one pickle of surroundings says."""

    __slots__ = ("fixed", "more", "pickled", "settings", "spans", "waiting")

    def __init__(self, packed: bytes) -> None:
        self.fixed: list[tuple[ContextVar[Any], Any]] = []
        self.pickled: list[tuple[ContextVar[Any], bytes]] = []
        self.waiting: list[Entry]
        self.settings: dict[str, Any]
        self.waiting, self.settings, carrier = loads(packed)
        self.spans: Any = None  # OpenTelemetry's context
        if carrier:
            from procession.worker import telemetry

            self.spans = telemetry.context_of(carrier, _complain)
        self._seek()
        self.more = bool(self.pickled or self.waiting or self.settings or self.spans)

    def set_more(self) -> None:
        """All but the immutable values of variables that are here."""
        if self.waiting:
            self._seek(now=True)
        for variable, data in self.pickled:
            _set(variable, data)
        for module, setting in self.settings.items():
            if module in sys.modules:
                _establish(sys.modules[module], setting)
            else:
                _hook(module)
        if self.waiting or self.settings:
            _here.set(self)
        if self.spans:
            from procession.worker import telemetry

            telemetry.attach(self.spans, _complain)

    def _seek(self, now: bool = False) -> None:
        """Of the variables that were not here: those whose module has come. `now`: give them their values."""
        still = []
        for entry in self.waiting:
            uid, name, places, default, body = entry
            variable = variables.found_here(uid, name, places)
            if variable is None:
                absent = [module for module, _, _ in places if module not in sys.modules and module != variables.MAIN]
                if absent:
                    still.append(entry)
                    any(map(_hook, absent))
                    continue
                variable = variables.made(uid, name, places, *_default(name, default))
            if type(body) is tuple:
                self.fixed.append((variable, body[0]))
                if now:
                    variable.set(body[0])
            else:
                self.pickled.append((variable, body))
        self.waiting = still

    def arrive(self, module: ModuleType) -> None:
        """It was imported by the task that runs in these surroundings."""
        had = len(self.pickled)
        self._seek(now=True)
        for variable, data in self.pickled[had:]:
            _set(variable, data)
        if module.__name__ in self.settings:
            _establish(module, self.settings[module.__name__])


def _hook(module: str) -> None:
    if module not in _hooked:
        _hooked.add(module)
        when_imported(module, _arrived)


def _arrived(module: ModuleType) -> None:
    """In the context of who has imported it."""
    around = _here.get()
    if around is not None:
        around.arrive(module)


def _set(variable: ContextVar[Any], data: bytes) -> None:
    try:
        variable.set(loads(data))
    except Exception as error:
        _complain(f"the context variable {variable.name!r}", error)


def _default(name: str, default: Any) -> tuple[Any, ...]:
    if type(default) is tuple:
        return default
    try:
        return (loads(default),)
    except Exception as error:
        _complain(f"the default of the context variable {name!r}", error)
        return ()


def _establish(module: Any, setting: Any) -> None:
    """Have a library's own words say it."""
    try:
        if module.__name__ == "decimal":
            module.setcontext(loads(setting))
        else:
            module.seterr(**setting)
    except Exception as error:
        _complain(f"what is set in {module.__name__}", error)


def _complain(what: str, error: BaseException) -> None:
    if what in _told:
        return
    _told.add(what)
    import logging

    text = "%s is not in a worker what it is where the task was handed over: %s: %s"
    logging.getLogger("procession").warning(text, what, type(error).__name__, error)


# ------------------------------------------------------------------------------------------------------ in this process

UNSET = frozenset({"procession.chance", "current_async_library_cvar"})
"""What holds for where a task was handed over, not for where it runs: random numbers, sniffio's library."""


class Local:
    """A context, for tasks of this process."""

    __slots__ = ("_context", "_decimal")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._decimal = False
        for variable, value in list(context.items()):
            if variable.name in UNSET and value is not None:
                context.run(variable.set, None)
            self._decimal = self._decimal or variable.name == "decimal_context"

    def over(self, base: Context) -> Context:
        """One for a run on a worker whose own is `base`."""
        fresh = self._context.copy()
        if base:
            for variable, value in base.items():
                if variable not in fresh:
                    fresh.run(variable.set, value)
        if self._decimal:
            fresh.run(_own_decimal)
        return fresh

    def caller(self, base: Context) -> Callable[[Callable[[Any], Any], Any], Any]:
        """What calls a function with an item, each time in a fresh one."""

        def call(fn: Callable[[Any], Any], item: Any) -> Any:
            return self.over(base).run(fn, item)

        return call


def _own_decimal() -> None:
    """Decimal's context is an object that arithmetic changes: who shares the variable has one of his own."""
    import decimal

    decimal.setcontext(decimal.getcontext().copy())


__all__ = ["Local", "Surrounded", "enter"]
