"""What a pool is at: `dump()`, and who asks for it when nothing moves."""

import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import pytest

from procession import Pool, SpinOff, TaskTimeout, WorkerDied, WorkerStartError
from procession.backends import tasks as backend_tasks
from procession.backends.base import EngineStats
from procession.backends.stalls import Patience
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, stat_of, wait_until

kept_zygote = warm.keep()

BACKENDS = ["processes", "threads", "inline"]
STACK = "(most recent call first)"


def with_a_thread(path: str, gate: str) -> None:
    """Waits in its main thread for another."""
    other = threading.Thread(target=in_the_other_thread, args=(path, gate))
    other.start()
    other.join()


def in_the_other_thread(path: str, gate: str) -> None:
    tasks.held(path, gate)


def busy_until(path: str, gate: str) -> int:
    """Makes and forgets frames and code, which is what is dangerous to look at from a signal handler."""
    tasks.note(path, os.getpid())
    made = 0
    while not os.path.exists(gate):
        scope: dict[str, Any] = {}
        exec(f"def f{made}(n): return list(j for j in range(n))", scope)
        scope[f"f{made}"](7)
        made += 1
    return made


def sections(text: str) -> dict[str, str]:
    """What is said of each worker, by the line that begins it."""
    found: dict[str, str] = {}
    line = ""
    for each in text.splitlines()[1:]:
        if each.startswith("    "):
            found[line] += each + "\n"
        else:
            line = each
            found[line] = ""
    return found


def section(text: str, beginning: str) -> tuple[str, str]:
    """The line of a worker and its stacks, by how the line begins."""
    return next((line, below) for line, below in sections(text).items() if line.startswith(beginning))


# ----------------------------------------------------------------------------------------------------------- processes


