"""What a release lacks, in the tree and in dist/."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from release.archives import PACKAGE
from release.building import Failed, run

STATED = re.compile(r'^__version__ = "(.*)"$', re.M)
UNRELEASED = re.compile(r"^## \[Unreleased\]\n+(?=## |\Z)", re.M)
"""The heading with nothing under it."""
PLATFORMS = ("manylinux", "musllinux")


def lacks(root: Path, dist: Path) -> Iterator[str]:
    """Each thing that is not as a release needs it."""
    stated = STATED.search((root / "src/procession/_version.py").read_text())
    version = stated[1] if stated else "?"
    yield from _of_tree(root, version)
    yield from _of_changelog((root / "CHANGELOG.md").read_text(), version)
    yield from _of_dist(root, dist, version)


def _of_tree(root: Path, version: str) -> Iterator[str]:
    tag = f"v{version}"
    if changed := _git(root, "status", "--porcelain"):
        yield f"the tree has changes that are not committed: {changed.splitlines()[0].strip()}, ..."
    tags = _git(root, "tag", "--points-at", "HEAD").split()
    if tag not in tags:
        yield f"this commit has no tag {tag}, which is what _version.py says (it has {', '.join(tags) or 'none'})"


def _of_changelog(text: str, version: str) -> Iterator[str]:
    if not re.search(rf"^## \[{re.escape(version)}\] - \d\d\d\d-\d\d-\d\d$", text, re.M):
        yield f"CHANGELOG.md has no heading `## [{version}] - <year>-<month>-<day>`"
    if not UNRELEASED.search(text):
        yield "CHANGELOG.md has lines under [Unreleased]: they belong under the version"


def _of_dist(root: Path, dist: Path, version: str) -> Iterator[str]:
    files = {each.name: each for each in dist.glob("*") if each.suffix in (".gz", ".whl")}
    expected = {f"{PACKAGE}-{version}.tar.gz", f"{PACKAGE}-{version}-py3-none-any.whl"}
    yield from (f"{dist.name}/ has no {name}: make dist" for name in sorted(expected - files.keys()))
    left = files.keys() - expected
    for python, platform, machine in _wheels(root):
        pattern = re.compile(rf"{PACKAGE}-{re.escape(version)}-{python}-{python}-{platform}\S*_{machine}\.whl")
        found = {name for name in left if pattern.fullmatch(name)}
        if not found:
            yield f"{dist.name}/ has no wheel for {python} on {platform} {machine}: cibuildwheel"
        left -= found
    yield from (f"{dist.name}/ has {name}, which is none of {version}" for name in sorted(left))
    if not list((dist / "sbom").glob(f"{PACKAGE}-{version}.*cdx.json")):
        yield f"{dist.name}/sbom has no lists of materials: make dist"
    if files:
        try:
            run(sys.executable, "-m", "twine", "check", "--strict", *map(str, files.values()))
        except Failed as error:
            yield str(error)


def _wheels(root: Path) -> Iterator[tuple[str, str, str]]:
    """(Python, C library, machine) of each wheel that cibuildwheel is told to build."""
    told = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    for python in told["build"]:
        for platform in PLATFORMS:
            for machine in told["linux"]["archs"]:
                yield python.removesuffix("-*"), platform, machine


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout
