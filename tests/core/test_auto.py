"""`max_workers="auto"`, the pure part: widths on a machine that is a model (machine.py), and law by law."""

from itertools import chain, pairwise
from typing import Any

import pytest

from procession.core import commands, events
from procession.core.auto import CALM_NS, SETTLE_NS, TICK_NS, AutoWidth
from procession.core.phase import HOLD_NS, LONG_NS, MOST_HOLD_NS
from procession.core.pool import PoolCore
from procession.core.rules import SECOND
from procession.core.worker import State
from tests.core.machine import Item, Machine, fixed
from tests.core.stage import Stage, only

REFERENCE: list[Item] = [[("wait", 4000.0 if number == 9 else 1000.0)] for number in range(3, 31, 3)]
SLEEPS: Item = [("wait", 50.0)]
COMPUTES: Item = [("cpu", 50.0)]


def machine(cpus: int = 2, cap: int = 32, **words: Any) -> Machine:
    return Machine(AutoWidth(cpus, cap, locked=words.get("gil", False)), cpus, **words)


# ---------------------------------------------------------------------------------------------------------- whole loads


def test_the_reference_workload_ends_soon() -> None:
    it = machine()
    assert it.run(REFERENCE) <= 4400.0
    assert fixed(2, 2, REFERENCE) == 7000.0
    assert it.auto.width == len(REFERENCE)  # no more than there is work for


@pytest.mark.parametrize("cpus", [1, 2, 4, 16])
def test_a_load_that_computes_keeps_the_cpus(cpus: int) -> None:
    it = machine(cpus, 4 * cpus)
    it.run([COMPUTES] * 100 * cpus)
    assert {width for _, width in it.widths} == {cpus}


def test_others_on_the_machine_are_not_taken_for_waiting() -> None:
    it = machine(strangers=6)  # each worker has a quarter of a CPU, and is in line for the rest of the time
    it.run([COMPUTES] * 100)
    assert {width for _, width in it.widths} == {2}


def test_a_load_that_sleeps_gets_all_that_is_allowed() -> None:
    it = machine(cap=24)
    it.run([SLEEPS] * 2000)
    assert it.auto.width == 24
    climb = [width for _, width in it.widths]
    assert climb == sorted(climb)
    assert all(after <= 2 * before for before, after in pairwise(climb))


