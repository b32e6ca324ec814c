"""What the build decides: the version, the optional extension, and archives that come out the same. All else is in
pyproject.toml.

The version is that of the tag; without tags or without git it is what `src/procession/_version.py` says, and what a
build puts into that file of the archive is the version that it has found. The source tree itself is never written to.

The extension is built where there is a compiler and a Linux, and left out without fuss elsewhere. PROCESSION_PURE=1
leaves it out on purpose: then a wheel is one for every system (py3-none-any). With PROCESSION_STRICT=1, as those
build it who work on it or release it, it must compile wherever there are a compiler and Python's headers.
"""

import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
HERE = Path("src/procession/_native")
FLAGS = ("-std=c11", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter")
VERSION = Path("src/procession/_version.py")
STATED = re.compile(r'(?<=^__version__ = ").*(?="$)', re.M)
DESCRIBED = re.compile(r"(?:(v.+)-(\d+)-g)?([0-9a-f]+)(-dirty)?")
RELEASE = re.compile(r"v\d+\.\d+\.\d+((a|b|rc)\d+)?")
LAST_NUMBER = re.compile(r"\d+$")

# -------------------------------------------------------------------------------------------------------- the version


def version_of(root: Path) -> str:
    """Of the source tree at `root`: its tag's; beyond a tag, one on the way to the next; else what the file says.

    Raises SystemExit where a tag looks like one of a version and is none.
    """
    stated = _stated(root)
    if (root / "PKG-INFO").exists() or not _is_repository(root):
        return stated
    said = _git(root, "describe", "--tags", "--long", "--always", "--dirty", "--match", "v[0-9]*")
    if said is None or (found := DESCRIBED.fullmatch(said)) is None:
        return stated  # not one commit
    tag, since, node, dirty = found.groups(default="")
    local = f"+g{node}{dirty.replace('-', '.')}"
    if not tag:  # or none in so shallow a clone
        return f"{stated}.dev{_git(root, 'rev-list', '--count', 'HEAD')}{local}"
    if not RELEASE.fullmatch(tag):
        raise SystemExit(f"the tag {tag} is no version; those are v1.2.3, v1.2.3a1, v1.2.3b1 and v1.2.3rc1")
    version = tag.removeprefix("v")
    if since == "0" and not dirty:
        return version
    following = LAST_NUMBER.sub(lambda number: str(int(number[0]) + 1), version)
    return f"{stated if _numbers(stated) > _numbers(version) else following}.dev{since}{local}"


def _stated(root: Path) -> str:
    found = STATED.search((root / VERSION).read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit(f"{VERSION} has no line __version__ = ...")
    return found[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _is_repository(root: Path) -> bool:
    """Whether `root` is the top of one, and not a folder somewhere in another's."""
    top = _git(root, "rev-parse", "--show-toplevel")
    return top is not None and Path(top).resolve() == root.resolve()


def _git(root: Path, *words: str) -> str | None:
    """What git says; None where there is none, or where it has nothing to say."""
    try:
        said = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()


def write_version(file: Path, version: str) -> None:
    """Have this copy of `_version.py` say `version`. It is a new file: the copy may be a link to the source."""
    text = STATED.sub(version, file.read_text(encoding="utf-8"))
    file.unlink()
    file.write_text(text, encoding="utf-8")


class BuildPy(build_py):
    """Copies the modules; the built package says the version that was found. Not so one that stays in the tree."""

    def run(self) -> None:
        super().run()
        built = Path(self.build_lib, *VERSION.parts[1:])
        if not self.editable_mode and built.exists():
            write_version(built, self.distribution.get_version())


# ------------------------------------------------------------------------------------------------ the source archive


class Sdist(sdist):
    """A source archive that says its version, and that comes out the same each time for one SOURCE_DATE_EPOCH."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        write_version(Path(base_dir, VERSION), self.distribution.get_version())

    def make_archive(
        self, base_name: str, format: str, root_dir: str | None = None, base_dir: str | None = None, **more: Any
    ) -> str:
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if format != "gztar" or epoch is None or base_dir is None:
            return str(super().make_archive(base_name, format, root_dir, base_dir, **more))
        made = f"{base_name}.tar.gz"
        pack(Path(root_dir or "."), base_dir, Path(made), int(epoch))
        return made


def pack(root: Path, folder: str, made: Path, when: int) -> None:
    """The folder as a .tar.gz: in the order of names, all of one time, nobody's, and the same on every machine."""

    def same(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = when
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    with open(made, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, when) as packed:
        # Dereferenced, it has each file as itself, whether or not the copy is a link to it.
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as archive:
            for each in [root / folder, *sorted((root / folder).rglob("*"))]:
                archive.add(each, each.relative_to(root).as_posix(), recursive=False, filter=same)


# ----------------------------------------------------------------------------------------------------- the extension


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
            extra_compile_args=[*FLAGS, f"-fdebug-prefix-map={os.getcwd()}=."],  # where it was built is no part of it
            optional=not strict,  # for a user, a compiler that fails is a message and not an error
        )
    ]


class BuildExt(build_ext):
    """Compiles as many files at a time as there are cores; the objects are linked in their order."""

    def build_extension(self, ext: Extension) -> None:
        one_after_the_other = self.compiler.compile

        def compile(sources: list[str], **more: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as executor:
                made = executor.map(lambda source: one_after_the_other([source], **more), sources)
                return list(chain.from_iterable(made))

        self.compiler.compile = compile
        super().build_extension(ext)


COMMANDS = {"build_ext": BuildExt, "build_py": BuildPy, "sdist": Sdist}

if __name__ == "__main__":
    setup(version=version_of(ROOT), ext_modules=extensions(), cmdclass=COMMANDS)
