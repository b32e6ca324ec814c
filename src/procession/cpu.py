"""How many CPUs this process may use: its affinity, the quota that its control groups set, and its share as a worker.

A container with `--cpus=2` on a host of 64 has 64 in its affinity mask and 2 by quota; the smaller one counts. Control
groups nest, and each level may have a quota of its own: the smallest counts. A file that is missing, empty or odd sets
no limit; nothing here raises.

One budget for all that runs inside each other: n workers have an n-th of it each, at least one, for pools that their
tasks make and for the threads of numeric libraries (`worker/share.py`). In the environment it is PROCESSION_CPUS, which
a program's user may set as well.

Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst (cpu.cfs_quota_us).
Linux only; elsewhere the number of CPUs counts.
"""

from __future__ import annotations

import os

from procession.cgroups import groups, read, upwards
from procession.record import frozen
from procession.sharing import ENVIRONMENT, divisor


@frozen
class CpuBudget:
    """How many CPUs there are for this process, or for the task that asks, and why: `print` it.

    `int(budget)` is the number, and so is what `range` and the like make of it.
    """

    cpus: int
    """So many workers a pool has that is not told otherwise; at least 1."""
    reasons: tuple[str, ...]
    """What was looked at, and what it allows, a line each; the last one says what came of it."""

    def __int__(self) -> int:
        return self.cpus

    def __index__(self) -> int:
        return self.cpus

    def __str__(self) -> str:
        return "\n".join((f"{self.cpus} {_cpus(self.cpus)}", *(f"  {reason}" for reason in self.reasons)))


def cpu_budget() -> CpuBudget:
    """How many CPUs this process may use, and why; in a task, its worker's share of them.

    The least counts of: the CPUs that it is bound to (sched_getaffinity; from Python 3.13 on os.process_cpu_count,
    which PYTHON_CPU_COUNT sets), the quota of each of its control groups (a fraction is rounded up), and
    PROCESSION_CPUS in the environment, which a worker process finds set to its share. Limits that change later are not
    followed: a pool asks once, when it is made.
    """
    return budget(divisor())


def available(root: str = "/") -> int:
    """The number alone. `root` is where /proc and /sys are looked for."""
    return budget(divisor(), root).cpus


def budget(by: int, root: str = "/") -> CpuBudget:
    """What one of `by` workers may use that share the CPUs of this process."""
    cpus, reason = _affinity()
    reasons = [f"os.cpu_count(): {os.cpu_count()} in this machine", reason]
    quota, reason = _quota(root)
    reasons.append(reason)
    if quota is not None:
        cpus = min(cpus, _up(quota))
    said, reason = _said()
    reasons.append(reason)
    if said is not None:
        cpus = min(cpus, said)
    cpus = max(1, cpus)
    if by > 1:
        reasons.append(f"{by} workers have {cpus} together")
        cpus = max(1, cpus // by)
    reasons.append(f"so {cpus}: the least of these")
    return CpuBudget(cpus, tuple(reasons))


def cgroup_quota(root: str = "/") -> float | None:
    """The CPUs that the control groups of this process allow, 1.5 say; None where they set no limit."""
    return _quota(root)[0]


def _quota(root: str) -> tuple[float | None, str]:
    found: list[tuple[float, str, str]] = []
    looked_at = 0
    for mount, group, unified in groups("cpu", root):
        for folder in upwards(mount, group):
            looked_at += 1
            quota, text = _quota_v2(folder) if unified else _quota_v1(folder)
            if quota is not None:
                found.append((quota, folder, text))
    if not found:
        return None, f"control groups: {looked_at or 'none'} looked at, no quota"
    quota, folder, text = min(found)
    up = "" if quota == _up(quota) else f", rounded up to {_up(quota)}"
    return quota, f"control groups: a quota of {quota:g}{up} ({folder}: {text})"


def _affinity() -> tuple[int, str]:
    process_cpu_count = getattr(os, "process_cpu_count", None)  # 3.13, with PYTHON_CPU_COUNT
    if process_cpu_count is not None:
        cpus = process_cpu_count() or 1
        return cpus, f"os.process_cpu_count(): {cpus}"
    if hasattr(os, "sched_getaffinity"):
        try:
            cpus = len(os.sched_getaffinity(0)) or 1
        except OSError as error:
            reason = f"os.sched_getaffinity: {error.strerror}"
        else:
            return cpus, f"os.sched_getaffinity: {cpus}"
    else:
        reason = "no os.sched_getaffinity here"
    return os.cpu_count() or 1, reason


def _said() -> tuple[int | None, str]:
    text = os.environ.get(ENVIRONMENT)
    if text is None:
        return None, f"{ENVIRONMENT}: not set"
    try:
        cpus = int(text)
    except ValueError:
        cpus = 0
    if cpus < 1:
        return None, f"{ENVIRONMENT}={text!r}: not an integer of at least 1, so it says nothing"
    return cpus, f"{ENVIRONMENT}={cpus}"


def _quota_v2(folder: str) -> tuple[float | None, str]:
    text = read(os.path.join(folder, "cpu.max")).strip()
    quota, _, period = text.partition(" ")
    return _ratio(quota, period or "100000"), f"cpu.max {text}"


def _quota_v1(folder: str) -> tuple[float | None, str]:
    quota = read(os.path.join(folder, "cpu.cfs_quota_us")).strip()
    period = read(os.path.join(folder, "cpu.cfs_period_us")).strip()
    return _ratio(quota, period), f"cpu.cfs_quota_us {quota}, cpu.cfs_period_us {period}"


def _ratio(quota: str, period: str) -> float | None:
    """None for "max", -1, and whatever else is no quota."""
    try:
        allowed, every = int(quota), int(period)
    except ValueError:
        return None
    return allowed / every if allowed > 0 and every > 0 else None


def _up(quota: float) -> int:
    return int(-(-quota // 1))


def _cpus(count: int) -> str:
    return "CPU" if count == 1 else "CPUs"
