"""The verdict: each fault alone is found, and nothing else with it; what is healthy is left alone."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.seeing import verdict as verdicts
from procession.seeing.recording import (
    COLUMNS,
    DIED,
    ERROR,
    STREAM_COUNTERS,
    FailureText,
    Pool,
    Recording,
    Stream,
    Worker,
)
from procession.seeing.verdict import HEADS, Verdict, accounts, verdict
from procession.seeing.verdict.accounts import works
from procession.seeing.verdict.steps import Level, Steps
from procession.seeing.verdict.words import long, many, size
from tests.seeing.made import NONE, Faults, made

MS = 1_000_000
ZERO = 5_000 * MS
"""When all begins here."""


class Scene:
    """A recording that is written down run by run. Times are milliseconds from the beginning."""

    def __init__(self, workers: int = 4, backend: str = "processes", cpus: int = 4) -> None:
        self.recording = Recording()
        self.recording.functions.append("work")
        self.recording.streams.append(Stream("imap", "work"))
        self.recording.cpus = cpus
        self.pool(workers, backend)

    def pool(self, workers: int, backend: str = "processes") -> None:
        number = len(self.recording.pools)
        self.recording.pools.append(Pool(number, backend, workers))
        self.recording.workers += [Worker(number, wid, 100 + wid, ZERO, 0) for wid in range(workers)]

    def run(self, worker: int, start: float, end: float, queued: float = 0, **rest: int) -> int:
        times = {"queued": queued, "sent": queued, "started": start, "ended": end, "done": end}
        stamps = {name: ZERO + round(at * MS) for name, at in times.items()}
        row = {"index": len(self.recording), "stream": 1, "worker": worker, **stamps, **rest}
        self.recording.until = max(self.recording.until, stamps["done"])
        self.recording.since = ZERO
        return self.recording.add(**row)

    def rounds(self, starts: Iterable[float], long: float, workers: Sequence[int], **rest: Any) -> None:
        """On each of these workers, a run that begins then."""
        for start in starts:
            for worker in workers:
                self.run(worker, start, start + long, **rest)

    def counter(self, name: str, *points: tuple[float, float], pool: int = 0) -> None:
        for at, value in points:
            self.recording.sample(pool, name, ZERO + round(at * MS), value)

    def verdict(self) -> Verdict:
        return verdict(self.recording)

    def faults(self) -> list[str]:
        return [finding.fault for finding in self.verdict().findings]


ALL = range(4)


def full(**words: Any) -> Scene:
    """Four workers that are busy for two seconds, in runs of 20 ms, and all was queued at once."""
    scene = Scene(**words)
    scene.rounds(range(0, 2000, 20), 20, ALL)
    return scene


# ---------------------------------------------------------------------------------------------------- what is healthy


def test_a_healthy_run_is_left_alone() -> None:
    scene = full()
    scene.counter("cpu", (0, 0), (2000, 7.9))
    scene.counter("stalled", (0, 0), (2000, 0.1))
    scene.counter("main cpu", (0, 0), (2000, 1.0), pool=-1)
    scene.counter("memory", (0, 4e8), (2000, 4.5e8))
    said = scene.verdict()
    assert said.findings == []
    assert said.healthy
    assert said.shares["function"] == pytest.approx(0.9875, abs=0.001)
    assert said.numbers["speedup"] == pytest.approx(3.95, abs=0.01)
    assert said.numbers["limit"] == pytest.approx(4, abs=0.1)
    assert str(said).splitlines()[0] == (
        "4.0 times as fast as one after the other: 7.9 s of work in 2.0 s (400 tasks, 4 workers, 4 CPUs)."
    )
    assert str(said).endswith("Nothing to mend.")


def test_what_the_program_does_itself_it_would_do_one_after_the_other_too() -> None:
    """60 of each 100 ms pass with nothing to run; the work is four times 40 ms, in the rest."""
    said = bursts(0.0).verdict()
    assert said.numbers["own"] == pytest.approx(1.14, abs=0.01)
    assert said.numbers["speedup"] == pytest.approx((3.2 + 1.14) / 1.94, abs=0.01)
    assert "3.2 s of work and 1.1 s of the program itself in 1.9 s" in said.headline


def test_nothing_has_run() -> None:
    said = verdict(Recording())
    assert (said.headline, said.findings, said.shares) == ("No task has run.", [], {})
    assert str(said) == "No task has run."


def test_nothing_that_was_handed_over_has_run() -> None:
    scene = Scene()
    scene.recording.add(queued=ZERO, done=ZERO + MS, outcome=5)
    assert scene.faults() == []


def test_one_task() -> None:
    scene = Scene(workers=1, cpus=1)
    scene.run(0, 0, 5)
    said = scene.verdict()
    assert said.findings == []
    assert said.numbers["speedup"] == 1
    assert said.headline.startswith("1.0 times as fast as one after the other: 5.0 ms of work in 5.0 ms (1 task,")


def test_a_task_without_length() -> None:
    scene = Scene()
    scene.run(0, 0, 0)
    assert scene.faults() == []
    assert sum(scene.verdict().shares.values()) in (0, pytest.approx(1))


@pytest.mark.parametrize("seed", range(6))
def test_a_pool_that_is_always_busy_is_healthy(seed: int) -> None:
    recording = made(3000, 4, seed=seed, faults=NONE, run=2 * MS)
    recording.counters = {key: told for key, told in recording.counters.items() if key[1] not in ("cpu", "main cpu")}
    assert verdict(recording).findings == []


# ------------------------------------------------------------------------------------------------------- each fault


def test_small_tasks() -> None:
    scene = Scene()
    for place in range(8000):
        scene.run(place % 4, place // 4 * 0.1, place // 4 * 0.1 + 0.01, stream=0, index=-1)
    said = scene.verdict()
    assert [finding.fault for finding in said.findings] == ["small"]
    assert said.findings[0].title == "Tasks of 10 µs are too small"
    assert "pool.map" in said.findings[0].advice


def test_small_tasks_of_a_map_are_in_chunks_already() -> None:
    scene = Scene()
    for place in range(8000):
        scene.run(place % 4, place // 4 * 0.1, place // 4 * 0.1 + 0.01)
    [finding] = scene.verdict().findings
    assert finding.advice.startswith("Give each task a list of items")


def test_a_task_that_is_small_but_costs_nothing_besides_is_no_fault() -> None:
    scene = Scene()
    for place in range(20_000):
        scene.run(place % 4, place // 4 * 0.1, place // 4 * 0.1 + 0.095)
    assert scene.faults() == []


def test_the_same_large_argument() -> None:
    scene = full()
    scene.recording.repeats[0] = (39, 39 * 80_000_000)
    [finding] = scene.verdict().findings
    assert finding.fault == "again"
    assert finding.text == "work was given the same 80 MB 39 times again: 3.1 GB in all."
    assert "pool.share" in finding.advice


@pytest.mark.parametrize("told", [(2, 160_000_000), (500, 50_000_000)])
def test_a_few_arguments_again_are_no_fault(told: tuple[int, int]) -> None:
    scene = full()
    scene.recording.repeats[0] = told
    assert scene.faults() == []


def test_pickling_in_the_workers() -> None:
    scene = Scene()
    scene.rounds(range(0, 2000, 20), 20, ALL, load=6 * MS, dump=MS, bytes_in=8_000_000)
    [finding] = scene.verdict().findings
    assert finding.fault == "pickling"
    assert "8.0 MB a task" in finding.text
    assert scene.verdict().shares["codec"] == pytest.approx(0.35, abs=0.01)
    scene.counter("cpu", (0, 0), (2000, 8))
    assert scene.verdict().numbers["limit"] == pytest.approx(4, abs=0.1)  # of the work, if nothing had to be sent


def test_a_little_pickling_is_no_fault() -> None:
    scene = Scene()
    scene.rounds(range(0, 2000, 20), 20, ALL, load=MS, bytes_in=8_000_000)
    assert scene.faults() == []


def test_pickling_in_the_program() -> None:
    """It is the same fault, wherever it is paid for: the workers idle, as the main thread encodes."""
    scene = Scene()
    for start in range(0, 2000, 40):
        for worker in ALL:
            at = start + worker * 10
            scene.run(worker, at, at + 5, queued=at, stream=0, index=-1, pickle=9 * MS, bytes_in=30_000_000)
    scene.counter("main cpu", (0, 0), (2000, 1.9), pool=-1)
    assert scene.faults() == ["pickling"]


def threads(cpu: float, stalled: float = 0.0) -> Scene:
    scene = full(backend="threads")
    scene.counter("cpu", (0, 0), (2000, cpu))
    scene.counter("stalled", (0, 0), (2000, stalled))
    return scene


def test_threads_under_the_gil() -> None:
    said = threads(2.0).verdict()
    assert [finding.fault for finding in said.findings] == ["gil"]
    assert said.findings[0].text == "4.0 threads ran at a time, and together they got 1.0 of 4 CPUs."
    assert said.numbers["speedup"] == pytest.approx(1.0, abs=0.02)  # and not 4, though all were busy


@pytest.mark.parametrize(("cpu", "stalled"), [(0.8, 2.0), (0.4, 4.0)])
def test_threads_under_the_gil_on_a_busy_machine(cpu: float, stalled: float) -> None:
    assert threads(cpu, stalled).faults() == ["gil"]


@pytest.mark.parametrize("cpu", [6.0, 3.0])
def test_threads_that_run_beside_each_other_are_not_held(cpu: float) -> None:
    assert threads(cpu).faults() == []


def test_processes_are_not_held_by_the_gil() -> None:
    scene = full(cpus=1)
    scene.counter("cpu", (0, 0), (2000, 2.0))
    assert "gil" not in scene.faults()


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_workers_that_wait_while_tasks_wait_for_them(backend: str) -> None:
    scene = full(backend=backend)
    scene.counter("cpu", (0, 0), (2000, 0.1))
    assert scene.faults() == ["waits"]


def test_workers_that_wait_for_want_of_tasks_are_no_fault() -> None:
    scene = Scene()
    for start in range(0, 2000, 20):
        for worker in ALL:
            scene.run(worker, start, start + 20, queued=start)
    scene.counter("cpu", (0, 0), (2000, 0.1))
    assert scene.faults() == []


def test_threads_inside_of_tasks() -> None:
    scene = full()
    scene.counter("cpu", (0, 0), (2000, 7.5))
    scene.counter("stalled", (0, 0), (2000, 4.0))
    [finding] = scene.verdict().findings
    assert finding.fault == "blas"
    assert "1.4 CPUs each" in finding.text


def test_more_workers_than_cpus() -> None:
    scene = full(cpus=2)
    scene.counter("cpu", (0, 0), (2000, 4.0))
    scene.counter("stalled", (0, 0), (2000, 3.9))
    assert scene.faults() == ["crowd"]


def test_other_programs_have_the_cpus() -> None:
    scene = full()
    scene.counter("cpu", (0, 0), (2000, 5.0))
    scene.counter("stalled", (0, 0), (2000, 2.5))
    said = scene.verdict()
    assert [(finding.fault, finding.severity) for finding in said.findings] == [("others", "note")]
    assert said.healthy
    assert said.numbers["work"] == pytest.approx(7.9 - 2.5, abs=0.1)


def test_a_straggler_that_began_late() -> None:
    scene = Scene()
    scene.rounds(range(0, 1000, 20), 20, ALL)
    row = scene.run(0, 1000, 2000)
    [finding] = scene.verdict().findings
    assert finding.fault == "straggler"
    assert f"The longest took 1.0 s, 50 % of it all: work, item {row}." in finding.text
    assert finding.advice.startswith("Start it first, it began 1.0 s after the others")
    assert scene.verdict().shares["stragglers"] == pytest.approx(0.375, abs=0.01)


def test_a_straggler_that_began_early() -> None:
    scene = Scene()
    scene.run(0, 0, 2000)
    scene.rounds(range(0, 500, 20), 20, (1, 2, 3))
    [finding] = scene.verdict().findings
    assert finding.advice == "Split it: it began early enough."
    assert "its longest task takes as long as that" in scene.verdict().limit


def test_a_last_round_that_is_not_full() -> None:
    scene = Scene()
    scene.rounds([0], 500, ALL)
    scene.run(0, 500, 1000)
    [finding] = scene.verdict().findings
    assert finding.fault == "straggler"
    assert finding.advice.startswith("Make more and smaller tasks")


def test_a_short_tail_is_no_fault() -> None:
    scene = full()
    scene.run(0, 2000, 2080)
    assert scene.faults() == []


def bursts(busy: float) -> Scene:
    """Each 100 ms comes work for 40; the main thread is on a CPU for this share of the rest, and never otherwise."""
    scene = Scene()
    spent = 0.0
    for start in range(0, 2000, 100):
        for worker in ALL:
            scene.run(worker, start, start + 20, queued=start)
            scene.run(worker, start + 20, start + 40, queued=start)
        scene.counter("main cpu", (start, spent), (start + 40, spent), pool=-1)
        spent += 0.06 * busy
    scene.counter("main cpu", (2000, spent), pool=-1)
    return scene


def test_a_program_that_computes_by_itself() -> None:
    said = bursts(1.0).verdict()
    [finding] = said.findings
    assert finding.fault == "serial"
    assert "it cannot be more than" in finding.text
    assert said.shares["serial"] == pytest.approx(0.58, abs=0.02)


def test_a_slow_source() -> None:
    said = bursts(0.0).verdict()
    [finding] = said.findings
    assert finding.fault == "input"
    assert said.shares["input"] == pytest.approx(0.58, abs=0.02)


def piped(kind: str) -> Scene:
    """Two pools: what the first does in 5 of each 20 ms, takes one worker of the second all of them."""
    scene = Scene(workers=1)
    scene.pool(1)
    scene.recording.streams.append(Stream(kind, ""))
    scene.recording.functions.append("slow")
    for start in range(0, 2000, 20):
        scene.run(0, start, start + 5, queued=start, stream=2)
        scene.run(1, start + 5, start + 24.9, queued=start + 5, stream=2, function=1)
    return scene


def test_a_stage_that_holds_up_the_others() -> None:
    said = piped("pipeline").verdict()
    assert [finding.fault for finding in said.findings] == ["stage"]
    assert said.findings[0].text.startswith("The 1 worker of slow ran 100 % of the time")
    assert said.numbers["own"] == pytest.approx(0, abs=0.02)  # while one pool idles, another runs


def test_two_pools_that_are_no_pipeline_wait_for_their_input() -> None:
    assert piped("map").faults() == ["input"]


def test_a_program_that_computes_before_it_hands_over_anything() -> None:
    scene = full()
    scene.recording.since = ZERO - 3000 * MS
    scene.counter("main cpu", (-3000, 0), (0, 3), (2000, 3), pool=-1)
    [finding] = scene.verdict().findings
    assert finding.fault == "serial"
    assert "For 3.0 s of 5.0 s" in finding.text
    assert "more than 3.7 times" in finding.text


def windowed(reason: str, **stream: int) -> Scene:
    """For 85 of each 100 ms nothing comes in, for this reason."""
    scene = Scene()
    for start in range(0, 2000, 100):
        for worker in ALL:
            scene.run(worker, start, start + 15, queued=start)
        spent = start / 100 * 0.085
        scene.counter(reason, (start, spent), (start + 15, spent), (start + 100, spent + 0.085))
        scene.counter("open", (start, start / 1000))
    scene.counter("open", (2000, 2))
    told = {"window": 8, reason: 1_700 * MS, **stream}
    scene.recording.streams[1] = Stream("imap", "work", **{k: v for k, v in told.items() if k in Stream._fields})  # type: ignore[arg-type]
    return scene


def test_nobody_takes_the_results() -> None:
    scene = windowed("untaken")
    assert scene.faults() == ["taker"]
    said = scene.verdict()
    assert said.shares["taker"] == pytest.approx(0.85, abs=0.02)
    assert said.numbers["own"] == pytest.approx(1.6, abs=0.05)  # who takes does that one after the other, too
    assert "(imap of work, with a window of 8: 1.7 s)" in said.findings[0].text


def test_a_slow_item_in_front() -> None:
    scene = windowed("headed")
    assert scene.faults() == ["head"]
    assert scene.verdict().shares["head"] == pytest.approx(0.85, abs=0.02)
    assert scene.verdict().findings[0].title == "A slow item holds up the others"


def test_a_window_that_is_narrower_than_the_workers() -> None:
    [finding] = windowed("headed", window=2).verdict().findings
    assert (finding.fault, finding.title) == ("head", "The window is too narrow")
    assert "with a window of 2: 1.7 s) is narrower than the 4 workers" in finding.text


def test_the_slow_source_of_an_imap_is_no_slow_taker() -> None:
    scene = windowed("source")
    assert scene.faults() == ["source"]
    [finding] = scene.verdict().findings
    assert "The program waited for its source (imap of work, with a window of 8: 1.7 s)." in finding.text
    assert "live=True" in finding.advice


def test_a_source_that_computes_is_the_program_itself() -> None:
    scene = windowed("source")
    scene.counter("main cpu", (0, 0), (2000, 1.95), pool=-1)
    assert scene.faults() == ["serial"]


def test_of_several_reasons_each_has_its_part() -> None:
    scene = windowed("untaken")
    scene.counter("headed", (0, 0), (2000, 1.7))
    shares = scene.verdict().shares
    assert shares["taker"] + shares["head"] == pytest.approx(0.85, abs=0.02)
    assert shares["taker"] == pytest.approx(shares["head"], abs=0.1)


def test_where_nothing_is_known_of_streams_nobody_is_blamed() -> None:
    """As in the file of a program that was recorded before that was."""
    scene = windowed("untaken")
    del scene.recording.counters[0, "untaken"], scene.recording.counters[0, "open"]
    scene.recording.streams[1] = Stream("imap", "work")
    [finding] = scene.verdict().findings
    assert finding.fault == "input"
    assert "source (" not in finding.text


HELD = [("keyed", "key", "hint"), ("paced", "rate", "note"), ("gathered", "batch", "hint")]


@pytest.mark.parametrize(("reason", "fault", "severity"), HELD)
def test_what_words_hold_back_is_not_what_is_handed_over_late(reason: str, fault: str, severity: str) -> None:
    """One worker is busy; the others could be, had they something that may run."""
    scene = Scene()
    scene.rounds(range(0, 2000, 20), 20, [0])
    scene.counter(reason, (0, 0), (2000, 2))
    said = scene.verdict()
    assert [(finding.fault, finding.severity) for finding in said.findings] == [(fault, severity)]
    assert said.shares[fault] == pytest.approx(0.74, abs=0.02)
    assert said.shares["dispatch"] + said.shares["start"] == pytest.approx(0, abs=0.001)
    assert str(said).endswith("Nothing to mend.") == (severity == "note")


@pytest.mark.parametrize(("reason", "fault", "severity"), HELD)
def test_in_a_pipeline_what_is_held_back_was_never_handed_over(reason: str, fault: str, severity: str) -> None:
    scene = windowed(reason)
    assert [(finding.fault, finding.severity) for finding in scene.verdict().findings] == [(fault, severity)]


def test_what_waits_for_a_further_attempt() -> None:
    """Each tenth of a second four runs fail, and run again 80 ms later."""
    scene = Scene()
    for start in range(0, 2000, 100):
        for worker in ALL:
            scene.run(worker, start, start + 5, queued=start)
            scene.run(worker, start + 85, start + 99, queued=start + 5, sent=ZERO + (start + 85) * MS, attempt=2)
    [finding] = scene.verdict().findings
    assert (finding.fault, finding.severity) == ("backoff", "hint")
    assert scene.verdict().shares["backoff"] == pytest.approx(0.8, abs=0.02)


def test_other_tasks_that_wait_meanwhile_are_handed_over_late() -> None:
    scene = Scene()
    for start in range(0, 2000, 100):
        for worker in ALL:
            scene.run(worker, start, start + 5, queued=start)
            scene.run(worker, start + 85, start + 99, queued=start + 5)
    assert scene.faults() == ["dispatch"]


def test_results_that_lie_there_are_no_fault_while_workers_are_busy() -> None:
    scene = full()
    scene.counter("ready", (0, 0), (2000, 380))
    assert scene.faults() == []


def test_one_task_at_a_time() -> None:
    scene = Scene()
    for start in range(0, 2000, 20):
        scene.run(start // 20 % 4, start, start + 19.8, queued=start, stream=0, index=-1)
    assert scene.faults() == ["alone"]


def test_workers_that_start_slowly() -> None:
    scene = Scene()
    scene.rounds(range(1000, 2000, 20), 20, ALL)
    assert scene.faults() == ["start"]
    quick = Scene()
    quick.rounds(range(60, 2000, 20), 20, ALL)
    assert quick.faults() == []


def test_tasks_that_wait_while_workers_are_idle() -> None:
    scene = Scene()
    scene.rounds(range(0, 2000, 40), 20, ALL)
    assert scene.faults() == ["dispatch"]


def test_runs_that_fail() -> None:
    scene = Scene()
    for start in range(0, 2000, 20):
        for worker in ALL:
            failed = worker == 0
            row = scene.run(worker, start, start + 20, outcome=ERROR if failed else 0, attempt=1 + failed)
            if failed:
                scene.recording.failures[row] = FailureText("OSError", "no route", "")
    [finding] = scene.verdict().findings
    assert finding.fault == "failures"
    assert "100 runs of 400 failed (OSError 100 times)" in finding.text
    assert scene.verdict().shares["failed"] == pytest.approx(0.25, abs=0.01)


def test_the_death_of_a_worker_is_always_told() -> None:
    scene = full()
    scene.recording.outcome[7] = DIED
    scene.recording.ended[7] = 0
    [finding] = scene.verdict().findings
    assert (finding.fault, finding.severity) == ("failures", "problem")
    assert "1 died" in finding.text


def test_one_error_among_many_is_no_fault() -> None:
    scene = full()
    scene.recording.outcome[7] = ERROR
    assert scene.faults() == []


@pytest.mark.parametrize(("last", "faults"), [(2.0e9, ["memory"]), (1.1e9, []), (0.9e9, [])])
def test_workers_that_grow(last: float, faults: list[str]) -> None:
    scene = full()
    scene.counter(
        "memory", (0, 0.2e9), *((at, 0.8e9 + (last - 0.8e9) * (at - 400) / 1600) for at in range(400, 2001, 50))
    )
    assert scene.faults() == faults


def test_what_is_missing_is_said() -> None:
    scene = full()
    scene.recording.lost = 12
    [finding] = scene.verdict().findings
    assert (finding.fault, finding.severity) == ("lost", "note")
    assert finding.text.startswith("12 tasks could not be recorded")


def test_every_rule_has_a_test_that_it_fires() -> None:
    """Whoever adds a rule adds its fault to those above."""
    source = Path(__file__).read_text(encoding="utf-8")
    faults = {"small", "again", "pickling", "gil", "waits", "blas", "crowd", "others", "straggler", "serial", "input"}
    faults |= {"key", "rate", "batch", "backoff", "source"}
    faults |= {"taker", "head", "alone", "stage", "start", "dispatch", "failures", "memory", "lost", "imports"}
    assert len(verdicts.RULES) == len(faults - {"crowd", "others", "imports", "rate", "batch", "backoff", "source"})
    assert all(source.count(f'"{fault}"') >= 2 for fault in faults)


# ---------------------------------------------------------------------------------------------- what it must not say


def test_what_comes_one_by_one_may_leave_workers_idle() -> None:
    """A camera, or clients, cannot be told to come faster: that the workers keep up is no fault."""
    for kind in ("SpinOff", "call"):
        scene = bursts(0.0)
        scene.recording.streams[1] = Stream(kind, "")
        said = scene.verdict()
        assert [(finding.fault, finding.severity) for finding in said.findings] == [("input", "note")]
        assert said.healthy


def test_one_task_for_four_workers_does_not_wait_for_input() -> None:
    scene = Scene()
    scene.run(0, 0, 500)
    [finding] = scene.verdict().findings
    assert (finding.title, finding.text) == ("Fewer tasks than workers", "There was 1 task for 4 workers.")


def test_many_workers_that_others_take_the_cpus_from_are_not_too_many() -> None:
    scene = full(cpus=2)
    scene.counter("cpu", (0, 0), (2000, 2.0))
    scene.counter("stalled", (0, 0), (2000, 5.9))
    said = scene.verdict()
    assert [finding.fault for finding in said.findings] == ["others"]
    assert "took 1.0 of 2 CPUs meanwhile" in said.findings[0].text
    assert "one after the other would be on a quiet machine: " in said.headline
    assert str(said).endswith("Nothing to mend in the program.")


def test_on_a_busy_machine_the_gil_is_no_certainty() -> None:
    assert [finding.severity for finding in threads(0.4, 4.0).verdict().findings] == ["hint"]
    assert [finding.severity for finding in threads(2.0).verdict().findings] == ["problem"]


def test_the_first_task_of_each_worker_imports_what_it_needs() -> None:
    scene = Scene()
    scene.rounds([0], 800, ALL, load=780 * MS, bytes_in=1000)
    scene.rounds(range(800, 2000, 20), 20, ALL, load=MS, bytes_in=1000)
    [finding] = scene.verdict().findings
    assert (finding.fault, finding.severity) == ("imports", "hint")
    assert "took each worker 780 ms" in finding.text


def test_the_longest_task_is_no_limit_by_what_sending_it_took() -> None:
    scene = Scene(workers=2, cpus=2)
    scene.run(0, 0, 2000, load=1900 * MS)
    scene.rounds(range(0, 2000, 100), 100, [1])
    assert scene.verdict().numbers["limit"] == pytest.approx(2, abs=0.1)


def test_too_little_to_mend_is_said_as_that() -> None:
    scene = Scene()
    for worker in ALL:
        scene.run(worker, 30, 31)
    assert str(scene.verdict()).endswith("Too little is lost to be worth mending. Most of it: workers starting, 97 %.")


def test_where_all_has_failed_nothing_is_compared() -> None:
    scene = Scene()
    scene.rounds(range(0, 2000, 20), 20, ALL, outcome=ERROR)
    said = scene.verdict()
    assert (said.headline, said.limit) == ("Nothing came of 400 runs in 2.0 s.", "")
    assert "failures" in scene.faults()


def test_where_no_task_had_a_cpu_their_values_came_all_the_same() -> None:
    scene = full()
    scene.counter("stalled", (0, 0), (2000, 8))
    said = scene.verdict()
    assert "in 2.0 s (400 tasks, 4 workers, 4 CPUs)." in said.headline
    assert said.limit == ""


def test_of_some_failures_the_text_is_known() -> None:
    scene = full()
    for _ in range(40):
        row = scene.run(0, 2000, 2000, outcome=ERROR)
    scene.recording.failures[row] = FailureText("OSError", "", "")
    [finding] = scene.verdict().findings
    assert "40 runs of 440 failed (of 1 that are known, OSError once)" in finding.text


def test_the_only_task_of_its_function_may_be_the_long_one() -> None:
    scene = Scene()
    scene.recording.functions.append("alone")
    scene.rounds(range(0, 1000, 20), 20, ALL)
    scene.run(0, 1000, 2000, function=1)
    [finding] = scene.verdict().findings
    assert finding.title == "The longest task keeps all waiting"


def test_what_is_slower_than_one_after_the_other_has_not_come_to_its_limit() -> None:
    scene = Scene(workers=1, cpus=1)
    scene.run(0, 90, 100)
    assert scene.verdict().limit.endswith("; but it was slower.")


def test_one_is_not_many() -> None:
    scene = full()
    row = scene.run(0, 2000, 2500, outcome=DIED, attempt=2)
    scene.recording.failures[row] = FailureText("WorkerDied", "", "")
    [finding] = [finding for finding in scene.verdict().findings if finding.fault == "failures"]
    assert "1 run of 401 failed (WorkerDied once). It took 500 ms" in finding.text
    assert "; further attempts: 1." in finding.text


# ---------------------------------------------------------------------------------------------- all is booked once


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_the_shares_are_one(monkeypatch: pytest.MonkeyPatch, seed: int, exact: bool) -> None:
    if not exact:
        monkeypatch.setattr(accounts, "EXACT", 0)
    recording = made(400, 3 + seed, 1 + seed % 3, seed=seed, faults=Faults(killing=0.05, gaps=seed))
    said = verdict(recording)
    assert set(said.shares) == set(HEADS)
    assert all(0 <= share <= 1 for share in said.shares.values())
    assert sum(said.shares.values()) == pytest.approx(1, abs=0.01)


def test_parts_of_equal_length_say_much_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = made(3000, 4, seed=3)
    exact = verdict(recording).shares
    monkeypatch.setattr(accounts, "EXACT", 0)
    parts = verdict(recording).shares
    assert parts == {head: pytest.approx(share, abs=0.02) for head, share in exact.items()}


def test_each_pool_is_booked_for_itself() -> None:
    scene = full()
    scene.pool(2, "threads")
    for start in range(5000, 5400, 20):
        scene.run(4, start, start + 20, queued=5000)
        scene.run(5, start, start + 20, queued=5000)
    first, second = works(scene.recording)
    assert [round(sum(work.heads.values()) / MS) for work in (first, second)] == [8000, 800]
    assert (first.lanes, second.lanes) == (4, 2)


TIME = st.integers(0, 60)
ROW = st.fixed_dictionaries(
    dict.fromkeys(("queued", "sent", "started", "ended", "done", "load", "dump"), TIME)
    | {"worker": st.integers(-1, 3), "function": st.integers(-1, 2), "stream": st.integers(0, 2)}
    | {"outcome": st.integers(0, 6), "attempt": st.integers(1, 3), "index": st.integers(-1, 5)}
)
SAMPLE = st.tuples(
    st.integers(-1, 1), st.sampled_from(("cpu", "main cpu", "stalled", "memory", *STREAM_COUNTERS)), TIME
)


@given(st.lists(ROW, max_size=12), st.lists(st.tuples(SAMPLE, st.floats(0, 1e10)), max_size=12))
def test_whatever_is_in_it_there_is_a_verdict(rows: list[dict[str, int]], samples: list[Any]) -> None:
    """Lawful or not: no error, and no share that is none."""
    recording = Recording()
    recording.functions.append("work")
    recording.pools += [Pool(0, "processes", 2), Pool(1, "threads", 1)]
    recording.workers += [Worker(0, 0, 1, 3, 0), Worker(0, 1, 2, 0, 20), Worker(1, 0, 3, 9, 0)]
    for row in rows:
        recording.add(**row)
    for (pool, name, now), value in sorted(samples, key=lambda sample: sample[0][2]):
        recording.sample(pool, name, now, value)
    said = verdict(recording)
    assert str(said)
    assert all(-1e-9 <= share <= 1 + 1e-9 for share in said.shares.values())
    assert sum(said.shares.values()) == pytest.approx(1, abs=0.01) or not sum(said.shares.values())
    assert set(COLUMNS) == set(recording.columns)


# ------------------------------------------------------------------------------------------------------ its measures


@given(st.lists(st.tuples(TIME, TIME), max_size=8), TIME, TIME)
def test_steps_are_what_they_say(spans: list[tuple[int, int]], one: int, other: int) -> None:
    steps, now = Steps(spans), max(one, other)
    kept = [(start, end) for start, end in spans if end > start]
    assert steps.upto(now) == sum(min(end, now) - min(start, now) for start, end in kept)
    assert steps.at(now) == sum(start <= now < end for start, end in kept)
    open_ = {at for start, end in kept for at in range(start, end)}
    periods = steps.periods()
    assert {at for begin, end in periods for at in range(begin, end)} == open_
    assert all(end < begin for (_, end), (begin, _) in pairwise(periods))
    columns = [array("q", [span[end] for span in spans]) for end in (0, 1)]
    same = Steps.between(*columns)
    assert (same.starts, same.ends, same.periods()) == (steps.starts, steps.ends, periods)


def test_a_level_is_on_the_line_between_two_samples() -> None:
    recording = Recording()
    for now, value in ((10, 1.0), (20, 3.0), (20, 5.0), (30, 5.0)):
        recording.sample(0, "cpu", now, value)
    level = Level(recording.counters[0, "cpu"])
    assert [level.at(now) for now in (0, 10, 15, 25, 30, 99)] == [1.0, 1.0, 2.0, 5.0, 5.0, 5.0]
    assert (level.total(), level.highest(0, 15), level.highest(0, 20)) == (4.0, 1.0, 5.0)
    assert not Level(None)
    assert Level(None).grown(0, 9) == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ns"), (12e-6, "12 µs"), (3.42e-3, "3.4 ms"), (0.9999, "1.0 s"), (9.96, "10 s"), (65, "65 s"),
        (125, "2 min 5 s"), (4e-8, "40 ns"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert long(seconds) == words


def test_sizes_and_counts() -> None:
    assert [size(count) for count in (12, 1500, 80e6, 3.12e9)] == ["12 bytes", "1.5 kB", "80 MB", "3.1 GB"]
    assert [many(1, "task"), many(12_345, "task")] == ["1 task", "12,345 tasks"]
