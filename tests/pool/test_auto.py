"""`max_workers="auto"` on real workers: what they do is measured, and the pool follows."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from procession import Pool, cpu, shared_pool
from procession.backends import cpu_time
from procession.pool import PoolStats
from tests import warm
from tests.contract import work
from tests.contract.conftest import Gate

kept_zygote = warm.keep()

PATIENCE = 60.0
BACKENDS = ["processes", "threads"]


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two CPUs, by what the pools are told."""
    monkeypatch.setattr(cpu, "available", lambda root="/": 2)


MakePool = Callable[..., Pool]
Wait = Callable[[int], Any]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path)
    yield made
    made.close()


@pytest.fixture
def wait(gate: Gate) -> Wait:
    """A task that waits at the gate."""
    return partial(work.pass_gate, *gate.paths)


@pytest.fixture
def auto(gate: Gate) -> Iterator[MakePool]:
    """Pools that are gone after the test, whatever it left there."""
    made: list[Pool] = []

    def make(backend: str, *args: Any, **words: Any) -> Pool:
        pool = Pool("auto", *args, backend=backend, **words)  # type: ignore[arg-type]
        made.append(pool)
        return pool

    yield make
    gate.open(1000)
    for pool in made:
        pool.shutdown(wait=True, cancel_futures=True)


def results(gate: Gate, futures: list[Any]) -> list[int]:
    """Of those that wait there."""
    gate.open(len(futures))
    return [future.result(PATIENCE) for future in futures]


def until(pool: Pool, true: Callable[[PoolStats], bool]) -> PoolStats:
    end = time.monotonic() + PATIENCE
    while True:
        found = pool.stats()
        if true(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.01)


@pytest.mark.parametrize("backend", BACKENDS)
def test_tasks_that_wait_get_more_workers(backend: str, auto: MakePool, gate: Gate, wait: Wait) -> None:
    pool = auto(backend, max_workers_cap=7)
    assert pool.stats().max_workers == 2
    futures = [pool.submit(wait, number) for number in range(20)]
    found = until(pool, lambda stats: stats.busy == 7)
    assert found.max_workers == 7
    assert found.auto is not None
    assert (found.auto.cpus, found.auto.cap) == (2, 7)
    assert found.auto.on_cpu < 0.5
    assert "items waited" in found.auto.why
    assert results(gate, futures) == list(range(20))


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_more_than_there_is_work_for(backend: str, auto: MakePool, gate: Gate, wait: Wait) -> None:
    pool = auto(backend)
    futures = [pool.submit(wait, number) for number in range(5)]
    assert until(pool, lambda stats: stats.busy == 5).max_workers <= 5
    assert results(gate, futures) == list(range(5))


def compute(number: int) -> int:
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        pass
    return number


@pytest.mark.parametrize("backend", BACKENDS)
def test_tasks_that_compute_do_not(backend: str, auto: MakePool) -> None:
    """On a crowded machine a pool may have taken more for a while, which it gives back."""
    pool = auto(backend)
    end = time.monotonic() + PATIENCE
    while True:
        assert list(pool.imap(compute, range(60))) == list(range(60))
        found = pool.stats()
        assert found.auto is not None
        if backend == "threads":  # of these on a busy machine it is less clear
            break
        if found.max_workers == 2 and found.auto.on_cpu + found.auto.in_line > 0.5:
            break
        assert time.monotonic() < end, found


def watch_a_program(arrivals: str, tickets: str) -> None:
    """Starts a program that computes for ever, and waits for it until somebody opens the gate."""
    with subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) as program:
        work.pass_gate(arrivals, tickets)
        program.kill()


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_waits_for_a_program_that_computes_is_not_taken_to_wait(backend: str, auto: MakePool, gate: Gate) -> None:
    pool = auto(backend)
    future = pool.submit(watch_a_program, *gate.paths)

    def computes(stats: PoolStats) -> bool:
        return stats.auto is not None and stats.auto.on_cpu + stats.auto.in_line > 0.7

    until(pool, computes)
    results(gate, [future])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stream_widens_with_its_pool(backend: str, auto: MakePool, gate: Gate, wait: Wait) -> None:
    pool = auto(backend, max_workers_cap=40)
    stream = pool.imap(wait, range(200))
    until(pool, lambda stats: stats.busy == 16)  # its window was made for two workers
    taken: list[int] = []
    taker = threading.Thread(target=lambda: taken.extend(stream))
    taker.start()
    gate.open(16)
    until(pool, lambda stats: stats.busy > 16)
    gate.open(184)
    taker.join(PATIENCE)
    assert taken == list(range(200))


@pytest.mark.parametrize("backend", BACKENDS)
def test_with_a_rate_too(backend: str, auto: MakePool, gate: Gate, wait: Wait) -> None:
    pool = auto(backend, max_workers_cap=6)
    stream = pool.imap(wait, range(30), rate=1000.0)
    until(pool, lambda stats: stats.busy == 6)
    gate.open(30)
    assert list(stream) == list(range(30))


def test_inline_is_one() -> None:
    with Pool("auto", backend="inline") as pool:
        assert pool.submit(abs, -3).result() == 3
        assert pool.stats().max_workers == 1
        assert pool.stats().auto is None


