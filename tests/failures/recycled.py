"""What the workers of test_recycling.py run. Few imports: many of them are started."""

import os
import time

from tests.failures.tasks import PATIENCE, lines, note

MIB = 1 << 20
KEPT: list[bytearray] = []


def say_start(path: str) -> None:
    note(path, f"start {os.getpid()}")


def said(path: str, word: str) -> list[int]:
    return [int(line.split()[1]) for line in lines(path) if line.startswith(word)]


def await_another(path: str) -> None:
    """Wait until a worker has been started after this one."""
    until = time.monotonic() + PATIENCE
    while said(path, "start")[-1] == os.getpid():
        assert time.monotonic() < until, "there is no other worker"
        time.sleep(0.002)


def last_one_waits_for_the_next(path: str, number: int) -> int:
    """Its worker's last item, the eighth: ends when somebody else has been started."""
    note(path, f"task {os.getpid()}")
    if said(path, "task").count(os.getpid()) == 8:
        await_another(path)
    return number


def keep(size: int) -> int:
    """Takes so much more, for good."""
    KEPT.append(bytearray(os.urandom(1)) * size)
    return os.getpid()


def swell(_number: int = 0) -> None:
    """Takes more and more; at a gigabyte it gives up waiting for what should have ended it."""
    for _ in range(1024):
        KEPT.append(bytearray(b"x") * MIB)
        time.sleep(0.005)


def number_and_pid(number: int) -> tuple[int, int]:
    return number, os.getpid()


def wait_for_the_next(path: str) -> int:
    await_another(path)
    return os.getpid()


def begin_and_end(path: str) -> None:
    note(path, "begin")
    time.sleep(0.002)
    note(path, "end")


def swell_at_three(number: int) -> int:
    if number == 3:
        swell()
    return number


def take_much() -> None:
    KEPT.append(bytearray(b"x") * (20 * MIB))
