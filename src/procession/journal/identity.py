"""What a function is, and what an item is, as numbers that stay the same from one run of a program to the next.

Laws
1. A digest depends on no hash seed, on no address, on no order of a set: equal values of the same types have equal
   digests, in every process.
2. What cannot be looked into has no digest (None): nothing is said about it rather than something wrong.
3. The code of a function is its own, and that of functions defined in it, with what they are bound to: constants,
   defaults, closure, the arguments of a partial. Functions that it calls by name are not looked into.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from hashlib import blake2b
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

from procession.record import record
from procession.transport.dependencies import MISSING, content_of
from procession.transport.importable import loaded_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WIDTH = 8
"""Bytes of a digest."""


@record
class Identity:
    """What a journal belongs to, beside its kind."""

    function: str
    """`module:qualname`."""
    code: str | None
    """A digest; None where there is no code to look at (a builtin)."""
    seed: int | None = None


def identity_of(fn: Callable[..., Any], seed: int | None = None, captures: bool = False) -> Identity:
    """What a journal of calls of `fn` belongs to; partials and bound methods are looked through.

    captures: what is handed over has what was written as well (capture=True), and is no result of other calls.
    """
    return Identity(f"{name_of(fn)} (capture)" if captures else name_of(fn), code_of(fn), seed)


def name_of(fn: Any) -> str:
    """`module:qualname`."""
    inner: Any = fn
    while issubclass(kind := type(inner), (functools.partial, MethodType)):
        inner = inner.__func__ if kind is MethodType else inner.func
    if not issubclass(type(inner), type) and not isinstance(_asked(inner, "__qualname__"), str):
        inner = type(inner)
    module = getattr(inner, "__module__", None)
    if module is None:  # a method of a builtin type
        owner = getattr(inner, "__objclass__", None) or type(getattr(inner, "__self__", None))
        module = getattr(owner, "__module__", "builtins")
    return f"{module}:{inner.__qualname__}"


def code_of(fn: Any) -> str | None:
    """The digest of a function's code, as text; None where there is none."""
    reader = _Reader(lenient=True)
    try:
        data = reader.callable(fn)
    except RecursionError:
        return None
    return blake2b(data, digest_size=WIDTH).hexdigest() if reader.codes else None


def digest(item: Any) -> bytes | None:
    """The digest of an item, WIDTH bytes; None when it holds something that cannot be looked into."""
    try:
        data = _Reader(lenient=False).value(item)
    except (_Opaque, RecursionError):
        return None
    return blake2b(data, digest_size=WIDTH).digest()


class _Opaque(Exception):
    """It cannot be looked into."""


def _piece(tag: bytes, data: bytes) -> bytes:
    """Such that no two different sequences of pieces are the same bytes."""
    return b"%s%d:%s" % (tag, len(data), data)


def _text(tag: bytes, text: str) -> bytes:
    return _piece(tag, text.encode("utf-8", "surrogatepass"))


class _Reader:
    """Writes values as bytes. `lenient`: for code: functions by their code, and what is opaque by its type."""

    def __init__(self, lenient: bool) -> None:
        self.lenient = lenient
        self.codes = 0
        self._inside: set[int] = set()

    # -- values ------------------------------------------------------------------------------------------------------

    def value(self, value: Any) -> bytes:
        """The bytes of any value."""
        kind = type(value)
        write = _EXACT.get(kind)
        if write is not None:
            return write(value)
        parts = _CONTAINERS.get(kind)
        if parts is not None:
            return parts(self, value)
        if self.lenient and kind in _CODE:
            return self.callable(value)
        if id(value) in self._inside:
            return b"@"
        self._inside.add(id(value))
        try:
            return self._instance(kind, value)
        finally:
            self._inside.discard(id(value))

    def several(self, tag: bytes, values: Any) -> bytes:
        """In their order."""
        return _piece(tag, b"".join(map(self.value, values)))

    def unordered(self, tag: bytes, values: Any) -> bytes:
        """In the order of their bytes."""
        return _piece(tag, b"".join(sorted(map(self.value, values))))

    def mapping(self, value: dict[Any, Any]) -> bytes:
        """A dict, in the order of its keys' bytes."""
        return _piece(b"{", b"".join(sorted(self.value(key) + self.value(each) for key, each in value.items())))

    def _instance(self, kind: type, value: Any) -> bytes:
        if issubclass(kind, type):
            if not self.lenient:
                raise _Opaque
            return _text(b"T", _type_name(value))
        fields = plain = None
        try:
            fields = _fields(kind, value)
            plain = _known_class(kind, value) if fields is None else None
        except Exception:  # by code of its own
            pass
        if fields is not None:
            return _text(b"D", _type_name(kind)) + self.several(b"F", fields)
        if plain is not None:
            return _text(b"K", _type_name(kind)) + self.value(plain)
        if not self.lenient:
            raise _Opaque
        if issubclass(kind, ModuleType):
            return _text(b"M", value.__name__)
        return _text(b"?", _type_name(kind))

    # -- code --------------------------------------------------------------------------------------------------------

    def callable(self, fn: Any) -> bytes:
        """What a callable does, as far as it can be looked into."""
        kind = type(fn)  # some objects pretend to be of another class
        if issubclass(kind, functools.partial):
            inner, args, words = fn.func, fn.args, fn.keywords
            return _piece(b"P", self.callable(inner) + self.value(args) + self.value(dict(words)))
        if issubclass(kind, MethodType):
            return _piece(b"B", self.callable(fn.__func__) + self.value(fn.__self__))
        if issubclass(kind, FunctionType):
            return self._function(fn)
        if issubclass(kind, type):
            return self._class(fn)
        if issubclass(kind, BuiltinFunctionType):
            return _text(b"N", name_of(fn))
        wrapped = _asked(fn, "__wrapped__")  # lru_cache and its like
        if wrapped is not None and callable(wrapped):
            return _piece(b"W", self.callable(wrapped))
        call = getattr(kind, "__call__", None)  # noqa: B004  # it may be inherited
        own = self.callable(call) if isinstance(call, FunctionType) else b""
        return _piece(b"I", own + self.value(fn))

    def _class(self, cls: type) -> bytes:
        functions = {name: each for name, each in vars(cls).items() if isinstance(each, FunctionType)}
        return _piece(b"C", _text(b"T", _type_name(cls)) + self.mapping(functions))

    def _function(self, fn: FunctionType) -> bytes:
        if id(fn) in self._inside:
            return b"@"
        self._inside.add(id(fn))
        try:
            cells = [content_of(cell) for cell in fn.__closure__ or ()]
            bound = [None if each is MISSING else each for each in cells]
            words = fn.__kwdefaults__ or {}
            return _piece(b"L", self.code(fn.__code__) + self.value([fn.__defaults__, words, bound]))
        finally:
            self._inside.discard(id(fn))

    def code(self, code: CodeType) -> bytes:
        """What runs, without where it is written."""
        self.codes += 1
        shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        table = code.co_exceptiontable
        constants: Any = code.co_consts
        if "__firstlineno__" in code.co_names:  # since 3.13 the body of a class says where it stands
            constants = [None if type(each) is int and each == code.co_firstlineno else each for each in constants]
        return _piece(b"c", self.value((shape, names, code.co_code, table)) + self.several(b"k", constants))


