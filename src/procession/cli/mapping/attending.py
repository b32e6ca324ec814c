"""Who attends to a run while it goes on: hears Ctrl-C and SIGTERM, and sees when the reader of stdout has gone.

Laws
1. Signals are heard by `signal.set_wakeup_fd`, in C: also while the main thread is in a system call or in C code. What
   they mean is done by a thread of its own, which may take locks; nothing is raised in the main thread.
2. The first SIGINT drains: nothing new starts, what runs finishes. The second, SIGTERM and SIGHUP kill.
3. After a kill the program ends within GRACE seconds, whatever its threads are at.
4. A signal that was ignored when the program began stays so (nohup, background jobs of a plain shell).
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from procession.cli.standard import printable

GRACE = 3.0
"""Seconds that a killed program has to end by itself."""
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
OVER, SOON = b"\0", b"\xff"


class Attending:
    """Attends until it is closed. `drain`, `kill(status)` and `gone` are called by its thread; each once at most."""

    def __init__(
        self,
        drain: Callable[[], object],
        kill: Callable[[int], object],
        gone: Callable[[], object],
        output: int | None,
    ) -> None:
        self._drain, self._kill, self._gone = drain, kill, gone
        self._output = output if output is not None and is_pipe(output) else None
        self.interrupted = False
        self.killed: int | None = None
        self._ears, self._mouth = os.pipe()
        os.set_blocking(self._mouth, False)
        self._before: list[tuple[int, Any]] = []
        self._wakeup = -1
        self._expiry: tuple[float, int] | None = None
        self._thread = threading.Thread(target=self._serve, name="procession-attending", daemon=True)

    def __enter__(self) -> Attending:
        mine = threading.current_thread() is threading.main_thread()  # nobody else may have handlers
        for signum in STATUS if mine else ():
            before = signal.getsignal(signum)
            if before is not signal.SIG_IGN:
                signal.signal(signum, _nothing)
                self._before.append((signum, before))
        if mine:
            self._wakeup = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
        self._thread.start()
        return self

    def expire(self, status: int) -> None:
        """End the program in GRACE seconds with this status, unless this is left before."""
        self._expiry = self._expiry or (time.monotonic() + GRACE, status)
        os.write(self._mouth, SOON)

    def __exit__(self, *_: object) -> None:
        if self._before:
            signal.set_wakeup_fd(self._wakeup)
        for signum, before in self._before:
            signal.signal(signum, before)
        os.write(self._mouth, OVER)
        self._thread.join()
        os.close(self._ears)
        os.close(self._mouth)

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._ears, select.POLLIN)
        if self._output is not None:
            poll.register(self._output, 0)  # POLLERR comes unasked
        while True:
            ready = dict(poll.poll(self._patience()))
            if self._expiry is not None and time.monotonic() >= self._expiry[0]:
                os._exit(self._expiry[1])
            if self._output in ready:
                poll.unregister(self._output)
                self._gone()
            if self._ears in ready:
                for signum in os.read(self._ears, 64):
                    if signum == OVER[0]:
                        return
                    if signum in STATUS:
                        self._hear(signum)

    def _patience(self) -> float | None:
        """Milliseconds."""
        return None if self._expiry is None else max(0.0, self._expiry[0] - time.monotonic()) * 1000 + 1

    def _hear(self, signum: int) -> None:
        if self.killed is not None:
            return
        if signum == signal.SIGINT and not self.interrupted:
            self.interrupted = True
            self._drain()
        else:
            self.killed = STATUS[signal.Signals(signum)]
            self.expire(self.killed)
            self._kill(self.killed)


def _nothing(_signum: int, _frame: FrameType | None) -> None:
    """A handler, so that the signal is heard."""


def is_pipe(fd: int) -> bool:
    """Whether this descriptor is a pipe or a socket."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def say(text: str) -> None:
    """A line for people, with nothing in it that a terminal takes for a command. Without a stderr it is dropped."""
    try:
        print(f"procession map: {printable(text, but=chr(10))}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass


__all__ = ["GRACE", "Attending", "is_pipe", "say"]
