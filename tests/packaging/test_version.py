"""The version that a build finds (setup.py): from the tag, between tags, without tags, without git."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
SETUP: dict[str, Any] = run_path(str(ROOT / "setup.py"), run_name="setup")


def version_of(root: Path) -> str:
    found = SETUP["version_of"](root)
    assert isinstance(found, str)
    Version(found)
    return found


def git(root: Path, *words: str) -> str:
    nobody = {f"GIT_{role}_{what}": "nobody" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", *words], cwd=root, capture_output=True, text=True, check=True, env={**os.environ, **nobody, **settings}
    )
    return done.stdout.strip()


def tree(root: Path, stated: str = "0.2.0") -> Path:
    """A tree without git that states this version."""
    file = root / "src/procession/_version.py"
    file.parent.mkdir(parents=True)
    file.write_text(f'"""The version."""\n\n__version__ = "{stated}"\n')
    return root


def commit(root: Path, tag: str | None = None) -> str:
    """One more commit; its abbreviated name."""
    git(root, "commit", "--allow-empty", "--message", "one more")
    if tag is not None:
        git(root, "tag", tag)
    return git(root, "rev-parse", "--short", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tree(tmp_path / "tree")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    return root


def test_without_git_it_is_what_the_file_says(tmp_path: Path) -> None:
    assert version_of(tree(tmp_path, "0.2.0")) == "0.2.0"


def test_a_repository_without_a_commit(repository: Path) -> None:
    assert version_of(repository) == "0.2.0"


def test_without_a_tag_it_is_on_the_way_to_what_the_file_says(repository: Path) -> None:
    commit(repository)
    node = commit(repository)
    assert version_of(repository) == f"0.2.0.dev2+g{node}"


def test_a_tag_says_it(repository: Path) -> None:
    commit(repository, "v0.2.0")
    assert version_of(repository) == "0.2.0"


@pytest.mark.parametrize(
    ("tag", "coming"),
    [
        ("v0.1.9", "0.2.0"),  # the file says where it goes
        ("v0.2.0", "0.2.1"),  # the file has not been changed since the release
        ("v0.10.0", "0.10.1"),  # numbers, not letters, are compared
        ("v0.2.0rc1", "0.2.0rc2"),
    ],
)
def test_beyond_a_tag_it_is_newer_and_none_that_is_released(repository: Path, tag: str, coming: str) -> None:
    commit(repository, tag)
    node = commit(repository)
    found = version_of(repository)
    assert found == f"{coming}.dev1+g{node}"
    assert Version(tag) < Version(found) < Version(coming)


def test_what_is_changed_beside_a_tag_is_not_that_release(repository: Path) -> None:
    node = commit(repository, "v0.2.0")
    (repository / "src/procession/_version.py").write_text('__version__ = "0.2.0"\n')
    assert version_of(repository) == f"0.2.1.dev0+g{node}.dirty"


def test_a_shallow_clone_without_tags(repository: Path, tmp_path: Path) -> None:
    commit(repository, "v0.1.0")
    node = commit(repository)
    git(tmp_path, "clone", "--quiet", "--depth=1", "--no-tags", repository.as_uri(), "shallow")
    assert version_of(tmp_path / "shallow") == f"0.2.0.dev1+g{node}"


def test_an_unpacked_archive_in_the_repository_of_somebody_else(repository: Path) -> None:
    commit(repository, "v9.0.0")
    assert version_of(tree(repository / "vendored", "0.3.0")) == "0.3.0"


def test_an_unpacked_archive_that_was_put_under_git(repository: Path) -> None:
    (repository / "PKG-INFO").write_text("Name: procession\n")
    commit(repository, "v9.0.0")
    assert version_of(repository) == "0.2.0"


def test_other_tags_are_not_looked_at(repository: Path) -> None:
    commit(repository, "v0.1.0")
    node = commit(repository, "nightly")
    assert version_of(repository) == f"0.2.0.dev1+g{node}"


def test_a_tag_that_is_no_version_is_refused(repository: Path) -> None:
    commit(repository, "v1-final")
    with pytest.raises(SystemExit, match=re.escape("the tag v1-final is no version; those are v1.2.3")):
        version_of(repository)


def test_without_the_program_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(repository, "v9.0.0")
    monkeypatch.setenv("PATH", "")
    assert version_of(repository) == "0.2.0"


def test_the_copy_says_it_and_the_source_is_as_it_was(tmp_path: Path) -> None:
    source = tree(tmp_path) / "src/procession/_version.py"
    before = source.read_text()
    copy = tmp_path / "copy.py"
    copy.hardlink_to(source)
    SETUP["write_version"](copy, "1.2.3")
    assert source.read_text() == before
    assert copy.read_text() == before.replace("0.2.0", "1.2.3")
    assert version_of(ROOT).startswith(SETUP["_stated"](ROOT)[:2])


def test_an_archive_is_the_same_whenever_it_is_packed(tmp_path: Path) -> None:
    made = []
    for number, order in enumerate(("ab", "ba")):
        folder = tmp_path / str(number) / "procession-1"
        folder.mkdir(parents=True)
        for name in order:
            (folder / name).write_text(name)
            os.utime(folder / name, (number, number))
        (folder / "c").hardlink_to(folder / "a") if number else (folder / "c").write_text("a")
        os.chmod(folder / "b", 0o600 if number else 0o644)
        made.append(tmp_path / f"{number}.tar.gz")
        SETUP["pack"](folder.parent, folder.name, made[-1], 1_700_000_000)
    assert made[0].read_bytes() == made[1].read_bytes()
