"""How large arenas may become.

PROCESSION_ARENA_BYTES in the environment, when the first pool starts, says it for all arenas of a program with one
pool: half is for what is sent, half for results, in equal shares for the workers. 0: no arenas. Without it, a quarter
of the machine's memory counts, or of what the control groups leave of it.
"""

from __future__ import annotations

import os

from procession import cgroups
from procession.transport.spans import GRAIN

VARIABLE = "PROCESSION_ARENA_BYTES"
SHARE = 4
_UNKNOWN = 1 << 30


def asked() -> int | None:
    """What the user says; None when he says nothing, or nothing sensible."""
    text = os.environ.get(VARIABLE, "").strip().replace("_", "")
    return int(text) if text.isdecimal() else None


def total() -> int:
    """Bytes for all arenas, before control groups are looked at, which takes a while."""
    said = asked()
    return machine() // SHARE if said is None else said


def machine() -> int:
    """Bytes of memory that there are; or a part of the address space, if that is limited: arenas are mapped whole."""
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        there = _UNKNOWN
    for line in cgroups.read("/proc/self/limits").splitlines():  # `resource` may be a module of the user's
        if line.startswith("Max address space") and (soft := line.split()[3]).isdecimal():
            return min(there, int(soft) // SHARE)
    return there


def narrowed(limit: int, root: str = "/") -> int:
    """`limit`, a share of `total()`, as the control groups have it."""
    if asked() is not None:
        return limit
    there, allowed = machine(), allowance(root)
    if allowed is None or allowed >= there:
        return limit
    return limit * allowed // there // GRAIN * GRAIN


def allowance(root: str = "/") -> int | None:
    """The bytes that the control groups of this process allow; None where they set no limit."""
    found = [
        limit
        for mount, group, unified in cgroups.groups("memory", root)
        for folder in (cgroups.upwards(mount, group))
        if (limit := _number(os.path.join(folder, "memory.max" if unified else "memory.limit_in_bytes"))) is not None
    ]
    return min(found, default=None)


def _number(file: str) -> int | None:
    text = cgroups.read(file).strip()
    return int(text) if text.isdecimal() else None


__all__ = ["VARIABLE", "allowance", "narrowed", "total"]
