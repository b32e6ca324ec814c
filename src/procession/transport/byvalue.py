"""The sending side of what travels by value: functions, classes and modules taken apart.

cloudpickle takes the classes apart and is imported when the first one is met; functions are our own, because their
globals are shared (see `rebuild`), and because most programs send no class.
"""

from __future__ import annotations

import sys
from _weakref import ref
from itertools import count
from types import FunctionType, ModuleType

from procession.transport import identity, rebuild
from procession.transport.dependencies import MISSING, Dependencies, content_of, weakly
from procession.transport.importable import found_by_name, importable
from procession.transport.names import names_of
from procession.transport.shared import YOURS, Namespace, digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from procession.transport.pickler import Pickler

_META = ("__name__", "__file__", "__package__")
_NOT_SENT = frozenset({*_META, "__path__", "__builtins__", "__spec__", "__loader__", "__doc__", "__cached__"})
_stamps: dict[str, dict[str, tuple[int, Any, Any]]] = {}
_LINES = 2000
_stamp_numbers = count(1)
_versions = count(1)


# ------------------------------------------------------------------------------------------------ where a thing lives


class Home:
    """A module of this process, as a pickle names it. One object a pickle and module, so that it is said once."""

    def __init__(self, key: str, names: dict[str, Any]) -> None:
        self.key = key
        self.meta = {name: names[name] for name in _META if type(names.get(name)) is str}
        if "__path__" in names:
            self.meta["__path__"] = list(names["__path__"])

    def __reduce__(self) -> Any:
        return rebuild.module, (self.key, self.meta)


_unnamed: dict[int, tuple[str, dict[int, Any]]] = {}  # id(globals) -> its key, and functions that prove that it lives
_unnamed_numbers = count(1)


def key_of_globals(fn: Any) -> str:
    """The name of the module whose globals a function has; globals that are no module's get a key of their own."""
    names = fn.__globals__
    name = names.get("__name__")
    if type(name) is str and getattr(sys.modules.get(name), "__dict__", None) is names:
        return name
    key, witnesses = _unnamed.get(id(names), ("", {}))
    if not any(witness() is not None for witness in list(witnesses.values())):
        key, witnesses = f"{name}#{identity.own_prefix()}{next(_unnamed_numbers)}", {}
        _unnamed[id(names)] = key, witnesses
    if id(fn) not in witnesses:
        at, space = id(fn), id(names)

        def gone(_: Any) -> None:
            witnesses.pop(at, None)
            if not witnesses and _unnamed.get(space, ("", None))[1] is witnesses:
                _unnamed.pop(space, None)
                _stamps.pop(key, None)

        witnesses[at] = ref(fn, gone)
    return key


def stamp(key: str, name: str, value: Any) -> int:
    """The number of this binding: a new one each time the name is found bound to something else."""
    module = _stamps.get(key)
    if module is None:
        module = _stamps.setdefault(key, {})
    last = module.get(name)
    if last is not None:
        number, weak, held = last
        if (held if weak is None else weak()) is value:
            return number
    number = next(_stamp_numbers)
    weak = weakly(value)
    module[name] = number, weak, (value if weak is None else None)
    return number


# --------------------------------------------------------------------------------------------------------- definitions


class Definition:
    """A function without closure, or a class, pickled whole once and used until something that it names is rebound."""

    __slots__ = ("lenient", "needs", "pickled", "ref", "uid", "version")

    def __init__(self, uid: str, pickled: bytes, needs: Dependencies, lenient: bool) -> None:
        self.lenient = lenient
        self.ref: Any = None
        self.uid = uid
        self.version = next(_versions)
        self.pickled = pickled
        self.needs = needs


_definitions: dict[int, Definition] = {}


