"""The engine that runs at once, in the caller's thread: for debuggers, coverage, and seeing what parallelism hides.

Laws
1. `post` returns when its tasks have been run. A task that submits to the same engine is run where it submits.
2. The initializer and the setup run once, before the first task, in the thread that posts it; if they raise, the
   engine is broken as any other would be. The teardown runs at shutdown, in the thread that leaves last.
3. What a task raises goes to its future, SystemExit included. KeyboardInterrupt goes to its future, too, and then on to
   the caller, since the interrupt was the caller's; what `post` had not begun by then it has not taken.
4. `pickle=True`: arguments and results are copied as the process backend would copy them, in the same thread. A
   function must be one that it could send; what runs is the original, so that breakpoints in it hold.
5. A task cannot be ended from outside. One that has a timeout is asked to end when that is over (`cancelled()`), and
   fails with TaskTimeout when it has ended. Nothing waits here: queue_timeout and priority have nothing to do.
Threads that post at once run their tasks at once: there is no lock around a task.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter_ns
from typing import Any, cast

from procession.backends import tasks
from procession.backends.base import Capabilities, EngineStats, Function, Run, WorkerConfig
from procession.backends.dumping import Dumps, Sheet, laid_out
from procession.backends.functions import FunctionTable, ThreadFunction
from procession.backends.inline_calls import PLAIN, InlineCalls
from procession.backends.inline_runs import Runs
from procession.backends.inline_tapped import TappedInline
from procession.backends.saying import said, say
from procession.backends.scripts import LocalScripts, is_turn
from procession.backends.stacks import stack_of, without_idle
from procession.backends.tasks import LOCK, CallFuture, ChunkTask
from procession.backends.unstruck import unstruck
from procession.core.task import Task
from procession.errors import WorkerStartError
from procession.types import Raised
from procession.worker.surroundings import Local

Body = tuple[tuple[Any, ...], Mapping[str, Any]] | tuple[tuple[Any, ...], Mapping[str, Any], Local]

FLUSH_NS = 1_000_000
"""The outcomes of a chunk are told at the latest when they are this old and another item has ended."""


class InlineEngine(Dumps, LocalScripts, TappedInline):
    """See `backends.base.Engine`."""

    max_workers = at_once = 1
    foreign = False
    broken: BaseException | None = None

    def __init__(self, config: WorkerConfig | None = None, *, pickle: bool = False) -> None:
        self.capabilities = Capabilities("inline", can_kill=False, owns_workers=False, pickles=pickle, in_caller=True)
        self.teardown_errors: list[BaseException] = []
        self.widened: dict[Callable[[], object], None] = {}
        self._calls = InlineCalls(config or WorkerConfig(), pickle)
        self._copier = self._calls.copier
        self._functions = FunctionTable()
        self._starting = threading.RLock()
        self._lock = threading.RLock()  # for the few fields below; never held while something of a user runs
        self._started = self._closed = self._ending = False
        self._running: dict[int, int] = {}  # thread -> posts of it that are under way, one inside the other
        self._ended = threading.Event()
        self.done = self.retries = self.timeouts = 0
        self.enroll()

    # -- functions and bodies ----------------------------------------------------------------------------------------

    def function(
        self, fn: Callable[..., Any], name: str | None = None, with_state: bool = False, many: bool = False
    ) -> Function:
        """See `Engine.function`."""
        if self._copier is not None and not is_turn(fn):
            self._copier.check(fn)
        known = self._functions.known.get(id(fn))
        if known is not None and known.fn is fn and name is None and not with_state:
            return cast(Function, known)
        return cast(Function, self._functions.make(fn, name, with_state))

    def encode(
        self, function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any], around: Any = None
    ) -> object:
        """See `Engine.encode`."""
        if self._copier is not None:
            return self._copier.freeze(args, kwargs, around)
        return (args, kwargs) if around is None else (args, kwargs, around)

    def share(self, obj: Any) -> Any:
        """See `Engine.share`."""
        return obj

    def plain(self, items: Sequence[Any]) -> bool:
        """See `Engine.plain`."""
        return self._copier is None or PLAIN.issuperset(map(type, items))

    # -- running -----------------------------------------------------------------------------------------------------

    def post(self, posted: Sequence[Task]) -> None:
        """See `Engine.post`. Raises KeyboardInterrupt, too, when it strikes a task (law 3)."""
        if self.broken is not None:
            raise self.broken
        me = threading.get_ident()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._running[me] = self._running.get(me, 0) + 1
        try:
            failure = self._begin()
            for task in posted:
                self._run(task, failure)
        finally:
            with self._lock:
                self._running[me] -= 1
                if not self._running[me]:
                    del self._running[me]
            self._end()

    def post_call(self, future: CallFuture[Any]) -> None:
        """`post` of one call."""
        self.post((future,))

    def _begin(self) -> BaseException | None:
        """Initializer and setup, once; returns what broke the engine, if they did."""
        if self._started:
            return self.broken
        with self._starting:
            if not self._started:
                self._start()
            return self.broken

    def _start(self) -> None:
        self._started = True
        unstruck(self.watch_stalls)
        try:
            self._calls.prepare()
        except Exception as error:
            say(logging.CRITICAL, "Exception in initializer:", error=error, name="concurrent.futures")
            said()  # as with the stdlib, it is there when the first task hears of it
            self.broken = WorkerStartError(f"workers cannot start: {type(error).__name__}: {error}")
            self.broken.__cause__ = error
        except BaseException:
            self._started = False  # Ctrl-C: the next post tries again
            raise

    def _run(self, task: Task, failure: BaseException | None) -> None:
        with LOCK:
            if not task.claim(0):
                return
        if isinstance(task, CallFuture):
            task.mark_running()
            self._run_call(task, failure)
        else:
            assert isinstance(task, ChunkTask)
            self._run_chunk(task, failure)

    def _run_call(self, future: CallFuture[Any], failure: BaseException | None) -> None:
        interrupt = None
        outcome: Any = Raised(failure) if failure is not None else None
        if failure is None:
            function = cast(ThreadFunction, future.function)
            future.function = function.shell
            future._owner = self
            run = Runs(future.rules, lambda: future.asked or future.final, function.name, None)
            outcome = run.last(lambda: self._calls.invoke(function, future.body, whole=False))
            future.tries = run.retries
            self.retries += run.retries
            self.timeouts += run.timeouts
            if outcome.__class__ is Raised and isinstance(outcome.error, KeyboardInterrupt):
                interrupt = outcome.error
        self.done += 1
        for each in tasks.resolve([future], [outcome]):
            tasks.run_callbacks(each)
        if interrupt is not None:
            raise interrupt

    def _run_chunk(self, chunk: ChunkTask, failure: BaseException | None) -> None:
        run, function = chunk.run, cast(ThreadFunction, chunk.run.function)
        outcomes: list[Any] = []
        size, began = chunk.size, perf_counter_ns()
        told = began
        for at in range(chunk.low, chunk.low + chunk.size):
            if run.cancelled:
                break
            outcome = Raised(failure) if failure else self._run_item(run, function, chunk, at)
            outcomes.append(outcome)
            interrupted = outcome.__class__ is Raised and isinstance(outcome.error, KeyboardInterrupt)
            if interrupted or perf_counter_ns() - told > FLUSH_NS:
                self._tell(chunk, outcomes)
                outcomes, told = [], perf_counter_ns()
            if interrupted:
                if chunk.size:
                    run.items_dropped(chunk.start, chunk.size)
                raise outcome.error
        if outcomes:
            self._tell(chunk, outcomes)
        function.profile.observe(size - chunk.size, perf_counter_ns() - began)
        if chunk.size:
            run.items_dropped(chunk.start, chunk.size)

    def _run_item(self, run: Run, function: ThreadFunction, chunk: ChunkTask, at: int) -> Any:
        index = chunk.start - chunk.low + at
        runs = Runs(run.rules, lambda: run.cancelled, function.name, index)
        outcome = runs.last(lambda: self._calls.invoke(function, chunk.bodies[at], whole=run.whole))
        self.retries += runs.retries
        self.timeouts += runs.timeouts
        return outcome

    def cancel_leased(self, future: CallFuture[Any], kill: bool) -> bool:
        """See `tasks.LeasedCanceller`: it runs, in some thread, and cannot be ended; but asked it can be."""
        future.final = future.asked = kill or future.asked
        return False

    def _tell(self, chunk: ChunkTask, outcomes: list[Any]) -> None:
        self.done += len(outcomes)
        chunk.run.items_done(chunk.advance(len(outcomes)), outcomes)

    # -- ending ------------------------------------------------------------------------------------------------------

    def cancel_group(self, group: object, kill: bool = False) -> None:
        """See `Engine.cancel_group`: nothing waits here, and what runs looks at its run."""

    @property
    def takes_work(self) -> bool:
        """See `Engine.takes_work`."""
        return not self._closed and self.broken is None

    def resize(self, max_workers: int) -> None:
        """See `Engine.resize`: there is one worker, the caller."""

    def warm(self) -> None:
        """See `Engine.warm`, `begin` and `obey`."""

    begin = obey = warm

    def shutdown(self, wait: bool, cancel: bool) -> None:
        """See `Engine.shutdown`. What another thread runs is waited for; a task that shuts down is not."""
        with self._lock:
            self._closed = True
        self._end()
        if wait and threading.get_ident() not in self._running:
            self._ended.wait()

    def kill(self, signum: int) -> None:
        """See `Engine.kill`: nothing can be killed here."""
        self.shutdown(wait=False, cancel=True)

    def _end(self) -> None:
        """The teardown, by whoever leaves last after the shutdown."""
        with self._lock:
            if not self._closed or self._running or self._ending:
                return
            self._ending = True
        try:
            if (raised := self.end_plays(lambda _thread: True)) is not None:
                self.teardown_errors.append(raised)
            self._calls.leave()
        except Exception as error:
            self.teardown_errors.append(error)
        finally:
            self.tell_end()
            self._ended.set()
            self.unwatch_stalls()

    def picture(self) -> str:
        """See `Dumps`."""
        state = "closed" if self._ended.is_set() else "draining" if self._closed else "open"
        why = "" if self.broken is None else f", broken: {self.broken}"
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        running = list(self._running)
        sheets = [Sheet(f"in thread {names.get(each, each)}: runs", without_idle(stack_of(each))) for each in running]
        return laid_out(f"pool that runs inline, {state}{why}; in use by {len(running)} threads", sheets)

    def stats(self) -> EngineStats:
        """See `Engine.stats`."""
        busy = len(self._running)
        alive = int(self._started and not self._ended.is_set())
        return EngineStats(
            workers=alive,
            idle=int(alive and not busy),
            busy=min(busy, 1),
            starting=0,
            pending=0,
            in_flight=busy,
            done=self.done,
            failed=0,
            died=0,
            timeouts=self.timeouts,
            retries=self.retries,
        )
