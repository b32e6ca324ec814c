"""A thread that can be joined again after a signal has struck who joined it.

In CPython 3.11 and 3.12 a `Thread.join` that a KeyboardInterrupt strikes marks the thread as ended, whatever it does:
its lock is found locked, which is how a running thread's is, and taken for acquired. The next `join`, that of
`kill_workers` or of the interpreter's exit, then returns at once.

In a forked child the thread does not exist, and `join` returns at once, as it does there of any thread.
"""

from __future__ import annotations

import os
import threading

from procession.backends.gate import Gate


class JoinableThread(threading.Thread):
    """A daemon, since its owner decides who waits for it and when. `join` is what a signal may strike."""

    _joiners: list[Gate] | None  # None: `run` has ended

    def __init__(self, target: object, name: str, args: tuple[object, ...] = ()) -> None:
        super().__init__(target=target, name=name, args=args, daemon=True)  # type: ignore[arg-type]
        self._joiners = []
        self._pid = os.getpid()

    def run(self) -> None:
        """See `threading.Thread`."""
        try:
            super().run()
        finally:
            joiners, self._joiners = self._joiners, None
            for gate in joiners or ():
                gate.open()

    def join(self, timeout: float | None = None) -> None:
        """See `threading.Thread`."""
        joiners = self._joiners
        ours = self._pid == os.getpid() and threading.current_thread() is not self
        if joiners is not None and self.ident is not None and ours:
            gate = Gate()
            joiners.append(gate)
            if self._joiners is not None:
                gate.wait(-1 if timeout is None else max(timeout, 0))
            if self._joiners is not None:
                return
        super().join(timeout)  # a moment; or it says what is wrong with the call
