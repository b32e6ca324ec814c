"""The filters of this program's warnings, told to its workers as they are set (transport/filters.py).

`simplefilter`, `filterwarnings`, `resetwarnings` and `catch_warnings` say `_filters_mutated()` when they have changed
something. A function that says it, too, and then tells stands in that place, as long as there is a pool of processes.

Laws
1. What is set before a task is submitted is known to its worker when it runs.
2. A list that is changed by hand is found with the next call of one of these.
3. What cannot travel (a category that cannot be pickled) is left out, and logged once. Nothing is raised here.
"""

from __future__ import annotations

import logging
import mmap
import threading
import warnings
from itertools import count
from typing import Any

from procession.backends.saying import say
from procession.transport import boards, filters
from procession.transport.importable import by_reference

_MUTATED = "_filters_mutated"
_KEPT = 64
"""Texts that are kept: who enters and leaves `catch_warnings` all the time, sets the same ones again and again."""


class _State:
    """Of this process."""

    memory: mmap.mmap | None = None
    original: Any = None
    versions = count(1)
    told: list[Any] = filters.FRESH
    texts: dict[tuple[Any, ...], tuple[bytes, bool]] = {}  # noqa: RUF012
    left_out: set[type] = set()  # noqa: RUF012
    telling: set[int] = set()  # noqa: RUF012
    lock = threading.RLock()  # who holds it waits for nothing else


def begin(memory: mmap.mmap) -> None:
    """There are workers, which read this."""
    module: Any = warnings
    _State.memory, _State.told = memory, filters.FRESH
    _State.original = getattr(module, _MUTATED, None)
    if _State.original is not None:
        setattr(module, _MUTATED, _mutated)
    tell()


def end() -> None:
    """There are none any more, or this is a forked child."""
    module: Any = warnings
    _State.memory, _State.lock = None, threading.RLock()
    _State.telling.clear()
    if getattr(module, _MUTATED, None) is _mutated:
        setattr(module, _MUTATED, _State.original)


def _mutated() -> None:
    _State.original()
    tell()


def tell() -> None:
    """Write what is set now, if it is not what was told last. Any thread, and signal handlers.

    What is written is made before the lock is taken, since that may import. Who was overtaken by another one meanwhile
    makes it again; so nobody writes what was true before, and a reader never finds a slot half written.
    """
    memory, me = _State.memory, threading.get_ident()
    if memory is None or me in _State.telling:  # by what it takes to tell, an import
        return
    _State.telling.add(me)
    try:
        while (now := list(warnings.filters)) != _State.told:
            text, urgent = _text(now)
            with _State.lock:
                if warnings.filters != now:
                    continue
                _State.told = []  # nobody knows, should a signal raise here
                version = next(_State.versions)
                boards.FILTERS.write(memory, version, text)
                if urgent:  # who has heard of such ones hears of all others, too
                    boards.urge(memory, version)
                _State.told = now
    except ValueError:
        pass  # the last pool has just been closed
    finally:
        _State.telling.discard(me)


def _text(now: list[Any]) -> tuple[bytes, bool]:
    """What is written, and whether it is urgent."""
    key = tuple(now)
    try:
        known = _State.texts.get(key)
    except TypeError:  # something in it was put there by hand
        key = ()
        known = None
    if known is None:
        text = filters.encode(now, _named)
        if len(text) > boards.FILTERS.most:
            text = filters.encode([*filter(filters.broad, now)][:100], _named)
        if len(_State.texts) >= _KEPT:
            _State.texts.clear()
        known = text, filters.urgent(now)
        if key:
            _State.texts[key] = known
    return known


def _named(category: type) -> str | bytes | None:
    if category.__module__ == "builtins" or by_reference(category):
        return f"{category.__module__}:{category.__qualname__}"
    from procession.transport.pickler import dumps

    try:
        return dumps(category)
    except Exception as error:
        if category not in _State.left_out:
            _State.left_out.add(category)
            text = "a filter of warnings holds in no worker process, since its category %s cannot be pickled: %s"
            say(logging.WARNING, text, category.__qualname__, error)
        return None


__all__ = ["begin", "end", "tell"]
