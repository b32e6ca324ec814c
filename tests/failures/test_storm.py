"""Signals that raise in the main thread, at any instruction: no task is lost, every future resolves.

A timer interrupts the main thread every 0.2 to 2 ms, and its handler raises. The work loop catches what comes out and
goes on; what it was given before counts. A Future that submit never returned cannot be asked; its task must not hang
the pool either, which the drain at the end shows.
"""

import contextlib
import gc
import itertools
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from typing import Any

import pytest

from procession import Full, Pool, SpinOff
from procession.backends import condition
from tests import warm
from tests.failures import tasks
from tests.failures.kit import PATIENCE, Gate, Notes, seeded, wait_until

kept_zygote = warm.keep()

BACKENDS = ["processes", "threads"]
SECONDS = 0.6  # for each of eight places, on two backends: about 10 s of storm in all
LEAST = 10


class Thunder(BaseException):
    """What the handler raises. Like KeyboardInterrupt no Exception: one that strikes while arguments are pickled would
    be taken for a fault of the arguments, and come out as the cause of a PicklingError."""


class Storm:
    """Raises in the main thread for so many seconds, and until it has struck more than LEAST times, then no more;
    `count` says how often."""

    def __init__(self, rng: random.Random, seconds: float) -> None:
        self.rng = rng
        self.seconds = seconds
        self.until = 0.0
        self.count = 0
        self.begun = False

    def begin(self) -> None:
        """Again and again is no harm: whoever calls this may be struck in it."""
        if not self.begun:
            signal.signal(signal.SIGALRM, self.strike)
            self.until = time.monotonic() + self.seconds
            self.begun = True
            self.arm()

    def arm(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self.rng.uniform(0.0002, 0.002))

    def strike(self, signum: int, frame: object) -> None:
        if self.rages():
            self.count += 1
            self.arm()
            raise Thunder

    def rages(self) -> bool:
        over = time.monotonic() - self.until
        return over < 0 or (self.count <= LEAST and over < PATIENCE)


@contextmanager
def storm(seconds: float = SECONDS) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Gives `during(body)`: call `body` again and again while it rages, whatever is raised into it."""
    it = Storm(seeded(), seconds)
    handler = signal.getsignal(signal.SIGALRM)
    before, unraised = sys.unraisablehook, []  # it strikes in finalizers, too, where nothing can be raised

    def unraisable(what: Any) -> None:
        unraised.append(what.exc_type)

    sys.unraisablehook = unraisable

    def again_and_again(body: Callable[[], object]) -> None:
        while True:
            try:
                it.begin()
                while it.rages():
                    try:
                        body()
                    except Thunder:
                        pass
                return
            except Thunder:  # it struck between the lines
                pass

    def during(body: Callable[[], object]) -> None:
        while True:
            try:
                again_and_again(body)
                break
            except Thunder:  # and between those
                pass
        print(f"struck {it.count} times")
        assert it.count > LEAST

    try:
        yield during
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        gc.collect()
        sys.unraisablehook = before
    assert set(unraised) <= {Thunder}


pytestmark = pytest.mark.timeout(method="thread")


@pytest.mark.parametrize("backend", BACKENDS)
def test_locks_left_behind(backend: str, notes: Notes, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row: Signals that raise in the main thread. `concurrent.futures.wait`, struck while it acquires its futures,
    leaves their locks held: they resolve all the same, and not each of them after a wait of its own."""
    monkeypatch.setattr(condition, "LOOK", 0.02)
    waited: list[float | None] = []

    def acquire(self: condition.FutureCondition, blocking: bool = True, timeout: float = -1) -> bool:
        if blocking and threading.current_thread() is not leaver:
            waited.append(timeout)
        return super(condition.FutureCondition, self).acquire(blocking, timeout)

    monkeypatch.setattr(condition.FutureCondition, "acquire", acquire, raising=False)
    with Pool(1, backend=backend) as pool:
        futures = [pool.submit(tasks.held, notes.path, gate.path, n) for n in range(500)]
        notes.wait(1)
        leaver = threading.Thread(target=lambda: [future._condition.acquire() for future in futures])
        leaver.start()
        leaver.join()
        gate.open()
        assert [future.result(60) for future in futures] == list(range(500))
        assert 1 <= len(waited) <= condition.LOOKS, "found out once"
        fresh = [pool.submit(tasks.double, n) for n in range(500)]
        assert len(wait(fresh, 60).done) == 500


