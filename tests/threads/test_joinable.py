"""JoinableThread: what `threading.Thread.join` is, and that a signal may strike it."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from procession.backends.gate import Gate
from procession.backends.joinable import JoinableThread


class Struck(BaseException):
    pass


@pytest.fixture
def held() -> Iterator[tuple[JoinableThread, Gate]]:
    gate = Gate()
    thread = JoinableThread(gate.wait, "held")
    thread.start()
    yield thread, gate
    gate.open()
    thread.join()


@pytest.fixture
def striking() -> Iterator[None]:
    def strike(signum: int, frame: object) -> None:
        raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("striking")
def test_struck_it_waits_again(held: tuple[JoinableThread, Gate]) -> None:
    thread, gate = held
    for _ in range(3):
        with pytest.raises(Struck):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            thread.join()
        assert thread.is_alive()
    thread.join(0.01)
    assert thread.is_alive()
    threading.Timer(0.02, gate.open).start()
    thread.join()
    assert not thread.is_alive()


def test_many_may_wait(held: tuple[JoinableThread, Gate]) -> None:
    thread, gate = held
    waiters = [threading.Thread(target=thread.join) for _ in range(5)]
    for waiter in waiters:
        waiter.start()
    gate.open()
    for waiter in waiters:
        waiter.join(30)
        assert not waiter.is_alive()


def test_a_timeout_is_kept(held: tuple[JoinableThread, Gate]) -> None:
    thread, _ = held
    began = time.monotonic()
    thread.join(0.05)
    assert time.monotonic() - began >= 0.05
    thread.join(-1)
    assert thread.is_alive()


def test_it_ends_by_an_exception(recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def fail() -> None:
        raise ValueError("no")

    thread = JoinableThread(fail, "failing")
    thread.start()
    thread.join()
    assert not thread.is_alive()


def test_wrong_calls_are_those_of_the_stdlib() -> None:
    seen: list[str] = []

    def join_itself() -> None:
        try:
            thread.join()
        except RuntimeError as error:
            seen.append(str(error))

    thread = JoinableThread(join_itself, "itself")
    with pytest.raises(RuntimeError, match="before it is started"):
        thread.join()
    thread.start()
    thread.join()
    assert seen == ["cannot join current thread"]


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_in_a_forked_child_there_is_nothing_to_wait_for(held: tuple[JoinableThread, Gate]) -> None:
    pid = os.fork()
    if not pid:
        signal.alarm(30)
        held[0].join()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
