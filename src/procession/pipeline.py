"""Pipelines: stages on workers of their own, each item through all of them, handed over in order."""

from __future__ import annotations

import weakref
from _contextvars import copy_context
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Literal, Never

from procession import cpu, options
from procession.backends.unstruck import unstruck
from procession.on_error import check_on_error
from procession.pipeline_bounds import Keeper, Widths
from procession.pipeline_passing import join
from procession.pipeline_run import Conductor
from procession.pipeline_source import Source, puller
from procession.pipeline_stage import Stage as Stage
from procession.pipeline_stage import Work
from procession.pipeline_stats import PipelineStats
from procession.pipeline_stream import AsyncPipelineStream, Exit, Feed, PipelineStream
from procession.seeing.progress import check_progress
from procession.seeing.sources import Progress
from procession.streams import check_positive, total_of
from procession.worker.chance import check_seed

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Generic, Unpack, overload

    from procession.on_error import OnError
    from procession.typed import MYPY, A, B, C, D, E, F, Item, Lambda, PipelineWords, Result, RunReturns, RunWords

    Step = Stage[A, B] | Callable[[A], B]
    First = Stage[A, B] | Lambda[A, B]
    AnyStep = Step[Any, Any]
    Items = Iterable[A] | AsyncIterable[A]
else:
    from procession.lean import Generic
    from procession.lean import T as Item
    from procession.lean import T as Result

MEANT = {
    **dict.fromkeys(("maxsize", "buffersize", "buffer_size", "max_pending", "prefetch", "credits"), "window"),
    **dict.fromkeys(("workers", "max_workers", "n_jobs", "processes", "backend"), "workers and backend of each Stage"),
    "on_error": "on_error of run()",
}
RUN_MEANT = {
    **dict.fromkeys(("window", "maxsize", "buffersize", "buffer_bytes", "ordered"), "the same word of Pipeline()"),
    "timeout": "timeout of a Stage, for one call of it",
}


