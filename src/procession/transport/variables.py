"""Context variables between processes: the object of this name there, for the object here.

A `ContextVar` is its own key: who reads it must hold the very object. So what is sent of one is where it may be found
(its *places*), and a uid, under which the other side keeps the one that stands for it.

Laws
1. One object here is one object there, whatever pickle brought it, and on its way back it is the one that was sent.
2. The receiver has it by its uid; else from the first place where a variable of that name is; else it makes one, of
   that name and with that default, and keeps it under the uid.
3. A place is an attribute of a module that the receiver can import (of a class or an object there, or an item of a dict
   of variables: `structlog` keeps its own so). What is in no such place is that of a notebook, of `__main__`, or local.
4. Places are sought among the modules that are loaded, once they are found no more, and at most `LOOKS` times. No code
   of a user runs for that. Modules that may have made it come before those that only import it from there, of which
   there may be many: the receiver may have loaded none of these, and should load none.
5. Variables live for ever, as Python's own documentation has it of them: they cannot be referred to weakly, and this
   keeps those that have travelled.
"""

from __future__ import annotations

import sys
from _contextvars import Context, ContextVar
from itertools import count
from types import FunctionType, GetSetDescriptorType, ModuleType

from procession.transport import identity
from procession.transport.importable import found_by_name, importable
from procession.transport.shared import MAIN, Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from procession.transport.pickler import Pickler

    Variable = ContextVar[Any]
    Place = tuple[str, str, str | None]
    """A module, the path of attributes from there, and the key, if that leads to a dict."""

LOOKS = 8
MOST = 8
"""Places of one variable: which of them the receiver has loaded is not known here."""

_known: dict[int, _Known] = {}
_by_uid: dict[str, Variable] = {}
_numbers = count(1)


class _Known:
    """A variable that has travelled."""

    __slots__ = ("looks", "modules", "places", "uid", "variable")

    def __init__(self, variable: Variable, uid: str) -> None:
        self.variable = variable
        self.uid = uid
        self.places: tuple[Place, ...] = ()
        self.modules = -1  # so many were loaded when it was sought
        self.looks = 0


# ---------------------------------------------------------------------------------------------------------- sending


def described(variable: Variable) -> tuple[str, str, tuple[Place, ...]]:
    """Its uid, its name, its places."""
    known = _known.get(id(variable)) or name_it(variable, f"{identity.own_prefix()}v{next(_numbers)}")
    if not known.places and known.modules != len(sys.modules) and known.looks < LOOKS:
        known.modules = len(sys.modules)
        known.looks += 1
        known.places = tuple(_places_of(variable)[:MOST])
    return known.uid, variable.name, known.places


def name_it(variable: Variable, uid: str) -> _Known:
    """From now on it answers to this uid, if it has none."""
    known = _known.setdefault(id(variable), _Known(variable, uid))
    _by_uid.setdefault(known.uid, variable)
    return known


def default_of(variable: Variable) -> tuple[Any, ...]:
    """(its default,), or nothing."""
    try:
        return (Context().run(variable.get),)
    except LookupError:
        return ()


def reduce_variable(pickler: Pickler, variable: Variable) -> Any:
    """See the module. Raises what the pickling of its default raises."""
    pickler.aside.bound = pickler.to_parent  # it is this parent's by its uid
    return found, (*described(variable), *default_of(variable))


def _places_of(variable: Variable) -> list[Place]:
    modules = {name: names for name, names in _loaded() if name == MAIN or importable(name)}
    places: list[Place] = []
    for look in (_usual, _attributes, _of_classes_and_dicts, _of_objects):
        places += [(name, path, key) for name, names in modules.items() for path, key in look(names, variable)]
        if any(_makes_variables(modules[place[0]]) for place in places):
            break
    return sorted(places, key=lambda place: (not _makes_variables(modules[place[0]]), place[0].count(".")))


def _makes_variables(names: dict[str, Any]) -> bool:
    """Whether the module of these names may have made one, and not only imported it from there."""
    makers = ContextVar, sys.modules.get("contextvars", ContextVar)
    return any(each is makers[0] or each is makers[1] for each in list(names.values()))


