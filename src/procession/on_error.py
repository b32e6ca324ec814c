"""The word `on_error` of imap, SpinOff and Pipeline: what may be said, and what becomes of an item that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from procession.core.flow import NOTHING
from procession.types import Failure

OnError = Literal["raise", "return", "skip"] | Callable[[Failure], object]
ON_ERROR = ("raise", "return", "skip")


def check_on_error(value: Any) -> None:
    """Raise unless `value` is one of the four forms of on_error."""
    if not callable(value) and (not isinstance(value, str) or value not in ON_ERROR):
        raise ValueError(
            f'on_error must be "raise", "return", "skip" or a callable that takes a Failure; got {value!r}'
        )


def at_its_place(on_error: OnError, error: BaseException, failure: Callable[[], Failure]) -> Any:
    """What `on_error` makes of an item that failed: a value, NOTHING to go on, or raised."""
    if on_error == "return":
        return error
    if callable(on_error):
        on_error(failure())
    elif on_error == "raise":
        try:
            raise no_end(error, "a task")
        finally:
            del error, failure  # no cycle through the frame
    return NOTHING


def no_end(error: BaseException, who: str) -> BaseException:
    """What an iterator raises for `error` of `who`: raised on, these two would be taken for its end (see PEP 479)."""
    if not isinstance(error, (StopIteration, StopAsyncIteration)):
        return error
    told = RuntimeError(f"{who} raised {type(error).__name__}")
    told.__cause__ = error
    return told
