"""Values that pickle alone cannot do: what functions and classes are made of, and a few that people send bare."""

from __future__ import annotations

import sys
from _contextvars import ContextVar
from _io import TextIOWrapper
from functools import _lru_cache_wrapper, cached_property
from types import CellType, CodeType, GetSetDescriptorType, MappingProxyType, MemberDescriptorType, ModuleType

from procession.transport import byvalue, importable, rebuild, variables
from procession.transport.dependencies import MISSING, content_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from procession.transport.pickler import Pickler

_HEAP_TYPE = 1 << 9
_SINGLETONS = (type(None), type(Ellipsis), type(NotImplemented))


def builtin_class(cls: Any) -> Any:
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


RARE: dict[Any, Any] = {
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
    ContextVar: variables.reduce_variable,
}


# --------------------------------------------------------------------- only inside what is taken apart, by their name


def reduce(kind: Any, obj: Any) -> Any:
    """For values of types that are not worth an import: by module and name of the type, then as cloudpickle does."""
    known = _BY_NAME.get((kind.__module__, kind.__name__))
    if known is not None:
        return known(obj)
    table = byvalue.cloudpickle_table()
    if table is not None and kind is not memoryview:
        reducer = table.get(kind)
        if reducer is not None:
            return reducer(obj)
    return None


def _type_variable(obj: Any) -> Any:
    if _found(obj, obj.__name__):
        return None
    return byvalue.cloudpickle()._typevar_reduce(obj)


def _typing_name(obj: Any) -> Any:
    """A ParamSpec or TypeVarTuple; one for each pickle."""
    return None if _found(obj, obj.__name__) else (type(obj), (obj.__name__,))


def _new_type(obj: Any) -> Any:
    return None if _found(obj, obj.__qualname__) else (type(obj), (obj.__name__, obj.__supertype__))


def _found(obj: Any, name: str) -> bool:
    module = obj.__module__
    return importable.importable(module) and importable.found_by_name(sys.modules[module], name) is obj


def _weak_dict(obj: Any) -> Any:
    return type(obj), (dict(obj),)


def _sentinel(name: str) -> Any:
    def reduce_sentinel(obj: Any) -> Any:
        import dataclasses

        return (getattr, (dataclasses, name)) if getattr(dataclasses, name) is obj else None

    return reduce_sentinel


_BY_NAME: dict[tuple[str, str], Any] = {
    ("typing", "TypeVar"): _type_variable,
    ("typing", "ParamSpec"): _typing_name,
    ("typing", "TypeVarTuple"): _typing_name,
    ("typing", "NewType"): _new_type,
    ("weakref", "WeakKeyDictionary"): _weak_dict,
    ("weakref", "WeakValueDictionary"): _weak_dict,
    ("dataclasses", "_MISSING_TYPE"): _sentinel("MISSING"),
    ("dataclasses", "_HAS_DEFAULT_FACTORY_CLASS"): _sentinel("_HAS_DEFAULT_FACTORY"),
    ("dataclasses", "_KW_ONLY_TYPE"): _sentinel("KW_ONLY"),
}

__all__ = ["RARE", "builtin_class", "reduce"]
