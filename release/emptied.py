"""An environment with nothing but Python and what is installed from given files: no compiler, no network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from release.building import Failed, run

SMOKE = Path(__file__).with_name("smoke.py")
NEEDED = ("cloudpickle>=3", "setuptools>=77")
"""What the package needs to run, and the source archive to be built."""


def wheels(folder: Path, *more: str) -> Path:
    """The folder, with wheels of what is needed, and of `more`; the only step that may ask an index."""
    folder.mkdir(parents=True, exist_ok=True)
    run(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *NEEDED, *more)
    return folder


class Environment:
    """A new environment at `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.python = home / "bin/python"
        run(sys.executable, "-m", "venv", "--without-pip", str(home))

    @property
    def surroundings(self) -> dict[str, str]:
        """Of each program here: on its PATH is this environment alone."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "PROCESSION_TOP") if name in os.environ}
        return {**kept, "PATH": str(self.python.parent), "PYTHONDONTWRITEBYTECODE": "1"}

    def install(self, archive: Path, wheels: Path, extra: str = "") -> None:
        """Install an archive, and from `wheels` what it needs, and what it needs for this extra."""
        words = ["-m", "pip", "--python", str(self.python), "install", "--quiet", "--no-index", "--no-cache-dir"]
        words += [
            "--disable-pip-version-check",
            "--find-links",
            str(wheels),
            f"{archive}[{extra}]" if extra else str(archive),
        ]
        run(sys.executable, *words, **self.surroundings)

    def use(self, archive: Path, wheels: Path, kind: str) -> str:
        """Install an archive and have it used; `kind`: "accelerated" or "pure". Raises Failed if it does not work."""
        self.install(archive, wheels)
        said = self.smoke(kind)
        shown = run(str(self.home / "bin/procession"), "--version", **self.surroundings)
        version = said.split()[0]
        if shown != f"procession {version}\n":
            raise Failed(f"{archive.name}: the package says that it is {version}, and its command {shown!r}")
        return said

    def smoke(self, kind: str) -> str:
        """Run `smoke.py`, and return what it says."""
        return run(str(self.python), "-I", str(SMOKE), kind, **self.surroundings)
