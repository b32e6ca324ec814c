"""The parent's end of one worker process, as descriptors: its pipes, its tokens, its page.

Descriptors in the parent, per worker: the write end of the task pipe, the read end of the result pipe, both ends of
the token pipe, the page (which is mapped, too), and the launcher's pidfd.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from typing import Any

from procession.backends import forksafe
from procession.backends.timed import Timed
from procession.transport import frames, page
from procession.worker.boot import WorkerFiles

F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)
RESULT_PIPE = 1 << 18


class Ends(Timed):
    """What joins this process to one worker process."""

    def __init__(self, beside: tuple[int, int], arena: tuple[int, ...] = ()) -> None:
        """`beside`: the write end for notes and the table of levels, or -1; `arena`: the files of its results' arena.

        Raises OSError where there are no descriptors left.
        """
        opened: list[int] = []
        try:
            tasks_read, self.tasks_fd = pipe_ends(opened)
            self.results_fd, results_write = pipe_ends(opened)
            page_fd = forksafe.adopt(page.create)
            opened.append(page_fd)
            self._page_fd = page_fd
            claims = self.share(opened)
        except BaseException:
            for fd in opened:
                forksafe.close(fd)
            raise
        self.child = WorkerFiles(tasks_read, results_write, claims, page_fd, *beside, *arena)
        for fd in (self.tasks_fd, self.results_fd):
            os.set_blocking(fd, False)
        widen(self.results_fd, RESULT_PIPE)
        self._writer = frames.FrameWriter(self.tasks_fd)
        self._reader = frames.FrameReader(self.results_fd)

    def share(self, opened: list[int]) -> int:
        """Make what says who owns which item, and what keeps outcomes; returns its descriptor for the worker."""
        self.tokens_read, self.tokens_write = pipe_ends(opened)
        for fd in (self.tokens_read, self.tokens_write):
            os.set_blocking(fd, False)
        self.page = page.OutcomePage(self._page_fd)
        return self.tokens_read

    def close_child_ends(self) -> None:
        """The launcher has passed them on."""
        for fd in (self.child.tasks, self.child.results):
            forksafe.close(fd)

    def close(self) -> None:
        """The worker is gone, and everything that it left has been read."""
        self.close_shared()
        for fd in (self.tasks_fd, self.results_fd, self._page_fd):
            forksafe.close(fd)
        self.close_sheet()

    def close_shared(self) -> None:
        """Give back what `share` made."""
        for fd in (self.tokens_read, self.tokens_write):
            forksafe.close(fd)
        self.page.close()

    # -- to the worker -------------------------------------------------------------------------------------------

    def issue(self, marks: bytes) -> None:
        """So many tokens. The pipe is never broken: its reading end is open here as well."""
        os.write(self.tokens_write, marks)

    def write(self, data: bytes) -> bool:
        """Frames. False: some of it waits for room."""
        return self._writer.write(data)

    def stop(self) -> bool:
        """Teardown, then exit."""
        return self._writer.write(frames.frame(frames.STOP))

    def flush(self) -> bool:
        """The task pipe has room; True when nothing waits any more."""
        return self._writer.flush()

    def withdraw(self) -> int:
        """Read back the tokens that the worker has not taken; returns how many."""
        count = 0
        while True:
            try:
                got = len(os.read(self.tokens_read, 1 << 16))
            except BlockingIOError:
                return count
            if not got:
                return count
            count += got

    def read(self) -> list[tuple[int, Any]]:
        """The frames that one read brings."""
        try:
            return list(self._reader.read())
        except BlockingIOError:
            return []

    def hear(self, take: Callable[[int, Any], None]) -> bool:
        """Take all there is in the result pipe; whether there was something."""
        before = self._reader.received
        self._reader.drain(take)
        return self._reader.received > before

    def ask(self) -> None:
        """Let the item that the worker is at know that it is to end."""
        self.page.ask()

    def stacks(self) -> str:
        """What faulthandler has written in the worker since the last `rewind`."""
        return page.stacks(self._page_fd)

    @property
    def page_fd(self) -> int:
        """The page, and what faulthandler writes behind it."""
        return self._page_fd

    def rewind(self) -> None:
        """Forget what it has written."""
        page.rewind(self._page_fd)

    @property
    def ended(self) -> bool:
        """Nobody can write to the parent through this channel any more."""
        return self._reader.ended


def widen(fd: int, size: int) -> None:
    """Have this pipe hold so many bytes; not if the user's share of pipe memory is used up: the default does."""
    try:
        fcntl.fcntl(fd, F_SETPIPE_SZ, size)
    except OSError:
        pass


def pipe_ends(opened: list[int]) -> tuple[int, int]:
    """A pipe, noted among what has been opened."""
    ends = forksafe.pipe()
    opened.extend(ends)
    return ends


__all__ = ["Ends", "widen"]
