"""The one pickler, for both directions: C speed for plain things, by value what the other side cannot import."""

from __future__ import annotations

import sys
from _pickle import Pickler as CPickler
from types import FunctionType, ModuleType

from procession.transport import byvalue, importable, parts, rebuild
from procession.transport.aside import Aside
from procession.transport.dependencies import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from procession.transport.aside import Supply
    from procession.transport.dependencies import Dependencies

PROTOCOL = 5
BOUND = b"!"
"""Behind the end of a worker's pickle that means something to its parent only: it has functions or classes by value, or
what multiprocessing hands from one process to another."""


class _Sink:
    """Where a pickler writes: a list of pieces, one unless the pickle is large."""

    __slots__ = ("write",)

    def __init__(self, pieces: list[bytes]) -> None:
        self.write = pieces.append


class Pickler(CPickler):
    """Pickles one object; may be used again when that was nothing special."""

    to_parent = False  # True in a worker, for what goes back
    lenient = False  # True: a global that cannot be pickled is left to what the worker has under that name
    root: Any = MISSING  # inside a definition, everything is taken apart in place; this one has to be

    def __init__(self, needs: Dependencies | None = None) -> None:
        self.pieces: list[bytes] = []
        self.needs = needs  # where to note what the pickle rests on
        self.aside = Aside()
        self._homes: dict[str, byvalue.Home] | None = None
        self._filled: set[int] | None = None
        self._named: set[int] | None = None
        CPickler.__init__(self, _Sink(self.pieces), PROTOCOL, buffer_callback=self.aside)

    def reducer_override(self, obj: Any) -> Any:
        """Called for all but exact built-in values."""
        kind = type(obj)
        if kind is FunctionType:
            return NotImplemented if obj in _OURS else self._function(obj)
        if issubclass(kind, type):
            return self._class(obj)
        reduce = parts.RARE.get(kind)
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
        if cls.__module__ == "builtins" and (reduced := parts.builtin_class(cls)) is not None:
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
        if self.root is not MISSING or self._filled is not None:
            reduced = parts.reduce(kind, obj)
            if reduced is not None:
                return reduced
        # Another thread may just be importing it: then nobody has registered anything there yet.
        forking = getattr(sys.modules.get("multiprocessing.reduction"), "ForkingPickler", None)
        if forking is not None:
            reduce = forking._extra_reducers.get(kind)
            if reduce is not None and not _moves(reduce, obj):
                self.aside.bound = self.to_parent  # it may be a handle that can be redeemed once, and from this process
                return reduce(obj)
        return NotImplemented

    # -- what `byvalue` needs while it takes something apart ------------------------------------------------------

    def inner(self, obj: Any, needs: Dependencies) -> bytes:
        """The pickle of a definition: whole, with all that it reaches in place."""
        return _whole(type(self), obj, needs)

    def can(self, value: Any) -> bool:
        """Can this be pickled, by itself?"""
        if type(value) in _ATOMS:
            return True
        try:
            _whole(type(self), value, None)
        except Exception:
            return False
        return True

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


class LenientPickler(Pickler):
    """For workers with a `__main__` of their own, after the first try has failed."""

    lenient = True


class PicklerToParent(Pickler):
    """For what goes back."""

    to_parent = True


# Pickler objects between two uses: making one costs more than a small pickle. One that is interrupted is not put back.
_idle: list[Pickler] = []
_idle_to_parent: list[Pickler] = []
_SMALL = 8192  # the memo of a larger one is not worth clearing


def dumps(obj: Any, supply: Supply | None = None) -> bytes:
    """The pickle of `obj`; what is large in it goes into the arena of `supply`."""
    try:
        pickler = _idle.pop() if _idle else Pickler()
    except IndexError:  # another thread was faster
        pickler = Pickler()
    pickler.aside.supply = supply
    pickler.dump(obj)
    return _taken(pickler, _idle) or dumps(obj)


def dumps_to_parent(obj: Any, supply: Supply | None = None) -> bytes:
    """The pickle of `obj` in a worker, for its parent; what is large in it goes into the arena of `supply`."""
    try:
        pickler = _idle_to_parent.pop() if _idle_to_parent else PicklerToParent()
    except IndexError:  # another thread was faster
        pickler = PicklerToParent()
    aside = pickler.aside
    aside.supply, aside.bound = supply, False
    pickler.dump(obj)
    bound = aside.bound
    data = _taken(pickler, _idle_to_parent)
    if data is None:
        return dumps_to_parent(obj)
    return data + BOUND if bound else data


def dumps_shared(obj: Any, supply: Supply | None) -> bytes:
    """The pickle of what many tasks will be given, in the arena as a whole if that has room for it."""
    pickler = Pickler()
    pickler.aside.supply = supply
    pickler.dump(obj)
    return pickler.aside.packed(pickler.pieces, force=True) or dumps(obj)


def _taken(pickler: Pickler, idle: list[Pickler]) -> bytes | None:
    """What was pickled; None: there is no room for what was put aside."""
    pieces = pickler.pieces
    if len(pieces) > 1 or pickler.aside.used:
        return pickler.aside.packed(pieces)
    data = pieces[0]
    if len(data) < _SMALL and pickler._homes is None and pickler._filled is None:
        pickler.clear_memo()
        pieces.clear()
        idle.append(pickler)
    return data


def dumps_function(fn: Any, needs: Dependencies, lenient: bool = False) -> bytes:
    """The pickle of a function, or a class, that is sent once and called many times; what it rests on is noted."""
    return _whole(LenientPickler if lenient else Pickler, fn, needs)


def dumps_lenient(obj: Any) -> bytes:
    """As `dumps`, for workers with a `__main__` of their own."""
    pickler = LenientPickler()
    pickler.dump(obj)
    return pickler.aside.packed(pickler.pieces) or b""


def _whole(kind: type[Pickler], obj: Any, needs: Dependencies | None) -> bytes:
    pickler = kind(needs)
    pickler.root = obj
    pickler.dump(obj)
    return b"".join(pickler.pieces)


_HEAP_TYPE = 1 << 9
_ATOMS = frozenset({int, float, bool, type(None), str, bytes, FunctionType, ModuleType, type})
_OURS = frozenset(value for value in vars(rebuild).values() if type(value) is FunctionType)

__all__ = [
    "BOUND",
    "PROTOCOL",
    "Pickler",
    "dumps",
    "dumps_function",
    "dumps_lenient",
    "dumps_shared",
    "dumps_to_parent",
]


def _moves(reduce: Any, obj: Any) -> bool:
    """torch would move this tensor into a file that one process may open, once. What is shared already stays so."""
    if not str(getattr(reduce, "__module__", "")).startswith("torch."):
        return False
    return not getattr(obj, "_is_shared", obj.is_shared)()  # a TypedStorage warns of being asked openly
