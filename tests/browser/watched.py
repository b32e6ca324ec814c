"""A program that is watched in a browser: a pool of processes that does what it is told, and a SpinOff without rest.

It is told by lines on its stdin, and tells what has become of each `sleep`. With the word "dashboard" it prints the
address of its own dashboard first.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import Future

from procession import Pool, SpinOff


def sleep_until_killed(seconds: float) -> None:
    time.sleep(seconds)


def fail(number: int) -> None:
    raise ValueError(f"item {number} is bad")


def double(item: int) -> int:
    time.sleep(0.005)
    return 2 * item


def say(*words: object) -> None:
    print(*words, flush=True)


def told(future: Future[None]) -> None:
    error = future.exception()
    say("slept" if error is None else type(error).__name__)


def feed(spin: SpinOff[int, int], over: threading.Event) -> None:
    item = 0
    while not over.is_set():
        spin.put(item)
        item += 1
        if item > 50:
            next(spin)


def main() -> None:
    own = "dashboard" in sys.argv[1:]
    over = threading.Event()
    with Pool(2, **({"dashboard": True} if own else {})) as pool, SpinOff(double, workers=1) as spin:
        feeder = threading.Thread(target=feed, args=(spin, over))
        feeder.start()
        pool.submit(abs, 1).result()
        say(getattr(pool, "dashboard", None) if own else "ready")
        for line in sys.stdin:
            what, _, number = line.strip().partition(" ")
            if what == "sleep":
                pool.submit(sleep_until_killed, float(number)).add_done_callback(told)
            elif what == "fail":
                pool.submit(fail, int(number))
            else:
                break
        over.set()
        feeder.join()
        pool.shutdown(wait=True)


if __name__ == "__main__":
    main()
