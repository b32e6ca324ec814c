"""What a probe has left in /dev/shm.

An entry there has no author, and other programs run on the machine, too. So what only processes of others use is not
counted; what nobody uses is, if it is new; and one is removed only when processes of ours used it, or when it carries
the pid of our program in its name.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HOME = Path("/dev/shm")


def entries() -> set[Path]:
    """What is there now."""
    return set(HOME.iterdir()) if HOME.is_dir() else set()


def standing(before: set[Path], pids: Iterable[int]) -> dict[Path, bool]:
    """The new entries, while the processes `pids` of a probe still live: is it known to be theirs?"""
    ours = set(pids)
    found = {}
    for path in entries() - before:
        users = _users(path)
        if not users or users & ours:
            found[path] = bool(users)
    return found


def facts_of(found: dict[Path, bool]) -> dict[str, Any]:
    """What a row is told of them."""
    return {"left_shm": sorted(path.name for path in found), "left_shm_mb": sum(map(_size, found)) / 1e6}


def remove(found: dict[Path, bool], pid: int) -> None:
    """Those of the program `pid`, which is dead with all its descendants."""
    for path, ours in found.items():
        if ours or str(pid) in path.name:
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _users(path: Path) -> set[int]:
    needle = os.fsencode(path)
    return {
        int(process.name) for process in Path("/proc").iterdir() if process.name.isdigit() and _uses(process, needle)
    }


def _uses(process: Path, needle: bytes) -> bool:
    """Does it map or hold open the entry, or what is below it? False when it is gone or not ours to look at."""
    with contextlib.suppress(OSError):
        if needle in (process / "maps").read_bytes():
            return True
    with contextlib.suppress(OSError):
        for each in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if needle in os.fsencode(os.readlink(each)):
                    return True
    return False


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(each.stat().st_size for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file())
    return 0
