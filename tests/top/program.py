"""A program to be looked at: a pool of processes, one of threads, a SpinOff, and a map whose first item takes long.

It does what it is told by lines on its stdin, and tells what has become of `hold`s, so that nobody has to guess.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import Future, wait
from pathlib import Path


def hold(path: str) -> str:
    """Until that file is there. Another one says that it has begun."""
    Path(f"{path}-begun").touch()
    while not Path(path).exists():
        time.sleep(0.01)
    return path


def fail(number: int) -> None:
    raise ValueError(f"item {number} is bad")


def double(item: int) -> int:
    return 2 * item


def late(item: tuple[int, str]) -> int:
    if item[0] == 0:
        hold(item[1])
    return item[0]


def say(*words: object) -> None:
    print(*words, flush=True)


def main() -> None:
    from procession import Pool, SpinOff

    def told(future: Future[str]) -> None:
        say("held", future.result() if future.exception() is None else type(future.exception()).__name__)

    with Pool(2) as pool, Pool(1, backend="threads") as threads, SpinOff(double, workers=1) as spin, Pool(2) as more:
        spin.put(1)
        assert threads.submit(double, 1).result() == 2
        assert pool.submit(double, 2).result() == 4
        stream = more.imap(late, [(number, sys.argv[1]) for number in range(20)], chunksize=1)
        puller = threading.Thread(target=lambda: say("stream", sum(stream)))
        puller.start()
        for each in (pool, more):
            while each.stats().idle + each.stats().busy < 2:  # all workers are there before any test begins
                wait([each.submit(time.sleep, 0.01) for _ in range(4)])
        say("ready")
        for line in sys.stdin:
            what, _, words = line.strip().partition(" ")
            if what == "hold":
                pool.submit(hold, words).add_done_callback(told)
            elif what == "fail":
                pool.submit(fail, int(words))
            elif what == "end":
                break
        Path(sys.argv[1]).touch()
        puller.join()
        spin.close()
        list(spin)
    say("over")


if __name__ == "__main__":
    main()
