"""Functions whose items have random numbers of their own, or surroundings: as an engine takes them.

See `worker/chance.py` and `worker/surroundings.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from procession.backends.base import Engine
from procession.backends.functions import name_of
from procession.surroundings import Around, surrounded
from procession.worker.chance import Seeded


def seeded(
    engine: Engine, fn: Callable[..., Any], seed: int, name: str | None, with_state: bool = False, many: bool = True
) -> Any:
    """`Engine.function` of `fn` under this seed: a call of it takes the item's place, as its last argument."""
    function: Any = engine.function(Seeded(fn, seed), name or name_of(fn), with_state=with_state, many=many)
    function.hides = True
    return function


def wrapped(
    engine: Engine,
    fn: Callable[..., Any],
    seed: int | None,
    around: Around | None,
    name: str | None,
    with_state: bool = False,
) -> Any:
    """The same for many calls, in these surroundings; either may be None."""
    if around is None:
        assert seed is not None
        return seeded(engine, fn, seed, name, with_state)
    called = fn if seed is None else Seeded(fn, seed)
    function = surrounded(engine, called, around, name or name_of(fn), with_state)
    function.hides = seed is not None
    return function


class Seeds:
    """The seed of a view of a pool, and how many calls have been submitted under it."""

    __slots__ = ("_places", "seed")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._places = count()

    def call(
        self, engine: Engine, fn: Callable[..., Any], args: tuple[Any, ...], name: str | None
    ) -> tuple[Any, tuple[Any, ...]]:
        """The function of the next call, and its arguments."""
        return seeded(engine, fn, self.seed, name, many=False), (*args, next(self._places))


__all__ = ["Seeds", "seeded"]
