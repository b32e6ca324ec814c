"""Each run in a copy of one context: what it sets in context variables nobody sees behind it."""

from __future__ import annotations

from _contextvars import Context

from procession._native import native

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class PlainApart:
    """Runs calls in the thread that has made it, until it `leave`s."""

    __slots__ = ("_fresh",)

    def __init__(self, base: Context) -> None:
        self._fresh = base.copy

    def run(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`fn(*args, **kwargs)`"""
        return self._fresh().run(fn, *args, **kwargs)

    def run_one(self, fn: Callable[[Any], Any], item: Any) -> Any:
        """`fn(item)`"""
        return self._fresh().run(fn, item)

    def leave(self) -> None:
        """Nothing is run any more."""


if TYPE_CHECKING:
    Apart = PlainApart
else:
    Apart = PlainApart if native is None else native.Apart

__all__ = ["Apart", "PlainApart"]
