"""What surrounds who hands a task over, taken along: see `worker/surroundings.py` for the laws.

Taken at the call: of `submit`, `acall`, `put` and the like for their one task, in `Engine.encode`; of `map`, `imap`, a
pipeline's run and a SpinOff with batches for all their items, in the function (`surrounded`). Where no context variable
is set nothing is taken, and nothing costs but the look; the short ways in C look for themselves (`_native/around.c`).
"""

from __future__ import annotations

import logging
import sys
from _contextvars import Context, copy_context
from collections.abc import Callable
from typing import Any
from weakref import ref

from procession.backends.base import Engine
from procession.backends.functions import name_of
from procession.backends.saying import say
from procession.transport.contexts import PLAIN, SETTINGS, Left, is_hopeless, own_of, packed
from procession.worker import telemetry
from procession.worker.surroundings import Local, Surrounded

Around = Local | bytes
"""What surrounds a task: on the backends that share objects, and on those that pickle."""

_told: dict[object, None] = {}


def here(engine: Engine) -> Around | None:
    """What surrounds the caller, for a task on this engine; None: nothing."""
    context = copy_context()
    if not context:
        return None
    if engine.capabilities.pickles:
        return _packed(context)
    return Local(context)


def packed_here() -> bytes | None:
    """What of the caller's can be pickled, if anything."""
    context = copy_context()
    return _packed(context) if context else None


def surrounded(
    engine: Engine, fn: Callable[..., Any], around: Around, name: str | None, with_state: bool = False
) -> Any:
    """`Engine.function` of `fn`, for many calls, all of which run in these surroundings."""
    name = name or name_of(fn)
    if isinstance(around, bytes):
        return engine.function(Surrounded(fn, around), name, with_state=with_state, many=True)
    function: Any = engine.function(fn, name, with_state=with_state, many=True)  # of its own, since it has a name
    function.around = around
    return function


class _Latest:
    """What was packed last, where nothing of it can change: calls come one after another in the same surroundings."""

    __slots__ = ("_seen", "packed")

    def __init__(self, context: Context, spans: list[Any], packed: bytes | None) -> None:
        self.packed = packed
        self._seen = [(each, ref(value) if spans and value is spans[0] else value) for each, value in context.items()]

    def is_of(self, context: Context) -> bool:
        """Whether this context holds the very same."""
        if len(self._seen) != len(context):
            return False
        for variable, value in self._seen:
            if variable not in context:
                return False
            found = context[variable]
            if found is not value and (value.__class__ is not ref or value() is not found):
                return False
        return True


_latest: _Latest | None = None


def _packed(context: Context) -> bytes | None:
    global _latest
    latest = _latest
    if latest is not None and latest.is_of(context):
        return latest.packed
    spans: list[Any] = []

    def telemetric(variable: Any, value: Any) -> bool:
        if telemetry.is_current(variable, value):
            spans.append(value)
            return True
        return False

    left: list[Left] = []
    own = own_of(context, telemetric)
    carrier = telemetry.carrier_of(spans[0], _say) if spans else None
    data = packed(own, carrier, left) if own or carrier else None
    for each in left:
        _tell(each)
    if all(type(value) in PLAIN or (spans and value is spans[0]) for value in context.values()):
        _latest = _Latest(context, spans, data)
    return data


def _tell(left: Left) -> None:
    """Once for each variable."""
    if left.error is not None:
        _say(f"the context variable {left.name!r}", left.error, left.variable)
    elif left.variable not in _told:
        _told[left.variable] = None
        _warn(f"the context variable {left.name!r} takes {left.size / 1e6:.0f} MB along with each task")


def _say(what: str, error: BaseException, key: object = None) -> None:
    if (key or what) in _told:
        return
    _told[key or what] = None
    text = "%s is left out of what tasks in worker processes see: %s: %s"
    say(logging.WARNING, text, what, type(error).__name__, error)


def _warn(text: str) -> None:
    """Of the first line of the program above us."""
    import warnings

    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "procession":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, RuntimeWarning, stacklevel=level)


def _is_no_span(variable: Any, value: Any) -> bool:
    """Whether it is a context of OpenTelemetry with nothing in it. No other value is asked whether it is true."""
    return telemetry.is_current(variable, value) and not value


def look(context: Context) -> int:
    """For the short ways in C, which take nothing along: 0: something is to be taken; 1: nothing is, now; 2: nothing is
    until a variable is set."""
    answer = 2
    for variable, value in own_of(context, _is_no_span).items():
        if is_hopeless(variable, value):
            continue
        if variable.name not in SETTINGS or SETTINGS[variable.name](variable, value, []) != {}:
            return 0
        answer = 1  # decimal's is changed in place
    return answer


__all__ = ["Around", "here", "look", "packed_here", "surrounded"]
