"""coverage.py: lines that ran in worker processes count, by each of the settings that it has for other processes."""

import subprocess
import sys
from pathlib import Path

import pytest

coverage = pytest.importorskip("coverage")

PROGRAM = """
import multiprocessing
import sys

from procession import Pool
from work import sign


def doubled(x):
    y = x + x
    return y


if __name__ == "__main__":
    how = sys.argv[1]
    words = {"backend": how} if how in ("threads", "inline") else {}
    if how in ("fork", "spawn", "forkserver"):
        words["mp_context"] = multiprocessing.get_context(how)
    with Pool(2, **words) as pool:
        assert list(pool.map(sign, range(-3, 3))) == [-1, -1, -1, 1, 1, 1]
        assert pool.submit(doubled, 2).result() == 4
"""
WORK = """def sign(x):
    if x < 0:
        return -1
    return 1
"""
SETTINGS = {
    "patch": "patch = subprocess",
    "fork": "patch = subprocess, fork",
    "multiprocessing": "concurrency = multiprocessing, thread\nparallel = true",
    "both": "patch = subprocess\nconcurrency = multiprocessing, thread",
}


def measured_by(folder: Path, *words: str) -> "coverage.Coverage":
    """Run the program there under coverage; what that and its processes have measured."""
    told = [sys.executable, "-m", "coverage", "run", "--rcfile=rc", "program.py", *words]
    done = subprocess.run(told, cwd=folder, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = coverage.Coverage(data_file=folder / ".coverage", config_file=folder / "rc")
    if (folder / ".coverage").exists():  # one process, and nothing to combine
        measured.load()
    else:
        measured.combine([str(folder)], strict=True)
    return measured


def missing(folder: Path, settings: str, *words: str) -> list[str]:
    """Run the program under coverage; the lines that it says were not run."""
    (folder / "rc").write_text(f"[run]\nsource = .\n{settings}\n")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "work.py").write_text(WORK)
    measured = measured_by(folder, *words)
    lost = {name: measured.analysis2(str(folder / name))[3] for name in ("program.py", "work.py")}
    lines = PROGRAM.splitlines()
    return [*map(WORK.splitlines().__getitem__, [number - 1 for number in lost["work.py"]])] + [
        lines[number - 1].strip() for number in lost["program.py"] if "multiprocessing" not in lines[number - 1]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
def test_what_workers_ran_is_measured(tmp_path: Path, settings: str) -> None:
    assert missing(tmp_path, SETTINGS[settings], "zygote") == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_a_context_is_measured_as_multiprocessing_is(tmp_path: Path, how: str) -> None:
    assert missing(tmp_path, SETTINGS["multiprocessing"], how) == []


@pytest.mark.parametrize("how", ["threads", "inline"])
def test_threads_and_inline_need_no_setting(tmp_path: Path, how: str) -> None:
    assert missing(tmp_path, "", how) == []


@pytest.mark.slow
def test_a_worker_that_is_killed_has_saved_nothing(tmp_path: Path) -> None:
    """And one that is replaced has: it ends in order."""
    program = """
        import os, signal
        from procession import Pool

        def replaced():
            return os.getpid()

        def killed():
            os.kill(os.getpid(), signal.SIGKILL)

        with Pool(1, max_tasks_per_child=1) as pool:
            assert pool.submit(replaced).result() != pool.submit(replaced).result()
            pool.submit(killed).exception()
        """
    lines = [line.removeprefix(" " * 8) for line in program.splitlines()]
    (tmp_path / "program.py").write_text("\n".join(lines))
    (tmp_path / "rc").write_text("[run]\nsource = .\npatch = subprocess\n")
    measured = measured_by(tmp_path)
    lost = measured.analysis2(str(tmp_path / "program.py"))[3]
    assert [lines[number - 1].strip() for number in lost] == ["os.kill(os.getpid(), signal.SIGKILL)"]


@pytest.mark.slow
def test_pytest_cov(tmp_path: Path) -> None:
    pytest.importorskip("pytest_cov")
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "rc").write_text("[run]\nsource = .\npatch = subprocess\n")
    (tmp_path / "test_work.py").write_text(
        "from procession import Pool\nfrom work import sign\n\n\ndef test_sign():\n    with Pool(2) as pool:\n"
        "        assert list(pool.map(sign, [-1, 1])) == [-1, 1]\n"
    )
    words = ["-q", "-c", "/dev/null", "--rootdir=.", "-p", "no:cacheprovider", "--cov", "--cov-config=rc"]
    told = [sys.executable, "-m", "pytest", *words, "--cov-fail-under=100", "test_work.py"]
    done = subprocess.run(told, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


# ------------------------------------------------------------------------------------------------- what it rests on


def test_a_worker_does_at_its_end_what_its_interpreter_was_to_do(tmp_path: Path) -> None:
    """What the start of the interpreter registers runs in each worker, what a preloaded module registers in none."""
    (tmp_path / "sitecustomize.py").write_text("import atexit\natexit.register(lambda: print('started so'))\n")
    (tmp_path / "preloaded.py").write_text("import atexit\natexit.register(lambda: print('preloaded'))\n")
    (tmp_path / "program.py").write_text(
        "import atexit\nfrom procession import Pool\ndef task():\n    atexit.register(print, 'of a task')\n"
        "with Pool(1, preload=['preloaded']) as pool:\n    pool.submit(task).result()\nprint('over')\n"
    )
    environment = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2] / 'src'}", "PATH": "/usr/bin:/bin"}
    told = [sys.executable, tmp_path / "program.py"]
    done = subprocess.run(told, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["of a task", "started so", "over", "started so"]
