"""Workers begin, end and are killed, and their driver hears it exactly."""

import contextlib
import marshal
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from procession.backends import forksafe
from procession.backends.launch import Exited, Started, StartFailed
from procession.backends.zygote_client import readable
from tests.launch.harness import Channels, Driver, gone, state_of, wait_until
from tests.launch.serves import descriptors
from tests.logs import all_said

METHODS = ("zygote", "fork", "spawn", "forkserver")
# A thread of pytest's own, or of an earlier test, makes fork warn on 3.12 and later; here it is what is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def context(method: str) -> object:
    return None if method == "zygote" else multiprocessing.get_context(method)


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_worker_runs_and_ends(method: str) -> None:
    with Driver(context(method)) as driver:
        assert driver.launcher.name == method
        assert driver.launcher.eager is (method == "fork")
        driver.start(7, "echo", {"plain": [1, 2.5, None, b"bytes", "text", True]})
        assert driver.hear(7) == {"plain": [1, 2.5, None, b"bytes", "text", True]}
        started = driver.started(7)
        process = driver.launcher.process(7)
        assert (process.pid, process.name) == (started.pid, "procession-7")
        assert process.is_alive()
        assert process.exitcode is None
        driver.let_go(7)
        exited = driver.exited(7)
        assert exited == Exited(7, started.pid, 0, exited.peak_rss)
        assert driver.events == [started, exited]
        assert not process.is_alive()
        assert process.exitcode == 0
        process.join()
        with pytest.raises(KeyError):
            driver.launcher.process(7)


@pytest.mark.parametrize(("how", "code"), [(3, 3), (None, 0), ("a reason", 1), (256 + 9, 9)])
def test_the_exit_code_is_what_the_worker_says(
    method: str, how: object, code: int, capfd: pytest.CaptureFixture
) -> None:
    with Driver(context(method)) as driver:
        driver.start(1, "leave", how)
        assert driver.exited(1).exitcode == code
    if method != "forkserver":  # which prints where the test that started it had its stderr
        assert capfd.readouterr().err.strip() == ("a reason" if how == "a reason" else "")


def test_an_exception_is_exit_code_1_and_a_traceback(method: str, capfd: pytest.CaptureFixture) -> None:
    with Driver(context(method)) as driver:
        driver.start(1, "fail")
        assert driver.exited(1).exitcode == 1
    if method != "forkserver":
        assert "ValueError: a fault of the serve function" in capfd.readouterr().err


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_told_as_multiprocessing_tells_it(method: str, signum: int) -> None:
    with Driver(context(method)) as driver:
        driver.start(1)
        driver.hear(1)
        driver.started(1)
        driver.launcher.kill(1, signum)
        assert driver.exited(1).exitcode == -signum
        driver.launcher.kill(1)


def test_process_objects_terminate_kill_and_join_from_any_thread(method: str) -> None:
    with Driver(context(method)) as driver:
        for wid, act, code in ((1, "terminate", -15), (2, "kill", -9)):
            driver.start(wid)
            driver.hear(wid)
            driver.started(wid)
            process = driver.launcher.process(wid)
            assert process.sentinel >= 0
            getattr(process, act)()
            joined = threading.Thread(target=process.join)
            if method != "forkserver":  # whose processes are not made to be joined by one thread while another polls
                joined.start()
            assert driver.exited(wid).exitcode == code
            process.join()
            if method != "forkserver":
                joined.join()
            assert process.exitcode == code


def test_join_gives_up_in_time() -> None:
    with Driver() as driver:
        driver.start(1)
        driver.started(1)
        process = driver.launcher.process(1)
        process.join(0.01)
        assert process.is_alive()
        assert "started" in repr(process)


def test_a_kill_before_the_start_is_answered_waits_for_it() -> None:
    with Driver() as driver:
        driver.start(1)
        driver.launcher.kill(1)
        assert driver.exited(1).exitcode == -9
        driver.launcher.kill(99)


def test_a_worker_of_the_zygote_holds_its_own_descriptors_and_no_others() -> None:
    with Driver() as other, Driver() as driver:
        other.start(1)
        other.hear(1)
        for wid in (1, 2, 3):
            driver.start(
                wid,
                "ask",
                "descriptors()",
                "files",
            )
        for wid in (1, 2, 3):
            fds, files = driver.hear(wid)
            assert fds.pop(0) == "/dev/null"
            assert {1, 2, *files} < fds.keys()
            assert len(fds) == 2 + 4 + 1, fds  # output, channels, lifeline
            assert fds[files[3]].startswith("/memfd:test-page")
            ends = [where for fd, where in fds.items() if fd not in (1, 2)]
            assert len(set(ends)) == len(ends)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"], indirect=True)
