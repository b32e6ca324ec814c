"""What the stages of test_passing.py call. Few imports: each worker imports this module."""

from __future__ import annotations

import os
import signal
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

kept: list[Any] = []


def full(n: int) -> Any:
    """An array of 1 MB that says which item it is."""
    return np.full(1 << 17, float(n))


def number(array: Any) -> float:
    """Which item it is; nan if it is not one all through."""
    return float(array[0]) if (array == array[0]).all() else float("nan")


def add(array: Any) -> Any:
    """In place: nobody else looks."""
    assert array.flags.writeable
    array += 1
    return array


def same(value: Any) -> Any:
    return value


def nth(n: int) -> Any:
    """One of the samples, which a worker makes itself."""
    return samples()[n]


@cache
def samples() -> list[Any]:
    """Values of all kinds, large and small."""
    large = np.arange(200_000)
    kinds = "?bBhHiIlLqQefdgFD"
    return [
        *[np.arange(20).astype(kind).reshape(4, 5) for kind in kinds],
        *[(np.arange(100_000) % 100).astype(kind).reshape(4, -1) for kind in kinds],
        *[np.dtype(kind).type(1) for kind in kinds],
        *(np.array(7.0), np.empty((0, 3)), large[::2], large[::-1], np.asfortranarray(large.reshape(2, -1))),
        *(large.astype(">i4"), large.astype("datetime64[s]"), np.array(["text"] * 50_000), np.array([None, "a"])),
        *(np.zeros(50_000, [("a", "i4"), ("b", "f8")]), np.ma.masked_less(large, 5)),
        *(b"x" * 200_000, bytearray(b"y" * 200_000), "text" * 100_000, b"", "", None, 5, 2.5, 1 << 80),
        *({"a": large, "b": [large[:10], large[:100_000], "text"]}, (large, large), [1, [2, {"c": 3}]], {1, 2}),
        *(list(range(100_000)), Path("/a/b"), range(10**9), Point(1, large), ValueError("a value", 3)),
    ]


class Point:
    """Notes which processes look at it."""

    loaded: ClassVar[list[int]] = []

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.loaded.append(os.getpid())
        vars(self).update(state)

    def __eq__(self, other: object) -> bool:
        return type(other) is Point and self.x == other.x and bool(np.all(self.y == other.y))

    __hash__ = None  # type: ignore[assignment]


def describe(value: Any) -> Any:
    """What a stage sees of its argument."""
    if isinstance(value, np.ndarray):
        about = (value.dtype.str, value.dtype.isnative, value.shape, value.strides, value.flags.writeable)
        plain = value.astype(float) if value.dtype.char == "g" else value  # which has bytes that say nothing
        return type(value).__name__, about, plain.tolist() if value.dtype.hasobject else digest(plain.tobytes())
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [describe(each) for each in value]
    if isinstance(value, dict):
        return "dict", [(key, describe(each)) for key, each in value.items()]
    if isinstance(value, Point):
        return "Point", describe(value.x), describe(value.y)
    return type(value).__name__, digest(repr(value).encode())


def digest(data: bytes) -> bytes:
    return sha256(data).digest()


def describe_all(batch: list[Any]) -> list[Any]:
    return [describe(each) for each in batch]


def numbers(batch: list[Any]) -> list[float]:
    return [number(each) for each in batch]


def parts(array: Any) -> list[float]:
    return [float(array[0]), float(array[-1])]


class Stubborn:
    """Cannot be loaded but where it was made."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __reduce__(self) -> Any:
        return refuse, (self.n,)


def refuse(n: int) -> Any:
    raise LookupError(f"no {n}")


def stubborn_on_three(n: int) -> Any:
    return Stubborn(n) if n == 3 else n


def fail_once(folder: str, array: Any) -> float:
    """The first run of each writes to its argument, and fails, or dies."""
    seen = number(array)
    mark = Path(folder) / f"{seen}"
    if not mark.exists():
        mark.touch()
        array[:] = -1
        if seen % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        raise LookupError("the first time")
    return seen


def spoil_and_fail(array: Any) -> Any:
    """Writes to its argument before it fails."""
    array[:] = -1
    raise LookupError("no")


def pid_and(array: Any) -> Any:
    return os.getpid(), array


def wait_for(folder: str, given: Any) -> Any:
    """Says who it is, waits until `go` can be read, and looks."""
    pid, array = given
    with open(Path(folder) / "runs", "w") as file:
        file.write(f"{pid} {os.getpid()}")
    with open(Path(folder) / "go", "rb") as go:
        go.read()
    return number(array)


def keep(array: Any) -> tuple[float, list[float]]:
    """Keeps the last three arrays that it got; what they look like now."""
    kept.append(array)
    del kept[:-3]
    return number(array), [number(each) for each in kept]


def fork_and_look(array: Any) -> tuple[float, int]:
    pid = os.fork()
    if not pid:
        os._exit(0 if not np.isnan(number(array)) else 1)
    return number(array), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def sealed_lend(n: int) -> Any:
    import procession

    made = procession.zeros(1 << 17)
    made[:] = n
    return made


def descriptors(array: Any) -> tuple[float, list[str]]:
    """Which files of arenas this worker has open."""
    names = []
    for each in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{each}"))
        except OSError:
            continue
    return number(array), sorted(name for name in names if "procession-results" in name)
