"""The most memory that a worker had, as its reaper tells it."""

import multiprocessing
from pathlib import Path

import pytest

from procession.backends.launch import Exited
from procession.backends.memory import resident
from tests.launch.harness import Driver, gone, kill, wait_until

SIZE = 64 << 20
SLACK = 100 << 20

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def test_a_worker_that_touched_memory_says_how_much_and_the_next_one_its_own() -> None:
    with Driver() as driver:
        for wid, size in ((1, SIZE), (2, 1 << 20)):
            driver.start(wid, "touch", size, 3)
            exited = driver.exited(wid)
            assert exited.exitcode == 3
            assert exited.peak_rss is not None
            assert size <= exited.peak_rss < size + (SLACK if size == SIZE else SIZE)


def test_a_worker_that_was_killed_has_a_peak() -> None:
    with Driver() as driver:
        driver.start(1)
        driver.hear(1)
        had = resident(driver.started(1).pid)
        driver.launcher.kill(1)
        exited = driver.exited(1)
        assert exited.exitcode == -9
        assert had is not None
        assert exited.peak_rss is not None
        assert had // 2 < exited.peak_rss < SLACK


def test_the_larger_process_that_a_worker_waited_for_is_its_peak() -> None:
    with Driver() as driver:
        driver.start(1, "run_larger", SIZE)
        exited = driver.exited(1)
        assert exited.exitcode == 0
        assert exited.peak_rss is not None
        assert SIZE <= exited.peak_rss < SIZE + SLACK


def test_an_orphan_of_a_dead_zygote_has_none() -> None:
    with Driver() as driver:
        driver.start(1)
        driver.hear(1)
        pid = driver.started(1).pid
        zygote = driver.launcher._zygote.pid
        kill(zygote)
        wait_until(lambda: gone(zygote))
        driver.step()
        driver.let_go(1)
        assert driver.exited(1) == Exited(1, pid, None, None)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_by_multiprocessing_it_is_unknown(method: str) -> None:
    with Driver(multiprocessing.get_context(method)) as driver:
        driver.start(1, "leave", 0)
        pid = driver.started(1).pid
        assert driver.exited(1) == Exited(1, pid, 0, None)


def test_a_worker_finds_the_resource_module_as_ever() -> None:
    with Driver() as driver:
        driver.start(1, "leave", 0)
        driver.exited(1)  # the zygote has used it by now
        questions = ("'resource' in sys.modules", "__import__('resource').getrusage(0).ru_maxrss > 0")
        driver.start(2, "ask", *questions)
        assert driver.hear(2) == [False, True]


def test_a_resource_module_of_the_user_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    (tmp_path / "resource.py").write_text(f"import os\nopen({str(log)!r}, 'a').write(str(os.getpid()))\nown = 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with Driver() as driver:
        driver.start(1, "leave", 5)
        first = driver.exited(1)
        assert first.exitcode == 5
        assert first.peak_rss is not None
        driver.start(2, "ask", "__import__('resource').own")
        assert driver.hear(2) == [42]
        pid = driver.started(2).pid
        driver.let_go(2)
        assert driver.exited(2)[:3] == (2, pid, 0)
    assert log.read_text() == str(pid)  # it ran there, and never in the zygote


def test_a_resource_module_that_is_preloaded_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resource.py").write_text("own = [42]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with Driver(preload=("resource",)) as driver:
        for wid in (1, 2):
            driver.start(wid, "ask", "sys.modules['resource'].own")
            assert driver.hear(wid) == [[42]]
            driver.let_go(wid)
            exited = driver.exited(wid)
            assert exited.exitcode == 0
            assert exited.peak_rss is not None
