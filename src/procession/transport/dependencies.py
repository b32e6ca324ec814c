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

    def sealed(self, fn: Any) -> Needs | None:
        """The same as `fn`'s own, quick to ask; None when there is nothing to ask."""
        return Needs(fn, self._functions, self._spaces) if self._functions or self._spaces else None

    def hold(self) -> bool:
        """Is everything still bound to what it was bound to?"""
        return all(each.holds() for each in self._spaces.values()) and all(
            each.holds() for each in self._functions.values()
        )


class Needs:
    """What `fn` rests on, its own part first, which is reached without a weak reference."""

    __slots__ = ("cells", "code", "defaults", "kwdefaults", "others", "strong", "weak")

    def __init__(self, fn: Any, functions: dict[int, _Function], spaces: dict[int, _Space]) -> None:
        self.others: list[Any] = [each for key, each in functions.items() if key != id(fn)]
        self.code = self.defaults = self.kwdefaults = None
        self.cells: list[tuple[int, Any, Any]] = []
        self.strong: list[tuple[str, Any]] = []
        self.weak: list[tuple[str, Any]] = []
        own = functions.get(id(fn))
        if own is not None:
            self.code, self.defaults, self.kwdefaults, self.cells = own.code, own.defaults, own.kwdefaults, own.cells
        own_space = id(fn.__globals__) if own is not None else 0
        for key, space in spaces.items():
            if key == own_space:
                self.strong, self.weak = space.strong, space.weak
            else:
                self.others.append(space)

    def hold(self, fn: Any) -> bool:
        """Is everything still bound to what it was bound to?"""
        if self.code is not None:
            if (
                fn.__code__ is not self.code
                or fn.__defaults__ is not self.defaults
                or fn.__kwdefaults__ is not self.kwdefaults
            ):
                return False
            if (self.strong or self.weak) and not _bound(fn.__globals__, self.strong, self.weak):
                return False
            if self.cells and not cells_hold(fn.__closure__, self.cells):
                return False
        return not self.others or all(other.holds() for other in self.others)


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

    def holds(self) -> bool:
        owner = self.owner()
        if owner is None:
            return False
        names = owner.__globals__ if type(owner) is FunctionType else owner.__dict__
        return _bound(names, self.strong, self.weak)


def _bound(names: dict[str, Any], strong: list[tuple[str, Any]], weak: list[tuple[str, Any]]) -> bool:
    """Is each of these names still what it was?"""
    for name, value in strong:
        if names.get(name, MISSING) is not value:
            return False
    for name, ref_to in weak:
        value = names.get(name)
        if value is None or ref_to() is not value:
            return False
    return True


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

    def holds(self) -> bool:
        fn = self.owner()
        return (
            fn is not None
            and fn.__code__ is self.code
            and fn.__defaults__ is self.defaults
            and fn.__kwdefaults__ is self.kwdefaults
            and (not self.cells or cells_hold(fn.__closure__, self.cells))
        )


def cells_hold(closure: Any, cells: list[tuple[int, Any, Any]]) -> bool:
    """Do the cells contain what they did?"""
    for index, weak, value in cells:
        try:
            content = closure[index].cell_contents
        except ValueError:
            content = MISSING
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
