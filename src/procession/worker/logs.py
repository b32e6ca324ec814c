"""Logging in a worker, as if it were at home: records go to the parent's logging, and so do warnings.

Laws
1. A record is made only if the parent wants it: the levels of loggers are those that the parent has now, also in the
   middle of a task (`levels`). What code in the worker sets by itself stays, until the parent sets that logger's.
2. A record goes to the parent, which hands it to its own logger of that name: to its handlers, filters and levels of
   handlers. So nothing is handled twice: what handlers there are here that the parent has as well are not called. These
   are those that were there when the worker began (a forked parent's), and those that modules add while they are
   imported.
3. Handlers that code in the worker adds (an initializer, a setup, a task) are its own, and get their records here, as
   at home. A record that has come to one at the root, or at a logger that does not propagate, has been handled, and
   goes nowhere else. (The recipe of a QueueHandler in each worker works as it did.)
4. Records of a task arrive in the order in which they were made. Nothing here raises, or waits for the parent longer
   than `notes` says.
5. Arguments of a record that are plain travel as such, so that handlers can group by the message; others are formatted
   here and now. An exception travels as one, beside its text.

Sources: the documentation of logging and logging.handlers (QueueHandler.prepare says what a record must lose to
travel).
"""

from __future__ import annotations

import sys
import weakref
from marshal import dumps

from procession.transport.levels import Levels
from procession.transport.notes import LOG, WARNING
from procession.worker import boot, notes

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

_PLAIN = frozenset({int, float, bool, type(None), str, bytes})
_OWN = ("msg", "args", "exc_info", "exc_text", "message", "asctime")
"""Attributes of a record that do not travel as they are."""
_DEEP = 200
"""Frames that are looked at."""

_theirs: weakref.WeakSet[Any] = weakref.WeakSet()  # handlers that the parent has
_ignored: type = type(None)  # logging.NullHandler


# ------------------------------------------------------------------------------------------------------------- logging


def install(logging: ModuleType, levels: Levels | None) -> None:
    """Logging is there."""
    global _ignored
    _ignored = logging.NullHandler
    logger: Any = logging.Logger
    for each in (logging.root, *logging.root.manager.loggerDict.values()):
        _theirs.update(getattr(each, "handlers", ()))
    add = logger.addHandler
    enabled, effective = logger.isEnabledFor, logger.getEffectiveLevel

    def add_handler(self: Any, handler: Any) -> None:
        add(self, handler)
        if _importing():
            _theirs.add(handler)

    def is_enabled_for(self: Any, level: int) -> bool:
        if levels is not None and levels.changed():
            levels.apply(logging)
        return enabled(self, level)  # type: ignore[no-any-return]

    def get_effective_level(self: Any) -> int:
        if levels is not None and levels.changed():
            levels.apply(logging)
        return effective(self)  # type: ignore[no-any-return]

    logger.addHandler, logger.isEnabledFor, logger.callHandlers = add_handler, is_enabled_for, _call_handlers
    logger.getEffectiveLevel = get_effective_level
    if levels is not None:
        levels.apply(logging)


def _importing() -> bool:
    """Whether this is called by the code of a module that is being imported."""
    frame = sys._getframe(2)
    for _ in range(_DEEP):
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def _call_handlers(self: Any, record: Any) -> None:
    """In the place of `Logger.callHandlers`: laws 2 and 3."""
    logger, handled = self, False
    while logger is not None:
        for handler in logger.handlers:
            if handler not in _theirs and not isinstance(handler, _ignored):
                handled = True
                if record.levelno >= handler.level:
                    handler.handle(record)
        if not logger.propagate:
            break
        if logger.parent is not None:
            handled = False  # it goes on, and is not handled for good by what is below the root
        logger = logger.parent
    if not handled:
        _send(_note_of, record)


def _note_of(dropped: int, record: Any) -> bytes:
    """What a record is in the parent: plain attributes; others, each pickled and as text; and an exception."""
    plain: dict[str, Any] = {}
    others: dict[str, tuple[bytes | None, str]] = {}
    for name, value in vars(record).items():
        if name in _OWN:
            continue
        if type(value) in _PLAIN:
            plain[name] = value
        else:
            others[name] = _pickled(value), _text(value)
    plain["msg"], plain["args"] = _message(record)
    plain.setdefault("procession_worker", boot.name)
    plain.setdefault("procession_task", f"{boot.name}/{notes.place()}")
    if plain.get("processName") in (None, "MainProcess"):
        plain["processName"] = boot.name
    error = None
    about = record.exc_info
    if about and about[1] is not None:
        plain["exc_text"] = record.exc_text or _trace(about)
        from procession.worker.functions import FunctionTable

        error = FunctionTable.encode_error(about[1])
    return dumps((LOG, dropped, plain, others, error))


def _message(record: Any) -> tuple[str, Any]:
    """The message and its arguments, or, if these are not plain, what both of them come to."""
    args = record.args
    given = args.values() if type(args) is dict else args or ()
    if type(record.msg) is str and type(args) in (tuple, dict, type(None)) and _PLAIN.issuperset(map(type, given)):
        return record.msg, args or None
    return record.getMessage(), None


def _pickled(value: Any) -> bytes | None:
    from procession.transport.pickler import dumps_to_parent

    try:
        return dumps_to_parent(value)
    except Exception:
        return None


def _text(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


def _trace(about: Any) -> str:
    import traceback

    return "".join(traceback.format_exception(*about)).rstrip("\n")


# ------------------------------------------------------------------------------------------------------------ warnings


def install_warnings(warnings: ModuleType) -> None:
    """Warnings is there."""
    module: Any = warnings
    default = module.showwarning

    def showwarning(
        message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        if file is not None or not _send(_warning_note, message, category, filename, lineno):
            default(message, category, filename, lineno, file, line)

    module.showwarning = showwarning


def _warning_note(dropped: int, message: Any, category: Any, filename: str, lineno: int) -> bytes:
    bases = [f"{each.__module__}:{each.__qualname__}" for each in category.__mro__]
    return dumps((WARNING, dropped, str(message), bases, _pickled(category), filename, lineno, boot.name))


# ------------------------------------------------------------------------------------------------------------- sending


def _send(make: Callable[..., bytes], *about: Any) -> bool:
    """Whether the parent will see it, or it is counted as dropped; False where it must be told here."""
    if not notes.reach():
        return False
    before = notes.dropped()
    try:
        note = make(before, *about)
    except Exception:
        notes.drop(before)
        logging: Any = sys.modules.get("logging")
        if logging is not None and logging.raiseExceptions:
            boot.complain()  # a message that does not fit its arguments, as a handler says it at home
        return True
    if not notes.send(note):
        notes.drop(before + 1)
    return True


__all__ = ["install", "install_warnings"]
