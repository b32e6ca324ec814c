"""Where in an object is the thing that cannot be pickled? Found by walking, and only after a failure."""

from __future__ import annotations

from types import FunctionType, MethodType

from procession.errors import PicklingError
from procession.transport.dependencies import MISSING, content_of
from procession.transport.importable import by_reference
from procession.transport.names import names_of
from procession.transport.pickler import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_DEPTH = 60
_TRIALS = 2000
_ATOMS = (int, float, bool, type(None), str, bytes, complex)


def find(where: str, obj: Any, error: Exception, dump: Callable[[Any], bytes] = dumps) -> PicklingError | None:
    """The error to raise when it is `obj` that cannot be pickled; None when it can be."""
    return pickling_error(where, obj, error, dump) if _fails(obj, dump) is not None else None


def pickling_error(where: str, obj: Any, error: Exception, dump: Callable[[Any], bytes] = dumps) -> PicklingError:
    """A PicklingError that says the path from `obj`, which is called `where`, to what is at fault."""
    path, leaf, reason = _walk(obj, error, dump)
    what = _type_name(type(leaf)) if not isinstance(leaf, type) else f"class {leaf.__qualname__}"
    if leaf is obj:
        text = f"{where} cannot be pickled: it is {_article(what)}: {_text(reason)}"
    else:
        text = f"{where}: {path} is {_article(what)}, which cannot be pickled: {_text(reason)}"
    return PicklingError(text)


def _walk(obj: Any, error: Exception, dump: Callable[[Any], bytes]) -> tuple[str, Any, BaseException]:
    """Step to a part that fails as long as there is one."""
    path, reason = _start(obj), error
    seen = {id(obj)}
    trials = _TRIALS
    for _ in range(_DEPTH):
        for label, part in _parts(obj):
            if id(part) in seen or isinstance(part, _ATOMS):
                continue
            trials -= 1
            if trials < 0:
                return path, obj, reason
            failure = _fails(part, dump)
            if failure is not None:
                seen.add(id(part))
                path, obj, reason = path + label, part, failure
                break
        else:
            break
    return path, obj, reason


def _fails(obj: Any, dump: Callable[[Any], bytes]) -> Exception | None:
    try:
        dump(obj)
    except Exception as error:
        return error
    return None


def _parts(obj: Any) -> Iterator[tuple[str, Any]]:
    """What is pickled when `obj` is, with how a reader would reach it."""
    kind = type(obj)
    if kind is dict:
        for key, value in list(obj.items()):
            yield f"[{_short(key)}]", value
        for key in list(obj):
            yield f".keys() -> {_short(key)}", key
    elif kind in (list, tuple):
        for index, value in enumerate(list(obj)):
            yield f"[{index}]", value
    elif kind in (set, frozenset):
        for value in list(obj):
            yield f" -> {_short(value)}", value
    elif kind is FunctionType:
        yield from _parts_of_function(obj)
    elif kind is MethodType:
        yield ".__self__", obj.__self__
    elif isinstance(obj, type):
        if not by_reference(obj):
            for name, value in list(vars(obj).items()):
                if name not in ("__dict__", "__weakref__"):
                    yield f".{name}", value
    else:
        yield from _parts_of_instance(obj)


def _parts_of_function(fn: Any) -> Iterator[tuple[str, Any]]:
    if by_reference(fn):
        return
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=False):
        value = content_of(cell)
        if value is not MISSING:
            yield f" -> its variable {name}", value
    for name in names_of(fn.__code__).globals:
        value = fn.__globals__.get(name, MISSING)
        if value is not MISSING:
            yield f" -> the global {name}", value
    for name, value in list(vars(fn).items()):
        yield f".{name}", value
    for index, value in enumerate(fn.__defaults__ or ()):
        yield f".__defaults__[{index}]", value
    for name, value in (fn.__kwdefaults__ or {}).items():
        yield f".__kwdefaults__[{name!r}]", value
    for name, value in fn.__annotations__.items():
        yield f".__annotations__[{name!r}]", value


def _parts_of_instance(obj: Any) -> Iterator[tuple[str, Any]]:
    try:
        reduced = obj.__reduce_ex__(5)
    except Exception:
        return
    if type(reduced) is not tuple:
        return
    yield " -> what rebuilds it", reduced[0]
    for value in reduced[1] if len(reduced) > 1 and type(reduced[1]) is tuple else ():
        if isinstance(value, type) and value is type(obj):
            yield f" -> its class {value.__qualname__}", value
        else:
            yield " -> what rebuilds it", value
    state = reduced[2] if len(reduced) > 2 else None
    states = state if type(state) is tuple and len(state) == 2 else (state,)
    for each in states:
        if type(each) is dict:
            for name, value in list(each.items()):
                yield f".{name}", value
        else:
            yield ".__getstate__()", each
    if len(reduced) > 3 and reduced[3] is not None:
        for index, value in enumerate(obj):
            yield f"[{index}]", value
    if len(reduced) > 4 and reduced[4] is not None:
        for key, value in list(obj.items()):
            yield f"[{_short(key)}]", value


def _start(obj: Any) -> str:
    if type(obj) is FunctionType or isinstance(obj, type):
        return str(obj.__qualname__)
    return type(obj).__qualname__


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__qualname__}>"
    return text if len(text) <= 60 else text[:57] + "..."


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def _type_name(kind: type) -> str:
    return (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )


def _article(what: str) -> str:
    return f"{'an' if what[:1].lower() in 'aeiou' else 'a'} {what}"


__all__ = ["find", "pickling_error"]
