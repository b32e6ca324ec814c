"""`multiprocessing.Pool` against `procession.adapters.multiprocessing.Pool`, method by method.

    python -m benchmarks.multiprocessing_pool [--items 20000] [--rounds 3]

Each round has one pool of either kind with two workers, warm; the methods run one after another on both, taking turns.
A number is the best of the rounds, in calls of `abs` a second: what a call costs, with nothing in it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from typing import Any

from procession.adapters import multiprocessing as facade

Method = Callable[[Any, int], object]


def apply(pool: Any, count: int) -> None:
    for number in range(count):
        pool.apply(abs, (number,))


def apply_async(pool: Any, count: int) -> None:
    for each in [pool.apply_async(abs, (number,)) for number in range(count)]:
        each.get()


def drained(method: str, **words: Any) -> Method:
    return lambda pool, count: sum(getattr(pool, method)(abs, range(count), **words))


def starmap(chunksize: int | None) -> Method:
    return lambda pool, count: pool.starmap(pow, [(number, 2) for number in range(count)], chunksize)


METHODS: dict[str, tuple[float, Method]] = {
    "apply": (0.1, apply),
    "apply_async": (0.5, apply_async),
    "map": (10, drained("map")),
    "map, chunksize=1": (1, drained("map", chunksize=1)),
    "map, chunksize=100": (10, drained("map", chunksize=100)),
    "map_async": (10, lambda pool, count: pool.map_async(abs, range(count)).get()),
    "starmap": (10, starmap(None)),
    "starmap, chunksize=100": (10, starmap(100)),
    "imap": (1, drained("imap")),
    "imap, chunksize=100": (10, drained("imap", chunksize=100)),
    "imap_unordered": (1, drained("imap_unordered")),
    "imap_unordered, chunksize=100": (10, drained("imap_unordered", chunksize=100)),
}
"""With how many items each, as a multiple of what is asked for."""


def measure(items: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Calls a second of each method: of the standard library's pool, and of ours."""
    found = dict.fromkeys(METHODS, (0.0, 0.0))
    for _ in range(rounds):
        with multiprocessing.Pool(2) as theirs, facade.Pool(2) as ours:
            for pool in (theirs, ours):
                pool.map(abs, range(1000))
            for name, (factor, method) in METHODS.items():
                count = max(1, int(items * factor))
                theirs_, ours_ = found[name]
                found[name] = (max(theirs_, rate(method, theirs, count)), max(ours_, rate(method, ours, count)))
    return found


def rate(method: Method, pool: Any, count: int) -> float:
    """Calls a second."""
    began = time.perf_counter()
    method(pool, count)
    return count / (time.perf_counter() - began)


def main() -> None:
    """Print a table."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.multiprocessing_pool", description=__doc__)
    words.add_argument("--items", type=int, default=20_000)
    words.add_argument("--rounds", type=int, default=3)
    asked = words.parse_args()
    print("| method | `multiprocessing.Pool` | here | ratio |\n| --- | --- | --- | --- |")
    for name, (theirs, ours) in measure(asked.items, asked.rounds).items():
        print(f"| `{name}` | {theirs:,.0f} | {ours:,.0f} | {ours / theirs:.1f} |")


if __name__ == "__main__":
    main()
