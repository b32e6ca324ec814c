"""The filters of warnings, as they travel on a board (boards.py).

The text is marshalled: a list of (action, message, category, module, lineno), as `warnings.filters` has them, but
    message, module   None, a str, or (pattern, flags) of a regular expression
    category          "module:qualname", or its pickle where a worker cannot import it
What cannot be made again there, whatever the reason is, is left out there: a worker lives on.
A category of a module that a worker has not loaded is nothing that anything there can warn with, and is waited for: no
module is imported for a filter.
"""

from __future__ import annotations

import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Filter = tuple[str, Any, Any, Any, int]

FRESH: list[Filter] = [
    ("default", None, DeprecationWarning, "__main__", 0),
    ("ignore", None, DeprecationWarning, None, 0),
    ("ignore", None, PendingDeprecationWarning, None, 0),
    ("ignore", None, ImportWarning, None, 0),
    ("ignore", None, ResourceWarning, None, 0),
]
"""What an interpreter has that was told nothing."""


def encode(filters: Iterable[Filter], named: Callable[[type], str | bytes | None]) -> bytes:
    """`named` gives what stands for a category; None: it is left out, and so is what is no filter at all."""
    told = []
    for each in filters:
        try:
            action, message, category, module, lineno = each
            name = named(category)
            if name is not None:
                told.append((str(action), _pattern(message), name, _pattern(module), int(lineno)))
        except (AttributeError, TypeError, ValueError):
            pass  # put into the list by hand
    return marshal.dumps(told)


def broad(each: Any) -> bool:
    """Whether a filter is for all texts and modules."""
    return type(each) is tuple and len(each) == 5 and each[1] is None and each[3] is None


def urgent(filters: list[Filter]) -> bool:
    """Whether they say something of warnings that C code may give before anybody imports `warnings`.

    Those with a pattern (many a library adds such ones) have been made for particular texts and modules of Python code.
    """
    added = any(broad(each) and each not in FRESH for each in filters)
    return added or any(each not in filters for each in FRESH)


def decode(text: bytes, loads: Callable[[bytes], Any]) -> tuple[list[Filter], set[str]]:
    """The filters, and the modules that are not loaded here of those that cannot be said yet."""
    found: list[Filter] = []
    missing = set()
    for action, message, name, module, lineno in marshal.loads(text):
        home = "" if isinstance(name, bytes) else name.partition(":")[0]
        if home and home not in sys.modules:
            missing.add(home)
            continue
        try:
            category = loads(name) if isinstance(name, bytes) else _found(name)
            made = (action, _compiled(message), category, _compiled(module), lineno)
        except Exception:
            continue  # a category that is not here, so nothing here warns with it; a pattern that `re` does not know
        if isinstance(category, type) and issubclass(category, Warning):
            found.append(made)
    return found, missing


def _pattern(value: Any) -> Any:
    """As what marshal takes: of a class like str, a str."""
    if value is None or isinstance(value, str):
        return value if value is None else str.__str__(value)
    return str.__str__(value.pattern), int(value.flags)


def _found(name: str) -> Any:
    home, _, qualname = name.partition(":")
    found: Any = sys.modules[home]
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _compiled(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    import re

    if "[" not in value[0]:
        return re.compile(*value)
    import warnings

    with warnings.catch_warnings():  # "[[" is warned of: who made the filter has heard it, and here it may be an error
        warnings.simplefilter("ignore")
        return re.compile(*value)


__all__ = ["FRESH", "broad", "decode", "encode", "urgent"]
