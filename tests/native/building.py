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


def build_extension(python: str, folder: Path) -> None:
    """The extension for this interpreter, out of the sources in `folder` and into it."""
    ask = "import sysconfig; print(sysconfig.get_path('include')); print(sysconfig.get_config_var('EXT_SUFFIX'))"
    include, suffix = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    sources = sorted(folder.glob("*.c"))
    words = [compiler() or "cc", "-std=c11", "-O1", "-fPIC", "-shared", "-I", include, *sources]
    built = subprocess.run([*words, "-o", folder / f"_c{suffix}"], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
