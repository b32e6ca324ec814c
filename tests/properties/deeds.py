"""What random streams and spin-offs run; few imports, since each worker that is started imports this."""

from __future__ import annotations

import os
import signal
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

SIZE = 3000
"""Bytes of a large result."""


class Deed(NamedTuple):
    """An item, and what becomes of it."""

    number: int
    kind: str
    key: int = 0
    extra: Any = None


def do(folder: str, deed: Deed) -> Any:
    """Note that it begins and ends, and be what its kind says."""
    note(folder, f"{deed.number} begins")
    try:
        match deed.kind:
            case "large":
                return deed.number.to_bytes(2, "big") * (SIZE // 2)
            case "raises":
                raise LookupError(deed.number)
            case "raises once" if first(folder, deed.number):
                raise LookupError(deed.number)
            case "dies once" if first(folder, deed.number):
                os.kill(os.getpid(), signal.SIGKILL)
            case "dies":
                os._exit(deed.number % 2)
        return deed.number
    finally:
        note(folder, f"{deed.number} ends")


def first(folder: str, number: int) -> bool:
    """Whether nobody has asked for this number before."""
    try:
        os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def note(folder: str, text: str) -> None:
    """Add a line, in one write: many tasks may do so at once."""
    fd = os.open(f"{folder}/notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


def key_of(deed: Deed) -> Hashable:
    if deed.kind == "no key":
        raise KeyError(deed.number)
    return deed.key


def play(folder: str, moves: list[str]) -> Iterator[Any]:
    """Yield the number of each move, or be what it says."""
    note(folder, "begins")
    try:
        for number, move in enumerate(moves):
            yield do_move(folder, number, move)
    finally:
        note(folder, "ends")


def do_move(folder: str, number: int, move: str) -> Any:
    match move:
        case "large":
            return number.to_bytes(2, "big") * (SIZE // 2)
        case "raises":
            raise LookupError(number)
        case "raises once" if first(folder, number):
            raise LookupError(number)
        case "dies once" if first(folder, number):
            os.kill(os.getpid(), signal.SIGKILL)
        case "dies":
            os._exit(3)
    return number
