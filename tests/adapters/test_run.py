"""A program on our workers with its source as it is: `python -m procession.adapters.run` (its laws)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from procession.adapters import run

# Every door to a pool; the classes say whose it is, and one worker dies, which costs no other task here.
PROGRAM = """
import concurrent.futures, concurrent.futures as other, multiprocessing, multiprocessing.pool, os, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool

FACTOR = 3

def times(number):
    return number * FACTOR

def ours(pool):
    return any(kind.__module__.startswith("procession.") for kind in type(pool).__mro__)

if __name__ == "__main__":
    print(sys.argv, sys.path[0] == os.path.dirname(os.path.abspath(__file__)), __name__)
    with ProcessPoolExecutor(1) as pool:
        assert isinstance(pool, concurrent.futures.ProcessPoolExecutor)
        print(ours(pool), list(pool.map(times, range(4))))
    made = [each(1) for each in (Pool, multiprocessing.Pool, multiprocessing.pool.Pool)]
    made.append(multiprocessing.get_context("spawn").Pool(1))
    print([ours(each) and isinstance(each, multiprocessing.pool.Pool) for each in made])
    for each in made:
        each.terminate()
    with other.ThreadPoolExecutor(1) as threads, multiprocessing.pool.ThreadPool(1) as pool:
        print(ours(threads), ours(pool), pool.map(times, range(2)))
    sys.exit(7)
"""
FIRST = "[True, True, True, True]"


def launched(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "procession.adapters.run", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=cwd, check=False)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "sub" / "old.py"
    file.parent.mkdir()
    file.write_text(PROGRAM)
    return file


def test_a_file(program: Path, tmp_path: Path) -> None:
    done = launched("sub/old.py", "-m", "--start", "x", cwd=tmp_path)
    assert (done.stderr, done.returncode) == ("", 7)
    assert done.stdout.splitlines() == [
        "['sub/old.py', '-m', '--start', 'x'] True __main__",
        "True [0, 3, 6, 9]",
        FIRST,
        "False False [0, 3]",
    ]


def test_a_module_with_threads(program: Path) -> None:
    done = launched("--threads", "-m", "old", "word", cwd=program.parent)
    assert (done.stderr, done.returncode) == ("", 7)
    lines = done.stdout.splitlines()
    assert lines[0] == f"[{str(program)!r}, 'word'] True __main__"
    assert lines[1:] == ["True [0, 3, 6, 9]", FIRST, "True True [0, 3]"]


def test_a_command_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "argparse.py").write_text("raise AssertionError('a command does not look in the current folder')")
    command = [sys.executable, "-P", "-m", "procession.adapters.run", "pytest", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=tmp_path, check=False)
    assert (done.stdout.partition(" ")[0], done.returncode) == ("pytest", 0), done.stderr


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands in the place of this Python's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(run.sysconfig, "get_path", {"scripts": str(folder)}.get)
    monkeypatch.setattr(sys, "argv", ["run", "its", "words"])
    monkeypatch.setattr(sys, "path", ["here", *sys.path[1:]])
    return folder


def test_a_command_is_run_as_the_script_that_its_installer_wrote(
    scripts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where its package has no entry point of that name; and what is installed is not looked through for it."""
    script = scripts / "its-own"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nprint(__name__, __file__, sys.argv, sys.path[0])\nsys.exit(3)\n"
    )
    with pytest.raises(SystemExit) as ended:
        run._runner("its-own", module=False)()
    assert ended.value.code == 3
    assert capsys.readouterr().out == f"__main__ {script} {[str(script), 'its', 'words']} {scripts}\n"


@pytest.mark.parametrize("first", ["#!/bin/sh", "#!/of/another/bin/python", "\x7fELF", ""])
def test_another_file_under_that_name_is_not_run(scripts: Path, first: str) -> None:
    (scripts / "pytest").write_text(f"{first}\nraise AssertionError('this is not the command')\n")
    (scripts / "no-package-has-this").write_text(f"{first}\n")
    with pytest.raises(SystemExit, match="there is no file no-package-has-this, and no package of this Python"):
        run._runner("no-package-has-this", module=False)
    run._runner("pytest", module=False)  # by its package
    assert sys.argv == [str(scripts / "pytest"), "its", "words"]


def test_globals_that_only_a_fork_hands_over(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text("value = None\ndef look(_):\n    return value\n")
    (tmp_path / "old.py").write_text(
        "import held, multiprocessing\nheld.value = 5\n"
        "with multiprocessing.Pool(1) as pool:\n    print(pool.map(held.look, 'ab'))\n"
    )
    alone = subprocess.run([sys.executable, "old.py"], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert launched("old.py", cwd=tmp_path).stdout == alone.stdout
    assert launched("--start", "clean", "old.py", cwd=tmp_path).stdout == "[None, None]\n"
    assert launched("--start", "fork", "old.py", cwd=tmp_path).stdout == "[5, 5]\n"


def test_a_pool_whose_workers_are_replaced_is_not_forked(tmp_path: Path) -> None:
    """As in the standard library; and a method that the program chooses holds."""
    (tmp_path / "held.py").write_text("value = None\ndef look(_):\n    return value\n")
    (tmp_path / "old.py").write_text(
        "import held, multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "if __name__ == '__main__':\n"
        "    held.value = 5\n"
        "    with ProcessPoolExecutor(1, max_tasks_per_child=1) as pool:\n"
        "        print(list(pool.map(held.look, 'ab')))\n"
        "    multiprocessing.set_start_method('spawn')\n"
        "    with multiprocessing.Pool(1) as pool:\n        print(pool.map(held.look, 'a'))\n"
    )
    done = launched("old.py", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("[None, None]\n[None]\n", "")


def test_what_there_is_not(tmp_path: Path) -> None:
    done = launched("no-such-program", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("procession: there is no file no-such-program, and no package of this Python (")
    with pytest.raises(ValueError, match="start must be one of fork, forkserver, spawn, clean, or None; got 'thread'"):
        run.replace(start="thread")
