"""The optional extension: built where there is a compiler and a Linux, left out without fuss elsewhere.

PROCESSION_PURE=1 leaves it out on purpose. All else is in pyproject.toml.
"""

import os
import sys
import sysconfig

from setuptools import Extension, setup

HERE = "src/procession/_native"
SOURCES = ("module.c", "value.c", "queue.c", "future.c", "parent.c", "worker.c", "door.c", "funnel.c")
HEADERS = ("ring.h", "value.h", "records.h", "native.h")


def extensions() -> list[Extension]:
    """None where it would not work: it wants futexes, and a GIL."""
    wanted = sys.platform == "linux" and not os.environ.get("PROCESSION_PURE")
    if not wanted or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return []
    return [
        Extension(
            "procession._native._c",
            [f"{HERE}/{name}" for name in SOURCES],
            depends=[f"{HERE}/{name}" for name in HEADERS],
            extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
            optional=True,  # a compiler that fails is a message, not an error
        )
    ]


setup(ext_modules=extensions())
