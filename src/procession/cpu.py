"""How many CPUs this process may use: its affinity, and the quota that its control groups set.

A container with `--cpus=2` on a host of 64 has 64 in its affinity mask and 2 by quota; the smaller one counts. Control
groups nest, and each level may have a quota of its own: the smallest counts. A file that is missing, empty or odd sets
no limit; nothing here raises.

Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst (cpu.max), scheduler/sched-bwc.rst (cpu.cfs_quota_us),
and proc(5) (/proc/self/cgroup, /proc/self/mountinfo). Linux only; elsewhere the number of CPUs counts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator


def available(root: str = "/") -> int:
    """The CPUs that this process may use, at least 1. `root` is where /proc and /sys are looked for."""
    cpus = _affinity()
    quota = cgroup_quota(root)
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def cgroup_quota(root: str = "/") -> float | None:
    """The CPUs that the control groups of this process allow, 1.5 say; None where they set no limit."""
    quotas = [
        quota
        for mount, group, unified in _groups(root)
        for folder in _upwards(os.path.join(root, mount.lstrip("/")), group)
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


def _groups(root: str) -> Iterator[tuple[str, str, bool]]:
    """Where a hierarchy with CPU quotas is mounted, our group below the mount point, and whether it is version 2."""
    mounts = list(_mounts(root))
    for line in _read(os.path.join(root, "proc/self/cgroup")).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        unified = number == "0" and not controllers
        if not path.startswith("/") or not (unified or "cpu" in controllers.split(",")):
            continue
        for mount, mounted, version_2, options in mounts:
            if version_2 == unified and (unified or "cpu" in options):
                yield mount, _below(path, mounted), unified
                break


def _mounts(root: str) -> Iterator[tuple[str, str, bool, list[str]]]:
    """Mount point, what of the hierarchy is mounted there, whether it is version 2, options."""
    for line in _read(os.path.join(root, "proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and kind and kind[0] in ("cgroup", "cgroup2"):
            yield fields[4], fields[3], kind[0] == "cgroup2", kind[-1].split(",")


def _below(path: str, mounted: str) -> str:
    """Our group as seen from the mount point; in a container the mount begins at our own group, or below its parent."""
    if mounted != "/" and (path + "/").startswith(mounted + "/"):
        path = path[len(mounted) :]
    return "" if "/../" in path + "/" else path.strip("/")


def _upwards(mount: str, group: str) -> Iterator[str]:
    """The folder of the group, its parent's, and so on to the mount point."""
    while group:
        yield os.path.join(mount, group)
        group = os.path.dirname(group)
    yield mount


def _quota_v2(folder: str) -> float | None:
    quota, _, period = _read(os.path.join(folder, "cpu.max")).strip().partition(" ")
    return _ratio(quota, period or "100000")


def _quota_v1(folder: str) -> float | None:
    return _ratio(
        _read(os.path.join(folder, "cpu.cfs_quota_us")).strip(),
        _read(os.path.join(folder, "cpu.cfs_period_us")).strip(),
    )


def _ratio(quota: str, period: str) -> float | None:
    """None for "max", -1, and whatever else is no quota."""
    try:
        allowed, every = int(quota), int(period)
    except ValueError:
        return None
    return allowed / every if allowed > 0 and every > 0 else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
