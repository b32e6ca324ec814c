"""Everything of `concurrent.futures`, with `ProcessPoolExecutor` and `ThreadPoolExecutor` ours: an old program changes
one import.

What is not listed here (`wait`, `as_completed`, `Future`, and what later versions of Python add) is the running
version's own.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import os
from collections.abc import Callable
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    InvalidStateError,
    TimeoutError,
    as_completed,
    wait,
)
from typing import TYPE_CHECKING, Any

from procession.pool import Pool

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

OURS = ("ProcessPoolExecutor", "ThreadPoolExecutor")

_numbers = itertools.count()


class ProcessPoolExecutor(Pool):
    """A `concurrent.futures.ProcessPoolExecutor` whose tasks survive each other's death; see `procession.Pool`."""

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
    ) -> None:
        super().__init__(max_workers, mp_context, initializer, initargs, max_tasks_per_child=max_tasks_per_child)


class ThreadPoolExecutor(Pool):
    """A `concurrent.futures.ThreadPoolExecutor`, quicker; see `procession.Pool`.

    thread_name_prefix: worker threads are called `<prefix>_0`, `<prefix>_1`, ...
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        if max_workers is None:  # the standard library's number: such threads mostly wait
            max_workers = min(32, (getattr(os, "process_cpu_count", os.cpu_count)() or 1) + 4)
        super().__init__(
            max_workers,
            None,
            initializer,
            initargs,
            backend="threads",
            thread_name_prefix=thread_name_prefix or f"ThreadPoolExecutor-{next(_numbers)}",
        )


__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenExecutor",
    "CancelledError",
    "Executor",
    "Future",
    "InvalidStateError",
    "ProcessPoolExecutor",
    "ThreadPoolExecutor",
    "TimeoutError",
    "as_completed",
    "wait",
]
__all__ += [name for name in concurrent.futures.__all__ if name not in __all__]


def __getattr__(name: str) -> Any:
    return getattr(concurrent.futures, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(concurrent.futures)})
