"""The programs that tests/soak/journals.py kills: `python -m tests.soak.journalled KIND JOURNAL OUT ITEMS`.

Each writes a line for each result into OUT. Run again, it goes on with its journal, and leaves the same file.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

from procession import Pool, SpinOff
from procession.cli import main


def work(x: int) -> Any:
    """Something that JSON knows, or only pickle; now and then a failure."""
    if x % 1000 == 999:
        raise ValueError(f"item {x}")
    return {"x": x, "square": x * x} if x % 3 else (x, float(x), str(x))


def line(result: Any) -> str:
    """What is written of a result or a failure."""
    if isinstance(result, BaseException):
        return f"{type(result).__name__}: {result}\n"
    return json.dumps(result) + "\n"


def expected(kind: str, items: int) -> str:
    """The file of a program of this kind that nobody has killed."""
    lines = []
    for x in range(items):
        try:
            lines.append(line(work(x)))
        except ValueError as error:
            if kind != "map":
                lines.append(line(error))
    return "".join(lines)


def item_of(kind: str, lines: int) -> int:
    """The item that comes after so many lines."""
    return lines + lines // 999 if kind == "map" else lines


def imap(journal: str, out: str, items: int) -> None:
    """A pool's imap."""
    with Pool(2) as pool, open(out, "w") as file:
        for result in pool.imap(work, range(items), journal=journal, on_error="return"):
            file.write(line(result))


def command(journal: str, out: str, items: int) -> None:
    """`procession map`, which leaves out what has failed."""
    os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    words = ["map", "tests.soak.journalled:work", f"0..{items - 1}", "--journal", journal, "--quiet"]
    status = main(words)
    assert status == (1 if items >= 1000 else 0), status


def spinoff(journal: str, out: str, items: int, *, ids: bool) -> None:
    """Puts in one thread, singly and many at once; takes in another, by next() and ready(). Keeps what is certain."""
    with (
        SpinOff(work, journal=journal, item_id=str if ids else None, workers=2, on_error="return", maxsize=500) as spin,
        open(out, "a+") as file,
    ):
        stats = spin.stats()
        assert stats.accepted is not None
        assert stats.handed_over is not None
        file.seek(0)
        for _ in range(stats.handed_over):
            assert file.readline().endswith("\n"), "it was handed over, and is not there"
        file.truncate(file.tell())
        chance = random.Random(stats.handed_over)
        feeder = threading.Thread(target=feed, args=(spin, 0 if ids else stats.accepted, items, chance))
        feeder.start()
        take(spin, file, random.Random(stats.accepted))
        feeder.join()


def feed(spin: SpinOff[int, Any], first: int, items: int, chance: random.Random) -> None:
    """Put all from `first` on, then close."""
    while first < items:
        count = min(items - first, chance.choice((1, 1, 1, 10, 400)))
        if count == 1:
            spin.put(first)
        else:
            spin.put_many(range(first, first + count))
        first += count
    spin.close()


def take(spin: SpinOff[int, Any], file: TextIO, chance: random.Random) -> None:
    """Write all that comes; it is with the system before more is asked for."""
    for result in spin:
        file.write(line(result))
        file.flush()
        if chance.random() < 0.3:
            file.write("".join(map(line, spin.ready())))
            file.flush()


KINDS: dict[str, Callable[[str, str, int], None]] = {
    "imap": imap,
    "map": command,
    "spinoff": partial(spinoff, ids=False),
    "spinoff-ids": partial(spinoff, ids=True),
}

if __name__ == "__main__":
    kind, journal, out, items = sys.argv[1:]
    KINDS[kind](journal, out, int(items))
