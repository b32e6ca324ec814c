"""How a pool runs one function over many items: the maps and streams that `Pool` and the views of `options()` share."""

from __future__ import annotations

import weakref
from _contextvars import copy_context
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Executor

from procession import options
from procession.policies import NO_POLICY, Policy

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from collections.abc import AsyncIterable
    from os import PathLike
    from typing import Any, Never, ParamSpec, TypeVar

    from procession.core.rules import Rules
    from procession.journal import Journal
    from procession.on_error import OnError
    from procession.pool import Pool
    from procession.pool_room import Room
    from procession.seeding import Seeds
    from procession.seeing.sources import Progress
    from procession.stream_generator import GeneratorStream
    from procession.streams import Stream, Words
    from procession.streams_async import AsyncStream

    JournalWord = str | PathLike[str] | Journal | None

    P = ParamSpec("P")
    S = TypeVar("S")
    T = TypeVar("T")


def kept_by(holder: S, pool: object) -> S:
    """`holder`, which keeps `pool` from being dropped as long as it lives itself."""
    weakref.finalize(holder, _nothing, pool).atexit = False
    return holder


def _nothing(_pool: object) -> None:
    pass


class PoolStreams(Executor, ABC):
    """An Executor's work on many items."""

    _engine: Any  # `backends.base.Engine`, and the further words that ARCHITECTURE.md lists
    _door: Any = None  # the short way of plain calls, on the fast lane
    _room: Room | None = None
    _name: str | None = None
    _progress: Progress = False
    _policy: Policy = NO_POLICY
    _rules: Rules | None = None
    _seeds: Seeds | None = None
    _captures: bool = False

    @abstractmethod
    def _pool(self) -> Pool: ...

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
        Its progress is shown by `options(progress=...)`.

        Every item before the first failure comes out; the error is raised at its place and ends the iterator; what
        waits is cancelled then, what runs finishes.
        """
        if wrong:
            options.refuse_words("map", wrong, options.MAP_MEANT)
        from procession import streams

        options.check_iterables("map", iterables)
        function = self._function(fn, seed=self._seed_of(None))
        words: dict[str, Any] = {"timeout": timeout, "chunksize": chunksize, "buffersize": buffersize}
        words.update(progress=self._progress, rules=self._rules)
        results = streams.map_(self._engine, function, iterables, **words)
        return results if buffersize is None else kept_by(results, self._pool())

    def _gather(self, fn: Callable[..., T], items: Iterable[Any], *, starred: bool) -> list[Any]:
        """For adapters: a map that waits for every outcome; one that is no result is a `types.Raised`."""
        from procession import streams

        function = self._function(fn, seed=self._seed_of(None))
        return streams.gather(self._engine, function, items, self._rules, starred=starred)

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
        seed: int | None = None,
        progress: Progress = False,
        journal: JournalWord = None,
        item_id: Callable[..., str | int | bytes] | None = None,
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
        seed: `rng()` and `np_rng()` give an item the same random numbers whenever it runs with this seed, by its place
            in the input, whatever the backend, the workers and the chunks, and after a retry.
        progress: True for a bar on a terminal (needs the extra "progress"), a line in a notebook, nothing elsewhere:
            items that are completed, taken or not, how fast, how long it will take, errors, what the workers are at. A
            class like `tqdm`, what makes one (`partial(tqdm, desc="x")`), or one that is made: it is given the total,
            updated, and closed at the end, by a thread. Or a callable `progress(done, total)` (total None: not known
            yet), called by whoever takes, ten times a second at most, and with the last number. What of these raises is
            logged, and not used any more. See docs/seeing.md.
        journal: a path, or a `procession.Journal`: each outcome is committed to that file before it is handed over. The
            same call later, after a crash or a ^C, runs only what has no outcome there, and hands all over again, in
            order. Failures are outcomes, too, but for on_error="raise": then they run again. See docs/journal.md.
        item_id: with `journal`, `item_id(*args)`, a str, int or bytes: what makes an item the same when the call comes
            again. None: its place in the input, where it must then be found again.

        Raises JournalError where the journal belongs to something else, is in use, or cannot be read or written; while
        it goes on the stream ends with it, whatever `on_error` says.

        The iterator has `close()`, and is a context manager that closes it.
        """
        options.refuse_words("imap", wrong, options.STREAM_MEANT)
        bounds = {"window": window, "chunksize": chunksize, "buffer_bytes": buffer_bytes, "spill": spill}
        keys: dict[str, Any] = {"journal": journal, "item_id": item_id}
        keys |= {"key": key, "sticky": sticky, "rate": rate, "seed": self._seed_of(seed)}
        words = self._words(fn, progress, ordered=ordered, on_error=on_error, live=live, **bounds, **keys)
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
        seed: int | None = None,
        progress: Progress = False,
        journal: JournalWord = None,
        item_id: Callable[..., str | int | bytes] | None = None,
        **wrong: Never,
    ) -> Stream[T]:
        """`imap(ordered=False)`: results as they finish."""
        options.refuse_words("imap_unordered", wrong, options.STREAM_MEANT)
        bounds = {"window": window, "chunksize": chunksize, "buffer_bytes": buffer_bytes, "spill": spill}
        keys: dict[str, Any] = {"journal": journal, "item_id": item_id}
        keys |= {"key": key, "sticky": sticky, "rate": rate, "seed": self._seed_of(seed)}
        words = self._words(fn, progress, ordered=False, on_error=on_error, live=live, **bounds, **keys)
        return self._stream("imap_unordered", fn, iterables, words)

    def aimap(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any] | AsyncIterable[Any],
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
        seed: int | None = None,
        progress: Progress = False,
        journal: JournalWord = None,
        item_id: Callable[..., str | int | bytes] | None = None,
        **wrong: Never,
    ) -> AsyncStream[T]:
        """`imap` for `async for`, over synchronous or asynchronous inputs; waiting does not block the event loop."""
        options.refuse_words("aimap", wrong, options.STREAM_MEANT)
        from procession import streams_async

        bounds = {"window": window, "chunksize": chunksize, "buffer_bytes": buffer_bytes, "spill": spill}
        keys: dict[str, Any] = {"journal": journal, "item_id": item_id}
        keys |= {"key": key, "sticky": sticky, "rate": rate, "seed": self._seed_of(seed)}
        words = self._words(fn, progress, ordered=ordered, on_error=on_error, live=live, **bounds, **keys)
        options.check_iterables("aimap", iterables, asynchronous=True)
        function = self._function(fn, seed=words.seed)
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

        `options(progress=...)` counts the values that it yields.

        A pool that is shut down starts no further turn: then RuntimeError comes behind what had been yielded, and the
        generator is closed.

        Raises PicklingError, TypeError and what `submit` raises. The result is an iterator, also for `async for`, has
        `close()` and `stats()`, and is a context manager that closes it.
        """
        from procession import stream_generator

        if self._captures:
            raise ValueError(
                "a view with capture=True has no stream(): the values of a generator come out while it goes on, and "
                "there is no result that could bear what it has written; have it yield that"
            )
        if self._seeds is not None:
            raise ValueError(
                "a view with a seed has no stream(): a generator has no place among others; begin a random.Random in it"
            )
        options.check_fn(fn)
        made = stream_generator.stream(self._engine, fn, args, kwargs, self._name, self._rules, self._progress)
        return kept_by(made, self._pool())

    def _capturing(self, fn: Callable[..., T]) -> Callable[..., T]:
        from procession.capturing import capturing

        return capturing(self._engine, fn)

    def _seed_of(self, seed: int | None) -> int | None:
        """What was said at the call, or else of the view."""
        if seed is not None:
            from procession.worker.chance import check_seed

            check_seed(seed)
            return seed
        return None if self._seeds is None else self._seeds.seed

    def _words(self, fn: Callable[..., Any], progress: Progress, journal: Any, item_id: Any, **words: Any) -> Words:
        from procession import streams

        options.check_fn(fn)
        if journal is not None or item_id is not None:
            from procession.stream_journal import Keeping

            words["keeping"] = Keeping(journal, item_id, fn, words["seed"], self._captures)
        rerun = None
        if callable(words["on_error"]):
            from procession.backends.functions import name_of
            from procession.replaying import Rerun

            rerun = Rerun(fn, self._name or name_of(fn), self._pool()._config, words["seed"])
        shown = self._progress if progress is False else progress
        return streams.Words(progress=shown, rules=self._rules, rerun=rerun, **words)

    def _stream(self, call: str, fn: Callable[..., T], iterables: Iterable[Any], words: Words) -> Stream[T]:
        from procession import streams

        options.check_iterables(call, iterables)
        function = self._function(fn, seed=words.seed)
        return kept_by(streams.imap(self._engine, function, tuple(iterables), words), self._pool())

    def _function(self, fn: Callable[..., Any], many: bool = True, seed: int | None = None) -> Any:
        options.check_fn(fn)
        if self._captures:
            fn = self._capturing(fn)
        around = None
        if many and copy_context():
            from procession import surroundings

            around = surroundings.here(self._engine)
        if seed is None and around is None:
            return self._engine.function(fn, self._name, many=many)
        from procession.seeding import wrapped

        return wrapped(self._engine, fn, seed, around, self._name)
