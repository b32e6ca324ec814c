"""What hands work to a pool: the methods that `Pool` and the views of `options()` share."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from concurrent.futures import Executor, Future

from procession import options
from procession._native import native
from procession.backends.tasks import CallFuture
from procession.errors import PicklingError
from procession.policies import NO_POLICY, Policy, policy

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any, Never, ParamSpec, TypeVar

    from procession.core.rules import Rules
    from procession.observe.progress import Progress
    from procession.on_error import OnError
    from procession.policies import Backoff, RetryOn
    from procession.pool import Pool
    from procession.pool_room import Room
    from procession.stream_generator import GeneratorStream
    from procession.streams import Stream, Words

    P = ParamSpec("P")
    S = TypeVar("S")
    T = TypeVar("T")


def kept_by(holder: S, pool: object) -> S:
    """`holder`, which keeps `pool` from being dropped as long as it lives itself."""
    weakref.finalize(holder, _nothing, pool).atexit = False
    return holder


def _nothing(_pool: object) -> None:
    pass


class PoolFace(Executor, ABC):
    """An Executor that hands its work to one pool's engine, under the policy of a view."""

    _engine: Any  # `backends.base.Engine`, and the further words that ARCHITECTURE.md lists
    _door: Any = None  # the short way of plain calls, on the fast lane
    _room: Room | None = None
    _name: str | None = None
    _progress: Progress = False
    _policy: Policy = NO_POLICY
    _rules: Rules | None = None

    @abstractmethod
    def _pool(self) -> Pool: ...

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
        try:
            function = engine.function(fn, self._name)
            future: CallFuture[T] = CallFuture(function, engine.encode(function, args, kwargs))
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
        function = self._function(fn, many=False)
        future: CallFuture[T] = CallFuture(function, engine.encode(function, args, kwargs))
        if self._rules is not None:
            future.obey(self._rules)
        if self._room is None:
            engine.post_call(future)
        else:
            await self._room.asubmit(future)
        return await result_of(future)

    def _function(self, fn: Callable[..., Any], many: bool = True) -> Any:
        options.check_fn(fn)
        return self._engine.function(fn, self._name, many=many)

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

    # -- many --------------------------------------------------------------------------------------------------------

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        **wrong: Never,
    ) -> Iterator[T]:
        """`Executor.map` of CPython 3.14: results in order; all inputs are taken now unless `buffersize` is given.

        timeout: seconds from this call within which results may be waited for; then TimeoutError.
        chunksize: items a worker is given at once; None: by measured time. It changes nothing but speed.
        buffersize: items taken in and not yet yielded, at most; None: all.

        Every item before the first failure comes out; the error is raised at its place and ends the iterator; what
        waits is cancelled then, what runs finishes.
        """
        if wrong:
            options.refuse_words("map", wrong, options.MAP_MEANT)
        from procession import streams

        options.check_iterables("map", iterables)
        function = self._function(fn)
        words: dict[str, Any] = {"timeout": timeout, "chunksize": chunksize, "buffersize": buffersize}
        words.update(progress=self._progress, rules=self._rules)
        results = streams.map_(self._engine, function, iterables, **words)
        return results if buffersize is None else kept_by(results, self._pool())

    def imap(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        ordered: bool = True,
        window: int | None = None,
        buffer_bytes: int | None = None,
        spill: bool = False,
        key: Callable[..., Hashable] | None = None,
        sticky: bool = False,
        on_error: OnError = "raise",
        live: bool = False,
        chunksize: int | None = None,
        rate: float | None = None,
        progress: Progress = False,
        **wrong: Never,
    ) -> Stream[T]:
        """The results of `fn` over the items, lazily and bounded: endless inputs are fine. Starts at the call.

        ordered: in the order of the items (False: as they finish; with `key`, in order within each key).
        window: items taken in and not yet handed over, at most; None: as many as keep the workers busy, more while
            the results that wait for a slow one take less than 64 MiB.
        buffer_bytes: bytes of results that wait to be handed over, about. As many items start as there is room for
            their results, supposed to be as large as the largest of late; one starts in any case when the order waits
            for it. So what runs when a much larger one comes may exceed it.
        spill: at half of `buffer_bytes` results that wait go to a temporary file, and new work goes on.
        key: `key(*args)`; items of one key run one at a time and in order.
        sticky: with `key`, all items of a key go to the worker that ran its first, so that the key's state can live
            there, in a global or in `state()`. They wait for it, even if others idle. When that worker is gone (it
            died, a timeout killed it, it was replaced, the pool was made smaller) the next item goes to any worker,
            finds no such state there, and the key stays there. Each key is kept as long as the stream, with some
            hundred bytes. `stats()` says which key most items wait for.
        on_error: "raise" (the stream ends, and what waits is cancelled), "return" (the exception in the item's place),
            "skip", or a callable that gets a `Failure` at the item's place.
        live: pull the input in a thread of its own, so that an input that waits holds no finished result back.
        chunksize: items a worker is given at once; None: by measured time.
        rate: so many items start per second at most, evenly spread and one by one: no two together (of more than 100
            per second, a hundredth of a second's worth). Further runs count.
        progress: True for a bar (needs the extra "progress"), or a callable `progress(done, total)`.

        The iterator has `close()`, and is a context manager that closes it.
        """
        if wrong:
            options.refuse_words("imap", wrong, options.STREAM_MEANT)
        bounds = {"window": window, "chunksize": chunksize, "buffer_bytes": buffer_bytes, "spill": spill}
        keys = {"key": key, "sticky": sticky, "rate": rate}
        words = self._words(progress, ordered=ordered, on_error=on_error, live=live, **bounds, **keys)
        return self._stream("imap", fn, iterables, words)

    def imap_unordered(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        window: int | None = None,
        buffer_bytes: int | None = None,
        spill: bool = False,
        key: Callable[..., Hashable] | None = None,
        sticky: bool = False,
        on_error: OnError = "raise",
        live: bool = False,
        chunksize: int | None = None,
        rate: float | None = None,
        progress: Progress = False,
        **wrong: Never,
    ) -> Stream[T]:
        """`imap(ordered=False)`: results as they finish."""
        if wrong:
            options.refuse_words("imap_unordered", wrong, options.STREAM_MEANT)
        bounds = {"window": window, "chunksize": chunksize, "buffer_bytes": buffer_bytes, "spill": spill}
        keys = {"key": key, "sticky": sticky, "rate": rate}
        words = self._words(progress, ordered=False, on_error=on_error, live=live, **bounds, **keys)
        return self._stream("imap_unordered", fn, iterables, words)

    def aimap(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any] | AsyncIterator[Any],
        ordered: bool = True,
        window: int | None = None,
        buffer_bytes: int | None = None,
        spill: bool = False,
        key: Callable[..., Hashable] | None = None,
        sticky: bool = False,
        on_error: OnError = "raise",
        live: bool = False,
        chunksize: int | None = None,
        rate: float | None = None,
        progress: Progress = False,
        **wrong: Never,
    ) -> AsyncIterator[T]:
        """`imap` for `async for`, over synchronous or asynchronous inputs; waiting does not block the event loop."""
        if wrong:
            options.refuse_words("aimap", wrong, options.STREAM_MEANT)
        from procession import streams_async

        bounds = {"window": window, "chunksize": chunksize, "buffer_bytes": buffer_bytes, "spill": spill}
        keys = {"key": key, "sticky": sticky, "rate": rate}
        words = self._words(progress, ordered=ordered, on_error=on_error, live=live, **bounds, **keys)
        options.check_iterables("aimap", iterables, asynchronous=True)
        function = self._function(fn)
        return kept_by(streams_async.aimap(self._engine, function, iterables, words), self._pool())

    def stream(self, fn: Callable[P, Iterable[T]], /, *args: P.args, **kwargs: P.kwargs) -> GeneratorStream[T]:
        """What `fn(*args, **kwargs)` yields on a worker, as it is yielded; `fn` is a generator function, or any other
        that returns an iterable. Starts at the call.

        At most a window of values waits to be taken, then the generator is not asked for more: 2 at first, up to 1,000
        while they are taken faster than they come, and no more than some 64 MiB. It runs in turns, of some 20 ms where
        it is not slower than that to yield; between these its worker is free for other tasks. So it costs no worker
        while its taker is slow, and there may be many more streams than workers. All its turns run on one worker, which
        is not replaced until it has ended.

        What it raises comes out behind what it has yielded, and ends the iterator; so does `WorkerDied`, when its
        worker is gone, and `TypeError`, when what `fn` returns cannot be iterated over.

        Under a policy (`options`): `timeout` is how long it may take to its next value, or to its end. `queue_timeout`
        is for its begin. `retries` are further runs from the beginning, that are for the whole stream: what had come
        already is skipped, so it must yield the same again.

        A pool that is shut down starts no further turn: then RuntimeError comes behind what had been yielded, and the
        generator is closed.

        Raises PicklingError, TypeError and what `submit` raises. The result is an iterator, also for `async for`, has
        `close()` and `stats()`, and is a context manager that closes it.
        """
        from procession import stream_generator

        options.check_fn(fn)
        made = stream_generator.stream(self._engine, fn, args, kwargs, self._name, self._rules)
        return kept_by(made, self._pool())

    def _words(self, progress: Progress, **words: Any) -> Words:
        from procession import streams

        return streams.Words(progress=progress or self._progress, rules=self._rules, **words)

    def _stream(self, call: str, fn: Callable[..., T], iterables: Iterable[Any], words: Words) -> Stream[T]:
        from procession import streams

        options.check_iterables(call, iterables)
        function = self._function(fn)
        return kept_by(streams.imap(self._engine, function, tuple(iterables), words), self._pool())

    # -- policy ------------------------------------------------------------------------------------------------------

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
        progress: for its map, imap and aimap, see `imap`.

        Its shutdown, and its with block, are the pool's. Raises TypeError and ValueError for what makes no sense.
        """
        if wrong:
            options.refuse_words("options", wrong, options.OPTIONS_MEANT)
        options.check_name(name)
        from procession.observe.progress import check_progress

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
        return PoolView(self._pool(), name, chosen, self._policy.merged(said))


if native is not None:
    PoolFace.submit = native.Quick("submit", PoolFace.submit)  # type: ignore[method-assign]


class PoolView(PoolFace):
    """A pool under a policy; made by `options()`."""

    def __init__(self, pool: Pool, name: str | None, progress: Progress, policy: Policy) -> None:
        self._viewed = pool
        self._engine = pool._engine
        self._room = pool._room
        self._name = name
        self._progress = progress
        self._policy = policy
        self._rules = policy.rules()
        if self._rules is not None:
            self._engine.obey()

    def _pool(self) -> Pool:
        return self._viewed

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
