"""Among how many worker threads the CPUs of this process are divided, as far as the present thread is concerned.

A worker thread of a pool of n has an n-th of them for the pools that its tasks make, and so on at each depth.
Worker processes are told their share when they start (`worker/share.py`).
"""

from __future__ import annotations

from _thread import _local

ENVIRONMENT = "PROCESSION_CPUS"
"""The variable that says how many CPUs a process and all that it starts may use together."""

_here = _local()


def divisor() -> int:
    """The CPUs are divided by so many; 1 outside of worker threads."""
    return getattr(_here, "divisor", 1)


def divide(by: int) -> None:
    """This thread is a worker: from now on, its `divisor`."""
    _here.divisor = by
