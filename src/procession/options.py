"""What the words of the pools may be, and what is meant by those that people bring from other libraries.

Everything is refused at the call, with the word's name and what would be right. The standard library's own messages
are kept to the letter where it has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any, Literal

    Backend = Literal["processes", "threads", "inline", "ray", "dask"]
    Overflow = Literal["block", "raise", "drop_newest", "drop_oldest"]
else:
    Backend = Overflow = str

CLUSTERS: tuple[str, ...] = ("ray", "dask")
"""Backends whose workers may be on other machines."""
BACKENDS: tuple[str, ...] = ("processes", "threads", "inline", *CLUSTERS)
"""Those that there are."""

OVERFLOW: tuple[str, ...] = ("block", "raise", "drop_newest", "drop_oldest")

OWN: Mapping[str, tuple[str, ...]] = {
    "mp_context": ("processes",),
    "max_tasks_per_child": ("processes", *CLUSTERS),
    "max_memory_per_child": ("processes",),
    "max_age_per_child": ("processes",),
    "preload": ("processes", *CLUSTERS),
    "thread_name_prefix": ("threads",),
    "pickle": ("inline",),
    "address": CLUSTERS,
}
"""Words that only some backends understand."""

AUTO = "auto"
CAP = 32
"""So many workers, or four for each CPU if that is more, a pool has at most that finds out by itself how many."""
LONGEST = 1e9
"""Seconds; more is a mistake, or means None."""
LEAST_MEMORY = 16 << 20
"""Bytes below which no worker could live. Measured (Linux, x86-64, 3.11 to 3.13), resident after a no-op: a child of
the zygote 10 MiB, one of multiprocessing 13 to 17."""

_WORKERS = "max_workers"
_AHEAD = "window (imap) or buffersize (map), items taken in and not yet handed over"
_PER_TASK = "chunksize"

POOL_MEANT: Mapping[str, str] = {
    "processes": _WORKERS,
    "n_jobs": _WORKERS,
    "n_workers": _WORKERS,
    "num_workers": _WORKERS,
    "workers": _WORKERS,
    "cap": "max_workers_cap",
    "adaptive": 'max_workers="auto"',
    "nthreads": 'max_workers, with backend="threads"',
    "threads": 'max_workers, with backend="threads"',
    "context": "mp_context",
    "start_method": "mp_context=multiprocessing.get_context(...)",
    "maxtasksperchild": "max_tasks_per_child",
    "max_tasks": "max_tasks_per_child",
    "worker_lifespan": "max_tasks_per_child",
    "max_memory": "max_memory_per_child",
    "memory_limit": "max_memory_per_child",
    "max_worker_age": "max_age_per_child",
    "lifetime": "max_age_per_child",
    "watchdog": "stall_after",
    "stall_timeout": "stall_after",
    "timeout": "options(timeout=), for one run of a task; stall_after tells of a pool in which nothing moves",
    "maxsize": "max_pending",
    "queue_size": "max_pending",
    "pre_dispatch": "max_pending",
    "init": "initializer",
    "worker_init": "initializer",
    **dict.fromkeys(("dashboard_address", "dashboard_port", "web"), "dashboard, which is True or a port"),
    "prefer": "backend",
    "kind": "backend",
}
STREAM_MEANT: Mapping[str, str] = {
    "chunk_size": _PER_TASK,
    "chunks": _PER_TASK,
    "batch_size": _PER_TASK,
    "buffersize": "window",
    "buffer_size": "window",
    "prefetch": "window",
    "max_tasks_active": "window",
    "maxsize": "window",
    "max_pending": "window",
    "timeout": "options(timeout=), for one run of an item; map(timeout=) limits how long its results may take",
    "order": "ordered",
    "rate_limit": "rate",
    "max_rate": "rate",
    "ignore_errors": 'on_error="skip"',
    "return_exceptions": 'on_error="return"',
    "progress_bar": "progress",
    "n_jobs": "max_workers of the pool",
    "processes": "max_workers of the pool",
}
MAP_MEANT: Mapping[str, str] = {
    **dict.fromkeys(("chunk_size", "chunks", "batch_size"), _PER_TASK),
    **dict.fromkeys(("window", "buffer_size", "prefetch", "max_tasks_active", "maxsize"), "buffersize"),
    "on_error": "imap, which has on_error",
    "ordered": "imap_unordered, or imap with ordered",
    "progress": "options(progress=...)",
    "n_jobs": "max_workers of the pool",
    "processes": "max_workers of the pool",
}
OPTIONS_MEANT: Mapping[str, str] = {
    "label": "name",
    **dict.fromkeys(("num_cpus", "num_gpus", "gpus", "cpus"), 'resources={"CPU": ..., "GPU": ...}'),
    "task_name": "name",
    "progress_bar": "progress",
    "task_timeout": "timeout",
    "time_limit": "timeout",
    "max_retries": "retries",
    "attempts": "retries, runs beside the first",
    "retry": "retries",
    "delay": "backoff",
    **dict.fromkeys(("capture_output", "captured", "capture_stdout", "redirect", "stdout", "stderr"), "capture"),
    "retry_delay": "backoff",
}


def refuse_words(call: str, wrong: Mapping[str, object], meant: Mapping[str, str]) -> None:
    """TypeError for words that `call` does not know, naming the right one where it is known."""
    for word in wrong:
        hint = f"; use {meant[word]}" if word in meant else ""
        raise TypeError(f"{call}() got an unexpected keyword argument {word!r}{hint}")


def check_backend(backend: object) -> None:
    """ValueError, listing those that there are."""
    if not isinstance(backend, str) or backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(map(repr, BACKENDS))}; got {backend!r}")


def check_own(backend: str, words: Mapping[str, object]) -> None:
    """TypeError for a word that this backend does not understand; None and () count as not given."""
    for word, value in words.items():
        if word not in OWN:
            refuse_words("Pool", {word: value}, POOL_MEANT)
        if value is None or value == ():
            continue
        if backend not in OWN[word]:
            theirs = " and ".join(f'backend="{each}"' for each in OWN[word])
            raise TypeError(f'{word} is an option of {theirs}; this pool has backend="{backend}"')


def check_resources(resources: object, backend: str) -> None:
    """A dict of names and amounts, on a cluster; or None."""
    if resources is None:
        return
    if backend not in CLUSTERS:
        theirs = " and ".join(f'backend="{each}"' for each in CLUSTERS)
        raise TypeError(f'resources is an option of {theirs}; this has backend="{backend}"')
    if not isinstance(resources, Mapping):
        raise TypeError(f'resources must be a dict like {{"GPU": 1}}, not {kind(resources)}')
    for name, amount in resources.items():
        if not isinstance(name, str):
            raise TypeError(f"resources has names of what the cluster has, not {kind(name)}")
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount < LONGEST**2:
            raise ValueError(f"resources[{name!r}] must be an amount, 0 or more; got {amount!r}")


def check_max_workers(value: object, auto: bool = False) -> None:
    """None, or an int of at least 1; or "auto", where a pool can find out by itself."""
    if value is None or (auto and value == AUTO):
        return
    if isinstance(value, bool) or not isinstance(value, int):
        either = "an integer or None (the CPUs of this process)" + (f", or {AUTO!r}" if auto else "")
        raise TypeError(f"max_workers must be {either}, not {kind(value)}")
    if value <= 0:
        raise ValueError("max_workers must be greater than 0")


def auto_cap(max_workers: object, cap: object, cpus: int) -> int | None:
    """The most workers of a pool that finds out by itself how many it has; None for others."""
    if cap is not None:
        if max_workers != AUTO:
            raise TypeError('max_workers_cap is for max_workers="auto"; else max_workers says how many at most')
        if isinstance(cap, bool) or not isinstance(cap, int):
            raise TypeError(f"max_workers_cap must be an integer, or None for {CAP}, not {kind(cap)}")
        if cap < 1:
            raise ValueError(f"max_workers_cap must be at least 1; got {cap}")
        return cap
    return max(CAP, 4 * cpus) if max_workers == AUTO else None


def check_dashboard(value: object) -> None:
    """Whether there is to be one, or its port."""
    if not isinstance(value, int):
        raise TypeError(f"dashboard must be True, False, or an integer: the port at 127.0.0.1; not {kind(value)}")
    if not isinstance(value, bool) and not 0 < value < 1 << 16:
        raise ValueError(f"dashboard must be a port from 1 to 65535, or True for any that is free; got {value}")


def check_max_tasks(value: object) -> None:
    """None, or an int of at least 1; the words are the standard library's."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("max_tasks_per_child must be an integer")
    if value <= 0:
        raise ValueError("max_tasks_per_child must be >= 1")


