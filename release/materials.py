"""Lists of materials (SBOM, in the form of CycloneDX): what is installed with the wheel alone, and with each extra.

Each is read off a real environment into which the wheel was installed with that extra, so it has what pip chose on the
day of the release; what the index offers later may differ.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from release.building import run

FOR_THIS_TREE = ("bench", "dev", "docs", "e2e", "ecosystem", "examples", "release", "rivals")
"""Extras for who works on procession."""


def extras(root: Path) -> list[str]:
    """The extras that users install."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return [name for name in project["optional-dependencies"] if name not in FOR_THIS_TREE]


def write(root: Path, version: str, wheel: Path, into: Path, epoch: int) -> Iterator[Path]:
    """Write a list for the wheel alone and one for each extra; tell each when it is there."""
    into.mkdir(parents=True, exist_ok=True)
    for extra in ["", *extras(root)]:
        named = f"{extra}." if extra else ""
        made = into / f"procession-{version}.{named}cdx.json"
        with tempfile.TemporaryDirectory(prefix="procession-materials-") as scratch:
            _list(root, version, f"{wheel}[{extra}]" if extra else str(wheel), Path(scratch), made, epoch)
        yield made


def _list(root: Path, version: str, what: str, scratch: Path, made: Path, epoch: int) -> None:
    python = scratch / "installed/bin/python"
    run(sys.executable, "-m", "venv", "--without-pip", str(scratch / "installed"))
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", what)
    # The tool wants the version of what the list is about, and reads it in pyproject.toml alone.
    text = (root / "pyproject.toml").read_text()
    project = scratch / "pyproject.toml"
    project.write_text(re.sub(r'^dynamic = \["version"\]$', f'version = "{version}"', text, flags=re.M))
    words = ["environment", "--output-reproducible", "--validate", "--mc-type", "library", "--pyproject", str(project)]
    dated = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    run(sys.executable, "-m", "cyclonedx_py", *words, "--output-file", str(made), str(python), **dated)
