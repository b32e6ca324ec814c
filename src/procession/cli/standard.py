"""The standard streams, where whoever starts the command has closed some of them (`>&-`).

Laws
1. No file that is opened later gets the number 0, 1 or 2: nothing is read from it or written into it by mistake.
2. Reading a closed stdin and writing to a closed stdout fail as before (EBADF); what a closed stderr gets is dropped.
"""

from __future__ import annotations

import os
import sys


def take_closed() -> None:
    """Open what is closed."""
    for fd, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)  # the lowest free number is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def drop_stdout() -> None:
    """Drop what is still buffered for stdout: it cannot be written, and Python would try again at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def printable(text: str, but: str = "") -> str:
    """`text` without what a terminal would take for a command; `but`: what of that stays."""
    return "".join([each if each.isprintable() or each in but else ascii(each)[1:-1] for each in text])


__all__ = ["drop_stdout", "printable", "take_closed"]
