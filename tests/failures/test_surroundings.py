"""What a worker lacks, what the system refuses, what stays in it, and what workers print."""

import logging
import os
import sys
from pathlib import Path

import pytest

from procession import Pool, SpinOff
from tests import leaks
from tests.failures import tasks
from tests.failures.kit import run_program, segments_since

# ------------------------------------------------------------------------------------------------------------ importing


HALF_THERE = """
import os
if os.getpid() != {pid}:
    import a_library_that_is_not_installed_here
def work(x):
    return x
"""


def test_an_import_that_fails_in_the_worker(tmp_path: Path, monkeypatch) -> None:
    """Row: A worker cannot import what a task needs. The module is found, and fails to import: one clear line with
    module, sys.path and what to do; that task alone fails."""
    (tmp_path / "half_there.py").write_text(HALF_THERE.format(pid=os.getpid()))
    monkeypatch.syspath_prepend(str(tmp_path))
    import half_there

    with Pool(1) as pool:
        error = pool.submit(half_there.work, 1).exception(60)
        assert pool.submit(tasks.double, 1).result(60) == 2
    del sys.modules["half_there"]
    assert error is not None
    text = str(error)
    assert "\n" not in text
    assert "a_library_that_is_not_installed_here" in text
    assert "sys.path" in text
    assert str(tmp_path) in text


