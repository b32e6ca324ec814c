"""What draws bars, and the two that need no library for it: one line for a notebook, last lines for a dumb terminal."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from procession.seeing.lines import columns, joined

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol, TextIO

    from procession.seeing.lines import Piece, Sight

    class Bar(Protocol):
        """What is drawn."""

        sight: Sight

        def lines(self, now: float, width: int, *, over: bool, ascii_only: bool) -> list[list[Piece]]:
            """How it is shown; the first line is its own, others are of its stages."""
            ...


NOTEBOOK = 100
"""Columns of a notebook's line."""


class Display(ABC):
    """What draws; only the painter's thread calls it."""

    broken = False
    """It has raised."""

    @abstractmethod
    def paint(self, live: Sequence[Bar], over: Sequence[Bar], now: float) -> None:
        """Draw what goes on, and for the last time what is over."""

    def leave(self) -> None:  # noqa: B027  # there may be nothing to leave
        """Nothing is drawn any more."""

    def forsake(self) -> None:  # noqa: B027
        """This is a forked child: nothing of it is ours."""


class Dumb(Display):
    """A terminal on which nothing can be drawn over."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def paint(self, live: Sequence[Bar], over: Sequence[Bar], now: float) -> None:
        """See `Display`."""
        for each in over:
            lines = each.lines(now, _width(self._file), over=True, ascii_only=not says_all(self._file))
            self._file.write(f"{joined(lines[0])}\n")
        self._file.flush()


class Line(Display):
    """One line for all that goes on, written over itself; below it what is over."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._columns = 0  # of what stands on the line

    def paint(self, live: Sequence[Bar], over: Sequence[Bar], now: float) -> None:
        """See `Display`."""
        text = ""
        for each in over:
            text += self._covering(joined(each.lines(now, NOTEBOOK, over=True, ascii_only=False)[0])) + "\n"
            self._columns = 0
        if live:
            room = max(NOTEBOOK // len(live) - 3, 30)
            text += self._covering(
                " | ".join([joined(each.lines(now, room, over=False, ascii_only=False)[0]) for each in live])
            )
        self._file.write(text)
        self._file.flush()

    def _covering(self, text: str) -> str:
        long, self._columns = self._columns, columns(text)
        return "\r" + text + " " * (long - self._columns)


def says_all(file: TextIO) -> bool:
    """Whether it can say what is not ASCII."""
    file = getattr(file, "rich_proxied_file", file)
    return str(getattr(file, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def _width(file: TextIO) -> int:
    try:
        return max(20, os.get_terminal_size(file.fileno()).columns - 1)
    except (OSError, ValueError):
        return 79
