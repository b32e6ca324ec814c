"""Variables of a module that workers import, and tasks that tell what they see."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

request: ContextVar[Any] = ContextVar("request", default="nobody")
trail: ContextVar[Any] = ContextVar("trail")
thing: ContextVar[Any] = ContextVar("thing")


class Holder:
    inner: ContextVar[Any] = ContextVar("inner_of_class")

    def __init__(self) -> None:
        self.own: ContextVar[Any] = ContextVar("of_object")


holder = Holder()
registry: dict[str, ContextVar[Any]] = {}


def register(key: str) -> ContextVar[Any]:
    """As structlog keeps its variables."""
    return registry.setdefault(key, ContextVar(f"kept_{key}"))


def view(*_: Any) -> tuple[Any, Any]:
    return request.get(), trail.get(None)


def view_and_spoil(*_: Any) -> tuple[Any, Any]:
    seen = view()
    request.set("spoilt")
    trail.set("spoilt")
    return seen


def view_by_name(*_: Any) -> dict[str, Any]:
    """By what is in the context, as structlog reads it."""
    return {variable.name: value for variable, value in contextvars.copy_context().items()}


def views(n: int) -> Iterator[tuple[Any, Any]]:
    token = request.set((request.get(), 0))
    try:
        for k in range(n):
            yield view()
            request.set((request.get()[0], k + 1))
    finally:
        request.reset(token)  # raises where this is another context than that of the first turn


def several(items: list[Any]) -> list[tuple[Any, Any]]:
    return [view() for _ in items]


def fail_first(path: str) -> tuple[Any, Any]:
    """The first run fails, and each leaves what it has seen."""
    seen = view_and_spoil()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b".")
    os.close(fd)
    if os.path.getsize(path) < 2:
        raise ValueError("the first run")
    return seen


def kill_first(path: str) -> tuple[Any, Any]:
    seen = view_and_spoil()
    if not os.path.exists(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
        os.kill(os.getpid(), 9)
    return seen


def initialize(value: Any) -> None:
    request.set(value)
    trail.set("initialized")


def of_class_and_object() -> tuple[Any, Any]:
    return Holder.inner.get(None), holder.own.get(None)


def from_registry(key: str) -> tuple[list[str], Any]:
    return sorted(registry), registry[key].get(None) if key in registry else None


def change_trail(what: str) -> list[str]:
    seen: list[str] = list(trail.get())
    trail.get().append(what)
    return seen


def thirds(n: int) -> str:
    from decimal import Decimal

    return str(Decimal(n) / 3)


def precise(n: int) -> str:
    import decimal

    decimal.getcontext().prec = 5
    return thirds(n)


def errors_of_numpy() -> dict[str, str]:
    import numpy

    return dict(numpy.geterr())
