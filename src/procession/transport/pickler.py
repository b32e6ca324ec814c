"""The one pickler, for both directions: C speed for plain things, by value what the other side cannot import."""

from __future__ import annotations

import sys
from _io import TextIOWrapper
from _pickle import Pickler as CPickler
from functools import _lru_cache_wrapper, cached_property
from types import (
    CellType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    ModuleType,
)

from procession.transport import byvalue, importable, rebuild
from procession.transport.dependencies import MISSING, content_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from procession.transport.dependencies import Dependencies

PROTOCOL = 5


class _Sink:
    """Where a pickler writes: a list of pieces, one unless the pickle is large."""

    __slots__ = ("write",)

    def __init__(self, pieces: list[bytes]) -> None:
        self.write = pieces.append


class Pickler(CPickler):
    """Pickles one object; may be used again when that was nothing special."""

    to_parent = False  # True in a worker, for what goes back
    root: Any = MISSING  # inside a definition, everything is taken apart in place; this one has to be

    def __init__(self, needs: Dependencies | None = None) -> None:
        self.pieces: list[bytes] = []
        self.needs = needs  # where to note what the pickle rests on
        self._homes: dict[str, byvalue.Home] | None = None
        self._filled: set[int] | None = None
        self._named: set[int] | None = None
        CPickler.__init__(self, _Sink(self.pieces), PROTOCOL)

    def reducer_override(self, obj: Any) -> Any:
        """Called for all but exact built-in values."""
        kind = type(obj)
        if kind is FunctionType:
            return NotImplemented if obj in _OURS else self._function(obj)
        if issubclass(kind, type):
            return self._class(obj)
        reduce = _RARE.get(kind)
        if reduce is not None:
            return reduce(self, obj)
        return self._other(kind, obj)

    def _function(self, fn: Any) -> Any:
        if importable.by_reference(fn):
            return NotImplemented
        short = byvalue.came_from_parent(self, fn)
        if short is not None:
            return short
        if fn.__closure__ is None and self.root is MISSING:
            return byvalue.reduce_definition(self, fn)
        return byvalue.reduce_function(self, fn)

    def _class(self, cls: Any) -> Any:
        if cls.__module__ == "builtins" and (reduced := _builtin_class(cls)) is not None:
            return reduced
        if not cls.__flags__ & _HEAP_TYPE or importable.by_reference(cls):
            return NotImplemented
        short = byvalue.came_from_parent(self, cls)
        if short is not None:
            return short
        if self.root is MISSING:
            return byvalue.reduce_definition(self, cls)
        return byvalue.reduce_class(self, cls)

    def _other(self, kind: Any, obj: Any) -> Any:
        table = byvalue.cloudpickle_table()
        if table is not None and kind not in _NOT_CLOUDPICKLE:
            reduce = table.get(kind)
            if reduce is not None:
                return reduce(obj)
        reduction = sys.modules.get("multiprocessing.reduction")
        if reduction is not None:
            reduce = reduction.ForkingPickler._extra_reducers.get(kind)
            if reduce is not None:
                return reduce(obj)
        return NotImplemented

    # -- what `byvalue` needs while it takes something apart ------------------------------------------------------

    def inner(self, obj: Any, needs: Dependencies) -> bytes:
        """The pickle of a definition: whole, with all that it reaches in place."""
        return _whole(type(self), obj, needs)

    def home(self, key: str, names: dict[str, Any]) -> byvalue.Home:
        """The one object of this pickle for a module."""
        if self._homes is None:
            self._homes = {}
        found = self._homes.get(key)
        if found is None:
            found = self._homes[key] = byvalue.Home(key, names)
        return found

    @property
    def filled(self) -> set[int]:
        """Cells whose content is in the pickle already."""
        if self._filled is None:
            self._filled = set()
        return self._filled

    @property
    def named_modules(self) -> set[int]:
        """Modules by value of which this pickle has what is named."""
        if self._named is None:
            self._named = set()
        return self._named


class PicklerToParent(Pickler):
    """For what goes back."""

    to_parent = True


# Pickler objects between two uses: making one costs more than a small pickle. One that is interrupted is not put back.
_idle: list[Pickler] = []
_idle_to_parent: list[Pickler] = []
_SMALL = 8192  # the memo of a larger one is not worth clearing


def dumps(obj: Any) -> bytes:
    """The pickle of `obj`."""
    try:
        pickler = _idle.pop()
    except IndexError:
        pickler = Pickler()
    pickler.dump(obj)
    return _taken(pickler, _idle)


