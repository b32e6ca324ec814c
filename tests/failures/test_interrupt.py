"""A real ^C, typed into a terminal whose foreground process group is the program and its workers."""

import os
import signal
import time
from pathlib import Path

import pytest

from procession import Pool
from procession.worker import resting
from tests import warm
from tests.failures import tasks
from tests.failures.kit import SLACK, Gate, Notes, Program, run_program, wait_until

kept_zygote = warm.keep()

# What is stuck where: words of the program below.
STUCK = ["sleep", "python", "c"]

PROGRAM = """
    import itertools, os, sys, time
    from collections import deque
    from procession import Pool, SpinOff

    def note(path):
        with open(path, "a") as file:
            file.write(f"{os.getpid()}\\n")

    def sleep(path):
        note(path)
        time.sleep(3600)

    def python(path):
        note(path)
        while True:
            pass

    def child(path):
        import subprocess
        with subprocess.Popen(["sleep", "3600"]) as started:
            note(path)  # from here on the terminal's SIGINT reaches both
            started.wait()

    def c(path):
        note(path)
        deque(itertools.repeat(None), maxlen=0)

    stuck, where, path, backend = globals()[sys.argv[1]], sys.argv[2], sys.argv[3], sys.argv[4]

    if where == "with":
        with Pool(2, backend=backend) as pool:
            futures = [pool.submit(stuck, path) for _ in range(4)]
            print("waiting", flush=True)
            futures[0].result()
    elif where == "top":
        pool = Pool(2, backend=backend)
        futures = [pool.submit(stuck, path) for _ in range(4)]
        print("waiting", flush=True)
        futures[0].result()
    elif where == "map":
        with Pool(2, backend=backend) as pool:
            print("waiting", flush=True)
            for value in pool.map(stuck, [path] * 20, chunksize=5):
                pass
    elif where == "imap":
        with Pool(2, backend=backend) as pool:
            print("waiting", flush=True)
            for value in pool.imap(stuck, itertools.repeat(path)):
                pass
    elif where == "stream":
        def stuck_and_yields(path):
            stuck(path)
            yield 1

        with Pool(2, backend=backend) as pool:
            streams = [pool.stream(stuck_and_yields, path) for _ in range(2)]
            print("waiting", flush=True)
            next(streams[0])
    elif where == "spinoff":
        with SpinOff(stuck, workers=2, backend=backend) as spin:
            for _ in range(4):
                spin.put(path)
            print("waiting", flush=True)
            for value in spin:
                pass
    elif where == "leaving":
        with Pool(2, backend=backend) as pool:
            futures = [pool.submit(stuck, path) for _ in range(4)]
            print("waiting", flush=True)
    elif where == "exit":
        pool = Pool(2, backend=backend)
        futures = [pool.submit(stuck, path) for _ in range(4)]
        print("waiting", flush=True)
"""


def interrupted(tmp_path: Path, notes: Notes, stuck: str, where: str, backend: str) -> None:
    with Program(tmp_path / "program", PROGRAM, stuck, where, notes.path, backend, tty=True) as program:
        notes.wait(2)
        wait_until(lambda: "waiting" in program.out, "the program to wait")
        program.interrupt()
        seconds = program.alone()
        code = program.wait()
        print(f"ended {seconds:.3f} s after ^C (promised: 1 s, asserted: {SLACK} s)")
        assert "KeyboardInterrupt" in program.out
        # Interrupted while it ends, Python says "Exception ignored" and exits with 0; else it dies of the signal.
        assert code in ((-2, 0) if where == "exit" else (-2,)), (code, program.out)
        assert seconds < SLACK


@pytest.mark.parametrize("where", ["with", "top", "map", "imap", "stream", "spinoff", "leaving", "exit"])
@pytest.mark.parametrize("stuck", STUCK)
def test_processes(tmp_path: Path, notes: Notes, stuck: str, where: str) -> None:
    """Row: Ctrl-C. Through `with`, at top level, in map, imap, stream and a spin-off, while leaving the block and while
    the interpreter ends; with workers asleep, in Python, and in C holding the GIL: within a second nothing is left."""
    interrupted(tmp_path, notes, stuck, where, "processes")


@pytest.mark.parametrize("where", ["with", "imap"])
def test_waiting_for_a_subprocess(tmp_path: Path, notes: Notes, where: str) -> None:
    """Row: Ctrl-C. Workers that wait in a subprocess are gone within a second, and the subprocess with them."""
    interrupted(tmp_path, notes, "child", where, "processes")


