"""What a pickled function rests on, and whether that is still what it was: compared by identity, never by value.

Nothing here may keep the function itself alive, or it could never be forgotten. So namespaces are reached through weak
references to what owns them, and a value is held weakly where its type allows that; what does not (numbers, strings,
containers) is held, since an identity means nothing once its object is gone.
"""

from __future__ import annotations

import sys
from _weakref import ref
from types import FunctionType, ModuleType

from procession.transport.importable import importable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MISSING: Any = object()
_ATOMS = frozenset({int, float, bool, type(None), str, bytes, tuple, list, dict, set, frozenset, complex, type(len)})


class Dependencies:
    """Collected while pickling, asked before each reuse of the pickle."""

    __slots__ = ("_functions", "_names", "_spaces")

    def __init__(self) -> None:
        self._functions: dict[int, _Function] = {}
        self._names: set[tuple[int, str]] = set()
        self._spaces: dict[int, _Space] = {}

    def function(self, fn: Any) -> None:
        """A function by value: its code, defaults and cells."""
        if id(fn) not in self._functions:
            self._functions[id(fn)] = _Function(fn)

    def name(self, owner: Any, namespace: dict[str, Any], name: str, value: Any) -> None:
        """A name of a function's globals, or of a module."""
        key = id(namespace), name
        if key not in self._names:
            self._names.add(key)
            space = self._spaces.get(id(namespace))
            if space is None:
                space = self._spaces[id(namespace)] = _Space(owner)
            space.add(name, value)

    def include(self, other: Dependencies) -> None:
        """Rest on what `other` rests on as well."""
        for key, function in other._functions.items():
            self._functions.setdefault(key, function)
        for key, space in other._spaces.items():
            mine = self._spaces.get(key)
            if mine is None:
                mine = self._spaces[key] = _Space(space.owner())
            for name, value in space.strong:
                if (key, name) not in self._names:
                    self._names.add((key, name))
                    mine.strong.append((name, value))
            for name, weak in space.weak:
                if (key, name) not in self._names:
                    self._names.add((key, name))
                    mine.weak.append((name, weak))

    def __bool__(self) -> bool:
        return bool(self._functions or self._spaces)

    def hold(self) -> bool:
        """Is everything still bound to what it was bound to?"""
        for space in self._spaces.values():
            owner = space.owner()
            if owner is None:
                return False
            names = owner.__globals__ if type(owner) is FunctionType else owner.__dict__
            for name, value in space.strong:
                if names.get(name, MISSING) is not value:
                    return False
            for name, weak in space.weak:
                value = names.get(name)
                if value is None or weak() is not value:
                    return False
        for each in self._functions.values():
            fn = each.owner()
            if (
                fn is None
                or fn.__code__ is not each.code
                or fn.__defaults__ is not each.defaults
                or fn.__kwdefaults__ is not each.kwdefaults
            ):
                return False
            if each.cells and not each.cells_hold(fn):
                return False
        return True


class _Space:
    __slots__ = ("owner", "strong", "weak")

    def __init__(self, owner: Any) -> None:
        self.owner: Any = ref(owner)
        self.strong: list[tuple[str, Any]] = []
        self.weak: list[tuple[str, Any]] = []

    def add(self, name: str, value: Any) -> None:
        weak = weakly(value)
        if weak is None:
            self.strong.append((name, value))
        else:
            self.weak.append((name, weak))


class _Function:
    __slots__ = ("cells", "code", "defaults", "kwdefaults", "owner")

    def __init__(self, fn: Any) -> None:
        self.owner: Any = ref(fn)
        self.code = fn.__code__
        self.defaults = fn.__defaults__
        self.kwdefaults = fn.__kwdefaults__
        self.cells: list[tuple[int, Any, Any]] = []  # index, a weak reference or None, the value where it is held
        for index, cell in enumerate(fn.__closure__ or ()):
            value = content_of(cell)
            weak = weakly(value)
            self.cells.append((index, weak, value if weak is None else None))

    def cells_hold(self, fn: Any) -> bool:
        closure = fn.__closure__
        for index, weak, value in self.cells:
            content = content_of(closure[index])
            if content is not (value if weak is None else weak()):
                return False
        return True


def content_of(cell: Any) -> Any:
    """What a cell holds, or MISSING."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def weakly(value: Any) -> Any:
    """A weak reference, or None where the value is to be held."""
    if type(value) in _ATOMS or value is MISSING:
        return None
    if type(value) is ModuleType and sys.modules.get(value.__name__) is value and importable(value.__name__):
        return None
    try:
        return ref(value)
    except TypeError:
        return None
