"""What a taker gets from a run of a pipeline, in a thread or in a coroutine."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from procession.core.flow import NOTHING
from procession.coroutines import Task, beside
from procession.observe.progress import Meter
from procession.on_error import at_its_place
from procession.pipeline_run import Conductor
from procession.pipeline_stats import PipelineStats, stats_of
from procession.types import Failure, Raised

if TYPE_CHECKING:
    from procession.core.journey_node import Node
    from procession.on_error import OnError


class Exit:
    """The outputs of one run, one by one: the four forms of on_error."""

    def __init__(self, conductor: Conductor, on_error: OnError, meter: Meter) -> None:
        self.conductor = conductor
        self.touched = False  # somebody has asked for an output, or closed it
        self._on_error: OnError = on_error
        self._meter = meter

    def next(self) -> Any:
        """The next value; NOTHING when there is none yet. Raises what comes at this place; StopIteration at the end."""
        self.touched = True
        conductor = self.conductor
        conductor.refuse_foreign()
        node: Any = NOTHING
        try:
            while True:
                if conductor.due():
                    conductor.pull()
                with conductor.lock:
                    node = conductor.journey.take()
                if self._meter:
                    self._meter.report(conductor.journey.returned)
                if node is NOTHING:
                    if conductor.ended:
                        self._end()
                    if conductor.due():
                        continue
                    return NOTHING
                self._taken()
                if node.value.__class__ is not Raised:
                    return node.value
                failed, node = node, NOTHING
                value = self._failed(failed)
                if value is not NOTHING:
                    return value
        except BaseException:
            if node is not NOTHING:
                with conductor.lock:
                    conductor.journey.untake(node)
            raise

    def _taken(self) -> None:
        """There is room: for who pulls, and by bytes."""
        conductor = self.conductor
        if conductor.source.room.sleepers:
            conductor.source.room.ring()
        if conductor.keeper.limit is not None or conductor.journey.ended:
            conductor.poke()

    def _failed(self, node: Node) -> Any:
        """What `on_error` makes of it: a value, NOTHING to go on, or an exception."""
        failed: Raised = node.value
        works, kept = self.conductor.works, self.conductor.args

        def record() -> Failure:
            args = () if kept is None else (kept.pop(node, None),)
            return Failure(node.item.index, args, failed.error, failed.attempts, works[node.stage].stage.name)

        return at_its_place(self._on_error, failed.error, record, self.close)

    def _end(self) -> NoReturn:
        """Everything was handed over: the source's error, once, then StopIteration."""
        conductor = self.conductor
        error, conductor.source.error = conductor.source.error, None
        self._meter.close()
        conductor.poke()
        if error is None or conductor.journey.cancelled:
            raise StopIteration
        self.close()
        try:
            raise error
        finally:
            del error

    def close(self) -> None:
        """Cancel what waits and what runs, close the source, end the iteration."""
        self.touched = True
        self.conductor.close()
        self._meter.close()

    def drop(self, stream: object) -> None:
        """Nobody has the stream any more."""
        if not self.touched:
            text = "a run of a pipeline was never iterated; its work is cancelled"
            warnings.warn(text, RuntimeWarning, stacklevel=3, source=stream)
        self.conductor.abandon()

    def stats(self) -> PipelineStats:
        """Numbers, now."""
        conductor = self.conductor
        with conductor.lock:
            return stats_of(conductor.works, conductor.journey, conductor.account)


class PipelineStream(Iterator[Any]):
    """The outputs of a run, as they are asked for. Also a context manager, which closes it.

    Any thread may take, several at once too: each output goes to one of them. `close()` cancels what waits, ends what
    runs (worker processes are killed for it, and replaced; threads finish, and are forgotten), and closes the source if
    that is a generator or another stream. One that is dropped is closed; one that was never iterated warns of it.
    """

    __slots__ = ("__weakref__", "_exit")

    closes_as_source = True

    def __init__(self, exit_: Exit) -> None:
        self._exit = exit_

    def __iter__(self) -> PipelineStream:
        return self

    def __next__(self) -> Any:
        way_out = self._exit
        while (value := way_out.next()) is NOTHING:
            way_out.conductor.bell.sleep(way_out.conductor.stirred)
        return value

    def stats(self) -> PipelineStats:
        """Numbers, now."""
        return self._exit.stats()

    def close(self) -> None:
        """See the class. May be called again, by any thread."""
        self._exit.close()

    def __enter__(self) -> PipelineStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        way_out = getattr(self, "_exit", None)
        if way_out is not None:
            way_out.drop(self)


class Feed:
    """An async source and the conductor that it feeds, by a task of its own: from the first `__anext__` on."""

    def __init__(self, conductor: Conductor, items: AsyncIterator[Any]) -> None:
        self._conductor = conductor
        self._items = items
        self._task: Task | None = None

    def begin(self) -> None:
        """Pull, as there is room; in the running loop."""
        if self._task is None:
            self._task = beside(self._serve, "procession-source")

    async def close(self) -> None:
        """Pull no more; close a generator."""
        task, self._task = self._task, None
        if task is not None:
            await task.stop()
        if isinstance(self._items, (AsyncGenerator, AsyncPipelineStream)):
            await self._items.aclose()

    async def _serve(self) -> None:
        conductor = self._conductor
        source = conductor.source
        try:
            while not source.exhausted:
                await source.room.asleep(lambda: source.exhausted or conductor.wanted > 0)
                if not source.exhausted:
                    source.pulled.append(await anext(self._items))
                    conductor.poke()
        except StopAsyncIteration:
            pass
        except BaseException as error:  # what is no Exception comes out in its place as well
            source.error = error
            raise
        finally:
            source.exhausted = True
            conductor.poke()


class AsyncPipelineStream(AsyncIterator[Any]):
    """The outputs of an `arun`. Also an async context manager, which closes it; see `PipelineStream` for the rest."""

    __slots__ = ("__weakref__", "_exit", "_feed")

    def __init__(self, exit_: Exit, feed: Feed | None) -> None:
        self._exit = exit_
        self._feed = feed

    def __aiter__(self) -> AsyncPipelineStream:
        return self

    async def __anext__(self) -> Any:
        way_out = self._exit
        if self._feed is not None:
            self._feed.begin()
        try:
            while (value := way_out.next()) is NOTHING:
                await way_out.conductor.bell.asleep(way_out.conductor.stirred)
        except StopIteration:
            raise StopAsyncIteration from None
        finally:
            if self._feed is not None and way_out.conductor.journey.cancelled:
                await self._feed.close()
        return value

    def stats(self) -> PipelineStats:
        """Numbers, now."""
        return self._exit.stats()

    async def aclose(self) -> None:
        """Cancel what waits and what runs, close the source, end the iteration."""
        self._exit.close()
        if self._feed is not None:
            await self._feed.close()

    async def __aenter__(self) -> AsyncPipelineStream:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        way_out = getattr(self, "_exit", None)
        if way_out is not None:
            way_out.drop(self)
