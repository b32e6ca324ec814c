"""A core stepped under a lock by whichever of an engine's threads has something to say, and its commands performed.

Laws
1. Only the engine's own threads, the workers and one driver, step the core, under the lock. A user's thread appends to
   the inbox and rings a bell; so a signal handler that raises in the main thread never finds a decision half made.
2. Append and ring are one step of the interpreter: `any(map(in_turn, targets, repeat(entry)))` runs wholly in C.
   `targets` is read while it runs, so that who is to be rung is looked up after the entry is in the inbox.
3. `targets` names, beside the inbox, who is to be woken: the worker that fell asleep last (its caches are warm, and it
   is the core's first choice as well); if none sleeps, the driver while the pool may still grow, or tasks may have
   rules, which it keeps the time for; else nobody, since every worker looks at the inbox before its next lease.
4. A worker with nothing in hand that finds one call in the inbox, without rules or a home, and nothing else there, runs
   it without asking the core, which could decide nothing else; that halves a round trip. Before the core decides
   anything while that call runs, it is told of it (`sync`); if it has finished by then, only its cost is noted.
5. No user code runs under the lock, except what the collector runs wherever it likes: `stepper` says whose lock it is,
   so that a finalizer that cancels or shuts down does not wait for itself.

Falling asleep, step by step
    worker: under the lock, put your bell into `targets`; look at the inbox; if it is empty, wait for the bell
    poster: append to the inbox, then ring what is in `targets`, in one step
Whichever comes first, the worker sees the entry or hears the bell.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import get_ident
from typing import Any, cast

from procession import sharing
from procession.backends import tasks
from procession.backends.base import EngineStats, WorkerConfig
from procession.backends.joinable import JoinableThread
from procession.backends.saying import say
from procession.backends.tasks import CallFuture
from procession.backends.threads import ThreadWorker
from procession.core import commands, events
from procession.core.pool import PoolCore
from procession.core.task import Task
from procession.driver import lifecycle
from procession.driver.answers import numbers
from procession.driver.callbacks import Callbacks
from procession.driver.locked_rules import LockedRules
from procession.driver.tapped import TappedThreads


class LockedCore(LockedRules, TappedThreads):
    """One pool of threads: its core, its workers, and the door to both."""

    def __init__(self, max_workers: int, config: WorkerConfig, thread_name_prefix: str) -> None:
        super().__init__(Callbacks())
        self.core = PoolCore(max_workers, can_kill=False)
        self.rings_meter = False  # the driver measures, and sleeps until it is rung for what waits
        self.config = config
        self.among = sharing.divisor() * (max_workers + config.beside)
        self.prefix = thread_name_prefix
        self.threads: set[threading.Thread] = set()
        self._driver: threading.Thread | None = None  # made by the first post
        self.inbox: deque[Any] = deque()
        self.bell: SimpleQueue[object] = SimpleQueue()  # the driver's
        self._ring_driver = self.bell.put
        self._rung: Callable[[object], object] | None = self._ring_driver  # what `targets` has beside the inbox
        self.targets: list[Callable[[Any], object]] = [self.inbox.append, self._ring_driver]
        self.watched = False
        self.closed = False
        self.lost = False  # see `_collapse`
        self.broken_by: object = None
        self.guarded = True  # a post has to ask first whether it may
        self.stepper: int | None = None
        self.teardown_errors: list[BaseException] = []
        self.lock = threading.Lock()
        self.workers: dict[int, ThreadWorker] = {}
        self.asleep: list[ThreadWorker] = []
        self.direct: dict[ThreadWorker, CallFuture[Any]] = {}  # calls that run and that the core does not know
        self._todo: deque[commands.Command] = deque()
        self._withdrawals: dict[int, None] = {}
        self._perform: dict[type, Callable[[Any], None]] = {
            commands.Send: self._send,
            commands.MarkRunning: _nothing,  # a worker does that itself, when it is true
            commands.Withdraw: self._withdraw,
            commands.Spawn: self._spawn,
            commands.Stop: self._stop,
            commands.Kill: self._kill,
            commands.Cancel: self.cancel,
            commands.Drop: self.cancel,
            commands.FailAll: self.fail_all,
            commands.Broken: self._break,
            commands.Narrowed: self._narrowed,
            commands.Closed: self._close,
            **self.rule_commands(),
        }

    # -- the lock, the inbox, the core -------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock, and say who does."""
        with self.lock:
            self.stepper = get_ident()
            try:
                yield
            finally:
                self.stepper = None

    def settle(self) -> None:
        """Read the inbox, and leave `targets` as the state of things wants them. The lock is held."""
        while True:
            if self.inbox:
                self.read()
            if not self.aim() or not self.inbox:
                return

    def aim(self) -> bool:
        """Who is woken by the next post? True if that is somebody new: what came before has not rung him."""
        if self.asleep:
            ring = self.asleep[-1].ring
        elif (self.core.width < self.core.max_workers or self.ruled or self.rings_meter) and not self.closed:
            ring = self._ring_driver
        else:
            ring = None
        if ring is self._rung:
            return False
        self._rung = ring
        self.targets[1:] = () if ring is None else (ring,)
        return ring is not None

    def read(self) -> None:
        """Do what the inbox says; before that, hear what workers have finished, since they may be free by then.

        After the inbox was emptied: who put something in may have heard of an outcome before the core has (law 2 of
        backends/threads.py), and the next of a key is to find its home.
        """
        take = self.inbox.popleft
        entries = [take() for _ in range(len(self.inbox))]
        for worker in self.workers.values():
            if worker.out:
                self.harvest(worker)
        waiting: list[Task] = []
        for entry in entries:
            if entry.__class__ is CallFuture:
                waiting.append(entry)
            elif entry.__class__ is list:
                waiting.extend(entry)
            else:
                if waiting:
                    self.submitted(waiting)
                    waiting = []
                self._answer_request(entry)
        if waiting:
            self.submitted(waiting)

    def _answer_request(self, entry: Any) -> None:
        """An event for the core, or (event or None, what to call when it has been performed)."""
        event, performed = entry if entry.__class__ is tuple else (entry, None)
        if event is not None:
            self.step(event)
        if performed is not None:
            performed()

    def step(self, event: events.Event) -> None:
        """Tell the core and do what it says; withdrawals last, and answered at once. The lock is held."""
        if not self.lost:
            try:
                if self.direct:
                    self.sync()
                self._take(event)
                self._perform_all()
                if self.core.ruled:
                    self.call_keeper()
                if self.rings_meter and (self.core.line.items or self.core.in_flight > self.core.width):
                    self.rings_meter = False
                    self.bell.put(None)
                return
            except BaseException as error:
                self._collapse(error)
        if isinstance(event, events.Submitted):
            self.fail_all(commands.FailAll(event.tasks, self.broken_by))

    def _perform_all(self) -> None:
        todo = self._todo
        while True:
            if todo:
                command = todo.popleft()
                self._perform[command.__class__](command)
            elif self.looks:
                wid, _ = self.looks.popitem()
                self.look(wid)
            elif self._withdrawals:
                wid, _ = self._withdrawals.popitem()
                if (worker := self.workers.get(wid)) is not None:
                    self._take(events.Withdrawn(wid, worker.withdraw()))
            else:
                return

    def _take(self, event: events.Event) -> None:
        """An event that answers a command: what comes of it is performed after what is being performed."""
        with tasks.LOCK:
            self._todo.extend(self.core.step(event))

    def sync(self) -> None:
        """Tell the core of the calls that run without its knowing, before it decides anything."""
        unknown, self.direct = self.direct, {}
        hungry = self.core.hungry
        for worker, call in unknown.items():
            del hungry[worker.wid]  # it is there: no step came between
            hungry[worker.wid] = None  # and the core takes the last first
            call.release()  # to be claimed anew
            self.step(events.Submitted([call]))

    def harvest(self, worker: ThreadWorker) -> None:
        """Tell the core what the worker has finished since the last time."""
        if worker.out:
            segment, outcomes = worker.harvest()
            if worker.abandoned:
                return
            assert segment is not None
            calls = segment.run is None
            failed = self.keeper.failed(worker.wid, calls, outcomes) if self.core.ruled else ()
            self.step((events.CallsDone if calls else events.ItemsDone)(worker.wid, outcomes, failed))

    def _collapse(self, error: BaseException) -> None:
        """A bug of ours: say so to every task that has not started, and let the workers end."""
        say(logging.CRITICAL, "procession's core has failed; its pool is lost", error=error)
        self.broken_by = error
        self.guarded = self.lost = True
        left: list[Task] = [*self.core.line, *[task for _, _, task in self.core.delayed]]
        for worker in self.workers.values():
            worker.withdraw()
            left += self.core.workers[worker.wid].inflight if worker.wid in self.core.workers else ()
            worker.stopping = worker.killed = True
            self._ring(worker)
        left += [task for entry in self.inbox for task in (entry if isinstance(entry, list) else [entry])]
        self.fail_all(commands.FailAll([task for task in left if getattr(task, "started", True) is not True], error))
        self._close(commands.Closed())

    # -- commands ----------------------------------------------------------------------------------------------------

    def _send(self, command: commands.Send) -> None:
        worker = self.workers.get(command.wid)
        if worker is not None:  # else it could not be started, and the core has taken this back
            if command.tasks[0] is worker.direct:
                worker.told = True
            asleep = self._rouse(worker)  # first: who counts those asleep without the lock counts on them
            worker.issue(command.tasks)
            if asleep:
                worker.ring(None)

    def _ring(self, worker: ThreadWorker) -> None:
        if self._rouse(worker):
            worker.ring(None)

    def _rouse(self, worker: ThreadWorker) -> bool:
        """It counts as awake from here on; True if it was not and has to be rung."""
        if worker in self.asleep:
            self.asleep.remove(worker)
            return True
        return False

    def _withdraw(self, command: commands.Withdraw) -> None:
        self._withdrawals[command.wid] = None

    def _must_not_wait(self) -> bool:
        return self.stepper == get_ident() or self._on_driver() or tasks.LOCK._is_owned()  # type: ignore[attr-defined]

    def _on_driver(self) -> bool:
        return self._driver is not None and self._driver.ident == get_ident()

    def _spawn(self, command: commands.Spawn) -> None:
        worker = ThreadWorker(command.wid, cast(Any, self), self.config, self.among)  # a ThreadHost
        if self.tracker is not None:
            self.tracker.join(worker)
        name = f"{self.prefix}_{command.wid}"
        thread = JoinableThread(worker.serve, name)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left, or the interpreter is going
            self._take(events.StartFailed(command.wid, error, fatal=False))
            return
        self.workers[command.wid] = worker
        self.threads.add(thread)

    def _stop(self, command: commands.Stop) -> None:
        worker = self.workers[command.wid]
        worker.stopping = True
        self._ring(worker)

    def _kill(self, command: commands.Kill) -> None:
        """It ends when its present item does."""
        worker = self.workers[command.wid]
        worker.stopping = worker.killed = True
        self._ring(worker)

    def _break(self, command: commands.Broken) -> None:
        self.broken_by = command.reason
        self.guarded = True

    def _narrowed(self, command: commands.Narrowed) -> None:
        if not lifecycle.exiting:  # else it is as it has to be: from 3.12 on, no thread is started any more then
            text = "no further workers can be started, going on with %d: %s"
            say(logging.WARNING, text, command.width, command.reason)

    def _close(self, _command: commands.Closed) -> None:
        self.closed = True
        self.bell.put(None)

    def count(self) -> EngineStats:
        """Numbers, now; takes no lock."""
        return numbers(self.core, len(self.inbox), self, len(self.direct))


def _nothing(_command: object) -> None:
    pass
