"""What an engine tells a tap: a fold over the events that its core is told and the commands that it answers.

Laws
1. It looks at what is there before a step and at what comes of the step; it changes nothing. An error of its own ends
   the telling, which is logged once, and nothing else.
2. An outcome is told of once, in the step in which the core hears it, as that of the run which it was. So a further
   run of the same task is told of apart.
3. Of each worker it knows how many items were sent when, in a line beside the core's (`_Sent`), which moves with it.
4. A worker counts its outcomes, and so does the core (`Worker.finished`): by that number a run finds its times
   (transport/timesheet.py).
5. While nobody taps, there is none of this: `PoolCore.step` is shadowed only as long as somebody does.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol

from procession import happenings
from procession.backends.saying import say
from procession.backends.tasks import CallFuture, ChunkTask
from procession.backends.whose import born, index_of, reborn, stream_of, whose
from procession.core import commands, events
from procession.core.rules import Cause
from procession.happenings import Began, Closed, Gone, Missed, Note, Opened, Ran
from procession.types import Raised

if TYPE_CHECKING:
    from procession.backends.channel import Channel
    from procession.core.pool import PoolCore
    from procession.core.task import Task
    from procession.happenings import Why
    from procession.tapping import Push, Tap
    from procession.transport.timesheet import Columns

CAUSES = {Cause.TIMEOUT: happenings.TIMEOUT, Cause.MEMORY: happenings.MEMORY, Cause.CANCEL: happenings.CANCELLED}
KINDS = {Cause.TIMEOUT: "TaskTimeout", Cause.MEMORY: "MemoryLimit", Cause.CANCEL: "CancelledError"}


class Host(Protocol):
    """Who steps the core."""

    core: PoolCore
    obituaries: Any
    """By worker: what is known of its end."""

    def numbers_of_workers(self) -> Any:
        """Of each worker there is, what the system calls it: a pid, or a thread's."""
        ...


class _Sent:
    """When the items in hand of one worker were sent: so many then, the oldest first."""

    __slots__ = ("runs",)

    def __init__(self, items: int) -> None:
        self.runs: deque[list[int]] = deque([[items, 0]] if items else ())

    def add(self, items: int, now: int) -> None:
        self.runs.append([items, now])

    def first(self) -> list[tuple[int, int]]:
        """The oldest one, which stays."""
        return [(1, self.runs[0][1])] if self.runs else []

    def take(self, count: int) -> list[tuple[int, int]]:
        """The oldest are through."""
        taken = []
        while count > 0 and self.runs:
            first = self.runs[0]
            part = min(count, first[0])
            taken.append((part, first[1]))
            count -= part
            first[0] -= part
            if not first[0]:
                self.runs.popleft()
        return taken

    def back(self, count: int) -> None:
        """The last ones were taken back."""
        while count > 0 and self.runs:
            last = self.runs[-1]
            part = min(count, last[0])
            count -= part
            last[0] -= part
            if not last[0]:
                self.runs.pop()


