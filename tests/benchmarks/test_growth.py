"""The curves: which points there are, how long and how large they may be, and how they are drawn."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import workloads
from benchmarks.cell import Cell, NotAvailable, Outcome, Sample
from benchmarks.growth import cli, measures
from benchmarks.growth.measures import GROWTH, LENGTHS, WAYS, QueuedPoint, length_name
from benchmarks.growth.tables import growth, tables
from benchmarks.measures import MEASURES
from benchmarks.report import in_markdown, in_text


def amounts(plan: list[Cell], measure: str, peer: str) -> list[float]:
    return [cell.amount for cell in plan if (cell.measure, cell.peer) == (measure, peer)]


def planned(most: int = 1_000_000, cores: int = 16) -> list[Cell]:
    return list(cli.points(list(GROWTH), ["procession", "ppe"], most, cores, 10.0))


def test_the_points_of_the_curves() -> None:
    plan = planned()
    assert amounts(plan, "workers", "procession") == [2, 4, 8, 16, 32, 64]
    assert amounts(plan, "queued", "procession") == [100, 1_000, 10_000, 100_000, 1_000_000]
    assert amounts(plan, "queued", "ppe") == [100, 1_000, 10_000, 100_000]
    assert amounts(plan, "scaling", "forks") == amounts(plan, "scaling", "ppe") == [1, 2, 4, 8, 16]
    assert not amounts(plan, "workers", "forks")


@pytest.mark.parametrize(
    ("cores", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (64, [1, 2, 4, 8, 16, 32, 64])]
)
def test_all_cores_are_used_however_many(cores: int, counts: list[int]) -> None:
    assert amounts(planned(cores=cores), "scaling", "procession") == counts


def test_ten_million_come_when_asked_for_and_have_time() -> None:
    assert 10_000_000 in amounts(planned(most=10_000_000), "queued", "procession")
    small, large = (cli.limit_of(Cell("queued", "procession", "import", 0, amount=n)) for n in (100, 10_000_000))
    assert small < 60 < 900 < large


def test_the_curves_are_no_part_of_the_default_run() -> None:
    assert not GROWTH.keys() & MEASURES.keys()


def test_growth_is_what_the_last_costs_in_terms_of_the_cheapest() -> None:
    assert growth([9.0, 2.0, None, 3.0]) == "1.50"
    assert growth([None, 2.0]) == growth([0.0, 2.0]) == "-"


def test_the_lengths_have_names() -> None:
    assert [length_name(each) for each in LENGTHS] == ["1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms"]


def test_the_tables_have_all_points_and_what_is_missing() -> None:
    plan = planned()
    half = {f"{way} {length_name(length)}": 8.0 for way in WAYS for length in LENGTHS}
    outcomes = [
        Outcome(Cell("workers", "procession", "import", 0, amount=2), "ok", 1.0, Sample({"task": 2.0})),
        Outcome(Cell("workers", "procession", "import", 0, amount=64), "ok", 1.0, Sample({"task": 3.0})),
        Outcome(Cell("scaling", "procession", "import", 0, amount=16), "ok", 1.0, Sample(half)),
        Outcome(Cell("queued", "procession", "import", 0, amount=1e6), "not available", 1.0, reason="the limit"),
    ]
    drawn = list(tables(outcomes, plan))
    page = "\n".join(map(in_markdown, drawn))
    assert "| a task, submit to result | procession | 2.00 us | - | - | - | - | 3.00 us | 1.50 |" in page
    assert "8.00x (50%)" in page
    assert "| queued | 1,000,000 | procession | not available | the limit |" in page
    assert "speed-up by submit: forks" not in page
    assert all(in_text(table) for table in drawn)


def test_a_program_that_outgrows_its_memory_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARKS_MEMORY", "1")
    with pytest.raises(NotAvailable, match="1 MiB was reached with 10,000 tasks"):
        measures._within_limit(10_000)
    monkeypatch.setenv("BENCHMARKS_MEMORY", "1000000")
    measures._within_limit(10_000)


def test_every_point_has_metrics_of_its_own() -> None:
    for measure in GROWTH.values():
        keys = [metric.key for metric in measure.metrics]
        assert len(keys) == len(set(keys)) >= 3
    assert QueuedPoint.limit < 120


def test_tasks_at_a_gate_are_seen_and_let_go(tmp_path: Path) -> None:
    gate = measures.Gate(tmp_path / "gate")
    try:
        with ThreadPoolExecutor(2) as pool:
            tasks = [pool.submit(workloads.hold, gate.path) for _ in range(2)]
            gate.wait_for(2)
            assert not any(task.done() for task in tasks)
            gate.release(2)
            assert [task.result(20) for task in tasks] == [None, None]
    finally:
        os.close(gate._opening)
        os.close(gate._here)
