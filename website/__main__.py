"""`python -m website [FOLDER]`: build the site into site/, or into FOLDER, anew. Every warning is an error."""

import shutil
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import main

ROOT = Path(__file__).resolve().parents[1]


def build(folder: Path) -> int:
    """Sphinx's exit status: 0, or 1 when it has warned. What was built there before is removed."""
    if (folder / ".buildinfo").exists():
        shutil.rmtree(folder)
    with tempfile.TemporaryDirectory(prefix="doctrees-") as read:
        return sphinx(str(ROOT / "docs"), str(folder), read)


def sphinx(docs: str, folder: str, read: str) -> int:
    """Build `docs` into `folder`; what was read of the pages is kept in `read`."""
    return main(["-q", "-W", "--keep-going", "-b", "html", "-c", str(ROOT / "website"), "-d", read, docs, folder])


if __name__ == "__main__":
    raise SystemExit(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site"))
