"""In a worker: the globals that its parent's functions share.

All functions of one module of the parent run in one globals dict (`SharedModule`), whatever pickle brought
them, so what one of them sets, the others see. A binding comes with a stamp, which grows each time the parent finds the
name rebound:

1. A name that the worker has set itself before the parent's binding was first seen is kept. (What a real `__main__`
   of the worker had from its start, by fork or by being run again, was not set by the worker: the parent's value wins,
   so that workers agree, whenever they were started.)
2. A newer stamp overwrites, whoever set the name.
3. An older stamp does nothing, except just before a call of a function that was made ready when that stamp was the
   newest: a task runs with the values of its submission. What the worker has set itself stays then, too.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from types import FunctionType, ModuleType

from procession.transport import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MISSING = object()
_KEPT = object()
MAIN = "__main__"


class Yours:
    """In a binding: the sender could not pickle the value, and the receiver may have one of its own."""

    def __reduce__(self) -> str:
        return "YOURS"


YOURS = Yours()
_REMEMBERED = 1024  # definitions whose last version a worker keeps at hand


class SharedModule:
    """The globals of one module of the sender."""

    __slots__ = ("_last", "_start", "_theirs", "dict", "home", "key", "module")

    def __init__(self, key: str, module: Any, home: Receiver | None, start: dict[str, Any] | None = None) -> None:
        self.key = key
        self.module = module
        self.dict: dict[str, Any] = vars(module)
        self.home = home
        self._start = start or {}  # what it had before anything was run
        self._last: dict[str, tuple[int, Any]] = {}  # name -> newest stamp that counted, and the value it brought
        self._theirs: dict[str, int] = {}  # name -> newest stamp that yielded to what was set here

    def bind(self, name: str, stamp: int, value: Any, again: bool = False) -> None:
        """Obey the rules above; `again` is for the moment before a call (rule 3)."""
        last = self._last.get(name)
        if value is YOURS:
            return
        if last is None:
            if self._set_here(name):
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

    def _set_here(self, name: str) -> bool:
        if name in self.dict:
            return self.dict[name] is not self._start.get(name, _MISSING)
        return self.home is not None and self.home.set_elsewhere(self, name)

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
        self.main_globals = None if main_globals is None else _where_functions_live(main_globals)
        self._main_start = dict(self.main_globals or {})
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
            start = self._main_start if key == MAIN else None
            found = self.modules[key] = SharedModule(key, self._make(key, meta), self, start)
        return found

    def _make(self, key: str, meta: dict[str, Any]) -> Any:
        if key != MAIN:
            return new_module(meta)
        if self.main_globals is not None:
            return Namespace(self.main_globals)
        # The worker's own `__main__` is nobody's; with the parent's names in its place, a task can pickle by itself.
        module = new_module(meta)
        self._replaced.append(sys.modules.get(MAIN))
        sys.modules[MAIN] = module
        return module

    def watch(self, fn: Any) -> None:
        """Remember what `fn`'s module holds before fn is run: it may be an initializer that sets globals there."""
        name = getattr(fn, "__module__", None)
        if type(name) is str and name != MAIN and name not in self.baselines:
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


def _where_functions_live(main: dict[str, Any]) -> dict[str, Any]:
    """The globals of a `__main__`'s functions: where multiprocessing has run it again, `main` is a copy of them."""
    for value in list(main.values()):
        for each in vars(value).values() if isinstance(value, type) else (value,):
            if type(each) is FunctionType and each.__module__ == each.__globals__.get("__name__") == main.get(
                "__name__"
            ):
                return each.__globals__
    return main


def digest(cls: type) -> int:
    """Tells two classes of one name apart: by the code of their methods and their plain attributes."""
    from zlib import crc32

    told: list[Any] = []
    for name, value in sorted(vars(cls).items()):
        value = getattr(value, "__func__", getattr(value, "fget", value))
        if type(value) is FunctionType:
            told.append((name, value.__code__.co_code, value.__code__.co_names, value.__code__.co_varnames))
        elif type(value) in (int, float, str, bytes, bool) and name not in ("__module__", "__firstlineno__"):
            told.append((name, value))
    return crc32(repr(told).encode("utf-8", "surrogatepass"))


class Namespace:
    """A module-like object around a dict that exists."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.__dict__ = names


def new_module(meta: dict[str, Any]) -> ModuleType:
    module = ModuleType(meta.get("__name__") or "<unnamed>")
    vars(module).update(meta)
    vars(module)["__builtins__"] = __builtins__
    return module


def _same_thing(ours: Any, theirs: Any) -> None:
    """A class or function kept here in place of the one the parent sent stands for it on the way back."""
    if ours is not theirs and type(ours) is type(theirs) and (uid := _uid(theirs)) is not None:
        identity.also(ours, uid)


def _uid(obj: Any) -> str | None:
    return identity.known_uid(obj) if isinstance(obj, (type, FunctionType)) else None


__all__ = ["MAIN", "YOURS", "Namespace", "Receiver", "SharedModule", "digest", "new_module"]
