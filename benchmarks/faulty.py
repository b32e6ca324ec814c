"""Small programs, each with one known fault, and one without: what the verdict is tried on. Each runs for 1 to 3 s.

The work in them is `compute` (Python code that keeps a CPU busy) and `rest` (which waits, as for a disk or a network).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from procession import Pool, SpinOff


class Program(NamedTuple):
    """One of them."""

    fault: str
    """Of the finding that should be made; "": none."""
    what: str
    run: Callable[[], object]


def compute(seconds: float) -> float:
    """Keep one CPU busy for so much of its time, however many others want it."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        for _ in range(100):
            pass
    return seconds


def rest(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def small() -> None:
    with Pool(2) as pool:
        for future in [pool.submit(abs, -n) for n in range(300_000)]:
            future.result()


def pickled() -> None:
    with Pool(2) as pool:
        words = [f"word {n}" for n in range(300_000)]
        for future in [pool.submit(len, words[n:]) for n in range(30)]:
            future.result()


def again() -> None:
    table = bytes(30_000_000)
    with Pool(2) as pool:
        for future in [pool.submit(first, table, n) for n in range(40)]:
            future.result()


def first(table: bytes, _n: int) -> int:
    compute(0.02)
    return table[0]


def straggler() -> None:
    with Pool(4) as pool:
        pool.map(rest, [0.05] * 40 + [1.5])


def gil() -> None:
    with Pool(4, backend="threads") as pool:
        pool.map(compute, [0.05] * 30)


def blas() -> None:
    with Pool(2) as pool:
        pool.map(multiply, range(10))


def multiply(_n: int) -> float:
    import numpy
    from threadpoolctl import threadpool_limits

    with threadpool_limits(2 * (os.cpu_count() or 1)):
        table = numpy.ones((900, 900))
        for _ in range(4):
            table = table @ table / 900
        return float(table[0, 0])


def waits() -> None:
    with Pool(2) as pool:
        pool.map(rest, [0.05] * 60)


def serial() -> None:
    with Pool(2) as pool:
        for _ in range(8):
            compute(0.12)
            list(pool.map(compute, [0.02] * 6))


def taker() -> None:
    with Pool(2) as pool:
        for _ in pool.imap(rest, [0.01] * 60, window=8):
            time.sleep(0.03)


def slowly() -> Iterator[float]:
    for _ in range(40):
        time.sleep(0.04)
        yield 0.02


def source() -> None:
    with SpinOff(rest, workers=2) as spin:
        for item in slowly():
            spin.put(item)


def pulled() -> None:
    with Pool(2) as pool:
        for _ in pool.imap(rest, slowly()):
            pass


def paced() -> None:
    with Pool(2) as pool:
        list(pool.imap(rest, [0.02] * 40, rate=20))


def keyed() -> None:
    with Pool(2) as pool:
        list(pool.imap(rest, [0.03] * 60, key=one_key))


def one_key(_seconds: float) -> str:
    return "all"


def backoff() -> None:
    with Pool(2) as pool:
        patient = pool.options(retries=1, backoff=0.8)
        for future in [patient.submit(broken, n) for n in range(20)]:
            future.exception()


def gathered() -> None:
    with SpinOff(of_several, workers=2, batch=10, max_wait=0.1) as spin:
        for item in slowly():
            spin.put(item)


def of_several(items: list[float]) -> list[float]:
    time.sleep(0.02)
    return items


def failures() -> None:
    with Pool(2) as pool:
        twice = pool.options(retries=2)
        for future in [twice.submit(broken, n) for n in range(40)]:
            future.exception()


def broken(n: int) -> int:
    compute(0.02)
    if n % 2:
        raise OSError("no route to host")
    return n


def head() -> None:
    with Pool(4) as pool:
        list(pool.imap(rest, [0.5 if n % 25 == 0 else 0.01 for n in range(100)], window=8))


def alone() -> None:
    with Pool(2) as pool:
        for _ in range(50):
            pool.submit(rest, 0.03).result()


kept: list[bytearray] = []


def memory() -> None:
    with Pool(2) as pool:
        pool.map(keep, range(60))


def keep(_n: int) -> None:
    kept.append(bytearray(os.urandom(1_000) * 10_000))
    compute(0.03)


def start() -> None:
    for _ in range(12):
        with Pool(2) as pool:
            pool.map(compute, [0.01] * 2)


def healthy() -> None:
    with Pool(2) as pool:
        pool.map(compute, [0.03] * 60)


PROGRAMS = {
    "tasks of nothing": Program("small", "300,000 calls of `abs` by `submit`", small),
    "huge arguments": Program("pickling", "30 lists of 300,000 strings, for `len`", pickled),
    "the same again": Program("again", "30 MB, the same for 40 calls", again),
    "straggler last": Program("straggler", "40 tasks of 50 ms, then one of 1.5 s, on 4 workers", straggler),
    "GIL": Program("gil", "Python code on 4 threads", gil),
    "BLAS": Program("blas", "products of matrices, the limit of threads lifted in the tasks", blas),
    "too few workers": Program("waits", "60 tasks that wait 50 ms each, on 2 workers", waits),
    "serial parent": Program("serial", "120 ms of its own before each `map`, of 60 ms on two workers", serial),
    "slow taker": Program("taker", "`imap` with a window of 8, 30 ms for each result", taker),
    "slow source": Program("input", "a SpinOff of what comes each 40 ms, 20 ms of work", source),
    "slow source of an imap": Program("source", "the same by `imap`, which reads it in the thread that takes", pulled),
    "rate": Program("rate", "`imap` with `rate=20`, 20 ms of work", paced),
    "one key": Program("key", "`imap` with a `key=` that is the same for all", keyed),
    "backoff": Program("backoff", "half of 20 tasks fail, and run again 0.8 s later", backoff),
    "batch": Program("batch", "a SpinOff with `batch=10`, of what comes each 40 ms", gathered),
    "failures": Program("failures", "half of the items fail, each three times", failures),
    "head of line": Program("head", "`imap` with a window of 8; each 25th item takes 50 times as long", head),
    "one at a time": Program("alone", "`submit(...).result()` in a loop", alone),
    "growing workers": Program("memory", "each task keeps 10 MB", memory),
    "a pool for each": Program("start", "12 pools, for two tasks of 10 ms each", start),
    "healthy": Program("", "60 tasks of 30 ms on 2 workers", healthy),
}
