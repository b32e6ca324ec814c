"""After a ^C a worker finishes what it runs, and begins nothing new for a moment.

The ^C may have ended what its task waited for, a subprocess, say. If the program is going to end, it needs that moment
to kill its workers, and what the next task would start meanwhile has heard of no ^C: nobody would end it. If the
program goes on, nothing but the moment is lost.
"""

from __future__ import annotations

from time import monotonic, sleep

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from types import FrameType

REST = 1.0
"""Seconds: a program that ends at ^C has ended its workers by then."""

asked = bytearray(1)
"""Not 0: call `rest` before something new is begun. Its address stays, since C looks there before each item."""
_until = 0.0


def hear(signum: int, frame: FrameType | None) -> None:
    """What workers do at SIGINT."""
    global _until
    _until = monotonic() + REST
    asked[0] = 1


def rest() -> None:
    """Wait until something new may be begun."""
    while (left := _until - monotonic()) > 0:
        sleep(left)  # a parent that ends ends this, too
    asked[0] = 0


__all__ = ["REST", "asked", "hear", "rest"]
