"""An agent by itself, with a real worker process: the laws of driver/agent.py, one after another.

It is called in this process, without a cluster, and what it reports is understood by the driver's own `Station` and
`FarChannel`, in the test's thread.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from procession.backends import forksafe
from procession.backends.levels import LevelTable
from procession.backends.tasks import CallFuture
from procession.core.policy import FarProfile
from procession.driver import agent_showing
from procession.driver.agent import Agent
from procession.driver.agent_ears import MOST
from procession.driver.agent_wire import BEGAN, FAILED, GONE, NOTED, OUTPUT, PAGE, SAID, End, Entry, Report, Setting
from procession.driver.far_arrange import Nowhere
from procession.driver.far_channel import FarChannel, Station
from procession.transport.codec import Codec

PATIENCE = 60.0
RANKS = {OUTPUT: 0, NOTED: 0, BEGAN: 1, SAID: 1, PAGE: 2, GONE: 3, FAILED: 3}


def say_and_return(text: str) -> str:
    print(text, flush=True)
    return text


def say_and_die(text: str) -> None:
    print(text, flush=True)
    os._exit(7)


def write_much(count: int) -> int:
    os.write(1, b"")
    data = b"x" * (1 << 16)
    for _ in range(count):
        left = len(data)
        while left:
            left -= os.write(1, data[:left])
    return count


def wait_at(path: str) -> str:
    with open(path) as file:
        file.read()
    return "through"


class DirectSeat:
    """See `Seat`: nothing lies between."""

    where = "here"

    def __init__(self) -> None:
        self.agent = Agent(Setting(list(sys.path), sys.argv, os.getcwd(), {}, (), LevelTable.text(None)[1]))

    def call(self, name: str, *args: Any) -> Future[Any]:
        """See `Seat`."""
        future: Future[Any] = getattr(self.agent, name)(*args)
        return future

    def lease(self, *args: Any) -> Future[Any]:
        """See `Seat`."""
        return self.call("lease", *args)

    def release(self) -> None:
        """See `Seat`; returns when all is given back."""
        self.agent.close()


class Desk:
    """A driver of one seat: what it was told is in `told`, in order; each report in `reports`."""

    def __init__(self) -> None:
        self.seat = seat = DirectSeat()
        self.codec = Codec(FarProfile, supply=Nowhere())
        self.posted: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self.told: list[tuple[Any, ...]] = []
        self.reports: list[Report] = []
        self.station = Station(seat, self.posted.put, lambda station: None, self._stray)
        self.channel: FarChannel | None = None
        self.latest = -1

    def _stray(self, _station: Station, report: Report) -> None:
        self.reports.append(report)

    def __getattr__(self, name: str) -> Callable[..., object]:
        return lambda *args: self.told.append((name, *args))

    def boards_of(self, _station: Station) -> bytes:
        return b""

    def next_worker(self) -> int:
        """Its number; nobody has been asked to start it."""
        self.latest += 1
        self.channel = channel = FarChannel(self.latest, self.codec, self, self.station)  # type: ignore[arg-type]
        original = channel.take

        def take(report: Report) -> None:
            self.reports.append(report)
            original(report)

        channel.take = take  # type: ignore[method-assign]
        return self.latest

    def start(self) -> int:
        """A worker that is ready."""
        wid = self.next_worker()
        self.station.ask("start", wid, {"cpus": 1})
        self.until(lambda: ("ready", wid) in self.told and self.pid > 0)  # it may be ready before its launcher says it
        return wid

    def lease(self, wid: int, number: int, *calls: tuple[Callable[..., Any], Any]) -> Any:
        """These calls, as call `number` to the agent; returns its answer's future."""
        assert self.channel is not None
        tasks: list[Any] = []
        for fn, arg in calls:
            function = self.codec.function(fn)
            tasks.append(CallFuture(function, self.codec.encode(function, (arg,), {})))  # type: ignore[arg-type]
        data = self.channel.lease_frames(number, tasks)
        future = self.seat.lease(wid, number, bytes((number,)) * len(tasks), 1, *data)
        self.station.await_(future)
        return future

    def ask(self, name: str, *args: Any) -> Report:
        """Call the agent, and have its answer taken in its turn."""
        found: list[Report] = []
        self.station.ask(name, *args, then=found.append)
        self.until(lambda: bool(found))
        return found[0]

    def until(self, what: Callable[[], bool]) -> None:
        """Do what is posted until this is so."""
        while not what():
            self.posted.get(timeout=PATIENCE)()

    def until_gone(self) -> End:
        """The worker has ended, and that has been told."""
        self.until(lambda: bool(self.named("gone")))
        end = self.named("gone")[0][2]
        assert isinstance(end, End)
        return end

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [each for each in self.told if each[0] == name]

    @property
    def pid(self) -> int:
        """Of the latest worker; 0: it is not known yet to have been started."""
        assert self.channel is not None
        return self.channel.pid

    @property
    def entries(self) -> list[Entry]:
        return [entry for report in self.reports for entry in report.entries]

    @property
    def outcomes(self) -> list[Any]:
        return [outcome for _, _, outcomes in self.named("calls_done") for outcome in outcomes]

    @property
    def text(self) -> bytes:
        return b"".join(entry[2] for _, _, entry in self.named("printed") if entry[0] == OUTPUT)