def _loaded() -> list[tuple[str, dict[str, Any]]]:
    """The modules that are loaded, and what is in them; ours have what we keep here."""
    loaded: list[tuple[str, Any]] = list(sys.modules.items())
    found = [(name, each) for name, each in loaded if isinstance(each, ModuleType)]
    others = [(name, each) for name, each in found if name.partition(".")[0] not in ("procession", "__mp_main__")]
    return [(name, object.__getattribute__(each, "__dict__")) for name, each in others]


def _usual(names: dict[str, Any], variable: Variable) -> Iterator[tuple[str, None]]:
    if names.get(variable.name) is variable:
        yield variable.name, None


def _attributes(names: dict[str, Any], variable: Variable) -> Iterator[tuple[str, None]]:
    for name, value in list(names.items()):
        if value is variable:
            yield name, None


def _of_classes_and_dicts(names: dict[str, Any], variable: Variable) -> Iterator[tuple[str, str | None]]:
    for name, value in list(names.items()):
        if isinstance(value, type):
            for attribute, content in list(vars(value).items()):
                if content is variable:
                    yield f"{name}.{attribute}", None
        elif type(value) is dict and type(next(iter(value.values()), None)) is ContextVar:
            for key, content in list(value.items()):
                if content is variable and type(key) is str:
                    yield name, key


def _of_objects(names: dict[str, Any], variable: Variable) -> Iterator[tuple[str, None]]:
    for name, value in list(names.items()):
        kind = type(value)
        if kind.__flags__ & _HEAP_TYPE and kind is not FunctionType and not isinstance(value, (type, ModuleType)):
            for attribute, content in list(_attributes_of(kind, value).items()):
                if content is variable:
                    yield f"{name}.{attribute}", None


def _attributes_of(kind: type, value: Any) -> dict[str, Any]:
    """What an object has of its own, unless its class says something else to that question."""
    for each in kind.__mro__:
        how = vars(each).get("__dict__")
        if how is not None:
            found = how.__get__(value) if type(how) is GetSetDescriptorType else None
            return found if type(found) is dict else {}
    return {}


# -------------------------------------------------------------------------------------------------------- receiving


def found(uid: str, name: str, places: tuple[Place, ...], *default: Any) -> Variable:
    """The variable that stands for this one here; modules are imported for it. See law 2."""
    variable = found_here(uid, name, places)
    if variable is None:
        for module in {place[0]: None for place in places if place[0] not in sys.modules and place[0] != MAIN}:
            try:
                __import__(module)
            except Exception:  # anybody's code; another place may do
                continue
            if (variable := found_here(uid, name, places)) is not None:
                break
    return made(uid, name, places, *default) if variable is None else variable


def found_here(uid: str, name: str, places: tuple[Place, ...]) -> Variable | None:
    """The same, with the modules that are there; None: it is in none of them."""
    known = _by_uid.get(uid)
    if known is not None:
        return known
    for module, path, key in places:
        holder = _module(module)
        variable = None if holder is None else found_by_name(holder, path)
        if key is not None:
            variable = variable.get(key) if type(variable) is dict else None
        if type(variable) is ContextVar and variable.name == name:
            return name_it_too(variable, uid)
    return None


def made(uid: str, name: str, places: tuple[Place, ...], *default: Any) -> Variable:
    """A new one of this uid. Where those of its kind are kept in a dict, it is put there."""
    fresh: Variable = ContextVar(name, default=default[0]) if default else ContextVar(name)
    variable = _by_uid.setdefault(uid, fresh)
    for module, path, key in places:
        holder = _module(module) if key is not None else None
        kept = None if holder is None else found_by_name(holder, path)
        if type(kept) is dict:
            kept.setdefault(key, variable)
    return name_it_too(variable, uid)


def name_it_too(variable: Variable, uid: str) -> Variable:
    """It stands for this uid here, and travels on under it if it has none."""
    _by_uid.setdefault(uid, variable)
    name_it(variable, uid)
    return variable


def _module(name: str) -> Any:
    """A module that is loaded, or None. `__main__` is the sender's only where this process began with the same."""
    if name != MAIN:
        return sys.modules.get(name)
    from procession.transport import rebuild

    here = rebuild.receiver
    return None if here is None or here.main_globals is None else Namespace(here.main_globals)


_HEAP_TYPE = 1 << 9

__all__ = ["MAIN", "default_of", "described", "found", "found_here", "made", "reduce_variable"]
