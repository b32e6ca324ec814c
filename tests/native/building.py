"""C programs beside the tests, built by the system's compiler into a folder of the test's."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parents[1] / "src" / "procession" / "_native"
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror")


def compiler() -> str | None:
    """The system's C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def runs(cc: str, flags: Sequence[str], folder: Path) -> bool:
    """Whether a program that is built so can be run: the runtime of a sanitizer is a package of its own."""
    source, program = folder / "empty.c", folder / "empty"
    source.write_text("int main(void) { return 0; }\n")
    built = subprocess.run([cc, *flags, source, "-o", program, "-pthread"], capture_output=True, check=False)
    return built.returncode == 0 and subprocess.run([program], capture_output=True, check=False).returncode == 0


def build(cc: str, flags: Sequence[str], program: Path, include: Path = NATIVE) -> Path:
    """`stress.c` with the ring.h of `include`."""
    words = [cc, *WARNINGS, *flags, "-I", include, HERE / "stress.c", "-o", program, "-pthread"]
    built = subprocess.run(words, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return program
