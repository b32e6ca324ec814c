"""What the context variables of a program's thread hold, as bytes; and what of them is no business of a worker process.

Laws
1. A variable travels with its value as it is now. Each value that is no plain one is a pickle of its own: so one that
   cannot be pickled leaves out itself only, and one whose variable is of a module that a worker never imports is never
   loaded there.
2. What is left out is told to the caller, with why. A type of value that could not be pickled is not tried again, lists
   and the like excepted.
3. Some variables hold for their process, and are passed over: the random numbers of the task that runs here, the
   asynchronous library that runs here (sniffio), which cell a notebook's kernel is at (ipykernel), OpenTelemetry's
   context, for which propagators speak.
4. Two libraries keep their settings in variables that nobody can name or pickle, and these are read and set by the
   library's own words: decimal's context, NumPy's errstate. What is as it is in a fresh interpreter does not travel.

The bytes are a pickle of (variables, settings, carrier); see `worker/surroundings.py`.
"""

from __future__ import annotations

import sys
from _contextvars import Context
from _pickle import dumps as plain_dumps

from procession.transport import variables
from procession.transport.pickler import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PLAIN = frozenset({int, float, bool, type(None), str, bytes})
_SIZED = frozenset({str, bytes})
LARGE = 1_000_000
"""Bytes of one value beyond which somebody should know that it travels with each task."""

OF_PROCESS = frozenset({"procession.chance", "procession.surroundings", "current_async_library_cvar"})
OF_KERNEL = frozenset({"shell_parent", "shell_parent_ident", "parent_header"})
DECIMAL, NUMPY = "decimal_context", "numpy.ufunc.extobj"
DECIMAL_FRESH = (28, "ROUND_HALF_EVEN", -999999, 999999, 1, 0)
DECIMAL_TRAPS = frozenset({"InvalidOperation", "DivisionByZero", "Overflow"})
NUMPY_FRESH = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}

_hopeless: dict[int, tuple[Any, set[type]]] = {}


class Left:
    """What was left out, and why; or what is large, and how large."""

    __slots__ = ("error", "name", "size", "variable")

    def __init__(self, variable: Any, error: BaseException | None, size: int = 0) -> None:
        self.variable = variable
        self.name: str = variable.name
        self.error = error
        self.size = size


def own_of(context: Context, skipped: Callable[[Any, Any], bool]) -> dict[Any, Any]:
    """The variables of this context that are anybody's, but for those that are `skipped`, with their values."""
    kernel = OF_KERNEL if "ipykernel" in sys.modules else ()
    return {
        variable: value
        for variable, value in context.items()
        if variable.name not in OF_PROCESS and variable.name not in kernel and not skipped(variable, value)
    }


def packed(own: dict[Any, Any], carrier: dict[str, str] | None, left: list[Left]) -> bytes | None:
    """The bytes of these; None: there is nothing to be sent. What is left out is appended to `left`."""
    entries: list[tuple[Any, ...]] = []
    settings: dict[str, Any] = {}
    for variable, value in own.items():
        if variable.name in SETTINGS and (setting := SETTINGS[variable.name](variable, value, left)) is not None:
            settings.update(setting)
            continue
        if type(value) in PLAIN:
            body: Any = (value,)
            if type(value) in _SIZED and len(value) > LARGE:
                left.append(Left(variable, None, len(value)))
        else:
            body = _pickled(variable, value, left)
            if body is None:
                continue
        uid, name, places = variables.described(variable)
        entries.append((uid, name, places, () if places else _default_of(variable), body))
    if not entries and not settings and not carrier:
        return None
    return plain_dumps((entries, settings, carrier), 5)


def _default_of(variable: Any) -> tuple[Any, ...] | bytes:
    """Of one that a worker has to make: (its default,), its pickle, or nothing."""
    default = variables.default_of(variable)
    if not default or type(default[0]) in PLAIN:
        return default
    try:
        return dumps(default[0])
    except Exception:  # whoever names it gets an error of its own
        return ()


def is_hopeless(variable: Any, value: Any) -> bool:
    """Whether a value of this type could not be pickled before, which was told then."""
    known = _hopeless.get(id(variable))
    return known is not None and type(value) in known[1]


def _pickled(variable: Any, value: Any, left: list[Left]) -> bytes | None:
    kind = type(value)
    if is_hopeless(variable, value):
        return None
    try:
        data = dumps(value)
    except Exception as error:
        left.append(Left(variable, error))
        kinds = _hopeless.setdefault(id(variable), (variable, set()))[1]
        if kind not in _CONTAINERS and len(kinds) < _KINDS:
            kinds.add(kind)
        return None
    if len(data) > LARGE:
        left.append(Left(variable, None, len(data)))
    return data


_KINDS = 64
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset})


# --------------------------------------------------------------------------------- settings of libraries (law 4)


def _of_decimal(variable: Any, value: Any, left: list[Left]) -> dict[str, Any] | None:
    """{}: it is as ever; None: it is not decimal's."""
    if type(value).__module__ != "decimal":
        return None
    (*numbers, _flags, traps) = value.__reduce__()[1]
    if tuple(numbers) == DECIMAL_FRESH and {each.__name__ for each in traps} == DECIMAL_TRAPS:
        return {}
    data = _pickled(variable, value, left)
    return {} if data is None else {"decimal": data}


def _of_numpy(variable: Any, value: Any, left: list[Left]) -> dict[str, Any] | None:
    geterr = getattr(sys.modules.get("numpy"), "geterr", None)
    if geterr is None or type(value).__name__ != "PyCapsule":
        return None
    how: dict[str, str] = geterr()
    if how == NUMPY_FRESH:
        return {}
    if "call" in how.values() or "log" in how.values():
        left.append(Left(variable, ValueError("'call' and 'log' name an object of this process")))
        how = {name: each for name, each in how.items() if each not in ("call", "log")}
    return {"numpy": how}


SETTINGS: dict[str, Callable[[Any, Any, list[Left]], dict[str, Any] | None]] = {DECIMAL: _of_decimal, NUMPY: _of_numpy}

__all__ = ["PLAIN", "SETTINGS", "Left", "is_hopeless", "own_of", "packed"]
