"""The command line: build and look at everything, or say what a release lacks."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from release import archives, building, emptied, materials, ready
from release.building import Built, Failed, run

ROOT = Path(__file__).resolve().parents[1]


def parser() -> argparse.ArgumentParser:
    """The words of the command line."""
    words = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    commands = words.add_subparsers(dest="command", required=True)
    dist = commands.add_parser("dist", help="build the source archive and the wheels, twice, and look at them")
    dist.add_argument("--into", metavar="FOLDER", type=Path, default=ROOT / "dist", help="default: dist; emptied first")
    dist.add_argument("--no-isolation", action="store_true", help="build with the setuptools of this environment")
    dist.add_argument("--no-materials", action="store_true", help="write no lists of what is installed")
    check = commands.add_parser("check", help="say what a release lacks, and write SHA256SUMS anew")
    check.add_argument("--dist", metavar="FOLDER", type=Path, default=ROOT / "dist", help="default: dist")
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked for. The exit status is 1 when something is not as it should be; the last line says what."""
    asked = parser().parse_args(arguments)
    try:
        if asked.command == "check":
            return _check(asked.dist)
        _dist(asked.into, isolated=not asked.no_isolation, listed=not asked.no_materials)
    except Failed as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def _dist(into: Path, *, isolated: bool, listed: bool) -> None:
    shutil.rmtree(into, ignore_errors=True)
    epoch = building.epoch_of(ROOT)
    _say(f"building twice, as of {epoch} (SOURCE_DATE_EPOCH)")
    built = building.twice(ROOT, into, epoch, isolated=isolated)
    _say("looking into the archives")
    archives.look(built, ROOT)
    _say("twine check --strict")
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, built.all))
    _in_empty_environments(built)
    if listed:
        for made in materials.write(ROOT, built.version, built.pure, into / "sbom", epoch):
            _say(f"listed {made.name}")
    for file in building.write_sums(into):
        print(file)


def _in_empty_environments(built: Built) -> None:
    """Install each archive where there is no compiler, and use it there."""
    expected = {built.native: "accelerated", built.pure: "pure", built.source: "pure"}
    with tempfile.TemporaryDirectory(prefix="procession-release-") as scratch:
        wheels = emptied.wheels(Path(scratch, "wheels"))
        for number, (archive, kind) in enumerate(expected.items()):
            _say(f"in an empty environment without a compiler: {archive.name}")
            emptied.Environment(Path(scratch, str(number))).use(archive, wheels, kind)


def _check(dist: Path) -> int:
    lacks = list(ready.lacks(ROOT, dist))
    if dist.is_dir():
        list(building.write_sums(dist))
    for each in lacks:
        print(each)
    print(f"a release lacks {len(lacks)} things" if lacks else "ready: see docs/releasing.md for how to publish it")
    return bool(lacks)


def _say(text: str) -> None:
    print(f"== {text}", file=sys.stderr, flush=True)
