"""The report, the plan and the environment of a cell, without running one."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import cli, report, runner
from benchmarks.cell import KINDS, Cell
from benchmarks.machine import doubts
from benchmarks.measures import MEASURES
from benchmarks.results import Results
from benchmarks.runner import child_environment, run_cell
from tests.benchmarks.made import MACHINE, bad, outcome, results
from tests.house.test_house import Limits

FOUND = results(
    outcome("roundtrip", "ppe", hot_p50=200.0, hot_p99=300.0),
    outcome("roundtrip", "raw-pipe", hot_p50=8.0, hot_p99=30.0),
    outcome("roundtrip", "procession", hot_p50=10.0, hot_p99=50.0),
    outcome("roundtrip", "procession-pure", hot_p50=100.0, hot_p99=200.0),
    bad("array_arena", "procession", "not available", "no procession.empty"),
    bad("map", "mpire", "hang", "no end after 40 s"),
)


def test_the_page_has_both_modes_the_control_and_the_judgement() -> None:
    page = report.as_markdown(FOUND, MACHINE, ["it rained"])
    assert "- procession: accelerated" in page
    assert "- DOUBT: it rained" in page
    assert "| round trip, p50 | 10.0 us | 100 us | 200 us | 8.00 us |" in page
    assert "| raw-pipe (control) | 8.00 us | 25.0 |" in page
    where = "round trip: submit one, result(), again: hot, p50"
    assert f"| {where} | procession | importable | at least 20.0 x ppe | 20.0 x ppe | reached |" in page
    assert "| at most 1.50 x the time of raw-pipe | 1.25 x raw-pipe | reached |" in page
    assert f"| {where} | procession-pure | importable | at least 2.50 x ppe | 2.00 x ppe | NOT REACHED |" in page
    assert "| at most 0.30 ms | not available: no procession.empty | - |" in page


def test_what_is_not_available_has_not_failed() -> None:
    page = report.as_markdown(FOUND, MACHINE, [])
    _, _, failed = page.partition("## Failed")
    assert "mpire" in failed
    assert "array_arena" not in failed


def test_each_line_of_a_table_has_as_many_cells_as_its_head() -> None:
    for table in (report.glance(FOUND), *report.tables(FOUND)):
        assert {len(row) for row in table.rows} == {len(table.columns)}, table.heading


def test_text_and_json_have_it_all() -> None:
    assert "1.25 x raw-pipe" in report.as_text(FOUND, MACHINE, [])
    written = json.loads(report.as_json(FOUND, MACHINE, []))
    assert len(written["outcomes"]) == 6
    assert {each["reached"] for each in written["targets"]} == {True, False, None}


def test_a_page_of_nothing() -> None:
    assert "At a glance" in report.as_markdown(Results([]), MACHINE, [])


def test_the_figures_at_a_glance_exist() -> None:
    for measure, metric, _ in report.GLANCE:
        assert report.metric_of(measure, metric)


@pytest.mark.parametrize(
    ("modes", "doubt"),
    [
        ({"procession": "this procession has one mode"}, "procession is not accelerated here"),
        ({"procession-pure": "accelerated"}, "procession-pure is accelerated"),
        (MACHINE["modes"], None),
        ({}, None),
    ],
)
def test_the_wrong_mode_is_a_doubt(modes: dict[str, str], doubt: str | None) -> None:
    found = [each for each in doubts({**MACHINE, "modes": modes}, []) if "accelerated" in each]
    assert [each for each in found if doubt in each] if doubt else not found, found


def test_the_mode_is_the_peers_not_the_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_PURE", "1")
    assert "PROCESSION_PURE" not in child_environment("procession")
    monkeypatch.delenv("PROCESSION_PURE")
    assert child_environment("procession-pure")["PROCESSION_PURE"] == "1"


def test_a_relative_path_of_python_is_made_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["src", "", "/somewhere"]))
    path = child_environment("procession")["PYTHONPATH"].split(os.pathsep)
    assert path == [str(Path(cli.__file__).parents[1]), os.path.abspath("src"), "/somewhere"]


def test_the_plan_keeps_to_the_kinds_and_the_caps() -> None:
    plan = list(cli.cells(list(MEASURES), ["ppe", "procession"], KINDS, 0, "normal"))
    assert {cell.kind for cell in plan if cell.measure == "map_mixed"} == {"import"}
    assert {cell.kind for cell in plan if cell.measure == "map"} == set(KINDS)
    assert {cell.repetition for cell in plan if cell.measure == "map_mixed"} == set(range(2))
    assert {cell.repetition for cell in plan if cell.measure == "map"} == set(range(5))


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], str]:
    """Run a script in the place of a cell's; the status and what was said."""

    def run(text: str) -> str:
        script = tmp_path / "script.py"
        script.write_text(text)
        monkeypatch.setitem(runner.SCRIPTS, "import", script)
        done = run_cell(Cell("map", "procession-pure", "import", 0), 20.0, tmp_path)
        return f"{done.status}: {done.reason or (done.sample and done.sample.values)}"

    return run


def test_a_cell_leaves_its_sample_its_lack_or_its_traceback(running: Callable[[str], str]) -> None:
    head = "import json, os, sys\nfrom pathlib import Path\nout = Path(json.loads(sys.argv[1])['out'])\n"
    pure = 'out.write_text(json.dumps({"values": {"rate": float(os.environ["PROCESSION_PURE"])}, "facts": {}}))'
    assert running(head + pure) == "ok: {'rate': 1.0}"
    assert running(head + 'out.write_text(json.dumps({"not available": "no room"}))') == "not available: no room"
    assert running("raise SystemExit('spoiled')") == "error: spoiled"


def test_the_benchmarks_keep_the_limits_of_the_house() -> None:
    found = list(Limits({}).breaches(Path(cli.__file__).parent))
    assert not found, "\n" + "\n".join(found)