@pytest.mark.parametrize(
    ("item", "least", "most"),
    [
        ([("cpu", 20.0), ("wait", 20.0)], 3, 6),
        ([("cpu", 300.0), ("wait", 300.0)], 3, 8),
        ([("wait", 300.0), ("cpu", 300.0)], 3, 8),
        ([("cpu", 10.0), ("wait", 90.0)], 16, 32),
        ([("cpu", 40.0), ("wait", 4.0)], 2, 2),
    ],
)
def test_mixed_loads_get_what_keeps_the_cpus_busy(item: Item, least: int, most: int) -> None:
    items = [item] * (12_000 // int(item[0][1] + item[1][1]))
    it = machine()
    took = it.run(items)
    assert least <= it.auto.width <= most
    assert took <= 1.35 * min(fixed(2, width, items) for width in (2, 4, 8, 16, 32))


def test_a_load_that_changes_is_followed() -> None:
    it = machine()
    it.run([SLEEPS] * 2000)
    assert it.auto.width == 32
    it.run([COMPUTES] * 400)
    assert it.auto.width == 2
    it.run([SLEEPS] * 2000)
    assert it.auto.width == 32  # what had failed was another load


@pytest.mark.parametrize("held", [20.0, 30.0])
def test_a_lock_that_all_wait_for_is_found_out(held: float) -> None:
    it = machine()
    it.run([[("lock", held)]] * (60_000 // int(held)))
    late = [width for now, width in it.widths if now > 20_000]
    assert sum(width <= 4 for width in late) > 0.7 * len(late)
    assert any("gives no more" in why for why in it.whys)


def test_threads_that_compute_under_one_lock_are_not_multiplied() -> None:
    it = machine(gil=True)
    it.run([[("cpu", 30.0)]] * 300)
    assert max(width for _, width in it.widths) == 2


def test_threads_that_begin_to_compute_are_taken_back() -> None:
    it = machine(gil=True)
    it.run(chain([SLEEPS] * 2000, [[("cpu", 30.0)]] * 600))
    assert it.auto.width <= 3


def test_threads_that_are_missed_come_back() -> None:
    items: list[Item] = [[("cpu", 5.0), ("wait", 95.0)]] * 3000
    it = machine(cap=27, gil=True)  # so many take nearly all of the lock, and fewer would take less
    it.run(items)
    probed = [why for why in it.whys if "interpreter's lock" in why]
    assert probed
    assert sum(width == 27 for _, width in it.widths) > 0.8 * len(it.widths)
    assert len(probed) <= 4  # each time it takes longer to the next


def test_what_is_not_used_is_given_back() -> None:
    it = machine()
    it.run([SLEEPS] * 1000)
    assert it.auto.width == 32
    it.idle(CALM_NS / 1e6 - 500)
    assert it.auto.width == 32
    it.idle(CALM_NS / 1e6 + 1000)  # at the beginning of the first of these times some still ran
    assert it.auto.width == 2
    assert "no item has waited for 10 s" in it.auto.why


# ----------------------------------------------------------------------------------------------------------- law by law


class Told:
    """An AutoWidth that is told what it is to be told, a tick after another."""

    def __init__(self, start: int = 2, cap: int = 32, **words: Any) -> None:
        self.auto = AutoWidth(start, cap, **words)
        self.now = SECOND

    def tick(
        self,
        on_cpu: float = 0.0,
        in_line: float = 0.0,
        waiting: int = 100,
        done: int = 0,
        running: int | None = None,
        room: int | None = None,
        allowed: int | None = None,
        passed: int = TICK_NS,
        run_ns: int | None = None,
    ) -> int:
        self.now += passed
        narrowed = allowed is not None
        allowed = self.auto.width if allowed is None else allowed
        running = allowed if running is None else running
        run_ns = running * passed if run_ns is None else run_ns
        seen = events.Measured(
            self.now, running, waiting, done, run_ns, round(on_cpu * run_ns), round(in_line * run_ns), room
        )
        return self.auto.next(seen, allowed, narrowed)

    def ticks(self, ns: int, **words: Any) -> list[int]:
        return [self.tick(**words) for _ in range(ns // TICK_NS)]


def test_between_two_growths_there_is_time() -> None:
    told = Told()
    found = [told.tick() for _ in range(9)]
    assert [(found.count(width)) for width in (4, 8, 16)] == [SETTLE_NS // TICK_NS] * 3


@pytest.mark.parametrize(
    "words",
    [
        {"waiting": 0},
        {"running": 1},
        {"on_cpu": 1.0},
        {"on_cpu": 0.5, "in_line": 0.5},
        {"on_cpu": 0.9},
        {"on_cpu": 2.5},  # each has several threads
        {"done": 2000},  # 0.1 ms each
        {"room": 0},
        {"allowed": 1},
    ],
)
def test_when_it_does_not_grow(words: dict[str, Any]) -> None:
    told = Told()
    assert set(told.ticks(3 * SECOND, **words)) == {2}


def test_it_grows_to_what_takes_the_cpus_whole() -> None:
    told = Told()
    told.ticks(3 * SECOND, on_cpu=0.2)
    assert told.auto.width == 13  # 2 / 0.2, and a quarter, as waits do not come when they would be wanted
    told = Told()
    told.ticks(3 * SECOND, on_cpu=0.24)
    assert told.auto.width == 8  # these take 1.92 CPUs


def test_it_grows_to_no_more_than_there_is_work_for() -> None:
    told = Told()
    assert set(told.ticks(SECOND, waiting=1)[3:]) <= {3, 4, 5, 6, 7}
    told = Told()
    told.tick()
    assert told.tick(waiting=1) == 3


def test_it_grows_to_no_more_than_there_is_memory_for() -> None:
    told = Told()
    told.ticks(SECOND, room=1)
    assert told.auto.width <= 12
    told = Told()
    told.tick(room=1)
    assert told.tick(room=1) == 3


def test_a_cap_below_the_cpus() -> None:
    told = Told(8, 3)
    assert told.auto.width == 3
    assert set(told.ticks(3 * SECOND)) == {3}
    assert "max_workers_cap is 3" in told.auto.why or "0%" in told.auto.why


def test_a_growth_that_brings_nothing_is_taken_back_and_tried_less_and_less() -> None:
    told, grown = Told(), []
    for _ in range(int(400 * SECOND // TICK_NS)):
        before = told.auto.width
        if told.tick(done=5) > before:
            grown.append(told.now)
    waits = [after - before for before, after in pairwise(grown)]
    assert len(grown) >= 4
    assert waits[0] >= HOLD_NS
    assert max(waits) >= MOST_HOLD_NS
    assert waits == sorted(waits)


def test_a_growth_that_brings_something_stays() -> None:
    told = Told(cap=8)
    for _ in range(100):
        told.tick(done=2 * told.auto.width)
    assert told.auto.width == 8


def test_items_that_take_long_prove_nothing() -> None:
    told = Told()
    told.ticks(LONG_NS * 3)
    assert told.auto.width == 32


def test_the_second_try_is_smaller() -> None:
    told = Told(4, 64)
    widths = [told.tick(done=10) for _ in range(200)]
    tries = [after for before, after in pairwise(widths) if after > before]
    assert tries[0] == 8
    assert tries[1] == 6
    assert tries[2] == 5


def test_who_stands_in_line_is_taken_back() -> None:
    told = Told()
    told.ticks(2 * SECOND)
    assert told.auto.width == 32
    widths: list[int] = []
    for _ in range(80):
        width = told.auto.width
        widths.append(told.tick(on_cpu=min(1.0, 2 / width), in_line=1 - min(1.0, 2 / width)))
    assert widths[-1] == 2
    assert all(after >= before // 2 for before, after in pairwise(widths))
    assert "stood in line for the 2 CPUs" in told.auto.why or "on a CPU for" in told.auto.why


def test_what_is_taken_back_since_it_stands_in_line_is_not_judged_once_more() -> None:
    told = Told()
    while told.auto.width == 2:
        told.tick(on_cpu=0.2, done=20)
    assert told.auto.width == 4
    while told.auto.width == 4:
        told.tick(on_cpu=0.9, in_line=0.9, done=1)  # of several threads each
    assert told.auto.width == 2
    assert "stood in line" in told.auto.why
    told.ticks(SECOND, on_cpu=0.95, done=10)  # fewer end than before, of which there are as many workers
    assert "gives no more" not in told.auto.why
    assert told.auto._hold.until <= told.now + HOLD_NS


def test_nothing_measured_nothing_changed() -> None:
    auto = AutoWidth(2, 32)
    for number in range(50):
        assert auto.next(events.Measured(SECOND + number * TICK_NS, 2, 100, 3, 0, 0, 0), 2) == 2


def test_what_could_not_be_started_is_not_asked_for_again() -> None:
    told = Told()
    told.ticks(SECOND // 2)
    width = told.auto.width
    assert set(told.ticks(SECOND, allowed=3)) == {width}
    assert told.auto.why == "no more than 3 could be started"
    assert not told.auto.again


def test_what_could_not_be_started_is_tried_again_less_and_less() -> None:
    told = Told()
    told.ticks(SECOND // 2)
    tries = []
    for _ in range(400 * SECOND // TICK_NS):
        told.tick(allowed=3)
        if told.auto.again:
            tries.append(told.now)
    waits = [after - before for before, after in pairwise(tries)]
    assert waits == sorted(waits)
    assert waits[0] == 2 * HOLD_NS
    assert waits[-1] == MOST_HOLD_NS
    told.tick()  # now they have been started
    assert told.tick(allowed=3) == told.auto.width
    told.ticks(HOLD_NS, allowed=3)
    assert told.auto.again  # that was another failure, the first


def test_who_could_not_all_be_started_and_stand_in_line_are_taken_back() -> None:
    told = Told()
    told.ticks(2 * SECOND)
    told.ticks(5 * SECOND, allowed=8, on_cpu=0.25, in_line=0.75)
    assert told.auto.width == 2


def test_in_line_all_the_time_and_never_on_a_cpu() -> None:
    told = Told()
    told.ticks(2 * SECOND)
    told.tick(waiting=0, passed=1000 * SECOND, run_ns=0)  # by now nothing is left of what was measured
    told.tick(passed=1000 * SECOND)
    assert told.tick(in_line=1.0, passed=1000 * SECOND) <= 32  # somebody was in line, and nobody on a CPU
    told.ticks(5 * SECOND, in_line=1.5)
    assert told.auto.width == 2


def test_after_a_pause_it_begins_to_measure_anew() -> None:
    told = Told()
    told.tick(on_cpu=0.0)
    assert told.auto.width == 2  # it waits, and would grow with the next
    told.tick(waiting=100, passed=60 * SECOND, run_ns=0)  # a pause: nobody has run all the time since
    assert set(told.ticks(3 * SECOND, on_cpu=0.95)) == {2}
    assert told.auto.lately.on_cpu == pytest.approx(0.95)


def test_of_whom_nothing_is_known_yet_it_is_taken_that_he_is_like_the_others() -> None:
    told = Told()
    for _ in range(30):
        told.tick(on_cpu=0.95, run_ns=TICK_NS)  # of one of the two
    assert told.auto.width == 2
    assert told.auto._phase.load == pytest.approx(1.9)


def test_where_it_is_not_known_who_is_in_line_those_who_compute_are_found_out() -> None:
    it = machine(blind=True)
    it.run(chain([SLEEPS] * 2000, [COMPUTES] * 1000))
    assert it.auto.width <= 4
    assert any("not known who stands in line" in why for why in it.whys)


def test_a_pool_that_could_not_start_all_tries_again() -> None:
    stage = auto_stage()
    stage.submit(*stage.calls(40))
    for wid in range(2):
        stage.ready(wid)
    now = SECOND
    stage.step(measured(stage.core, now))
    failed: list[int] = []

    def fail(found: list[Any]) -> None:
        for each in only(found, commands.Spawn):
            failed.append(each.wid)
            fail(stage.step(events.StartFailed(each.wid, OSError("no more"), fatal=False)))

    fail(stage.step(measured(stage.core, now := now + TICK_NS)))
    assert stage.core.max_workers == 2
    assert stage.core.size == 4
    tries = len(failed)
    while len(failed) == tries:
        assert now < 60 * SECOND
        fail(stage.step(measured(stage.core, now := now + TICK_NS)))
    assert now - SECOND >= HOLD_NS
    assert stage.core.max_workers == 2  # in vain
    found: list[Any] = []
    while not only(found, commands.Spawn):
        assert now < 60 * SECOND
        found = stage.step(measured(stage.core, now := now + TICK_NS))
    for each in only(found, commands.Spawn):
        stage.ready(each.wid)
    assert stage.core.max_workers == stage.core.size == 4


def test_a_pool_of_threads_of_which_some_were_given_up_grows_on() -> None:
    stage = auto_stage()
    core = stage.core
    core.wanted_workers, core.max_workers = 1, 1  # as supervising does: one more than are replaced
    stage.submit(*stage.calls(40))
    assert core.auto is not None
    for tick in range(20):
        for wid, worker in list(core.workers.items()):
            if worker.state is State.STARTING:
                stage.ready(wid)
        stage.step(measured(core, SECOND + tick * TICK_NS))
    assert core.auto.width > 2
    assert core.max_workers == core.auto.width - 1


# ---------------------------------------------------------------------------------------------------------- in a pool


def auto_stage() -> Stage:
    stage = Stage(2)
    stage.core.auto = AutoWidth(2, 8)
    return stage


def measured(core: PoolCore, now: int) -> events.Measured:
    running = sum(worker.items > 0 for worker in core.workers.values())
    return events.Measured(now, running, core.line.items, 0, running * TICK_NS, 0, 0)


def test_the_pool_starts_workers_for_what_waits() -> None:
    stage = auto_stage()
    stage.submit(*stage.calls(10))
    for wid in range(2):
        stage.ready(wid)
    stage.step(measured(stage.core, SECOND))
    found = stage.step(measured(stage.core, SECOND + TICK_NS))
    assert [each.wid for each in only(found, commands.Spawn)] == [2, 3]
    assert stage.core.max_workers == stage.core.size == 4


def test_a_pool_of_a_fixed_width_is_not_changed() -> None:
    stage = Stage(2)
    stage.submit(*stage.calls(10))
    for tick in range(9):
        assert only(stage.step(measured(stage.core, SECOND + tick * TICK_NS)), commands.Spawn) == []
    assert stage.core.max_workers == 2