class Tracker:
    """Tells of what ends without a run; what runs on threads is told of there (thread_tracking.py)."""

    backend = ""

    def __init__(self, host: Host, tap: Tap, number: int, role: tuple[str, str]) -> None:
        self.host = host
        self.core = host.core
        self.push = tap.push
        self.number = number
        self.sees: dict[type, Callable[[Any], object]] = {}
        """What is to be looked at before an event; what is found is given to `hears`."""
        self.hears: dict[type, Callable[[Any, Any], None]] = {events.WorkerReady: self._ready}
        self.tells: dict[type, Callable[[Any], None]] = {
            commands.Cancel: self._cancelled,
            commands.Drop: self._cancelled,
            commands.Expire: self._expired,
            commands.FailAll: self._failed,
            commands.TryAgain: self._again,
        }
        if not tap.tasks:
            self.tells.clear()
        now = perf_counter_ns()
        self.push(Opened(number, self.backend, self.core.max_workers, now, role))
        for wid, its in self.numbers_of_workers().items():
            self.push(Began(number, wid, its, now))
        self._step = self.core.step
        vars(self.core)["step"] = self.step

    def leave(self) -> None:
        """Nobody taps any more: what runs now is told of as it stands."""
        vars(self.core).pop("step", None)

    def tell_running(self, push: Push) -> None:
        """Tell this one what runs now, as running; when it has ended it is told of as ever."""

    def close(self) -> None:
        """All is over."""
        self.push(Closed(self.number, perf_counter_ns()))

    def step(self, event: events.Event) -> list[commands.Command]:
        """`PoolCore.step`, looked at."""
        kind = event.__class__
        found = None
        try:
            if kind in self.sees:
                found = self.sees[kind](event)
        except Exception as error:
            self._fails(error)
        out = self._step(event)
        try:
            if kind in self.hears:
                self.hears[kind](event, found)
            for command in out:
                if command.__class__ in self.tells:
                    self.tells[command.__class__](command)
            if isinstance(event, events.Lost):  # last: what it ran has come to an end before
                self._lost(event)
        except Exception as error:
            self._fails(error)
        return out

    def _fails(self, error: Exception) -> None:
        try:
            self.leave()
        except Exception:
            vars(self.core).pop("step", None)  # it was to be told how far all is, which fails as well
        say(logging.ERROR, "a pool cannot be traced any further", error=error)

    # -- workers -----------------------------------------------------------------------------------------------------

    def numbers_of_workers(self) -> dict[int, int]:
        """See `Host`."""
        return dict(self.host.numbers_of_workers())

    def _ready(self, event: events.WorkerReady, _found: Any) -> None:
        self.push(Began(self.number, event.wid, self.numbers_of_workers().get(event.wid, 0), perf_counter_ns()))

    def _lost(self, event: events.Lost) -> None:
        self.push(Gone(self.number, event.wid, perf_counter_ns(), ended_by(event.exitcode) if event.exitcode else ""))

    def _again(self, command: commands.TryAgain) -> None:
        """Its next run is waited for from now on."""
        reborn(command.task)

    # -- what never ran ----------------------------------------------------------------------------------------------

    def _cancelled(self, command: commands.Cancel | commands.Drop) -> None:
        self._missed(command.tasks, happenings.CANCELLED, None)

    def _expired(self, command: commands.Expire) -> None:
        self._missed(command.tasks, happenings.TIMEOUT, None)

    def _failed(self, command: commands.FailAll) -> None:
        reason = command.reason
        self._missed(command.tasks, happenings.ERROR, reason if isinstance(reason, BaseException) else None)

    def _missed(self, tasks: Iterable[Task], outcome: int, why: Why) -> None:
        now = perf_counter_ns()
        for task in tasks:
            if isinstance(task, CallFuture) and task.done() and not task.cancelled():
                continue  # the core has heard of it when it had run already (law 4 of locked.py), or twice
            self.push(Missed(self.number, task.size, *whose(task), task.tries + 1, born(task), now, outcome, why))