def test_a_pool_of_a_fixed_width_says_nothing_of_it() -> None:
    with Pool(2) as pool:
        pool.submit(abs, -3).result()
        assert pool.stats().auto is None


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ({"max_workers": "all"}, TypeError, "or 'auto', not str"),
        ({"max_workers": 4, "max_workers_cap": 8}, TypeError, 'max_workers_cap is for max_workers="auto"'),
        ({"max_workers_cap": 8}, TypeError, 'max_workers_cap is for max_workers="auto"'),
        ({"max_workers": "auto", "max_workers_cap": 0}, ValueError, "max_workers_cap must be at least 1; got 0"),
        ({"max_workers": "auto", "max_workers_cap": 2.5}, TypeError, "max_workers_cap must be an integer"),
        ({"max_workers": "auto", "cap": 8}, TypeError, "use max_workers_cap"),
        ({"max_workers": "auto", "mp_context": multiprocessing.get_context("fork")}, ValueError, "incompatible"),
    ],
)
def test_words_that_make_no_sense(words: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says.replace("(", r"\(")):
        Pool(**words)


def test_the_shared_pool_has_a_width_that_is_said() -> None:
    with pytest.raises(TypeError, match="max_workers must be an integer or None"):
        shared_pool("auto")  # type: ignore[arg-type]


def test_by_multiprocessing(auto: MakePool, gate: Gate, wait: Wait) -> None:
    pool = auto("processes", multiprocessing.get_context("spawn"), max_workers_cap=3)
    futures = [pool.submit(wait, number) for number in range(6)]
    until(pool, lambda stats: stats.busy == 3)
    assert results(gate, futures) == list(range(6))


# -------------------------------------------------------------------------------------------------- what is measured


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Computes for 0.2 s, says so, and waits."""
    code = "import time, sys\nwhile time.process_time() < 0.2: pass\nprint('x', flush=True)\nsys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        process.stdout.read(1)
        yield process
        process.kill()


def test_what_a_process_takes(child: subprocess.Popen[bytes]) -> None:
    taken = cpu_time.of_process(child.pid)
    assert taken is not None
    assert 0.2e9 <= taken.cpu_ns < 5e9
    assert taken.queued_ns >= 0
    again = cpu_time.of_process(child.pid)
    assert again is not None
    assert again.cpu_ns - taken.cpu_ns < 0.1e9  # it waits


def test_what_a_process_has_started_counts() -> None:
    code = (
        "import subprocess, sys\n"
        "burn = 'import time\\nwhile time.process_time() < 0.2: pass\\nprint(1, flush=True)\\n'\n"
        "subprocess.run([sys.executable, '-S', '-c', burn], stdout=subprocess.DEVNULL)\n"
        "wait = burn + 'import sys; sys.stdin.read()'\n"
        "one = subprocess.Popen([sys.executable, '-S', '-c', wait], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "one.stdout.read(1)\n"
        "print('x', flush=True)\n"
        "sys.stdin.read()\n"
        "one.kill()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        taken = cpu_time.of_process(process.pid)
    assert taken is not None
    assert taken.cpu_ns >= 0.38e9  # 0.2 by one that has ended, to the hundredth, and 0.2 by one that is there


def test_what_a_thread_takes() -> None:
    told, go = threading.Event(), threading.Event()

    def burn() -> None:
        while time.thread_time() < 0.1:
            pass
        told.set()
        go.wait(PATIENCE)

    thread = threading.Thread(target=burn)
    thread.start()
    told.wait(PATIENCE)
    assert thread.native_id is not None
    taken = cpu_time.of_thread(thread.native_id)
    go.set()
    thread.join()
    assert taken is not None
    assert 0.1e9 <= taken.cpu_ns < 2e9


def test_what_is_gone_takes_nothing(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    assert cpu_time.of_process(child.pid) is None
    assert cpu_time.of_thread(child.pid) is None


def test_elsewhere_psutil_is_asked(monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]) -> None:
    pytest.importorskip("psutil")
    monkeypatch.setattr(cpu_time, "LINUX", False)
    taken = cpu_time.of_process(child.pid)
    assert taken is not None
    assert taken.cpu_ns >= 0.19e9
    assert taken.queued_ns == 0
    assert cpu_time.of_thread(threading.get_native_id()) is None


def test_where_nothing_is_known_the_pool_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, auto: MakePool, gate: Gate, wait: Wait
) -> None:
    monkeypatch.setattr(cpu_time, "LINUX", False)
    monkeypatch.setitem(sys.modules, "psutil", None)
    looked = threading.Event()
    asked = cpu_time._asked_psutil

    def ask(pid: int) -> None:
        assert asked(pid) is None
        looked.set()

    monkeypatch.setattr(cpu_time, "_asked_psutil", ask)
    pool = auto("processes")
    futures = [pool.submit(wait, number) for number in range(8)]
    for _ in range(10):
        looked.clear()
        assert looked.wait(PATIENCE)
    found = pool.stats()
    assert found.max_workers == 2
    assert found.auto is not None
    assert "as many as there are CPUs" in found.auto.why
    assert results(gate, futures) == list(range(8))