class Pipeline(Generic[Item, Result]):
    """Runs each item through several stages, whose workers work side by side, and hands over in the order of the input.

    stages: `Stage`s, or callables, which become a stage of one worker process.
    window: items that are inside at most: pulled from the source, and not all that became of them handed over. None:
        as many as keep the workers busy, more while a slow one holds up others that take less than 64 MiB.
    buffer_bytes: bytes of what the stages have made and is inside, about: while there is more, no item starts at the
        first stage, but for the one that all else waits for.
    ordered: outputs come in the order of their items, those of a stage with many=True in the order in which it gave
        them: as a program without any parallelism would have it. False: as they come, but in order for each key of the
        last stage with `key`.
    widths: "auto": workers are moved from stages that could do without to the one that holds up the rest; there are as
        many as the stages say, or as there are CPUs, if that is more. None: each stage has the workers that it says.

    Used as a context manager it keeps its workers between runs, and waits for them at the end; otherwise they live for
    one run.
    """

    if TYPE_CHECKING:
        if not MYPY:  # see typed.pyi

            @overload
            def __init__(self: Pipeline[A, B], s1: First[A, B], /, **words: Unpack[PipelineWords]) -> None: ...
            @overload
            def __init__(
                self: Pipeline[A, C], s1: First[A, B], s2: Step[B, C], /, **words: Unpack[PipelineWords]
            ) -> None: ...
            @overload
            def __init__(
                self: Pipeline[A, D], s1: First[A, B], s2: Step[B, C], s3: Step[C, D], /, **words: Unpack[PipelineWords]
            ) -> None: ...

        @overload
        def __init__(self: Pipeline[A, B], s1: Step[A, B], /, **words: Unpack[PipelineWords]) -> None: ...
        @overload
        def __init__(
            self: Pipeline[A, C], s1: Step[A, B], s2: Step[B, C], /, **words: Unpack[PipelineWords]
        ) -> None: ...
        @overload
        def __init__(
            self: Pipeline[A, D], s1: Step[A, B], s2: Step[B, C], s3: Step[C, D], /, **words: Unpack[PipelineWords]
        ) -> None: ...
        @overload
        def __init__(
            self: Pipeline[A, E],
            s1: Step[A, B],
            s2: Step[B, C],
            s3: Step[C, D],
            s4: Step[D, E],
            /,
            **words: Unpack[PipelineWords],
        ) -> None: ...
        @overload
        def __init__(
            self: Pipeline[A, F],
            s1: Step[A, B],
            s2: Step[B, C],
            s3: Step[C, D],
            s4: Step[D, E],
            s5: Step[E, F],
            /,
            **words: Unpack[PipelineWords],
        ) -> None: ...
        @overload
        def __init__(
            self: Pipeline[Any, Any], *stages: Callable[[Any], Any], **words: Unpack[PipelineWords]
        ) -> None: ...
        @overload
        def __init__(
            self: Pipeline[Any, Any],
            s1: AnyStep,
            s2: AnyStep,
            s3: AnyStep,
            s4: AnyStep,
            s5: AnyStep,
            s6: AnyStep,
            /,
            *more: AnyStep,
            **words: Unpack[PipelineWords],
        ) -> None: ...

    def __init__(
        self,
        *stages: Stage[Any, Any] | Callable[..., Any],
        window: int | None = None,
        buffer_bytes: int | None = None,
        ordered: bool = True,
        widths: Literal["auto"] | None = None,
        **wrong: Never,
    ) -> None:
        options.refuse_words("Pipeline", wrong, MEANT)
        check_positive("window", window, "automatic")
        check_positive("buffer_bytes", buffer_bytes, "no bound")
        if widths not in (None, "auto"):
            raise ValueError(f'widths must be "auto" or None (as the stages say); got {widths!r}')
        if not stages:
            raise TypeError("a Pipeline needs at least one stage")
        for stage in stages:
            if not isinstance(stage, Stage) and not callable(stage):
                raise TypeError(f"a stage must be a Stage or a callable, not {type(stage).__name__}")
        self.stages = tuple(stage if isinstance(stage, Stage) else Stage(stage) for stage in stages)
        self._window = window
        self._buffer_bytes = buffer_bytes
        self._ordered = ordered
        self._auto = widths == "auto"
        self._kept: list[Work] | None = None
        self._latest: Exit | None = None
        self._running: weakref.WeakSet[Conductor] = weakref.WeakSet()

    if TYPE_CHECKING:

        @overload
        def run(self, items: Iterable[Item], **words: Unpack[RunWords]) -> PipelineStream[Result]: ...
        @overload
        def run(self, items: Iterable[Item], **words: Unpack[RunReturns]) -> PipelineStream[Result | BaseException]: ...

    def run(
        self,
        items: Iterable[Item],
        *,
        on_error: OnError = "raise",
        live: bool = False,
        seed: int | None = None,
        progress: Progress = False,
        **wrong: Never,
    ) -> PipelineStream[Any]:
        """The outputs of the last stage, lazily and bounded: endless inputs are fine. Starts at the call.

        on_error: of an item that failed at any stage, at its place: "raise" (the run ends, and what waits and runs is
            cancelled), "return" (the exception in the item's place), "skip", or a callable that gets a `Failure`, which
            names the stage.
        live: pull the input in a thread of its own, so that an input that waits holds no finished output back.
        seed: `rng()` and `np_rng()` give an item at a stage the same random numbers whenever it runs with this seed, by
            its place in the input and among the outputs of stages with `many`. A stage with `batch` has none: calling
            them there is an error.
        progress: as of `Pool.imap`, of items all that became of which was handed over; a bar has a line for each stage.
        """
        options.refuse_words("run", wrong, RUN_MEANT)
        options.check_iterables("run", (items,))
        return self._run(items, on_error, live, seed, progress, waits=True)

    def _run(
        self, items: Iterable[Any], on_error: OnError, live: bool, seed: int | None, progress: Progress, *, waits: bool
    ) -> PipelineStream[Any]:
        check_on_error(on_error)
        check_progress(progress)
        check_seed(seed)
        way_out = self._begin(iter(items), on_error, seed)
        way_out.conductor.watch(progress, total_of((items,)), waits)
        stream: PipelineStream[Any] = PipelineStream(way_out)  # from here on, what is not returned is closed
        conductor = way_out.conductor
        conductor.source.live = live
        unstruck(conductor.thread.start)
        if live:
            unstruck(puller(conductor.source, lambda: conductor.wanted, conductor.poke).start)
        else:
            while conductor.due() and not conductor.ready:
                conductor.pull()
        return stream

    if TYPE_CHECKING:

        @overload
        def arun(self, items: Items[Item], **words: Unpack[RunWords]) -> AsyncPipelineStream[Result]: ...
        @overload
        def arun(
            self, items: Items[Item], **words: Unpack[RunReturns]
        ) -> AsyncPipelineStream[Result | BaseException]: ...

    def arun(
        self,
        items: Iterable[Item] | AsyncIterable[Item],
        *,
        on_error: OnError = "raise",
        live: bool = False,
        seed: int | None = None,
        progress: Progress = False,
        **wrong: Never,
    ) -> AsyncPipelineStream[Any]:
        """`run` for `async for`, over a synchronous or an asynchronous input; waiting does not block the event loop.

        An asynchronous input is awaited by a task of its own, from the first `__anext__` on.
        """
        options.refuse_words("arun", wrong, RUN_MEANT)
        if not isinstance(items, AsyncIterable):
            inner = self._run(items, on_error, live, seed, progress, waits=False)
            way_out, inner._exit = inner._exit, None  # type: ignore[assignment]  # taken over
            return AsyncPipelineStream(way_out, None)
        check_on_error(on_error)
        check_progress(progress)
        check_seed(seed)
        way_out = self._begin(iter(()), on_error, seed)
        way_out.conductor.watch(progress, None, waits=False)
        conductor = way_out.conductor
        conductor.source.live = True
        stream: AsyncPipelineStream[Any] = AsyncPipelineStream(way_out, Feed(conductor, aiter(items)))
        unstruck(conductor.thread.start)
        return stream

    def stats(self) -> PipelineStats:
        """Numbers of the latest run, now. RuntimeError when there was none."""
        if self._latest is None:
            raise RuntimeError("stats() are those of the latest run, and there was none")
        return self._latest.stats()

    def __enter__(self) -> Pipeline[Item, Result]:
        if self._kept is not None:
            raise RuntimeError("this pipeline is in a with block already")
        self._kept = self._make_works()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """A run that has not come to its end is closed; after KeyboardInterrupt the workers are killed."""
        works, self._kept = self._kept or [], None
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        for conductor in list(self._running):
            if not conductor.ended:
                conductor.close()
        for work in works:
            work.engine.kill(_SIGKILL) if interrupted else work.engine.shutdown(wait=False, cancel=False)
        for work in works:
            work.engine.shutdown(wait=True, cancel=False)

    def _begin(self, items: Iterator[Any], on_error: OnError, seed: int | None) -> Exit:
        own = self._kept is None
        works: Sequence[Work] = self._make_works() if self._kept is None else self._kept
        widths = None
        if self._auto:
            total = max(sum(work.width for work in works), cpu.available())
            widths = Widths(works, total, monotonic_ns())
        keeper = Keeper(works, self._window, self._buffer_bytes, widths)
        conductor = Conductor(works, Source(items), keeper, ordered=self._ordered, own=own)
        if seed is not None or copy_context():
            conductor.surround(seed)
        if callable(on_error):
            conductor.args = {}
            conductor.context = copy_context()
        self._running.add(conductor)
        self._latest = Exit(conductor, on_error)
        return self._latest

    def _make_works(self) -> list[Work]:
        works: list[Work] = []
        total = sum(stage.workers for stage in self.stages)
        try:
            for stage in self.stages:
                works.append(Work(stage, stage.workers, total - stage.workers))
        except BaseException:
            for work in works:
                work.engine.shutdown(wait=False, cancel=True)
            raise
        join(works)
        return works


_SIGKILL = 9
