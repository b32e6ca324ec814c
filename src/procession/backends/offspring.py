"""The programs that a task has started, when its worker is killed for it.

A task that hangs often hangs in a program that it waits for. Killed without a word, its worker would leave that program
behind, going on with what nobody waits for. So who kills a worker for what it runs (a timeout, a cancel, too much
memory) ends those too:

1. They are looked for before the worker is killed. Afterwards they are children of init, and nothing tells whose they
   were. What it forks between the look and its death is missed.
2. They are ended after it is dead: no line of the task sees its program end, and takes that for the program's answer.
3. By SIGTERM, so that they can tidy up. Who ignores it lives on.
4. Who has a session of its own (`start_new_session=True`, a daemon) was meant to outlive us, and is left alone with all
   that is below it.
5. No stranger is ever met: each is held by a pidfd, and its time of birth is compared after that was opened.

Sources: proc_pid_stat(5), proc_tid_children(5), pidfd_open(2), pidfd_send_signal(2).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial

from procession.cgroups import read
from procession.lean import NamedTuple

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    import _signal as signal


class Offspring:
    """What a process has started, directly or not, in its own session; found when this is made. For one thread.

    Where there is no /proc or no pidfd, psutil is asked, if it is installed; without it nothing is found. Never raises.

    Args:
        pid: of a process that lives, or whose death is not yet known.
    """

    def __init__(self, pid: int) -> None:
        self._fds: list[int] = []
        self._others: list[Any] = []
        if not (hasattr(signal, "pidfd_send_signal") and os.path.exists("/proc/self")):
            self._others = _asked_psutil(pid)
            return
        for child, born in descendants(pid):
            with suppress(OSError):  # it is gone, or there are no pidfds, or no descriptors, to be had
                fd = os.pidfd_open(child)
                self._fds.append(fd)
                stat = _stat("/", child)
                if stat is None or stat.born != born:
                    os.close(self._fds.pop())

    def end(self) -> None:
        """Send SIGTERM to all of them. A second call does nothing."""
        fds, self._fds = self._fds, []
        for fd in fds:
            with suppress(OSError):
                signal.pidfd_send_signal(fd, signal.SIGTERM)
            os.close(fd)
        others, self._others = self._others, []
        for process in others:
            with suppress(Exception):  # psutil.Error
                process.terminate()


def descendants(pid: int, root: str = "/") -> Iterator[tuple[int, str]]:
    """The pid of each, and its time of birth, as the kernel writes it.

    Args:
        pid: whose.
        root: where /proc is looked for.
    """
    top = _stat(root, pid)
    if top is None:
        return
    children = _children(root, pid)
    seen, parents = {pid}, [pid]
    while parents:
        for child in children(parents.pop()):
            stat = _stat(root, child)
            if child not in seen and stat is not None and stat.session == top.session:
                seen.add(child)
                parents.append(child)
                yield child, stat.born


class _Stat(NamedTuple):
    parent: int
    session: int
    born: str


def _stat(root: str, pid: int) -> _Stat | None:
    words = read(os.path.join(root, f"proc/{pid}/stat")).rpartition(")")[2].split()
    try:
        return _Stat(int(words[1]), int(words[3]), words[19])
    except (IndexError, ValueError):
        return None


def _children(root: str, pid: int) -> Callable[[int], Iterable[int]]:
    """A function from a process to its children: the kernel says it, where it was built so (CONFIG_PROC_CHILDREN);
    elsewhere all processes are asked once for their parents."""
    if os.path.exists(os.path.join(root, f"proc/{pid}/task/{pid}/children")):
        return partial(_told, root)
    known = defaultdict(list)
    for name in _names(os.path.join(root, "proc")):
        stat = _stat(root, name)
        if stat is not None:
            known[stat.parent].append(name)
    return lambda parent: known.get(parent, ())


def _told(root: str, pid: int) -> Iterator[int]:
    """Each thread has children of its own."""
    threads = os.path.join(root, f"proc/{pid}/task")
    for thread in _names(threads):
        yield from map(int, read(os.path.join(threads, str(thread), "children")).split())


def _names(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []


def _asked_psutil(pid: int) -> list[Any]:
    """A `psutil.Process` compares the time of birth before it sends a signal."""
    try:
        import psutil
    except ImportError:
        return []
    found = []
    with suppress(psutil.Error, OSError, ValueError):
        session = os.getsid(pid)
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(OSError):
                if os.getsid(process.pid) == session:
                    found.append(process)
    return found