def test_a_worker_of_multiprocessing_holds_nothing_of_other_workers(method: str) -> None:
    here = set(descriptors().values())
    with Driver(context(method)) as driver:
        for wid in (1, 2):
            driver.start(wid, "ask", "descriptors()", "files")
        parents = descriptors()
        for wid in (1, 2):
            fds, files = driver.hear(wid)
            assert len({fds[fd] for fd in files}) == 4
            other = driver.channels[3 - wid]
            theirs = {parents[fd] for fd in (other.tasks, other.results, other.tokens)}
            assert not theirs & (set(fds.values()) - here)
            mine = driver.channels[wid]
            ours = [parents[fd] for fd in (mine.tasks, mine.results, mine.tokens)]
            assert [list(fds.values()).count(each) for each in ours] == [1, 1, 1]  # its own ends, not the parent's


def test_what_a_spawn_request_carries(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Driver() as driver:
        driver.start(1)
        driver.hear(1)
        # All of this changes after the zygote has started.
        monkeypatch.setenv("PROCESSION_NEW", "nü")
        monkeypatch.setenv("TZ", "Pacific/Kiritimati")
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr(sys, "argv", ["program", "--word"])
        monkeypatch.syspath_prepend(str(tmp_path / "late"))
        monkeypatch.chdir(tmp_path)
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "lately.py").write_text("value = 42")
        umask = os.umask(0o027)
        try:
            driver.start(
                2,
                "ask",
                "os.environ.get('PROCESSION_NEW')",
                "os.environ.get('HOME')",
                "sys.argv",
                "os.getcwd()",
                "os.umask(0)",
                "sys.path",
                "__import__('lately').value",
                "__import__('time').tzname[0]",
                "sys.modules['__main__'].__dict__.get('start')",
                "os.popen('echo $PROCESSION_NEW').read()",
                "sys.stdin.read()",
            )
            new, home, argv, cwd, mask, path, value, zone, start, shell, stdin = driver.hear(2)
        finally:
            os.umask(umask)
    assert (new, home, argv, cwd, mask) == ("nü", None, ["program", "--word"], str(tmp_path), 0o027)
    assert path == sys.path
    assert (value, zone, start, shell, stdin) == (42, "+14", None, "nü\n", "")


def test_a_working_directory_that_is_gone_is_no_reason_not_to_start(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getcwd()
    with Driver() as driver:
        driver.start(1)
        driver.hear(1)
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        driver.start(2, "ask", "os.getcwd()")
        assert driver.hear(2) == [here]


def test_large_requests_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, *(f"/no/such/directory/{n:06}" for n in range(20_000))])
    with Driver() as driver:
        driver.start(1, "echo", b"x" * 3_000_000)
        assert driver.hear(1) == b"x" * 3_000_000


def test_a_config_that_is_not_plain_is_refused_at_once() -> None:
    with Driver() as driver:
        channels = Channels()
        with pytest.raises(ValueError, match="unmarshallable"):
            driver.launcher.start(1, channels.files, {"object": object()})
        channels.close()


def test_what_multiprocessing_believes_in_a_worker() -> None:
    key = bytes(multiprocessing.current_process().authkey)
    with Driver() as driver:
        driver.start(1, "ask", "'multiprocessing' in sys.modules", "'typing' in sys.modules")
        assert driver.hear(1)[0] is False
        driver.start(2, "nested")
        pid, name, alive, own_name, authkey, exitcode = driver.hear(2)
    assert (pid, name, alive) == (os.getpid(), multiprocessing.current_process().name, True)
    assert (own_name, authkey, exitcode) == ("procession-2", key, 0)


def test_preload_is_shared_and_its_failure_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with Driver(preload=("fractions", "no_such_module_anywhere")) as driver:
        driver.start(1, "ask", "'fractions' in sys.modules")
        assert driver.hear(1) == [True]
        with Driver(preload=("no_such_module_anywhere",)) as second:
            second.start(1)
            second.hear(1)
            second.started(1)
    all_said()
    lines = [record.getMessage() for record in caplog.records if record.name == "procession"]
    assert len(lines) == 1
    assert "No module named 'no_such_module_anywhere'" in lines[0]


def test_threads_and_atexit_end_before_the_worker(capfd: pytest.CaptureFixture) -> None:
    with Driver() as driver:
        driver.start(1, "at_the_end")
        assert driver.hear(1) == "ready"
        driver.let_go(1)
        assert driver.exited(1).exitcode == 0
    assert capfd.readouterr().out == "the thread has ended\natexit has run\n"


def test_starting_from_another_thread(method: str) -> None:
    failures = []

    def run() -> None:
        try:
            with Driver(context(method)) as driver:
                for wid in (1, 2):
                    driver.start(wid)
                for wid in (1, 2):
                    driver.hear(wid)
                    driver.let_go(wid)
                    assert driver.exited(wid).exitcode == 0
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failures == []


def test_two_hundred_workers_come_and_go() -> None:
    before = forksafe.owned()
    with Driver() as driver:
        for wid in range(200):
            driver.start(wid)
        for wid in range(200):
            assert driver.hear(wid) == "ready"
        pids = [driver.started(wid).pid for wid in range(200)]
        assert len(set(pids)) == 200
        for wid in range(200):
            driver.let_go(wid)
        assert [driver.exited(wid).exitcode for wid in range(200)] == [0] * 200
        assert [state_of(pid) for pid in pids] == [""] * 200  # reaped, not only dead
    assert forksafe.owned() == before


