"""A log is followed while it grows: the lines of each session in their order, the sessions side by side.

    python examples/log_tailer.py

What is done for a line takes 2 ms and must not overtake the line before it of the same session, but sessions have
nothing to do with each other. So the key is the session, and results are handed over as they come (ordered=False),
which is in order for each session. One session is hot: it has four lines in ten, and since those run one after
another, nothing can be faster than 2.5 times a plain loop, however many workers there are.

The reader is held back when 200 lines are in hand: what has not been read waits in the file, not in memory.
"""

import argparse
import random
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from procession import SpinOff

COST = 0.002  # seconds for one line: a query to a database, say
SESSIONS = ("hot", *(f"s{number}" for number in range(12)))


class Handled(NamedTuple):
    session: str
    number: int  # of the line in its session
    line: int  # in the file
    start: float  # seconds of time.monotonic, one clock for all processes of a machine
    end: float


def session_of(line: str) -> str:
    return line.split()[1]


def handle(line: str) -> Handled:
    start = time.monotonic()
    place, session, number = line.split()[:3]
    time.sleep(COST)
    return Handled(session, int(number), int(place), start, time.monotonic())


# ------------------------------------------------------------------------------------------------------------ the file


def write_log(path: Path, lines: int, ended: threading.Event) -> None:
    """As a server does: now and then a few lines, and what is in the file ends anywhere in one of them."""
    chance = random.Random(1)
    counts: dict[str, int] = defaultdict(int)
    try:
        with path.open("w", buffering=500) as log:
            for place in range(lines):
                session = "hot" if chance.random() < 0.4 else chance.choice(SESSIONS[1:])
                log.write(f"{place} {session} {counts[session]} GET /page/{chance.randrange(1000)}\n")
                counts[session] += 1
                if place % 50 == 0:
                    time.sleep(0.01)
    finally:
        ended.set()


def tail(path: Path, ended: threading.Event) -> Iterator[str]:
    """The lines of a file that grows, whole ones only, until its writer has ended and all is read."""
    rest = ""
    with path.open() as log:
        while True:
            last = ended.is_set()  # asked before reading: what was written until then is read
            *lines, rest = (rest + log.read()).split("\n")
            yield from lines
            if last:
                return
            if not lines:
                ended.wait(0.01)


# --------------------------------------------------------------------------------------------------------- the program


def follow(path: Path, lines: int) -> list[Handled]:
    path.touch()
    ended = threading.Event()
    writer = threading.Thread(target=write_log, args=(path, lines, ended))
    writer.start()
    done: list[Handled] = []
    with SpinOff(handle, workers=4, key=session_of, ordered=False, maxsize=200, on_result=done.append) as spin:
        for line in tail(path, ended):
            spin.put(line)
    writer.join()
    return done


def report(done: list[Handled]) -> None:
    sessions: dict[str, list[Handled]] = defaultdict(list)
    for each in done:
        sessions[each.session].append(each)
    in_order = all([each.number for each in own] == list(range(len(own))) for own in sessions.values())
    alone = all(before.end <= after.start for own in sessions.values() for before, after in pairwise(own))
    overtook = sum(after.line < before.line for before, after in pairwise(done))
    print(f"{len(done)} lines of {len(sessions)} sessions; the hot one has {len(sessions['hot'])}")
    print(f"  each session's lines came out in order: {in_order}, and ran one at a time: {alone}")
    print(f"  {overtook} times a line of one session came out after a later line of another")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--lines", type=int, default=2000, help="that are written (default: %(default)s)")
    args = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.log")
        start = time.perf_counter()
        done = follow(path, args.lines)
        seconds = time.perf_counter() - start
        lines = path.read_text().splitlines()
    report(done)

    start = time.perf_counter()
    for line in lines:
        handle(line)
    plain = time.perf_counter() - start
    print(f"  spin-off {seconds:.2f} s, plain loop {plain:.2f} s: {plain / seconds:.2f} times as fast")


if __name__ == "__main__":
    main()
