"""SpinOff: a worker (or several) at the other end of a queue, in order, from which a loop need never wait."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never

from procession import options, spinoff_ending, spinoff_gate, spinoff_putting, spinoff_room, spinoff_words
from procession._native import native
from procession.core.flow import NOTHING
from procession.engines import make_engine as _make_engine
from procession.on_error import OnError
from procession.options import Backend, Overflow
from procession.policies import rules_of
from procession.seeing.sources import Progress
from procession.spinoff_core import Words, funnel_of
from procession.spinoff_outlet import SpinOutlet
from procession.spinoff_stats import SpinOffStats, stats_of

if TYPE_CHECKING:
    from typing import Generic, Unpack, overload

    from procession.captured import Captured
    from procession.journal import Journal
    from procession.policies import Backoff, RetryOn
    from procession.typed import (
        MYPY,
        A,
        B,
        BatchSpinReturns,
        BatchSpinWords,
        CapturingSpinReturns,
        CapturingSpinWords,
        Item,
        Lambda,
        Result,
        S,
        Setup,
        SpinReturns,
        SpinWords,
        StatefulBatchSpinReturns,
        StatefulBatchSpinWords,
        StatefulSpinReturns,
        StatefulSpinWords,
    )
else:
    from procession.lean import Generic
    from procession.lean import T as Item
    from procession.lean import T as Result


class SpinOff(Generic[Item, Result]):
    """Runs `fn` on each item that is put, on workers of its own, and hands results over in the order of the puts.

    fn: called as `fn(item)`, or as `fn(state, item)` when `setup` is given, where `state` is what `setup()` returned
        (or entered, if it is a context manager) in that worker.
    workers: how many. One runs strictly in order, but for further runs (`retries`), which come later where there is no
        `key`; more of them run side by side and hand over in order.
    backend: "processes", "threads", "ray", "dask", or "inline", which runs each item at once in the thread that puts
        it; with `batch` or `rate` in a thread of the SpinOff, when its time has come.
    maxsize: items taken in and not yet handed over, at most; 0 = no bound.
    buffer_bytes: bytes of results that wait to be taken, about: items that were put start only as there is room for
        their results, supposed to be as large as the largest of late; the one that the order waits for, always.
        While somebody waits in `flush()`, `join()` or at the end of the with block, nothing is bounded: all can finish.
    overflow: what `put` does when that many are: "block" (waits), "drop_oldest" (the oldest item that has not started,
        else the oldest result that nobody took, else the new item), "drop_newest" (the new item), "raise" (`Full`).
    iterate: results wait to be taken by iteration or `ready()`. False: only futures; nothing accumulates, iterating
        raises TypeError, and failures are logged on "procession" unless on_error says otherwise.
    on_result: `on_result(result)` is called in order on one thread of the SpinOff, and implies iterate=False; what it
        raises is logged.
    on_error: for an item that failed, at its place: "raise" (the next `next()` goes on), "return" (the exception in
        the item's place), "skip", or a callable that gets a `Failure`.
    ordered: False hands over as items finish.
    key: `key(item)`; items of one key run one at a time and in order.
    sticky: with `key`: a key's items go to one worker while that lives, and its state can live there; see `Pool.imap`.
    batch: up to so many items are given to `fn` as one list, for which it returns as many results, in order. A batch
        goes to a worker that is free when it is full, or when no more can come now: the SpinOff is closed, somebody
        flushes, or it is full and nothing runs. Each item has its future and its outcome as ever. Timeouts and retries
        are those of a whole batch; one that was ended from outside (its worker died, it took too long, too much memory)
        is tried again item by item, so that one bad item takes no others along. With `key` there is at most one item
        of a key in a batch.
    max_wait: seconds after which a batch goes that is not full, from when its oldest item was put; None: it waits.
        Give one where results are waited for before more is put.
    rate: so many calls of `fn` start per second at most, evenly spread: no two together (of more than 100 per second,
        a hundredth of a second's worth). Further runs count. What waits can be dropped or cancelled.
    seed: `rng()` and `np_rng()` give an item the same random numbers whenever it runs with this seed, by how many were
        put before it (those that were dropped count; with a journal only those that were accepted, by all programs).
    setup, initializer, initargs: run once in each worker before its first item; setup's context manager is left when
        the worker ends in order, and what that raises comes out of `join` or the end of the with block.
    progress: as of `Pool.imap`; the total is None until it is closed, and a callable is called on one thread of it.
    name: what messages call it.
    timeout, queue_timeout, grace, retries, retry_on, backoff, priority: for each item, see `Pool.options`.
    capture: True: a result is a `Captured`, which has what was written as well; see `Pool.options`. Not with `batch`.
    journal: a path, or a `Journal`: what is put, and what comes of it, is kept in this file, so that after a crash the
        next program goes on. `put` returns when the item is on the disk. Items that were accepted and not handed over
        come first the next time, in their old order: those with an outcome are not run again. A result counts as handed
        over when the next is asked for. Items and results must be picklable, or plain (JSON). See docs/journal.md.
        Raises JournalError when the file belongs to something else, is in use, or cannot be written.
    item_id: with `journal`: `item_id(item)`, a str, an int or bytes. An item whose id the file knows already is not
        taken in again: `put` returns its Future, or one with its outcome.

    Leaving its with block closes it and waits for the end; results that nobody took can be iterated after the block.
    Left by an exception it is cancelled, by KeyboardInterrupt its workers are killed.
    """

    if TYPE_CHECKING:
        if not MYPY:  # see typed.pyi

            @overload
            def __init__(self: SpinOff[A, B], fn: Lambda[A, B], **words: Unpack[SpinWords[A, B]]) -> None: ...
            @overload
            def __init__(
                self: SpinOff[A, B | BaseException], fn: Lambda[A, B], **words: Unpack[SpinReturns[A, B]]
            ) -> None: ...

        @overload
        def __init__(self: SpinOff[A, B], fn: Callable[[A], B], **words: Unpack[SpinWords[A, B]]) -> None: ...
        @overload
        def __init__(
            self: SpinOff[A, B | BaseException], fn: Callable[[A], B], **words: Unpack[SpinReturns[A, B]]
        ) -> None: ...
        @overload
        def __init__(
            self: SpinOff[A, B], fn: Callable[[S, A], B], *, setup: Setup[S], **words: Unpack[StatefulSpinWords[A, B]]
        ) -> None: ...
        @overload
        def __init__(
            self: SpinOff[A, B | BaseException],
            fn: Callable[[S, A], B],
            *,
            setup: Setup[S],
            **words: Unpack[StatefulSpinReturns[A, B]],
        ) -> None: ...
        @overload
        def __init__(
            self: SpinOff[A, B], fn: Callable[[list[A]], Iterable[B]], **words: Unpack[BatchSpinWords[A, B]]
        ) -> None: ...
        @overload
        def __init__(
            self: SpinOff[A, B | BaseException],
            fn: Callable[[list[A]], Iterable[B]],
            **words: Unpack[BatchSpinReturns[A, B]],
        ) -> None: ...
        @overload
        def __init__(
            self: SpinOff[A, B],
            fn: Callable[[S, list[A]], Iterable[B]],
            *,
            setup: Setup[S],
            **words: Unpack[StatefulBatchSpinWords[A, B]],
        ) -> None: ...
        @overload
        def __init__(
            self: SpinOff[A, B | BaseException],
            fn: Callable[[S, list[A]], Iterable[B]],
            *,
            setup: Setup[S],
            **words: Unpack[StatefulBatchSpinReturns[A, B]],
        ) -> None: ...
        @overload
        def __init__(
            self: SpinOff[Any, Captured[B]], fn: Callable[..., B], **words: Unpack[CapturingSpinWords[Captured[B]]]
        ) -> None: ...
        @overload
        def __init__(
            self: SpinOff[Any, Captured[B] | BaseException],
            fn: Callable[..., B],
            **words: Unpack[CapturingSpinReturns[Captured[B] | BaseException]],
        ) -> None: ...

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        workers: int = 1,
        backend: Backend = "processes",
        maxsize: int = 1000,
        buffer_bytes: int | None = None,
        overflow: Overflow = "block",
        iterate: bool = True,
        on_result: Callable[[Any], object] | None = None,
        on_error: OnError = "raise",
        ordered: bool = True,
        key: Callable[[Any], Hashable] | None = None,
        sticky: bool = False,
        batch: int | None = None,
        max_wait: float | None = None,
        rate: float | None = None,
        seed: int | None = None,
        setup: Callable[[], object] | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        progress: Progress = False,
        name: str | None = None,
        timeout: float | None = None,
        queue_timeout: float | None = None,
        grace: float | None = None,
        retries: int | None = None,
        retry_on: RetryOn | None = None,
        backoff: Backoff | None = None,
        priority: int | None = None,
        resources: Mapping[str, float] | None = None,
        capture: bool = False,
        journal: str | os.PathLike[str] | Journal | None = None,
        item_id: Callable[[Any], int | str | bytes] | None = None,
        **wrong: Never,
    ) -> None:
        options.refuse_words("SpinOff", wrong, spinoff_words.MEANT)
        rules = rules_of(timeout, queue_timeout, grace, retries, retry_on, backoff, priority)
        told = (iterate and on_result is None, on_result, on_error, ordered, key, sticky, rules)
        words = Words(maxsize, buffer_bytes, overflow, *told, batch, max_wait, rate, seed, capture, journal, item_id)
        spinoff_gate.check(fn, name, workers, words, progress)
        config = spinoff_words.worker_config(setup, initializer, initargs, resources, backend)
        with spinoff_gate.open_journal(fn, words) as file:
            engine = _make_engine(backend, workers, config)
            self._core = core = spinoff_gate.core(engine, fn, name, words, progress, config, file)
            self._outlet = spinoff_gate.outlet(core)
            self._funnel = funnel_of(core)
            spinoff_ending.look_after(self, core)
            spinoff_gate.begin(core)

    # -- in --------------------------------------------------------------------------------------------------------

    def put(self, item: Item, *, timeout: float | None = None) -> Future[Result]:
        """Take `item` in; returns its Future.

        When it is full, see `overflow`: "block" waits, at most `timeout` seconds (None: as long as it takes), then
        raises `Full`. It raises `Full` at once where waiting would be for ever, because what fills it is results and
        nobody takes them (after 2 s, if the putting thread is the only one that ever took any), and in a thread that
        runs an event loop (see `aput`). Raises RuntimeError after the end, and what `key` raises. An item that cannot
        be pickled fails by its Future.
        """
        core = self._core
        if core.kept is not None:
            return core.kept.inlet.put(item, timeout)
        deadline: float | None = None if timeout is None else monotonic() + timeout
        lane = None if core.key is None else core.lane(item)
        future, error = core.make(item)
        return spinoff_putting.put_made(core, future, error, lane, deadline)

    def put_many(self, items: Iterable[Item]) -> list[Future[Result]]:
        """`put` each of `items`, in order; returns their Futures.

        It is no unit: when one raises, as `put` does, or `items` do, what was put before stays put and runs. A note of
        the error says how many these were, and a `Full` has their Futures (`taken`). An item that overflow drops is
        there as a cancelled Future, as with `put`.
        """
        core = self._core
        return spinoff_putting.put_many(core, items) if core.kept is None else core.kept.inlet.put_many(items)

    async def aput(self, item: Item) -> Future[Result]:
        """`put` for coroutines: where put would block, it awaits room, however long that takes."""
        core = self._core
        if core.kept is not None:
            return await core.kept.inlet.aput(item)
        lane = None if core.key is None else core.lane(item)
        future, error = core.make(item)
        while not core.admit(future, error, lane):
            if spinoff_room.overflow(core, future):
                return future
            if core.words.overflow == "block":
                await core.room.asleep(core.may_put, core.look_again)
        core.pump()
        return future

    # -- out -------------------------------------------------------------------------------------------------------

    def ready(self) -> list[Result]:
        """What is finished at the head of the line, now; never waits.

        With on_error="raise", what comes before a failure is returned first, and the next call raises it.
        """
        funnel = self._funnel
        if funnel is not None and funnel.idle():
            return []
        return self._out.ready()

    def __iter__(self) -> Iterator[Result]:
        self._out  # noqa: B018  # TypeError where there is nothing to iterate
        return self

    def __next__(self) -> Result:
        """The next result in order; waits for it. StopIteration when it is closed and empty."""
        core, outlet = self._core, self._out
        while (value := outlet.next()) is NOTHING:
            core.bell.sleep(core.stirred, None, core.look_again)
        return value  # type: ignore[no-any-return]

    def __aiter__(self) -> AsyncIterator[Result]:
        self._out  # noqa: B018  # TypeError where there is nothing to iterate
        return self

    async def __anext__(self) -> Result:
        core, outlet = self._core, self._out
        if core.kept is not None:
            await core.kept.asked()
        try:
            while (value := outlet.next()) is NOTHING:
                await core.bell.asleep(core.stirred, core.look_again)
        except StopIteration:
            raise StopAsyncIteration from None
        return value  # type: ignore[no-any-return]

    @property
    def _out(self) -> SpinOutlet:
        outlet = self._outlet
        self._core.refuse_foreign()
        if outlet is None:
            raise TypeError("this SpinOff has iterate=False (or on_result=): there are futures, but nothing to iterate")
        return outlet

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """No more can be put; what was put runs. Returns at once. Results can be iterated until they are all taken."""
        self._core.close()

    def cancel(self) -> None:
        """Close, and cancel everything: what waits never runs, and what runs is ended as by `Future.cancel`."""
        self._core.cancel()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until everything has run and the workers are gone; False when that takes more than `timeout` seconds.

        Raises RuntimeError before `close()` or `cancel()`, and what the teardown of `setup` raised (of several
        workers: a BaseExceptionGroup), once. Failures of items do not come out here.
        """
        return spinoff_ending.join(self._core, timeout)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that has been put so far has finished; False when that takes more than `timeout` seconds.

        Meanwhile `buffer_bytes` bounds nothing, since results that nobody takes would keep others from starting.
        """
        return spinoff_ending.flush(self._core, timeout)

    def stats(self) -> SpinOffStats:
        """Numbers, now; with `key` also which key's items hold up the others of theirs (`hot_key`)."""
        return stats_of(self._core)

    def dump(self) -> str:
        """What its workers are at, see `Pool.dump`."""
        return self._core.engine.dump()

    def __enter__(self) -> SpinOff[Item, Result]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        spinoff_ending.leave(self._core, kind)

    async def __aenter__(self) -> SpinOff[Item, Result]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        from procession.coroutines import in_thread

        if self._core.kept is not None and kind is None:
            await self._core.kept.aleft()
        await in_thread(spinoff_ending.leave, self._core, kind)


if native is not None:  # what is plain takes a short way
    SpinOff.put = native.Quick("put", SpinOff.put)  # type: ignore[method-assign]
