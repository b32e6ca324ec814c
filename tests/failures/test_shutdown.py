"""Shutdown, from every place where somebody may call it."""

import os
import signal
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from procession import Pool, SpinOff
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, gone, run_program, wait_until

BACKENDS = ["processes", "threads"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("wait", [True, False])
def test_from_a_callback(backend: str, wait: bool) -> None:
    """Row: Shutdown from anywhere. A done-callback shuts its own pool down: it returns, and the rest still runs."""
    returned = threading.Event()
    pool = Pool(2, backend=backend)
    futures = [pool.submit(tasks.double, i) for i in range(100)]

    def end(_: object) -> None:
        pool.shutdown(wait=wait)
        returned.set()

    futures[0].add_done_callback(end)
    assert returned.wait(60)
    assert [future.result(60) for future in futures] == [2 * i for i in range(100)]
    pool.shutdown()
    with pytest.raises(RuntimeError):
        pool.submit(tasks.double, 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.timeout(method="thread")
def test_from_a_signal_handler(backend: str, notes: Notes) -> None:
    """Row: Shutdown from anywhere. A handler that interrupts submit, result or shutdown itself, at any instruction."""
    for microseconds in range(100, 6_100, 400):
        pool = Pool(2, backend=backend)
        ended = []

        def handler(signum: int, frame: object, pool: Pool = pool, ended: list = ended) -> None:
            pool.shutdown(wait=False)
            ended.append(True)

        before = signal.signal(signal.SIGALRM, handler)
        futures = []
        try:
            signal.setitimer(signal.ITIMER_REAL, microseconds / 1e6)
            with pytest.raises(RuntimeError, match="shutdown"):
                while True:
                    futures.append(pool.submit(tasks.double, len(futures)))
            wait_until(lambda ended=ended: ended, "the handler")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        pool.shutdown()
        assert all(future.done() for future in futures)
        if futures and (futures[-1].cancelled() or isinstance(futures[-1].exception(), RuntimeError)):
            futures.pop()  # the one in whose submit it struck: too late to run, and answered so
        assert [future.result(60) for future in futures] == [2 * i for i in range(len(futures))]


@pytest.mark.timeout(method="thread")
def test_waiting_in_a_signal_handler(notes: Notes, gate: Gate) -> None:
    """Row: Shutdown from anywhere. `shutdown(wait=True)` in a handler that has interrupted `result()` returns, too."""
    with Pool(1) as pool:
        future = pool.submit(tasks.held, notes.path, gate.path, 7)
        notes.wait(1)

        def handler(signum: int, frame: object) -> None:
            gate.open()
            pool.shutdown(wait=True)

        before = signal.signal(signal.SIGUSR1, handler)
        try:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            assert future.result(60) == 7
            wait_until(lambda: os.path.exists(gate.path), "the handler")
        finally:
            signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_twice(backend: str) -> None:
    """Row: Shutdown from anywhere. Twice, before any work, after `with`, with and without waiting: each returns."""
    pool = Pool(2, backend=backend)
    pool.shutdown()
    pool.shutdown(wait=False)
    pool.shutdown(cancel_futures=True)
    with Pool(2, backend=backend) as pool:
        future = pool.submit(tasks.double, 1)
        pool.shutdown(wait=False)
        pool.shutdown(wait=True)
        pool.shutdown(wait=True)
        assert future.result(0) == 2
    pool.shutdown()


@pytest.mark.parametrize("backend", BACKENDS)
def test_from_two_threads(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: Shutdown from anywhere. From many threads at once, while others submit: all return, no future is lost."""
    for _ in range(5):
        pool = Pool(2, backend=backend)
        futures: list = []
        started = threading.Barrier(6)

        def submit(pool: Pool = pool, futures: list = futures, started: threading.Barrier = started) -> None:
            started.wait()
            try:
                for i in range(100_000):
                    futures.append((i, pool.submit(tasks.double, i)))
            except RuntimeError:
                pass

        def end(pool: Pool = pool, futures: list = futures, started: threading.Barrier = started) -> None:
            started.wait()
            wait_until(lambda: len(futures) > 200, "some work")
            pool.shutdown(wait=True)

        threads = [threading.Thread(target=each) for each in (submit, submit, end, end, end)]
        for thread in threads:
            thread.start()
        started.wait()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        late = 0  # handed over just when it ended: answered with why not, at most one a thread
        for i, future in futures:
            try:
                assert future.result(60) == 2 * i
            except (CancelledError, RuntimeError):
                late += 1
        assert late <= 2


class Struck(BaseException):
    pass


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.timeout(method="thread")
def test_struck_while_it_waits(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: Shutdown from anywhere. A handler that raises ends the waiting; who calls it again waits again."""

    def strike(signum: int, frame: object) -> None:
        raise Struck

    pool = Pool(1, backend=backend)
    future = pool.submit(tasks.held, notes.path, gate.path, 7)
    notes.wait(1)
    before = signal.signal(signal.SIGALRM, strike)
    try:
        for _ in range(3):
            with pytest.raises(Struck):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                pool.shutdown()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not future.done()
    threading.Timer(0.1, gate.open).start()
    pool.shutdown()
    assert future.done()
    assert future.result() == 7


@pytest.mark.parametrize("word", ["terminate_workers", "kill_workers"])
def test_killing_ends_it(word: str, notes: Notes) -> None:
    """Row: Shutdown from anywhere. `terminate_workers` and `kill_workers` end it now, whatever runs."""
    pool = Pool(2)
    futures = [pool.submit(stuck, notes.path) for stuck in (tasks.spin_c, tasks.sleep_long, tasks.sleep_long)]
    notes.wait(2)
    pids = list(pool._processes)
    getattr(pool, word)()
    assert all(future.done() for future in futures)
    wait_until(lambda: all(map(gone, pids)), "the end of its workers")
    with pytest.raises(RuntimeError):
        pool.submit(tasks.double, 1)


def test_a_spinoff_closed_in_its_own_callback() -> None:
    """Row: Shutdown from anywhere. `close()` and `cancel()` from `on_result`."""
    for word in ("close", "cancel"):
        seen: list = []
        made: list[SpinOff] = []

        def on_result(value: int, word: str = word, seen: list = seen, made: list[SpinOff] = made) -> None:
            seen.append(value)
            getattr(made[0], word)()

        made.append(SpinOff(tasks.double, on_result=on_result))
        made[0].put(1)
        wait_until(lambda seen=seen: seen, "on_result")
        wait_until(lambda made=made: refuses(made[0]), "the end of input")
        assert made[0].join(60)
        assert seen[0] == 2


def refuses(spin: SpinOff) -> bool:
    try:
        spin.put(2)
    except RuntimeError:
        return True
    return False


# ----------------------------------------------------------------------------------------------------- interpreter exit

AT_EXIT = """
    import sys, time
    from procession import Pool, SpinOff

    def save(n):
        time.sleep(0.01)
        with open(f"{sys.argv[1]}/saved-{n}", "w") as file:
            file.write("saved")
        return n

    pool = Pool(2, backend=sys.argv[2])
    futures = [pool.submit(save, n) for n in range(20)]
    spin = SpinOff(save, backend=sys.argv[2])
    for n in range(20, 40):
        spin.put(n)
    print("main is over", flush=True)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_end_of_the_interpreter_drains(tmp_path: Path, backend: str) -> None:
    """Row: Shutdown from anywhere. A program that just ends: the queue drains first, as with the stdlib."""
    out = run_program(tmp_path / "program", AT_EXIT, tmp_path, backend)
    assert out == "main is over\n"
    assert len(list(tmp_path.glob("saved-*"))) == 40


@pytest.mark.parametrize("backend", BACKENDS)
def test_with_all_its_workers(tmp_path: Path, backend: str) -> None:
    """Row: Shutdown from anywhere. It drains as wide as it would have run: four tasks meet, though 3.12 starts no
    thread any more when the program ends right after its submits."""
    source = """
        import os, sys, time
        from procession import Pool

        def meet(path, n):
            open(f"{path}/arrived-{n}", "w").close()
            until = time.monotonic() + 30
            while sum(name.startswith("arrived") for name in os.listdir(path)) < 4 and time.monotonic() < until:
                time.sleep(0.005)
            os.write(1, b"met\\n" if time.monotonic() < until else b"alone\\n")

        pool = Pool(4, backend=sys.argv[2])
        futures = [pool.submit(meet, sys.argv[1], n) for n in range(4)]
    """
    assert run_program(tmp_path / "program", source, tmp_path, backend).split() == ["met"] * 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_so_does_leaving_by_an_exception(tmp_path: Path, backend: str) -> None:
    """Row: Shutdown from anywhere. By an exception that nobody catches, or sys.exit: it drains as well."""
    out = run_program(tmp_path / "program", AT_EXIT + "    raise ValueError('the end')\n", tmp_path, backend, code=1)
    assert out.splitlines()[-1] == "ValueError: the end"
    assert len(list(tmp_path.glob("saved-*"))) == 40


@pytest.mark.parametrize("backend", BACKENDS)
def test_leaving_by_keyboard_interrupt_does_not(tmp_path: Path, backend: str) -> None:
    """Row: Shutdown from anywhere. Leaving by KeyboardInterrupt does not drain: the user has asked for an end."""
    source = AT_EXIT.replace("time.sleep(0.01)", "time.sleep(3600 if n else 0)") + "    raise KeyboardInterrupt\n"
    out = run_program(tmp_path / "program", source, tmp_path, backend, code=-2)
    assert out.splitlines()[-1] == "KeyboardInterrupt"
    assert len(list(tmp_path.glob("saved-*"))) <= 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_submit_while_it_ends(tmp_path: Path, backend: str) -> None:
    """Row: Shutdown from anywhere. Work submitted while the interpreter ends is refused or done, never lost."""
    source = """
        import atexit, sys, threading
        from procession import Pool

        pool = Pool(1, backend=sys.argv[1])
        assert pool.submit(abs, -1).result() == 1

        def late():
            threading.main_thread().join()
            for n in range(10_000):
                try:
                    future = pool.submit(abs, -n)
                except RuntimeError as error:
                    print("refused" if "shutdown" in str(error) else error, flush=True)
                    return
                assert future.result(30) == n

        threading.Thread(target=late).start()
    """
    assert run_program(tmp_path, source, backend).splitlines() in ([], ["refused"])
