"""What threads tell a tap of what they run: each worker's own methods are shadowed while somebody taps.

Laws
1. A run is told of by the thread that ran it, when it has ended, with what it came to, rules or not. What the core has
   decided meanwhile (its future was answered in time, its thread given up) is told by the core's side, and the thread,
   once abandoned, tells nothing.
2. The outcome is what it was, and so is what is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from procession import happenings
from procession.backends.stacks import stack_of
from procession.backends.threads import Segment, ThreadWorker
from procession.backends.whose import Sheaf, index_of, reborn, stream_of, stream_of_run
from procession.core import commands, events
from procession.driver.tracking import CAUSES, KINDS, Tracker
from procession.happenings import Gone, Rows
from procession.types import Raised

if TYPE_CHECKING:
    from procession.happenings import Why
    from procession.tapping import Push, Tap


class ThreadTracker(Tracker):
    """Of a pool of threads: `host` has its workers."""

    backend = "threads"

    def __init__(self, host: Any, tap: Tap, number: int, role: tuple[str, str]) -> None:
        self.tap = tap
        super().__init__(host, tap, number, role)
        self.tells |= {commands.FailItem: self._given_up}
        self._workers: dict[int, ThreadWorker] = host.workers
        self._runs: dict[int, tuple[Any, ...]] = {}
        """By worker: what it runs, and since when. Who takes it out tells of it."""
        self._sheaves: dict[int, Sheaf] = {}
        for worker in self._workers.values():
            self.join(worker)

    def join(self, worker: ThreadWorker) -> None:
        """This one is told of, too."""
        if not self.tap.tasks:
            return
        invoke, invoker, wid, runs = worker._invoke, worker._invoker, worker.wid, self._runs
        sheaf = self._sheaves[wid] = Sheaf(self.tap, self.number, wid)

        def invoke_and_tell(future: Any) -> Any:
            words = future.function.name, stream_of(future), index_of(future), future.tries + 1, future.born
            runs[wid] = mine = (*words, perf_counter_ns())
            outcome = invoke(future)
            ended = perf_counter_ns()
            if runs.pop(wid, None) is mine and not worker.abandoned:
                sheaf.add((*mine, ended, *came_to(outcome)))
            return outcome

        def invoker_that_tells(segment: Segment) -> Callable[[Any], Any]:
            return self._telling(worker, segment, invoker(segment))

        vars(worker).update(_invoke=invoke_and_tell, _invoker=invoker_that_tells)

    def _telling(self, worker: ThreadWorker, segment: Segment, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """`call`, each run of which is told."""
        run: Any = segment.run
        function, stream = run.function.name, stream_of_run(run)
        wid, runs, attempt, queued = worker.wid, self._runs, segment.tries + 1, segment.born
        add, index = self._sheaves[wid].add, segment.start - 1

        def call_and_tell(body: Any) -> Any:
            nonlocal index
            index += 1
            runs[wid] = mine = (function, stream, index, attempt, queued, perf_counter_ns())
            came: tuple[int, Why] = WELL
            try:
                return call(body)
            except BaseException as error:
                came = happenings.ERROR, error
                raise
            finally:
                ended = perf_counter_ns()
                if runs.pop(wid, None) is mine and not worker.abandoned:
                    add((*mine, ended, *came))
                came = WELL  # an error's own frames would hold it otherwise, and all that they have, until a collection

        return call_and_tell

    def flush(self) -> None:
        """Tell what has been run."""
        for sheaf in list(self._sheaves.values()):
            sheaf.flush()

    def close(self) -> None:
        """See `Tracker`."""
        self.flush()
        super().close()

    def leave(self) -> None:
        """See `Tracker`."""
        super().leave()
        for worker in list(self._workers.values()):
            for name in ("_invoke", "_invoker"):
                vars(worker).pop(name, None)
        for wid in list(self._runs):
            self._push(wid, (happenings.RUNNING, None))
        self.flush()

    def tell_running(self, push: Push) -> None:
        """See `Tracker`."""
        now = perf_counter_ns()
        for wid, run in list(self._runs.items()):
            push(Rows(self.number, wid, [(*run, now, happenings.RUNNING, None)]))

    def _push(self, wid: int, came: tuple[int, Why]) -> None:
        """What this worker runs has come to this, for us."""
        run = self._runs.pop(wid, None)
        if run is not None:
            self.push(Rows(self.number, wid, [(*run, perf_counter_ns(), *came)]))

    def _given_up(self, command: commands.FailItem) -> None:
        """It is answered though its thread goes on; or that has ended with the pool."""
        worker = self._workers.get(command.wid)
        stack = stack_of(worker.ident) if worker is not None else ""
        why = KINDS.get(command.cause, "WorkerDied"), "its thread has been given up", stack
        self._push(command.wid, (CAUSES.get(command.cause, happenings.DIED), why))
        self.push(Gone(self.number, command.wid, perf_counter_ns(), "given up"))
        if command.again is not None:
            reborn(command.again)

    def _lost(self, event: events.Lost) -> None:
        if (sheaf := self._sheaves.pop(event.wid, None)) is not None:
            sheaf.flush()
        super()._lost(event)


WELL: tuple[int, None] = happenings.OK, None


def came_to(outcome: Any) -> tuple[int, Why]:
    """What it is, and why."""
    return (happenings.ERROR, outcome.error) if outcome.__class__ is Raised else WELL


__all__ = ["ThreadTracker"]
