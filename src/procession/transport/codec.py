"""The parent's side: calls into bytes, results and exceptions out of them.

A Codec belongs to one pool. It keeps an entry for each function that it has been shown, for as long as that function
lives, and notices when something that a function by value names has been rebound. Any thread may use it at any time:
each entry is whole before it is stored, and a store is one instruction.
"""

from __future__ import annotations

import sys
from _pickle import loads
from _weakref import ref
from collections import deque
from itertools import count

from procession._native import native
from procession.transport import paths, rebuild, remote
from procession.transport.aside import large
from procession.transport.dependencies import Dependencies, Needs
from procession.transport.pickler import dumps, dumps_function, dumps_lenient, dumps_shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

SCALAR = frozenset({int, float, bool, type(None)})
PLAIN = SCALAR | {str, bytes}
LARGE = 10_000_000


class FunctionEntry:
    """A callable, ready to be sent. `id` 0: it travels inside each call."""

    __slots__ = ("fn", "hides", "id", "life", "name", "needs", "payload", "profile", "ref", "warned", "with_state")

    def __init__(self, id: int, name: str, payload: bytes, with_state: bool, profile: Any) -> None:
        self.id = id
        self.name = name
        self.payload = payload
        self.with_state = with_state
        self.profile = profile
        self.hides = False  # its last argument is none that a user has given
        self.fn: Any = None
        self.life: _Life | None = None
        self.ref: Any = None
        self.needs: Needs | None = None  # None: sent by reference, which nothing makes stale
        self.warned = False


class _Life:
    """Goes when an entry and its copies go."""

    __slots__ = ("__weakref__",)


class Codec:
    """See the module.

    Args:
        profile_factory: makes what each entry's `profile` holds, once for each function.
        own_main: the workers have this program's `__main__` by themselves (an explicit multiprocessing context); a
            global that cannot be pickled, a lock say, is then left to theirs. May be set later, for what follows.
        supply: a `transport.aside.Supply`, who has the arena into which large things go (the engine's, by which its
            channels get theirs, too); None: they go through the pipe.
    """

    def __init__(
        self,
        profile_factory: Callable[[], Any] | None = None,
        own_main: bool = False,
        supply: Any = None,
    ) -> None:
        self.own_main = own_main
        self.supply = supply
        self.keeps = False  # results stay sealed, where they can (sealed.py); said before there is a worker
        self.forgotten: deque[int] = deque()
        self._profile = profile_factory
        self._numbers = count(1)
        self.entries: dict[int, FunctionEntry] = {}  # by the function's id
        self._entries_with_state: dict[int, FunctionEntry] = {}
        self._profiles: dict[int, tuple[Any, Any]] = {}
        self._lives: dict[int, Any] = {}

    # -- functions ---------------------------------------------------------------------------------------------------

    def function(self, fn: Callable[..., Any], with_state: bool = False) -> FunctionEntry:
        """The entry of `fn`; another one, with a new id, when something that it names has been rebound since.

        Raises PicklingError when it cannot be pickled.
        """
        entries = self._entries_with_state if with_state else self.entries
        entry = entries.get(id(fn))
        if entry is not None and entry.ref() is fn and (entry.needs is None or entry.needs.hold(fn)):
            return entry
        return self._enter(fn, with_state, entries)

    def lasting(self, fn: Callable[..., Any], with_state: bool = False) -> FunctionEntry:
        """As `function`, but with an id for any callable: for many calls, whose items need not carry a function.

        A partial, a bound method or an instance is pickled here and now, and copied once to each worker that calls it;
        its id is forgotten when the entry (with its copies) is gone.
        """
        entry = self.function(fn, with_state)
        if entry.id:
            return entry
        payload, _ = self._payload(fn, entry.name)
        number, life = self.number()
        entry = FunctionEntry(number, entry.name, payload, with_state, entry.profile)
        entry.life = life
        return entry

    def number(self) -> tuple[int, Any]:
        """A number for what is copied once to each worker; it is forgotten when what comes with it goes."""
        id, life = next(self._numbers), _Life()
        lives, forgotten = self._lives, self.forgotten

        def gone(_: Any) -> None:
            lives.pop(id, None)
            forgotten.append(id)

        lives[id] = ref(life, gone)
        return id, life

    def _enter(self, fn: Any, with_state: bool, entries: dict[int, FunctionEntry]) -> FunctionEntry:
        name = name_of(fn)
        if not _cachable(fn):
            entry = FunctionEntry(0, name, b"", with_state, self._profile_of(fn))
            entry.fn = fn
            return entry
        payload, needs = self._payload(fn, name)
        entry = FunctionEntry(next(self._numbers), name, payload, with_state, self._profile_of(fn))
        entry.needs = needs.sealed(fn)
        old = entries.get(id(fn))
        warned = old is not None and old.warned
        if entry.needs is not None and len(payload) > LARGE:
            entry.warned = True
            if not warned:
                _warn(entry)
        entry.ref = ref(fn, _forgetter(entries, id(fn), entry.id, self.forgotten))
        entries[id(fn)] = entry
        if old is not None:
            self.forgotten.append(old.id)
        return entry

    def _payload(self, fn: Any, name: str) -> tuple[bytes, Dependencies]:
        needs = Dependencies()
        try:
            return dumps_function(fn, needs), needs
        except Exception as error:
            if self.own_main:
                needs = Dependencies()
                try:
                    return dumps_function(fn, needs, lenient=True), needs
                except Exception:
                    pass
            raise paths.pickling_error(f"function {name}", fn, error) from error

    def _profile_of(self, fn: Any) -> Any:
        """One for each function; a bound method, a partial and an instance share that of what they stand for."""
        if self._profile is None:
            return None
        for _ in range(8):
            inner = getattr(fn, "__func__", None) or getattr(fn, "func", None)
            if inner is None or not callable(inner):
                break
            fn = inner
        known = self._profiles.get(id(fn))
        if known is not None and known[0]() is fn:
            return known[1]
        profile = self._profile()
        profiles, key = self._profiles, id(fn)

        def gone(dead: Any) -> None:
            found = profiles.get(key)
            if found is not None and found[0] is dead:
                profiles.pop(key, None)

        try:
            profiles[key] = ref(fn, gone), profile
        except TypeError:
            pass
        return profile

    # -- calls -------------------------------------------------------------------------------------------------------

    def encode(
        self, entry: FunctionEntry, args: tuple[Any, ...], kwargs: Mapping[str, Any], around: bytes | None = None
    ) -> tuple[Any, ...] | bytes:
        """What `FunctionTable.decode` (or `decode_call`, for an entry without id) takes; see PLAIN for tuples.

        `around`: what `contexts.packed` has made of the context variables that the call is to see. Raises
        PicklingError, which names the path; what is no Exception passes as it is.
        """
        if entry.id:
            if (
                around is None
                and not kwargs
                and (SCALAR.issuperset(map(type, args)) or (PLAIN.issuperset(map(type, args)) and not large(args)))
            ):
                return args
            call = (args, kwargs) if around is None else (args, kwargs, around)
            try:
                return dumps(call, self.supply)
            except Exception as error:
                if self.own_main and (data := _leniently(call)) is not None:
                    return data
                raise _argument_error(args, kwargs, error) from error
        return self.encode_call(entry.fn, args, kwargs, entry.with_state, around)

    def encode_call(
        self,
        fn: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        with_state: bool = False,
        around: bytes | None = None,
    ) -> bytes:
        """A call with its function inside, for `FunctionTable.decode_call`. `fn` may be anything."""
        call = (fn, args, kwargs, with_state, around) if with_state or around is not None else (fn, args, kwargs)
        try:
            return dumps(call, self.supply)
        except Exception as error:
            if self.own_main and (data := _leniently(call)) is not None:
                return data
            where = f"function {name_of(fn)}"
            raise (paths.find(where, fn, error) or _argument_error(args, kwargs, error)) from error

    def plain(self, items: Sequence[Any]) -> bool:
        """True when every item is exactly one of PLAIN, and none is to be put aside."""
        if items.__class__ is range:
            return True
        if native is not None and items.__class__ is list:
            return native.are_small(items)  # type: ignore[no-any-return]
        return SCALAR.issuperset(map(type, items)) or (PLAIN.issuperset(map(type, items)) and not large(items))

    def share(self, obj: Any) -> Any:
        """A handle that stands for `obj` in the arguments of calls. Raises PicklingError, which names the path."""
        from procession.transport.handles import share

        try:
            return share(dumps_shared(obj, self.supply))
        except Exception as error:
            raise paths.pickling_error("what is to be shared", obj, error) from error

    # -- what comes back -----------------------------------------------------------------------------------------

    def decode_result(self, data: bytes | bytearray | memoryview) -> Any:
        """A task's value. Raises an error that is a RemoteError and a BrokenProcessPool when it cannot be rebuilt."""
        try:
            return loads(data) if rebuild.receiver is None else rebuild.loads_from_below(data)
        except BaseException as error:
            raise remote.load_error("a result could not be rebuilt here", error) from error

    def decode_error(self, data: bytes | bytearray | memoryview) -> BaseException:
        """What a task raised; never raises itself."""
        return remote.decode(data)


