"""`max_workers="auto"`: who looks, when, and what is made of what the system says, however odd that is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from procession import Pool, cpu
from procession.backends import cpu_time
from procession.backends.cpu_time import Taken
from procession.backends.joinable import JoinableThread
from procession.core import auto, events, phase
from procession.core.auto import TICK_NS, AutoWidth
from procession.core.rules import SECOND
from procession.core.state import State
from procession.driver import locked, metering
from procession.driver.metering import SHARE, Meter
from procession.driver.threads import ThreadEngine
from tests import warm

kept_zygote = warm.keep()

PATIENCE = 30.0
BACKENDS = ["processes", "threads"]


class World:
    """A host whose two workers are what a test says, and its clocks. They are called 10 and 11."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **words: Any) -> None:
        self.now, self.spent = SECOND, 0
        monkeypatch.setattr(metering, "monotonic_ns", lambda: self.now)
        monkeypatch.setattr(metering, "thread_time_ns", lambda: self.spent)
        self.core: Any = SimpleNamespace(in_flight=2, line=SimpleNamespace(items=5), workers={})
        self.done = self.failed = 0
        self.told: list[events.Measured] = []
        self.taken: dict[int, Taken | None] = {}
        self.cost = 0
        for wid in range(2):
            self.core.workers[wid] = SimpleNamespace(state=State.BUSY)
            self.taken[10 + wid] = Taken(0, 0)
        self.auto = AutoWidth(2, 8)
        self.meter = Meter(self, self.auto, self.take, lambda count: None, **words)

    def take(self, number: int) -> Taken | None:
        self.spent += self.cost
        return self.taken[number]

    def numbers_of_workers(self) -> dict[int, int]:
        return {wid: 10 + wid for wid in self.core.workers}

    def step(self, event: events.Event) -> None:
        assert isinstance(event, events.Measured)
        self.told.append(event)
        self.auto.next(event, self.auto.width)

    def look(self, cpu_ns: int = 0, queued_ns: int = 0, after: int = TICK_NS) -> events.Measured:
        """Both have taken so much more by then."""
        self.now += after
        for number, taken in self.taken.items():
            self.taken[number] = taken and Taken(taken.cpu_ns + cpu_ns, taken.queued_ns + queued_ns)
        self.meter.watch()
        return self.told[-1]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_what_ran_from_one_look_to_the_next(world: World) -> None:
    assert world.look().run_ns == 0
    seen = world.look(30_000_000, 10_000_000)
    assert (seen.run_ns, seen.cpu_ns, seen.queued_ns) == (2 * TICK_NS, 60_000_000, 20_000_000)
    assert (seen.running, seen.waiting) == (2, 5)


def test_a_rest_is_not_taken_for_waiting(world: World) -> None:
    world.look()
    world.meter.resting([0, 1])  # a burst has ended, and another one comes later
    seen = world.look(5_000_000, after=60 * SECOND)
    assert (seen.run_ns, seen.cpu_ns) == (0, 0)
    world.meter.resting([1])
    seen = world.look(90_000_000)
    assert (seen.run_ns, seen.cpu_ns) == (TICK_NS, 90_000_000)


