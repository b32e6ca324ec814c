"""How much of the CPUs workers take, and for how long they stand in line for one.

On a CPU counts all of a process: its threads, and the programs that it has started, those that have ended as well. A
worker that waits for a program of its own, which computes, is so not taken for one that waits. In line for a CPU only
the first thread of each counts.

Sources: clock_gettime(2) and pthread_getcpuclockid(3), of which the kernel's ABI is that a CPU clock's number is the
complement of a pid or tid, shifted (include/linux/posix-timers.h: CPUCLOCK_SCHED is 2, of one thread 4 more);
proc_pid_stat(5) for cutime and cstime; the kernel's Documentation/scheduler/sched-stats.rst for /proc/<pid>/schedstat.
Linux only. Elsewhere psutil is asked for processes, if it is installed, and nothing is known of the line.
"""

from __future__ import annotations

import os
import sys
import time

from procession.backends.offspring import descendants
from procession.cgroups import read
from procession.lean import NamedTuple

LINUX = sys.platform == "linux"

_OF_PROCESS = 2
_OF_THREAD = 6


class Taken(NamedTuple):
    """What something has taken so far, in ns; only differences say anything."""

    cpu_ns: int
    queued_ns: int


def of_process(pid: int) -> Taken | None:
    """A process and all that it has started; None when it is gone, or nothing can be known here. Never raises."""
    if not LINUX:
        return _asked_psutil(pid)
    try:
        cpu_ns, queued_ns = _of_one(pid)
    except (OSError, ValueError, IndexError):
        return None
    for child, _born in descendants(pid):
        try:
            more = _of_one(child)
        except (OSError, ValueError, IndexError):
            continue
        cpu_ns += more[0]
        queued_ns += more[1]
    return Taken(cpu_ns, queued_ns)


def of_thread(tid: int) -> Taken | None:
    """A thread of this process, by `threading.get_native_id`, and what programs have taken that it has started, as long
    as they run (after that, see `of_ended`); None as above."""
    if not LINUX:
        return None
    try:
        cpu_ns, queued_ns = _clock(tid, _OF_THREAD), _queued(f"/proc/self/task/{tid}/schedstat")
    except OSError:
        return None
    for child in read(f"/proc/self/task/{tid}/children").split():
        if (more := of_process(int(child))) is not None:
            cpu_ns += more.cpu_ns
            queued_ns += more.queued_ns
    return Taken(cpu_ns, queued_ns)


def of_ended() -> int:
    """The ns on CPUs of all programs that this process has started, and that have ended."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


def _of_one(pid: int) -> tuple[int, int]:
    stat = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    ended = int(stat[13]) + int(stat[14])  # cutime, cstime
    return _clock(pid, _OF_PROCESS) + ended * (1_000_000_000 // _TICKS), _queued(f"/proc/{pid}/schedstat")


def _clock(number: int, kind: int) -> int:
    return time.clock_gettime_ns((~number << 3) | kind)


def _queued(file: str) -> int:
    """Some kernels do not say."""
    words = read(file).split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def _asked_psutil(pid: int) -> Taken | None:
    try:
        import psutil
    except ImportError:
        return None
    try:
        times = psutil.Process(pid).cpu_times()
    except (psutil.Error, OSError, ValueError):
        return None
    seconds = times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return Taken(round(seconds * 1e9), 0)


_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


__all__ = ["Taken", "of_ended", "of_process", "of_thread"]
