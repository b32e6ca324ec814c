"""Run functions in parallel and keep every promise: pools, FIFO spin-offs, on threads or processes by one word.

Every name below is loaded when it is first used: importing this package does no work.
"""

from __future__ import annotations

import sys

from procession._version import __version__

TYPE_CHECKING = False  # typing costs a worker's zygote ten milliseconds; the checkers know this name
if TYPE_CHECKING:
    from concurrent.futures import CancelledError
    from types import ModuleType

    from procession import futures
    from procession._native import accelerated
    from procession.arrays import array_like, empty, zeros
    from procession.captured import Captured
    from procession.cpu import CpuBudget, cpu_budget
    from procession.errors import (
        ClusterLost,
        Full,
        JournalError,
        MemoryLimit,
        PicklingError,
        PoisonTask,
        ProcessionError,
        RemoteError,
        TaskTimeout,
        WorkerDied,
        WorkerStartError,
    )
    from procession.explaining import explain
    from procession.journal import Journal
    from procession.observing import observe
    from procession.pipeline import Pipeline, Stage
    from procession.pool import Pool
    from procession.pool_shared import shared_pool
    from procession.seeing.tracing import trace
    from procession.spinoff import SpinOff
    from procession.types import Failure
    from procession.worker.asked import cancelled, checkpoint
    from procession.worker.chance import np_rng, rng
    from procession.worker.state import state

_HOME = {
    "CancelledError": "concurrent.futures",
    "Captured": "procession.captured",
    "Failure": "procession.types",
    "Full": "procession.errors",
    "Journal": "procession.journal",
    "JournalError": "procession.errors",
    "MemoryLimit": "procession.errors",
    "PoisonTask": "procession.errors",
    "TaskTimeout": "procession.errors",
    "CpuBudget": "procession.cpu",
    "array_like": "procession.arrays",
    "cancelled": "procession.worker.asked",
    "checkpoint": "procession.worker.asked",
    "ClusterLost": "procession.errors",
    "cpu_budget": "procession.cpu",
    "empty": "procession.arrays",
    "explain": "procession.explaining",
    "PicklingError": "procession.errors",
    "Pipeline": "procession.pipeline",
    "Pool": "procession.pool",
    "ProcessionError": "procession.errors",
    "RemoteError": "procession.errors",
    "SpinOff": "procession.spinoff",
    "Stage": "procession.pipeline",
    "np_rng": "procession.worker.chance",
    "observe": "procession.observing",
    "rng": "procession.worker.chance",
    "shared_pool": "procession.pool_shared",
    "WorkerDied": "procession.errors",
    "WorkerStartError": "procession.errors",
    "accelerated": "procession._native",
    "state": "procession.worker.state",
    "trace": "procession.seeing.tracing",
    "zeros": "procession.arrays",
}

__all__ = [
    "CancelledError",
    "Captured",
    "ClusterLost",
    "CpuBudget",
    "Failure",
    "Full",
    "Journal",
    "JournalError",
    "MemoryLimit",
    "PicklingError",
    "Pipeline",
    "PoisonTask",
    "Pool",
    "ProcessionError",
    "RemoteError",
    "SpinOff",
    "Stage",
    "TaskTimeout",
    "WorkerDied",
    "WorkerStartError",
    "__version__",
    "accelerated",
    "array_like",
    "cancelled",
    "checkpoint",
    "cpu_budget",
    "empty",
    "explain",
    "futures",
    "np_rng",
    "observe",
    "rng",
    "shared_pool",
    "state",
    "trace",
    "zeros",
]


def _load(name: str) -> object:
    if name == "futures":
        return _module("procession.futures")
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(_module(home), name)
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # they would take any name for one that there is
    __getattr__ = _load


def _module(name: str) -> ModuleType:
    __import__(name)  # importlib, with its warnings, would cost what this whole package does
    return sys.modules[name]


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
