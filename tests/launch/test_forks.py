"""What a forked child keeps: nothing of ours. And what a process that a task forks may do."""

import gc
import os
import signal
import threading
import weakref

import pytest

from procession.backends import forksafe
from procession.backends.launch import Lifeline
from tests.launch.harness import SLACK, Channels, Driver, gone, wait_until
from tests.launch.serves import descriptors

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def in_child(check) -> str:
    """Fork, run `check` there, and hand back the text that it raised, "" for none."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            text = ""
            try:
                check()
            except BaseException as error:
                text = f"{type(error).__name__}: {error}"
            os.write(write, text.encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        text = file.read().decode()
    os.waitpid(pid, 0)
    return text


def test_a_child_of_the_parent_holds_none_of_our_descriptors() -> None:
    before = set(descriptors().values())
    with Driver() as driver:
        for wid in (1, 2):
            driver.start(wid)
            driver.hear(wid)
            driver.started(wid)
        process = driver.launcher.process(1)
        kept = driver.launcher

        def check() -> None:
            own = set(descriptors().values()) - before
            own -= {
                where for where in own if list(descriptors().values()).count(where) == 1 and where in pipe_of_the_test
            }
            assert not own, own
            assert forksafe.owned() == frozenset()
            assert not process.is_alive()
            process.kill()
            kept.kill(2)
            assert kept.poll(5) == []
            kept.close()
            del driver.launcher
            gc.collect()
            os.fstat(0)

        pipe_of_the_test = Everything()
        assert in_child(check) == ""
        assert process.is_alive()
        assert driver.launcher.process(2).is_alive()
        driver.let_go(1)
        assert driver.exited(1).exitcode == 0
    assert Lifeline._current is None


class Everything:
    """Contains every pipe: the one through which the child of the test reports is not told from others by name."""

    def __contains__(self, where: object) -> bool:
        return str(where).startswith("pipe:")


def test_a_child_of_the_parent_may_have_workers_of_its_own() -> None:
    def check() -> None:
        with Driver() as own:
            own.start(1)
            assert own.hear(1) == "ready"
            assert own.launcher._zygote.pid != zygote
            own.let_go(1)
            assert own.exited(1).exitcode == 0

    with Driver() as driver:
        driver.start(1)
        driver.hear(1)
        zygote = driver.launcher._zygote.pid
        assert in_child(check) == ""
        driver.let_go(1)
        assert driver.exited(1).exitcode == 0


def test_workers_die_with_the_parent_though_a_child_of_it_lives() -> None:
    """The child of the parent does not hold the lifeline open."""
    read, write = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.close(read)
        driver = Driver()
        driver.start(1, "hog")
        driver.hear(1)
        child = os.fork()
        if child == 0:
            signal.pause()
        os.write(write, f"{driver.started(1).pid} {child}\n".encode())
        signal.pause()
    os.close(write)
    with open(read) as file:
        worker, child = map(int, file.readline().split())
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)
    try:
        wait_until(lambda: gone(worker), SLACK)
        assert not gone(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_process_that_a_task_forked_comes_back_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with Driver() as driver:
        driver.start(1, "fork_and_return")
        assert driver.hear(1) == (False, 0)
        driver.let_go(1)
        assert driver.exited(1).exitcode == 0
    assert capsys.readouterr().out == "partial"  # once


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_same_with_multiprocessing(method: str) -> None:
    import multiprocessing

    with Driver(multiprocessing.get_context(method)) as driver:
        driver.start(1, "fork_and_return")
        assert driver.hear(1) == (False, 0)
        driver.let_go(1)
        assert driver.exited(1).exitcode == 0


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn"])
def test_a_process_that_a_task_forked_ends_without_the_exit_of_the_worker(
    method: str, capfd: pytest.CaptureFixture[str]
) -> None:
    import multiprocessing

    context = None if method == "zygote" else multiprocessing.get_context(method)
    with Driver(context) as driver:
        driver.start(1, "fork_and_raise", 5)
        assert driver.hear(1) == 5
        driver.let_go(1)
        assert driver.exited(1).exitcode == 0
    assert capfd.readouterr().out == "a finalizer of the worker\n"  # once


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn", "forkserver"])
def test_a_grandchild_does_not_hide_the_death_of_a_worker(method: str) -> None:
    import multiprocessing

    context = None if method == "zygote" else multiprocessing.get_context(method)
    with Driver(context) as driver:
        driver.start(1, "leave_a_grandchild")
        grandchild, fds, files = driver.hear(1)
        driver.started(1)
        driver.launcher.kill(1)
        try:
            assert driver.exited(1).exitcode == -9
            assert not gone(grandchild)
            channels = {fds[fd] for fd in files}
            wait_until(lambda: not channels & set(descriptors(grandchild).values()))
        finally:
            os.kill(grandchild, signal.SIGKILL)


# the registry alone


def test_closing_touches_only_what_is_registered() -> None:
    read, write = forksafe.pipe()
    assert {read, write} <= forksafe.owned()
    forksafe.close(read)
    stranger = os.dup(write)
    assert stranger == read
    forksafe.close(read)
    os.fstat(stranger)
    os.close(stranger)
    assert forksafe.disown(write) == write
    forksafe.close(write)
    os.close(write)


def test_callbacks_come_first_and_are_held_weakly() -> None:
    seen = []

    class Pool:
        def __init__(self) -> None:
            self.fd = forksafe.pipe()[0]

        def foreign(self) -> None:
            os.fstat(self.fd)
            seen.append("method")

    def function() -> None:
        seen.append("function")

    def fails() -> None:
        raise RuntimeError

    pool, dropped = Pool(), Pool()
    for each in (pool, dropped, pool):
        forksafe.on_fork(each.foreign)
    forksafe.on_fork(fails)
    forksafe.on_fork(function)
    watcher = weakref.ref(dropped)
    del dropped, each
    assert watcher() is None

    def check() -> None:
        assert seen == ["method", "function"], seen
        for fd in range(3, 100):
            if fd in owned:
                try:
                    os.fstat(fd)
                except OSError:
                    continue
                raise AssertionError(fd)

    owned = forksafe.owned()
    assert in_child(check) == ""
    for fd in owned:
        forksafe.close(fd)


def test_a_fork_by_one_thread_keeps_what_that_thread_says() -> None:
    channels = Channels()

    def check() -> None:
        for fd in channels.files[:4]:
            os.fstat(fd)
        for fd in (channels.tasks, channels.results):
            with pytest.raises(OSError):
                os.fstat(fd)

    with forksafe.keeping(channels.files[:2]), forksafe.keeping(channels.files[2:4]):
        assert in_child(check) == ""
    with forksafe.keeping(channels.files):
        failed: list[str] = []
        thread = threading.Thread(target=lambda: failed.append(in_child(check)))
        thread.start()
        thread.join()
    assert failed[0].startswith("OSError")
    channels.close()


def test_a_signal_handler_may_fork_while_the_lock_is_held() -> None:
    results = []
    before = signal.signal(signal.SIGUSR1, lambda *_: results.append(in_child(lambda: None)))
    try:
        with forksafe.lock:
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert results == [""]
    assert in_child(lambda: forksafe.own(0)) == ""