@pytest.fixture(scope="module")
def listening() -> Iterator[Desk]:
    """One agent for all tests that leave it well."""
    desk = Desk()
    desk.station.listen()
    desk.station.ask("stop", desk.start())  # what starts workers there stays
    desk.until_gone()
    yield desk
    desk.seat.release()


@pytest.fixture
def gate(tmp_path: Path) -> str:
    """A fifo at which a task waits until somebody has opened it, and closed it again."""
    path = str(tmp_path / "gate")
    os.mkfifo(path)
    return path


@pytest.fixture
def desk(listening: Desk) -> Iterator[Desk]:
    listening.told.clear()
    listening.reports.clear()
    yield listening
    if listening.station.channel is not None:
        listening.told.clear()
        listening.station.ask("kill", listening.latest, signal.SIGKILL, False, False)
        listening.until_gone()


def test_a_lease_is_run_and_told_in_order(desk: Desk) -> None:
    wid = desk.start()
    future = desk.lease(wid, 1, (abs, -1), (abs, -2))
    desk.until(lambda: bool(desk.named("lease_ended")))
    assert desk.outcomes == [1, 2]
    assert desk.named("lease_ended")[0][1:3] == (wid, 2)
    report = future.result(PATIENCE)
    assert report.come == 1
    assert desk.told.index(desk.named("calls_done")[-1]) < desk.told.index(desk.named("lease_ended")[0])


def test_a_lease_that_its_withdrawal_has_overtaken_runs_nothing(desk: Desk) -> None:
    wid = desk.start()
    assert desk.ask("withdraw", wid, 1).back == 0
    assert desk.lease(wid, 1, (say_and_return, "never")).result(PATIENCE).come == 1
    desk.until(lambda: bool(desk.named("lease_ended")))
    assert desk.named("lease_ended")[0][1:3] == (wid, 0)
    assert (desk.outcomes, desk.text) == ([], b"")
    desk.lease(wid, 2, (abs, -3))
    desk.until(lambda: len(desk.named("lease_ended")) == 2)
    assert desk.outcomes == [3]


def test_a_withdrawal_brings_back_what_has_not_begun(desk: Desk, gate: str) -> None:
    wid = desk.start()
    desk.lease(wid, 1, (abs, -1), (wait_at, gate), (abs, -2), (abs, -3))
    with open(gate, "w"):  # it has begun: both have opened it
        assert desk.ask("withdraw", wid, 1).back == 2
    desk.until(lambda: bool(desk.named("lease_ended")))
    assert desk.outcomes == [1, "through"]


