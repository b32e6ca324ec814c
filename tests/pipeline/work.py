"""What the stages of these tests call, importable by a worker that knows nothing of pytest."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def add(x: Any) -> Any:
    return x + 1


def double(x: Any) -> Any:
    return 2 * x


def same(x: Any) -> Any:
    return x


def spread(x: int) -> Iterator[int]:
    """None, one or two outputs."""
    for n in range(x % 3):
        yield 10 * x + n


def evens(x: int) -> list[int]:
    return [] if x % 2 else [x]


def doubles(batch: list[int]) -> list[int]:
    assert batch
    return [2 * x for x in batch]


def sizes(batch: list[int]) -> list[tuple[int, int]]:
    """Of each input, and in which company it came."""
    return [(x, len(batch)) for x in batch]


def spreads(batch: list[int]) -> list[list[int]]:
    return [list(spread(x)) for x in batch]


def fail_on_three(x: int) -> int:
    if x % 10 == 3:
        raise LookupError(f"no {x}")
    return x


def die_on_three(x: int) -> int:
    if x % 10 == 3:
        os._exit(7)
    return x


def die_on_threes(batch: list[int]) -> list[int]:
    return [die_on_three(x) for x in batch]


def hang_on_threes(batch: list[int]) -> list[int]:
    return [hang_on_three(x) for x in batch]


def die_once(folder: str, x: int) -> int:
    """Every seventh one kills its worker at its first try."""
    mark = Path(folder) / f"died-{x}"
    if x % 7 == 3 and not mark.exists():
        mark.touch()
        os._exit(7)
    return x + 1


def wait_for(folder: str, x: int) -> int:
    """Item 0 says that it runs, and waits for the file `go`."""
    if x == 0:
        (Path(folder) / "runs").touch()
        while not (Path(folder) / "go").exists():
            time.sleep(0.002)
    return x


def hang_on_three(x: int) -> int:
    if x == 3:
        time.sleep(60)
    return x


def note(path: str, x: Any) -> Any:
    """Add a line, in one write."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{x}\n".encode())
    finally:
        os.close(fd)
    return x


class Counter:
    """A setup: how many items this worker has seen, and its pid."""

    def __init__(self) -> None:
        self.seen = 0

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_about: object) -> None:
        pass


def counted(state: Counter, x: Any) -> tuple[Any, int, int]:
    state.seen += 1
    return x, state.seen, os.getpid()


def refuse_to_start() -> None:
    raise RuntimeError("not today")


def blob(n: int) -> bytes:
    return n.to_bytes(4, "big") * 2500


def number_of(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")


def slowly(x: int) -> int:
    time.sleep(0.004)
    return x


def sleepily(x: int) -> int:
    """So slow that it shows where everything is ten times as slow."""
    time.sleep(0.03)
    return x
