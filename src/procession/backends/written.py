"""What the captured tasks of one worker write, as the parent sees it: when the worker is dead, and while it floods."""

from __future__ import annotations

import os

from procession.backends import forksafe
from procession.captured import Captured, captured
from procession.transport import written


class Written:
    """The files of `worker/capture.py`, opened here; the worker waits for that once."""

    def __init__(self, pid: int, out: int, err: int) -> None:
        """`out`, `err`: descriptors of process `pid`. Raises OSError where they cannot be had."""
        self._files: list[int] = []
        try:
            for fd in (out, err):
                path = f"/proc/{pid}/fd/{fd}"
                self._files.append(forksafe.adopt(lambda path=path: os.open(path, os.O_RDONLY | os.O_CLOEXEC)))  # type: ignore[misc]
            written.tell(self._files[0], written.SEEN, True)
        except OSError:
            self.close()
            raise

    def read(self) -> Captured[None] | None:
        """What the task that runs there, or ran when the worker died, has written so far; None if none is captured."""
        out, err = self._files
        if not written.told(out, written.RUNS):
            return None
        return captured(None, written.read(out), written.read(err))

    def bound(self) -> None:
        """Let what is written take no more memory than it may."""
        for each in self._files:
            written.bound(each)

    def seal(self) -> None:
        """The worker is gone: what it has left behind writes no more."""
        for each in self._files:
            try:
                fd = written.open_anew(each, os.O_RDWR | os.O_NONBLOCK)
            except OSError:
                continue
            written.seal(fd)
            os.close(fd)

    def close(self) -> None:
        """Nobody asks any more."""
        for each in self._files:
            forksafe.close(each)
        self._files = []


def instead(before: Written | None, *where: int) -> Written | None:
    """`Written(*where)` in the place of what there was `before`; or that, where the new one cannot be had: its process
    is gone already, there are no descriptors, or this process may not look at that one."""
    try:
        made = Written(*where)
    except OSError:
        return before
    if before is not None:
        before.close()
    return made


__all__ = ["Written", "instead"]
