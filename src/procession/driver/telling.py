"""What a message says of a call's arguments: made from what was sent, and without running any code of a user.

The arguments of a call may be what has just killed its worker: a `__setstate__`, a `__reduce__`. So a pickle is read
with an unpickler that knows no class: whatever is no plain value or container becomes a stand-in that bears its name.
Of live objects (threads, inline) only plain values and containers are looked into, for the same reason.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable
from itertools import islice, repeat
from typing import Any

LARGEST = 1 << 16
"""Bytes: of larger pickles nothing is told."""
TOLD = 120
"""Characters."""
PART = 40
"""Characters of one text."""
DEPTH = 3
FIRST = 6
"""Items of a container."""

_PLAIN = frozenset({int, float, complex, bool, type(None)})
_BRACKETS: dict[type, str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}


class _Name:
    """Stands for whatever a pickle calls: a class, a function."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> _Thing:
        return _Thing(self.name)


class _Thing:
    """Stands for an object of a class that is not looked at."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ignore(self, *_args: Any) -> None:
        """Its state, its items."""

    __setstate__ = append = extend = __setitem__ = add = update = ignore


def _inner(text: Any) -> Any:
    """A pickle inside the pickle."""
    if not isinstance(text, bytes) or len(text) > LARGEST:
        return _Thing("...")
    return _Reader(io.BytesIO(text), buffers=repeat(_Thing("..."))).load()


class _Reader(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) == ("_pickle", "loads"):
            return _inner
        if (module_name, global_name) == ("procession.transport.passed", "passed"):
            return lambda _about, _private, stream, *_: _inner(stream)
        name = global_name.rpartition(".")[2]
        return _Name("..." if module_name.startswith(("procession.transport", "copyreg")) else name)

    def persistent_load(self, pid: Any, /) -> Any:
        return _Thing("...")


def arguments(body: Any, whole: bool, carries_function: bool, hides: bool = False) -> str | None:
    """The arguments of one call, shortened; None when nothing can be said.

    Args:
        body: as the codec encoded it, or a live (args, kwargs), or with `whole` the one argument itself.
        carries_function: its pickle begins with the function.
        hides: the last is not to be told.
    """
    try:
        args: Any = (body,)
        kwargs: Any = {}
        if not whole:
            if isinstance(body, bytes):
                spec = getattr(body, "spec", None)  # see `transport.aside.Body`
                text = body if spec is None else spec[2]
                if not isinstance(text, bytes) or len(text) > LARGEST:
                    return None
                read = _inner(text)
                args, kwargs = read[1:3] if carries_function else read[:2]
            elif len(body) in (2, 3) and type(body[0]) is tuple and type(body[1]) is dict:
                args, kwargs = body[:2]
            else:
                args = body
        if hides:
            args = args[:-1]
        text = _listed([*map(_shown, args), *[f"{key}={_shown(value)}" for key, value in kwargs.items()]], 100)
        return text if len(text) <= TOLD else text[: TOLD - 3] + "..."
    except Exception:  # a pickle of a kind that a stand-in cannot stand for
        return None


def _shown(value: Any, depth: int = DEPTH) -> str:
    kind = type(value)
    if kind in _PLAIN:
        return _cut(repr(value))
    if kind is str or kind is bytes:
        return repr(value) if len(value) <= PART else f"{value[: PART - 3]!r}..."
    if kind is _Name or kind is _Thing:
        return str(value.name) if value.name == "..." else f"<{value.name}>"
    if kind is dict and depth:
        first = list(islice(value.items(), FIRST))
        pairs = [f"{_shown(key, depth - 1)}: {_shown(each, depth - 1)}" for key, each in first]
        return "{" + _listed(pairs, len(value)) + "}"
    if kind in _BRACKETS and depth:
        items = [_shown(each, depth - 1) for each in islice(value, FIRST)]
        brackets = _BRACKETS[kind]
        comma = "," if kind is tuple and len(value) == 1 else ""
        return f"{brackets[0]}{_listed(items, len(value))}{comma}{brackets[1]}"
    return f"<{kind.__name__}>"


def _cut(text: str) -> str:
    return text if len(text) <= PART else text[: PART - 3] + "..."


def _listed(first: Iterable[str], count: int) -> str:
    shown = list(first)
    return ", ".join([*shown, "..."] if FIRST <= len(shown) < count else shown)
