"""What must be in the archives, and what must not."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from release.building import Built, Failed

PACKAGE = "procession"
MADE = ("PKG-INFO", "setup.cfg", "src/procession.egg-info/")
"""What the build adds to the source archive."""
WASTE = ("__pycache__", ".pyc", ".so", ".o", ".coverage", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache")
"""What nobody wants to have in one."""


def look(built: Built, root: Path) -> None:
    """Raises Failed with everything that is wrong with these archives."""
    faults = [
        *faults_of_source(built, root),
        *faults_of_wheel(built.native, built),
        *faults_of_wheel(built.pure, built),
    ]
    if faults:
        raise Failed("\n".join(["the archives are not as they should be:", *faults]))


def faults_of_source(built: Built, root: Path) -> Iterator[str]:
    """It has exactly what git knows, if there is a repository; in any case no waste, and the version that it names."""
    top = f"{PACKAGE}-{built.version}/"
    with tarfile.open(built.source) as archive:
        names = {each.name.removeprefix(top) for each in archive.getmembers() if each.isfile()}
        said = archive.extractfile(f"{top}src/{PACKAGE}/_version.py")
        stated = said.read().decode() if said is not None else ""
    yield from _waste(built.source, names)
    if f'"{built.version}"' not in stated:
        yield f"{built.source.name}: its _version.py does not say {built.version}"
    known = tracked(root)
    if known is not None:
        there = {name for name in names if not name.startswith(MADE)}
        yield from (f"{built.source.name}: lacks {name}, which git knows" for name in sorted(known - there))
        yield from (f"{built.source.name}: has {name}, which git does not know" for name in sorted(there - known))


def faults_of_wheel(wheel: Path, built: Built) -> Iterator[str]:
    """It has every file of the package but C sources, and an extension exactly if it is one for a machine."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        stated = archive.read(f"{PACKAGE}/_version.py").decode()
    extensions = {name for name in names if name.endswith(".so")}
    yield from _waste(wheel, names - extensions)
    if f'"{built.version}"' not in stated:
        yield f"{wheel.name}: its _version.py does not say {built.version}"
    if bool(extensions) == wheel.name.endswith("-any.whl"):
        yield f"{wheel.name}: has {len(extensions)} extensions"
    wanted, about = wanted_of(built.source), f"{PACKAGE}-{built.version}.dist-info/"
    there = {name for name in names - extensions if not name.startswith(about)}
    yield from (f"{wheel.name}: lacks {name}" for name in sorted(wanted - there))
    yield from (f"{wheel.name}: has {name} too" for name in sorted(there - wanted))
    yield from (
        f"{wheel.name}: lacks {about}{name}"
        for name in ("licenses/LICENSE", "METADATA", "entry_points.txt")
        if about + name not in names
    )


def wanted_of(source: Path) -> set[str]:
    """What of the source archive is to be installed: all of the package, but C and what is written about it."""
    with tarfile.open(source) as archive:
        paths = [PurePosixPath(each.name) for each in archive.getmembers() if each.isfile()]
    inside = [PurePosixPath(*each.parts[2:]) for each in paths if each.parts[1:3] == ("src", PACKAGE)]
    return {str(each) for each in inside if each.suffix not in (".c", ".h", ".md")}


def tracked(root: Path) -> set[str] | None:
    """What git knows at `root`; None where that is no repository."""
    if not (root / ".git").exists():
        return None
    said = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    return {name for name in said.stdout.split("\0") if name and (root / name).exists()}


def _waste(archive: Path, names: set[str]) -> Iterator[str]:
    for name in sorted(names):
        if any(part in WASTE or PurePosixPath(part).suffix in WASTE for part in PurePosixPath(name).parts):
            yield f"{archive.name}: has {name}, which is waste"