def dumps_to_parent(obj: Any) -> bytes:
    """The pickle of `obj` in a worker, for its parent."""
    try:
        pickler = _idle_to_parent.pop()
    except IndexError:
        pickler = PicklerToParent()
    pickler.dump(obj)
    return _taken(pickler, _idle_to_parent)


def _taken(pickler: Pickler, idle: list[Pickler]) -> bytes:
    pieces = pickler.pieces
    if len(pieces) > 1:
        return b"".join(pieces)
    data = pieces[0]
    if len(data) < _SMALL and pickler._homes is None and pickler._filled is None:
        pickler.clear_memo()
        pieces.clear()
        idle.append(pickler)
    return data


def dumps_function(fn: Any, needs: Dependencies) -> bytes:
    """The pickle of a function, or a class, that is sent once and called many times; what it rests on is noted."""
    return _whole(Pickler, fn, needs)


def _whole(kind: type[Pickler], obj: Any, needs: Dependencies) -> bytes:
    pickler = kind(needs)
    pickler.root = obj
    pickler.dump(obj)
    return b"".join(pickler.pieces)


# ----------------------------------------------------------------------------------- types that pickle cannot do alone

_HEAP_TYPE = 1 << 9
_SINGLETONS = (type(None), type(Ellipsis), type(NotImplemented))


def _builtin_class(cls: Any) -> Any:
    """Classes that say that they are of builtins, and may not be there; None for one made by hand."""
    import builtins
    import types

    if cls in _SINGLETONS or getattr(builtins, cls.__name__, None) is cls:
        return NotImplemented
    for name, value in vars(types).items():
        if value is cls:
            return getattr, (types, name)
    return None if cls.__flags__ & _HEAP_TYPE else NotImplemented


def _cell(pickler: Pickler, cell: Any) -> Any:
    content = content_of(cell)
    if content is MISSING or id(cell) in pickler.filled:
        return rebuild.cell, ()
    pickler.filled.add(id(cell))
    return rebuild.cell, (), content, None, None, rebuild.fill_cell


def _code(_: Pickler, code: Any) -> Any:
    return byvalue.cloudpickle().Pickler._dispatch_table[CodeType](code)


def _wrapped(_: Pickler, descriptor: Any) -> Any:
    return type(descriptor), (descriptor.__func__,)


def _property(_: Pickler, obj: Any) -> Any:
    return property, (obj.fget, obj.fset, obj.fdel, obj.__doc__)


def _descriptor(_: Pickler, obj: Any) -> Any:
    return getattr, (obj.__objclass__, obj.__name__)


def _lru_cache(_: Pickler, cached: Any) -> Any:
    if importable.by_reference(cached):
        return NotImplemented
    state = {name: value for name, value in vars(cached).items() if name != "__wrapped__"}
    return rebuild.lru_cache, (cached.__wrapped__, cached.cache_parameters(), state)


def _cached_property(_: Pickler, obj: Any) -> Any:
    return rebuild.cached_property, (obj.func, obj.attrname)


def _proxy(_: Pickler, obj: Any) -> Any:
    return MappingProxyType, (dict(obj),)


def _keys(_: Pickler, obj: Any) -> Any:
    return rebuild.dict_view, ("keys", dict.fromkeys(obj))


def _values(_: Pickler, obj: Any) -> Any:
    return rebuild.dict_view, ("values", dict(enumerate(obj)))


def _items(_: Pickler, obj: Any) -> Any:
    return rebuild.dict_view, ("items", dict(obj))


def _text_file(_: Pickler, file: Any) -> Any:
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        if getattr(sys, name, None) is file:
            return getattr, (sys, name)
    return NotImplemented


_RARE: dict[Any, Any] = {
    CellType: _cell,
    CodeType: _code,
    ModuleType: byvalue.reduce_module,
    classmethod: _wrapped,
    staticmethod: _wrapped,
    property: _property,
    cached_property: _cached_property,
    GetSetDescriptorType: _descriptor,
    MemberDescriptorType: _descriptor,
    MappingProxyType: _proxy,
    type({}.keys()): _keys,
    type({}.values()): _values,
    type({}.items()): _items,
    TextIOWrapper: _text_file,
    _lru_cache_wrapper: _lru_cache,
}
_NOT_CLOUDPICKLE = frozenset({memoryview})
_OURS = frozenset(value for value in vars(rebuild).values() if type(value) is FunctionType)

__all__ = ["PROTOCOL", "Pickler", "dumps", "dumps_to_parent"]
