"""The functions that the pools run; this file is also the script of the `__main__` function kind.

Imported, it gives functions of an importable module. Run as a script, the very same functions belong to
`__main__`, as those of a user's own script do. Workers may import it again, so it stays light.
"""

import os
import sys
import time
from types import ModuleType
from typing import Any


def noop(x: Any) -> Any:
    """Nothing but its argument back, so that every run can be checked."""
    return x


def burn(loops: int) -> int:
    """A fixed amount of work, not of time: a preempted worker must show, and a deadline would hide it."""
    for _ in range(loops):
        pass
    return loops


def size(data: Any) -> int:
    """Touch one element of something large, and say how large it is."""
    return len(data) if data[-1] else 0


def _made() -> dict[str, Any]:
    # In a module of its own, because a library that sends functions by value may give each call fresh globals.
    return sys.modules.setdefault("_benchmarks_made", ModuleType("_benchmarks_made")).__dict__


def prime(spec: tuple[int, float]) -> int:
    """Build in this worker what `give` returns, linger so that the other workers get a call too; our pid."""
    nbytes, seconds = spec
    if nbytes and "bytes" not in _made():
        import numpy

        _made()["bytes"] = b"\x01" * nbytes
        _made()["array"] = numpy.ones(nbytes // 8)
    time.sleep(seconds)
    return os.getpid()


def give(kind: str) -> Any:
    """The large object that `prime` built: sending it is timed, building it is not."""
    return _made()[kind]


def reference(x: int) -> int:
    """The reference workload: the work on 9 takes 4 s, on any other item 1 s."""
    time.sleep(4.0 if x == 9 else 1.0)
    return x


if __name__ == "__main__":
    from benchmarks.child import main

    main(sys.modules["__main__"])
