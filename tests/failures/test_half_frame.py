"""Killed while a large result is being written: half a frame is no frame."""

import ctypes
import random
import signal
import sys
import termios
import threading
import time

import pytest

from procession import Pool, SpinOff, WorkerDied
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, quietly_kill, seeded

kept_zygote = warm.keep()

SIZE = 12_000_000


@pytest.fixture(params=["arena", "pipe"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By which way large results come: through an arena, or all of them through the pipe."""
    if request.param == "pipe":
        monkeypatch.setenv("PROCESSION_ARENA_BYTES", "0")
    name: str = request.param
    return name


def test_killed_while_it_writes_a_large_result(notes: Notes, gate: Gate, way: str) -> None:
    """Row: Half a frame is written. A worker killed when the pipe is full and nobody reads: that task alone fails.

    By an arena nothing is ever half there: what is written is published with a small frame, and then counts.
    """
    libc = ctypes.PyDLL(None)  # keeps the GIL while it runs, so that nobody here can read
    with Pool(1) as pool:
        future = pool.submit(tasks.role, "held_blob", notes.path, gate.path, SIZE)
        behind = pool.submit(tasks.role, "double", 2)
        notes.wait(1)
        worker = next(iter(pool._processes))
        (channel,) = pool._engine._driver.channels.values()
        results, waits = channel.results_fd, ctypes.c_int()
        interval = sys.getswitchinterval()
        sys.setswitchinterval(30)
        try:
            gate.open()
            if way == "arena":
                libc.usleep(2_000_000)  # it makes 12 MB and publishes all of it
            for _ in range(20_000 if way == "pipe" else 0):
                libc.ioctl(results, termios.FIONREAD, ctypes.byref(waits))
                if waits.value > 60_000:
                    break  # it has filled the pipe, or is about to: the rest of 12 MB does not go in
                libc.usleep(1000)
            libc.kill(worker, signal.SIGKILL)
        finally:
            sys.setswitchinterval(interval)
        if way == "pipe":
            assert isinstance(future.exception(60), WorkerDied)
        else:
            assert len(future.result(60)) == SIZE
        assert behind.result(60) == 4


@pytest.mark.parametrize("round", range(3))
def test_killed_at_random_instants(round: int) -> None:
    """Row: Half a frame is written. Large results, and kills at random instants: each task is answered right or
    fails with WorkerDied, and there are no more failures than kills."""
    rng = seeded()
    n = 24
    with Pool(2) as pool:
        pool.submit(tasks.double, 1).result(60)
        stop = threading.Event()
        kills = 0

        def killer() -> None:
            nonlocal kills
            while not stop.wait(rng.uniform(0.001, 0.06)):
                pids = list(pool._processes)
                if pids and kills < n // 2:
                    quietly_kill(random.Random(rng.random()).choice(pids))
                    kills += 1

        thread = threading.Thread(target=killer)
        thread.start()
        try:
            futures = [pool.submit(tasks.blob, SIZE, i) for i in range(n)]
            lost = 0
            for i, future in enumerate(futures):
                error = future.exception(90)
                if error is None:
                    value = future.result()
                    assert len(value) == SIZE
                    assert value[0] == value[-1] == i
                else:
                    assert isinstance(error, WorkerDied)
                    lost += 1
        finally:
            stop.set()
            thread.join()
        print(f"{kills} kills, {lost} of {n} lost")
        assert lost <= kills
        assert pool.submit(tasks.double, 3).result(60) == 6


def test_in_a_stream() -> None:
    """Row: Half a frame is written. The same in imap and a spin-off: in order, failures no more than kills."""
    rng = seeded()
    for make in (stream_of_pool, stream_of_spinoff):
        kills = lost = 0
        pids, stream = make()
        for i, value in enumerate(stream):
            if isinstance(value, WorkerDied):
                lost += 1
            else:
                assert value == bytes([i]) * len(value)
                assert len(value) == SIZE
            if rng.random() < 0.4:
                time.sleep(rng.uniform(0, 0.01))
                victim = pids()
                if victim:
                    quietly_kill(rng.choice(victim))
                    kills += 1
        print(f"{make.__name__}: {kills} kills, {lost} lost")
        assert lost <= kills


def stream_of_pool():
    pool = Pool(2)

    def stream():
        with pool:
            yield from pool.imap(tasks.blob, [SIZE] * 16, range(16), on_error="return", window=4)

    return lambda: list(pool._processes), stream()


def stream_of_spinoff():
    known: list[int] = []

    def stream():
        with SpinOff(blob_of, workers=2, on_error="return") as spin:
            for i in range(12):
                spin.put(i)
            spin.close()
            for value in spin:
                if not isinstance(value, WorkerDied):
                    value, pid = value
                    known[:] = [pid]
                yield value

    return lambda: list(known), stream()


def blob_of(seed: int) -> tuple[bytes, int]:
    return tasks.blob(SIZE, seed), tasks.pid_of_worker()
