"""How a worker shows its Python stacks: when it crashes, when it is told to before it is killed, and when it is asked.

faulthandler writes from C, in the signal handler, whatever the process is at. That is right for one that is about to
die. It reads frames that are just being made and unmade, though, and crashes over about one in a thousand dumps of a
thread that is busy with Python; of several such threads, more often. (Measured, on 3.11 to 3.13.)

Laws
1. Who only asks does no harm. SHOW is a signal with a Python handler: it runs between two bytecodes of the main thread,
   which has the GIL then, and all other threads are at rest.
2. C code that does not return to the interpreter keeps that from happening, with or without the GIL. SHOW_IN_C shows
   the main thread from its signal handler; whoever sends it has made sure that this thread is in C (`driver.asking`),
   where its frames stay as they are. Of other threads nothing is known then.
3. SHOW_AND_DIE shows all threads, from C, and the worker dies of it.
4. All of it is written to the file of the worker's page, where its offset stands. The parent rewinds it.
"""

from __future__ import annotations

import faulthandler
import os

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    import signal
    from types import FrameType
else:
    import _signal as signal  # what signal itself adds to it, enums of its numbers, costs the zygote two milliseconds

_LAST = getattr(signal, "SIGRTMAX", 64)
SHOW = _LAST - 2
SHOW_AND_DIE = _LAST - 3
SHOW_IN_C = _LAST - 4
MARK = "all shown"
"""The last line of what SHOW brings about."""

_fd = -1


def begin(fd: int) -> None:
    """Show the stacks of this process in this file.

    `chain`: what the signal did before is done afterwards, and that was to kill. A program may have its own use for
    these signals; then that is done, and the parent kills by SIGKILL a moment later.
    """
    global _fd
    _fd = fd
    try:
        faulthandler.enable(file=fd)
        faulthandler.register(SHOW_AND_DIE, file=fd, chain=True)
        faulthandler.register(SHOW_IN_C, file=fd, all_threads=False, chain=False)
        signal.signal(SHOW, show_stacks)
    except (OSError, RuntimeError, ValueError, AttributeError):
        pass  # such a system shows none


def show_stacks(signum: int, frame: FrameType | None) -> None:
    """The handler of SHOW. `stacks.trimmed` knows it by its name."""
    try:
        faulthandler.dump_traceback(_fd, all_threads=True)
        os.write(_fd, f"{MARK}\n".encode())
    except (OSError, ValueError):
        pass  # a child that a task has forked has no such file
