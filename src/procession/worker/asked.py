"""Whether the task that runs here has been asked to end: `cancelled()` and `checkpoint()`.

Where that is found is the business of who runs the task: a worker process looks into its page, a worker thread at its
task, the inline backend at the task that the caller's thread runs. A thread that a task starts in a worker process asks
for the task of the process.
"""

from __future__ import annotations

from _thread import _local

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable

_own = _local()
_process: Callable[[], bool] | None = None


def cancelled() -> bool:
    """True in a task that has been asked to end: it was cancelled, or its time is over and it has a grace (`grace=`).

    A task that works for long may ask now and then, and return early when it is. False outside of tasks.
    """
    probe: Callable[[], bool] | None = getattr(_own, "probe", None) or _process
    return probe is not None and probe()


def checkpoint() -> None:
    """Raise `CancelledError` if `cancelled()`: let it end the task, which then counts as cancelled, or timed out."""
    if cancelled():
        from concurrent.futures import CancelledError

        raise CancelledError("this task was asked to end")


def answer_for_process(probe: Callable[[], bool]) -> None:
    """This process is a worker, which asks so."""
    global _process
    _process = probe


def answer_for_thread(probe: Callable[[], bool]) -> None:
    """This thread is a worker, which asks so."""
    _own.probe = probe


class answering:
    """A context manager: within it `cancelled()` in this thread is what `probe()` says."""

    __slots__ = ("_before", "_probe")

    def __init__(self, probe: Callable[[], bool]) -> None:
        self._probe = probe

    def __enter__(self) -> None:
        self._before = getattr(_own, "probe", None)
        _own.probe = self._probe

    def __exit__(self, *exc_info: object) -> None:
        _own.probe = self._before