def test_a_module_that_vanished(tmp_path: Path, monkeypatch) -> None:
    """Row: A worker cannot import what a task needs. A module whose file is gone by then goes by value, or says so."""
    file = tmp_path / "vanishing.py"
    file.write_text("def work(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import vanishing

    file.unlink()
    with Pool(1) as pool:
        future = pool.submit(vanishing.work, 1)
        error = future.exception(60)
        assert error is None or "vanishing" in str(error)
        assert pool.submit(tasks.double, 1).result(60) == 2
    del sys.modules["vanishing"]


# ---------------------------------------------------------------------------------------------------------- descriptors

FEW_DESCRIPTORS = """
    import logging, os, resource, sys
    from procession import Pool

    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stdout)
    spare = int(sys.argv[1])
    with Pool(1) as pool:
        pool.submit(abs, -1).result()  # everything is imported now: a module's file wants a descriptor, too
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, used + spare))
    with Pool(8) as pool:
        try:
            futures = [pool.submit(abs, -n) for n in range(100)]
            print("results", [future.result(30) for future in futures] == list(range(100)))
        except Exception as error:
            print(type(error).__name__, error)
"""


@pytest.mark.parametrize("spare", [3, 5, 9, 14, 18, 22, 26, 34, 42])
def test_too_few_descriptors(tmp_path: Path, spare: int) -> None:
    """Row: Too few file descriptors. The pool goes on with fewer workers, or fails at once; either says RLIMIT_NOFILE
    and how to raise it. It never hangs."""
    out = run_program(tmp_path, FEW_DESCRIPTORS, spare)
    print(out)  # pytest shortens what it shows of an assertion
    assert "RLIMIT_NOFILE" in out or "results True" in out
    if "results True" not in out:
        assert "Error" in out
    assert "driver has failed" not in out


def test_fewer_workers_are_said(tmp_path: Path) -> None:
    """Row: Too few file descriptors. Going on with fewer workers is a warning in the log, and all work is done."""
    outs = [run_program(tmp_path, FEW_DESCRIPTORS, spare) for spare in range(26, 46, 4)]
    assert any("RLIMIT_NOFILE" in out and "results True" in out for out in outs), outs


def test_the_limit_is_not_met_for_good(tmp_path: Path) -> None:
    """Row: Too few file descriptors. When there is room again, so are workers."""
    out = run_program(
        tmp_path,
        """
        import os
        from procession import Pool

        with Pool(1) as first:
            first.submit(abs, -1).result(30)  # everything is imported now
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        pool = Pool(2)
        try:
            pool.submit(abs, -1).result(30)
        except Exception as error:
            print(type(error).__name__)
        for fd in held:
            os.close(fd)
        with Pool(2) as fresh:
            print(fresh.submit(abs, -2).result(30))
        pool.shutdown()
        """,
    )
    assert out.splitlines()[-1] == "2"


# ----------------------------------------------------------------------------------------------------------- what stays


def test_no_resource_tracker(tmp_path: Path) -> None:
    """Row: Nothing of ours stays in the system. The default pool never starts multiprocessing's resource tracker, nor
    imports multiprocessing into its workers."""
    out = run_program(
        tmp_path,
        """
        import sys
        from procession import Pool, SpinOff

        def has_it():
            tracker = sys.modules.get("multiprocessing.resource_tracker")
            return tracker is not None and tracker._resource_tracker._pid is not None

        def loaded():
            return has_it(), sorted(name for name in sys.modules if name.startswith("multiprocessing"))

        with Pool(2) as pool:
            list(pool.map(abs, range(100)))
            print(pool.submit(loaded).result())
        with SpinOff(abs) as spin:
            spin.put(-1)
        print(list(spin), has_it())
        """,
    )
    assert out == "(False, [])\n[1] False\n"


def test_nothing_new_in_shared_memory() -> None:
    """Row: Nothing of ours stays in the system. While a pool works, and after it, there is nothing new in /dev/shm."""
    before = leaks.segments()
    with Pool(2) as pool:
        assert len(pool.submit(tasks.blob, 5_000_000).result(60)) == 5_000_000
        assert list(pool.map(tasks.double, range(1000))) == [2 * n for n in range(1000)]
        assert segments_since(before) == []
    assert segments_since(before) == []


def test_no_temporary_files(tmp_path: Path) -> None:
    """Row: Nothing of ours stays in the system. No temporary file, no socket in the file system."""
    program = """
        import os
        from procession import Pool

        with Pool(2) as pool:
            assert pool.submit(abs, -1).result() == 1
            pool.submit(os.kill, next(iter(pool._processes)), 9).exception()
            print(os.listdir(os.environ["TMPDIR"]))
        print(os.listdir(os.environ["TMPDIR"]))
    """
    (tmp_path / "tmp").mkdir()
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(tmp_path / "tmp")
    try:
        assert run_program(tmp_path / "program", program) == "[]\n[]\n"
    finally:
        del os.environ["TMPDIR"]
        if before is not None:
            os.environ["TMPDIR"] = before


# --------------------------------------------------------------------------------------------------------------- output


def test_output_reaches_sys_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Row: What workers print. It reaches the parent's current sys.stdout and sys.stderr: pytest's capsys sees it."""
    with Pool(2) as pool:
        assert pool.submit(tasks.speak, "hello").result(60) == "hello"
    with SpinOff(tasks.speak) as spin:
        spin.put("spun")
    assert list(spin) == ["spun"]
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["out: hello", "out: spun"]
    assert captured.err.splitlines() == ["err: hello", "err: spun"]


def test_it_is_there_before_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    """Row: What workers print. What a task printed is shown before its result is handed over."""
    with Pool(1) as pool:
        for n in range(20):
            pool.submit(tasks.speak, str(n)).result(60)
            assert f"out: {n}" in capsys.readouterr().out


def test_last_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Row: What workers print. What a worker printed before it died is not lost."""
    with Pool(1) as pool:
        pool.submit(speak_and_die).exception(60)
    assert "last words" in capsys.readouterr().out


def speak_and_die() -> None:
    print("last words", flush=True)
    tasks.die("SIGKILL")


def test_a_critical_line_for_an_initializer(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Row: What workers print. An initializer that raises is logged in the worker, as the stdlib does."""
    with caplog.at_level(logging.CRITICAL):
        with Pool(1, initializer=tasks.fail, initargs=("no model",)) as pool:
            pool.submit(tasks.double, 1).exception(60)
    assert "no model" in caplog.text + "".join(capfd.readouterr())
