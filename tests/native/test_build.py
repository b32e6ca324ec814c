"""How the extension is built: where it does not compile, a user's install goes on, and ours ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="it is built on Linux"),
]


def build(folder: Path, source: str, **words: str) -> subprocess.CompletedProcess[str]:
    """setup.py on a tree that has this for an extension."""
    pytest.importorskip("setuptools")
    native = folder / "src" / "procession" / "_native"
    native.mkdir(parents=True)
    (native / "module.c").write_text(source)
    shutil.copy(ROOT / "setup.py", folder)
    shutil.copy(ROOT / "src" / "procession" / "_version.py", native.parent)
    env = {name: word for name, word in os.environ.items() if not name.startswith("PROCESSION_")} | words
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)


WRONG = "#error this is wrong\n"


def test_for_a_user_it_is_a_message(tmp_path: Path) -> None:
    done = build(tmp_path, WRONG)
    assert done.returncode == 0, done.stderr
    assert not [*tmp_path.rglob("*.so")]


def test_for_us_it_is_an_error(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no compiler")
    done = build(tmp_path, WRONG, PROCESSION_STRICT="1")
    assert done.returncode != 0
    assert "this is wrong" in done.stderr


@pytest.mark.parametrize("words", [{"CC": "no-such-compiler"}, {"PROCESSION_PURE": "1"}])
def test_where_it_cannot_be_built_or_is_not_wanted_nothing_is_missed(tmp_path: Path, words: dict[str, str]) -> None:
    done = build(tmp_path, WRONG, PROCESSION_STRICT="1", **words)
    assert done.returncode == 0, done.stderr
