"""joblib's `Parallel` on procession's workers.

    import joblib, procession.adapters.joblib

    procession.adapters.joblib.register()
    with joblib.parallel_config(backend="procession", n_jobs=4):
        joblib.Parallel()(joblib.delayed(function)(x) for x in xs)

What each word of joblib means here, and what differs from loky: docs/joblib.md. Works with joblib 1.4 and later.

Laws
1. A backend that a user has made (by `parallel_config`, say) only holds words: each `Parallel` that runs gets one of
   its own, with its own tasks, so two that run at the same time (two generators, say) cannot disturb each other.
2. `submit` does not raise: joblib calls it on the thread of callbacks, too, and would wait for ever for what is not
   there. What goes wrong is in the future.
3. joblib's callback has returned before a task counts as done, and it submits what follows: when no task is left here,
   nothing more comes by itself.
4. What ends a call early (an error, a timeout, ^C, a generator that is closed) cancels its own tasks and no others; the
   workers that ran them are replaced.
5. Workers stay warm between calls, until the interpreter ends or `shutdown` is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joblib.parallel import ParallelBackendBase


def register(*, make_default: bool = False) -> None:
    """Make `backend="procession"` known to joblib, in this process. May be called again.

    make_default: `Parallel` without a backend uses it, too.

    Raises ImportError when joblib is not installed, or is older than 1.4.
    """
    from procession.adapters.joblib.library import NAME, library

    library().register_parallel_backend(NAME, backend, make_default=make_default)


def backend(**given: Any) -> ParallelBackendBase:
    """A backend for `parallel_config(backend=...)` or `Parallel(backend=...)`, which need not be registered then.

    given: the words that `parallel_config(backend="procession", ...)` takes.

    Raises TypeError and ValueError for words that make no sense, ImportError as `register`.
    """
    from procession.adapters.joblib.backends import kind

    made = kind()(**given)
    made.factory = backend
    found: ParallelBackendBase = made
    return found


def shutdown(wait: bool = True) -> None:
    """End the workers that earlier calls have left warm. The next call starts new ones.

    wait: return when they are gone. What runs is finished first.
    """
    from procession.adapters.joblib import pools

    pools.shutdown(wait)


__all__ = ["backend", "register", "shutdown"]
