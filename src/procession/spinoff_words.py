"""The words of a SpinOff: what they may be, and what is meant by those that people bring from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from procession import options
from procession.backends.base import WorkerConfig
from procession.on_error import check_on_error
from procession.seeing.progress import check_progress
from procession.spinoff_core import Words
from procession.streams import check_positive, check_sticky

MEANT = {
    "max_workers": "workers",
    "n_workers": "workers",
    "num_workers": "workers",
    "n_jobs": "workers",
    "processes": "workers",
    "threads": 'workers, and backend="threads"',
    "window": "maxsize",
    "buffersize": "maxsize",
    "buffer_size": "maxsize",
    "max_pending": "maxsize",
    "queue_size": "maxsize",
    "maxlen": "maxsize",
    "batch_size": "batch",
    "max_batch_size": "batch",
    "batch_timeout": "max_wait",
    "batch_wait_timeout": "max_wait",
    "rate_limit": "rate",
    "max_rate": "rate",
    **dict.fromkeys(("capture_output", "captured", "redirect", "stdout", "stderr"), "capture"),
    "callback": "on_result",
    **dict.fromkeys(("checkpoint", "database", "resume", "store", "log"), "journal"),
    **dict.fromkeys(("task_id", "job_id", "id"), "item_id"),
    "error_callback": "on_error",
}


def check(fn: Any, workers: Any, words: Words, progress: Any) -> None:
    """Raise TypeError or ValueError for what makes no sense, naming the word and what would be right."""
    options.check_fn(fn)
    check_integer("workers", workers, 1)
    check_integer("maxsize", words.maxsize, 0, "; 0 means no bound")
    check_positive("buffer_bytes", words.buffer_bytes, "no bound")
    if words.overflow not in options.OVERFLOW:
        raise ValueError(f"overflow must be one of {', '.join(map(repr, options.OVERFLOW))}; got {words.overflow!r}")
    check_on_error(words.on_error)
    check_progress(progress)
    check_callable("on_result", words.on_result)
    check_callable("key", words.key)
    check_sticky(words.sticky, words.key)


def worker_config(setup: Any, initializer: Any, initargs: Any, resources: Any, backend: str) -> WorkerConfig:
    """All of it as one. TypeError for what is not callable, or no tuple; ValueError for another backend."""
    options.check_backend(backend)
    options.check_resources(resources, backend)
    options.check_worker(initializer, initargs, setup)
    return WorkerConfig(initializer, tuple(initargs), setup, resources=resources)


def check_integer(name: str, value: Any, least: int, hint: str = "") -> None:
    """Raise unless `value` is an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}{hint}; got {value}")


def check_callable(name: str, value: Callable[..., Any] | None) -> None:
    """Raise unless it is one, or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be callable or None, not {type(value).__name__}")
