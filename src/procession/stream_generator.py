"""`Pool.stream`: a generator as a task, whose values flow out while it runs."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from procession.backends.base import Engine
from procession.backends.functions import name_of
from procession.core.flow import NOTHING
from procession.core.rules import Rules
from procession.record import frozen
from procession.stream_turns import TurnCourse, start
from procession.surroundings import here

if TYPE_CHECKING:
    from procession.seeing.sources import Progress

R = TypeVar("R", covariant=True)

CO_COROUTINE, CO_ASYNC_GENERATOR = 0x80, 0x200


@frozen
class GeneratorStats:
    """A stream of `Pool.stream` at one moment."""

    yielded: int
    """Values that have come from the generator."""
    taken: int
    """Of these, were handed over."""
    waiting: int
    """Wait to be taken."""
    window: int
    """So many may wait, now."""
    turns: int
    """So often the generator was given a worker."""
    runs: int
    """So often it was begun: 1, and further runs."""
    ended: bool
    """It has ended, was closed, or has failed; there may be values that wait."""


def stream(
    engine: Engine,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    name: str | None,
    rules: Rules | None,
    progress: Progress = False,
) -> GeneratorStream[Any]:
    """Start it, and return its iterator."""
    check_not_async(fn)
    engine.obey()
    parts = (engine, fn, args, kwargs, name or name_of(fn), rules, here(engine))
    if progress is False:
        course = TurnCourse(*parts)
    else:
        from procession.watching import WatchedTurns

        course = watched = WatchedTurns(*parts)
        watched.watch(progress)
    made: GeneratorStream[Any] = GeneratorStream(course)  # from here on, what is not returned is closed
    try:
        start(course)
    except BaseException:
        made.close()
        raise
    return made


def check_not_async(fn: Any) -> None:
    """Raise TypeError for what is known to give nothing that `for` iterates over."""
    while isinstance(fn, (functools.partial, types.MethodType)):
        fn = fn.func if isinstance(fn, functools.partial) else fn.__func__
    flags = getattr(getattr(fn, "__code__", None), "co_flags", 0)
    if flags & (CO_COROUTINE | CO_ASYNC_GENERATOR):
        what = "an async generator function" if flags & CO_ASYNC_GENERATOR else "a coroutine function"
        raise TypeError(
            f"stream() takes a generator function, or any other that returns an iterable; {name_of(fn)} is {what}. "
            "Its values can be taken asynchronously all the same: async for x in pool.stream(fn, ...)"
        )


class GeneratorStream(Iterator[R], AsyncIterator[R]):
    """What a generator on a worker yields, as it is asked for: by `for`, or by `async for`, which blocks no event loop.

    Any thread may take, several at once too: each value goes to one of them.

    `close()` ends the generator where it lives, as `close()` of a generator does, and iterating then ends; leaving a
    with block, and dropping the stream, do the same. It waits for nothing. One that is between two turns gets its
    GeneratorExit as soon as its worker is free; one that runs, at its next yield. If it does not come to that, or does
    not end, within `grace` (2 seconds if none was given), its worker process is killed and replaced. What it raises
    then is logged. A thread cannot be killed, and is waited for by the pool's shutdown.

    One that is dropped and was never iterated warns of it (RuntimeWarning), for its work was for nobody.
    """

    __slots__ = ("__weakref__", "_course", "_touched")

    closes_as_source = True

    def __init__(self, course: TurnCourse) -> None:
        self._course = course
        self._touched = False  # somebody has asked for a value, or closed it

    def __iter__(self) -> GeneratorStream[R]:
        return self

    def __next__(self) -> R:
        self._touched = True
        course = self._course
        while (value := course.take()) is NOTHING:
            course.bell.sleep(course.stirred)
        return value  # type: ignore[no-any-return]

    def __aiter__(self) -> GeneratorStream[R]:
        return self

    async def __anext__(self) -> R:
        self._touched = True
        course = self._course
        try:
            while (value := course.take()) is NOTHING:
                await course.bell.asleep(course.stirred)
        except StopIteration:
            raise StopAsyncIteration from None
        return value  # type: ignore[no-any-return]

    def stats(self) -> GeneratorStats:
        """Numbers, now."""
        self._course.refuse_foreign()
        turns = self._course.turns
        with self._course.lock:
            return GeneratorStats(
                yielded=turns.arrived,
                taken=turns.handed,
                waiting=len(turns.ready),
                window=turns.size,
                turns=turns.turns,
                runs=turns.runs + 1,
                ended=turns.over or turns.closed,
            )

    def close(self) -> None:
        """See the class. May be called again, by any thread."""
        self._touched = True
        self._course.close()

    async def aclose(self) -> None:
        """The same: it waits for nothing."""
        self.close()

    def __enter__(self) -> GeneratorStream[R]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> GeneratorStream[R]:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        course = getattr(self, "_course", None)
        if course is None:
            return
        if not self._touched:
            text = f"a stream of {course.name} was never iterated; its generator is closed"
            warnings.warn(text, RuntimeWarning, stacklevel=2, source=self)
        course.drop()


__all__ = ["GeneratorStats", "GeneratorStream", "stream"]