def test_what_is_finished_is_not_held_back_by_what_runs_on(desk: Desk, gate: str) -> None:
    wid = desk.start()
    future = desk.lease(wid, 1, (abs, -1), (wait_at, gate))
    desk.until(lambda: desk.outcomes == [1])
    assert not future.done()
    with open(gate, "w"):
        pass
    desk.until(lambda: bool(desk.named("lease_ended")))
    assert desk.outcomes == [1, "through"]


def test_a_look_tells_all_that_was_published(desk: Desk, gate: str) -> None:
    wid = desk.start()
    desk.lease(wid, 1, (abs, -1), (abs, -2), (wait_at, gate))
    with open(gate, "w"):
        desk.ask("look")
        assert desk.outcomes == [1, 2]
    desk.until(lambda: bool(desk.named("lease_ended")))


def test_what_was_printed_is_first_and_the_end_is_last(desk: Desk) -> None:
    wid = desk.start()
    desk.lease(wid, 1, (say_and_return, "one"), (say_and_die, "two"), (abs, -1))
    end = desk.until_gone()
    assert (end.exitcode, end.unowned) == (7, 1)
    assert desk.outcomes == ["one"]
    assert desk.text == b"one\ntwo\n"
    for report in desk.reports:
        ranks = [RANKS[entry[0]] for entry in report.entries]
        assert ranks == sorted(ranks), report
    assert desk.entries[-1][0] == GONE


def test_a_call_for_an_earlier_worker_does_nothing(desk: Desk) -> None:
    first = desk.start()
    desk.station.ask("stop", first)
    assert desk.until_gone().exitcode == 0
    wid = desk.start()
    desk.ask("kill", first, signal.SIGKILL, False, False)
    desk.ask("strike", first)
    desk.ask("stop", first)
    assert desk.seat.agent.show(first) == ""
    desk.ask("ask", first, 0)
    assert desk.lease(first, 1, (say_and_return, "never")).result(PATIENCE).come == 0
    desk.lease(wid, 1, (abs, -1))
    assert desk.ask("withdraw", first, 9).back == 0
    desk.until(lambda: bool(desk.named("lease_ended")))
    assert (desk.outcomes, desk.text) == ([1], b"")


@pytest.mark.parametrize(
    ("name", "args", "exitcode"), [("kill", (9, False, False), -9), ("strike", (), -9), ("stop", (), 0)]
)
def test_a_call_that_comes_before_its_worker_waits_for_it(
    desk: Desk, name: str, args: tuple[Any, ...], exitcode: int
) -> None:
    wid = desk.next_worker()
    desk.ask(name, wid, *args)
    desk.station.ask("start", wid, {"cpus": 1})
    assert desk.until_gone().exitcode == exitcode


def test_it_says_which_process_has_begun_and_where(desk: Desk) -> None:
    wid = desk.start()
    (began,) = [entry for entry in desk.entries if entry[0] == BEGAN]
    assert desk.channel is not None
    assert began == (BEGAN, desk.pid, socket.gethostname())
    assert (desk.channel.host, is_there(began[1])) == (socket.gethostname(), True)
    desk.ask("strike", wid)
    assert desk.until_gone().pid == began[1]


def test_stacks_are_shown_while_the_agent_serves_on(desk: Desk, gate: str) -> None:
    wid = desk.start()
    desk.lease(wid, 1, (say_and_return, "one"), (wait_at, gate))
    desk.until(lambda: desk.text == b"one\n")
    with open(gate, "w"):  # it has come to that
        assert "in wait_at" in desk.seat.agent.show(wid)
        os.kill(desk.pid, signal.SIGSTOP)
        try:
            assert desk.seat.agent.show(wid) == "no stack: the process is stopped"
        finally:
            os.kill(desk.pid, signal.SIGCONT)
    desk.until(lambda: bool(desk.named("lease_ended")))
    assert desk.outcomes == ["one", "through"]


