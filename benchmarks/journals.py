"""What a journal costs where tasks do nothing: `python -m benchmarks.journals [--folder FOLDER] [--repeat N]`.

A SpinOff and an imap without a journal, with one that survives a kill (sync=False), and with one that survives a power
cut (the default), in turns and in one run; beside them what the disk does by itself: a write of 4 KiB and an fdatasync,
one after the other. Printed are items a second, the median of the rounds. How quick a lone `put` is, if synced,
is the disk's matter; puts of many threads and coroutines share commits.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import facts
from procession import Journal, Pool, SpinOff

MODES = ("none", "sync=False", "synced")
PUTS = {1: 1_000, 8: 8_000, 64: 20_000}
"""How many items are put by so many threads in all."""
MANY = 20_000
NEXT = 3_000
COROUTINES, EACH = 64, 100
ITEMS = 50_000

_numbers = count()


def nothing(n: int) -> int:
    """The task."""
    return n


def words(folder: Path, mode: str) -> dict[str, Any]:
    """`journal=` of this mode, a new file."""
    if mode == "none":
        return {}
    return {"journal": Journal(folder / f"{next(_numbers)}.db", sync=mode == "synced")}


@contextmanager
def spun(folder: Path, mode: str, **more: Any) -> Iterator[SpinOff[int, int]]:
    """A warm SpinOff."""
    with SpinOff(nothing, maxsize=0, **words(folder, mode), **more) as spin:
        spin.put(0).result()
        yield spin


def rate(items: int, work: Callable[[], object]) -> float:
    """Items a second."""
    began = time.perf_counter()
    work()
    return items / (time.perf_counter() - began)


def put_by(threads: int) -> Callable[[Path, str], float]:
    """So many threads put."""

    def measured(folder: Path, mode: str) -> float:
        each = PUTS[threads] // threads
        with spun(folder, mode, iterate=False) as spin:

            def put() -> None:
                for n in range(each):
                    spin.put(n)

            def all_of_them() -> None:
                crew = [threading.Thread(target=put) for _ in range(threads)]
                for thread in crew:
                    thread.start()
                for thread in crew:
                    thread.join()

            return rate(each * threads, all_of_them)

    return measured


def put_many(folder: Path, mode: str) -> float:
    """One call of put_many."""
    with spun(folder, mode, iterate=False) as spin:
        return rate(MANY, lambda: spin.put_many(range(MANY)))


def aput(folder: Path, mode: str) -> float:
    """Many coroutines."""

    async def main() -> float:
        with spun(folder, mode, iterate=False) as spin:

            async def one() -> None:
                for n in range(EACH):
                    await spin.aput(n)

            began = time.perf_counter()
            await asyncio.gather(*[one() for _ in range(COROUTINES)])
            return COROUTINES * EACH / (time.perf_counter() - began)

    return asyncio.run(main())


def take_by_next(folder: Path, mode: str) -> float:
    """Results that are ready, one by one."""
    with spun(folder, mode) as spin:
        spin.put_many(range(NEXT))
        spin.flush()
        return rate(NEXT, lambda: [next(spin) for _ in range(NEXT)])


def take_by_ready(folder: Path, mode: str) -> float:
    """All at once."""
    with spun(folder, mode) as spin:
        spin.put_many(range(MANY))
        spin.flush()

        def taken() -> None:
            assert len(spin.ready()) == MANY + 1
            spin.ready()  # this says that the others have been dealt with

        return rate(MANY, taken)


def imap(folder: Path, mode: str) -> float:
    """A new run."""
    with Pool(2) as pool:
        pool.submit(nothing, 0).result()
        return rate(ITEMS, lambda: sum(pool.imap(nothing, range(ITEMS), **words(folder, mode))))


def imap_again(folder: Path, mode: str) -> float:
    """A run of which all outcomes are there."""
    with Pool(2) as pool:
        journal = words(folder, mode)
        sum(pool.imap(nothing, range(ITEMS), **journal))
        return rate(ITEMS, lambda: sum(pool.imap(nothing, range(ITEMS), **journal)))


MEASURES: dict[str, Callable[[Path, str], float]] = {
    "`put` by 1 thread": put_by(1),
    "`put` by 8 threads": put_by(8),
    "`put` by 64 threads": put_by(64),
    "`put_many`": put_many,
    f"`aput` by {COROUTINES} coroutines": aput,
    "`next()`": take_by_next,
    "`ready()`": take_by_ready,
    "`imap`, a new run": imap,
    "`imap`, all of it there": imap_again,
}


def disk(folder: Path, writes: int = 300) -> float:
    """Writes of 4 KiB a second, each on the disk before the next."""
    path = folder / "bare"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:

        def write() -> None:
            for n in range(writes):
                os.pwrite(fd, b"x" * 4096, 4096 * (n % 64))
                os.fdatasync(fd)

        return rate(writes, write)
    finally:
        os.close(fd)
        path.unlink()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk that is asked (default: here)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds (3)")
    given = parser.parse_args()
    about = facts()
    print(f"Python {about['python']}, {about['cpu']}, {about['cores_usable']} cores, load {about['load_average']}\n")
    found: dict[tuple[str, str], list[float]] = {}
    bare = []
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        for _ in range(given.repeat):
            bare.append(disk(folder))
            for what, measure in MEASURES.items():
                for mode in MODES:
                    found.setdefault((what, mode), []).append(measure(folder, mode))
    print("| items/s | no journal | sync=False | synced |")
    print("| --- | ---: | ---: | ---: |")
    for what in MEASURES:
        print(f"| {what} | {' | '.join(f'{median(found[what, mode]):,.0f}' for mode in MODES)} |")
    print()
    print(f"The disk by itself: {median(bare):,.0f} synced writes a second.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
