"""What is given away: built from this tree, looked into, and used where there is nothing else, not even a compiler."""

from __future__ import annotations

import io
import platform
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from procession import accelerated
from release import archives, building, emptied
from release.building import Built, Failed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return building.build(ROOT, tmp_path_factory.mktemp("dist"), building.epoch_of(ROOT), isolated=False)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return emptied.wheels(tmp_path_factory.mktemp("wheels"), "rich")


def test_the_archives_have_what_they_must(built: Built) -> None:
    archives.look(built, ROOT)
    assert built.native.name.endswith(f"-linux_{platform.machine()}.whl")
    assert built.pure.name.endswith("-py3-none-any.whl")


def without(archive: Path, name: str, into: Path) -> Path:
    """A copy of a wheel that lacks a file."""
    made = into / archive.name
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(made, "w") as copy:
        for each in source.namelist():
            if each != name:
                copy.writestr(each, source.read(each))
    return made


@pytest.mark.parametrize("name", ["procession/py.typed", "procession/typed.pyi", "procession/cli/web/page/main.js"])
def test_a_wheel_that_lacks_something_is_found(built: Built, tmp_path: Path, name: str) -> None:
    lacking = without(built.pure, name, tmp_path)
    assert list(archives.faults_of_wheel(lacking, built)) == [f"{lacking.name}: lacks {name}"]


def test_a_source_archive_that_lacks_something_or_has_waste_is_found(built: Built, tmp_path: Path) -> None:
    top = f"procession-{built.version}"
    lacking = tmp_path / built.source.name
    with tarfile.open(built.source) as source, tarfile.open(lacking, "w:gz") as copy:
        for each in source.getmembers():
            if not each.name.endswith("/ring.h"):
                copy.addfile(each, source.extractfile(each) if each.isfile() else None)
        copy.addfile(tarfile.TarInfo(f"{top}/src/procession/__pycache__/pool.cpython-311.pyc"), io.BytesIO())
    faults = "\n".join(archives.faults_of_source(replace(built, source=lacking), ROOT))
    assert "pool.cpython-311.pyc, which is waste" in faults
    if archives.tracked(ROOT) is not None:
        assert "lacks src/procession/_native/ring.h, which git knows" in faults


@pytest.mark.parametrize("kind", ["native", "source"])
def test_in_an_empty_environment_without_a_compiler(built: Built, wheels: Path, tmp_path: Path, kind: str) -> None:
    archive: Path = getattr(built, kind)
    environment = emptied.Environment(tmp_path / "environment")
    expected = "accelerated" if kind == "native" and accelerated else "pure"
    said = environment.use(archive, wheels, expected).split()
    assert said[:2] == [built.version, expected]
    assert Path(said[2]).is_relative_to(environment.home)


def test_the_wheel_for_every_machine_and_its_demo(built: Built, wheels: Path, tmp_path: Path) -> None:
    environment = emptied.Environment(tmp_path / "environment")
    environment.use(built.pure, wheels, "pure")
    with pytest.raises(Failed, match="accelerated is False, not as in accelerated"):
        environment.smoke("accelerated")
    command = str(environment.home / "bin/procession")
    with pytest.raises(Failed, match=r"pip install 'procession\[progress\]'"):
        building.run(command, "demo", "--quick", **environment.surroundings)
    environment.install(built.pure, wheels, "progress")
    shown = building.run(command, "demo", "--quick", **environment.surroundings)
    assert f"procession {built.version} on Python" in shown
