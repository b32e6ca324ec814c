"""One stage of a pipeline: its words, what they mean to the journey, and the workers that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Never

from procession import options, spinoff_words
from procession.backends.base import Engine, Function, WorkerConfig
from procession.core.journey_stage import Plan
from procession.core.pace import Pace
from procession.core.rules import SECOND
from procession.engines import make_engine as _make_engine
from procession.options import Backend
from procession.pacing import check_rate, make_pace, paced
from procession.policies import rules_of
from procession.replaying import Rerun
from procession.seeding import wrapped
from procession.streams import check_positive, check_sticky
from procession.surroundings import here
from procession.together import rules_of_several
from procession.worker.stages import Batch, Many, ManyOfBatch

if TYPE_CHECKING:
    from typing import Generic, Unpack, overload

    from procession.policies import Backoff, RetryOn
    from procession.typed import (
        MYPY,
        A,
        B,
        BatchManyStageWords,
        BatchStageWords,
        Item,
        Lambda,
        ManyStageWords,
        Result,
        S,
        Setup,
        StageWords,
        StatefulBatchManyStageWords,
        StatefulBatchStageWords,
        StatefulManyStageWords,
        StatefulStageWords,
    )
else:
    from procession.lean import Generic
    from procession.lean import T as Item
    from procession.lean import T as Result

MEANT = {
    **dict.fromkeys(("max_workers", "n_workers", "num_workers", "n_jobs", "processes", "width"), "workers"),
    "threads": 'workers, and backend="threads"',
    "batch_size": "batch",
    "batch_timeout": "max_wait",
    "rate_limit": "rate",
    "max_rate": "rate",
    "flat": "many",
    "flatten": "many",
    "maxsize": "window of the Pipeline",
    "window": "window of the Pipeline",
    "ordered": "ordered of the Pipeline",
    "on_error": "on_error of Pipeline.run",
    "capture": "options(capture=True) of a Pool; here results go on to the next stage, which is given values alone",
}
AHEAD = 2
"""Batches for each worker that may be out: one that runs, and one that waits for it."""


class Stage(Generic[Item, Result]):
    """What a pipeline does with each item at one point, and on which workers.

    fn: called with one item, or with `batch` with a list of them, or with the state of `setup` and that.
    workers: how many. A stage of one worker is given its items in the order of the input, if the pipeline is ordered.
    backend: "processes", "threads", "ray", "dask", or "inline" (in the pipeline's own thread, for debugging).
    key: `key(item)`; items of one key run one at a time and in order. It is called by the pipeline's thread.
    sticky: with `key`: the items of a key go to one worker while that lives, so that the key's state can live there.
    batch: up to so many items are given to `fn` as one list, for which it returns as many outputs, in order. Timeouts
        and retries are those of a whole batch; one that was ended from outside is tried again item by item, see
        `SpinOff`.
    max_wait: seconds that a batch that is not full waits for more; None: until it is clear that no more can come now,
        since the input has ended or the window is full.
    many: `fn` returns an iterable of outputs, or is a generator: none, one or many, each of which goes on by itself.
    rate: so many calls of `fn` start per second at most, evenly spread; see `SpinOff`.
    setup, initializer, initargs: run once in each worker, see `SpinOff`; `fn` is given what `setup` returned, first.
    name: what messages and stats call it.
    timeout, queue_timeout, grace, retries, retry_on, backoff, priority, resources: for each call of `fn`, see
        `Pool.options`; the queue is that of the workers, not the line before them.
    """

    if TYPE_CHECKING:
        if not MYPY:  # see typed.pyi

            @overload
            def __init__(self: Stage[A, B], fn: Lambda[A, B], **words: Unpack[StageWords[A]]) -> None: ...

        @overload
        def __init__(self: Stage[A, B], fn: Callable[[A], B], **words: Unpack[StageWords[A]]) -> None: ...
        @overload
        def __init__(
            self: Stage[A, B], fn: Callable[[S, A], B], *, setup: Setup[S], **words: Unpack[StatefulStageWords[A]]
        ) -> None: ...
        @overload
        def __init__(self: Stage[A, B], fn: Callable[[A], Iterable[B]], **words: Unpack[ManyStageWords[A]]) -> None: ...
        @overload
        def __init__(
            self: Stage[A, B],
            fn: Callable[[S, A], Iterable[B]],
            *,
            setup: Setup[S],
            **words: Unpack[StatefulManyStageWords[A]],
        ) -> None: ...
        @overload
        def __init__(
            self: Stage[A, B], fn: Callable[[list[A]], Iterable[B]], **words: Unpack[BatchStageWords[A]]
        ) -> None: ...
        @overload
        def __init__(
            self: Stage[A, B],
            fn: Callable[[S, list[A]], Iterable[B]],
            *,
            setup: Setup[S],
            **words: Unpack[StatefulBatchStageWords[A]],
        ) -> None: ...
        @overload
        def __init__(
            self: Stage[A, B], fn: Callable[[list[A]], Iterable[Iterable[B]]], **words: Unpack[BatchManyStageWords[A]]
        ) -> None: ...
        @overload
        def __init__(
            self: Stage[A, B],
            fn: Callable[[S, list[A]], Iterable[Iterable[B]]],
            *,
            setup: Setup[S],
            **words: Unpack[StatefulBatchManyStageWords[A]],
        ) -> None: ...

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        workers: int = 1,
        backend: Backend = "processes",
        key: Callable[[Any], Hashable] | None = None,
        sticky: bool = False,
        setup: Callable[[], object] | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        batch: int | None = None,
        max_wait: float | None = None,
        many: bool = False,
        rate: float | None = None,
        name: str | None = None,
        timeout: float | None = None,
        queue_timeout: float | None = None,
        grace: float | None = None,
        retries: int | None = None,
        retry_on: RetryOn | None = None,
        backoff: Backoff | None = None,
        priority: int | None = None,
        resources: Mapping[str, float] | None = None,
        **wrong: Never,
    ) -> None:
        options.refuse_words("Stage", wrong, MEANT)
        options.check_fn(fn)
        options.check_name(name)
        options.check_backend(backend)
        spinoff_words.check_integer("workers", workers, 1)
        _check_grouping(key, sticky, batch, max_wait)
        check_rate(rate)
        self.fn = fn
        self.workers = workers
        self.backend = backend
        self.key = key
        self.sticky = sticky
        self.batch = batch
        self.max_wait = max_wait
        self.many = many
        self.rate = rate
        self.with_state = setup is not None
        self.config = spinoff_words.worker_config(setup, initializer, initargs, resources, backend)
        self.name = name or getattr(fn, "__qualname__", None) or type(fn).__qualname__
        self.rules = rules_of(timeout, queue_timeout, grace, retries, retry_on, backoff, priority)

    def __repr__(self) -> str:
        return f"<Stage {self.name}: {self.workers} {self.backend}>"

    def most_out(self, width: int) -> int | None:
        """How many inputs may be out, at so many workers; None: any number. At a pace what is out is to run at once."""
        if self.rate is not None:
            return width * (self.batch or 1)
        return None if self.batch is None else AHEAD * width * self.batch

    def plan(self, ordered: bool, pace: Pace | None = None) -> Plan:
        """What the journey has to know."""
        return Plan(
            many=self.many,
            batch=self.batch or 1,
            max_wait=None if self.max_wait is None else round(self.max_wait * SECOND),
            in_order=ordered and self.workers == 1,
            keyed=self.key is not None,
            most_out=self.most_out(self.workers),
            pace=pace,
        )


def _check_grouping(key: Any, sticky: Any, batch: Any, max_wait: Any) -> None:
    """Items of one key run one after another, those of a batch together."""
    spinoff_words.check_callable("key", key)
    check_sticky(sticky, key)
    check_positive("batch", batch, "one item at a time")
    options.check_seconds("max_wait", max_wait)
    if max_wait is not None and batch is None:
        raise ValueError("max_wait is how long a batch waits to be full: it needs batch=")
    if key is not None and batch is not None:
        raise ValueError("a stage has a key= or a batch=, not both: the items of a batch run together")


class Work:
    """A stage at work: its engine, and its function as that takes it."""

    def __init__(self, stage: Stage, width: int, beside: int) -> None:
        """`beside`: so many workers the other stages have."""
        self.stage = stage
        self.width = width
        self.reaches = False  # it is passed results of the stage before as they came, and its workers can look at them
        config = stage.config
        shared = WorkerConfig(config.initializer, config.initargs, config.setup, beside, config.resources)
        self.engine: Engine = _make_engine(stage.backend, width, shared)
        self.engine.role = "stage", stage.name
        self.pace = make_pace(stage.rate)
        self.rules = paced(stage.rules, self.pace)
        self.rules_of_several = rules_of_several(self.rules)
        if stage.rules is not None or stage.sticky:
            self.engine.obey()
        wraps: dict[tuple[bool, bool], Any] = {(True, False): Many, (False, True): Batch, (True, True): ManyOfBatch}
        wrap = wraps.get((stage.many, stage.batch is not None))
        self._called: Callable[..., Any] = stage.fn if wrap is None else wrap(stage.fn)
        self._reruns: dict[int | None, Rerun] = {}
        self.function: Function = self.engine.function(self._called, stage.name, with_state=stage.with_state, many=True)

    def surrounded(self, seed: int | None) -> Function:
        """Its function, as a run that is begun here and now, with this seed, calls it."""
        around = here(self.engine)
        if seed is None and around is None:
            return self.function
        made: Function = wrapped(self.engine, self._called, seed, around, self.stage.name, self.stage.with_state)
        return made

    def rerun(self, seed: int | None) -> Rerun:
        """How an input of it that failed is run once more."""
        stage = self.stage
        made = self._reruns.get(seed)
        if made is None:
            made = self._reruns[seed] = Rerun(self._called, stage.name, stage.config, seed, stage.with_state)
        return made

    def resize(self, width: int) -> None:
        """So many workers from now on."""
        self.width = width
        self.engine.resize(width)
