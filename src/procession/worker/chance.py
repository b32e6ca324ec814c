"""Random numbers that are the same wherever and however often an item runs: `procession.rng()` and `np_rng()`.

Laws
1. What an item of a seeded stream draws depends on the seed, on its place in the stream, and on nothing else: not on
   the backend, the worker, the chunk, what ran before on that worker, or how often the item was tried.
2. Each run of an item begins its generators anew; within a run they go on.
3. Items of one stream draw from streams of their own, those of the stages of a pipeline as well.
4. Where there is no seed the generators are the thread's own, begun by the operating system's randomness, in a forked
   process anew.

A place is one number, the item's index; in a pipeline it is a tuple: the index, the stage, and the item's places among
the outputs of the stages before that make many. In NumPy's words it is the `spawn_key` under the root
`SeedSequence(seed)`, whose children for indices are those that `spawn` gives. `random.Random` is begun by a text of
seed and place, by way of SHA-512 (its version 2), so this needs no NumPy.
"""

from __future__ import annotations

import os
from _contextvars import ContextVar
from _thread import _local

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random
    from typing import Any

    from numpy.random import Generator

    Place = int | tuple[int, ...] | None
    """None: of several items that run together."""


class _Chance:
    """The generators of one run, made when they are asked for."""

    __slots__ = ("_numpy", "_place", "_random", "_seed")

    def __init__(self, seed: int, place: Place) -> None:
        self._seed = seed
        self._place = place
        self._random: Random | None = None
        self._numpy: Generator | None = None

    def random(self) -> Random:
        if self._random is None:
            from random import Random

            self._random = Random(f"procession {self._seed} {' '.join(map(str, self._path()))}")
        return self._random

    def numpy(self) -> Generator:
        if self._numpy is None:
            random = _numpy_random()
            self._numpy = random.default_rng(random.SeedSequence(self._seed, spawn_key=self._path()))
        assert self._numpy is not None
        return self._numpy

    def _path(self) -> tuple[int, ...]:
        place = self._place
        if place is None:
            raise RuntimeError(
                "a batch has no random numbers of its own: which items run together is a matter of time; draw them in "
                "a stage without batch=, and hand them on with the items"
            )
        return place if isinstance(place, tuple) else (place,)


class _Unseeded:
    """The generators of one thread."""

    __slots__ = ("numpy", "pid", "random")

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.random: Random | None = None
        self.numpy: Generator | None = None


_here: ContextVar[_Chance | None] = ContextVar("procession.chance", default=None)
_threads = _local()


def rng() -> Random:
    """The `random.Random` of the item that runs here, the same whenever this item runs with this seed.

    Seeds are given by `imap(..., seed=)`, `SpinOff(seed=)`, `Pipeline.run(seed=)` and `Pool.options(seed=)`. Without
    one, and outside of tasks, it is this thread's, and begun by the operating system's randomness. Raises RuntimeError
    in a batch of a seeded pipeline.
    """
    chance = _here.get()
    if chance is not None:
        return chance.random()
    mine = _unseeded()
    if mine.random is None:
        from random import Random

        mine.random = Random()
    return mine.random


def np_rng() -> Generator:
    """`rng`, as a NumPy Generator: of item i it is `default_rng(SeedSequence(seed).spawn(n)[i])`, for n > i.

    Raises ImportError, which names the extra to install, where there is no NumPy.
    """
    chance = _here.get()
    if chance is not None:
        return chance.numpy()
    mine = _unseeded()
    if mine.numpy is None:
        mine.numpy = _numpy_random().default_rng()
    assert mine.numpy is not None
    return mine.numpy


class Seeded:
    """A function whose last argument is the place of its item, which it is not given."""

    def __init__(self, fn: Callable[..., Any], seed: int) -> None:
        self.fn = fn
        self.seed = seed

    def __reduce__(self) -> tuple[Any, ...]:
        return Seeded, (self.fn, self.seed)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`args` are those of the function, and the place."""
        token = _here.set(_Chance(self.seed, args[-1]))
        try:
            return self.fn(*args[:-1], **kwargs)
        finally:
            _here.reset(token)


def check_seed(value: object) -> None:
    """TypeError or ValueError for what is neither None nor an int of at least 0."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"seed must be an integer, or None for random numbers of no seed, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"seed must be at least 0; got {value}")


def _unseeded() -> _Unseeded:
    mine: _Unseeded | None = getattr(_threads, "mine", None)
    if mine is None or mine.pid != os.getpid():
        mine = _threads.mine = _Unseeded()
    return mine


def _numpy_random() -> Any:
    try:
        import numpy.random
    except ImportError as error:
        raise ImportError("np_rng() needs NumPy: pip install 'procession[numpy]'") from error
    return numpy.random


__all__ = ["Seeded", "check_seed", "np_rng", "rng"]