def test_pools_share_one_zygote_and_the_last_takes_it_along() -> None:
    with Driver() as first:
        first.start(1)
        first.hear(1)
        first.started(1)
        with Driver() as second:
            second.start(1)
            second.hear(1)
            zygote = first.launcher._zygote.pid
            assert second.launcher._zygote.pid == zygote
        assert not gone(zygote)
        assert first.launcher.process(1).is_alive()
    assert state_of(zygote) == ""


def test_many_threads_with_pools_of_their_own() -> None:
    failures = []

    def run() -> None:
        try:
            for _ in range(10):
                with Driver() as driver:
                    driver.start(1)
                    driver.hear(1)
                    driver.launcher.kill(1)
                    driver.exited(1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_closed_launcher_kills_what_is_left(method: str) -> None:
    with Driver(context(method)) as driver:
        driver.start(1)
        driver.hear(1)
        pid = driver.started(1).pid
    wait_until(lambda: gone(pid))
    with pytest.raises(RuntimeError):
        driver.launcher.start(2, (0, 0, 0, 0), {})


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use, hard))
    fillers: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in fillers:
            os.close(fd)


def test_the_limit_of_descriptors_is_named() -> None:
    with Driver() as driver:
        driver.start(1)
        driver.hear(1)
        driver.started(1)
        before = set(driver.launcher.fds())
        channels = Channels()
        with no_descriptor_left():
            driver.launcher.start(2, channels.files, {"do": "idle"})
            error = driver.failed(2)
        channels.close()
        assert isinstance(error.error, OSError)
        assert "a worker takes up to 7 descriptors" in str(error.error)
        assert "RLIMIT_NOFILE" in str(error.error)
        assert set(driver.launcher.fds()) == before
        driver.start(3)
        assert driver.hear(3) == "ready"
        driver.started(3)
        assert not driver.of(2, Exited)


def test_a_worker_for_which_there_was_no_descriptor_has_failed_when_it_is_gone() -> None:
    """Not before: until then it may run what it was given."""
    with Driver() as driver:
        driver.start(1)
        driver.hear(1)
        driver.started(1)
        zygote, connection = driver.launcher._zygote.pid, driver.launcher._connection.fileno()
        driver.start(2)
        assert readable(connection, 20_000), "it was started"
        os.kill(zygote, signal.SIGSTOP)
        with no_descriptor_left():
            driver.step()
            assert not driver.of(2, StartFailed)
            assert driver.hear(2) == "ready"
            os.kill(zygote, signal.SIGCONT)
            driver.failed(2)
        results = driver.channels[2].results
        os.set_blocking(results, False)
        assert os.read(results, 1) == b"", "somebody may still say something"
        assert not driver.of(2, Exited)


def test_a_zygote_out_of_descriptors_says_so_and_recovers() -> None:
    with Driver() as driver:
        driver.start(1)
        driver.hear(1)
        zygote = driver.launcher._zygote.pid
        usual = resource.prlimit(zygote, resource.RLIMIT_NOFILE)
        for limit in range(10, 24):
            resource.prlimit(zygote, resource.RLIMIT_NOFILE, (limit, usual[1]))
            driver.start(limit, "echo", b"x" * 20_000)  # with a descriptor of its own
            driver.until(lambda limit=limit: driver.of(limit, StartFailed) or driver.of(limit, Started))
        failures = [each for each in driver.events if type(each) is StartFailed]
        assert failures
        assert all("RLIMIT_NOFILE" in str(each.error) for each in failures)
        resource.prlimit(zygote, resource.RLIMIT_NOFILE, usual)
        driver.start(99)
        assert driver.hear(99) == "ready"
        driver.started(99)


def test_a_zygote_that_cannot_begin_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Driver() as driver:
        asked: list[int] = []
        refused: list[str] = []
        for wid in range(20):  # more than the window
            try:
                driver.start(wid)
                asked.append(wid)
            except OSError as error:  # it was gone before it could be asked
                refused.append(str(error))
        assert all("exit code 1" in each for each in refused)
        for wid in asked:
            failed = driver.failed(wid)
            assert failed.again is False
            assert "exit code 1" in str(failed.error)
    monkeypatch.setattr(sys, "executable", "/no/such/interpreter")
    with Driver() as driver:
        channels = Channels()
        with pytest.raises(FileNotFoundError):
            driver.launcher.start(1, channels.files, {})
        channels.close()


def test_events_are_plain_tuples() -> None:
    assert marshal.loads(marshal.dumps((*Started(1, 2), *Exited(1, 2, None, 3)))) == (1, 2, 1, 2, None, 3)
    assert Exited(1, 2, None).peak_rss is None
    assert StartFailed(1, OSError()).again is False
