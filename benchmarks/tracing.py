"""What a trace costs where tasks do nothing: `python -m benchmarks.tracing [--repeat N] [--backend B] [map imap ...]`.

The same work is done without a trace, with one, and once more without, which shows how much the machine errs; in turns
and in one run. Printed are the nanoseconds that a task costs without it, its speed with it as a part of that without
(the median of the pairs that ran side by side), how many tasks were recorded and lost, and the bytes that one
takes in memory and in the file.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from procession import Pool, SpinOff, accelerated, trace
from procession.seeing import chrome
from procession.seeing.recording import Recording


def nothing(n: int) -> int:
    """The task."""
    return n


def by_map(pool: Pool, count: int) -> None:
    """A map over a range."""
    for _ in pool.map(nothing, range(count)):
        pass


def by_imap(pool: Pool, count: int) -> None:
    """An imap over a range."""
    for _ in pool.imap(nothing, range(count)):
        pass


def by_submit(pool: Pool, count: int) -> None:
    """All are submitted, then waited for."""
    for each in [pool.submit(nothing, n) for n in range(count)]:
        each.result()


def by_trip(pool: Pool, count: int) -> None:
    """One after the other."""
    for n in range(count):
        pool.submit(nothing, n).result()


def by_spinoff(pool: Pool, count: int) -> None:
    """A SpinOff into which all is put, and then taken."""
    with SpinOff(nothing, workers=2, maxsize=0, backend=pool.stats().backend) as spin:  # type: ignore[arg-type]
        for n in range(count):
            spin.put(n)
    for _ in spin:
        pass


WAYS: dict[str, tuple[Callable[[Pool, int], None], int]] = {
    "map": (by_map, 1_000_000),
    "imap": (by_imap, 200_000),
    "submit": (by_submit, 100_000),
    "trip": (by_trip, 10_000),
    "spinoff": (by_spinoff, 100_000),
}
"""How, and how many tasks."""


def one(way: str, pool: Pool, repeat: int) -> None:
    """A line about this way."""
    run, count = WAYS[way]
    rates: dict[str, list[float]] = {"off": [], "on": [], "again": []}
    recording = Recording()
    for _ in range(repeat):
        for name in rates:
            began = time.perf_counter()
            if name == "on":
                with trace(None) as traced:
                    run(pool, count)
                    took = time.perf_counter() - began
                recording = traced.recording
            else:
                run(pool, count)
                took = time.perf_counter() - began
            rates[name].append(count / took)
    cost = 1e9 / median(rates["off"])
    ratio, err = (median(b / a for a, b in zip(rates["off"], rates[name], strict=True)) for name in ("on", "again"))
    kept = sum(column.itemsize for column in recording.columns.values())
    print(
        f"{way:8} {cost:8.0f} ns a task; traced {ratio:5.2f} of the speed (untraced again {err:4.2f}); "
        f"{len(recording)} recorded, {recording.lost} lost; {kept} bytes a task, {in_file(recording):.0f} in the file"
    )


def in_file(recording: Recording) -> float:
    """Bytes a task takes there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.json"
        chrome.write(recording, path)
        return os.path.getsize(path) / max(1, len(recording))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracing", description=__doc__.partition("\n")[0])
    parser.add_argument("ways", nargs="*", choices=[[], *WAYS], help="default: all")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--backend", choices=("processes", "threads"), default="processes")
    words = parser.parse_args()
    how = "accelerated" if accelerated else "pure Python"
    print(f"{words.backend}, {how}; {words.repeat} rounds; load {os.getloadavg()[0]:.1f}")
    with Pool(2, backend=words.backend) as pool:
        list(pool.map(nothing, range(1000)))
        for way in words.ways or WAYS:
            one(way, pool, words.repeat)


if __name__ == "__main__":
    main()
