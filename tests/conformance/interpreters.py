"""Which interpreter runs the tests: the running one if its installation has them, else one it can find."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from procession import accelerated
from tests.native.building import build_extension

from .loading import PACKAGE

#: Names an interpreter to use instead of the running one; "own" forbids to look for another.
VARIABLE = "PROCESSION_CONFORMANCE_PYTHON"
OLDEST = (3, 11)
PROBE = f"import sys, importlib; importlib.import_module({PACKAGE!r}); print(sys.version.split()[0])"
#: What another interpreter must be shown to run procession: these are pure Python, or built for the stable ABI.
SHARED = ("procession", "cloudpickle", "psutil")


@dataclass(frozen=True)
class Interpreter:
    """A command that runs the tests, and what it needs in front of its sys.path."""

    python: str
    version: str
    path: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        return self.python == sys.executable

    def make_ready(self) -> None:
        """For procession to be run in the mode of this interpreter. What lists the tests need not wait for that."""
        folder = Path(self.path[0], "procession", "_native") if self.path and not self.own else None
        if accelerated and folder is not None and not any(folder.glob("*.so")):
            build_extension(self.python, folder)

    def __str__(self) -> str:
        return f"Python {self.version}" + ("" if self.own else " (borrowed for its tests)")


class NoTests(LookupError):
    """No interpreter at hand has the tests; says why."""


def probe(python: str) -> str | None:
    """The version of an interpreter that has the tests, None of one that has not (or does not run)."""
    try:
        done = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    version = done.stdout.strip()
    if done.returncode or not re.fullmatch(r"[\d.]+\S*", version):
        return None
    return version if tuple(map(int, version.split(".")[:2])) >= OLDEST else None


def others() -> Iterator[str]:
    """Other interpreters: on PATH, and installed beside this one as version managers do."""
    names = [f"python3.{minor}" for minor in (13, 12, 11)]
    for name in names:
        for folder in os.get_exec_path():
            if found := shutil.which(name, path=folder):
                yield found
    home = Path(sys.base_prefix).resolve().parent
    for name in names:
        yield from map(str, sorted(home.glob(f"*/bin/{name}"), reverse=True))


def own_path() -> tuple[str, ...]:
    """Where procession lies: scripts that the tests run see no PYTHONPATH, and it need not be installed."""
    spec = importlib.util.find_spec("procession")
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return tuple(str(Path(location).parent) for location in locations[:1])


@functools.cache
def shared_path(python: str) -> str:
    """A folder with links to what a borrowed interpreter must import, and to nothing else of ours.

    The extension is yet to be built for that interpreter: `Interpreter.make_ready`.
    """
    folder = Path(tempfile.mkdtemp(prefix="conformance-path-"))
    atexit.register(shutil.rmtree, folder)
    for name in SHARED:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            place = Path(next(iter(spec.submodule_search_locations)))
            if name == "procession" and accelerated:
                link_without_extension(place, folder / name)
            else:
                (folder / name).symlink_to(place, target_is_directory=True)
    return str(folder)


def link_without_extension(package: Path, folder: Path) -> None:
    """A package of links, but for the extension, of which there are the sources."""
    folder.mkdir()
    for each in package.iterdir():
        if each.name != "_native":
            (folder / each.name).symlink_to(each, target_is_directory=each.is_dir())
    shutil.copytree(package / "_native", folder / "_native", ignore=shutil.ignore_patterns("*.so", "__pycache__"))


@functools.cache
def find(wish: str | None = None) -> Interpreter:
    """The interpreter to use; raises NoTests when there is none."""
    wish = wish or os.environ.get(VARIABLE)
    candidates = [sys.executable] if wish in (None, "own") else [shutil.which(wish) or wish]
    for python in candidates:
        if version := probe(python):
            own = python == sys.executable
            return Interpreter(python, version, own_path() if own else (shared_path(python),))
    here = f"Python {sys.version.split()[0]} was installed without {PACKAGE}"
    if wish is not None:
        raise NoTests(here if wish == "own" else f"{wish} does not run or has no {PACKAGE}")
    for python in others():
        if version := probe(python):
            return Interpreter(python, version, (shared_path(python),))
    raise NoTests(f"{here}, and no other interpreter that has it was found (set {VARIABLE} to name one)")
