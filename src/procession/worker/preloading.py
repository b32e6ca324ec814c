"""Modules that the zygote imports, once for all workers of its pools (`preload=`)."""

from __future__ import annotations

import atexit
import traceback

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_at_exit: list[Callable[..., object]] = []


def load(names: list[str]) -> list[tuple[str, str]]:
    """Import them; (module, traceback) of those that cannot be."""
    failed = []
    register = atexit.register

    def noting(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        _at_exit.append(function)
        return register(function, *args, **kwargs)

    atexit.register = noting
    try:
        for name in names:
            try:
                __import__(name)
            except BaseException:
                failed.append((name, traceback.format_exc()))
    finally:
        atexit.register = register
    return failed


def forget_ends() -> None:
    """In a worker: what these modules want done at the end is not for it to do, as for a child of multiprocessing.

    What they remove then may be shared by all workers. What was registered before them, while the interpreter started,
    stays: any interpreter would run it (so that coverage saves what it has measured).
    """
    for function in _at_exit:
        atexit.unregister(function)


__all__ = ["forget_ends", "load"]
