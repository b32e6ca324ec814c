"""The optional extension: built where there is a compiler and a Linux, left out without fuss elsewhere.

PROCESSION_PURE=1 leaves it out on purpose. With PROCESSION_STRICT=1, as those build it who work on it, it must compile
wherever there are a compiler and Python's headers. All else is in pyproject.toml.
"""

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

HERE = Path("src/procession/_native")


def can_compile() -> bool:
    """There are a compiler and the interpreter's headers."""
    words = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    return bool(shutil.which(words[0])) and Path(sysconfig.get_path("include"), "Python.h").is_file()


def extensions() -> list[Extension]:
    """None where it would not work: it wants futexes, and a GIL."""
    wanted = sys.platform == "linux" and not os.environ.get("PROCESSION_PURE")
    if not wanted or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return []
    strict = bool(os.environ.get("PROCESSION_STRICT")) and can_compile()
    return [
        Extension(
            "procession._native._c",
            sorted(map(str, HERE.glob("*.c"))),
            depends=sorted(map(str, HERE.glob("*.h"))),
            extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
            optional=not strict,  # for a user, a compiler that fails is a message and not an error
        )
    ]


setup(ext_modules=extensions())
