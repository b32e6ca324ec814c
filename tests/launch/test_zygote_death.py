"""The zygote is killed: its workers are seen to end, and the next start has a new one."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from procession.backends import zygote_client
from procession.backends.launch import Exited, StartFailed
from procession.worker import zygote
from tests.launch.harness import Driver, gone, kill, state_of, wait_until


def zygote_of(driver: Driver) -> int:
    return driver.launcher._zygote.pid


def test_workers_live_on_and_their_end_is_seen_with_an_unknown_code() -> None:
    with Driver() as driver:
        for wid in (1, 2, 3):
            driver.start(wid)
            driver.hear(wid)
            driver.started(wid)
        zygote = zygote_of(driver)
        kill(zygote)
        wait_until(lambda: gone(zygote))
        driver.step()
        assert state_of(zygote) == ""  # reaped
        assert all(driver.launcher.process(wid).is_alive() for wid in (1, 2, 3))
        driver.let_go(1)
        assert driver.exited(1).exitcode is None
        driver.launcher.kill(2)
        assert driver.exited(2).exitcode is None
        process = driver.launcher.process(3)
        process.terminate()
        assert driver.exited(3) == Exited(3, process.pid, None)
        process.join()
        assert not process.is_alive()
        assert process.exitcode is None


def test_the_next_start_has_a_new_zygote_while_old_workers_go_on() -> None:
    with Driver() as driver:
        driver.start(1)
        driver.hear(1)
        driver.started(1)
        first = zygote_of(driver)
        kill(first)
        wait_until(lambda: gone(first))
        driver.start(2)  # the driver has not heard of the death yet
        assert driver.hear(2) == "ready"
        driver.started(2)
        assert zygote_of(driver) != first
        driver.let_go(1)
        assert driver.exited(1).exitcode is None
        driver.let_go(2)
        assert driver.exited(2).exitcode == 0


def test_each_pool_hears_of_it_and_shares_the_next() -> None:
    with Driver() as one, Driver() as two:
        for driver in (one, two):
            driver.start(1)
            driver.hear(1)
            driver.started(1)
        kill(zygote_of(one))
        wait_until(lambda: gone(zygote_of(one)))
        for driver in (one, two):
            driver.start(2)
            driver.hear(2)
            driver.started(2)
        assert zygote_of(one) == zygote_of(two)
        for driver in (one, two):
            driver.let_go(1)
            assert driver.exited(1).exitcode is None


def test_requests_in_flight_fail_and_may_be_made_again() -> None:
    """Stopped, the zygote takes requests and answers none; then it is killed. The unsent ones go to the next."""
    with Driver() as driver:
        driver.start(0)
        driver.hear(0)
        driver.started(0)
        zygote = zygote_of(driver)
        os.kill(zygote, signal.SIGSTOP)
        for wid in range(1, 31):
            driver.start(wid)
        kill(zygote)
        driver.until(lambda: sum(type(each) is StartFailed for each in driver.events) == 16)
        failed = [each for each in driver.events if type(each) is StartFailed]
        assert [each.wid for each in failed] == list(range(1, 17))
        assert all(each.again for each in failed)
        assert "zygote died (exit code -9)" in str(failed[0].error)
        for wid in range(17, 31):
            assert driver.hear(wid) == "ready"
            driver.started(wid)


def test_a_death_between_being_found_alive_and_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with Driver() as keeper, Driver() as driver:
        keeper.start(1)
        keeper.hear(1)
        keeper.started(1)
        zygote = zygote_of(keeper)
        kill(zygote)
        wait_until(lambda: gone(zygote))
        answers = iter([False])
        ended = zygote_client.ZygoteClient.ended
        monkeypatch.setattr(
            zygote_client.ZygoteClient, "ended", lambda self: next(answers, None) is not False and ended(self)
        )
        driver.start(1)
        assert driver.hear(1) == "ready"
        driver.started(1)


REAPS = """
    import os
    from tests.launch.harness import Driver, kill

    with Driver() as driver:
        driver.start(1)
        driver.hear(1)
        driver.started(1)
        zygote = driver.launcher._zygote.pid
        kill(zygote)
        assert os.waitpid(-1, 0)[0] == zygote
        driver.start(2)
        driver.hear(2)
        driver.let_go(1)
        driver.exited(1)
        driver.let_go(2)
        assert driver.exited(2).exitcode == 0
"""

IGNORES = """
    import signal
    from tests.launch.harness import Driver

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with Driver() as driver:
        driver.start(1, "leave", 5)
        assert driver.exited(1).exitcode == 5
"""


@pytest.mark.parametrize("source", [REAPS, IGNORES], ids=["reaps every child itself", "ignores SIGCHLD"])
def test_a_program_with_ways_of_its_own(source: str) -> None:
    """In a process of its own: here are other children, which others wait for."""
    command = [sys.executable, "-c", textwrap.dedent(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


def test_the_zygote_imports_little_and_holds_nothing_of_main() -> None:
    with Driver() as driver:
        driver.start(1, "ask", "sorted(sys.modules)", "sorted(n for n in vars(sys.modules['__main__']) if n[0] != '_')")
        modules, main = driver.hear(1)
    assert main == []
    heavy = {"asyncio", "concurrent.futures", "multiprocessing", "socket", "subprocess", "logging", "pytest", "ctypes"}
    at_birth = set(bare_modules())
    assert not heavy & (set(modules) - at_birth)


def test_what_workers_soon_need_is_loaded_when_nothing_else_is_to_be_done() -> None:
    question = f"all(name in sys.modules for name in {zygote.LATER!r})"
    with Driver() as driver:
        wid = 0

        def loaded() -> bool:
            nonlocal wid
            wid += 1
            driver.start(wid, "ask", question)
            (found,) = driver.hear(wid)
            driver.let_go(wid)
            driver.exited(wid)
            driver.step(2 * zygote.LULL)  # nothing comes, and nothing is asked
            return bool(found)

        wait_until(loaded)


def bare_modules() -> list[str]:
    """What an interpreter of this environment has loaded before it does anything."""
    with os.popen(f"{sys.executable} -c 'import sys; print(*sys.modules)'") as out:
        return out.read().split()