@pytest.mark.parametrize("backend", BACKENDS)
def test_submit(backend: str) -> None:
    """Row: Signals that raise in the main thread. Over submit: each Future that was returned resolves."""
    futures: list = []
    with Pool(2, backend=backend) as pool, storm() as during:

        def body() -> None:
            for _ in range(100):
                n = len(futures)
                futures.append((n, pool.submit(tasks.double, n)))
            futures[-1][1].result(60)

        during(body)
        assert futures
        for n, future in futures:
            assert future.result(60) == 2 * n
        assert pool.submit(tasks.double, 4).result(60) == 8
        assert pool.stats().pending == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropping(backend: str) -> None:
    """Row: Signals that raise in the main thread. Over pools that are dropped, whose finalizers it strikes, too: each
    ends all the same, with its driver and its workers."""
    before = threading.active_count()
    with storm() as during:

        def body() -> None:
            assert Pool(1, backend=backend).submit(tasks.double, 2).result(60) == 4

        during(body)
    gc.collect()
    wait_until(lambda: threading.active_count() <= before, "the end of all drivers", 90)  # one after another


@pytest.mark.parametrize("backend", BACKENDS)
def test_result(backend: str) -> None:
    """Row: Signals that raise in the main thread. Over result(): interrupted, asked again, answered."""
    with Pool(2, backend=backend) as pool, storm() as during:
        open_ones: dict = {}

        def body() -> None:
            if len(open_ones) < 5:
                n = len(open_ones) + 10
                future = pool.submit(tasks.double, n)
                open_ones[future] = n
            for future in list(open_ones):
                assert future.result(60) == 2 * open_ones[future]
                del open_ones[future]

        during(body)
        for future, n in open_ones.items():
            assert future.result(60) == 2 * n
        assert pool.submit(tasks.double, 4).result(60) == 8


@pytest.mark.parametrize("backend", BACKENDS)
def test_map(backend: str) -> None:
    """Row: Signals that raise in the main thread. Over map and imap: a stream that was cut off harms no other."""
    with Pool(2, backend=backend) as pool, storm() as during:
        whole = 0

        def body() -> None:
            nonlocal whole
            assert list(pool.map(tasks.double, range(50))) == [2 * n for n in range(50)]
            whole += 1
            stream = pool.imap(tasks.double, range(50))
            try:
                assert list(stream) == [2 * n for n in range(50)]
            finally:
                stream.close()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # streams dropped before they were begun
            during(body)
        print(f"{whole} came through whole")
        assert list(pool.map(tasks.double, range(5000))) == [2 * n for n in range(5000)]
        assert list(pool.imap(tasks.double, range(500))) == [2 * n for n in range(500)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_spinoff_put(backend: str) -> None:
    """Row: Signals that raise in the main thread. Over put: all that put has returned is handed over, in order, once;
    of what it was interrupted in, some is."""
    tried = itertools.count()
    put: list[tuple[int, Any]] = []
    with SpinOff(tasks.same, backend=backend, maxsize=1_000_000) as spin, storm() as during:

        def body() -> None:
            n = next(tried)
            put.append((n, spin.put(n)))

        during(body)
    got = list(spin)
    assert got == sorted(set(got))
    assert {n for n, _ in put} <= set(got)
    assert [future.result(0) for _, future in put] == [n for n, _ in put]
    assert len(got) <= next(tried)


@pytest.mark.parametrize("backend", BACKENDS)
def test_spinoff_ready(backend: str) -> None:
    """Row: Signals that raise in the main thread. Over put, ready and next: what is handed over is in order and comes
    once; what an interrupted `ready()` had in hand is still in its Future."""
    tried = itertools.count()
    put: list[tuple[int, Any]] = []
    got: list[int] = []
    with SpinOff(tasks.same, backend=backend, maxsize=100) as spin, storm() as during:

        def body() -> None:
            got.extend(spin.ready())  # first: a put that waits for room has nobody else to make it
            for _ in range(10):
                n = next(tried)
                with contextlib.suppress(Full):  # nobody has come to take anything yet
                    put.append((n, spin.put(n)))
            got.append(next(iter(spin)))

        during(body)
    got.extend(spin)
    assert got == sorted(set(got))
    assert [future.result(0) for _, future in put] == [n for n, _ in put]


@pytest.mark.parametrize("backend", BACKENDS)
def test_making_and_leaving(backend: str) -> None:
    """Row: Signals that raise in the main thread. Over making, using and leaving pools: nothing of them stays."""
    with storm() as during:

        def body() -> None:
            with Pool(1, backend=backend) as pool:
                assert pool.submit(tasks.double, 2).result(60) == 4

        during(body)
    with Pool(1, backend=backend) as pool:
        assert pool.submit(tasks.double, 2).result(60) == 4
    # A hundred pools may have been dropped with a task each, and a zygote to start for it: that takes a while.
    wait_until(
        lambda: not [each.name for each in threading.enumerate() if "procession-driver" in each.name], "the end", 90
    )
