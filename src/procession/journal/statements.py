"""SQL for many rows at once. Each step of a statement lets go of the interpreter's lock, and gets it back only when the
program's other threads let it; so one statement is to have many rows.
"""

from __future__ import annotations

from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from typing import Any

SIZES = (128, 16, 1)
"""Rows of one statement."""


def in_steps(connection: sqlite3.Connection, sql: Callable[[int], str], rows: Sequence[Sequence[Any]]) -> int:
    """Run `sql(n)` for n rows at a time, given all their values. Returns how many rows were changed."""
    at = changed = 0
    for size in SIZES:
        while len(rows) - at >= size:
            values = [value for row in rows[at : at + size] for value in row]
            changed += connection.execute(sql(size), values).rowcount
            at += size
    return changed


@cache
def marks(rows: int, columns: int) -> str:
    """`(?, ?), (?, ?)`."""
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


@cache
def insert(columns: tuple[str, ...], verb: str = "INSERT") -> Callable[[int], str]:
    """Rows of `items`."""
    return cache(lambda rows: f"{verb} INTO items ({', '.join(columns)}) VALUES {marks(rows, len(columns))}")


@cache
def update(columns: tuple[str, ...]) -> Callable[[int], str]:
    """These columns of rows of `items`; of each row the seq comes first."""
    news = ", ".join(f"{name} = new.column{at}" for at, name in enumerate(columns, 2))
    width = len(columns) + 1
    return cache(
        lambda rows: f"UPDATE items SET {news} FROM (VALUES {marks(rows, width)}) AS new WHERE items.seq = new.column1"
    )


@cache
def delete(condition: str = "") -> Callable[[int], str]:
    """Rows of `items`, by seq."""
    return cache(lambda rows: f"DELETE FROM items WHERE seq IN ({', '.join('?' * rows)}){condition}")


__all__ = ["delete", "in_steps", "insert", "update"]