def reduce_definition(pickler: Pickler, obj: Any) -> Any:
    """As a pickle inside the pickle, so that thousands of tasks with an instance of one class cost one class."""
    made = _definitions.get(id(obj))
    if made is None or made.ref() is not obj or made.lenient > pickler.lenient or not made.needs.hold():
        needs = Dependencies()
        pickled = pickler.inner(obj, needs)
        made = Definition(identity.uid_of(obj), pickled, needs, pickler.lenient)
        key = id(obj)

        def gone(dead: Any) -> None:
            found = _definitions.get(key)
            if found is not None and found.ref is dead:
                _definitions.pop(key, None)

        made.ref = ref(obj, gone)
        _definitions[key] = made
    if pickler.needs is not None:
        pickler.needs.include(made.needs)
    return rebuild.definition, (made.uid, made.version, made.pickled)


def came_from_parent(pickler: Pickler, obj: Any) -> Any:
    """The short way back: the parent has this very object, under this uid or under this name. None if it has not."""
    here = rebuild.receiver
    if not pickler.to_parent:
        return None
    pickler.aside.bound = True
    if here is None or obj is pickler.root:
        return None
    uid = identity.known_uid(obj)
    if uid is not None:
        if identity.is_own(uid):
            return None
        if uid in here.pinned:
            return rebuild.known, (uid,)
        try:
            return reduce_definition(pickler, obj)
        except Exception:  # a global that it names was set here, to something that stays here
            return rebuild.known, (uid,)
    if here.main_globals is not None and obj.__module__ in ("__main__", "__mp_main__"):
        name: str = obj.__qualname__
        if found_by_name(Namespace(here.main_globals), name) is obj:
            return rebuild.own_main, (name,)
    return None


# ------------------------------------------------------------------------------------------------------------ functions


def reduce_function(pickler: Pickler, fn: Any) -> Any:
    """A function in parts: the code, the shared globals that it names, the cells, the state."""
    names = names_of(fn.__code__)
    namespace, closure = fn.__globals__, fn.__closure__
    key = key_of_globals(fn)
    home = pickler.home(key, namespace)
    own = fn.__qualname__ if namespace.get(fn.__qualname__) is fn else None
    wanted = names.globals if own is None or own in names.globals else (*names.globals, own)
    bindings = [(home, _bindings(pickler, fn, namespace, key, wanted))]
    cells = []
    for cell in closure or ():
        if id(cell) not in pickler.filled:
            pickler.filled.add(id(cell))
            content = content_of(cell)
            if content is not MISSING:
                cells.append((cell, content))
    values = [value for _, _, value in bindings[0][1]]
    values += [content for _, content in cells]
    modules = [each for each in values if type(each) is ModuleType]
    submodules = _reach_modules(pickler, modules, names.attributes, bindings) if modules else None
    uid = identity.uid_of(fn)
    if pickler.needs is not None:
        pickler.needs.function(fn)
    attributes = dict(fn.__dict__)
    source = _typed_in(fn.__code__.co_filename)
    if getattr(fn, "__type_params__", ()):
        attributes["__type_params__"] = fn.__type_params__
    state = (
        (fn.__name__, fn.__qualname__, fn.__module__, fn.__doc__),
        fn.__defaults__,
        fn.__kwdefaults__,
        fn.__annotations__,
        attributes,
        cells,
        bindings,
        submodules,
        source,
    )
    code = names.marshalled if names.marshalled is not None else fn.__code__
    return rebuild.function, (uid, home, code, closure), state, None, None, rebuild.fill_function


def _typed_in(filename: str) -> tuple[str, list[str]] | None:
    """The source of a notebook's cell or of a prompt, for tracebacks: it is in no file, only in linecache."""
    known = getattr(sys.modules.get("linecache"), "cache", {}).get(filename)
    if known is None or len(known) != 4 or known[1] is not None or len(known[2]) > _LINES:
        return None
    return filename, known[2]


def _bindings(
    pickler: Pickler, owner: Any, namespace: dict[str, Any], key: str, names: Any
) -> list[tuple[str, int, Any]]:
    found = []
    for name in names:
        if name in _NOT_SENT:
            continue
        value = namespace.get(name, MISSING)
        if pickler.needs is not None:
            pickler.needs.name(owner, namespace, name, value)
        if value is not MISSING:
            number = stamp(key, name, value)
            found.append((name, number, YOURS if pickler.lenient and not pickler.can(value) else value))
    return found


