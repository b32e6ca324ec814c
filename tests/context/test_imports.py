"""What is to follow the import of a module follows its first execution that succeeds, once."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procession.worker.imports import when_imported

NAMES = ["awaited_one", "awaited_two"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    finders = list(sys.meta_path)
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("value = 1\n")
    yield tmp_path
    sys.meta_path[:] = finders
    for name in NAMES:
        sys.modules.pop(name, None)


def test_it_follows_the_execution_once(place: Path) -> None:
    finders, seen = list(sys.meta_path), list[Any]()
    for name in [*NAMES, NAMES[0]]:
        when_imported(name, lambda module: seen.append((module.__name__, module.value)))
    assert not seen
    one = importlib.import_module(NAMES[0])
    assert seen == [(NAMES[0], 1)] * 2
    assert one.__spec__ is not None
    assert "exec_module" not in vars(one.__spec__.loader)
    importlib.import_module(NAMES[1])
    importlib.reload(one)
    assert seen == [(NAMES[0], 1)] * 2 + [(NAMES[1], 1)]
    assert sys.meta_path == finders
    when_imported(NAMES[0], seen.append)
    assert seen[3:] == [one]


def test_who_looks_whether_it_is_there_imports_nothing(place: Path) -> None:
    seen: list[Any] = []
    when_imported(NAMES[0], seen.append)
    for _ in range(2):
        assert importlib.util.find_spec(NAMES[0]) is not None
    assert not seen
    module = importlib.import_module(NAMES[0])
    assert seen == [module]


def test_an_import_that_fails_is_followed_by_nothing(place: Path) -> None:
    seen: list[Any] = []
    (place / f"{NAMES[0]}.py").write_text("raise OSError('not yet')\n")
    when_imported(NAMES[0], seen.append)
    with pytest.raises(OSError, match="not yet"):
        importlib.import_module(NAMES[0])
    assert not seen
    (place / f"{NAMES[0]}.py").write_text("value = 1\n")
    importlib.invalidate_caches()
    module = importlib.import_module(NAMES[0])
    assert seen == [module]


def test_a_finder_that_asks_all_others(place: Path) -> None:
    """As hooks of other libraries do, which then return what they were told."""

    class Asks:
        asking = False

        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            if self.asking or name not in NAMES:
                return None
            self.asking = True
            try:
                return importlib.util.find_spec(name)
            finally:
                self.asking = False

    seen: list[Any] = []
    sys.meta_path.insert(0, Asks())
    when_imported(NAMES[0], seen.append)
    sys.meta_path.insert(0, Asks())
    module = importlib.import_module(NAMES[0])
    assert seen == [module]


def test_what_has_no_loader_of_its_own(place: Path) -> None:
    """A package without a file, and what the interpreter has built in, are imported as ever."""
    (place / "awaited_space").mkdir()
    when_imported("awaited_space", lambda _: None)
    when_imported("__phello__", lambda _: None)
    for name in ("awaited_space", "__phello__", "__hello__"):
        assert importlib.import_module(name).__name__ == name
        del sys.modules[name]
