"""The optional extension: built where there is a compiler and a Linux, left out without fuss elsewhere.

PROCESSION_PURE=1 leaves it out on purpose. All else is in pyproject.toml.
"""

import os
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

HERE = Path("src/procession/_native")


def extensions() -> list[Extension]:
    """None where it would not work: it wants futexes, and a GIL."""
    wanted = sys.platform == "linux" and not os.environ.get("PROCESSION_PURE")
    if not wanted or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return []
    return [
        Extension(
            "procession._native._c",
            sorted(map(str, HERE.glob("*.c"))),
            depends=sorted(map(str, HERE.glob("*.h"))),
            extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
            optional=True,  # a compiler that fails is a message, not an error
        )
    ]


setup(ext_modules=extensions())
