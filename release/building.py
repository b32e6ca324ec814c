"""Building: the source archive, and from it a wheel for this machine and one for every machine, each of them twice.

What is built a second time must be the same, byte for byte: then anybody can find out whether an archive that is
offered was made from the source that it names.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOCAL = "local"
"""The folder for the wheel of this machine: it says `linux`, not which C library it needs, so no index takes it."""


class Failed(Exception):
    """Something is not as it should be; the message says what."""


@dataclass(frozen=True)
class Built:
    """What one build has made."""

    version: str
    source: Path
    """The source archive, .tar.gz."""
    native: Path
    """The wheel with the extension, for this machine and this Python."""
    pure: Path
    """The wheel without, py3-none-any."""

    @property
    def all(self) -> tuple[Path, ...]:
        return (self.source, self.native, self.pure)


def twice(root: Path, into: Path, epoch: int, *, isolated: bool) -> Built:
    """Build the tree at `root` into `into`, and again elsewhere. Raises Failed if the two differ."""
    first = build(root, into, epoch, isolated=isolated)
    with tempfile.TemporaryDirectory(prefix="procession-again-") as scratch:
        again = build(root, Path(scratch), epoch, isolated=isolated)
        for one, other in zip(first.all, again.all, strict=True):
            if one.read_bytes() != other.read_bytes():
                raise Failed(f"{one.name} came out otherwise when it was built again ({sums(one)}, {sums(other)})")
    return first


def build(root: Path, into: Path, epoch: int, *, isolated: bool) -> Built:
    """Build once: a wheel is made from the source archive, never from the tree."""
    both = _built(root, into, epoch, isolated=isolated, PROCESSION_STRICT="1")
    with tempfile.TemporaryDirectory(prefix="procession-pure-") as scratch:
        pure = _built(root, Path(scratch), epoch, isolated=isolated, PROCESSION_PURE="1")
        if pure[".gz"].read_bytes() != both[".gz"].read_bytes():
            raise Failed("the source archive depends on PROCESSION_PURE, or on when it was made")
        lone = pure[".whl"].rename(into / pure[".whl"].name)
    (into / LOCAL).mkdir(exist_ok=True)
    native = both[".whl"].rename(into / LOCAL / both[".whl"].name)
    version = both[".gz"].name.removeprefix("procession-").removesuffix(".tar.gz")
    return Built(version, both[".gz"], native, lone)


def _built(root: Path, into: Path, epoch: int, *, isolated: bool, **more: str) -> dict[str, Path]:
    """What `python -m build` leaves, by suffix."""
    words = [sys.executable, "-m", "build", "--outdir", str(into), *([] if isolated else ["--no-isolation"]), str(root)]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PROCESSION_")}
    # Symbols for a debugger are ten times the code; who wants them builds from source.
    flags = f"{surroundings.get('CFLAGS', '')} -g0"
    run(*words, **{**surroundings, "SOURCE_DATE_EPOCH": str(epoch), "CFLAGS": flags, **more})
    return {each.suffix: each for each in into.iterdir() if each.is_file()}


def epoch_of(root: Path) -> int:
    """The time that archives bear: SOURCE_DATE_EPOCH if it is set, the commit's, or that of the version's file."""
    if stated := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(stated)
    try:
        said = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=root, capture_output=True, check=True)
        return int(said.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return int((root / "src/procession/_version.py").stat().st_mtime)


def run(*words: str, **surroundings: str) -> str:
    """What a program prints. Raises Failed, with all that it said, unless it succeeds."""
    done = subprocess.run(words, capture_output=True, text=True, env=surroundings or None, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def sums(file: Path) -> str:
    """The file's SHA-256, in hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_sums(folder: Path) -> Iterator[Path]:
    """Write SHA256SUMS, as `sha256sum --check` reads it; tell each file that it lists, then itself."""
    listed = sorted(each for each in folder.rglob("*") if each.is_file() and each.name != "SHA256SUMS")
    text = "".join(f"{sums(each)}  {each.relative_to(folder)}\n" for each in listed)
    (folder / "SHA256SUMS").write_text(text)
    yield from [*listed, folder / "SHA256SUMS"]
