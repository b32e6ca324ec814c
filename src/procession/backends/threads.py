"""What runs in a worker thread: leases, item by item.

Laws
1. A token is an entry of one of the worker's deques, and `popleft` is one step of the interpreter: who popped it owns
   the item. `withdraw` pops from the other end, on whatever thread steps the core, and counts what it got. So every
   item is either run here or counted there, never both, without a lock.
2. A finished call is answered at once, here, before the next token is taken; the core hears of it when it suits.
3. The outcome of a chunk's item is in `out`, where whoever steps the core can take it, before the next token is taken.
   It is handed over at latest when it is `FLUSH_NS` old and the next item is to start; when an item runs long, the
   host, asked by `watch`, takes what lies there meanwhile.
4. The outcome of a call that has rules is not answered here: it goes through `out`, so that whoever steps the core may
   have it run again, or drop it when this worker was given up meanwhile (`abandoned`).
5. Nothing of an item (function, arguments, result, exception) is referred to from here once it is answered.
"""

from __future__ import annotations

import logging
from _contextvars import Context, copy_context
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures._base import RUNNING
from functools import partial
from queue import SimpleQueue
from threading import get_ident, get_native_id
from time import perf_counter_ns
from typing import Any, Protocol, cast

from procession import sharing
from procession.backends.apart import Apart
from procession.backends.base import Run, WorkerConfig
from procession.backends.functions import ThreadFunction
from procession.backends.gate import Gate
from procession.backends.saying import said, say
from procession.backends.stacks import without_ours
from procession.backends.tasks import CallFuture, ChunkTask
from procession.core.task import Task
from procession.types import Raised
from procession.worker import asked, state
from procession.worker.surroundings import Local

FLUSH_NS = 1_000_000

Body = tuple[tuple[Any, ...], Mapping[str, Any]] | tuple[tuple[Any, ...], Mapping[str, Any], Local]


class Segment:
    """Consecutive tokens of a lease: calls (`run` is None: the tokens are futures) or items of one chunk (bodies)."""

    __slots__ = ("born", "run", "start", "tokens", "tries")

    def __init__(self, tokens: deque[Any], run: Run | None, start: int = 0, tries: int = 0, born: int = 0) -> None:
        self.tokens = tokens
        self.run = run
        self.start = start  # the place of its first item in the stream
        self.tries = tries
        self.born = born


Work = list[Segment] | CallFuture[Any]
"""A lease; or one call taken from the inbox, past the core, by a worker that had nothing to do."""


class Host(Protocol):
    """The engine, as its worker threads know it."""

    watched: bool
    """Somebody will soon look whether something lies in a worker's `out`."""

    def ready(self, worker: ThreadWorker) -> None:
        """It will take leases now."""
        ...

    def start_failed(self, worker: ThreadWorker, error: BaseException) -> None:
        """Its initializer or setup raised; it ends."""
        ...

    def next_work(self, worker: ThreadWorker, items: int | None, busy_ns: int) -> Work | None:
        """The last work is done (None: there was none), `items` of it in `busy_ns`; waits for more. None: stop."""
        ...

    def answer(self, future: CallFuture[Any], outcome: Any) -> None:
        """This call has its outcome."""
        ...

    def flush(self, worker: ThreadWorker) -> None:
        """Take what lies in its `out`."""
        ...

    def watch(self) -> None:
        """See `watched`."""
        ...

    def end_generators(self, worker: ThreadWorker) -> BaseException | None:
        """It ends in order: close the generators that live there; returns the first error of these."""
        ...

    def gone(self, worker: ThreadWorker, teardown_error: BaseException | None) -> None:
        """The last that is heard of it."""
        ...


