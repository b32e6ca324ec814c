"""What progress= costs where tasks do nothing: `python -m benchmarks.progress [--repeat N] [map imap spinoff]`.

The same stream is run without it, with a bar that is drawn on a terminal (a pty, of which a thread reads), with a
callable, and with tqdm, in turns and in one run; and once more without it, which shows how much the machine errs.
Printed are the nanoseconds an item costs without it, and the others' ratios to that, of wall time and of this process's
CPU time: the median of the pairs that ran side by side.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import sys
import threading
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from procession import Pool, SpinOff, accelerated

SECONDS = 1.0
"""About so long each run takes."""


def nothing(n: int) -> int:
    """The task."""
    return n


def call(done: int, total: int | None) -> None:
    """The callable."""


def by_map(pool: Pool, count: int, progress: Any) -> None:
    """A map over a range."""
    for _ in pool.options(progress=progress).map(nothing, range(count)):
        pass


def by_imap(pool: Pool, count: int, progress: Any) -> None:
    """An imap over a range."""
    for _ in pool.imap(nothing, range(count), progress=progress):
        pass


def by_spinoff(_: Pool, count: int, progress: Any) -> None:
    """A SpinOff into which all is put, and then taken."""
    with SpinOff(nothing, workers=2, maxsize=0, progress=progress) as spin:
        for n in range(count):
            spin.put(n)
    for _ in spin:
        pass


WAYS: dict[str, Callable[[Pool, int, Any], None]] = {"map": by_map, "imap": by_imap, "spinoff": by_spinoff}


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """stderr is a terminal that somebody reads."""
    os.environ["TERM"] = "xterm-256color"
    master, slave = pty.openpty()
    kept, sys.stderr = sys.stderr, open(slave, "w", encoding="utf-8")  # noqa: SIM115

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(master, 1 << 16):
                pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = kept
        reader.join()
        os.close(master)


def measure(way: Callable[[Pool, int, Any], None], pool: Pool, repeat: int) -> str:
    """Run it in turns, and say what was found."""
    from tqdm import tqdm

    kinds: dict[str, Any] = {"off": False, "bar": True, "callable": call, "tqdm": tqdm, "off again": False}
    count = 1000
    while (took := _times(way, pool, count, False)[0]) < SECONDS / 4:
        count = int(count * min(10, SECONDS / max(took, 1e-3)))
    count = int(count * SECONDS / took)
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    names = list(kinds)
    for turn in range(repeat):
        for kind in names[turn % len(names) :] + names[: turn % len(names)]:
            found[kind].append(_times(way, pool, count, kinds[kind]))
    off = found.pop("off")
    each = median(wall for wall, _ in off) / count * 1e9
    ratios = []
    for kind, runs in found.items():
        wall, cpu = (median(a[n] / b[n] for a, b in zip(runs, off, strict=True)) for n in (0, 1))
        ratios.append(f"{kind} {wall:.3f} wall {cpu:.3f} cpu")
    return f"{each:,.0f} ns an item; {', '.join(ratios)}"


def _times(way: Callable[[Pool, int, Any], None], pool: Pool, count: int, progress: Any) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    way(pool, count, progress)
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.progress", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("ways", nargs="*", metavar="|".join(WAYS), help="all, if none is named")
    parser.add_argument("--repeat", type=int, default=9)
    words = parser.parse_args()
    if unknown := set(words.ways) - set(WAYS):
        parser.error(f"there is no {' and no '.join(unknown)}")
    print("accelerated" if accelerated else "pure Python")
    with terminal(), Pool(2) as pool:
        by_imap(pool, 1000, True)  # rich is imported once
        for way in words.ways or WAYS:
            print(f"{way:8} {measure(WAYS[way], pool, words.repeat)}", flush=True)


if __name__ == "__main__":
    main()
