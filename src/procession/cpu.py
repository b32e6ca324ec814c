"""How many CPUs this process may use: its affinity, and the quota that its control groups set.

A container with `--cpus=2` on a host of 64 has 64 in its affinity mask and 2 by quota; the smaller one counts. Control
groups nest, and each level may have a quota of its own: the smallest counts. A file that is missing, empty or odd sets
no limit; nothing here raises.

Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst (cpu.cfs_quota_us).
Linux only; elsewhere the number of CPUs counts.
"""

from __future__ import annotations

import math
import os

from procession.cgroups import groups, read, upwards


def available(root: str = "/") -> int:
    """The CPUs that this process may use, at least 1. `root` is where /proc and /sys are looked for."""
    cpus = _affinity()
    quota = cgroup_quota(root)
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def cgroup_quota(root: str = "/") -> float | None:
    """The CPUs that the control groups of this process allow, 1.5 say; None where they set no limit."""
    quotas = [
        quota
        for mount, group, unified in groups("cpu", root)
        for folder in upwards(mount, group)
        if (quota := _quota_v2(folder) if unified else _quota_v1(folder)) is not None
    ]
    return min(quotas, default=None)


def _affinity() -> int:
    process_cpu_count = getattr(os, "process_cpu_count", None)  # 3.13, with PYTHON_CPU_COUNT
    if process_cpu_count is not None:
        return process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        try:
            return len(os.sched_getaffinity(0)) or 1
        except OSError:
            pass
    return os.cpu_count() or 1


def _quota_v2(folder: str) -> float | None:
    quota, _, period = read(os.path.join(folder, "cpu.max")).strip().partition(" ")
    return _ratio(quota, period or "100000")


def _quota_v1(folder: str) -> float | None:
    return _ratio(
        read(os.path.join(folder, "cpu.cfs_quota_us")).strip(),
        read(os.path.join(folder, "cpu.cfs_period_us")).strip(),
    )


def _ratio(quota: str, period: str) -> float | None:
    """None for "max", -1, and whatever else is no quota."""
    try:
        allowed, every = int(quota), int(period)
    except ValueError:
        return None
    return allowed / every if allowed > 0 and every > 0 else None
