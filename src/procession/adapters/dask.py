"""A Dask scheduler on a procession pool.

    import dask
    from procession.adapters.dask import get, scheduler

    dask.compute(x, scheduler=get)                      # on `procession.shared_pool()`
    dask.compute(x, scheduler=scheduler(pool))          # on a pool of yours, or on a view made by its `options()`

`dask.compute(x, scheduler=pool)` works as well: then Dask's own loop hands single tasks to the pool. What is better
here: tasks that take less than some milliseconds go to a worker together, and so does a chain of tasks of which nobody
else needs what is between (dask_course.py). Dask 2024.12 or newer: graphs of `dask._task_spec`; older graphs of tuples
are converted by it.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from procession.adapters.given_by_users import check_pool, shared
from procession.pool_face import PoolFace

__all__ = ["get", "scheduler"]


def scheduler(pool: PoolFace, *, share: int | None = None) -> Callable[..., Any]:
    """A scheduler for `dask.compute(..., scheduler=)` and `dask.config.set(scheduler=)` that runs on `pool`.

    pool: a `Pool`, or a view (`pool.options(retries=2, timeout=60)`), whose policy then holds for each task.
    share: see `get`.

    Raises TypeError for what is no pool.
    """
    check_pool(pool)
    _check_share(share)
    return partial(get, pool=pool, share=share)


def get(
    dsk: Mapping[Any, Any],
    keys: Any,
    *,
    pool: PoolFace | None = None,
    num_workers: int | None = None,
    share: int | None = None,
    cache: Any = None,
    callbacks: Any = None,
    rerun_exceptions_locally: bool | None = None,
    **_others: Any,
) -> Any:
    """The values of `keys`, a key or lists of keys, nested as these are; Dask calls this.

    pool: None: the one that `dask.config.set(pool=)` names, if it is one of ours, else `procession.shared_pool()`.
    num_workers: at most so many batches of tasks are under way; None: enough to keep all workers busy.
    share: a value of at least so many bytes that several tasks need is pickled once and loaded once a worker
        (`Pool.share`), where its arrays are read-only; None: each task is sent a copy of its own.
    cache, callbacks, rerun_exceptions_locally: as in Dask's own schedulers. Progress bars and profilers of
        `dask.diagnostics` work; with one that is told results, all of these come to this process.
    What else Dask passes on to schedulers is for its optimizers, and ignored.

    Raises what the first failing task raised, with a note that names the task, and cancels what is under way;
    `WorkerDied` when the worker of a task died, with the keys of the tasks that it had in hand. In a task, it runs
    the graph there, one task after another.
    """
    try:
        from dask import config
    except ImportError as error:
        raise ImportError("this needs Dask: pip install 'procession[dask]'") from error
    from procession.adapters import dask_course

    _check_share(share)
    if num_workers is not None and (isinstance(num_workers, bool) or num_workers < 1):
        raise ValueError(f"num_workers must be at least 1, or None, not {num_workers!r}")
    if rerun_exceptions_locally is None:
        rerun_exceptions_locally = bool(config.get("rerun_exceptions_locally", False))
    if dask_course.inside():
        from dask.local import get_sync

        return get_sync(dsk, keys, cache=cache, callbacks=callbacks)
    if pool is None:
        named = config.get("pool", None)
        pool = named if isinstance(named, PoolFace) else shared()
    check_pool(pool)
    settings = dask_course.Settings(pool, num_workers, share, rerun_exceptions_locally)
    return dask_course.run(dsk, keys, settings, cache, callbacks)


def _check_share(share: object) -> None:
    if share is not None and (isinstance(share, bool) or not isinstance(share, int) or share < 1):
        raise ValueError(f"share must be a number of bytes, at least 1, or None, not {share!r}")
