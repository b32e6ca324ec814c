"""A signal every 0.3 ms that raises in the main thread, while it puts and takes. Prints how often it struck.

Run as `python -m tests.spinoff.storm ROUNDS [key|sticky|unordered|bytes|batch|rate]`; fails when an item or a result
was lost, or ran twice.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

from procession import spinoff
from procession.driver.threads import ThreadEngine

ITEMS = 1500
PERIOD = 0.0003

WORDS: dict[str, dict[str, Any]] = {
    "": {},
    "key": {"key": lambda x: x % 3},
    "sticky": {"key": lambda x: x % 3, "sticky": True},
    "unordered": {"ordered": False},
    "bytes": {"buffer_bytes": 200},
    "batch": {"batch": 7, "max_wait": 0.001},
    "rate": {"rate": 20_000},
}


class Struck(Exception):
    """What the signal handler raises."""


armed = [False]


def strike(signum: int, frame: Any) -> None:
    if armed[0]:
        armed[0] = False  # until the work is taken up again: this file has points of its own outside any try
        raise Struck


def weather(step: Callable[[], None]) -> int:
    """Go on with `step` until it is done; returns how often it was struck."""
    strikes = 0
    while True:
        try:
            armed[0] = True
            step()
            armed[0] = False
            return strikes
        except Struck:
            strikes += 1


def main(words: dict[str, Any]) -> int:
    """One SpinOff, from its first item to its last result."""
    ran: list[int] = []
    sure: list[int] = []
    got: list[int] = []
    numbers = iter(range(ITEMS))

    def double(x: int) -> int:
        ran.append(x)
        return 2 * x

    def double_all(some: list[int]) -> list[int]:
        return [double(x) for x in some]

    def work() -> None:
        for x in numbers:
            spin.put(x)
            sure.append(x)
            got.extend(spin.ready())

    fn: Callable[[Any], Any] = double_all if "batch" in words else double
    spin = spinoff.SpinOff(fn, workers=2, backend="threads", maxsize=0, **words)
    signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, PERIOD, PERIOD)
    strikes = weather(work)
    signal.setitimer(signal.ITIMER_REAL, 0)
    spin.close()
    got.extend(spin)
    assert spin.join(60), "it does not end"
    assert len(ran) == len(set(ran)), "an item ran twice"
    assert set(sure) <= set(ran), f"lost: {sorted(set(sure) - set(ran))}"
    assert sorted(got) == sorted(2 * x for x in ran), f"{len(got)} results of {len(ran)} items"
    if words.get("ordered", True):
        assert got == sorted(got)
    return strikes


if __name__ == "__main__":
    spinoff._make_engine = lambda backend, workers, config: ThreadEngine(workers, config)
    words = WORDS[sys.argv[2] if len(sys.argv) > 2 else ""]
    print(sum(main(words) for _ in range(int(sys.argv[1]))))
