"""An engine at command: it runs nothing until a test says what, so that every order can be had without waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from pickle import PicklingError
from typing import Any

from procession.backends import tasks
from procession.backends.base import Capabilities, EngineStats, WorkerConfig
from procession.backends.functions import FunctionTable, ThreadFunction
from procession.backends.tasks import LOCK, CallFuture, ChunkTask
from procession.core.task import Task
from procession.types import Raised


class Unsendable:
    """An argument that this engine cannot encode."""


class CommandEngine:
    """See the module. `waiting`: what was posted and not yet run, as (task, place in its bodies or None)."""

    foreign = False

    def __init__(self, max_workers: int = 2, config: WorkerConfig | None = None, *, copies: bool = False) -> None:
        self.capabilities = Capabilities("command", False, True, copies, False)
        self.max_workers = self.at_once = max_workers
        self.widened: dict[Any, None] = {}
        self.config = config
        self.teardown_errors: list[BaseException] = []
        self.posted: list[Task] = []
        self.waiting: list[tuple[Task, int | None]] = []
        self.shutdowns: list[tuple[bool, bool]] = []
        self.killed: list[int] = []
        self.refuse: Exception | None = None
        self.inbox: list[Task] = []
        self._functions = FunctionTable()

    def function(self, fn: Callable[..., Any], name: str | None = None, **words: bool) -> ThreadFunction:
        return self._functions.make(fn, name, words.get("with_state", False))

    def encode(
        self, function: ThreadFunction, args: tuple[Any, ...], kwargs: Mapping[str, Any], around: Any = None
    ) -> Any:
        if any(isinstance(arg, Unsendable) for arg in args):
            raise PicklingError("cannot be sent")
        return args, kwargs

    def plain(self, items: list[Any]) -> bool:
        return all(type(item) in (int, str) for item in items)

    def post(self, posted: Sequence[Task]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.inbox.append(list(posted))  # type: ignore[arg-type]  # one step, as an engine's inbox takes it

    def receive(self) -> None:
        """Claim what has been posted, as an engine's own thread does."""
        while self.inbox:
            for task in self.inbox.pop(0):  # type: ignore[attr-defined]
                self.posted.append(task)
                with LOCK:
                    claimed = task.claim(1)
                if isinstance(task, CallFuture):
                    if claimed:
                        self.waiting.append((task, None))
                    else:
                        tasks.cancel_now([task])
                elif claimed:
                    self.waiting.extend((task, place) for place in range(task.low, task.low + task.size))
                else:
                    task.run.items_dropped(task.start, task.size)

    @property
    def todo(self) -> list[Any]:
        """The arguments of what waits to be run: of one argument that itself."""
        self.receive()
        return [args[0] if len(args) == 1 else args for args in map(self._args, self.waiting)]

    def _args(self, entry: tuple[Task, int | None]) -> tuple[Any, ...]:
        task, place = entry
        if place is None:
            return task.body[0]  # type: ignore[attr-defined,no-any-return]
        body = task.bodies[place]  # type: ignore[attr-defined]
        return (body,) if task.run.whole else body[0]  # type: ignore[attr-defined]

    def run(self, *arguments: Any) -> None:
        """Run these, in this order, each reported alone; without arguments all there is, until nothing is left."""
        if not arguments:
            while self.todo:
                self.run(self.todo[0])
        for argument in arguments:
            at = self.todo.index(argument)
            task, place = entry = self.waiting[at]
            function = task.function if place is None else task.run.function  # type: ignore[attr-defined]
            args = self._args(entry)
            del self.waiting[at]
            try:
                outcome = function.fn(*args)
            except BaseException as error:
                outcome = Raised(error)
            self.report(task, place, [outcome])
            outcome = None  # no cycle through this frame

    def report(self, task: Any, place: int | None, outcomes: list[Any]) -> None:
        if place is None:
            for future in tasks.resolve([task], outcomes):
                tasks.run_callbacks(future)
        else:
            task.run.items_done(task.start + place - task.low, outcomes)

    def on_thread(self, *arguments: Any) -> None:
        """`run` on another thread, to its end: as an engine's own does it."""
        thread = threading.Thread(target=self.run, args=arguments)
        thread.start()
        thread.join()

    def obey(self) -> None:
        """All that comes is run as it comes."""

    def begin(self) -> None:
        """There is nothing to start."""

    def cancel_group(self, group: object, kill: bool = False) -> None:
        self.receive()
        self.waiting = [(t, p) for t, p in self.waiting if not (isinstance(t, ChunkTask) and t.run is group)]

    def cancel_leased(self, future: CallFuture[Any], kill: bool) -> bool:
        """What waits here has not started; what was marked so runs, and cannot be killed."""
        self.receive()
        if future.running():
            return False
        for entry in self.waiting:
            if entry[0] is future:
                self.waiting.remove(entry)
                future.release()
                tasks.cancel_now([future])
                return True
        return False

    def shutdown(self, wait: bool, cancel: bool) -> None:
        self.shutdowns.append((wait, cancel))
        if cancel:
            for task, place in self.waiting:
                if place is not None:
                    task.run.items_done(task.start + place - task.low, [Raised(CancelledError())])  # type: ignore[attr-defined]
            self.waiting.clear()

    def kill(self, signum: int) -> None:
        self.killed.append(signum)

    def stats(self) -> EngineStats:
        return EngineStats(1, 0, 1, 0, len(self.waiting), 0, 0, 0, 0)
