"""The words of a SpinOff: what they may be, and what is meant by those that people bring from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from procession.backends.base import WorkerConfig
from procession.observe.progress import check_progress
from procession.spinoff_core import OVERFLOW, Words
from procession.streams import check_on_error

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
    "callback": "on_result",
    "error_callback": "on_error",
}


def refuse_wrong(wrong: dict[str, object]) -> None:
    """TypeError for words that SpinOff does not know, naming the right one where it is known."""
    for word in wrong:
        meant = f"; use {MEANT[word]}=" if word in MEANT else ""
        raise TypeError(f"SpinOff() got an unexpected keyword argument {word!r}{meant}")


def check(fn: Any, workers: Any, words: Words, progress: Any) -> None:
    """Raise TypeError or ValueError for what makes no sense, naming the word and what would be right."""
    if not callable(fn):
        raise TypeError(f"fn must be callable, not {type(fn).__name__}")
    _integer("workers", workers, 1)
    _integer("maxsize", words.maxsize, 0, "; 0 means no bound")
    if words.overflow not in OVERFLOW:
        raise ValueError(f"overflow must be one of {', '.join(map(repr, OVERFLOW))}; got {words.overflow!r}")
    check_on_error(words.on_error)
    check_progress(progress)
    _callable("on_result", words.on_result)
    _callable("key", words.key)


def worker_config(setup: Any, initializer: Any, initargs: Any) -> WorkerConfig:
    """The three as one. TypeError for what is not callable, or no tuple."""
    _callable("setup", setup)
    _callable("initializer", initializer)
    if not isinstance(initargs, tuple):
        raise TypeError(f"initargs must be a tuple, not {type(initargs).__name__}")
    return WorkerConfig(initializer, initargs, setup)


def _integer(name: str, value: Any, least: int, hint: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}{hint}; got {value}")


def _callable(name: str, value: Callable[..., Any] | None) -> None:
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be callable or None, not {type(value).__name__}")
