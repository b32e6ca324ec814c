"""What the tests of `procession map` call. Workers import this module: it must stay small."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import procession

VALUE = 3


def double(x: Any) -> Any:
    return x * 2


def number(x: str) -> int:
    return int(x)


def add(a: int, b: int = 0) -> int:
    return a + b


def sums(rows: list[Any]) -> list[Any]:
    return [sum(rows)] * len(rows)


def noisy(x: Any) -> Any:
    print(f"printed {x}\n", end="")
    os.write(1, b"written\n")
    return x


def pid(_: Any) -> int:
    return os.getpid()


def niceness(_: Any) -> int:
    return os.nice(0)


def die(x: str) -> str:
    if x == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def nap(x: str) -> str:
    time.sleep(float(x))
    return x


def random_number(_: Any) -> float:
    return procession.rng().random()


def flaky(path: str) -> str:
    """Fails until it has been called twice."""
    file = Path(path)
    tries = len(file.read_text()) + 1
    file.write_text("x" * tries)
    if tries < 3:
        raise OSError(f"try {tries}")
    return f"after {tries}"


@contextmanager
def ready() -> Iterator[str]:
    yield "ready"


def state(_: Any) -> Any:
    return procession.state()


def broken() -> None:
    raise RuntimeError("no model here")


def wait_for(path: str) -> str:
    """Say that it runs, by a file PATH.runs, and wait for PATH to be there."""
    Path(f"{path}.runs").touch()
    while not os.path.exists(path):
        time.sleep(0.01)
    return os.path.basename(path)


def memory(x: str) -> int:
    return len(bytearray(int(x) << 20))


async def coroutine(x: Any) -> Any:
    return x


def generator(x: Any) -> Iterator[Any]:
    yield x


class Maker:
    def __init__(self, x: Any) -> None:
        self.x = x

    @staticmethod
    def make(x: Any) -> str:
        return f"made {x}"


def once(path: str) -> str:
    """Leave a mark for each time that it is called."""
    with open(f"{path}.calls", "a") as file:
        file.write("x")
    return os.path.basename(path)


def unless(path: str) -> str:
    """Fail as long as there is no such file."""
    once(path)
    if not os.path.exists(path):
        raise FileNotFoundError(path)
    return os.path.basename(path)
