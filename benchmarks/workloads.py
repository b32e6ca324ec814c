"""The functions that the pools run; this file is also the script of the `__main__` function kind.

Imported, it gives functions of an importable module. Run as a script, the very same functions belong to
`__main__`, as those of a user's own script do. Workers may import it again, so it stays light.
"""

import importlib
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


def burn_keyed(item: tuple[int, int, int]) -> tuple[int, int, int]:
    """The same, for an item that says its key and its place."""
    burn(item[2])
    return item


def size(data: Any) -> int:
    """Touch one element of something large, and say how large it is."""
    return len(data) if data[-1] else 0


def megabyte(_: Any) -> bytes:
    """A result of some size."""
    return bytes(1_000_000)


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


EVERY = 8_192
"""Every so many numbers (64 kB) an array shows which round it belongs to."""


def prime_arrays(spec: tuple[int, int, float]) -> int:
    """Build in this process the arrays of `numbered`, linger as `prime` does; our pid."""
    nbytes, count, seconds = spec
    made = _made()
    if made.get("owner") != os.getpid():  # a fork has its parent's, and would pay for writing to them
        import numpy

        made["arrays"] = [numpy.ones(nbytes // 8) for _ in range(count)]
        made["owner"] = os.getpid()
    time.sleep(seconds)
    return os.getpid()


def numbered(number: int) -> Any:
    """The next in turn of this process's arrays, with the number of the round written all over it."""
    arrays = _made()["arrays"]
    array = arrays[number % len(arrays)]
    array[::EVERY] = number
    return array


def sampled(array: Any) -> tuple[int, float]:
    """The length, and the sum of the numbers that show the round."""
    return len(array), float(array[::EVERY].sum())


def total(array: Any) -> tuple[int, float]:
    """The length, and the sum of all numbers; exact, because they are whole."""
    return len(array), float(array.sum())


def total_of(number: int, length: int) -> float:
    """The sum of an array that `numbered` has given."""
    shown = -(-length // EVERY)
    return float(length - shown + number * shown)


PLACES = 16
"""In so many places an array of the arena is written and read, however large it is."""


def mark(array: Any, number: int) -> None:
    """Write the number of the round into some places of it."""
    array[:: len(array) // PLACES] = number


def marks(array: Any) -> tuple[int, float]:
    """The length, and the sum of the numbers in those places."""
    return len(array), float(array[:: len(array) // PLACES].sum())


def from_arena(spec: tuple[int, int]) -> Any:
    """An array that this worker has made in the arena at its first call, with the number of the round in it."""
    nbytes, number = spec
    if "arena" not in _made():
        procession: Any = importlib.import_module("procession")
        _made()["arena"] = procession.empty((nbytes // 8,), "float64")
        _made()["arena"][:] = 1.0
    mark(_made()["arena"], number)
    return _made()["arena"]


def hold(gate: str) -> None:
    """Say that we are here, through one named pipe, and stay until a byte comes through another."""
    with open(gate + ".here", "wb", buffering=0) as here:
        here.write(b"x")
    with open(gate, "rb", buffering=0) as opening:
        opening.read(1)


def reference(x: int) -> int:
    """The reference workload: the work on 9 takes 4 s, on any other item 1 s."""
    time.sleep(4.0 if x == 9 else 1.0)
    return x


if __name__ == "__main__":
    from benchmarks.child import main

    main(sys.modules["__main__"])
