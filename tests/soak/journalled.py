"""The programs that tests/soak/journals.py kills: `python -m tests.soak.journalled KIND JOURNAL OUT ITEMS`.

Each writes a line for each result into OUT. Run again, it goes on with its journal, and leaves the same file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from procession import Pool


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


def expected(items: int) -> str:
    """The file of a program that nobody has killed."""
    lines = []
    for x in range(items):
        try:
            lines.append(line(work(x)))
        except ValueError as error:
            lines.append(line(error))
    return "".join(lines)


def imap(journal: str, out: str, items: int) -> None:
    """A pool's imap."""
    with Pool(2) as pool, open(out, "w") as file:
        for result in pool.imap(work, range(items), journal=journal, on_error="return"):
            file.write(line(result))


KINDS: dict[str, Callable[[str, str, int], None]] = {"imap": imap}

if __name__ == "__main__":
    kind, journal, out, items = sys.argv[1:]
    KINDS[kind](journal, out, int(items))
