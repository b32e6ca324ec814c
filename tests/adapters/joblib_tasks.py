"""Tasks of tests/adapters/test_joblib.py, in a module that is light to import."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import joblib


def square(number: int) -> int:
    return number * number


def pid(_: Any = None) -> int:
    return os.getpid()


def fail_at(number: int, at: int) -> int:
    if number == at:
        raise ValueError(f"no {number}")
    return number


def die_at(number: int, at: int) -> int:
    if number == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(mark: str) -> str:
    """Its first run dies."""
    try:
        Path(mark).touch(exist_ok=False)
    except FileExistsError:
        return "lives"
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def touch(mark: str) -> str:
    Path(mark).touch()
    return mark


def wait_for(mark: str, limit: float = 60.0) -> str:
    """Until there is such a file."""
    until = time.monotonic() + limit
    while not Path(mark).exists():
        if time.monotonic() > until:
            raise AssertionError(f"{mark} never came")
        time.sleep(0.005)
    return mark


def begin_and_hang(mark: str) -> None:
    """Says who runs it, and never ends."""
    half = Path(mark + ".half")
    half.write_text(str(os.getpid()))
    half.rename(mark)
    threading.Event().wait()


def interrupt(parent: int, mark: str) -> None:
    """^C for the program once another task runs; never ends."""
    wait_for(mark)
    os.kill(parent, signal.SIGINT)
    threading.Event().wait()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def nested(n_jobs: int | None) -> tuple[str, int, int, list[int], int]:
    """What a nested Parallel is: its backend's name, its level and jobs, its results, and its own nested level."""
    parallel = joblib.Parallel(n_jobs=n_jobs)
    found = parallel(joblib.delayed(level_below)(i) for i in range(4))
    backend = parallel._backend
    return (
        type(backend).__name__,
        backend.nesting_level,
        joblib.effective_n_jobs(-1),
        [x for x, _ in found],
        found[0][1],
    )


def level_below(number: int) -> tuple[int, int]:
    return number * number, joblib.parallel.get_active_backend()[0].nesting_level


def nested_explicit() -> list[int]:
    with joblib.parallel_config(backend="procession", n_jobs=2):
        found: list[int] = joblib.Parallel()(joblib.delayed(square)(i) for i in range(3))
        return found


def writable(array: Any) -> tuple[bool, float]:
    return bool(array.flags.writeable), float(array.sum())


def fill(array: Any, index: int, value: float) -> str:
    array[index] = value
    return type(array).__name__


def content(array: Any) -> tuple[str, list[float], bool]:
    return type(array).__name__, [float(x) for x in array.ravel()], bool(array.flags.writeable)


READY: list[int] = []


def get_ready(value: int) -> None:
    READY.append(value)


def ready(_: int) -> list[int]:
    return READY