def _reach_modules(pickler: Pickler, modules: list[Any], attributes: set[str], bindings: list[Any]) -> list[Any]:
    """What code may reach through modules: submodules, to be imported; the names of a module that goes by value."""
    submodules: list[Any] = []
    seen: set[int] = set()
    while modules:
        module = modules.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        names = vars(module)
        if importable(module.__name__):
            if "__path__" in names:
                below = [sys.modules.get(f"{module.__name__}.{name}") for name in attributes]
                found = [each for each in below if type(each) is ModuleType]
                modules += found
                submodules += found
            continue
        pickler.named_modules.add(id(module))
        key = key_of_module(module)
        wanted = [name for name in names if name in attributes and not name.startswith("__")]
        reached = _bindings(pickler, module, names, key, wanted)
        bindings.append((pickler.home(key, names), reached))
        modules += [value for _, _, value in reached if type(value) is ModuleType]
    return submodules


def key_of_module(module: Any) -> str:
    """The key of a module that goes by value."""
    name = module.__name__
    return name if sys.modules.get(name) is module else f"{name}#{identity.uid_of(module)}"


def reduce_module(pickler: Pickler, module: Any) -> Any:
    """By name; or by value: what the functions that name it use of it, or all of it when it stands alone."""
    if importable(module.__name__):
        return rebuild.import_module, (module.__name__,)
    pickler.aside.bound = pickler.to_parent
    names = vars(module)
    key = key_of_module(module)
    home = pickler.home(key, names)
    if id(module) in pickler.named_modules or key in ("__main__", "__mp_main__"):
        return rebuild.module_object, (home,)
    wanted = [name for name in names if name not in _NOT_SENT]
    state = home, _bindings(pickler, module, names, key, wanted)
    return rebuild.module_object, (home,), state, None, None, rebuild.fill_module


# -------------------------------------------------------------------------------------------------------------- classes


def reduce_class(pickler: Pickler, cls: Any) -> Any:
    """A class as cloudpickle takes it apart, under our identity."""
    take_apart: Callable[[Any], Any] = cloudpickle()._dynamic_class_reduce
    maker, args, attributes, _, _, setter = take_apart(cls)
    *args, _tracker, extra = args
    uid = identity.uid_of(cls)
    module = sys.modules.get(cls.__module__)
    own = found_by_name(module, cls.__qualname__) is cls
    names = vars(module) if module is not None else {"__name__": cls.__module__}
    key = cls.__module__
    if not own:
        fn = next((each for each in vars(cls).values() if type(each) is FunctionType), None)
        if fn is not None and fn.__module__ == cls.__module__:
            key, names = key_of_globals(fn), fn.__globals__
            own_there = names.get(cls.__qualname__) is cls
        else:
            own_there = False
    else:
        own_there = "." not in cls.__qualname__
    home = pickler.home(key, names)
    bindings = []
    if own_there:
        bindings.append((cls.__qualname__, stamp(key, cls.__qualname__, cls), cls))
    pinned = own and not pickler.to_parent
    if pinned:
        identity.pin(cls, f"{cls.__module__}:{cls.__qualname__}")
    state = uid, home, setter, attributes, bindings, pinned
    made = rebuild.make_class, (uid, home, (cls.__qualname__, digest(cls)), maker, (*args, None, extra))
    return (*made, state, None, None, rebuild.fill_class)


_cloudpickle: Any = None


def cloudpickle() -> Any:
    """cloudpickle's workshop, imported when a class by value is met."""
    global _cloudpickle
    if _cloudpickle is None:
        import cloudpickle.cloudpickle as workshop

        _cloudpickle = workshop
    return _cloudpickle


def cloudpickle_table() -> Any:
    """cloudpickle's reducers by type, if it has been met."""
    return None if _cloudpickle is None else _cloudpickle.Pickler._dispatch_table
