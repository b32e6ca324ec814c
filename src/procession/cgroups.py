"""Where the control groups of this process are: the folders in which the kernel keeps their files.

Version 2 is one hierarchy for all controllers, version 1 one for each of them or for a few together, and a system may
have both. Which group is ours says /proc/self/cgroup, where a hierarchy is mounted says /proc/self/mountinfo. A file
that is missing, empty or odd yields no group; nothing here raises.

Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst and proc(5). Linux only; elsewhere there are none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator


def groups(controller: str, root: str = "/") -> Iterator[tuple[str, str, bool]]:
    """Each hierarchy that may hold `controller`: where it is mounted, our group below that, is it version 2.

    The mount points are those under `root`, where /proc and /sys are looked for. A hierarchy of version 2 is always
    among them, since its files alone say which controllers it has.
    """
    mounts = list(_mounts(root))
    for line in read(os.path.join(root, "proc/self/cgroup")).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        unified = number == "0" and not controllers
        if not path.startswith("/") or not (unified or controller in controllers.split(",")):
            continue
        for mount, mounted, version_2, options in mounts:
            if version_2 == unified and (unified or controller in options):
                yield os.path.join(root, mount.lstrip("/")), _below(path, mounted), unified
                break


def upwards(mount: str, group: str) -> Iterator[str]:
    """The folder of the group, its parent's, and so on to the mount point."""
    while group:
        yield os.path.join(mount, group)
        group = os.path.dirname(group)
    yield mount


def read(path: str) -> str:
    """The text of a small file; "" when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except (OSError, ValueError):  # a path that was read from an odd file may hold a zero byte
        return ""


def _mounts(root: str) -> Iterator[tuple[str, str, bool, list[str]]]:
    """Mount point, what of the hierarchy is mounted there, whether it is version 2, options."""
    for line in read(os.path.join(root, "proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and kind and kind[0] in ("cgroup", "cgroup2"):
            yield fields[4], fields[3], kind[0] == "cgroup2", kind[-1].split(",")


def _below(path: str, mounted: str) -> str:
    """Our group as seen from the mount point; in a container the mount begins at our own group, or below its parent."""
    if mounted != "/" and (path + "/").startswith(mounted + "/"):
        path = path[len(mounted) :]
    return "" if "/../" in path + "/" else path.strip("/")