@pytest.mark.parametrize("where", ["with", "top", "map", "imap", "stream", "spinoff", "leaving", "exit"])
def test_threads(tmp_path: Path, notes: Notes, where: str) -> None:
    """Row: Ctrl-C. Threads cannot be killed: those stuck in C are abandoned, and the program ends."""
    interrupted(tmp_path, notes, "sleep", where, "threads")


@pytest.mark.parametrize("chunksize", [1, 10])
def test_nothing_new_is_begun_for_a_moment(notes: Notes, gate: Gate, chunksize: int) -> None:
    """Row: Ctrl-C. What a worker runs goes on; what it would run next waits a second, and runs then."""
    with Pool(1) as pool:
        results = pool.map(tasks.when_begun, [notes.path] * 4, [gate.path] * 4, chunksize=chunksize)
        notes.wait(1)
        began = time.monotonic()
        (pid,) = pool._processes
        os.kill(pid, signal.SIGINT)
        gate.open()
        first, second, *rest = results
        assert first <= began
        assert second >= began + 0.99 * resting.REST
        assert rest == sorted(rest)


NOTEBOOK = """
    import os, sys, time
    from procession import Pool, SpinOff

    path, gate = sys.argv[1:]

    def held(x):
        with open(path, "a") as file:
            file.write(f"{os.getpid()}\\n")
        while not os.path.exists(gate):
            time.sleep(0.002)
        return x, os.getpid()

    pool = Pool(2)
    futures = [pool.submit(held, n) for n in range(4)]
    spin = SpinOff(held)
    put = spin.put("spun")
    for wait in (futures[0].result, lambda: next(iter(pool.map(held, [5]))), put.result):
        try:
            print("waiting", flush=True)
            wait()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    open(gate, "w").close()
    assert [f.result()[0] for f in futures] == [0, 1, 2, 3]
    assert len({f.result()[1] for f in futures}) <= 2
    assert {f.result()[1] for f in futures} >= set(pool._processes)          # the same workers as before
    assert put.result()[0] == "spun"
    assert pool.submit(abs, -3).result() == 3
    assert list(pool.map(abs, [-1, -2])) == [1, 2]
    spin.close()
    assert [value for value, _ in spin] == ["spun"]
    pool.shutdown()
    print("whole")
"""


def test_result_interrupted_leaves_the_pool_whole(tmp_path: Path, notes: Notes, gate) -> None:
    """Row: Ctrl-C. As in a notebook: `result()`, `map` and a spin-off's future are interrupted, caught, and asked
    again; the workers, which had the ^C as well, go on with what they run."""
    with Program(tmp_path / "program", NOTEBOOK, notes.path, gate.path, tty=True) as program:
        notes.wait(3)
        for times in (1, 2, 3):
            wait_until(lambda times=times: program.out.count("waiting") == times, "the program to wait")
            program.interrupt()
            wait_until(lambda times=times: program.out.count("interrupted") == times, "the interruption")
        assert program.wait() == 0, program.out
        assert program.out.splitlines()[-1] == "whole"


SUBPROCESS = """
    import subprocess, sys
    from procession import Pool

    def ask():
        code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()

    with Pool(1) as pool:
        print(pool.submit(ask).result())
"""


def test_a_tasks_subprocess_hears_it(tmp_path: Path) -> None:
    """Row: Ctrl-C. A worker's own way not to hear SIGINT is not inherited by the programs that a task starts."""
    assert run_program(tmp_path, SUBPROCESS) == "True\n"


STARTING = """
    import os, signal, sys
    from multiprocessing import get_context
    from procession import Pool

    def masked():
        return sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    def strike():
        os.kill(os.getpid(), signal.SIGINT)

    if __name__ != "__main__":
        strike()
    else:
        if sys.argv[1] == "fork":
            os.register_at_fork(after_in_child=strike)
        with Pool(1, mp_context=get_context(sys.argv[1])) as pool:
            print(pool.submit(abs, -3).result(), pool.submit(masked).result(), masked())
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_while_a_worker_of_a_context_starts(tmp_path: Path, method: str) -> None:
    """Row: Ctrl-C. It comes before the worker has a handler: as soon as there was a fork, or while the program's module
    is imported. It is heard when there is one."""
    assert run_program(tmp_path, STARTING, method) == "3 [] []\n"
