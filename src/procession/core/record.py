"""How events and commands are made: read-only for the type checker, and no slower to make than a list at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """A dataclass with slots. `frozen=True` would cost 0.3 µs for each of the four that a round trip makes."""
    return dataclass(slots=True)(cls)
