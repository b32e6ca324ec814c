"""What the load has workers do, and how to tell whether it was done right."""

import ctypes
import os
import resource
import time
from collections import deque
from itertools import repeat
from typing import Any

RIGHT, DIED, CANCELLED, UNKNOWN, LATE, THROUGH = 1, 2, 3, 4, 5, 6
"""What becomes of a task, in the book."""


def work(number: int, path: str) -> tuple[int, bytes]:
    """Note the start, then be one of several kinds of task, as the number has it."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{number} {os.getpid()}\n".encode())
    os.close(fd)
    kind = number * 2654435761 % 97
    if kind < 8:
        time.sleep(kind / 1000)
    elif kind < 12:
        until = time.perf_counter() + 0.003
        while time.perf_counter() < until:
            pass
    elif kind < 14:
        sum(repeat(1, 400_000))  # in C, with the GIL
    elif kind == 14:
        return number, payload(number, 1_000_000)
    elif kind < 20:
        return number, payload(number, 20_000)
    return number, b""


HANGS, CRASHES, BALLOONS = (20, 21), (22,), (23, 24)
"""The kinds of risky tasks that never end, that kill their worker, and that take a lot of memory for a while."""
MIB = 1 << 20
LIMITS = (64 * MIB, 160 * MIB)


def risky(number: int, path: str) -> tuple[int, bytes]:
    """`work`, but for some kinds, which hang or crash after they have noted their start."""
    answer = work(number, path)
    kind = number * 2654435761 % 97
    if kind == HANGS[0]:
        time.sleep(3600)
    elif kind == HANGS[1]:
        deque(repeat(None), maxlen=0)  # in C, with the GIL
    elif kind in CRASHES:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(0)
    elif kind in BALLOONS:
        taken = []
        for _ in range(80):  # twice as much as may be had where that is limited
            taken.append(bytearray(b"x") * (4 * MIB))
            time.sleep(0.003)
    return answer


def work_of(pair: tuple[int, str]) -> tuple[int, bytes]:
    return work(*pair)


def payload(number: int, size: int) -> bytes:
    return bytes([number & 0xFF]) * size


def right(number: int, value: Any) -> bool:
    kind = number * 2654435761 % 97
    size = 1_000_000 if kind == 14 else 20_000 if 14 < kind < 20 else 0
    return value == (number, payload(number, size))
