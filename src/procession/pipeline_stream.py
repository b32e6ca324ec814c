"""What a taker gets from a run of a pipeline, in a thread or in a coroutine."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from procession.core.flow import NOTHING
from procession.coroutines import Task, beside
from procession.on_error import no_end
from procession.pipeline_passing import place_of
from procession.pipeline_run import Conductor
from procession.pipeline_stats import PipelineStats, stats_of
from procession.types import Failure, Raised

if TYPE_CHECKING:
    from procession.core.journey_node import Node
    from procession.on_error import OnError
    from procession.typed import Result
else:
    from procession.lean import T as Result


class Exit:
    """The outputs of one run, one by one: the four forms of on_error.

    An interrupted taker leaves what it did not return; see `stream_outlet.Outlet`.
    """

    def __init__(self, conductor: Conductor, on_error: OnError) -> None:
        self.conductor = conductor
        self.touched = False  # somebody has asked for an output, or closed it
        self.latest = -1  # the index of the item of which an output was taken last
        self._on_error: OnError = on_error
        self._last: BaseException | None = None  # a failure that ends it, and has not been raised yet

    def next(self) -> Any:
        """The next value; NOTHING when there is none yet. Raises what comes at this place; StopIteration at the end."""
        self.touched = True
        conductor = self.conductor
        conductor.refuse_foreign()
        if self._last is not None:
            self._end()
        node: Any = NOTHING
        value: Any = NOTHING
        told: Any = NOTHING
        record: Failure | None = None
        try:
            while True:
                if conductor.due():
                    conductor.pull()
                with conductor.lock:
                    node = conductor.journey.take()
                if conductor.keen:
                    conductor.meter.report()
                if node is NOTHING:
                    if conductor.ended:
                        self._end()
                    if conductor.due():
                        continue
                    return NOTHING
                self._taken()
                self.latest = node.item.index
                value = node.value
                if value.__class__ is not Raised:
                    return value
                on_error = self._on_error
                if on_error == "return":
                    return value.error
                if on_error == "raise":
                    value = no_end(value.error, "a task")
                    self._last = value
                    node = value = NOTHING  # in one step with that: it is kept, and not put back
                    self._end()
                record = None if on_error == "skip" else self._record(node)
                told, node, value = node, NOTHING, NOTHING
                if record is not None:
                    on_error(record)  # type: ignore[operator]
                    conductor.args.pop(told, None)  # type: ignore[union-attr]
        except BaseException:
            if node is not NOTHING:
                with conductor.lock:
                    conductor.journey.untake(node)
            raise
        finally:
            node = value = told = record = None  # no cycle through the frame

    def _taken(self) -> None:
        """There is room: for who pulls, and by bytes."""
        conductor = self.conductor
        if conductor.source.room.sleepers:
            conductor.source.room.ring()
        if conductor.keeper.limit is not None or conductor.journey.ended:
            conductor.poke()

    def _record(self, node: Node) -> Failure:
        failed, conductor = node.value, self.conductor
        work = conductor.works[node.stage]
        args = () if conductor.args is None else (conductor.args.get(node),)
        again = work.rerun(conductor.seeded).within(conductor.context), place_of(work, node)
        return Failure(node.item.index, args, failed.error, failed.attempts, work.stage.name, *again)

    def _end(self) -> NoReturn:
        """Nothing more comes: the failure that has ended it, or its source's error, once; then StopIteration."""
        conductor = self.conductor
        source = conductor.source
        if self._last is None and not conductor.journey.cancelled:
            self._last, source.error = source.error, None
        error = self._last
        conductor.ends("finished" if error is None else "raised")
        conductor.meter.close()
        if error is None:
            conductor.poke()
            raise StopIteration
        conductor.close()
        self._last = None  # in one step with what follows
        try:
            raise error
        finally:
            del error

    def close(self) -> None:
        """Cancel what waits and what runs, close the source, end the iteration."""
        self.touched = True
        self._last = None
        self.conductor.ends("closed")
        self.conductor.close()
        self.conductor.meter.close()

    def drop(self, stream: object) -> None:
        """Nobody has the stream any more."""
        if not self.touched:
            text = "a run of a pipeline was never iterated; its work is cancelled"
            warnings.warn(text, RuntimeWarning, stacklevel=3, source=stream)
        self.conductor.meter.drop()
        self.conductor.ends("dropped")
        self.conductor.abandon()

    def stats(self) -> PipelineStats:
        """Numbers, now."""
        conductor = self.conductor
        with conductor.lock:
            return stats_of(conductor.works, conductor.journey, conductor.account)


class PipelineStream(Iterator[Result]):
    """The outputs of a run, as they are asked for. Also a context manager, which closes it.

    Any thread may take, several at once too: each output goes to one of them. `close()` cancels what waits, ends what
    runs (worker processes are killed for it, and replaced; threads finish, and are forgotten), and closes the source if
    that is a generator or another stream. One that is dropped is closed; one that was never iterated warns of it.
    """

    __slots__ = ("__weakref__", "_exit")

    closes_as_source = True

    def __init__(self, exit_: Exit) -> None:
        self._exit = exit_

    def __iter__(self) -> PipelineStream[Result]:
        return self

    def __next__(self) -> Result:
        way_out = self._exit
        try:
            while (value := way_out.next()) is NOTHING:
                way_out.conductor.bell.sleep(way_out.conductor.stirred)
        except KeyboardInterrupt:
            way_out.conductor.meter.interrupt()
            raise
        return value  # type: ignore[no-any-return]

    def stats(self) -> PipelineStats:
        """Numbers, now."""
        return self._exit.stats()

    def close(self) -> None:
        """See the class. May be called again, by any thread."""
        self._exit.close()

    def __enter__(self) -> PipelineStream[Result]:
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
            source.end()
            conductor.poke()


class AsyncPipelineStream(AsyncIterator[Result]):
    """The outputs of an `arun`. Also an async context manager, which closes it; see `PipelineStream` for the rest."""

    __slots__ = ("__weakref__", "_exit", "_feed")

    def __init__(self, exit_: Exit, feed: Feed | None) -> None:
        self._exit = exit_
        self._feed = feed

    def __aiter__(self) -> AsyncPipelineStream[Result]:
        return self

    async def __anext__(self) -> Result:
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
        return value  # type: ignore[no-any-return]

    def stats(self) -> PipelineStats:
        """Numbers, now."""
        return self._exit.stats()

    async def aclose(self) -> None:
        """Cancel what waits and what runs, close the source, end the iteration."""
        self._exit.close()
        if self._feed is not None:
            await self._feed.close()

    async def __aenter__(self) -> AsyncPipelineStream[Result]:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        way_out = getattr(self, "_exit", None)
        if way_out is not None:
            way_out.drop(self)
