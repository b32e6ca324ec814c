"""The CPUs and threads that a worker may use, as the call says whose batch it runs; workers outlive calls."""

from __future__ import annotations

import os
import sys

from procession.sharing import ENVIRONMENT
from procession.worker.share import INNER

LOKYS = "LOKY_MAX_CPU_COUNT"
"""What joblib's own backends count as the CPUs, at most."""
_BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")
_WITH_THREADS = ("numpy", "scipy", "torch", "sklearn")


class Share(dict[str, str]):
    """What stands in the environment of a worker: names and values."""


def share(cpus: int, threads: int | None) -> Share:
    """What stands in the environment of a worker that may use so many CPUs.

    threads: for numeric libraries; None: as many as CPUs, but what the program or its user has set in the environment
    is left as it is.
    """
    given = os.environ.get(ENVIRONMENT)
    theirs = {name: text for name in INNER if (text := os.environ.get(name, given)) not in (None, given)}
    inner = {name: str(cpus) for name in INNER} | theirs if threads is None else dict.fromkeys(INNER, str(threads))
    return Share(inner | {ENVIRONMENT: str(cpus), LOKYS: str(min(cpus, _number(os.environ.get(LOKYS), cpus)))})


def take(share: Share) -> None:
    """In a worker: this is its share from now on."""
    now = os.environ
    if all(now.get(name) == text for name, text in share.items()):
        return
    changed = any(now.get(name) != share[name] for name in INNER)
    now.update(share)
    if changed and any(name in sys.modules for name in _WITH_THREADS):
        _limit(share)


def _limit(share: Share) -> None:
    """Tell libraries that are loaded, and have read the environment already."""
    global _limits
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        return
    cpus = int(share[ENVIRONMENT])
    told = [name for name in _BLAS if share[name] != share[ENVIRONMENT]] or _BLAS
    blas = _number(share[told[0]], cpus)
    _limits = threadpool_limits({"blas": blas, "openmp": _number(share["OMP_NUM_THREADS"], cpus)})


_limits: object = None  # threadpoolctl's; it would undo them when it is dropped


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdecimal() and int(text) > 0 else otherwise


__all__ = ["Share", "share", "take"]