def test_an_agent_that_hangs_or_is_closed_says_so_and_keeps_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_showing, "SHOWN", 0.01)
    desk = Desk()
    desk.station.listen()
    wid = desk.start()
    held = threading.Event()
    desk.seat.agent.leave(held.wait)
    assert desk.seat.agent.show(wid) == "no stack: the thread of its agent hangs"
    before = len(os.listdir("/proc/self/fd"))
    held.set()
    desk.ask("look")  # what it was asked before has been done
    assert len(os.listdir("/proc/self/fd")) == before
    desk.seat.release()
    assert desk.seat.agent.show(wid) == "no stack: RuntimeError: this agent has been closed"


def test_who_calls_an_agent_that_has_ended_writes_nowhere() -> None:
    """The number of its descriptor is another's by then."""
    agent = DirectSeat().agent
    agent.close()
    made = []
    while not made or made[-1][0] < agent._bell:
        made.append(forksafe.pipe(os.O_CLOEXEC | os.O_NONBLOCK))
    with pytest.raises(RuntimeError, match="this agent has been closed"):
        agent.look().result(0)
    for read, write in made:
        with pytest.raises(BlockingIOError):
            os.read(read, 8)
        forksafe.close(read)
        forksafe.close(write)


def test_what_is_asked_to_end_is_of_the_call_that_is_named(desk: Desk, gate: str) -> None:
    wid = desk.start()
    desk.lease(wid, 1, (abs, -1))
    desk.until(lambda: bool(desk.named("lease_ended")))
    desk.lease(wid, 2, (asked_behind, gate))
    with open(gate, "w"):
        desk.ask("ask", wid, 1)  # late
    desk.until(lambda: len(desk.named("lease_ended")) == 2)
    assert desk.outcomes == [1, False]
    desk.lease(wid, 3, (asked_behind, gate))
    with open(gate, "w"):
        desk.ask("ask", wid, 3)
    desk.until(lambda: len(desk.named("lease_ended")) == 3)
    assert desk.outcomes == [1, False, True]


def asked_behind(path: str) -> bool:
    from procession import cancelled

    with open(path) as file:
        file.read()
    return cancelled()


def test_output_that_nobody_takes_is_bounded() -> None:
    desk = Desk()
    wid = desk.next_worker()
    desk.ask("start", wid, {"cpus": 1})
    blocks = 3 * MOST >> 16
    desk.lease(wid, 1, (write_much, blocks))  # nobody listens
    ear = desk.seat.agent._ears._ears[0]
    deadline = time.monotonic() + PATIENCE
    while ear.size < MOST:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert MOST <= ear.size < MOST + (1 << 17)
    desk.station.listen()
    desk.until(lambda: bool(desk.named("lease_ended")))
    assert desk.outcomes == [blocks]
    assert len(desk.text) == blocks << 16
    desk.seat.release()


def is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def await_end(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while is_there(pid):
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.01)


def test_a_worker_ends_with_its_agent() -> None:
    desk = Desk()
    desk.station.listen()
    desk.start()
    pid = desk.pid
    assert is_there(pid)
    desk.seat.release()
    await_end(pid)


ALONE = """
import os, sys, time
sys.path[:0] = sys.argv[1:]
from tests.clusters.test_agent import Desk

desk = Desk()
desk.station.listen()
desk.start()
print(desk.pid, flush=True)
time.sleep(3600)
"""


def test_a_worker_ends_with_the_process_of_its_agent(tmp_path: Path) -> None:
    script = tmp_path / "alone.py"
    script.write_text(textwrap.dedent(ALONE))
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen([sys.executable, str(script), root], stdout=subprocess.PIPE, cwd=root) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        assert is_there(pid)
        program.kill()
    await_end(pid)
