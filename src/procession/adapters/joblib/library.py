"""joblib itself: whether it is there, and what is made of its classes when they are first needed."""

from __future__ import annotations

from functools import cache
from typing import Any

from procession.cpu import cpu_budget

NAME = "procession"
OLDEST = (1, 4)
HOW = "pip install 'procession[joblib]'"


@cache
def library() -> Any:
    """The module. Raises ImportError, which says what to install."""
    try:
        import joblib
    except ImportError as error:
        raise ImportError(f"procession.adapters.joblib needs joblib: {HOW}") from error
    version = tuple(int(part) for part in joblib.__version__.split(".")[:2])
    if version < OLDEST:
        raise ImportError(f"procession.adapters.joblib needs joblib 1.4 or newer, not {joblib.__version__}: {HOW}")
    return joblib


@cache
def internals() -> Any:
    """Its module with what backends are made of."""
    library()
    from joblib import _parallel_backends

    return _parallel_backends


def jobs(n_jobs: int | None) -> int:
    """How many workers these n_jobs are; None is one.

    Negative: of the CPUs that this process may use (see `cpu_budget`; LOKY_MAX_CPU_COUNT, which limits loky, counts
    here, too), -1 all, -2 all but one, and so on.

    Raises ValueError for 0.
    """
    if n_jobs is None:
        return 1
    if n_jobs == 0:
        raise ValueError("n_jobs == 0 in Parallel has no meaning")
    if n_jobs < 0:
        cpus: int = min(cpu_budget().cpus, library().cpu_count())
        return max(cpus + 1 + n_jobs, 1)
    return n_jobs


def nested(level: int) -> Any:
    """The backend of calls of `Parallel` inside a task: threads, and below those one after the other."""
    made = internals().SequentialBackend if level > 1 else internals().ThreadingBackend
    return made(nesting_level=level)


__all__ = ["NAME", "internals", "jobs", "library", "nested"]
