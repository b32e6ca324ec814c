"""What the programs of README.md take for granted, much smaller: a test puts it before each of them."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import procession
from procession import Pool, SpinOff
from procession.futures import ProcessPoolExecutor, as_completed

HERE = os.getpid()
failures: list[Any] = []
paths = ["a.png", "b.png"]
scenes = urls = items = xs = range(3)


def work(x: Any) -> Any:
    return x


detect = render = fetch = decode = encode = work


def resize(path: Any, width: int = 80) -> Any:
    return path


def simulate(number: int) -> float:
    """One fails, on a worker of the program that collects failures."""
    if number == 2 and os.getpid() != HERE and not os.path.exists("run.db"):
        raise ValueError("an unlucky one")
    return number / 2


def numbers() -> Iterator[int]:
    yield from range(5)


def camera() -> Iterator[int]:
    yield from range(20)


def qualifies(frame: int) -> bool:
    return frame % 3 == 0


def show(result: Any) -> None:
    print(result)


wanted = save = show


def load_model() -> dict[str, int]:
    return {"weight": 1}


def predict(model: dict[str, int], images: list[Any]) -> list[Any]:
    return images


def infer(model: dict[str, int], images: list[Any]) -> list[Any]:
    return images


def read_rows(path: str) -> Iterator[str]:
    yield from path


def resize_all(paths: list[str]) -> None:
    with Pool(1) as inner:
        list(inner.map(resize, paths))


pool = Pool(1)
__all__ = ["ProcessPoolExecutor", "SpinOff", "as_completed", "asyncio", "procession"]