def name_of(fn: Any) -> str:
    """A name for people."""
    for attribute in ("__qualname__", "__name__"):
        name = getattr(fn, attribute, None)
        if isinstance(name, str):
            return name
    inner = getattr(fn, "func", None)
    return name_of(inner) if inner is not None and callable(inner) else type(fn).__qualname__


_CACHABLE = (type(name_of), type(len), type)


def _cachable(fn: Any) -> bool:
    """Functions, builtins that belong to no instance, classes."""
    if type(fn) is type(len):
        owner: Any = getattr(fn, "__self__", None)
        return owner is None or type(owner) is type(remote)
    return isinstance(fn, _CACHABLE)


def _forgetter(entries: dict[int, FunctionEntry], key: int, id: int, forgotten: deque[int]) -> Callable[[Any], None]:
    def gone(dead: Any) -> None:
        entry = entries.get(key)
        if entry is not None and entry.ref is dead:
            entries.pop(key, None)
        forgotten.append(id)

    return gone


def _leniently(obj: Any) -> bytes | None:
    try:
        return dumps_lenient(obj)
    except Exception:
        return None


def _argument_error(args: tuple[Any, ...], kwargs: Mapping[str, Any], error: Exception) -> Exception:
    for index, each in enumerate(args):
        found = paths.find(f"argument {index}", each, error)
        if found is not None:
            return found
    for name, each in kwargs.items():
        found = paths.find(f"argument {name!r}", each, error)
        if found is not None:
            return found
    return paths.pickling_error("the arguments", (args, kwargs), error)


def _warn(entry: FunctionEntry) -> None:
    import warnings

    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "procession":
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"{entry.name} carries {len(entry.payload) / 1e6:.0f} MB of globals and closure to each worker; "
        "pass them as arguments, load them in setup=, or define the function where a worker can import it",
        RuntimeWarning,
        stacklevel=level,
    )


__all__ = ["PLAIN", "Codec", "FunctionEntry", "name_of"]
