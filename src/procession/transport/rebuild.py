"""The receiving side of what travels by value: the names that pickles call.

In a worker, the globals of functions are shared (see `shared`). In the parent there is nothing to share: functions that
come back as what they were become the parent's originals, and new ones get the globals that came with them. So nothing
is ever written into the parent's own modules.
"""

from __future__ import annotations

import marshal
import os
import sys
from _pickle import loads
from _thread import RLock, get_ident
from types import CellType, FunctionType

from procession.transport import identity
from procession.transport.importable import found_by_name
from procession.transport.shared import MAIN, Receiver, SharedModule, digest, new_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_UNSET = "<being rebuilt>"

_lock = RLock()  # a class is seen whole, or not at all
_unfilled: set[str] = set()  # uids of classes that have no attributes yet
sources: dict[str, list[str]] = {}  # what was typed in at the sender, by the name that tracebacks give it
receiver: Receiver | None = None  # in a worker, what its parent has sent


def _renew_lock() -> None:
    global _lock
    _lock = RLock()


os.register_at_fork(after_in_child=_renew_lock)


def _here() -> Receiver | None:
    """The receiver, when it is what the parent sent that is being loaded."""
    return receiver if receiver is not None and receiver.thread == get_ident() else None


def loads_from_below(data: Any) -> Any:
    """In a worker that has workers of its own: load what one of those sent, which is not what the parent sent."""
    here = _here()
    if here is None:
        return loads(data)
    here.thread, thread = 0, here.thread
    try:
        return loads(data)
    finally:
        here.thread = thread


# ----------------------------------------------------------------------------------------- what the pickles call


def module(key: str, meta: dict[str, Any]) -> SharedModule:
    """The globals for functions of one module of the sender."""
    here = _here()
    return SharedModule(key, new_module(meta), None) if here is None else here.module(key, meta)


def module_object(shared: SharedModule) -> Any:
    """That module as an object."""
    return shared.module


def fill_module(shared_module: Any, state: tuple[SharedModule, list[tuple[str, int, Any]]]) -> None:
    """Bindings of a module that is named as a whole."""
    shared, bindings = state
    _bind(shared, bindings)


def known(uid: str) -> Any:
    """An object that this process has sent and kept."""
    found = identity.object_of(uid)
    if found is None:
        raise LookupError("what came back stands for a function or class of this process that is gone")
    return found


def own_main(qualname: str) -> Any:
    """An object of this process's `__main__`, named by a worker that has the same `__main__`."""
    found = found_by_name(sys.modules[MAIN], qualname)
    if found is None:
        raise AttributeError(f"__main__ has no {qualname!r}")
    return found


def definition(uid: str, version: int, pickled: bytes) -> Any:
    """A function or class with all it needs, as a pickle of its own: loaded when it is new here."""
    here = _here()
    if here is not None:
        seen = here.versions.get(uid)
        if seen is not None and seen[0] == version:
            here.collected.extend(seen[2])
            return seen[1]
    found = identity.object_of(uid)
    if found is not None and (identity.is_own(uid) or (here is None and isinstance(found, type))):
        return found
    with _lock:
        if here is None:
            return loads(pickled)
        outer, here.collected = here.collected, []
        try:
            made = loads(pickled)
            here.remember(uid, version, made, here.collected)
        finally:
            here.collected[:0] = outer
        return made


def cell() -> CellType:
    """An empty cell."""
    return CellType()


def fill_cell(empty: CellType, content: Any) -> None:
    """Its content, which may be what it belongs to."""
    empty.cell_contents = content


def function(uid: str, shared: SharedModule, code: Any, closure: tuple[CellType, ...] | None) -> Any:
    """A function without its state; this process's original when there is one."""
    if identity.is_own(uid):
        original = identity.object_of(uid)
        if original is not None:
            return original
    made = FunctionType(marshal.loads(code) if type(code) is bytes else code, shared.dict, _UNSET, None, closure)
    identity.name_it(made, uid)
    return made


def fill_function(fn: Any, state: Any) -> None:
    """The rest of a function; an original keeps what it has."""
    if fn.__name__ != _UNSET:
        return
    names, defaults, kwdefaults, annotations, attributes, cells, bindings, _submodules, source = state
    fn.__name__, fn.__qualname__, fn.__module__, doc = names
    fn.__doc__ = doc
    fn.__defaults__ = defaults
    fn.__kwdefaults__ = kwdefaults
    if annotations:
        fn.__annotations__ = annotations
    if "__type_params__" in attributes:
        fn.__type_params__ = attributes.pop("__type_params__")
    if attributes:
        vars(fn).update(attributes)
    for each, content in cells:
        each.cell_contents = content
    for shared, names_here in bindings:
        _bind(shared, names_here)
    if source is not None:
        sources[source[0]] = source[1]


def _bind(shared: SharedModule, bindings: Sequence[tuple[str, int, Any]]) -> None:
    for name, stamp, value in bindings:
        shared.bind(name, stamp, value)
        if shared.home is not None:
            shared.home.collected.append((shared, name, stamp, shared.current(name, stamp, value)))


def make_class(uid: str, shared: SharedModule, told: tuple[str, int], maker: Callable[..., Any], args: Any) -> Any:
    """A class without its attributes, or the one that has this uid already. `told`: its qualified name and digest."""
    found = identity.object_of(uid)
    if found is not None:
        return found
    here = _here()
    if here is not None and here.main_globals is not None and shared.key == MAIN:
        found = found_by_name(shared.module, told[0])
        if isinstance(found, type) and identity.known_uid(found) is None and digest(found) == told[1]:
            identity.name_it(found, uid)
            return found
    made = maker(*args)
    identity.name_it(made, uid)
    _unfilled.add(uid)
    return made


def fill_class(cls: Any, state: Any) -> None:
    """The attributes of a new class, and its name in its module."""
    uid, shared, setter, attributes, bindings, pinned = state
    if uid in _unfilled:
        _unfilled.discard(uid)
        setter(cls, attributes)
    _bind(shared, bindings)
    here = _here()
    if pinned and here is not None:
        here.pinned.add(uid)


def import_module(name: str) -> Any:
    """A module by its name."""
    __import__(name)
    return sys.modules[name]


def lru_cache(fn: Any, parameters: dict[str, Any], state: dict[str, Any]) -> Any:
    """A function under functools.lru_cache, with an empty cache."""
    import functools

    made = functools.lru_cache(parameters["maxsize"], parameters["typed"])(fn)
    vars(made).update(state)
    return made


def cached_property(fn: Any, name: str | None) -> Any:
    """A functools.cached_property; before 3.12 it holds a lock."""
    import functools

    made = functools.cached_property(fn)
    if name is not None:
        made.attrname = name
    return made


def dict_view(kind: str, items: dict[Any, Any]) -> Any:
    """keys(), values() or items() of a dict."""
    return getattr(items, kind)()