def check_seconds(word: str, value: object) -> None:
    """None, or seconds, more than none."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{word} must be a number of seconds or None, not {kind(value)}")
    if not 0 < value <= LONGEST:
        raise ValueError(f"{word} must be greater than 0 seconds, and at most {LONGEST:.0e}; got {value!r}")


def memory_limits(value: object) -> tuple[int, int] | None:
    """(soft, hard), in bytes, of None, a soft limit, or both."""
    if value is None:
        return None
    said: tuple[Any, ...] = value if isinstance(value, tuple) and len(value) == 2 else (value,)
    for each in said:
        if isinstance(each, bool) or not isinstance(each, int):
            raise TypeError(
                f"max_memory_per_child must be an integer of bytes, or a tuple of two, (soft, hard), not {kind(each)}"
            )
    soft, hard = said if len(said) == 2 else (said[0], 2 * said[0])
    if soft < LEAST_MEMORY:
        raise ValueError(
            f"max_memory_per_child must be at least {LEAST_MEMORY:,} bytes, which the interpreter of a worker takes by "
            f"itself; got {soft:,}"
        )
    if hard < soft:
        raise ValueError(f"max_memory_per_child=(soft, hard): hard must be at least soft; got {(soft, hard)!r}")
    return soft, hard


def check_worker(initializer: object, initargs: object, setup: object) -> None:
    """What a worker runs before its first task."""
    if initializer is not None and not callable(initializer):
        raise TypeError("initializer must be a callable")
    if not isinstance(initargs, Iterable) or isinstance(initargs, (str, bytes)):
        raise TypeError(f"initargs must be a tuple of the initializer's arguments, not {kind(initargs)}")
    if setup is not None and not callable(setup):
        raise TypeError(f"setup must be a callable without arguments, or None; not {kind(setup)}")


def check_pending(max_pending: object, overflow: object) -> None:
    """The bound of a pool, and what happens at it."""
    if overflow not in OVERFLOW:
        raise ValueError(f"overflow must be one of {', '.join(map(repr, OVERFLOW))}; got {overflow!r}")
    if max_pending is None:
        if overflow != "block":
            raise ValueError(f"overflow={overflow!r} needs max_pending, the number of calls at which it happens")
        return
    if isinstance(max_pending, bool) or not isinstance(max_pending, int):
        raise TypeError(f"max_pending must be an integer or None (no bound), not {kind(max_pending)}")
    if max_pending < 1:
        raise ValueError(f"max_pending must be at least 1, or None for no bound; got {max_pending}")


def check_preload(value: object) -> None:
    """Names of modules."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"preload must be a sequence of module names, not {kind(value)}")
    for name in value:
        if not isinstance(name, str):
            raise TypeError(f"preload must be names of modules; {name!r} is none")


def check_name(value: object) -> None:
    """A task's name."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"name must be a string or None (the function's own), not {kind(value)}")


def check_fn(fn: object) -> None:
    """Something that can be called."""
    if not callable(fn):
        raise TypeError(f"fn must be callable, not {kind(fn)}")


def check_iterables(call: str, iterables: Iterable[object], asynchronous: bool = False) -> None:
    """TypeError for what is no iterable, with a guess at what was meant."""
    for each in iterables:
        if isinstance(each, Iterable) or hasattr(each, "__getitem__") or (asynchronous and hasattr(each, "__aiter__")):
            continue
        hint = ""
        if isinstance(each, int):
            ahead = "buffersize" if call == "map" else "window"
            hint = f"; for items per lease say chunksize={each}, for items ahead {ahead}={each}"
        elif hasattr(each, "__aiter__"):
            hint = "; aimap takes asynchronous sources"
        raise TypeError(f"{call}() takes iterables after the function, and {kind(each)} is none{hint}")


def kind(value: Any) -> str:
    """How a message calls a value's type."""
    return type(value).__name__
