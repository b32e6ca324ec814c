"""What a worker process has of the CPUs: its share, for pools that its tasks make and for numeric libraries.

n workers that each run a matrix product on all cores are slower than one: n times the threads fight for the same
cores. So the threads of such libraries are limited to the share of the worker. What is not loaded yet reads the
environment when it is; what is (`preload`, a forked parent) is told by threadpoolctl, if that is installed. To look for
such libraries takes it longer than to start a worker takes the zygote, which therefore looks once, after `preload`.

Laws
1. What the program or its user has set is obeyed: a variable that is set already stays, unless it is what an outer
   worker was given; and if any of them was set, nothing that is loaded is touched.
2. Nothing is imported for this in a worker that has no such library.
"""

from __future__ import annotations

import os
import sys

from procession.sharing import ENVIRONMENT

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from typing import Any

INNER = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
"""What OpenMP, OpenBLAS, MKL, BLIS, Accelerate, numexpr, Numba and Polars read when they are loaded."""

_WITH_THREADS = ("numpy", "scipy", "torch", "sklearn")
"""Who is not here has loaded no such library, as a rule."""

_found: Any = None
"""threadpoolctl's list of the libraries that this process had when `foresee` looked; a fork has the same."""
_limits: object = None  # threadpoolctl's; it would undo them when it is dropped


def foresee() -> None:
    """In the zygote, when it has preloaded modules: look once for what each of its workers is to limit."""
    global _found
    if any(name in sys.modules for name in _WITH_THREADS):
        try:
            from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

            _found = ThreadpoolController()
        except Exception:
            pass  # each worker looks for itself, and fails for itself


def take(cpus: int) -> None:
    """This worker may use so many CPUs."""
    given = os.environ.get(ENVIRONMENT)
    free = [name for name in INNER if os.environ.get(name) in (None, given)]
    os.environ[ENVIRONMENT] = text = str(cpus)
    for name in free:
        os.environ[name] = text
    if len(free) == len(INNER) and any(name in sys.modules for name in _WITH_THREADS):
        _limit(cpus)


def _limit(cpus: int) -> None:
    global _limits
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    _limits = threadpool_limits(cpus) if _found is None else _found.limit(limits=cpus)
