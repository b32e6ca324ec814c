"""What workers run: a module that they can import."""

from __future__ import annotations

import os
import signal
from typing import Any


def double(x: int) -> int:
    return 2 * x


def die_on_three(x: int) -> int:
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def append(path: str, x: int) -> int:
    with open(path, "a") as file:
        file.write(f"{x}\n")
    return x


class Model:
    """A setup that is a context manager; its teardown says so in a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self) -> Model:
        return self

    def __enter__(self) -> int:
        return os.getpid()

    def __exit__(self, *exc_info: object) -> None:
        with open(self.path, "a") as file:
            file.write("teardown\n")


def with_state(state: int, x: int) -> tuple[bool, int]:
    return state == os.getpid(), x


class Broken(Model):
    """Its teardown fails."""

    def __exit__(self, *exc_info: object) -> None:
        raise LookupError("teardown")


def unpicklable(x: Any) -> Any:
    return (each for each in (x,))
