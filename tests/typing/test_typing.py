"""What type checkers make of the public face: a user's project, under mypy --strict and pyright, right and wrong.

The project is `depot/`. Its modules say what they expect by `assert_type`, which both checkers prove. In `wrong.py`
each line with a comment must be an error, of the codes that the comment names, and no other line may be one.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from procession import accelerated

HERE = Path(__file__).parent
RIGHT = ("work", "pools", "spins", "pipes", "old", "errors", "seen")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not accelerated, reason="types are the same in both modes; the other one checks them"),
]

Error = tuple[str, int, str, str]
"""Module, line, code, text."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that lies outside this repository, and so under none of its settings."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(HERE / "depot", folder / "depot", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def mypy(project: Path, *modules: str) -> list[Error]:
    """What mypy finds."""
    pytest.importorskip("mypy")
    words = ["--strict", "--no-incremental", "--cache-dir", str(project / "cache"), "--show-error-codes"]
    files = [f"depot/{each}.py" for each in modules]
    command = [sys.executable, "-m", "mypy", *words, *files]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=590)
    found = re.findall(r"^depot/(\w+)\.py:(\d+): error: (.*)  \[([a-z-]+)\]$", done.stdout, re.M)
    assert found or done.returncode == 0, done.stdout + done.stderr
    return [(module, int(line), code, text) for module, line, text, code in found]


def pyright(project: Path, *modules: str) -> list[Error]:
    """What pyright finds, in its standard mode."""
    pytest.importorskip("basedpyright")
    (project / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "standard"}))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    files = [f"depot/{each}.py" for each in modules]
    done = subprocess.run([*command, *files], cwd=project, capture_output=True, text=True, timeout=590)
    told = json.loads(done.stdout)["generalDiagnostics"]
    return [
        (Path(each["file"]).stem, each["range"]["start"]["line"] + 1, each.get("rule", ""), each["message"])
        for each in told
        if each["severity"] == "error"
    ]


CHECKERS = {"mypy": mypy, "pyright": pyright}


@pytest.fixture(scope="module", params=CHECKERS)
def told(request: pytest.FixtureRequest, project: Path) -> tuple[str, list[Error]]:
    """A checker's name, and what it finds in all of the project: each takes a while to begin."""
    return request.param, CHECKERS[request.param](project, *RIGHT, "wrong")


def test_what_is_right(told: tuple[str, list[Error]]) -> None:
    assert [error for error in told[1] if error[0] != "wrong"] == []


def test_what_is_wrong(told: tuple[str, list[Error]]) -> None:
    checker, errors = told
    at = list(CHECKERS).index(checker)
    expected = {}
    for number, line in enumerate((HERE / "depot/wrong.py").read_text().splitlines(), 1):
        if "  # " in line:
            expected[number] = line.partition("  # ")[2].split(" | ")[at]
    assert len(expected) > 60
    found: dict[int, set[str]] = {}
    for module, number, code, _ in errors:
        if module == "wrong":
            found.setdefault(number, set()).add(code)
    assert found.keys() == expected.keys(), {*found} ^ {*expected}
    odd = [(number, code, found[number]) for number, code in expected.items() if code not in found[number]]
    assert not odd, odd