def test_who_lives_for_less_than_a_tick_is_measured(world: World) -> None:
    world.look()
    for _ in range(3):
        world.core.workers = {wid + 2: worker for wid, worker in world.core.workers.items()}
        for wid in world.core.workers:
            world.taken[10 + wid] = Taken(7 * SECOND, 0)  # to begin with
        world.now += TICK_NS // 2
        for wid in world.core.workers:
            world.meter.began(wid)
        seen = world.look(1_000_000, after=TICK_NS // 2)
        assert (seen.run_ns, seen.cpu_ns) == (TICK_NS, 2_000_000)
    world.meter.resting([6, 7])
    assert world.look().run_ns == 0


def test_bursts_that_compute_get_no_more_workers(world: World) -> None:
    """They take a little longer than a tick, and the next look is at the beginning of the next one."""
    for _ in range(200):
        world.look(0, after=3 * TICK_NS)  # the first one comes at rest
        world.look(TICK_NS)
        world.meter.resting([0, 1])
    assert world.auto.width == 2
    assert world.auto.lately.on_cpu > 0.9


def test_nobody_was_in_line_for_less_than_no_time(world: World) -> None:
    """A program that has ended takes what it was in line with it."""
    world.look()
    world.look(queued_ns=TICK_NS)
    world.taken[10] = Taken(0, 0)
    assert world.look(queued_ns=TICK_NS // 2).queued_ns >= TICK_NS // 2


def test_no_more_is_taken_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else in this program has waited for one of his, which had computed for an hour."""
    ended = [0]
    monkeypatch.setattr(metering.os, "cpu_count", lambda: 4)
    world = World(monkeypatch, ended=lambda: ended[0])
    world.look()
    ended[0] = 3600 * SECOND
    assert world.look().cpu_ns == 4 * TICK_NS
    assert world.look().cpu_ns == 0
    ended[0] = 0  # not by this kernel
    assert world.look().cpu_ns == 0


def test_what_has_ended_before_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, ended=lambda: 3600 * SECOND)
    assert world.look().cpu_ns == 0
    world.look()
    assert world.auto.lately.on_cpu == 0.0


def test_where_nobody_was_measured_nothing_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = [0]
    world = World(monkeypatch, ended=lambda: ended[0])
    world.look()
    world.meter.resting([0, 1])
    ended[0] = SECOND
    assert world.look().cpu_ns == 0
    world.look()
    assert world.auto.lately.on_cpu == 0.0


def test_where_looking_is_dear_it_is_done_rarely(world: World) -> None:
    world.look()
    assert world.meter.wanted_at() == world.now + TICK_NS
    world.cost = 40_000_000  # for each of two
    world.look()
    assert world.meter.wanted_at() == world.now + SHARE * 80_000_000
    looks = len(world.told)
    world.look(after=SECOND)
    assert len(world.told) == looks
    world.look(after=SECOND)
    assert len(world.told) == looks + 1


def test_who_is_gone_is_left_out(world: World) -> None:
    world.look()
    world.taken[11] = None
    seen = world.look(TICK_NS)
    assert (seen.running, seen.run_ns, seen.cpu_ns) == (2, TICK_NS, TICK_NS)
    del world.core.workers[1]
    world.look(TICK_NS)


# -------------------------------------------------------------------------------------------------------- real pools


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two CPUs, by what the pools are told."""
    monkeypatch.setattr(cpu, "available", lambda root="/": 2)


class Gate:
    """For threads."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.began = threading.Semaphore(0)

    def __call__(self, number: int) -> int:
        self.began.release()
        assert self.opened.wait(PATIENCE)
        return number

    def await_begun(self, count: int) -> None:
        for _ in range(count):
            assert self.began.acquire(timeout=PATIENCE)


@pytest.fixture
def gates() -> Iterator[list[Gate]]:
    made = [Gate(), Gate()]
    yield made
    for gate in made:
        gate.opened.set()


def until(true: Callable[[], Any]) -> None:
    """For what happens soon by itself."""
    pause = threading.Event()
    for _ in range(round(PATIENCE * 100)):
        if true():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come")


def meter_of(pool: Pool) -> Meter | None:
    engine: Any = pool._engine
    found: Meter | None = engine.meter if isinstance(engine, ThreadEngine) else engine._driver._meter
    return found


def test_threads_that_idle_as_many_are_measured_when_work_comes(
    monkeypatch: pytest.MonkeyPatch, gates: list[Gate]
) -> None:
    """The driver sleeps until it is time to give something back; whoever finds all threads busy meanwhile rings it."""
    monkeypatch.setattr(auto, "CALM_NS", 3600 * SECOND)
    with Pool("auto", backend="threads", max_workers_cap=16) as pool:
        first = [pool.submit(gates[0], number) for number in range(8)]
        gates[0].await_begun(8)
        gates[0].opened.set()
        assert [each.result(PATIENCE) for each in first] == list(range(8))
        width: Any = pool._engine.core.auto  # type: ignore[attr-defined]
        until(lambda: width.idles_until is not None)
        second = [pool.submit(gates[1], number) for number in range(16)]
        gates[1].await_begun(16)
        gates[1].opened.set()
        assert [each.result(PATIENCE) for each in second] == list(range(16))


def test_threads_to_which_more_was_leased_than_they_run_are_measured(gates: list[Gate]) -> None:
    """What was cheap until now is leased in advance: it waits, and is in nobody's line."""
    gate = gates[0]
    with Pool("auto", backend="threads", max_workers_cap=16) as pool:
        both = [pool.submit(gate, number) for number in range(2)]
        gate.await_begun(2)
        gate.opened.set()
        assert [each.result(PATIENCE) for each in both] == [0, 1]
        for number in range(200):
            assert pool.submit(gate, number).result(PATIENCE) == number
        gate.await_begun(200)
        engine: Any = pool._engine
        until(lambda: not engine.meter.works and engine.rings_meter)
        gate.opened.clear()
        with engine.lock:  # the first thread that wakes finds them all
            for number in range(4):
                pool.submit(gate, number)
        gate.await_begun(4)
        gate.opened.set()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cap_below_the_cpus_is_the_reason(backend: str) -> None:
    with Pool("auto", backend=backend, max_workers_cap=1) as pool:  # type: ignore[arg-type]
        assert pool.submit(abs, -1).result(PATIENCE) == 1
        found = pool.stats()
        assert found.auto is not None
        assert (found.max_workers, found.auto.cap, found.auto.why) == (1, 1, "max_workers_cap is 1")


def test_threads_that_the_system_refuses_are_had_later(monkeypatch: pytest.MonkeyPatch, gates: list[Gate]) -> None:
    monkeypatch.setattr(phase, "HOLD_NS", SECOND // 4)
    monkeypatch.setattr(phase, "MOST_HOLD_NS", SECOND // 2)
    refused = False

    class Refused(JoinableThread):
        def start(self) -> None:
            if refused:
                raise RuntimeError("can't start new thread")
            super().start()

    monkeypatch.setattr(locked, "JoinableThread", Refused)
    gate = gates[0]
    with Pool("auto", backend="threads", max_workers_cap=8) as pool:
        first = [pool.submit(gate, number) for number in range(2)]
        gate.await_begun(2)
        refused = True
        rest = [pool.submit(gate, number) for number in range(2, 8)]

        def narrow() -> bool:
            found = pool.stats().auto
            return found is not None and found.why == "no more than 2 could be started"

        until(narrow)
        refused = False
        gate.await_begun(6)
        gate.opened.set()
        assert [each.result(PATIENCE) for each in first + rest] == list(range(8))


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_has_nothing_to_do_is_known_to_rest(backend: str) -> None:
    with Pool("auto", backend=backend) as pool:  # type: ignore[arg-type]
        looked = threading.Event()
        assert pool.submit(abs, -1).result(PATIENCE) == 1
        meter = meter_of(pool)
        assert meter is not None
        look = meter._look

        def spied(now: int) -> events.Measured:
            found = look(now)
            if meter._seen:
                looked.set()
            return found

        meter._look = spied  # type: ignore[method-assign]
        while not looked.is_set():
            list(pool.imap(spin, range(20), chunksize=1))
        until(lambda: not meter._seen)


def test_workers_that_run_one_item_each_are_measured() -> None:
    """There is not one of them that is seen at two looks."""
    with Pool("auto", max_tasks_per_child=1) as pool:
        for _ in range(200):
            list(pool.imap(spin, range(20), chunksize=1))
            if pool._engine.core.auto.lately._ns:  # type: ignore[attr-defined]
                break
        else:
            raise AssertionError("nothing was measured")


def spin(number: int) -> int:
    for _ in range(200_000):
        pass
    return number


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_cannot_be_measured_fails_nobody(
    backend: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def odd(number: int) -> Taken:
        raise ZeroDivisionError(number)

    monkeypatch.setattr(cpu_time, "of_process", odd)
    monkeypatch.setattr(cpu_time, "of_thread", odd)
    with caplog.at_level(logging.WARNING), Pool("auto", backend=backend) as pool:  # type: ignore[arg-type]
        while "cannot measure" not in caplog.text:
            assert list(pool.imap(spin, range(60), chunksize=1)) == list(range(60))
        meter = meter_of(pool)
        assert meter is None or meter.wanted_at() is None
        assert list(pool.imap(spin, range(20), chunksize=1)) == list(range(20))
        assert pool.stats().max_workers == 2
    assert caplog.text.count("cannot measure") == 1
