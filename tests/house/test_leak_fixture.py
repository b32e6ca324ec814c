"""The leak check, checked: each kind of leak is seeded in a test session of its own and must be caught by name."""

import os
import sys
import time
from pathlib import Path
from textwrap import dedent, indent

import pytest

from tests import leaks

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes and descriptors are compared on Linux only")

ROOT = Path(__file__).resolve().parents[2]
CHECK_TAKES_AT_MOST = 0.002

CONFTEST = """
import tests.leaks
from tests.leaks import nothing_stays_behind, pytest_configure, pytest_runtest_makereport
tests.leaks.GRACE = {grace}
"""

HEADER = """
import mmap, multiprocessing, os, signal, subprocess, sys, threading, time
import pytest

kept = []  # what a test leaves must not be collected behind its back
pids = []

def until_it_sleeps(pid):
    '''Until it is the program that the report is to name: a shell forks it first.'''
    for _ in range(3000):
        if open(f"/proc/{pid}/cmdline").read().startswith("sleep"):
            return
        time.sleep(0.01)
    raise TimeoutError(pid)

def forked_and_orphaned():
    '''A process that was only forked, left its session, closed its descriptors, and whose parent is gone.'''
    r, w = os.pipe()
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        if grandchild == 0:
            os.setsid()
            os.closerange(0, 100)
            time.sleep(100)
        os.write(w, str(grandchild).encode())
        os._exit(0)
    os.waitpid(child, 0)
    pid = int(os.read(r, 20))
    os.close(r), os.close(w)
    return pid
"""

# Name of the test: what it does, and what the report must say of it.
SEEDED: dict[str, tuple[str, str]] = {
    "thread": (
        """
        wait = threading.Event().wait
        threading.Thread(target=wait, name="procession-stray", daemon=True).start()
        """,
        "thread 'procession-stray' (daemon)",
    ),
    "descriptor": ("kept.extend(os.pipe())", "-> pipe:["),
    "a_file_where_another_was": (
        """
        r, w = os.pipe()
        os.close(r)
        kept.append(open(__file__))
        """,
        "test_inner.py",
    ),
    "process": (
        """
        kept.append(subprocess.Popen(["sleep", "101"]))
        pids.append(kept[-1].pid)
        """,
        "(sleep 101)",
    ),
    "process_without_our_environment": (
        """
        kept.append(subprocess.Popen(["sleep", "102"], env={}))
        pids.append(kept[-1].pid)
        """,
        "(sleep 102)",
    ),
    "orphan": (
        """
        script = "sleep 103 >/dev/null 2>&1 & echo $!"
        pids.append(int(subprocess.check_output(["sh", "-c", script])))
        until_it_sleeps(pids[-1])
        """,
        "(sleep 103)",
    ),
    "forked_orphan": ("pids.append(forked_and_orphaned())", "process "),
    "grandchild": (
        """
        script = "sleep 104 & echo $!; wait"
        kept.append(subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True))
        pids.append(kept[-1].pid)
        until_it_sleeps(int(kept[-1].stdout.readline()))
        """,
        "(sleep 104)",
    ),
    "zombie": (
        """
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        """,
        "a zombie that nobody waited for",
    ),
    "segment": (
        """
        fd = os.open(f"/dev/shm/procession-test-{os.getpid()}", os.O_CREAT | os.O_RDWR)
        os.ftruncate(fd, 4096)
        kept.append(mmap.mmap(fd, 4096))
        os.close(fd)
        """,
        "shared memory /dev/shm/procession-test-",
    ),
}

LAST = """
def test_the_processes_that_leaked_are_dead():
    assert len(pids) == 5
    for pid in pids:
        try:
            stat = open(f"/proc/{pid}/stat").read()
        except OSError:
            continue
        assert stat.rpartition(")")[2].split()[0] in "ZX", stat
"""

ALLOWED = """
@pytest.fixture(scope="module")
def server():
    with subprocess.Popen(["sleep", "105"]) as process:
        yield process
        process.kill()

def test_what_was_there_before_may_stay(server):
    assert server.poll() is None

def test_what_ends_in_time_is_no_leak():
    threading.Thread(target=time.sleep, args=(0.2,)).start()
    kept.append(subprocess.Popen("sleep 0.1; exec true", shell=True))
    threading.Thread(target=kept[-1].wait).start()

def test_what_a_cycle_holds_is_collected_first():
    class Holder: pass
    holder = Holder()
    holder.itself, holder.file = holder, open(__file__)
    del holder

@pytest.mark.leaks("the thread is the point here")
def test_marked():
    threading.Thread(target=threading.Event().wait, daemon=True).start()

def test_after_a_marked_one_its_leak_is_not_charged_again():
    pass

def test_the_helpers_of_multiprocessing_may_stay():
    context = multiprocessing.get_context("spawn")
    context.Lock()
    multiprocessing.get_context("forkserver")
    from multiprocessing import forkserver
    forkserver.ensure_running()
"""


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


def test_each_seeded_leak_is_caught_named_and_ended(inner: pytest.Pytester) -> None:
    tests = "".join(f"\ndef test_{name}():\n{indent(dedent(body), '    ')}\n" for name, (body, _) in SEEDED.items())
    inner.makeconftest(CONFTEST.format(grace=0.3))
    inner.makepyfile(test_inner=HEADER + tests + LAST)
    result = inner.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=len(SEEDED) + 1, errors=len(SEEDED))
    output = result.stdout.str()
    for name, (_, said) in SEEDED.items():
        _, _, report = output.partition(f" ERROR at teardown of test_{name} ")
        report, _, _ = report.partition("\n___")
        assert "the test left behind:" in report, name
        assert said in report, name


def test_what_is_no_leak_passes(inner: pytest.Pytester) -> None:
    inner.makeconftest(CONFTEST.format(grace=20))
    inner.makepyfile(test_inner=HEADER + ALLOWED)
    inner.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers").assert_outcomes(passed=6)


def test_a_failing_test_is_told_of_its_leak_without_a_long_wait(inner: pytest.Pytester) -> None:
    inner.makeconftest(CONFTEST.format(grace=600))
    inner.makepyfile(
        test_inner=HEADER + "\ndef test_red():\n    kept.extend(os.pipe())\n    raise AssertionError('red')\n"
    )
    started = time.monotonic()
    inner.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(failed=1, errors=1)
    assert time.monotonic() - started < 60


def test_a_segment_that_nobody_uses_is_ours_only_when_we_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"procession-unused-{os.getpid()}"
    before = leaks.Snapshot()
    path = Path(leaks.SHARED_MEMORY, name)
    path.touch()
    try:
        for others, expected in ((True, False), (False, True)):
            monkeypatch.setattr(leaks, "other_python_programs", lambda others=others: others)
            assert (name in before.leaks().segments) is expected
    finally:
        path.unlink()


def test_the_check_is_cheap_when_nothing_leaked() -> None:
    def once() -> float:
        started = time.perf_counter()
        assert not leaks.Snapshot().leaks()
        return time.perf_counter() - started

    assert min(once() for _ in range(50)) < CHECK_TAKES_AT_MOST  # how quick it is where nobody comes between
