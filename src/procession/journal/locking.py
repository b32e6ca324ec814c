"""One program at a time, and one user in it: who holds a journal, and how a second one hears of it.

Laws
1. A journal is held by at most one of all processes, and by one holder in that. Who comes second is refused at once,
   and told the pid of the first. Only a holder in the same process that is about to let go is waited for: a stream that
   was dropped ends on a thread.
2. The lock goes with the process that holds it, however that ends; no child inherits it. (A lock of fcntl belongs to
   the process. It is lost when *any* descriptor of the same file is closed in it, so the lock is on a file of its
   own, and the registry keeps everybody else of this process away from that.)
3. The file of the lock is removed by its holder while it holds it. Who has opened that file before, and locks it then,
   sees that the name is gone or stands for another file, and begins anew.
"""

from __future__ import annotations

import errno
import fcntl
import os
import weakref

from procession.journal.refusals import explained, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BUSY = (errno.EACCES, errno.EAGAIN)
_held: dict[str, tuple[int, weakref.ref[Any]]] = {}  # by the journal's real path: the process and the holder
_TRIES = 100


class Lock:
    """This process holds the journal at `path` (a real path), until `release`."""

    _fd = -1
    ending: Callable[[], bool] | None = None
    """Waits until it is let go; False where that cannot be waited for. None: nobody is about to let go."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = f"{path}-lock"
        self._pid = os.getpid()
        mine = (self._pid, weakref.ref(self))
        while (found := _held.setdefault(path, mine)) is not mine:
            other = found[1]()
            if found[0] != self._pid or other is None:  # a forked child inherits what its parent had noted
                _held[path] = mine
                break
            if other.ending is not None and other.ending():
                continue
            raise refusal(path, f"it is in use by this program (pid {self._pid}), which has it open already")
        try:
            self._take()
        except BaseException:
            self._forget()
            raise

    def release(self) -> None:
        """Let go; in a forked child, which never held it, nothing is done."""
        if self._fd < 0 or self._pid != os.getpid():
            return
        fd, self._fd = self._fd, -1
        try:
            os.unlink(self.name)
        except OSError:
            pass
        os.close(fd)
        self._forget()

    def _forget(self) -> None:
        found = _held.get(self.path)
        if found is not None and found[1]() in (self, None):
            del _held[self.path]

    def __del__(self) -> None:  # of one whose maker was struck by a signal
        self.release()

    def _take(self) -> None:
        for _ in range(_TRIES):
            try:
                fd = os.open(self.name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError as error:
                raise explained(self.path, f"making {self.name}", error) from error
            try:
                if self._locked(fd):
                    self._fd = fd
                    return
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise refusal(
            self.path, f"its lock {self.name} changes all the time; is another program starting over and over?"
        )

    def _locked(self, fd: int) -> bool:
        """True: it is ours. False: the file has been removed meanwhile. Raises the refusal when another has it."""
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BUSY:
                raise explained(self.path, f"locking {self.name}", error) from error
            raise refusal(
                self.path,
                f"it is in use by another program (pid {_holder(fd)}); wait for its end, or take another file",
            ) from None
        try:
            if not os.path.samestat(os.fstat(fd), os.stat(self.name)):
                return False
        except FileNotFoundError:
            return False
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % self._pid, 0)
        return True


def _holder(fd: int) -> str:
    told = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return told or "not known"


def holder(path: str) -> int | None:
    """The pid of the program that has the journal at `path`, a real path; None when nobody seems to have it.

    For people: nothing is locked for it. Not for a program that may open this journal in another thread meanwhile.
    """
    found = _held.get(path)
    if found is not None and found[0] == os.getpid():
        return found[0]
    try:
        with open(f"{path}-lock", "rb") as file:
            pid = int(file.read(32))
    except (OSError, ValueError):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass  # it lives, and is another user's
    return pid