class ProcessTracker(Tracker):
    """Of a pool of processes: `host` has its channels."""

    def __init__(self, host: Any, tap: Tap, number: int, role: tuple[str, str]) -> None:
        self.backend = host.backend
        self._channels: dict[int, Channel] = host.channels
        self._sent = {wid: _Sent(worker.items) for wid, worker in host.core.workers.items()}
        self._dead: tuple[int, Columns | None, list[tuple[int, int]]] | None = None
        super().__init__(host, tap, number, role)
        if not tap.tasks:
            return
        self.sees |= {
            events.CallsDone: self._sees_calls,
            events.ItemsDone: self._sees_items,
            events.Lost: self._sees_death,
        }
        self.hears |= {
            events.CallsDone: self._ran,
            events.ItemsDone: self._ran,
            events.Withdrawn: self._withdrawn,
            events.LentTasks: self._lent,
            events.StartFailed: self._never_began,
        }
        self.tells |= {commands.Send: self._sends, commands.FailItem: self._killed}
        for channel in self._channels.values():
            channel.time(True)

    def leave(self) -> None:
        """See `Tracker`."""
        super().leave()
        for channel in self._channels.values():
            channel.time(False)
        self.tell_running(self.push)

    def tell_running(self, push: Push) -> None:
        """See `Tracker`."""
        for wid in self._channels:
            worker = self.core.workers.get(wid)
            if worker is not None and worker.items:
                times = self._times(wid, worker.finished, 1)
                if times is not None and times.started[0] and not times.ended[0]:
                    task, sent = worker.inflight[0], self._line(wid).first()
                    came = happenings.RUNNING, None
                    push(self._run(wid, task, index_of(task), times, came, sent, task.tries + 1))

    def numbers_of_workers(self) -> dict[int, int]:
        """See `Host`; also of those of whom nobody has heard but what they have said themselves."""
        said = {wid: channel.pid for wid, channel in self._channels.items() if channel.pid}
        return said | super().numbers_of_workers()

    def _times(self, wid: int, first: int, count: int) -> Columns | None:
        channel = self._channels.get(wid)
        try:
            return None if channel is None else channel.times(first, count)
        except OSError:
            return None

    def _line(self, wid: int) -> _Sent:
        found = self._sent.get(wid)
        if found is None:
            found = self._sent[wid] = _Sent(0)
        return found

    # -- what is sent ------------------------------------------------------------------------------------------------

    def _sends(self, command: commands.Send) -> None:
        self._line(command.wid).add(command.tokens, perf_counter_ns())

    def _lent(self, event: events.LentTasks, _found: Any) -> None:
        line = self._line(event.wid)
        for task in event.tasks:
            line.add(1, born(task))  # who handed it over has sent it

    def _withdrawn(self, event: events.Withdrawn, _found: Any) -> None:
        self._line(event.wid).back(event.count)

    def _never_began(self, event: events.StartFailed, _found: Any) -> None:
        self._sent.pop(event.wid, None)

    # -- what ran ----------------------------------------------------------------------------------------------------

    def _sees_calls(self, event: events.CallsDone) -> Ran | None:
        worker = self.core.workers.get(event.wid)
        if worker is None:
            return None
        count = len(event.outcomes)
        calls: list[Any] = list(islice(worker.inflight, count))
        notes = [each.note for each in calls]
        return Ran(
            self.number,
            event.wid,
            count,
            same([each.function.name for each in calls]),
            same([stream_of(each) for each in calls]),
            [index_of(each) for each in calls],
            same([each.tries + 1 for each in calls]),
            [each.born for each in calls],
            (),
            notes if any(notes) else (),
            self._times(event.wid, worker.finished, count),
            0,
            failures(event.outcomes),
        )

    def _sees_items(self, event: events.ItemsDone) -> Ran | None:
        worker = self.core.workers.get(event.wid)
        if worker is None or not worker.inflight:
            return None
        chunk: Any = worker.inflight[0]
        count = len(event.outcomes)
        notes: Sequence[Note | None] = ()
        if not chunk.run.whole:
            notes = [getattr(each, "note", None) for each in chunk.bodies[chunk.low : chunk.low + count]]
        return Ran(
            self.number,
            event.wid,
            count,
            *whose(chunk),
            chunk.tries + 1,
            chunk.born,
            (),
            notes if any(notes) else (),
            self._times(event.wid, worker.finished, count),
            0,
            failures(event.outcomes),
        )

    def _ran(self, event: events.CallsDone | events.ItemsDone, found: Ran | None) -> None:
        if found is not None:
            sent = self._line(event.wid).take(found.items)
            self.push(found._replace(sent=sent, done=perf_counter_ns()))

    def _sees_death(self, event: events.Lost) -> None:
        worker, sent = self.core.workers.get(event.wid), self._sent.pop(event.wid, None)
        times = None if worker is None else self._times(event.wid, worker.finished, 1)
        self._dead = event.wid, times, [] if sent is None else sent.take(1)

    def _killed(self, command: commands.FailItem) -> None:
        wid, times, sent = self._dead if self._dead is not None else (-1, None, [])
        outcome = CAUSES.get(command.cause, happenings.DIED)
        again = command.again is not None and isinstance(command.task, CallFuture)  # which counts its tries itself
        if wid != command.wid:
            times, sent = None, []
        tries = command.task.tries + 1 - again
        came = outcome, self._reason(command)
        self.push(self._run(command.wid, command.task, command.start, times, came, sent, tries))
        if command.again is not None:
            reborn(command.again)

    def _reason(self, command: commands.FailItem) -> tuple[str, str, str]:
        """What is known of the end of its worker."""
        found = self.host.obituaries.get(command.wid)
        kind = KINDS.get(command.cause, "WorkerDied")
        if found is None:
            return kind, "its worker is gone", ""
        how = "unknown" if found.exitcode is None else ended_by(found.exitcode)
        return kind, f"worker process {found.pid}, {how}", found.stack

    def _run(
        self,
        wid: int,
        task: Task,
        index: int,
        times: Columns | None,
        came: tuple[int, Why],
        sent: Sequence[tuple[int, int]],
        attempt: int,
    ) -> Ran:
        """One item that did not come to its end by itself."""
        now = perf_counter_ns()
        if times is not None and times.started[0]:
            times.ended[0] = now
        function, stream, _ = whose(task)
        index = index if isinstance(task, ChunkTask) else index_of(task)
        notes = () if (note := getattr(task, "note", None)) is None else (note,)
        failed = ((0, *came),)
        return Ran(self.number, wid, 1, function, stream, index, attempt, born(task), sent, notes, times, now, failed)


# ---------------------------------------------------------------------------------------------------- many as one


def ended_by(exitcode: int) -> str:
    """How a process ended, in short."""
    return f"signal {-exitcode}" if exitcode < 0 else f"exit code {exitcode}"


def same(values: list[Any]) -> Any:
    """One for all, if they are alike."""
    return values[0] if values and values.count(values[0]) == len(values) else values


def failures(outcomes: list[Any]) -> list[tuple[int, int, Why]]:
    """Those that are errors."""
    if Raised not in map(type, outcomes):
        return []
    return [(i, happenings.ERROR, each.error) for i, each in enumerate(outcomes) if each.__class__ is Raised]


__all__ = ["ProcessTracker", "Tracker"]
