"""Exceptions between processes: as what they were, or as a RemoteError that says what they were.

An exception goes as a pickle that has been tried where it was made, beside what is needed when the parent cannot load
it: the type's name, the text, the traceback, the nearest built-in base. On the parent it gets the remote traceback as
its cause, in the very class that the stdlib uses.
"""

from __future__ import annotations

import sys
from _pickle import dumps as plain_dumps
from _pickle import loads

from procession.errors import RemoteError, remote_error
from procession.transport import rebuild

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_POOL = "BrokenProcessPool"
_OURS = "procession"


class LoadFailed(Exception):
    """In a worker: what the parent sent cannot be rebuilt. It arrives as a RemoteError and BrokenProcessPool."""

    def __init__(self, text: str, error: BaseException) -> None:
        Exception.__init__(self, text, error)
        self.text = text
        self.error = error


class OutOfReach(Exception):
    """A worker cannot look at what it was passed (passed.py): nothing of its task was run."""


# -------------------------------------------------------------------------------------------------------- in the worker


def encode(error: BaseException, dumps: Callable[[Any], bytes]) -> bytes:
    """The bytes of an exception; never raises."""
    try:
        written = _written(error)
        if written is None:
            return plain_dumps(_record(error, dumps), 5)
        try:
            told = written.stdout, written.stderr, written.omitted
            return plain_dumps((*_record(error, dumps), told), 5)
        finally:
            error.__dict__["__captured__"] = written
    except BaseException:  # whatever its class does when it is looked at
        return plain_dumps((type.__repr__(type(error)), "", "", "", None, None), 5)


def _record(error: BaseException, dumps: Callable[[Any], bytes]) -> tuple[Any, ...]:
    if isinstance(error, LoadFailed):
        told, base, packed, more = error.error, _POOL, None, None
        text = error.text
    else:
        told, base = error, _nearest_builtin(type(error))
        text = text_of(error)
        packed = _packed(error, dumps)
        more = _relatives(error, dumps) if packed is not None else None
    return full_name(type(told)), text, _traceback(told), base, packed, more


def _written(error: BaseException) -> Any:
    """What its task had written, if that was captured, taken from it: it goes beside it, however the error travels."""
    return error.__dict__.pop("__captured__", None)


def _packed(error: BaseException, dumps: Callable[[Any], bytes]) -> bytes | None:
    """Its pickle, when that gives back the same; None when it does not."""
    try:
        packed = dumps(error)
        again = loads(packed)
        if type(again) is type(error):
            return packed if _alike(again, error) else dumps(_Bare(error))
    except BaseException:
        pass
    return None


def _alike(one: BaseException, other: BaseException) -> bool:
    return len(one.args) == len(other.args) and text_of(one) == text_of(other)


class _Bare:
    """An exception whose constructor makes something else of its own arguments: rebuilt without calling it."""

    def __init__(self, error: BaseException) -> None:
        self.parts = type(error), error.args, error.__dict__

    def __reduce__(self) -> Any:
        return rebuild_bare, self.parts


def rebuild_bare(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    """An exception with these args, its `__init__` not called."""
    made = kind.__new__(kind, *args)
    made.args = args
    made.__dict__.update(state)
    return made


def _relatives(error: BaseException, dumps: Callable[[Any], bytes]) -> tuple[bytes | None, bytes | None]:
    """Cause and context, each where it pickles."""
    cause, context = error.__cause__, error.__context__
    return (
        None if cause is None else _packed(cause, dumps),
        None if context is None or context is cause else _packed(context, dumps),
    )


def _nearest_builtin(kind: type[BaseException]) -> str:
    for each in kind.__mro__:
        if each.__module__ == "builtins":
            return each.__name__
    return ""


def full_name(kind: type) -> str:
    """`module.Name`, without the module for what is built in."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def text_of(error: BaseException) -> str:
    """str(error), whatever its `__str__` does."""
    try:
        return "".join([str(error)])  # of a subclass of str, a str
    except BaseException:
        return "<no text: its __str__ failed>"


def _traceback(error: BaseException) -> str:
    try:
        import traceback

        if rebuild.sources:
            import linecache

            for name, lines in rebuild.sources.items():
                linecache.cache.setdefault(name, (sum(map(len, lines)), None, lines, name))
        return "".join(traceback.format_exception(type(error), error, _skip_ours(error.__traceback__)))
    except BaseException:
        return f"{full_name(type(error))}: {text_of(error)}\n"


def _skip_ours(tb: Any) -> Any:
    """Without the frames of this library that every task has."""
    first = tb
    while tb is not None and tb.tb_frame.f_globals.get("__name__", "").partition(".")[0] == _OURS:
        tb = tb.tb_next
    return first if tb is None else tb


# -------------------------------------------------------------------------------------------------------- in the parent


def decode(data: bytes | bytearray | memoryview) -> BaseException:
    """The exception, or a RemoteError in its place; never raises."""
    type_name, text, traceback, base, packed, more, *written = loads(data)
    error = _rebuilt(type_name, text, traceback, base, packed, more)
    if written:
        from procession.captured import Captured, tell

        tell(error, Captured(None, *written[0]))
    return error


def _rebuilt(type_name: str, text: str, traceback: str, base: str, packed: bytes | None, more: Any) -> BaseException:
    error: BaseException | None = None
    if packed is not None:
        error = _unpacked(packed)
    if error is None:
        error = remote_error(base, type_name, text, traceback)
        error.__cause__ = remote_traceback(traceback)
        return error
    error.__cause__ = cause = remote_traceback(traceback)
    if more is not None:
        if more[0] is not None:  # told, but not printed: the remote traceback has it
            cause.__context__ = _unpacked(more[0])
            cause.__suppress_context__ = True
        if more[1] is not None:
            error.__context__ = _unpacked(more[1])
    return error


def _unpacked(packed: bytes) -> BaseException | None:
    try:
        made = loads(packed) if rebuild.receiver is None else rebuild.loads_from_below(packed)
    except BaseException:
        return None
    return made if isinstance(made, BaseException) else None


def remote_traceback(text: str) -> BaseException:
    """What the stdlib chains: `tb` is the text, framed as it frames it."""
    framed = f'\n"""\n{text}"""'
    try:
        from concurrent.futures import process
    except RuntimeError:
        return _TooLate(framed)  # the interpreter is ending, and takes no more of what that module registers
    made: BaseException = process.__dict__["_RemoteTraceback"](framed)
    return made


class _TooLate(Exception):
    """Says the same."""


def load_error(text: str, error: BaseException) -> RemoteError:
    """For what cannot be unpickled in this process."""
    return remote_error(_POOL, full_name(type(error)), f"{text}: {text_of(error)}", _traceback(error))


def how_to_import(error: BaseException) -> str:
    """One line about a failed import: the module, this process's sys.path, what to do. "" for other errors."""
    if not isinstance(error, (ImportError, AttributeError)):
        return ""
    if isinstance(error, ImportError):
        what = f"module {error.name!r}" if error.name else "a module"
    else:
        what = "a name"
    return (
        f"the worker could not import {what} that this task needs ({text_of(error)}); its sys.path is {sys.path}. "
        "Install it there, or put its directory on sys.path (or PYTHONPATH) before the pool starts its workers"
    )


__all__ = ["LoadFailed", "OutOfReach", "decode", "encode", "full_name", "how_to_import", "load_error", "text_of"]