def _type_name(kind: type) -> str:
    module = "pathlib" if kind.__module__ == "pathlib._local" else kind.__module__  # as it is called in 3.13
    return f"{module}:{kind.__qualname__}"


def _asked(value: Any, name: str) -> Any:
    """An attribute; None where there is none, or asking for it fails."""
    try:
        return getattr(value, name, None)
    except Exception:
        return None


def _fields(kind: type, value: Any) -> list[Any] | None:
    """The values of a dataclass or a namedtuple, in the order of their definition."""
    if issubclass(kind, tuple):
        names = getattr(kind, "_fields", None)
        return list(value) if type(names) is tuple and len(names) == len(value) else None
    fields = getattr(kind, "__dataclass_fields__", None)
    if type(fields) is not dict or isinstance(value, (list, dict, set, frozenset, str, bytes, int, float)):
        return None
    return [getattr(value, name, None) for name in fields if fields[name]._field_type.name == "_FIELD"]


def _known_class(kind: type, value: Any) -> Any:
    """What tells values of some well-known classes apart, in plain values; None for other classes."""
    module = kind.__module__
    if isinstance(value, loaded_class("enum", "Enum")):
        return value.name if type(value.name) is str else value.value
    if isinstance(value, loaded_class("pathlib", "PurePath")) and module.partition(".")[0] == "pathlib":
        return str(value)
    if module == "datetime":
        return _of_datetime(kind.__name__, value)
    if (module, kind.__name__) in (("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID")):
        return str(value)
    if module == "array" and kind.__name__ == "array":
        return [value.typecode, value.tobytes()]
    if isinstance(value, (loaded_class("numpy", "ndarray"), loaded_class("numpy", "generic"))) and module == "numpy":
        kinds = value.dtype
        return None if kinds.hasobject else [repr(kinds.descr), list(value.shape), value.tobytes()]
    return None


def _of_datetime(name: str, value: Any) -> Any:
    if name == "timedelta":
        return [value.days, value.seconds, value.microseconds]
    if name == "timezone":
        return str(value)
    if name == "date":
        return value.isoformat()
    zone = value.tzinfo
    if zone is None:
        told = ""
    elif type(zone).__module__ == "datetime":
        told = str(zone)
    elif type(zone).__module__.startswith("zoneinfo") and getattr(zone, "key", None):
        told = zone.key
    else:
        return None
    return [value.replace(tzinfo=None).isoformat(), value.fold, told]


_EXACT: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"n",
    type(Ellipsis): lambda value: b".",
    bool: lambda value: b"b1" if value else b"b0",
    int: lambda value: b"i%x;" % value,
    float: lambda value: b"f" + struct.pack("<d", value),
    complex: lambda value: b"j" + struct.pack("<dd", value.real, value.imag),
    str: lambda value: _text(b"s", value),
    bytes: lambda value: _piece(b"y", value),
    bytearray: lambda value: _piece(b"a", value),
    range: lambda value: b"r%x;%x;%x;" % (value.start, value.stop, value.step),
}
_CODE = frozenset({FunctionType, MethodType, functools.partial})
_CONTAINERS: dict[type, Callable[[_Reader, Any], bytes]] = {
    tuple: lambda reader, value: reader.several(b"(", value),
    list: lambda reader, value: reader.several(b"[", value),
    dict: lambda reader, value: reader.mapping(value),
    set: lambda reader, value: reader.unordered(b"<", value),
    frozenset: lambda reader, value: reader.unordered(b">", value),
    slice: lambda reader, value: reader.several(b":", (value.start, value.stop, value.step)),
    CodeType: lambda reader, value: reader.code(value),
}
