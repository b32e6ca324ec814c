"""How much memory a worker takes, how much there is, and whether the kernel's OOM killer has struck near us.

Sources: proc_pid_statm(5), proc(5) (/proc/vmstat), and the kernel's admin-guide/cgroup-v2.rst (memory.events) and
admin-guide/cgroup-v1/memory.rst (memory.oom_control).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from procession.cgroups import groups, read, upwards

SHARED = 1 << 24
"""Bytes: so much that is shared may be libraries; of more we ask what it is."""


def resident(pid: int, root: str = "/") -> int | None:
    """The bytes of a process that are in memory now; None when it is gone or may not be looked at.

    Shared memory does not count: arrays on their way (`transport/arena.py`) belong to no single worker, are bounded by
    themselves, and lie in every worker that has ever looked there. All else counts in full: pages that a worker still
    has in common with its zygote, and shared libraries. The kernel's figure may lag behind where there are many CPUs
    (proc_pid_statm(5)). Where there is no /proc under `root`, psutil is asked, if it is installed; without it the
    answer is None. Never raises.
    """
    if not os.path.exists(os.path.join(root, "proc/self")):
        return _asked_psutil(pid)
    page = os.sysconf("SC_PAGE_SIZE")
    try:
        pages, shared = map(int, read(os.path.join(root, f"proc/{pid}/statm")).split()[1:3])
    except ValueError:
        return None
    found = pages * page
    if shared * page > SHARED:
        found -= min(_shared_memory(pid, root), shared * page)
    return found or None  # a zombie has nothing left


def _shared_memory(pid: int, root: str) -> int:
    """What /proc/pid/status calls RssShmem."""
    for line in read(os.path.join(root, f"proc/{pid}/status")).splitlines():
        if line.startswith("RssShmem:"):
            return int(line.split()[1]) * 1024
    return 0


def _asked_psutil(pid: int) -> int | None:
    try:
        import psutil
    except ImportError:
        return None
    try:
        return int(psutil.Process(pid).memory_info().rss) or None
    except (psutil.Error, OSError, ValueError, OverflowError):
        return None


def available(root: str = "/") -> int | None:
    """The bytes that programs here could still have: by the system (MemAvailable), and by each control group's limit.

    Of what a group uses, file pages that could be dropped do not count. None where it cannot be known. Never raises.
    """
    found = [
        int(words[1]) * 1024
        for line in read(os.path.join(root, "proc/meminfo")).splitlines()
        if len(words := line.split()) > 1 and words[0] == "MemAvailable:" and words[1].isdigit()
    ]
    for mount, group, unified in groups("memory", root):
        for folder in upwards(mount, group):
            limit = _number(folder, "memory.max" if unified else "memory.limit_in_bytes")
            used = _number(folder, "memory.current" if unified else "memory.usage_in_bytes")
            if limit is not None and used is not None:
                cached = _count(
                    os.path.join(folder, "memory.stat"), "inactive_file" if unified else "total_inactive_file"
                )
                found.append(max(0, limit - used + (cached or 0)))
    return min(found, default=None)


def _number(folder: str, name: str) -> int | None:
    text = read(os.path.join(folder, name)).strip()
    return int(text) if text.isdigit() else None


class OomWatch:
    """Tells whether the OOM killer has struck since it was last asked. For one thread.

    The kernel counts before it kills, so whoever has heard of a death finds it counted. Which process was struck is not
    said: the answer makes a SIGKILL that nobody admits to explicable, and proves nothing.

    Where it looks, the first that there is:
    1. Our control group with a memory controller. By version 2 a group counts those below it as well; when ours has
       no memory.events, its memory is managed by the next group above that has, and others may be in that one. By
       version 1 a group counts itself alone.
    2. The whole system's counter in /proc/vmstat.
    The group is sought anew each time, since a process may be moved. A counter that is seen for the first time is where
    the count begins; one that has fallen belongs to a group that was made anew, and begins again.

    Args:
        root: where /proc and /sys are looked for.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._seen: dict[str, int] = dict(_kills(root))

    def blamed(self, exitcode: int | None, ours: bool) -> bool | None:
        """Whether it was that which ended a process so; `ours`: we have killed it. None: it cannot be known."""
        if exitcode == -9 and not ours:
            return self.struck()
        return None if exitcode is None else False

    def struck(self) -> bool | None:
        """True if a counter has risen since the last call, or since this was made; None if none can be compared."""
        now = dict(_kills(self._root))
        known = [file for file in now if file in self._seen]
        risen = any(now[file] > self._seen[file] for file in known)
        self._seen.update(now)
        return risen if known else None


def _kills(root: str) -> Iterator[tuple[str, int]]:
    """Each file that counts the OOM killer's victims here, and its count."""
    found = False
    for mount, group, unified in groups("memory", root):
        folders = upwards(mount, group) if unified else (os.path.join(mount, group),)
        for folder in folders:
            file = os.path.join(folder, "memory.events" if unified else "memory.oom_control")
            count = _count(file)
            if count is not None:
                found = True
                yield file, count
                break
    file = os.path.join(root, "proc/vmstat")
    if not found and (count := _count(file)) is not None:
        yield file, count


def _count(file: str, wanted: str = "oom_kill") -> int | None:
    """What the line of this name in a file says."""
    for line in read(file).splitlines():
        name, _, value = line.partition(" ")
        if name == wanted:
            try:
                return int(value)
            except ValueError:
                return None
    return None
