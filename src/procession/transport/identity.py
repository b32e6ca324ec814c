"""Who is who across processes: names for the functions and classes that travel by value.

An object gets its name (uid) in the process that first sends it, and every process that rebuilds it keeps that name. So
what comes back is recognised, and `is` and isinstance hold. Nothing is kept alive by its name, except what `pin` says.
"""

from __future__ import annotations

import os
from _weakref import ref
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_names: dict[int, tuple[str, Any]] = {}  # id(object) -> its uid, and a weak reference that guards against a reused id
_objects: dict[str, Any] = {}  # uid -> weak reference
_pinned: dict[str, tuple[Any, ...]] = {}  # place -> the last classes that it had
_numbers = count(1)
PINNED = 4
_prefix = ""


def own_prefix() -> str:
    """What the uids made by this process begin with."""
    global _prefix
    if not _prefix:
        _prefix = os.urandom(9).hex() + "."
    return _prefix


def _renew() -> None:
    global _prefix
    _prefix = ""


os.register_at_fork(after_in_child=_renew)


def uid_of(obj: Any) -> str:
    """The uid of this object; a new one when it has none."""
    return known_uid(obj) or name_it(obj, f"{own_prefix()}{next(_numbers)}")


def known_uid(obj: Any) -> str | None:
    """The uid of this object, or None."""
    known = _names.get(id(obj))
    return known[0] if known is not None and known[1]() is obj else None


def name_it(obj: Any, uid: str) -> str:
    """From now on `obj` answers to `uid`."""
    _objects[uid] = ref(obj, _dropper(_objects, uid))  # first: who is interrupted here has named nothing
    also(obj, uid)
    return uid


def also(obj: Any, uid: str) -> None:
    """`obj` stands for `uid` when it travels on; `object_of(uid)` stays what it is."""
    key = id(obj)
    _names[key] = uid, ref(obj, _dropper(_names, key))


def object_of(uid: str) -> Any:
    """The living object of this uid, or None."""
    found = _objects.get(uid)
    return None if found is None else found()


def is_own(uid: str) -> bool:
    """Was this uid made here?"""
    return uid.startswith(own_prefix())


def pin(obj: Any, place: str) -> None:
    """Keep it alive, for the other side will name it by its uid alone: until its place has had PINNED later ones."""
    last = _pinned.get(place, ())
    if not any(each is obj for each in last):
        _pinned[place] = (*last[1 - PINNED :], obj)


def _dropper(table: dict[Any, Any], key: Any) -> Callable[[Any], None]:
    def drop(dead: Any) -> None:
        found = table.get(key)
        if found is dead or (type(found) is tuple and found[1] is dead):
            table.pop(key, None)

    return drop


__all__ = ["also", "is_own", "known_uid", "name_it", "object_of", "own_prefix", "pin", "uid_of"]
