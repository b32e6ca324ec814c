"""The receiving side of what travels by value: the names that pickles call.

In a worker, all functions of one module of the parent share one globals dict (`SharedModule`), whatever pickle brought
them, so what one of them sets, the others see. A binding comes with a stamp, which grows each time the parent finds the
name rebound:

1. A name that the worker has set itself before the parent's binding was first seen is kept.
2. A newer stamp overwrites, whoever set the name.
3. An older stamp does nothing, except just before a call of a function that was made ready when that stamp was the
   newest: a task runs with the values of its submission. What the worker has set itself stays then, too.

In the parent there is nothing to share: functions that come back as what they were become the parent's originals, and
new ones get the globals that came with them. So nothing is ever written into the parent's own modules.
"""

from __future__ import annotations

import marshal
import os
import sys
from _pickle import loads
from _thread import RLock, get_ident
from types import CellType, FunctionType, ModuleType

from procession.transport import identity
from procession.transport.importable import found_by_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_MISSING = object()
_KEPT = object()
_UNSET = "<being rebuilt>"
_MAIN = "__main__"
_REMEMBERED = 1024  # definitions whose last version a worker keeps at hand

_lock = RLock()  # a class is seen whole, or not at all
_unfilled: set[str] = set()  # uids of classes that have no attributes yet
sources: dict[str, list[str]] = {}  # what was typed in at the sender, by the name that tracebacks give it
receiver: Receiver | None = None  # in a worker, what its parent has sent


def _renew_lock() -> None:
    global _lock
    _lock = RLock()


os.register_at_fork(after_in_child=_renew_lock)


class SharedModule:
    """The globals of one module of the sender."""

    __slots__ = ("_last", "_theirs", "dict", "home", "key", "module")

    def __init__(self, key: str, module: Any, home: Receiver | None) -> None:
        self.key = key
        self.module = module
        self.dict: dict[str, Any] = vars(module)
        self.home = home
        self._last: dict[str, tuple[int, Any]] = {}  # name -> newest stamp that counted, and the value it brought
        self._theirs: dict[str, int] = {}  # name -> newest stamp that yielded to what was set here

    def bind(self, name: str, stamp: int, value: Any, again: bool = False) -> None:
        """Obey the rules above; `again` is for the moment before a call (rule 3)."""
        last = self._last.get(name)
        if last is None:
            if name in self.dict or (self.home is not None and self.home.set_elsewhere(self, name)):
                self._last[name] = stamp, _KEPT
                self._theirs[name] = stamp
                _same_thing(self.dict[name], value)
                return
        elif stamp == last[0] or (stamp < last[0] and not (again and self._may_go_back(name, stamp, last[1]))):
            return
        elif self.home is not None:
            self.home.changes += 1
        self.dict[name] = value
        self._last[name] = stamp, value

    def _may_go_back(self, name: str, stamp: int, newest: Any) -> bool:
        """Nobody here has set the name, neither now nor when that stamp was first seen."""
        return stamp > self._theirs.get(name, 0) and self.dict.get(name, _MISSING) is newest

    def current(self, name: str, stamp: int, value: Any) -> Any:
        """The value of this stamp: the one at work when it is that stamp's, so that copies do not pile up."""
        last = self._last.get(name)
        return last[1] if last is not None and last[0] == stamp and last[1] is not _KEPT else value


class Receiver:
    """What a worker knows of its parent's definitions. One per process, used by the thread that made it."""

    def __init__(self, main_globals: dict[str, Any] | None = None) -> None:
        self.main_globals = main_globals
        self.thread = get_ident()
        self.modules: dict[str, SharedModule] = {}
        self.versions: dict[str, tuple[int, Any, list[Any]]] = {}
        self.pinned: set[str] = set()  # uids that the parent keeps alive
        self.baselines: dict[str, dict[str, Any]] = {}
        self.changes = 0  # bindings replaced so far
        self.collected: list[tuple[SharedModule, str, int, Any]] = []
        self._replaced: list[Any] = []

    def module(self, key: str, meta: dict[str, Any]) -> SharedModule:
        """The one shared module of this key."""
        found = self.modules.get(key)
        if found is None:
            found = self.modules[key] = SharedModule(key, self._make(key, meta), self)
        return found

    def _make(self, key: str, meta: dict[str, Any]) -> Any:
        if key != _MAIN:
            return _new_module(meta)
        if self.main_globals is not None:
            return Namespace(self.main_globals)
        # The worker's own `__main__` is nobody's; with the parent's names in its place, a task can pickle by itself.
        module = _new_module(meta)
        self._replaced.append(sys.modules.get(_MAIN))
        sys.modules[_MAIN] = module
        return module

    def watch(self, fn: Any) -> None:
        """Remember what `fn`'s module holds before fn is run: it may be an initializer that sets globals there."""
        name = getattr(fn, "__module__", None)
        if type(name) is str and name != _MAIN and name not in self.baselines:
            module = sys.modules.get(name)
            if module is not None:
                self.baselines[name] = dict(vars(module))

    def set_elsewhere(self, module: SharedModule, name: str) -> bool:
        """Has an initializer that was imported set this name in the real module? Then take it over."""
        baseline = self.baselines.get(module.key)
        real = None if baseline is None else sys.modules.get(module.key)
        if baseline is None or real is None:
            return False
        value = vars(real).get(name, _MISSING)
        if value is _MISSING or value is baseline.get(name, _MISSING):
            return False
        module.dict[name] = value
        return True

    def remember(self, uid: str, version: int, obj: Any, bindings: list[Any]) -> None:
        """The last version of a definition; the oldest of too many is forgotten."""
        if len(self.versions) >= _REMEMBERED and uid not in self.versions:
            self.versions.pop(next(iter(self.versions)), None)
        self.versions[uid] = version, obj, bindings


class Namespace:
    """A module-like object around a dict that exists."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.__dict__ = names


def _new_module(meta: dict[str, Any]) -> ModuleType:
    module = ModuleType(meta.get("__name__") or "<unnamed>")
    vars(module).update(meta)
    vars(module)["__builtins__"] = __builtins__
    return module


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


def _same_thing(ours: Any, theirs: Any) -> None:
    """A class or function kept here in place of the one the parent sent stands for it on the way back."""
    if ours is not theirs and type(ours) is type(theirs) and (uid := _uid(theirs)) is not None:
        identity.also(ours, uid)


def _uid(obj: Any) -> str | None:
    return identity.known_uid(obj) if isinstance(obj, (type, FunctionType)) else None


# ----------------------------------------------------------------------------------------- what the pickles call


def module(key: str, meta: dict[str, Any]) -> SharedModule:
    """The globals for functions of one module of the sender."""
    here = _here()
    return SharedModule(key, _new_module(meta), None) if here is None else here.module(key, meta)


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
    found = found_by_name(sys.modules[_MAIN], qualname)
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


def make_class(uid: str, shared: SharedModule, qualname: str, maker: Callable[..., Any], args: Any) -> Any:
    """A class without its attributes, or the one that has this uid already."""
    found = identity.object_of(uid)
    if found is not None:
        return found
    here = _here()
    if here is not None and here.main_globals is not None and shared.key == _MAIN:
        found = found_by_name(shared.module, qualname)
        if isinstance(found, type):
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
