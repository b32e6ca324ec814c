"""pdb in a worker process: at the program's terminal, or it says what to do instead.

A worker's stdin is /dev/null. pdb would find its end there, and the task fail with BdbQuit, which tells nobody much.

Laws
1. A Pdb that is made without streams (breakpoint(), set_trace(), post_mortem()), while there is nothing to read at
   sys.stdin, talks to the terminal that the program was started in, if the program is in its foreground. If not, or if
   there is no terminal, RuntimeError is raised where it is made: a worker must not be stopped for reading it.
2. One worker talks at a time, and says its name; who stops meanwhile waits for the other's next command that goes on.
   The lock is the kernel's: it goes with a worker that is killed.
3. ^C stays the program's: pdb does not take it over.
What else one has chosen (PYTHONBREAKPOINT, sys.breakpointhook, streams) is as it was chosen.
"""

from __future__ import annotations

import fcntl
import os
import sys

from procession.worker import boot, stdio

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, TextIO

_ALONE = (
    "worker process {} has no terminal for pdb. To debug a task, run it where the program runs: "
    'Pool(backend="inline", pickle=True) or backend="threads"; or set PYTHONBREAKPOINT to a debugger that needs no '
    "terminal, or to 0 to pass breakpoint() by"
)
_WORDS = ("completekey", "stdin", "stdout", "skip", "nosigint", "readrc")  # the positional arguments of Pdb


def install(pdb: ModuleType, lock: int) -> None:
    """pdb is there. `lock` is a descriptor of a file that all workers of the program have; -1: there is none."""
    kind: Any = pdb.Pdb
    make = kind.__init__

    def __init__(self: Any, *args: Any, **words: Any) -> None:
        words.update(zip(_WORDS, args, strict=False))
        if words.get("stdin") or words.get("stdout") or boot.forked or _may_read():
            make(self, **words)
            return
        stdin, stdout = _terminal()
        make(self, **words | {"stdin": stdin, "stdout": stdout, "nosigint": True})
        self.prompt = f"{boot.name} (Pdb) "
        self.interaction = _one_at_a_time(self.interaction, lock)

    kind.__init__ = __init__


def _may_read() -> bool:
    """Whether sys.stdin is more than /dev/null."""
    try:
        return sys.stdin is not None and os.fstat(sys.stdin.fileno()).st_rdev != os.stat(os.devnull).st_rdev
    except (AttributeError, OSError, ValueError):
        return True  # no file, but something that a task has put there


def _terminal() -> tuple[TextIO, TextIO]:
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        raise RuntimeError(_ALONE.format(boot.name)) from None
    if os.tcgetpgrp(fd) != os.getpgrp():
        os.close(fd)
        raise RuntimeError(_ALONE.format(boot.name))
    return open(fd), open(os.dup(fd), "w")


def _one_at_a_time(interact: Callable[..., object], lock: int) -> Callable[..., object]:
    def interaction(*about: Any) -> object:
        stdio.flush()
        if lock < 0:
            return interact(*about)
        fcntl.lockf(lock, fcntl.LOCK_EX)
        try:
            return interact(*about)
        finally:
            fcntl.lockf(lock, fcntl.LOCK_UN)

    return interaction


__all__ = ["install"]
