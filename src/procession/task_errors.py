"""The errors of tasks that were ended from outside: made by `procession.errors` when they are first asked for.

What they are given is kept as their `args`, so that they pickle as they are.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from typing import Any

MIB = 1 << 20


def worker_died(root: type[Exception], broken_pool: type[BaseException]) -> type[Any]:
    """`errors.WorkerDied`."""

    class WorkerDied(root, broken_pool):  # type: ignore[misc, valid-type]
        """The worker that ran this task died. Only this task is lost; the pool lives."""

        def __init__(
            self,
            task: str,
            exitcode: int | None,
            pid: int | None = None,
            index: int | None = None,
            arguments: str | None = None,
            stack: str = "",
            peak_rss: int | None = None,
            oom: bool | None = None,
        ) -> None:
            Exception.__init__(self, task, exitcode, pid, index, arguments, stack, peak_rss, oom)
            self.task, self.exitcode, self.pid, self.index = task, exitcode, pid, index
            self.arguments, self.stack, self.peak_rss, self.oom = arguments, stack, peak_rss, oom
            self.signal = -exitcode if exitcode is not None and exitcode < 0 else None

        def __str__(self) -> str:
            who = f"the worker running {call(self.task, self.index, self.arguments)}"
            who += "" if self.pid is None else f" (pid {self.pid})"
            told = f"{who} {self._what_happened()}"
            if self.oom:
                told += " by the kernel, which was out of memory"
            if self.peak_rss is not None:
                told += f", having used {self.peak_rss / MIB:.0f} MiB at its peak"
            return f"{told}; {self._what_follows()}{with_stack(self.stack)}"

        def _what_happened(self) -> str:
            return how_it_ended(self.exitcode)

        def _what_follows(self) -> str:
            return "only this task is lost"

    return WorkerDied


def poison_task(died: type[Any]) -> type[Any]:
    """`errors.PoisonTask`."""

    class PoisonTask(died):  # type: ignore[misc]
        """It killed its worker at every try."""

        def _what_follows(self) -> str:
            return "so did the workers of all its earlier runs: it is quarantined"

    return PoisonTask


def memory_limit(died: type[Any]) -> type[Any]:
    """`errors.MemoryLimit`."""

    class MemoryLimit(died, MemoryError):  # type: ignore[misc]
        """Its worker was killed because it had come to take more memory than max_memory_per_child allows."""

        limit: int | None = None

        def _what_happened(self) -> str:
            most = "" if self.limit is None else f" of {self.limit / MIB:.0f} MiB"
            return f"was killed because it exceeded the ceiling{most} that max_memory_per_child sets"

    return MemoryLimit


def task_timeout(root: type[Exception]) -> type[Any]:
    """`errors.TaskTimeout`."""

    class TaskTimeout(root, TimeoutError):  # type: ignore[misc, valid-type]
        """It ran for longer than its timeout, or waited for longer than its queue_timeout."""

        def __init__(
            self,
            task: str,
            where: str,
            seconds: float,
            limit: float,
            index: int | None = None,
            arguments: str | None = None,
            stack: str = "",
            pid: int | None = None,
        ) -> None:
            Exception.__init__(self, task, where, seconds, limit, index, arguments, stack, pid)
            self.task, self.where, self.seconds, self.limit = task, where, seconds, limit
            self.index, self.arguments, self.stack, self.pid = index, arguments, stack, pid

        def __str__(self) -> str:
            what = call(self.task, self.index, self.arguments)
            if self.where == "queued":
                return f"{what} waited for {self.seconds:.3g} s to be started, its queue_timeout is {self.limit:g} s"
            who = "" if self.pid is None else f" in worker {self.pid}, which was replaced"
            return f"{what} ran for {self.seconds:.3g} s{who}, its timeout is {self.limit:g} s{with_stack(self.stack)}"

    return TaskTimeout


def call(task: str, index: int | None, arguments: str | None) -> str:
    """How a message calls the call of an item."""
    what = task if index is None else f"{task}[{index}]"
    return what if arguments is None else f"{what}({arguments})"


def with_stack(stack: str) -> str:
    """At the end of a message."""
    return f"\nIt was here (the latest call first):\n{stack.rstrip()}" if stack else ""


def how_it_ended(exitcode: int | None) -> str:
    """A process, in words."""
    if exitcode is None:
        return "died, how is not known"
    if exitcode >= 0:
        return f"exited with code {exitcode}"
    import signal

    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    return f"was killed by {name}"
