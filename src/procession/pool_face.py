"""What hands work to a pool: the methods that `Pool` and the views of `options()` share."""

from __future__ import annotations

from _contextvars import copy_context
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from procession import options
from procession._native import native
from procession.backends.tasks import CallFuture
from procession.backends.unstruck import unstruck
from procession.errors import PicklingError
from procession.lean import overload
from procession.policies import Policy, policy

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any, Literal, Never, ParamSpec, TypeVar, Unpack

    from procession.captured import Captured
    from procession.policies import Backoff, RetryOn
    from procession.pool import Pool, PoolStats
    from procession.seeding import Seeds
    from procession.seeing.sources import Progress
    from procession.typed import OptionWords
    from procession.typed_streams import CapturedStreams
    from procession.typed_streams import TypedStreams as PoolStreams
    from procession.types import Failure

    P = ParamSpec("P")
    T = TypeVar("T")
else:
    from procession.pool_streams import PoolStreams

    class CapturedStreams:
        """What CapturingView has is more only for type checkers."""


class PoolFace(PoolStreams):
    """An Executor that hands its work to one pool's engine, under the policy of a view."""

    # -- one call ----------------------------------------------------------------------------------------------------

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn(*args, **kwargs)` on a worker; returns its Future, at once.

        Arguments are pickled here and now where the backend pickles: what is changed later is not seen. What cannot be
        pickled gives a future that has failed with `PicklingError`. Raises RuntimeError after shutdown and in a forked
        child, `WorkerStartError` when workers cannot start, TypeError when `fn` is not callable. With `max_pending`
        see `Pool`.
        """
        engine = self._engine
        if not callable(fn):
            options.check_fn(fn)  # type: ignore[unreachable]  # for those without a type checker
        if self._captures:
            fn = self._capturing(fn)
        try:
            if self._seeds is None:
                function = engine.function(fn, self._name)
            else:
                function, args = self._seeds.call(engine, fn, args, self._name)  # type: ignore[assignment]
            around = _here(engine) if copy_context() else None
            future: CallFuture[T] = CallFuture(function, engine.encode(function, args, kwargs, around))
        except PicklingError as error:
            return self._never_sent(error)
        if self._rules is not None:
            future.obey(self._rules)
        if self._room is None:
            engine.post_call(future)
        else:
            self._room.submit(future)
        return future

    async def acall(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`submit`, and await the result. Cancelling the awaiting task cancels the call, as its `Future.cancel` does.

        With `max_pending` and overflow "block" it awaits room. Raises what the call raises, and what `submit` raises.
        """
        from procession.coroutines import result_of

        engine = self._engine
        options.check_fn(fn)
        if self._captures:
            fn = self._capturing(fn)
        if self._seeds is None:
            function = engine.function(fn, self._name)
        else:
            function, args = self._seeds.call(engine, fn, args, self._name)  # type: ignore[assignment]
        around = _here(engine) if copy_context() else None
        future: CallFuture[T] = CallFuture(function, engine.encode(function, args, kwargs, around))
        if self._rules is not None:
            future.obey(self._rules)
        if self._room is None:
            engine.post_call(future)
        else:
            await self._room.asubmit(future)
        return await result_of(future)

    def _never_sent(self, error: BaseException) -> Future[Any]:
        self._engine.post([])  # a pool that takes no work says so first
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        future.set_exception(error)
        return future

    def share(self, obj: T) -> T:
        """A handle that stands for `obj` in the arguments of tasks, which get the object: its bytes travel once.

        Worker processes: pickled here and now, into shared memory; each worker loads it once, when a task first brings
        it, and keeps it as long as the handle lives. Arrays in it are not copied at all: all workers look at the same
        memory, and may not write to it. What else it is made of each worker has for itself: a task that changes it
        changes it for the later tasks of that worker. When the arena is full or there is none, it travels with each
        task. The handle may be inside an argument, serves all pools of processes of this program, and is of no other
        use: it is not the object, though its type says so, which is what a type checker is to see where it is passed.

        Threads, inline: the object itself.

        Raises PicklingError when it cannot be pickled.
        """
        shared: T = self._engine.share(obj)
        return shared

    def replay(self, failure: Failure) -> Any:
        """Run an item that failed once more, here: in this thread, where a debugger stops in it.

        failure: what an `on_error=` callable was given, of any pool, SpinOff or pipeline; also after these have ended,
            and after it was pickled, in another program.

        It is called as it was, with the arguments that the failure holds (no copies), and draws the random numbers that
        it drew (`rng()`). The initializer and the setup of its workers run before it, and the teardown after it, as
        with `backend="inline"`: `state()` is there, and what an initializer changes is changed in this process. There
        is no timeout, no memory limit, and no further run.

        Returns what the function returns: of a batch, which it then is alone in, its own output; of `Stage(many=True)`
        the list of outputs. Raises what it raises, with its traceback, and what initializer and setup raise; TypeError
        for what is no Failure, ValueError for one that was made by hand, and RuntimeError when it was pickled and its
        function cannot be had.

        A failure that was pickled names functions that can be imported, so what has been repaired since is what runs;
        lambdas, and functions of `__main__`, go with it as they were.
        """
        from procession.replaying import replay

        return replay(failure)

    # -- policy ------------------------------------------------------------------------------------------------------

    @overload
    def options(self, *, capture: Literal[True], **words: Unpack[OptionWords]) -> CapturingView: ...

    @overload
    def options(self, *, capture: Literal[False] | None = None, **words: Unpack[OptionWords]) -> PoolView: ...

    def options(
        self,
        *,
        timeout: float | None = None,
        queue_timeout: float | None = None,
        grace: float | None = None,
        retries: int | None = None,
        retry_on: RetryOn | None = None,
        backoff: Backoff | None = None,
        priority: int | None = None,
        name: str | None = None,
        progress: Progress | None = None,
        seed: int | None = None,
        capture: bool | None = None,
        resources: Mapping[str, float] | None = None,
        **wrong: Never,
    ) -> PoolView:
        """A view of the pool: an Executor whose work is handed over under this policy. Views merge when chained.

        None means: as before. Times are in seconds.

        timeout: one run of a task may take so long, from its start. Then it fails with `TaskTimeout`, which shows where
            it was, and its worker is killed and replaced.
        queue_timeout: a task may wait for its first run so long, from the submit; then it fails with `TaskTimeout`.
        grace: before a worker is killed, for a timeout or a cancel, its task is asked to end by itself
            (`procession.cancelled()`), and gets so long.
        retries: so many further runs of a task that fails; the last outcome is the task's, and the errors of the others
            are its notes. One that kills its worker every time fails with `PoisonTask`.
        retry_on: the exception class, or classes, after which there is a further run; else Exception, which includes
            `WorkerDied` and `TaskTimeout`.
        backoff: the wait before a further run: seconds, doubled each time and lengthened by up to a quarter at random
            (the same in each run of a program); or a callable that is given 1, 2, ... and returns seconds. Else none.
        priority: higher first. A point is worth a second of waiting.
        name: what messages, stats and timelines call the tasks.
        progress: for its map, imap, aimap and stream, see `imap`; what they are told themselves goes before.
        seed: as `imap` has it, for its map, imap and aimap; and for its submit and acall, by how many calls were
            submitted through this view before (and through those made of it that say no other seed).
        capture: True: what a task has come to is a `Captured`: the value, and what it has written to stdout and stderr,
            which is not printed then. An error has it too (`Captured.of(error)`), and the last lines as a note; so have
            `WorkerDied`, `TaskTimeout` and `MemoryLimit`. In worker processes that is all that arrives there, also from
            C code and from programs that the task runs. On threads and inline it is what the task's own thread writes
            to `sys.stdout` and `sys.stderr`. Not for `stream`.
        resources: (ray, dask) its tasks run on workers that have so much of the cluster, as the cluster names it, each
            of them: {"GPU": 1}; "CPU" is 1 unless it says otherwise. These workers are apart from the pool's others, as
            many again at most.

        Its shutdown, and its with block, are the pool's. Raises TypeError and ValueError for what makes no sense.
        """
        if wrong:
            options.refuse_words("options", wrong, options.OPTIONS_MEANT)
        options.check_name(name)
        options.check_resources(resources, self._pool()._backend)
        from procession.seeing.progress import check_progress

        if progress is not None:
            check_progress(progress)
        said = policy(
            timeout=timeout,
            queue_timeout=queue_timeout,
            grace=grace,
            retries=retries,
            retry_on=retry_on,
            backoff=backoff,
            priority=priority,
        )
        chosen = self._progress if progress is None else progress
        name = name if name is not None else self._name
        seeds = self._seeds
        if capture is not None and not isinstance(capture, bool):
            raise TypeError(f"capture must be True, False or None (as before), not {options.kind(capture)}")
        if seed is not None:
            from procession.seeding import Seeds
            from procession.worker.chance import check_seed

            check_seed(seed)
            seeds = Seeds(seed)
        merged = self._policy.merged(said)
        engine = self._engine if resources is None else self._pool()._engine.having(resources)
        if self._captures if capture is None else capture:
            return CapturingView(self._pool(), name, chosen, merged, seeds, engine, captures=True)
        return PoolView(self._pool(), name, chosen, merged, seeds, engine)


_surroundings: list[Any] = []
"""The module, once a context variable is set."""


def _load() -> None:
    from procession import surroundings

    _surroundings.append(surroundings)


def _module() -> Any:
    """Not imported by the main thread: a signal handler may submit in the middle of that."""
    if not _surroundings:
        unstruck(_load)
    return _surroundings[0]


def _here(engine: Any) -> Any:
    """See `surroundings.here`."""
    return _module().here(engine)


def _look(context: Any) -> int:
    """See `surroundings.look`."""
    answer: int = _module().look(context)
    return answer


if native is not None:
    native.set_look(_look)
    PoolFace.submit = native.Quick("submit", PoolFace.submit)  # type: ignore[method-assign]


class PoolView(PoolFace):
    """A pool under a policy; made by `options()`."""

    def __init__(
        self,
        pool: Pool,
        name: str | None,
        progress: Progress,
        policy: Policy,
        seeds: Seeds | None,
        engine: Any = None,
        captures: bool = False,
    ) -> None:
        self._viewed = pool
        self._captures = captures
        self._seeds = seeds
        self._engine = pool._engine if engine is None else engine
        self._room = pool._room
        self._name = name
        self._progress = progress
        self._policy = policy
        self._rules = policy.rules()
        if self._rules is not None:
            self._engine.obey()

    def _pool(self) -> Pool:
        return self._viewed

    if TYPE_CHECKING:
        # The pool's, all of them.
        dashboard: str | None

        def stats(self) -> PoolStats: ...
        def dump(self) -> str: ...
        def terminate_workers(self) -> None: ...
        def kill_workers(self) -> None: ...

    else:

        def __getattr__(self, name: str) -> Any:
            return getattr(self._viewed, name)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """The pool's."""
        self._viewed.shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(self, *exc_info: Any) -> None:
        self._viewed.__exit__(*exc_info)

    async def __aenter__(self) -> PoolView:
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await self._viewed.__aexit__(*exc_info)

    def __repr__(self) -> str:
        return f"<options(name={self._name!r}) of {self._viewed!r}>"


class CapturingView(CapturedStreams, PoolView):  # type: ignore[misc]  # what these give is more
    """A view under `options(capture=True)`: what its tasks come to is a `Captured`."""

    if TYPE_CHECKING:

        def submit(  # type: ignore[override]
            self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
        ) -> Future[Captured[T]]: ...

        async def acall(  # type: ignore[override]
            self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
        ) -> Captured[T]: ...

        @overload  # type: ignore[override]
        def options(self, *, capture: Literal[True] | None = None, **words: Unpack[OptionWords]) -> CapturingView: ...

        @overload
        def options(self, *, capture: Literal[False], **words: Unpack[OptionWords]) -> PoolView: ...

        def options(  # pyright: ignore[reportIncompatibleMethodOverride]
            self, **words: Any
        ) -> PoolView: ...
