"""How the zygote reaps its children."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing costs milliseconds; the checkers know this name
if TYPE_CHECKING:
    from types import ModuleType

_resource: ModuleType | None = None


def find_resource() -> None:
    """Load the standard library's `resource`, which os.wait4 imports by name, and that after it has reaped.

    Left to itself it would find a resource.py of the user: run it here, against law 1, fail, and lose the exit code. So
    it is loaded by its place, and `sys.modules` holds it during os.wait4 only: a worker imports what its path says.
    """
    global _resource
    path, others = list(sys.path), sys.modules.pop("resource", None)
    sys.path[:] = [each for each in path if os.path.basename(each) == "lib-dynload"]
    try:
        _resource = __import__("resource")
    except ImportError:
        pass  # an interpreter that keeps it elsewhere: nobody will hear of a peak
    finally:
        sys.path[:] = path
        _name_resource(others)


def _name_resource(module: ModuleType | None) -> None:
    """What `import resource` finds loaded."""
    if module is None:
        sys.modules.pop("resource", None)
    else:
        sys.modules["resource"] = module


def wait(pid: int) -> tuple[int | None, int | None]:
    """Reap a child that has ended: its exit code, and the most bytes that it had in memory at any time.

    Both None if a preloaded module has taken it from us. The kernel keeps the larger peak of the child and of any
    process that it has waited for itself: a task that ran a large program has that one's.
    """
    others = sys.modules.get("resource")
    try:
        if _resource is None:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), None
        _name_resource(_resource)
        _, status, usage = os.wait4(pid, 0)
        return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
    except ChildProcessError:
        return None, None
    finally:
        _name_resource(others)
