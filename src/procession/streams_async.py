"""aimap: imap for coroutines, over sources that may be async themselves.

Who pulls, and when: a synchronous source is pulled as imap pulls it, in the event loop's thread (the first window at
the call) or, with live=True, on a thread of its own. An async source is awaited in the task that takes, so from the
first `__anext__` on; with live=True in a task of its own, from the call on, which has to come from a running loop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from typing import Any, TypeVar

from procession.backends.base import Engine, Function
from procession.core.flow import NOTHING
from procession.coroutines import Task, beside
from procession.on_error import OnError
from procession.stream_course import Course
from procession.stream_outlet import Outlet
from procession.stream_stats import StreamStats, stats_of
from procession.streams import Words, drop, make_course, start

R = TypeVar("R", covariant=True)


def aimap(engine: Engine, function: Function, iterables: Sequence[Any], words: Words) -> AsyncStream[Any]:
    """Start a stream and return its async iterator; see the module for who pulls."""
    if not any(isinstance(each, AsyncIterable) for each in iterables):
        course = make_course(engine, function, iterables, words, waits=False)
        stream: AsyncStream[Any] = AsyncStream(course, words.on_error, None)
        start(stream._outlet, words)
        return stream
    course = make_course(engine, function, [()], words, single=len(iterables) == 1, waits=False)
    feed = Feed(course, [_async_iterator(each) for each in iterables])
    stream = AsyncStream(course, words.on_error, feed)
    if course.gate is not None:
        course.gate.begin()
    if words.live:
        feed.serve()
    return stream


async def _follow(source: Any) -> AsyncIterator[Any]:
    """A synchronous source among async ones."""
    for item in source:
        yield item


def _async_iterator(source: Any) -> AsyncIterator[Any]:
    return aiter(source) if isinstance(source, AsyncIterable) else _follow(source)


class Feed:
    """Async sources, zipped, and the course that they feed."""

    def __init__(self, course: Course, sources: list[AsyncIterator[Any]]) -> None:
        self.course = course
        self._sources = sources
        self._busy = False
        self._task: Task | None = None
        self._parts: list[Any] = []  # of the next item, from the first sources: a cancelled pull goes on behind them

    @property
    def due(self) -> bool:
        """Whether a taker should pull now."""
        return not self._busy and self._task is None and not self.course.exhausted and self._wanted()

    async def fill(self) -> None:
        """Pull while there is room and nothing is ready; at least one item, if there is room. One task at a time."""
        course = self.course
        if self._busy or self._task is not None:
            return
        self._busy = True
        try:
            while self._wanted() and not course.exhausted:
                await self._pull()
                if course.flow.ready:
                    break
        finally:
            self._busy = False

    def serve(self) -> None:
        """Pull in a task of its own."""
        self._task = beside(self._serve, "procession-source")

    async def close(self) -> None:
        """Pull no more; close generators."""
        task, self._task = self._task, None
        if task is not None:
            await task.stop()
        for source in self._sources:
            if isinstance(source, (AsyncGenerator, AsyncStream)) and not self._busy:
                await source.aclose()

    async def _serve(self) -> None:
        course = self.course
        try:
            while not course.exhausted:
                await course.room.asleep(self._wanted)
                if not course.exhausted:
                    await self._pull()
        except BaseException as error:  # what is no Exception comes out in its place as well
            course.error = error
            course.exhausted = True
            course.advance()
            raise

    def _wanted(self) -> bool:
        course = self.course
        return course.exhausted or course.flow.room >= min(course.measure(), course.flow.window)

    async def _pull(self) -> None:
        course, parts = self.course, self._parts
        if course.clocks is not None:
            course.clocks.begin("source")
        try:
            while len(parts) < len(self._sources):
                parts.append(await anext(self._sources[len(parts)]))
        except StopAsyncIteration:
            course.exhausted = True
        except Exception as error:
            course.error = error
            course.exhausted = True
        else:
            course.pulled += (parts[0] if course.single else tuple(parts),)
            self._parts = []  # in one step with that
        finally:
            if course.clocks is not None:
                course.clocks.end("source")
        course.advance()


class AsyncStream(AsyncIterator[R]):
    """The results of an aimap. Also an async context manager, which closes it; see `streams.Stream` for the rest."""

    __slots__ = ("__weakref__", "_feed", "_outlet")

    def __init__(self, course: Course, on_error: OnError, feed: Feed | None) -> None:
        self._outlet = Outlet(course, on_error)
        self._feed = feed

    def __aiter__(self) -> AsyncStream[R]:
        return self

    async def __anext__(self) -> R:
        outlet, course, feed = self._outlet, self._outlet.course, self._feed
        try:
            while True:
                outlet.touched = True
                course.refuse_foreign()
                if feed is not None:
                    await feed.fill()
                value = outlet.next()
                if value is not NOTHING:
                    return value  # type: ignore[no-any-return]
                await course.bell.asleep(lambda: course.stirred() or (feed is not None and feed.due))
        except StopIteration:
            raise StopAsyncIteration from None
        finally:
            if course.cancelled and feed is not None:  # a failure has ended it
                await feed.close()

    def stats(self) -> StreamStats:
        """See `streams.Stream.stats`."""
        return stats_of(self._outlet.course)

    async def aclose(self) -> None:
        """Cancel what waits, close the source, end the iteration."""
        self._outlet.close()
        if self._feed is not None:
            await self._feed.close()

    async def __aenter__(self) -> AsyncStream[R]:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        outlet = getattr(self, "_outlet", None)
        if outlet is not None:
            drop(outlet, self)