def test_states_tasks_times_and_stacks(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. Each worker with its state, what it runs and for how long, and where in Python."""
    with Pool(2) as pool:
        for _ in range(5):
            pool.submit(tasks.held, notes.path, gate.path, 7)
        notes.wait(2)
        text = pool.dump()
        assert text.splitlines()[0].startswith("pool of processes, open: 2 of 2 workers; 3 items wait, 2 in hand")
        for number, pid in enumerate(pool._processes):
            line, stack = section(text, f"worker {number} (pid {pid}): runs held(")
            assert re.search(r", 7\) for \d+\.\d s$", line)
            assert f"in await_file\n      File {tasks.__file__!r}".replace("'", '"') in stack
            assert "in held" in stack
            assert "/procession/" not in stack, "what is ours is nobody's concern"
        gate.open()
        wait_until(lambda: pool.stats().idle == 2, "all is done")
        wait_until(lambda: STACK not in pool.dump(), "who waits for work has no stack")
    assert pool.dump() == "pool of processes, closed: 0 of 2 workers; 0 items wait, 0 in hand"


def test_a_call_that_was_handed_over_past_the_driver(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. A caller who calls one by one hands over to the worker itself; it is seen as well."""
    with Pool(1) as pool:
        for number in range(2000):
            assert pool.submit(tasks.double, number).result() == 2 * number
        future = pool.submit(tasks.held, notes.path, gate.path, "x")
        notes.wait()
        line, stack = section(pool.dump(), "worker 0")
        assert ": runs held(" in line
        assert re.search(r" for \d+\.\d s$", line)
        assert "in await_file" in stack
        gate.open()
        assert future.result() == "x"


def test_c_code_that_keeps_the_gil(notes: Notes) -> None:
    """Row: A pool seems to hang. C code that never comes back to Python: the line that called it is shown."""
    with Pool(1) as pool:
        pool.submit(tasks.spin_c, notes.path)
        try:
            notes.wait()  # it is in Python still, for as long as the note takes
            wait_until(lambda: f"Main thread, in C code {STACK}" in section(pool.dump(), "worker 0")[1], "it is in C")
            assert "in spin_c" in section(pool.dump(), "worker 0")[1]
            assert pool.stats().died == 0
        finally:
            pool.kill_workers()


def test_a_stopped_process(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. One that is stopped cannot say where it is; the others are not kept waiting by it."""
    with Pool(2) as pool:
        futures = [pool.submit(tasks.held, notes.path, gate.path) for _ in range(2)]
        notes.wait(2)
        first, second = pool._processes
        os.kill(first, signal.SIGSTOP)
        wait_until(lambda: stat_of(first)[0] == "T", "it is stopped")
        text = pool.dump()
        assert "no stack: the process is stopped" in section(text, f"worker 0 (pid {first})")[1]
        assert "in held" in section(text, f"worker 1 (pid {second})")[1]
        os.kill(first, signal.SIGCONT)
        gate.open()
        for future in futures:
            future.result()


def test_all_threads_of_a_worker(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. The main thread waits for another one: both are shown."""
    with Pool(1) as pool:
        pool.submit(with_a_thread, notes.path, gate.path)
        notes.wait()
        _, stack = section(pool.dump(), "worker 0")
        assert stack.count(STACK) == 2
        assert "in with_a_thread" in stack
        assert "in in_the_other_thread" in stack
        gate.open()


def test_a_setup_that_does_not_return(gate: Gate, notes: Notes) -> None:
    """Row: A pool seems to hang. No worker is ready yet: it is shown where in its initializer it is."""
    with Pool(1, initializer=tasks.held, initargs=(notes.path, gate.path)) as pool:
        future = pool.submit(tasks.double, 4)
        notes.wait()
        line, _ = wait_until(lambda: in_held(pool), "its stack is shown: it has a second for each dump")
        assert ": starting" in line
        gate.open()
        assert future.result() == 8


def in_held(pool: Pool) -> tuple[str, str] | None:
    """What is said of the first worker, if its stack is shown."""
    line, stack = section(pool.dump(), "worker 0")
    return (line, stack) if "in held" in stack else None


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_context(method: str, notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. Workers that multiprocessing has started say as much."""
    with Pool(1, mp_context=get_context(method)) as pool:
        pool.submit(tasks.held, notes.path, gate.path)
        notes.wait()
        assert "in held" in section(pool.dump(), "worker 0")[1]
        gate.open()


def test_it_harms_nobody(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. Asked hundreds of times, by four threads at once, while Python code runs: no task is
    lost. (faulthandler, writing from its signal handler, kills one such worker in a thousand times.)"""
    with Pool(2) as pool:
        futures = [pool.submit(busy_until, notes.path, gate.path) for _ in range(2)]
        notes.wait(2)
        until = time.monotonic() + 1.0
        counts = []

        def ask() -> None:
            count = 0
            while time.monotonic() < until:
                assert pool.dump().count(STACK) <= 2
                count += 1
            counts.append(count)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for each in askers:
            each.start()
        for each in askers:
            each.join()
        print(f"{sum(counts)} dumps")
        assert len(counts) == 4
        gate.open()
        assert all(future.result() > 0 for future in futures)
        assert pool.stats().died == 0


def test_a_report_of_a_death_after_a_dump(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. What a worker had shown before is not taken for what it says of its end."""
    with Pool(1) as pool:
        killed = pool.submit(tasks.held, notes.path, gate.path)
        pid = next(iter(pool._processes)) if notes.wait() else 0
        wait_until(lambda: "in held" in pool.dump(), "its stack is shown: it has a second for each dump")
        os.kill(pid, signal.SIGKILL)
        error = killed.exception()
        assert isinstance(error, WorkerDied)
        assert error.stack == ""

        crashed = pool.submit(held_and_dies, notes.path, gate.path)
        notes.wait(2)
        wait_until(lambda: "in held" in pool.dump(), "its stack is shown: it has a second for each dump")
        gate.open()
        error = crashed.exception()
        assert isinstance(error, WorkerDied)
        assert error.stack.startswith("Fatal Python error: Segmentation fault")
        assert "in held_and_dies" in error.stack
        assert "in held\n" not in error.stack


def held_and_dies(path: str, gate: str) -> None:
    tasks.held(path, gate)
    tasks.die("SIGSEGV")


def test_a_timeout_after_a_dump(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. And it does not stand in the way of a timeout, which shows the stack as ever."""
    with Pool(1) as pool:
        future = pool.options(timeout=0.5).submit(tasks.held, notes.path, gate.path)
        notes.wait()
        assert "in held" in pool.dump()
        error = future.exception()
        assert isinstance(error, TaskTimeout)
        assert "in held" in error.stack


def test_the_driver_does_not_answer(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. If procession itself hangs it is shown where, with the workers as it knows them."""
    with Pool(1) as pool:
        future = pool.submit(tasks.held, notes.path, gate.path)
        notes.wait()
        wait_until(future.running, "the driver has heard that it runs")
        with backend_tasks.LOCK:
            other = pool.submit(tasks.double, 1)  # with this the driver waits for the lock
            text = pool.dump()
        assert "procession's driver does not answer" in text
        assert "in submitted" in text
        assert "worker 0: runs held(" in text
        gate.open()
        future.result()
        assert other.result() == 2
        assert "does not answer" not in pool.dump()


# --------------------------------------------------------------------------------------------------- the other backends


def test_threads(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. Threads show the same, with their names."""
    with Pool(2, backend="threads", thread_name_prefix="mine") as pool:
        pool.submit(tasks.held, notes.path, gate.path)
        notes.wait()
        text = pool.dump()
        assert text.startswith("pool of threads, open: 1 of 2 workers; 0 items wait, ")
        line, stack = section(text, "worker 0 (mine_0): runs held")
        assert re.search(r" for \d+\.\d s$", line)
        assert "in held" in stack
        assert "/procession/" not in stack
        gate.open()


def test_threads_that_were_given_up(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. A thread that outlived its timeout is still there, and where it is."""
    with Pool(1, backend="threads") as pool:
        assert isinstance(pool.options(timeout=0.1).submit(tasks.held, notes.path, gate.path).exception(), TaskTimeout)
        line, stack = section(pool.dump(), "worker 0")
        assert ": given up" in line
        assert "in held" in stack
        gate.open()
        wait_until(lambda: pool.stats().abandoned == 0, "the thread comes back")


def test_inline(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. Inline: the threads that are in a task."""
    with Pool(backend="inline") as pool:
        caller = threading.Thread(target=pool.submit, args=(tasks.held, notes.path, gate.path), name="the caller")
        caller.start()
        notes.wait()
        assert "in held" in section(pool.dump(), "in thread the caller: runs")[1]
        gate.open()
        caller.join()
    assert "closed" in pool.dump()


# -------------------------------------------------------------------------------------------------------- at any moment


@pytest.mark.parametrize("backend", BACKENDS)
def test_before_and_after(backend: Any) -> None:
    """Row: A pool seems to hang. It may be asked before there is anything, after the end, and through a view."""
    pool = Pool(1, backend=backend)
    assert ", open" in pool.dump()
    pool.shutdown()
    assert f"{'runs ' if backend == 'inline' else 'of '}{backend}" in pool.dump()
    with Pool(1, backend=backend) as pool:
        assert pool.options(name="x").submit(tasks.double, 1).result() == 2
        assert ", open" in pool.options(name="x").dump()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_broken_pool_says_why(backend: Any) -> None:
    """Row: A pool seems to hang. It says why it takes no more work."""
    with Pool(1, backend=backend, initializer=tasks.fail, initargs=("no such model",)) as pool:
        assert isinstance(pool.submit(tasks.double, 1).exception(), WorkerStartError)
        wait_until(lambda: "workers cannot start: ValueError: no such model" in pool.dump(), "it says why")


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_from_a_callback(backend: Any, notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. In a done-callback, which is itself something that may hang: it is shown."""
    texts: list[str] = []
    with Pool(1, backend=backend) as pool:
        future = pool.submit(tasks.held, notes.path, gate.path)
        future.add_done_callback(lambda _: texts.append(pool.dump()))
        gate.open()
    assert "in a done-callback" in texts[0]
    assert "in <lambda>" in texts[0]


def test_from_a_signal_handler(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. `kill -USR1`, with a handler that prints it: how to look into a program that hangs."""
    texts: list[str] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: texts.append(pool.dump()))
    try:
        with Pool(1) as pool:
            future = pool.submit(tasks.held, notes.path, gate.path)
            notes.wait()
            threading.Timer(0.1, lambda: (os.kill(os.getpid(), signal.SIGUSR1), gate.open())).start()
            future.result()
            wait_until(lambda: texts, "the handler has run")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "worker 0" in texts[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_in_a_forked_child(backend: Any) -> None:
    """Row: A pool seems to hang. In a forked child it says whose the pool is; and asks nobody of the parent's."""
    with Pool(1, backend=backend) as pool:
        pool.submit(tasks.double, 1).result()
        pid = os.fork()
        if not pid:
            os._exit(0 if "belongs to the parent process" in pool.dump() else 1)
        assert os.waitpid(pid, 0)[1] == 0


def test_a_spinoff(notes: Notes, gate: Gate) -> None:
    """Row: A pool seems to hang. A SpinOff can be asked like a pool."""
    with SpinOff(Held(notes.path, gate.path), workers=1) as spin:
        spin.put(7)
        notes.wait()
        assert "in held" in section(spin.dump(), "worker 0")[1]
        gate.open()
    assert list(spin) == [7]


class Held:
    def __init__(self, path: str, gate: str) -> None:
        self.path, self.gate = path, gate

    def __call__(self, item: Any) -> Any:
        return tasks.held(self.path, self.gate, item)


# ------------------------------------------------------------------------------------------------------- when it stalls


def numbers(done: int = 0, pending: int = 0, in_flight: int = 0, failed: int = 0) -> EngineStats:
    return EngineStats(1, 0, 1, 0, pending, in_flight, done, failed, 0)


def test_when_patience_is_over() -> None:
    """Row: Nothing moves. Told after so many seconds, then after twice as long each time; from anew when it moves."""
    patience = Patience(10.0)
    stuck = numbers(done=5, in_flight=1)
    told = [now for now in range(100) if patience.look(stuck, float(now)) is not None]
    assert told == [10, 20, 40, 80]
    assert patience.look(numbers(done=6, in_flight=1), 100.0) is None
    assert patience.look(numbers(done=6, in_flight=1), 109.9) is None
    assert patience.look(numbers(done=6, in_flight=1), 110.0) == 10.0
    assert patience.look(numbers(done=6), 111.0) is None, "there is nothing to do"
    assert patience.look(numbers(done=6, pending=1), 200.0) is None, "the work has just come"
    assert patience.look(numbers(done=6, pending=1, in_flight=4), 209.0) is None
    assert patience.look(numbers(done=6, pending=9, in_flight=4), 210.0) == 10.0, "what only comes in is no progress"
    assert patience.look(numbers(done=6, failed=1, in_flight=4), 211.0) is None, "a failure is"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was logged of stalls."""
    caplog.set_level(logging.WARNING, "procession")
    return lambda: [text for each in caplog.records if "come to an end" in (text := each.getMessage())]


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_logged_by_itself(backend: Any, notes: Notes, gate: Gate, said: Callable[[], list[str]]) -> None:
    """Row: Nothing moves. The log shows what the pool is at; work that goes on, and no work, are not worth a word."""
    with Pool(1, backend=backend, stall_after=0.4) as pool:
        pool.submit(tasks.double, 1).result()
        caller = threading.Thread(target=pool.submit, args=(tasks.held, notes.path, gate.path))
        caller.start()
        notes.wait()
        wait_until(said, "it was logged")
        gate.open()
        caller.join()
    first = said()[0]
    found = re.match(r"nothing has come to an end for (\d+\.\d) s, and there is work\npool ", first)
    assert found
    assert float(found[1]) >= 0.4
    assert "in held" in first


def test_a_driver_that_hangs_is_told_of(gate: Gate, notes: Notes, said: Callable[[], list[str]]) -> None:
    """Row: Nothing moves. Who looks is not who drives."""
    with Pool(1, stall_after=0.2) as pool:
        pool.submit(tasks.held, notes.path, gate.path)
        notes.wait()
        with backend_tasks.LOCK:
            pool.submit(tasks.double, 1)
            wait_until(lambda: any("procession's driver does not answer" in each for each in said()), "it was logged")
        gate.open()


def test_no_work_no_word(monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]) -> None:
    """Row: Nothing moves. A pool that has nothing to do is looked at, and says nothing."""
    looks = []
    look = Patience.look

    def counted(self: Patience, numbers: EngineStats, now: float) -> float | None:
        looks.append(now)
        return look(self, numbers, now)

    monkeypatch.setattr(Patience, "look", counted)
    with Pool(1, stall_after=0.05) as pool:
        pool.submit(tasks.double, 1).result()
        done = len(looks)
        wait_until(lambda: len(looks) >= done + 2, "what was found before that has been said")
        before = said()  # a start may take longer than this patience
        wait_until(lambda: len(looks) >= done + 12, "it has been looked at for longer than its patience")
    assert said() == before


def test_a_pool_that_is_dropped_is_not_watched(gate: Gate) -> None:
    """Row: Nothing moves. Nobody holds a pool for the sake of watching it."""
    pool = Pool(1, stall_after=0.1)
    pool.submit(tasks.double, 1).result()
    del pool
    wait_until(lambda: not any(each.name.startswith("procession-stalls") for each in threading.enumerate()), "it ends")


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1e10])
def test_what_is_no_patience(value: float) -> None:
    """Row: Nothing moves. Refused at the call."""
    with pytest.raises(ValueError, match=r"stall_after must be greater than 0 seconds, and at most 1e\+09; got"):
        Pool(1, stall_after=value)


@pytest.mark.parametrize("value", [True, "10", [1]])
def test_what_is_no_number(value: Any) -> None:
    """Row: Nothing moves. Refused at the call."""
    with pytest.raises(TypeError, match="stall_after must be a number of seconds or None, not"):
        Pool(1, stall_after=value)