class ThreadWorker:
    """One worker: what it has in hand, and the loop that its thread runs."""

    def __init__(self, wid: int, host: Host, config: WorkerConfig, among: int = 1) -> None:
        self.wid = wid
        self.among = among
        self.host = host
        self.config = config
        self.bell: SimpleQueue[object] = SimpleQueue()
        self.ring = self.bell.put
        self.direct: CallFuture[Any] | None = None  # the call that it runs, taken past the core
        self.told = False  # the core was told of it meanwhile
        self.ident = self.native = 0
        self.moved_at = 0  # when it took what it has in hand, or something of that was heard of last, in ns
        self.leases: deque[list[Segment]] = deque()  # the first is the one being run, until it is done
        self.current: Segment | None = None  # whose outcomes lie in `out`; changes only while that is empty
        self.out: deque[Any] = deque()
        self.begun = Gate()  # it has taken its first lease
        self.stopping = False
        self.killed = False
        self.abandoned = False  # its outcomes are nobody's
        self.running: CallFuture[Any] | None = None
        self.begun_items = 0  # of ruled chunks
        self.asked_item = -1  # which of these has been asked to end
        self.context = Context()  # what initializer and setup have left
        self.apart: Apart  # runs in copies of it

    # -- the other side: called under the host's lock ------------------------------------------------------------------

    def issue(self, tasks: Sequence[Task]) -> None:
        """One more lease."""
        self.leases.append(list(_segments(tasks)))

    def withdraw(self) -> int:
        """Take back every token that is left, the last one first; returns how many there were."""
        count = 0
        for lease in reversed(self.leases):
            for segment in reversed(lease):
                pop = segment.tokens.pop
                try:
                    while True:
                        pop()
                        count += 1
                except IndexError:
                    pass
        return count

    def harvest(self) -> tuple[Segment | None, list[Any]]:
        """What lies in `out`, and whose it is."""
        take = self.out.popleft
        self.moved_at = perf_counter_ns()
        return self.current, [take() for _ in range(len(self.out))]

    # -- this side -------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """The life of the thread."""
        host = self.host
        self.ident, self.native = get_ident(), get_native_id()
        sharing.divide(self.among)
        asked.answer_for_thread(self._is_asked)
        try:
            self._prepare()
        except BaseException as error:
            host.start_failed(self, error)
            return
        self.context = copy_context()
        self.apart = Apart(self.context)
        host.ready(self)
        work = host.next_work(self, None, 0)
        while work is not None:
            began = self.moved_at = perf_counter_ns()
            if isinstance(work, list):
                items = self._run_lease(work)
            else:
                items = 1
                host.answer(work, self._invoke(work))
            work = None
            work = host.next_work(self, items, perf_counter_ns() - began)
        self.apart.leave()
        host.gone(self, self._teardown())

    def _run_lease(self, lease: list[Segment]) -> int:
        items = 0
        for segment in lease:
            if self.out:
                self.host.flush(self)
            self.current = segment
            items += self._run_calls(segment) if segment.run is None else self._run_items(segment, segment.run)
        return items

    def _prepare(self) -> None:
        config = self.config
        try:
            if config.initializer is not None:
                config.initializer(*config.initargs)
            if config.setup is not None:
                state.enter_setup(config.setup)
        except BaseException as error:
            say(logging.CRITICAL, "Exception in initializer:", error=error, name="concurrent.futures")
            said()  # as with the stdlib, it is there when the first task hears of it
            raise

    def _teardown(self) -> BaseException | None:
        if self.killed:
            return None
        error = self.host.end_generators(self)
        try:
            if self.config.setup is not None:
                state.teardown()
        except BaseException as raised:
            return error or raised
        return error

    def _run_calls(self, segment: Segment) -> int:
        take, invoke, answer, publish = segment.tokens.popleft, self._invoke, self.host.answer, self.out.append
        items = 0
        while True:
            try:
                future = take()
            except IndexError:
                return items
            future._state = RUNNING  # its token is ours: nobody else changes its state any more
            future.started = True
            self.running = future
            outcome = invoke(future)
            self.running = None
            if future.rules is None:
                publish(None)  # first: whoever hears of the answer finds that this worker may be free
                answer(future, outcome)
            else:
                publish(outcome)
                self.host.flush(self)
            del future, outcome
            items += 1

    def ask(self, run: Run | None) -> None:
        """Let what runs here, of this run if it is of one, know that it is to end."""
        call = self.running
        if run is not None:
            self.asked_item = self.begun_items
        elif call is not None:
            call.asked = True

    def _is_asked(self) -> bool:
        call, segment = self.running or self.direct, self.current
        if call is not None:
            return call.asked
        if segment is None or segment.run is None:
            return False
        return segment.run.cancelled or self.asked_item == self.begun_items

    def _invoke(self, future: CallFuture[Any]) -> Any:
        function = cast(ThreadFunction, future.function)
        body = future.body
        if len(body) == 2:
            (args, kwargs), around = body, function.around
        else:
            args, kwargs, around = body
        del body
        if future.rules is None:
            future.function = function.shell
            future.body = None
        try:
            if function.with_state:
                args = state.state(), *args
            if around is None:
                return self.apart.run(function.fn, args, kwargs)
            return around.over(self.context).run(function.fn, *args, **kwargs)
        except BaseException as error:
            return _raised(error)

    def _invoker(self, segment: Segment) -> Callable[[Any], Any]:
        """What runs one body of a chunk."""
        assert segment.run is not None
        return _invoker(segment.run)

    def _run_items(self, segment: Segment, run: Run) -> int:
        host, tokens, publish = self.host, segment.tokens, self.out.append
        take, invoke = tokens.popleft, self._invoker(segment)
        around = cast(ThreadFunction, run.function).around
        call = self.apart.run_one if around is None else around.caller(self.context)
        flushed = perf_counter_ns()
        items = 0
        ruled = run.rules is not None
        while True:
            try:
                body = take()
            except IndexError:
                return items
            if ruled:
                self.begun_items += 1
            try:
                outcome = call(invoke, body)
            except BaseException as error:
                outcome = _raised(error)
            publish(outcome)
            del body, outcome
            items += 1
            if tokens:
                now = perf_counter_ns()
                if now - flushed > FLUSH_NS:
                    host.flush(self)
                    flushed = now
                elif not host.watched:
                    host.watch()


def _raised(error: BaseException) -> Raised:
    """Its traceback begins in the task: our frame lives on and would keep alive what it refers to (law 5)."""
    error.__traceback__ = without_ours(error.__traceback__)
    return Raised(error)


def _segments(tasks: Sequence[Task]) -> Iterator[Segment]:
    calls: deque[Any] = deque()
    for task in tasks:
        if isinstance(task, ChunkTask):
            if calls:
                yield Segment(calls, None)
                calls = deque()
            bodies = deque(task.bodies[task.low : task.low + task.size])
            yield Segment(bodies, task.run, task.start, task.tries, task.born)
        elif not task.started:  # else it runs already: its token is taken
            calls.append(task)
    if calls:
        yield Segment(calls, None)


def _invoker(run: Run) -> Callable[[Any], Any]:
    """The function of one body of this run."""
    function = run.function
    assert isinstance(function, ThreadFunction)
    fn: Callable[..., Any] = function.fn
    if function.with_state:
        fn = partial(fn, state.state())

    if run.whole:
        return fn

    def invoke(body: Body) -> Any:
        args, kwargs = body[:2]
        return fn(*args, **kwargs)

    return invoke
